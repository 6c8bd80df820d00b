"""The CMS profile: every departure is rejected by its name. The blobs are written by asn1crypto."""

import hashlib
import re

import pytest
from asn1crypto import cms, core
from cryptography.hazmat.primitives.asymmetric import padding

from tests.trust import pki
from tests.trust.pki import HEAD, attribute, forge, judge, key, rules

DIGEST = hashlib.sha256(HEAD).digest()
GOOD = [attribute("content_type", "data"), attribute("message_digest", DIGEST)]


def made(kind="p256", **options):
    return forge(key(kind, "Signer"), [pki.signer(kind)], **options)


def put(**fields):
    """A hook that sets fields of a structure before it is encoded."""
    return lambda structure: structure.update(fields)


def twice(structure):
    structure["signer_infos"] = structure["signer_infos"] * 2


def add_crl(structure):
    crl = cms.RevocationInfoChoice("other", {"other_rev_info_format": "1.2.3", "other_rev_info": core.Null()})
    structure["crls"] = [crl]


def attached(structure):
    structure["encap_content_info"] = {"content_type": "data", "content": HEAD}


def other_type(structure):
    structure["encap_content_info"] = {"content_type": "digested_data"}


def pss(digest="sha256", mgf="sha256", salt=32):
    return {
        "kind": "rsa-2048",
        "algorithm": pki.pss_algorithm(digest, mgf, salt),
        "rsa_padding": padding.PSS(padding.MGF1(pki.DIGESTS[mgf]), salt),
        "signed_with": digest,
        "digest": digest,
    }


SIGNATURE = cms.SignedDigestAlgorithm
HASH_OID = bytes.fromhex("0609608648016503040201")  # id-sha256
RSA_OID = bytes.fromhex("06092a864886f70d010101")  # rsaEncryption
PSS_OID = bytes.fromhex("06092a864886f70d01010a")  # id-RSASSA-PSS


def encoded(kind, oid, parameters=b""):
    """An AlgorithmIdentifier with just these bytes."""
    return kind.load(bytes([0x30, len(oid + parameters)]) + oid + parameters)


MALFORMED = "signature-malformed"
WEAK = "weak-algorithm"

