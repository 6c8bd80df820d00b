"""Keys in a token: SoftHSM makes the signatures, `check` and openssl take them, and every failure is one sentence."""

import datetime as dt
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundlekit import load_trust, pipeline
from bundlekit.authoring import pkcs11_key
from bundlekit.authoring.pkcs11_uri import MODULE, read_token_address
from bundlekit.authoring.sign import load_signers, sign
from bundlekit.authoring.signer_command import EndedCommand, SignerCommand, run_limited
from bundlekit.authoring.signers import external_signer
from bundlekit.cli import run
from bundlekit.errors import SigningError
from fixtures import by_hand
from fixtures.make_keys import KEYS
from tests.trust.openssl import verifies

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
PLACES = ("/usr/lib/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm")
SOFTHSM = next((path for folder in PLACES if (path := Path(folder) / "libsofthsm2.so").exists()), None)
SCRIPT = Path(__file__).parents[2] / "fixtures" / "signers" / "pkcs11.sh"
PIN = "471147"

needs_softhsm = pytest.mark.skipif(
    SOFTHSM is None or not all(map(shutil.which, ("softhsm2-util", "pkcs11-tool"))),
    reason="needs SoftHSM and OpenSC (packages softhsm2 and opensc)",
)
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("pkcs11") is None, reason="needs python-pkcs11 (the extra pkcs11)"
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Two tokens. The first has the keys of two signers, an Ed25519 key, and one whose public half is not shown."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "store").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/store\nlog.level = ERROR\n")
    environment = os.environ | {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}

    def tool(*words):
        subprocess.run(words, env=environment, check=True, capture_output=True)

    def in_token(*words):
        tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "release", "--login", "--pin", PIN, *words)

    for label in ("release", "other"):
        tool("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "08150815")
    for number, name in enumerate(("rsa-signer", "p384-signer", "signer"), 1):
        id_ = ["--id", f"0{number}", "--pin", PIN]
        tool("softhsm2-util", "--import", KEYS / f"{name}.key", "--token", "release", "--label", name, *id_)
    in_token("--keypairgen", "--key-type", "EC:edwards25519", "--label", "ed25519", "--id", "07")
    in_token("--delete-object", "--type", "pubkey", "--label", "signer")
    tool("softhsm2-util", "--import", KEYS / "p256.key", "--token", "other", "--label", "p256", *id_)
    tool("softhsm2-util", "--import", KEYS / "p384.key", "--token", "other", "--label", "twice", "--id", "21", *id_[2:])
    tool("softhsm2-util", "--import", KEYS / "p256.key", "--token", "other", "--label", "twice", "--id", "22", *id_[2:])
    return folder / "softhsm2.conf"


@pytest.fixture
def token(tokens, monkeypatch):
    monkeypatch.setenv("SOFTHSM2_CONF", str(tokens))
    monkeypatch.setenv(MODULE, str(SOFTHSM))
    monkeypatch.setenv("BUNDLEKIT_PIN", PIN)


@pytest.fixture
def here(token, monkeypatch):
    """The module is loaded by this process, which is faster, and watched by coverage."""
    worker = pytest.importorskip("bundlekit.authoring.pkcs11_worker", reason="needs python-pkcs11 (the extra pkcs11)")

    def run_here(_words, request, *_rest, **_more):
        return EndedCommand(0, worker.reply(request))

    monkeypatch.setattr("bundlekit.authoring.pkcs11_key.run_limited", run_here)


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "update.bin"
    path.write_bytes(by_hand.bundle(capacity=65536))
    return path


def no_passphrase(path):
    raise AssertionError(path)


def at(address, *certificates, **terms):
    (one,) = load_signers([f"pkcs11:{address}"], [KEYS / name for name in certificates], ask=no_passphrase, **terms)
    return one


# --- each kind of key signs, in two ways ---

KINDS = [
    ("rsa-signer", "01", ["rsa-signer.pem"], False, "rsa-3072-pkcs1v15-sha256"),
    ("rsa-signer", "01", ["rsa-signer.pem"], True, "rsa-3072-pss-sha256"),
    ("p384-signer", "02", ["p384-signer.pem"], False, "ecdsa-p384-sha384"),
    ("signer", "03", ["signer.pem"], False, "ecdsa-p256-sha256"),
    ("ed25519", "07", [], False, "ed25519"),
]


def accepted(bundle, certificates, key, tmp_path):
    """Whether `check` accepts the bundle, and openssl what it can verify."""
    if certificates:
        trust = [KEYS / "trust" / "root.pem"]
        assert verifies(bundle, trust[0], tmp_path, NOW)
    else:  # openssl 3.0 verifies no Ed25519 in CMS
        pem = key.public.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "pinned.pem").write_bytes(pem)
        trust = [tmp_path / "pinned.pem"]
    return pipeline.check(bundle, trust=load_trust(trust), at=NOW).verdict == "accept"


