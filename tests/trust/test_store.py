"""What may stand where trust is kept, and what may not."""

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from bundlekit.errors import TrustError
from bundlekit.trust import load, pem, pem_blocks
from bundlekit.trust.load import load_trust, unnamed
from bundlekit.trust.pem import read_certificates
from bundlekit.trust.signing import load_signing_key
from bundlekit.trust.store import Anchors
from tests.trust import pki
from tests.trust.pki import key

ROOT = pki.pem(pki.root())
KEY = pki.pem(key("ed25519").public_key())

BAD = {
    "a signer's certificate": (pki.pem(pki.signer()), "not a CA"),
    "a private key": (pki.pem(key("p256")), "private key"),
    "a private key beside a root": (ROOT + pki.pem(key("p256")), "private key"),
    "nothing": (b"", "is empty"),
    "blanks": (b" \n", "is empty"),
    "text": (b"hello", "not a PEM file"),
    "DER": (pki.der(pki.root()), "not a PEM file"),
    "a damaged PEM": (ROOT + ROOT[:-20], "not a PEM file"),
    "damaged contents": (ROOT.replace(b"MI", b"!!", 1), "cannot be used"),
    "another thing": (ROOT.replace(b"CERTIFICATE", b"X509 CRL"), "'X509 CRL'"),
    "a damaged key": (KEY.replace(b"MC", b"MD", 1), "cannot be used"),
    "too much": (b"x" * (pem_blocks.MAX_FILE + 1), "larger than"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_trusted(tmp_path, content, words):
    (tmp_path / "trust.pem").write_bytes(content)
    with pytest.raises(TrustError, match=words):
        load_trust([tmp_path / "trust.pem"])


BOM = b"\xef\xbb\xbf"
FORMS = {
    "byte order mark": lambda data: BOM + data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "both": lambda data: BOM + data.replace(b"\n", b"\r\n"),
    "CR": lambda data: data.replace(b"\n", b"\r"),
    "a byte order mark in the middle": lambda data: data + BOM + data,
}
"""What editors and shells make of a text file."""


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path, form):
    made, file = key("p256", "Signer"), tmp_path / "file.pem"
    locked = made.private_bytes(pki.Encoding.PEM, pki.PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    file.write_bytes(form(ROOT + KEY))
    assert (len(load_trust(file).trusted.anchors), len(load_trust(file).trusted.pinned)) == (1, 1)
    file.write_bytes(form(ROOT))
    assert {one.der for one in read_certificates(file)} == {pki.der(x509.load_pem_x509_certificate(ROOT))}
    for data in (pki.pem(made), locked):
        file.write_bytes(form(data))
        assert load_signing_key(file, lambda _: b"secret").id == pki.describe(made.public_key()).id


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("load", [load_trust, read_certificates, load_signing_key])
def test_utf_16_is_named(tmp_path, encoding, load):
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "file.pem").write_bytes(mark + ROOT.decode().encode(encoding))
    with pytest.raises(TrustError) as caught:
        load(tmp_path / "file.pem")
    assert caught.value.next_step == "It is text in UTF-16. Save it as ASCII or UTF-8."


def test_nothing_is_no_trust(tmp_path):
    for paths in ([], [tmp_path]):
        with pytest.raises(TrustError, match="No trust anchors"):
            load_trust(paths)
    with pytest.raises(TrustError, match="no such file or folder"):
        load_trust([tmp_path / "missing.pem"])


def test_a_folder_and_files(tmp_path):
    (tmp_path / "a.pem").write_bytes(b"Some words first.\n" + ROOT + pki.pem(pki.root(common="Other")))
    (tmp_path / "b.pub").write_bytes(KEY)
    (tmp_path / "notes.txt").write_text("not read")
    found = load_trust([tmp_path, tmp_path / "a.pem"])
    assert [one.subject for one in found.trusted.anchors] == ["CN=Root,O=TEST ONLY", "CN=Other,O=TEST ONLY"]
    assert [one.name for one in found.trusted.pinned] == ["b.pub"]
    again = load_trust([tmp_path / "b.pub", tmp_path / "a.pem"])
    assert again.digest == found.digest != load_trust([tmp_path / "b.pub"]).digest


def test_too_many(tmp_path, monkeypatch):
    (tmp_path / "a.pem").write_bytes(ROOT + KEY)
    monkeypatch.setattr(pem, "MAX_ENTRIES", 1)
    with pytest.raises(TrustError, match="more than 1 "):
        load_trust([tmp_path])
    monkeypatch.setattr(load, "MAX_FILES", 0)
    with pytest.raises(TrustError, match="at most 0 "):
        load_trust([tmp_path])


def test_certificates_in_order(tmp_path):
    (tmp_path / "chain.pem").write_bytes(pki.pem(pki.signer()) + ROOT + KEY)
    assert [one.subject[:7] for one in read_certificates(tmp_path / "chain.pem")] == ["CN=Sign", "CN=Root"]


def test_two_pinned_keys_with_one_identifier():
    """A SHA-1 collision, played: the key that made the signature is the one that counts."""
    right, wrong = (pki.describe(key("ed25519", owner).public_key()) for owner in ("Signer", "Other"))
    fake = pki.Pinned(name="fake", key=msgspec.structs.replace(wrong, identifier=right.identifier))
    real = pki.Pinned(name="real", key=right)
    blob = pki.forge(key("ed25519", "Signer"), [], digest="sha512")
    for pinned in ((fake, real), (real, fake)):
        evidence = pki.judge(blob, unnamed(Anchors(pinned=pinned)))
        assert evidence.counts
        assert evidence.anchor == "real"
    assert pki.rules(pki.judge(blob, unnamed(Anchors(pinned=(fake,))))) == ["signature-wrong"]
