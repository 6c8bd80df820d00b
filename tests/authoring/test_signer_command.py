"""A command that signs: what it gets, what it can return, and what happens if it fails. Nothing wrong is stored."""

import datetime as dt
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bundlekit import load_trust, pipeline
from bundlekit.authoring.sign import sign
from bundlekit.authoring.signer_command import SignerCommand
from bundlekit.authoring.signers import external_signer
from bundlekit.errors import SigningError, TrustError
from bundlekit.trust import keygen
from fixtures import by_hand
from tests.trust.openssl import needs_openssl, verifies

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
SIGNERS = Path(__file__).parents[2] / "fixtures" / "signers"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("rsa-3072", "ecdsa-p384", "ed25519"):
        keygen(folder / name, name, now=NOW, name=name)
    keygen(folder / "other", "rsa-3072", now=NOW, name="other")
    return folder


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "update.bin"
    path.write_bytes(by_hand.bundle(capacity=65536))
    return path


def by_command(keys, kind, text, *, pss=False, timeout=20):
    command = SignerCommand(text, timeout=timeout)
    certificate, public = keys / kind / "signer.pem", keys / kind / "signer.pub.pem"
    half = ([certificate], None) if certificate.exists() else ([], public)
    return external_signer(*half, command.sign, name=command.name, pss=pss)


def quoted(*words):
    return " ".join(f'"{word}"' for word in words)


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "pss", "algorithm"),
    [
        ("rsa-3072", False, "rsa-3072-pkcs1v15-sha256"),
        ("rsa-3072", True, "rsa-3072-pss-sha256"),
        ("ecdsa-p384", False, "ecdsa-p384-sha384"),
        ("ed25519", False, "ed25519"),
    ],
)
def test_the_script_for_openssl_signs_with_every_kind_of_key(bundle, keys, tmp_path, kind, pss, algorithm):
    text = quoted(SIGNERS / "openssl.sh", keys / kind / "signer.key")
    assert sign(bundle, by_command(keys, kind, text, pss=pss), at=NOW).algorithm == algorithm
    root = keys / kind / ("signer.pub.pem" if kind == "ed25519" else "root.pem")
    assert pipeline.check(bundle, trust=load_trust([root]), at=NOW).verdict == "accept"
    if kind != "ed25519":  # which openssl 3.0 does not verify in CMS
        assert verifies(bundle, root, tmp_path, NOW)


STAND_IN = """\
#!/bin/sh
# A stand-in for the command of AWS: it signs with a key in a file, and prints Base64.
while [ $# -gt 0 ]; do
    case $1 in
    --message) message=${2#fileb://} ;;
    --signing-algorithm) algorithm=$2 ;;
    esac
    shift
done
[ "$algorithm" = ECDSA_SHA_384 ] || exit 9
openssl dgst -sha384 -sign "$KEY" "$message" | base64
"""


@needs_openssl
def test_the_sketch_for_a_key_service_signs(bundle, keys, tmp_path, monkeypatch):
    (tmp_path / "aws").write_text(STAND_IN)
    (tmp_path / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KEY", str(keys / "ecdsa-p384" / "signer.key"))
    sign(bundle, by_command(keys, "ecdsa-p384", quoted(SIGNERS / "kms.sh", "alias/release")), at=NOW)
    trust = load_trust([keys / "ecdsa-p384" / "root.pem"])
    assert pipeline.check(bundle, trust=trust, at=NOW).verdict == "accept"


def test_r_and_s_are_taken_as_der_is(bundle, keys):
    private = load_pem_private_key((keys / "ecdsa-p384" / "signer.key").read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)

    def both(request):
        numbers = utils.decode_dss_signature(private.sign(request.message, ec.ECDSA(hashes.SHA384())))
        return b"".join(one.to_bytes(48) for one in numbers)

    assert sign(bundle, external_signer([keys / "ecdsa-p384/signer.pem"], None, both, name="token"), at=NOW).intact


def python(program):
    return quoted(sys.executable, "-c", program.replace('"', "'"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("./no-such-command", "cannot be started: No such file"),  # on the PATH of a user can be closed folders
        (python("raise SystemExit(3)"), "the command failed with exit code 3"),
        (python("import os; os.kill(os.getpid(), 9)"), "the command failed with the signal SIGKILL"),
        (python(""), "the signature is empty"),
        (python("print('x')"), "the signature has 2 bytes, and one by this key (rsa-3072) has 384"),
        (python("print('QUJD' * 128)"), "the signature is Base64 text, but the raw bytes are required"),
        (python("print('0af1' * 192)"), "the signature is hexadecimal text"),
        (python("print('-----BEGIN SIGNATURE-----')"), "the signature is PEM"),
        (python("import sys; sys.stdout.buffer.write(bytes(384))"), "not valid under the public key"),
        (python("import sys; sys.stdout.write('x' * 10**6)"), "wrote more than 8192 bytes"),
    ],
    ids=lambda value: "" if " " in value else value,
)
def test_a_command_that_does_not_sign_is_one_sentence_and_nothing_is_stored(bundle, keys, text, message, capfd):
    before = bundle.read_bytes()
    with pytest.raises(SigningError) as caught:
        sign(bundle, by_command(keys, "rsa-3072", text), at=NOW)
    assert message in str(caught.value)
    assert "nothing was stored" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert bundle.read_bytes() == before


@needs_openssl
def test_another_key_is_refused(bundle, keys):
    text = quoted(SIGNERS / "openssl.sh", keys / "other" / "signer.key")
    with pytest.raises(SigningError, match=r"not valid under the public key .*made with another key"):
        sign(bundle, by_command(keys, "rsa-3072", text), at=NOW)
    assert bundle.read_bytes() == by_hand.bundle(capacity=65536)


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(60)",
        "import os, time; os.close(1); time.sleep(60)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])",
    ],
    ids=["silent", "closed its output", "ignores TERM", "leaves a child with the pipe"],
)
def test_a_command_that_does_not_end_is_stopped(bundle, keys, program, monkeypatch):
    monkeypatch.setattr("bundlekit.authoring.signer_command.GRACE", 0.2)
    with pytest.raises(SigningError, match=r"did not finish within 0\.5 seconds"):
        sign(bundle, by_command(keys, "rsa-3072", python(program), timeout=0.5), at=NOW)


