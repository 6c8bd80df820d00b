"""A signature in three steps: prepare here, sign where the key is, attach here. Nothing is remembered in between."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bundlekit import wall_clock
from bundlekit.trust import load_private_key
from bundlekit.trust.keys import describe
from fixtures.make_keys import KEYS
from tests.trust.openssl import needs_openssl, verifies

HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def value(key, message, *, pss=False, hash_="sha256"):
    """The bare signature, made without bundlekit."""
    private = load_pem_private_key(Path(key).read_bytes(), None)
    if isinstance(private, rsa.RSAPrivateKey):
        padded = padding.PSS(padding.MGF1(HASHES[hash_]), 32) if pss else padding.PKCS1v15()
        return private.sign(message, padded, HASHES[hash_])
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(message, ec.ECDSA(HASHES[hash_], deterministic_signing=True))
    return private.sign(message)  # type: ignore[call-arg]  # Ed25519


@pytest.fixture
def files(unsigned):
    end = "-----END CERTIFICATE-----\n"
    Path("alone.pem").write_text((KEYS / "rsa-signer.pem").read_text().partition(end)[0] + end)
    return unsigned


KINDS: dict[str, tuple[list[Any], Path]] = {
    "rsa": (["--cert", KEYS / "rsa-signer.pem"], KEYS / "rsa-signer.key"),
    "pss": (["--cert", KEYS / "rsa-signer.pem", "--pss"], KEYS / "rsa-signer.key"),
    "p384": (["--cert", KEYS / "p384-signer.pem"], KEYS / "p384-signer.key"),
    "ed25519": (["--public-key", KEYS / "trust" / "pinned.pub.pem"], KEYS / "pinned.key"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["update.bin", "release.bk", "adv.bin"])
def test_the_signature_is_the_one_that_the_key_itself_would_have_made(cli, files, name, kind):
    words, key = KINDS[kind]
    shutil.copy(name, f"direct-{name}")
    prepared = cli(*files[name], name, "--prepare", "message", *words)
    assert prepared.code == 0, prepared.err
    message = Path("message").read_bytes()
    hash_ = "sha384" if kind == "p384" else "sha256"
    assert hashlib.new(hash_, message).hexdigest() in prepared.out
    Path("value").write_bytes(value(key, message, pss=kind == "pss", hash_=hash_))
    attached = cli(*files[name], name, "--attach", "value", *words)
    assert attached.code == 0, attached.err
    assert "signed by " in attached.out
    own = [word for word in words if word not in {"--public-key", KEYS / "trust" / "pinned.pub.pem"}]
    assert cli(*files[name], f"direct-{name}", "--key", key, *own).code == 0
    same = Path(name).read_bytes() == Path(f"direct-{name}").read_bytes()
    assert same is (kind != "pss")  # whose salt is random
    shutil.copy("value", "again")
    assert cli(*files[name], name, "--attach", "again", *words).code == 3  # a key counts once


def test_the_next_step_is_printed_with_all_that_it_needs(cli, files):
    words, _ = KINDS["pss"]
    result = cli("sign", "update.bin", "--prepare", "message", *words)
    assert "openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign KEY" in result.out
    assert f"`bundlekit sign update.bin --attach message.sig --cert {KEYS}/rsa-signer.pem --pss`" in result.out
    other = cli("advisory", "sign", "adv.bin", "--prepare", "m 2", *KINDS["ed25519"][0])
    assert "openssl pkeyutl -sign -rawin -inkey KEY -in 'm 2' -out 'm 2.sig'" in other.out
    assert "`bundlekit advisory sign adv.bin --attach 'm 2.sig' --public-key" in other.out


def test_the_message_alone_is_on_standard_output(cli, files):
    words, _ = KINDS["rsa"]
    cli("sign", "update.bin", "--prepare", "message", *words)
    command = [sys.executable, "-m", "bundlekit", "sign", "update.bin", "--prepare", "-", *words]
    found = subprocess.run(command, capture_output=True, check=True)
    assert found.stdout == Path("message").read_bytes()
    assert b"wrote standard output" in found.stderr


@pytest.mark.parametrize("name", ["update.bin", "adv.bin"])
def test_what_was_prepared_otherwise_is_not_attached(cli, files, name):
    words, key = KINDS["rsa"]
    cli(*files[name], name, "--prepare", "message", *words)
    good = value(key, Path("message").read_bytes())
    before = Path(name).read_bytes()
    for blob, options, fault in (
        (good, [*words, "--pss"], "it was made by rsa-pkcs1v15-sha256 instead of rsa-pss-sha256"),
        (good, KINDS["p384"][0], "or not by ecdsa-sha384"),
        (good, ["--cert", "alone.pem"], "of other bytes"),  # one certificate less than was prepared
        (good[:-1], words, "the signature has 383 bytes, and one by this key (rsa-3072) has 384"),
        (b"-----BEGIN X-----", words, "the signature is PEM"),
        (b"-----BEGIN CMS-----", words, "PEM file, but DER is required"),
        (b"", words, "empty file, but a signature is required"),
        (good, [], "not a CMS SignedData"),
    ):
        Path("value").write_bytes(blob)
        result = cli(*files[name], name, "--attach", "value", *options)
        assert (result.code, fault in result.err) == (3, True), result.err
    assert Path(name).read_bytes() == before
    other = cli(*files[name], name, "--attach", "value")
    assert "For a bare signature value, give --cert as for --prepare." in other.err


def test_nothing_is_prepared_that_could_not_be_attached(cli, files):
    words, key = KINDS["rsa"]
    assert cli("sign", "update.bin", "--key", key, *words).code == 0
    Path("big").write_bytes(Path("update.bin").read_bytes() + b"x")
    for args, code, fault in (
        (["update.bin", *words], 3, "this key has already signed the bundle"),
        (["update.bin", *words, "--replace", "1"], 3, "there is no signature 1; the bundle has 1"),
        (["update.bin", "--cert", KEYS / "web-server.pem"], 3, "is not for code-signing"),
        (["update.bin", "--cert", KEYS / "intermediate.pem"], 3, "is that of a CA"),
        (["big", *words], 3, "not signed, because the bundle is incomplete"),
        (["update.bin"], 2, "--prepare needs the certificate of the key (--cert), or its --public-key"),
        (["update.bin", "--key", key, *words], 2, "exactly one of --key, --signer, --prepare"),
    ):
        result = cli("sign", "--prepare", "message", *args)
        assert (result.code, fault in result.err) == (code, True), result.err
        assert not Path("message").exists()
    assert cli("sign", "update.bin", "--prepare", "message", *words, "--replace", "0").code == 0
    assert "--prepare update.bin is also an input" in cli("sign", "update.bin", "--prepare", "update.bin", *words).err


@pytest.mark.parametrize("name", ["update.bin", "adv.bin"])
def test_what_is_only_looked_at_is_not_opened_to_be_written(cli, files, monkeypatch, name):
    """A release can lie on a medium that nobody writes."""
    opened, flags = os.open, []

    def watched(path, flag, *rest, **more):
        if str(path).endswith(name):
            flags.append(flag & (os.O_WRONLY | os.O_RDWR))
        return opened(path, flag, *rest, **more)

    before = os.stat(name)
    monkeypatch.setattr(os, "open", watched)
    assert cli(*files[name], name, "--prepare", "message", *KINDS["rsa"][0]).code == 0
    assert cli(*files[name], name, "--status").code == 0
    assert set(flags) == {0}
    assert os.stat(name).st_ino == before.st_ino


def test_what_would_not_count_is_not_prepared(cli, files):
    """People come together for a ceremony, and it should not be in vain."""
    trust = ("--trust", KEYS / "trust" / "root.pem")
    for words, fault in (
        (["--cert", KEYS / "stranger.pem"], "the signature would not count: The signer"),
        (["--cert", KEYS / "expired.pem"], "the signature would not count: The signer's certificate"),
        (KINDS["ed25519"][0], "the signature would not count: The signer, key"),
    ):
        result = cli("sign", "update.bin", "--prepare", "message", *words, *trust)
        assert (result.code, fault in result.err) == (3, True), result.err
        assert not Path("message").exists()
    assert cli("sign", "update.bin", "--prepare", "message", *KINDS["rsa"][0], *trust).code == 0
    old = cli("sign", "update.bin", "--prepare", "message", "--cert", KEYS / "expired.pem")
    assert (old.code, "warning: the certificate" in old.err) == (0, True)


def test_a_prepared_message_outlives_other_signatures(cli, files):
    """Two people prepare at the same time, and attach one after the other."""
    for number, kind in enumerate(("rsa", "p384")):
        assert cli("sign", "update.bin", "--prepare", f"message{number}", *KINDS[kind][0]).code == 0
    for number, kind in enumerate(("rsa", "p384")):
        hash_ = "sha384" if kind == "p384" else "sha256"
        Path("value").write_bytes(value(KINDS[kind][1], Path(f"message{number}").read_bytes(), hash_=hash_))
        assert cli("sign", "update.bin", "--attach", "value", *KINDS[kind][0]).code == 0


# --- the judges: `check`, and openssl where it can ---


@needs_openssl
@pytest.mark.parametrize("kind", ["rsa", "pss", "p384"])
@pytest.mark.parametrize("name", ["update.bin", "release.bk"])
def test_check_and_openssl_accept_what_was_attached(cli, files, tmp_path, name, kind):
    words, key = KINDS[kind]
    cli("sign", name, "--prepare", "message", *words)
    hash_ = "sha384" if kind == "p384" else "sha256"
    padding_ = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if kind == "pss" else []
    command = ["openssl", "dgst", f"-{hash_}", *padding_, "-sign", str(key), "-out", "value", "message"]
    subprocess.run(command, check=True)
    assert cli("sign", name, "--attach", "value", *words).code == 0
    root = KEYS / "trust" / "root.pem"
    assert cli("check", name, "--trust", root).code == 0
    assert verifies(Path(name), root, tmp_path, wall_clock.now())


@pytest.mark.parametrize("algorithm", ["ed25519", "ml-dsa-65"])
def test_keys_that_hash_by_themselves_sign_by_command_and_by_ceremony(cli, files, algorithm):
    cli("keygen", "pq", "--algorithm", algorithm)
    public = describe(load_private_key(Path("pq/signer.key")).public_key()).public
    Path("pub.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    words = ["--public-key", "pub.pem"]
    assert cli("sign", "update.bin", "--prepare", "message", *words).code == 0
    Path("value").write_bytes(value("pq/signer.key", Path("message").read_bytes()))
    assert cli("sign", "update.bin", "--attach", "value", *words).code == 0
    assert cli("check", "update.bin", "--trust", "pub.pem").code == 0
    assert cli("sign", "update.bin", "--remove", "0").code == 0
    Path("sign.py").write_text(
        "import sys\n"
        "from cryptography.hazmat.primitives.serialization import load_pem_private_key\n"
        "key = load_pem_private_key(open('pq/signer.key', 'rb').read(), None)\n"
        "sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))\n"
    )
    assert cli("sign", "update.bin", *words, "--signer", f'"{sys.executable}" sign.py').code == 0
    assert cli("check", "update.bin", "--trust", "pub.pem").code == 0