@needs_softhsm
@needs_library
@pytest.mark.parametrize(("label", "id_", "certificates", "pss", "algorithm"), KINDS)
def test_a_key_in_a_token_signs(token, bundle, tmp_path, label, id_, certificates, pss, algorithm):
    signer = at(f"token=release;object={label};id=%{id_}", *certificates, pss=pss)
    assert sign(bundle, signer, at=NOW).algorithm == algorithm
    assert accepted(bundle, certificates, signer.key, tmp_path)


@needs_softhsm
@needs_library
@pytest.mark.parametrize(("label", "id_", "certificates", "pss", "algorithm"), KINDS)
def test_a_key_signs_by_id_in_this_process_as_well(here, label, id_, certificates, pss, algorithm):
    assert at(f"token=release;id=%{id_}", *certificates, pss=pss).sign(b"head")


@needs_softhsm
@needs_library
@pytest.mark.parametrize(("label", "id_", "certificates", "pss", "algorithm"), KINDS)
def test_the_script_for_a_token_signs(token, bundle, tmp_path, monkeypatch, label, id_, certificates, pss, algorithm):
    monkeypatch.setenv("PIN", PIN)
    command = SignerCommand(f'"{SCRIPT}" "{SOFTHSM}" release {id_}')
    public = None
    if not certificates:
        key = at(f"token=release;object={label}").key
        public = tmp_path / "public.pem"
        public.write_bytes(key.public.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    files = [KEYS / one for one in certificates]
    signer = external_signer(files, public, command.sign, name=command.name, pss=pss)
    assert sign(bundle, signer, at=NOW).algorithm == algorithm
    assert accepted(bundle, certificates, signer.key, tmp_path)


@needs_softhsm
@needs_library
def test_two_keys_of_one_token_sign_together(here, bundle, tmp_path, capfd):
    words = ["--cert", str(KEYS / "rsa-signer.pem"), "--cert", str(KEYS / "p384-signer.pem")]
    for label in ("rsa-signer", "p384-signer"):
        words += ["--key", f"pkcs11:token=release;object={label}"]
    assert run(["sign", str(bundle), *words]) == 0
    found = pipeline.check(bundle, trust=load_trust([KEYS / "trust" / "root.pem"]), at=NOW)
    assert (found.verdict, len(found.signatures)) == ("accept", 2)
    assert all(verifies(bundle, KEYS / "trust" / "root.pem", tmp_path, NOW, index) for index in (0, 1))


# --- the PIN ---


@needs_softhsm
@needs_library
def test_a_pin_comes_from_a_file_the_environment_or_the_user(here, bundle, tmp_path, monkeypatch):
    asked = []

    def ask(name):
        asked.append(name)
        return PIN

    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    monkeypatch.setenv("BUNDLEKIT_PIN", "wrong1")
    head = b"head"
    at(f"token=release;object=ed25519?pin-source=file:{file}", ask_pin=ask).sign(head)
    monkeypatch.delenv("BUNDLEKIT_PIN")
    with pytest.raises(SigningError, match="needs a PIN"):
        at("token=release;object=ed25519").sign(head)
    assert asked == []
    one = at("token=release;object=ed25519", ask_pin=ask)
    assert one.sign(head) == one.sign(head)
    assert asked == ["pkcs11:token=release;object=ed25519"]  # once


@needs_softhsm
@needs_library
def test_no_process_has_the_pin_in_its_arguments_and_no_message_repeats_it(token, bundle, monkeypatch, capfd):
    seen = []

    def watched(words, *rest, **more):
        seen.append(words)
        return run_limited(words, *rest, **more)

    monkeypatch.setattr("bundlekit.authoring.pkcs11_key.run_limited", watched)
    at("token=release;object=ed25519").sign(b"head")
    assert seen
    assert PIN not in str(seen)
    monkeypatch.setenv("BUNDLEKIT_PIN", "99999999")
    assert run(["sign", str(bundle), "--key", "pkcs11:token=release;object=ed25519"]) == 3
    assert "the PIN is wrong" in (text := capfd.readouterr().err)
    assert "token=release" in text
    assert "99999999" not in text


# --- what fails ---


@needs_softhsm
@needs_library
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("token=release;object=nobody", "the token has no such private key"),
        ("token=nobody;object=signer", "no such token (found: "),
        ("token=release;serial=1;object=signer", "no such token"),
        ("token=release;slot-id=1;object=signer", "no such token"),
        ("token=other;object=twice", "2 private keys fit: add id= or object= to the address"),
        ("object=signer", "tokens fit: add token=, serial= or slot-id= to the address"),
        ("token=release;object=signer", "the token does not show the public key"),
        ("token=release;object=signer?module-path=/bin/sh", "the module reports PKCS11Error"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(here, bundle, address, message):
    with pytest.raises(SigningError) as caught:
        sign(bundle, at(address), at=NOW)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert bundle.read_bytes() == by_hand.bundle(capacity=65536)


@needs_softhsm
@needs_library
def test_a_certificate_of_another_key_is_refused(here, bundle):
    with pytest.raises(SigningError, match="none of the given keys belongs to this certificate"):
        at("token=release;object=ed25519", "rsa-signer.pem")
    with pytest.raises(SigningError, match="not valid under the public key"):  # the token does not show this one
        sign(bundle, at("token=release;object=signer", "second-signer.pem"), at=NOW)
    assert bundle.read_bytes() == by_hand.bundle(capacity=65536)


SPOILED = {
    "crashes": ("import os; os.kill(os.getpid(), 11)", r"the PKCS #11 module .* crashed \(the signal SIGSEGV\)"),
    "exits": ("raise SystemExit(1)", r"crashed \(exit code 1\)"),
    "is mute": ("", r"crashed \(no answer\)"),
    "prints": ("print('hello from the vendor')", r"crashed \(no answer\)"),
    "answers a list": ("print([])", "no answer"),
    "floods": ("print('x' * 10**6)", "crashed"),
    "hangs": ("import time; time.sleep(60)", "did not answer within 1 seconds"),
    "refuses": ('print(\'{"error": "the PIN is locked"}\')', "nothing was stored: the PIN is locked"),
}


@needs_library
@pytest.mark.parametrize("how", SPOILED)
def test_a_module_that_crashes_or_hangs_is_one_sentence(tmp_path, monkeypatch, how):
    program, message = SPOILED[how]
    worker = tmp_path / "worker.py"
    worker.write_text(program)
    monkeypatch.setattr(pkcs11_key, "WORKER", worker)
    address = read_token_address(f"pkcs11:object=o?module-path={worker}")
    with pytest.raises(SigningError, match=message) as caught:
        pkcs11_key.load_token_key(address, lambda _: PIN, timeout=1 if how == "hangs" else 20)
    assert "\n" not in str(caught.value)


CRASHING = "int C_GetFunctionList(void **list) { volatile int *nothing = 0; return *nothing; }\n"


@needs_library
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_module_that_really_crashes_does_not_end_us(tmp_path):
    (tmp_path / "vendor.c").write_text(CRASHING)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "vendor.so", "vendor.c"], cwd=tmp_path, check=True)
    address = read_token_address(f"pkcs11:object=o?module-path={tmp_path}/vendor.so")
    with pytest.raises(SigningError, match="crashed"):
        pkcs11_key.load_token_key(address, lambda _: PIN)


def test_a_missing_library_is_one_sentence_with_the_command(monkeypatch, capfd, bundle):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv(MODULE, __file__)
    assert run(["sign", str(bundle), "--key", "pkcs11:object=o"]) == 3
    error = capfd.readouterr().err
    assert "keys in tokens need the library python-pkcs11, which is not installed" in error
    assert "pip install 'bundlekit[pkcs11]'" in error


def test_neither_the_library_nor_the_module_is_loaded_here():
    code = "import bundlekit.authoring.signers, bundlekit.authoring.pkcs11_key, sys; print('pkcs11' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "False\n"
