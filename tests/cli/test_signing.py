"""Signing from the command line: what is written is accepted, what is given in the wrong place is not repeated."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bundlekit import load_trust, pipeline, wall_clock
from bundlekit.cli import command
from bundlekit.cli.signing import EXAMPLE_RSA
from bundlekit.layout import advisory as layout
from bundlekit.layout import reader
from bundlekit.source import BytesSource
from bundlekit.trust import keygen
from bundlekit.trust.keys import ML_DSA_CHAINS
from fixtures.make_fleet import make_fleet
from tests.cli.conftest import ADVISORY
from tests.cli.test_overwriting import commands

ROOT = Path(__file__).parents[2]
BUNDLEKIT = [sys.executable, "-m", "bundlekit"]
SIGN = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
TRUST = ("--trust", "keys/root.pem")
AT = ("--at", "2026-12-05")
MATRIX = 'releases = ["5.30.02", "5.32.00"]\n[[from]]\nid = "rolling"\nversions = "<5.40.00"\n'


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


@pytest.fixture
def pss(shop):
    openssl("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "pss.key")
    openssl("pkey", "-in", "pss.key", "-pubout", "-out", "pss.pub")
    openssl("pkcs8", "-topk8", "-in", "pss.key", "-passout", "pass:secret", "-out", "locked.key")
    # The same numbers, no longer for PSS alone.
    key = load_pem_private_key(Path("pss.key").read_bytes(), None)
    Path("plain.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return shop


def unsigned(cli, ship):
    bundle = ship("5.40.00", MATRIX)
    assert cli("sign", bundle, "--remove", "0").code == 0
    return bundle


@pytest.mark.parametrize("key", ["pss.key", "locked.key"])
def test_a_key_for_pss_alone_signs_with_pss(cli, ship, pss, monkeypatch, key):
    monkeypatch.setenv("BUNDLEKIT_PASSPHRASE", "secret")
    bundle = unsigned(cli, ship)
    result = cli("sign", bundle, "--key", key)
    assert result.code == 0, result.err
    assert "warning: rsa-2048: a trust.toml with the floor of `bundlekit trust --example`" in result.err
    assert f"rsa = {EXAMPLE_RSA}" in cli("trust", "--example").out
    assert "(rsa-2048-pss-sha256)" in cli("check", bundle, "--trust", "pss.pub", *AT).out
    assert cli("check", bundle, "--trust", "pss.pub", *AT).code == 0


@pytest.mark.parametrize("verb", [("build", "desk/SPEC.toml"), ("advisory", "build", "ADVISORY.toml")], ids=" ".join)
def test_whatever_is_built_with_a_small_key_is_warned_of(cli, desk, pss, verb):
    Path("ADVISORY.toml").write_text(ADVISORY)
    result = cli(*verb, "-o", "made.bin", "--key", "plain.key")
    assert result.code == 0, result.err
    assert "warning: rsa-2048: a trust.toml with the floor of `bundlekit trust --example`" in result.err


def test_a_pinned_key_for_pss_alone_is_held_to_it(cli, ship, pss):
    bundle = unsigned(cli, ship)
    assert cli("sign", bundle, "--key", "plain.key").code == 0
    result = cli("check", bundle, "--trust", "pss.pub", *AT)
    assert result.code == 1
    assert "The signer's key is for RSA-PSS only, and the signature is one of PKCS#1 v1.5" in result.out
    openssl("rsa", "-in", "plain.key", "-pubout", "-out", "plain.pub")
    assert cli("check", bundle, "--trust", "plain.pub", *AT).code == 0
    assert cli("check", bundle, "--trust", "plain.pub", "--trust", "pss.pub", *AT).code == 1  # the narrower counts


def test_a_key_that_cannot_be_looked_into_does_not_guess(cli, ship, pss, monkeypatch):
    monkeypatch.setenv("BUNDLEKIT_PASSPHRASE", "secret")
    openssl("pkcs8", "-topk8", "-scrypt", "-in", "pss.key", "-passout", "pass:secret", "-out", "scrypt.key")
    result = cli("sign", unsigned(cli, ship), "--key", "scrypt.key")
    assert result.code == 3
    assert "Whether this RSA key is for PSS alone cannot be read" in result.err


@pytest.mark.parametrize(
    "order", [("root", "signer"), ("signer", "root"), ("signer", "signer"), ("root", "signer", "root")]
)
def test_the_certificate_of_a_key_is_found_wherever_it_stands(cli, ship, order):
    bundle = unsigned(cli, ship)
    Path("chain.pem").write_bytes(b"".join(Path(f"keys/{name}.pem").read_bytes() for name in order))
    result = cli("sign", bundle, "--cert", "chain.pem", "--key", "keys/signer.key")
    assert result.code == 0, result.err
    assert cli("check", bundle, *TRUST, *AT).code == 0


@pytest.mark.parametrize("verb", ["build", "advisory build"])
def test_one_key_given_twice_is_refused_where_it_is_given(cli, desk, verb):
    Path("ADVISORY.toml").write_text(ADVISORY)
    source = "SPEC.toml" if verb == "build" else "ADVISORY.toml"
    shutil.copy("keys/signer.key", "copy.key")
    result = cli(*verb.split(), source, "-o", "x.bin", *SIGN, "--key", "copy.key")
    assert result.code == 3
    assert "copy.key: is the same key as keys/signer.key, and a key counts once" in result.err
    assert not Path("x.bin").exists()


def old_keys(name, at):
    with pytest.MonkeyPatch.context() as here:  # so that they can end before today
        here.setattr("bundlekit.trust.test_pki.LIFETIME", dt.timedelta(days=825))
        keygen(Path(name), "ecdsa-p384", now=at, name=name)
    return "--cert", f"{name}/signer.pem", "--key", f"{name}/signer.key"


@pytest.mark.parametrize(("made", "fact"), [("2001-01-01", "is not in that time either"), ("2090-01-01", "from 2090-")])
def test_a_certificate_that_is_not_valid_today_is_one_warning_with_the_facts(cli, ship, made, fact):
    sign = old_keys("other", dt.datetime.fromisoformat(made).replace(tzinfo=dt.UTC))
    bundle = unsigned(cli, ship)
    built = cli("build", "5.40.00.toml", "-o", "built.bin", *sign)
    signed = cli("sign", bundle, *sign)
    for result in (built, signed):
        assert result.code == 0, result.err
        (warning,) = [line for line in result.err.splitlines() if line.startswith("warning: ")]
        assert "the certificate 'CN=other" in warning
        assert fact in warning
    Path("ADVISORY.toml").write_text(ADVISORY)
    advisory = cli("advisory", "build", "ADVISORY.toml", "-o", "adv.bin", *sign)
    assert advisory.code == 0
    assert advisory.err.count("warning: ") == 1


def test_what_only_the_release_date_covers_is_told_and_then_accepted(cli, ship):
    released = dt.datetime(2020, 5, 1, tzinfo=dt.UTC)
    sign = old_keys("old", released - dt.timedelta(days=1))
    bundle = ship("5.40.00", MATRIX, released="2020-05-01")
    cli("sign", bundle, "--remove", "0")
    result = cli("sign", bundle, *sign)
    assert result.code == 0
    assert 'only with `time = "released"`: the release date 2020-05-01 is in that time' in result.err
    trust = Path("trust.toml")
    text = 'trust = 1\nallow-test-keys = true\n{}[signers.old]\nrole = "production"\nanchor = "old/root.pem"\n'
    for time, code in (('time = "released"\n', 0), ("", 1)):
        trust.write_text(text.format(time))
        assert cli("check", bundle, "--trust", trust).code == code


def test_two_keys_in_one_call_sign_both_or_neither(cli, ship):
    bundle = unsigned(cli, ship)
    before = Path(bundle).read_bytes()
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "weak.key")
    result = cli("sign", bundle, *SIGN, "--key", "weak.key")
    assert result.code == 3
    assert "signed by" not in result.out
    assert Path(bundle).read_bytes() == before


BY_COMMAND = ("--cert", "keys/signer.pem", "--signer", f"{ROOT}/fixtures/signers/openssl.sh keys/signer.key")


@pytest.mark.parametrize(
    "words",
    [
        ("sign", "update.bin"),
        ("build", "SPEC.toml", "-o", "update.bin"),
        ("advisory", "build", "ADVISORY.toml", "-o", "new"),
        ("advisory", "sign", "adv.bin"),
    ],
    ids=" ".join,
)
def test_a_command_signs_for_every_verb_that_does(cli, desk, words):
    Path("ADVISORY.toml").write_text(ADVISORY)
    cli("advisory", "build", "ADVISORY.toml", "-o", "adv.bin", "--unsigned")
    cli("sign", "update.bin", "--remove", "0")
    assert cli(*words, *BY_COMMAND).code == 0
    if "advisory" in words:
        assert cli("advisory", "show", words[-1], *TRUST, *AT).code == 0
    else:
        assert cli("check", "update.bin", *TRUST, *AT).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--signer", "true"), "--signer needs the certificate of the key (--cert), or its --public-key"),
        (("--signer", "true", *SIGN), "--signer cannot be combined with --key"),
        ((*SIGN, "--public-key", "keys/signer.pem"), "--public-key cannot be combined with --key, which contains it"),
        ((*BY_COMMAND, "--signer-timeout", "5"), "'5' is not a number, a space and one of s, min"),
        ((*BY_COMMAND, "--signer-timeout", "0 s"), "'0 s' is no time at all"),
        (
            (*BY_COMMAND, "--remove", "0"),
            "exactly one of --key, --signer, --prepare, --attach, --remove and --status is required",
        ),
    ],
)
def test_options_of_a_signer_that_do_not_fit_together(cli, desk, words, message):
    result = cli("sign", "update.bin", *words)
    assert result.code == 2
    assert message in result.err


# --- advisories are signed as bundles are ---


@pytest.fixture
def advisories(cli, shop):
    Path("ADVISORY.toml").write_text(ADVISORY)
    assert cli("advisory", "build", "ADVISORY.toml", "-o", "adv.bin", "--unsigned").code == 0
    return Path("adv.bin")


@pytest.mark.parametrize(
    ("name", "what", "step"),
    [
        ("adv.bin", "an advisories file of bundlekit; it is not a bundle", "bundlekit advisory sign adv.bin"),
        ("head", "only the head of a bundle, which signatures cover; it is not a bundle", "attach the signature"),
        ("ADVISORY.toml", "an ADVISORY.toml; it is not a bundle", "bundlekit advisory build"),
        ("x.zip", "a ZIP archive; bundlekit signs only update.bin files", "Unpack it."),
    ],
)
def test_sign_names_the_kind_of_a_file_that_is_no_bundle(cli, advisories, ship, name, what, step):
    cli("extract", ship("5.40.00", MATRIX), "--head", "-o", "head")
    Path("x.zip").write_bytes(b"PK\3\4" + bytes(200))
    before = Path(name).read_bytes()
    result = cli("sign", name, *SIGN)
    assert (result.code, Path(name).read_bytes() == before) == (3, True)
    message, _, advised = result.err.partition("\nnext: ")
    assert message == f"bundlekit: {name}: nothing was signed: this is {what}"
    assert step in advised


@pytest.mark.parametrize(
    ("name", "what", "step"),
    [
        ("5.40.00.bin", "an update.bin", "`bundlekit sign` signs an update.bin"),
        ("ADVISORY.toml", "an ADVISORY.toml", "bundlekit advisory build"),
        ("x.zip", "a ZIP archive", "bundlekit advisory build"),
    ],
)
@pytest.mark.parametrize("verb", [("sign", *SIGN), ("show",)])
def test_advisory_names_the_kind_of_a_file_that_is_no_advisories_file(cli, advisories, ship, verb, name, what, step):
    ship("5.40.00", MATRIX)
    Path("x.zip").write_bytes(b"PK\3\4" + bytes(200))
    result = cli("advisory", verb[0], name, *verb[1:])
    assert result.code == 3
    message, _, advised = result.err.partition("\nnext: ")
    assert message == f"bundlekit: {name}: not an advisories file: this is {what}."
    assert step in advised


def test_advisories_are_signed_elsewhere_and_a_second_time(cli, advisories, ship):
    assert cli("extract", advisories, "--head", "-o", "head").code == 0
    pair = ["-signer", "keys/signer.pem", "-inkey", "keys/signer.key"]
    openssl("cms", "-sign", "-binary", "-cades", "-in", "head", *pair, "-outform", "DER", "-out", "sig.der")
    result = cli("advisory", "attach", advisories, "sig.der")
    assert result.code == 0, result.err
    assert "signed by CN=" in result.out
    assert cli("advisory", "show", advisories, *TRUST, *AT).code == 0
    cli("keygen", "more")
    result = cli("advisory", "sign", advisories, "--cert", "more/signer.pem", "--key", "more/signer.key")
    assert result.code == 0, result.err
    assert len(layout.read(advisories.read_bytes()).signatures) == 2
    both = (*TRUST, "--trust", "more/root.pem")
    shown = cli("advisory", "show", advisories, *both, *AT)
    assert shown.code == 0
    assert shown.out.splitlines()[0] == "file adv.bin: advisories for imager, serial 4"
    assert "  block      ADV-17: versions 5.30.02, into 5.40.00\n" in shown.out
    assert cli("extract", advisories, "--signature", "0", "-o", "again.der").code == 0
    assert Path("again.der").read_bytes() == Path("sig.der").read_bytes()
    bundle = ship("5.40.00", MATRIX)
    result = cli("check", bundle, *both, *AT, "--from", "5.30.02", "--advisories", advisories)
    assert (result.code, "ADV-17" in result.out) == (1, True)
    assert cli("advisory", "sign", advisories, "--remove", "1").code == 0
    assert cli("advisory", "show", advisories, *TRUST, *AT).code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("advisory", "sign", "adv.bin", *SIGN), "has already signed this file (signature 0, "),
        (("advisory", "attach", "adv.bin", "keys/root.pem"), "PEM file, but DER is required"),
        (("advisory", "attach", "adv.bin", "image"), "not a CMS SignedData"),
        (("advisory", "sign", "adv.bin", "--remove", "3"), "there is no signature 3; the file has 1"),
        (("advisory", "sign", "image", *SIGN), "not an advisories file"),
        (("advisory", "show", "image"), "not an advisories file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_fit_changes_no_advisories(cli, advisories, args, message):
    cli("advisory", "sign", advisories, *SIGN)
    before = advisories.read_bytes()
    result = cli(*args)
    assert result.code == 3
    assert message in result.err
    assert advisories.read_bytes() == before


def test_advisories_are_shown_unverified_and_refused_by_a_stranger(cli, advisories):
    assert "NOT VERIFIED" in cli("advisory", "show", advisories).out
    assert "signature  none" in cli("advisory", "show", advisories).out
    assert cli("advisory", "show", advisories, *TRUST, *AT).code == 3  # nobody signed it
    cli("advisory", "sign", advisories, *SIGN)
    value = json.loads(cli("advisory", "show", advisories, *TRUST, *AT, "--format", "json").out)
    assert value["verified"] is True
    assert value["advisory"]["serial"] == 4
    cli("keygen", "others")
    assert cli("advisory", "show", advisories, "--trust", "others/root.pem", *AT).code == 3


def test_lint_and_the_table_of_a_matrix_take_advisories(cli, advisories, ship):
    cli("advisory", "sign", advisories, *SIGN)
    bundle = ship("5.40.00", MATRIX)
    plain = cli("matrix", "show", bundle, *TRUST, "--format", "csv").out
    advised = cli("matrix", "show", bundle, *TRUST, "--format", "csv", "--advisories", advisories).out
    assert plain != advised
    assert "ADV-17" in advised
    assert cli("matrix", "lint", bundle, *TRUST, *AT, "--advisories", advisories).code in {0, 1}
    assert cli("matrix", "lint", bundle, *AT, "--advisories", advisories).code == 3  # who signed them is not known


# --- our own kinds of files, given to check ---


@pytest.mark.parametrize(
    ("make", "kind", "step"),
    [
        (lambda cli: "adv.bin", "advisories", "bundlekit advisory show"),
        (lambda cli: cli("extract", "5.40.00.bin", "--head", "-o", "f").code or "f", "head", "bundlekit inspect"),
        (lambda cli: "5.40.00.toml", "spec", "bundlekit build"),
        (lambda cli: "5.40.00.matrix.toml", "matrix", "bundlekit matrix lint"),
        (lambda cli: "ADVISORY.toml", "advisory", "bundlekit advisory build"),
        (lambda cli: cli("catalog", "add", "cat", "5.40.00.bin").code or "cat/catalog.json", "catalog", "--catalog"),
        (
            lambda cli: cli("catalog", "add", "cat", "5.40.00.bin").code or next(Path("cat").glob("*.head")),
            "catalog-head",
            "bundlekit preflight",
        ),
        (
            lambda cli: Path("f").write_text(cli("check", "5.40.00.bin", "--format", "json").out) and "f",
            "report",
            "Give the bundle here.",
        ),
        (lambda cli: Path("t.toml").write_text("# mine\ntrust = 1\n") and "t.toml", "trust", "--trust"),
    ],
    ids=["advisories", "head", "spec", "matrix", "advisory", "catalog", "catalog-head", "report", "trust"],
)
def test_check_recognises_files_of_ours(cli, advisories, ship, make, kind, step):
    ship("5.40.00", MATRIX)
    result = cli("check", make(cli), *TRUST, *AT, "--format", "json")
    assert result.code == 1
    finding = json.loads(result.out)["findings"][0]
    assert finding["cause"] == "unsupported-format"
    assert finding["params"]["format"] == f"bundlekit-{kind}"
    assert step in finding["next"]


def test_a_head_alone_shows_what_an_offline_signer_signs(cli, ship):
    bundle = ship("5.40.00", MATRIX)
    cli("extract", bundle, "--head", "-o", "head")
    whole, head = cli("inspect", bundle), cli("inspect", "head")
    assert head.code == 0
    identity = reader.read(BytesSource(Path(bundle).read_bytes())).id
    assert f"id          {identity}\n" in head.out
    assert f"id          {identity}\n" in whole.out
    assert "claims      imager 5.40.00" in head.out
    assert "this is only the head of a bundle, which signatures cover" in head.out


# --- standard output, and secrets ---


WRITING = [words for words, one in commands(command) if any("-o" in parameter.opts for parameter in one.params)]


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_no_verb_writes_a_file_named_by_a_hyphen(desk, state_words, words):
    result = subprocess.run([*BUNDLEKIT, *words, *state_words[words], "-o", "-"], capture_output=True, check=False)
    assert not Path("-").exists()
    assert result.returncode in {0, 1, 3}, result.stderr
    assert result.stdout or words == ("update", "state")


@pytest.fixture
def state_words(desk):
    Path("ADVISORY.toml").write_text(ADVISORY)
    Path("graph.json").write_text('{"nodes": [{"version": "1.0.0", "payload": "a"}], "edges": []}')
    Path("fleet").mkdir()
    make_fleet(Path("fleet"))
    return {
        ("advisory", "build"): ("ADVISORY.toml", *SIGN),
        ("build",): ("SPEC.toml", "-q"),
        ("check",): ("update.bin",),
        ("compare",): ("update.bin", "update.bin"),
        ("extract",): ("update.bin", "--head"),
        ("fleet", "plan"): ("fleet/FLEET.toml",),
        ("fleet", "rehearse"): ("fleet/FLEET.toml",),
        ("matrix", "import"): ("graph.json",),
        ("matrix", "export"): ("update.bin",),
        ("path",): ("update.bin", "--from", "5.30.02", "--to", "5.40.00"),
        ("preflight",): ("update.bin",),
        ("update", "state"): ("--pair", "p", "--product", "imager", "--model", "im-100", "--plan", "missing.toml"),
    }


def test_the_bytes_on_standard_output_are_those_of_the_file(desk):
    for args in (
        ["extract", "update.bin", "storage"],
        ["extract", "update.bin", "--head"],
        ["build", "SPEC.toml", *SIGN],
    ):
        subprocess.run([*BUNDLEKIT, *args, "-o", "file"], check=True, capture_output=True)
        piped = subprocess.run([*BUNDLEKIT, *args, "-o", "-"], check=True, capture_output=True)
        assert piped.stdout == Path("file").read_bytes()
    assert b"standard output: " in piped.stderr


def test_bytes_do_not_go_to_a_terminal(desk):
    master, terminal = os.openpty()
    with open(master, "rb", buffering=0), open(terminal, "wb", buffering=0) as out:
        args = [*BUNDLEKIT, "extract", "update.bin", "--head", "-o", "-"]
        result = subprocess.run(args, stdout=out, stderr=subprocess.PIPE, check=False)
    assert result.returncode == 2
    assert b"is a terminal" in result.stderr


@pytest.mark.parametrize(
    "key",
    [
        "pkcs11:token=hsm;object=release?pin-value=hunter2-pin",
        "PKCS11:token=hsm?module-path=/x&pin-value=hunter2-pin&x=y",
        "https://anna:hunter2-pin@vault.example/key",
        "keys/pin-value=hunter2-pin",
        "-----BEGIN PRIVATE KEY-----\nhunter2-pin\n-----END PRIVATE KEY-----",
        "hunter2-pin",
    ],
)
@pytest.mark.parametrize("verb", [("sign", "update.bin"), ("build", "SPEC.toml", "-o", "x")], ids=["sign", "build"])
def test_no_error_repeats_a_secret(cli, desk, monkeypatch, key, verb):
    monkeypatch.setenv("BUNDLEKIT_PASSPHRASE", "hunter2-pin" if key == "hunter2-pin" else "")
    result = cli(*verb, "--key", key)
    assert result.code in {2, 3}
    assert "hunter2-pin" not in result.err + result.out
    assert "Traceback" not in result.err


@pytest.mark.parametrize("option", ["--attach"])
def test_a_signature_is_read_within_a_bound(cli, desk, option):
    os.mkfifo("fifo")
    with Path("sparse").open("wb") as file:
        file.truncate(2**40)
    for name in ("fifo", "sparse", "/dev/zero", "keys", "missing"):
        result = cli("sign", "update.bin", option, name)
        assert result.code == 3, name
        assert name in result.err


def test_what_is_built_with_keys_of_every_kind_is_accepted(cli, desk):
    """Several signers at once, with and without certificates: what `build` writes, `check` takes."""
    words, trust = [], []
    for number, algorithm in enumerate(("rsa-3072", "ecdsa-p384", "ml-dsa-65", "ed25519")):
        keygen(Path(f"k{number}"), algorithm, now=wall_clock.now() - dt.timedelta(days=1), name=f"k{number}")
        words += ["--key", f"k{number}/signer.key"]
        if Path(f"k{number}/signer.pem").exists():
            words += ["--cert", f"k{number}/signer.pem"]
            trust.append(f"k{number}/root.pem")
        else:
            trust.append(f"k{number}/signer.pub.pem")
    assert cli("build", "SPEC.toml", "-o", "x.bin", *words).code == 0
    # An ML-DSA root signed one of the certificates; older releases of cryptography cannot verify that.
    assert pipeline.check("x.bin", trust=load_trust(trust)).verdict == ("accept" if ML_DSA_CHAINS else "reject")