BAD = {
    "no signed attributes": ({"attributes": []}, MALFORMED),
    "no messageDigest": ({"attributes": GOOD[:1]}, MALFORMED),
    "no contentType": ({"attributes": GOOD[1:]}, MALFORMED),
    "contentType twice": ({"attributes": [*GOOD, GOOD[0]]}, MALFORMED),
    "messageDigest with two values": (
        {"attributes": [GOOD[0], attribute("message_digest", DIGEST, b"2" * 32)]},
        MALFORMED,
    ),
    "contentType of another type": ({"attributes": [attribute("content_type", "signed_data"), GOOD[1]]}, MALFORMED),
    "another content type": ({"signed_data": other_type}, MALFORMED),
    "attached content": ({"signed_data": attached}, MALFORMED),
    "two signers": ({"signed_data": twice}, MALFORMED),
    "no signer": ({"signed_data": put(signer_infos=[])}, MALFORMED),
    "a CRL": ({"signed_data": add_crl}, MALFORMED),
    "no certificates": ({"signed_data": lambda structure: structure.pop("certificates")}, MALFORMED),
    "version of SignedData": ({"signed_data": put(version="v3")}, MALFORMED),
    "version of SignerInfo": ({"signer_info": put(version="v3")}, MALFORMED),
    "versions of another identifier": ({"by_identifier": True, "signer_info": put(version="v1")}, MALFORMED),
    "two digest algorithms": (
        {"signed_data": put(digest_algorithms=[{"algorithm": "sha256"}, {"algorithm": "sha512"}])},
        MALFORMED,
    ),
    "another digest algorithm": ({"signed_data": put(digest_algorithms=[{"algorithm": "sha512"}])}, MALFORMED),
    "digest algorithms encoded differently": (
        {"signed_data": put(digest_algorithms=[encoded(cms.DigestAlgorithm, HASH_OID)])},
        MALFORMED,
    ),
    "unsigned attribute": ({"signer_info": put(unsigned_attrs=[attribute("message_digest", b"x")])}, MALFORMED),
    "unknown signature algorithm": ({"algorithm": {"algorithm": "1.2.3.4"}}, MALFORMED),
    "ECDSA with NULL parameters": (
        {"algorithm": {"algorithm": "sha256_ecdsa", "parameters": core.Null()}},
        MALFORMED,
    ),
    "hash of ECDSA is not the digest": ({"algorithm": {"algorithm": "sha512_ecdsa"}}, MALFORMED),
    "RSA algorithm with an EC key": (
        {"algorithm": {"algorithm": "sha256_rsa", "parameters": core.Null()}},
        MALFORMED,
    ),
    "RSA without parameters": (
        {"kind": "rsa-2048", "algorithm": encoded(SIGNATURE, RSA_OID)},
        MALFORMED,
    ),
    "Ed25519 with SHA-256": ({"kind": "ed25519", "digest": "sha256"}, MALFORMED),
    "ML-DSA-65 with SHA-256": ({"kind": "ml-dsa-65", "digest": "sha256"}, MALFORMED),
    "ML-DSA-87 with SHA-384": ({"kind": "ml-dsa-87", "digest": "sha384"}, MALFORMED),
    "PSS with another MGF hash": (pss(mgf="sha512"), MALFORMED),
    "PSS hash is not the digest": ({**pss("sha512", "sha512", 64), "digest": "sha256"}, MALFORMED),
    "MD5": ({"digest": "md5", "signed_with": "sha256", "algorithm": {"algorithm": "sha256_ecdsa"}}, WEAK),
    "SHA-1": ({"digest": "sha1"}, WEAK),
    "RSA with SHA-1": (
        {"kind": "rsa-2048", "algorithm": {"algorithm": "sha1_rsa", "parameters": core.Null()}},
        WEAK,
    ),
    "PSS with default parameters": (
        {
            "kind": "rsa-2048",
            "algorithm": encoded(SIGNATURE, PSS_OID, b"\x30\0"),
            "rsa_padding": padding.PSS(padding.MGF1(pki.SHA1), 20),
            "signed_with": "sha1",
        },
        WEAK,
    ),
    "PSS with salt 0": (pss(salt=0), WEAK),
    "PSS with salt 20": (pss(salt=20), WEAK),
    "ML-DSA-44": ({"kind": "ml-dsa-44", "digest": "sha512"}, WEAK),
    "a leaf of RSA-1024": ({"kind": "rsa-1024"}, WEAK),
    "a leaf of exponent 3": ({"kind": "rsa-e3"}, WEAK),
    "a leaf of secp256k1": ({"kind": "secp256k1"}, WEAK),
}


@pytest.mark.parametrize(("options", "rule"), BAD.values(), ids=BAD)
def test_departures_from_the_profile_are_refused(options, rule):
    evidence = judge(made(**options), pki.anchors(pki.root()))
    assert set(rules(evidence)) == {rule}
    assert not evidence.counts
    assert evidence.intact is not False
    # The same is said without anything to trust.
    assert rule in rules(judge(made(**options), None))