def test_no_shell_reads_the_command(keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = SignerCommand("echo $HOME `id` ; touch made # 'a b' > file")
    assert command.words[:5] == ["echo", "$HOME", "`id`", ";", "touch"]
    assert command.words[-3:] == ["a b", ">", "file"]
    with pytest.raises(SigningError):
        external_signer([keys / "rsa-3072/signer.pem"], None, command.sign, name="x").sign(b"head")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SigningError, match="has an open quotation mark"):
        SignerCommand("echo 'x")


def test_the_command_is_told_the_algorithm(bundle, keys, tmp_path):
    seen = tmp_path / "seen"
    program = f"import os; open('{seen}', 'w').write(str([os.environ['BUNDLEKIT_SIGN_' + n] for n in NAMES]))"
    program = program.replace("NAMES", "('ALGORITHM', 'HASH', 'SALT')")
    for kind, pss, facts in (
        ("rsa-3072", False, ["rsa-pkcs1v15-sha256", "sha256", ""]),
        ("rsa-3072", True, ["rsa-pss-sha256", "sha256", "32"]),
        ("ecdsa-p384", False, ["ecdsa-sha384", "sha384", ""]),
        ("ed25519", False, ["ed25519", "", ""]),
    ):
        with pytest.raises(SigningError):
            sign(bundle, by_command(keys, kind, python(program), pss=pss), at=NOW)
        assert seen.read_text() == str(facts)


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "pss", "script", "message"),
    [
        ("rsa-3072", True, "openssl dgst -sha256 -sign KEY", "by rsa-pkcs1v15-sha256 instead of rsa-pss-sha256"),
        (
            "rsa-3072",
            False,
            "openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign KEY",
            "by rsa-pss-sha256 with a salt of 32 bytes instead of rsa-pkcs1v15-sha256",
        ),
        (
            "rsa-3072",
            True,
            "openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sign KEY",
            "with a salt of 350 bytes instead",
        ),
        ("rsa-3072", False, "openssl dgst -sha512 -sign KEY", "by rsa-pkcs1v15-sha512 instead of rsa-pkcs1v15-sha256"),
        ("ecdsa-p384", False, "openssl dgst -sha256 -sign KEY", "by ecdsa-sha256 instead of ecdsa-sha384"),
        (
            "ecdsa-p384",
            False,
            "sh -c 'openssl dgst -sha384 -binary | openssl dgst -sha384 -sign KEY'",
            "the digest was hashed once more",
        ),
    ],
)
def test_the_mistake_of_a_signer_is_named(bundle, keys, kind, pss, script, message):
    text = script.replace("KEY", str(keys / kind / "signer.key"))
    with pytest.raises(SigningError) as caught:
        sign(bundle, by_command(keys, kind, text, pss=pss), at=NOW)
    assert "the signature is by this key, but" in str(caught.value)
    assert message in str(caught.value)


# --- the public half ---


def half(keys, *certificates, public=None):
    return external_signer([keys / one for one in certificates], public and keys / public, lambda _: b"", name="x")


def test_the_certificate_of_the_signer_is_found_among_those_of_cas(keys):
    certificates = half(keys, "rsa-3072/root.pem", "rsa-3072/signer.pem").certificates
    assert [one.is_ca for one in certificates] == [False, True]
    both = half(keys, "rsa-3072/signer.pem", "rsa-3072/root.pem", "rsa-3072/signer.pem")
    assert both.certificates == certificates


@pytest.mark.parametrize(
    ("certificates", "public", "error", "message"),
    [
        ((), None, SigningError, "no certificate of a signer"),
        (("rsa-3072/signer.pem", "other/signer.pem"), None, SigningError, "2 certificates of signers"),
        (("rsa-3072/signer.pem",), "ed25519/signer.pub.pem", SigningError, "none of the given certificates belongs"),
        ((), "rsa-3072/signer.pem", TrustError, "exactly one public key"),
        ((), "rsa-3072/signer.key", TrustError, "holds a private key"),
    ],
)
def test_an_unclear_key_is_refused(keys, certificates, public, error, message):
    with pytest.raises(error, match=message):
        half(keys, *certificates, public=public)


def test_a_ca_does_not_sign(keys):
    with pytest.raises(SigningError, match="is that of a CA"):
        half(keys, "rsa-3072/root.pem").sign(b"head")


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_every_script_refuses_what_it_cannot_sign(capfd):
    request: Any = SimpleNamespace(message=b"message", algorithm="rot13", hash="", salt=None)
    for script in sorted(SIGNERS.glob("*.sh")):
        command = SignerCommand(quoted(script, "a", "b", "c"))
        with pytest.raises(SigningError, match="exit code 1"):
            command.sign(request)
        assert f"{script.name}: cannot sign by rot13" in capfd.readouterr().err
