"""Signing, and the throw-away PKI."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from bundlekit import trust
from bundlekit.errors import SigningError, TrustError
from bundlekit.trust.test_pki import ALGORITHMS
from tests.trust import pki
from tests.trust.pki import HEAD, NOW, judge, key


@pytest.mark.parametrize("algorithm", pki.where_ml_dsa_chains_verify({one: one for one in ALGORITHMS}, "ml-dsa-65"))
def test_keygen_sign_and_verify(tmp_path, algorithm):
    files = trust.keygen(tmp_path / "pki", algorithm, now=NOW, name="Imager")
    pinned = algorithm == "ed25519"
    names = ["signer.pub.pem", "signer.key"] if pinned else ["root.pem", "signer.pem", "signer.key"]
    assert [file.name for file in files] == names
    assert all((file.stat().st_mode & 0o777) == (0o600 if file.suffix == ".key" else 0o644) for file in files)
    certificates = () if pinned else trust.read_certificates(tmp_path / "pki" / "signer.pem")
    blob = trust.sign(HEAD, trust.load_private_key(files[-1]), certificates)
    evidence = judge(blob, trust.load_trust(files[:1]))
    assert evidence.counts, evidence.problems
    assert b"TEST ONLY" in files[0].read_bytes() if pinned else "TEST ONLY" in evidence.signer
    assert evidence.algorithm.startswith(algorithm)
    with pytest.raises(SigningError, match="not overwritten"):
        trust.keygen(tmp_path / "pki", algorithm, now=NOW)
    assert trust.load_private_key(files[-1])


def test_keygen_leaves_nothing_half_done(tmp_path):
    (tmp_path / "signer.key").write_text("mine")
    with pytest.raises(SigningError, match=r"signer\.key"):
        trust.keygen(tmp_path, "ed25519", now=NOW)
    assert [file.name for file in tmp_path.iterdir()] == ["signer.key"]
    with pytest.raises(SigningError, match="ml-dsa-65"):
        trust.keygen(tmp_path, "rsa-1024", now=NOW)


def test_pss_signs_with_a_salt_as_long_as_the_digest():
    blob = trust.sign(HEAD, key("rsa-2048", "Signer"), pki.read(pki.signer("rsa-2048")), pss=True)
    evidence = judge(blob, pki.anchors(pki.root()))
    assert evidence.counts
    assert evidence.algorithm == "rsa-2048-pss-sha256"


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa-2048", "ed25519"])
def test_signatures_are_reproducible(kind):
    certificates = pki.read(pki.signer(kind))
    assert trust.sign(HEAD, key(kind, "Signer"), certificates) == trust.sign(HEAD, key(kind, "Signer"), certificates)


def test_a_root_in_the_chain_file_is_left_out():
    blob = trust.sign(HEAD, key("p256", "Signer"), pki.read(pki.signer(), pki.root()))
    assert judge(blob, pki.anchors(pki.root())).counts


REFUSED = {
    "weak key": ("rsa-1024", [], {}, "1024"),
    "another key": ("p384", [pki.signer()], {}, "not that of the certificate"),
    "a CA": ("p256", [pki.signer(ca=True)], {}, "CA"),
    "another purpose": ("p256", [pki.signer(purposes=[pki.SERVER_AUTH])], {}, "code-signing"),
    "surplus certificate": ("p256", [pki.signer(), pki.intermediate()], {}, "not on the signer's path"),
    "PSS with an EC key": ("p256", [pki.signer()], {"pss": True}, "RSA"),
}


@pytest.mark.parametrize(("kind", "certificates", "options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_would_not_be_accepted_is_not_signed(kind, certificates, options, words):
    with pytest.raises(SigningError, match=words):
        trust.sign(HEAD, key(kind, "Signer"), pki.read(*certificates), **options)


def test_a_signature_that_went_wrong_is_not_given_out(monkeypatch):
    monkeypatch.setattr("bundlekit.trust.signing._sign", lambda *_: bytes(64))  # as after a fault of the hardware
    with pytest.raises(SigningError, match="does not verify"):
        trust.sign(HEAD, key("ed25519", "Signer"))


def test_private_key_files(tmp_path):
    file = tmp_path / "key.pem"
    locked = BestAvailableEncryption(b"secret")
    file.write_bytes(key("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    assert trust.load_private_key(file, lambda path: b"secret" if path == file else b"")
    for ask, words in (
        (None, "needs a passphrase"),
        (lambda path: b"", "needs a passphrase"),
        (lambda path: b"other", "passphrase is wrong"),
    ):
        with pytest.raises(TrustError, match=words):
            trust.load_private_key(file, ask)
    file.write_bytes(pki.pem(key("p256")))
    assert trust.load_private_key(file, pytest.fail)  # nobody is asked for what is not needed
    file.write_text("hello")
    with pytest.raises(TrustError, match="not a PEM private key"):
        trust.load_private_key(file)
    with pytest.raises(TrustError, match="cannot be read"):
        trust.load_private_key(tmp_path / "missing")


def test_strangers_and_unknown_keys():
    blob = trust.sign(HEAD, key("ed25519", "Signer"))
    stranger = judge(blob, pki.pins(key("ed25519", "Other")))
    assert pki.rules(stranger) == ["signer-unknown"]
    assert (stranger.intact, stranger.trusted) == (None, False)
    assert stranger.signer == "key identifier " + pki.describe(key("ed25519", "Signer").public_key()).identifier.hex()
    not_checked = judge(blob, None)
    assert (not_checked.intact, not_checked.trusted, not_checked.problems) == (None, None, ())
    assert pki.rules(judge(blob, None, head=HEAD + b"x")) == ["signature-wrong"]


def test_a_pinned_key_does_not_expire():
    blob = trust.sign(HEAD, key("p256", "Signer"), pki.read(pki.signer(end=NOW - timedelta(days=1))))
    evidence = judge(blob, pki.pins(key("p256", "Signer")))
    assert evidence.counts
    assert evidence.anchor == "pinned.pem"
    assert pki.rules(judge(blob, pki.anchors(pki.root()))) == ["signer-expired"]


def test_the_time_needs_a_zone():
    with pytest.raises(ValueError, match="time zone"):
        judge(b"", None, at=NOW.replace(tzinfo=None))


def test_verifying_loads_nothing_that_signs():
    code = (
        "import sys, bundlekit.trust; assert 'cryptography' not in sys.modules\n"
        "bundlekit.trust.verify_signatures, bundlekit.trust.load_trust\n"
        "assert not {'bundlekit.trust.signing', 'bundlekit.trust.test_pki'} & set(sys.modules)\n"
        "assert not {'asn1crypto', 'construct', 'click'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=os.environ)