@pytest.mark.parametrize("kind", ["rsa-2048", "p256", "p384", "p521"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("by_identifier", [False, True])
def test_good_signatures_of_another_writer(kind, digest, by_identifier):
    evidence = judge(made(kind, digest=digest, by_identifier=by_identifier), pki.anchors(pki.root()))
    assert evidence.counts, evidence.problems
    assert evidence.algorithm.endswith(digest)


@pytest.mark.parametrize(
    ("kind", "digest"),
    [("ed25519", "sha512"), ("ml-dsa-65", "sha384"), ("ml-dsa-65", "sha512"), ("ml-dsa-87", "sha512")],
)
def test_good_signatures_of_schemes_that_hash_by_themselves(kind, digest):
    evidence = judge(made(kind, digest=digest), pki.anchors(pki.root()))
    assert evidence.counts, evidence.problems
    assert evidence.algorithm == kind


@pytest.mark.parametrize("salt", [32, 64, 222], ids=["digest", "more", "maximum"])
def test_pss_takes_its_salt_from_the_parameters(salt):
    evidence = judge(made(**pss(salt=salt)), pki.anchors(pki.root()))
    assert evidence.counts, evidence.problems
    assert evidence.algorithm == "rsa-2048-pss-sha256"


def test_pss_parameters_that_do_not_fit_the_signature():
    blob = made(**{**pss(salt=32), "algorithm": pki.pss_algorithm(salt=33)})
    assert rules(judge(blob, pki.anchors(pki.root()))) == ["signature-wrong"]


def test_a_changed_head_is_a_wrong_signature():
    for store in (None, pki.anchors(pki.root())):
        evidence = judge(made(), store, head=HEAD + b"x")
        assert rules(evidence) == ["signature-wrong"]
        assert evidence.intact is False


def test_a_signature_over_a_part_of_the_head_is_wrong():
    evidence = judge(made(head=HEAD[:-1]), pki.anchors(pki.root()))
    assert rules(evidence) == ["signature-wrong"]


def test_a_damaged_signature_is_named_where_it_lies():
    blob = made("rsa-2048")
    damaged = blob[:-1] + bytes([blob[-1] ^ 1])
    evidence = judge(damaged, None)
    assert rules(evidence) == ["signature-wrong"]
    assert evidence.intact is False
    assert evidence.problems[0].where.stop == 1000 + len(blob)
    assert evidence.problems[0].where.size == 256


@pytest.mark.parametrize(
    "blob",
    [b"", b"\0" * 64, b"0\x80", made()[:-1], made() + b"\0", b"0" * 65537],
    ids=["empty", "zeros", "indefinite", "cut", "trailing", "huge"],
)
def test_what_is_no_signature(blob):
    evidence = judge(blob, pki.anchors(pki.root()))
    assert rules(evidence) == [MALFORMED]
    assert evidence.problems[0].where == evidence.where
    assert evidence.intact is None


def test_no_words_of_a_library_get_into_a_message():
    """They are about its own code (ParseError { kind: … }), and change with its version."""
    blob = made()
    damaged = [blob[:size] for size in range(len(blob))]
    damaged += [blob[:at] + bytes([blob[at] ^ (1, 0x20)[at % 2]]) + blob[at + 1 :] for at in range(len(blob))]
    said = {problem.message for one in damaged for problem in judge(one, pki.anchors(pki.root())).problems}
    assert len(said) > 10
    foreign = [one for one in said if re.search(r"Error|parsing|kind:|[{}]|value:", one)]
    assert foreign == []


def test_a_signature_over_the_limit_is_refused():
    blob = made(attributes=[*GOOD, attribute("1.2.3.4", core.OctetString(bytes(65536)))])
    (problem,) = judge(blob, pki.anchors(pki.root())).problems
    assert problem.rule == MALFORMED
    assert "more than the limit of 65536" in problem.message


def test_ber_is_refused():
    blob = made()
    longer = bytes([0x30, 0x83, 0]) + blob[2:4] + blob[4:]  # the length in one byte more than it needs
    assert blob[:2] == b"\x30\x82"
    assert rules(judge(longer, pki.anchors(pki.root()))) == [MALFORMED]


def test_attributes_out_of_order_are_refused():
    blob = made()
    first, second = (one.dump() for one in (GOOD[0], GOOD[1]))
    assert blob.count(first + second) == 1
    swapped = blob.replace(first + second, second + first)
    assert rules(judge(swapped, pki.anchors(pki.root()))) == [MALFORMED]
