"""Published vectors, for what the openssl of Debian 12 cannot judge; see data/ for where they come from."""

from base64 import b64decode
from pathlib import Path

from asn1crypto import cms as asn1_cms
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from bundlekit.trust import algorithms, cms
from bundlekit.trust.keys import describe
from bundlekit.trust.scheme import SignatureScheme
from bundlekit.trust.signing import sign
from tests.trust import pki
from tests.trust.pki import HEAD, key

DATA = Path(__file__).parent / "data"


def test_ml_dsa_65_signed_data_of_rfc_9882():
    der = b64decode((DATA / "rfc9882-ml-dsa-65.pem").read_text().split("-----")[2])
    info = asn1_cms.ContentInfo.load(der)
    content = info["content"]["encap_content_info"]["content"].native
    assert content == b"ML-DSA-65 signed-data example with signed attributes"
    info["content"]["encap_content_info"] = {"content_type": "data"}  # ours are detached; it is not signed
    found = cms.read(info.dump(force=True))
    public = describe(mldsa.MLDSA65PrivateKey.from_seed_bytes(bytes(range(32))).public_key())
    scheme = algorithms.read_scheme(found.signature_algorithm)
    assert algorithms.read_digest(found.digest_algorithm) == "sha512"
    assert algorithms.digest("sha512", content) == found.message_digest
    assert algorithms.verify(scheme, public, found.signature, found.signed)
    assert not algorithms.verify(scheme, public, found.signature, found.signed + b"\0")


def test_ed25519_of_rfc_8032():
    """Section 7.1, TEST 3."""
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    known = describe(ed25519.Ed25519PublicKey.from_public_bytes(public))
    assert algorithms.verify(SignatureScheme(family="ed25519"), known, signature, b"\xaf\x82")


def test_asn1crypto_reads_ours():
    for kind in ("p256", "rsa-2048", "ed25519", "ml-dsa-65"):
        blob = sign(HEAD, key(kind, "Signer"), pki.read(pki.signer(kind)))
        info = asn1_cms.ContentInfo.load(blob, strict=True)
        (signer,) = info["content"]["signer_infos"]
        attributes = {one["type"].native: one["values"].native for one in signer["signed_attrs"]}
        hashed = "sha256" if kind in {"p256", "rsa-2048"} else "sha512"
        assert attributes["content_type"] == ["data"]
        assert attributes["message_digest"] == [pki.hashlib.new(hashed, HEAD).digest()]
        signed = signer["signed_attrs"].untag().dump()
        assert signed[0] == 0x31
        public = describe(key(kind, "Signer").public_key())
        scheme = algorithms.read_scheme(signer["signature_algorithm"].dump())
        scheme = SignatureScheme(family=scheme.family, hash=scheme.hash.replace("*", hashed))
        assert algorithms.verify(scheme, public, signer["signature"].native, signed)
