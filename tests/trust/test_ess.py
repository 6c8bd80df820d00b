"""signingCertificate, version 1 and 2: each form is enforced or refused, as by `openssl cms -verify -cades`."""

import hashlib
from typing import Any

import pytest
from asn1crypto import cms, core

from bundlekit.trust.signing import sign
from fixtures.signing_certificates import VERSION_1 as V1
from fixtures.signing_certificates import VERSION_2 as V2
from fixtures.signing_certificates import der, directory, issuer_serial, value
from fixtures.signing_certificates import identifier as one
from tests.trust import pki
from tests.trust.pki import HEAD, forge, intermediate, judge, key, root, rules, signer
from tests.trust.shapes import openssl_accepts

LEAF, CA, ROOT = signer(issuer="Intermediate"), intermediate(), root()
TWIN = signer(issuer="Intermediate")
"""Another certificate of the same name, key and issuer."""

STRAY = intermediate("Stray")


DNS = der(0x82, b"root.example")


def signed(*attributes, carried=(CA,)):
    """A signature with these attributes: pairs of kind and values."""
    usual = [
        pki.attribute("content_type", "data"),
        pki.attribute("message_digest", hashlib.sha256(HEAD).digest()),
    ]
    more = [
        cms.CMSAttribute.load(der(0x30, core.ObjectIdentifier(kind).dump() + der(0x31, b"".join(sorted(values)))))
        for kind, values in attributes
    ]
    return forge(key("p256", "Signer"), [LEAF, *carried], attributes=[*usual, *more])


GOOD = {
    "sha256": [(V2, [value(one(LEAF))])],
    "sha384": [(V2, [value(one(LEAF, "sha384"))])],
    "sha512": [(V2, [value(one(LEAF, "sha512"))])],
    "sha256, spelled out": [(V2, [value(one(LEAF, explicit=True))])],
    "sha512, with NULL": [(V2, [value(one(LEAF, "sha512", explicit=True))])],
    "issuer and serial number": [(V2, [value(one(LEAF, named=issuer_serial(LEAF)))])],
    "sha512, issuer and serial number": [(V2, [value(one(LEAF, "sha512", named=issuer_serial(LEAF)))])],
    "the whole path": [(V2, [value(one(LEAF), one(CA), one(ROOT))])],
    "the path by different hashes": [(V2, [value(one(LEAF, "sha512"), one(CA, "sha384", named=issuer_serial(CA)))])],
    "with a policy": [(V2, [value(one(LEAF), policies=der(0x30, der(0x30, bytes.fromhex("06032a0304"))))])],
    "version 1": [(V1, [value(one(LEAF, "sha1"))])],
    "version 1, issuer and serial number": [(V1, [value(one(LEAF, "sha1", named=issuer_serial(LEAF)))])],
    "both versions": [(V1, [value(one(LEAF, "sha1"))]), (V2, [value(one(LEAF))])],
}
BAD: dict[str, Any] = {
    "sha256 of another": ([(V2, [value(one(TWIN))])], "not the one that the signer signed"),
    "sha384 of another": ([(V2, [value(one(TWIN, "sha384"))])], "not the one that the signer signed"),
    "sha512 of another": ([(V2, [value(one(TWIN, "sha512"))])], "not the one that the signer signed"),
    "sha512 under the name sha256": (
        [(V2, [value(one(LEAF, "sha512", cut=32))])],
        "does not have the form",
    ),
    "another serial number": (
        [(V2, [value(one(LEAF, named=issuer_serial(LEAF, serial=77)))])],
        "another issuer and serial number",
    ),
    "another issuer": (
        [(V2, [value(one(LEAF, named=issuer_serial(LEAF, issuer=CA)))])],
        "another issuer and serial number",
    ),
    "another serial number of the CA": (
        [(V2, [value(one(LEAF), one(CA, named=issuer_serial(CA, serial=77)))])],
        "another issuer and serial number",
    ),
    "issuer by another kind of name": (
        [(V2, [value(one(LEAF, named=issuer_serial(LEAF, names=DNS)))])],
        "another issuer and serial number",
    ),
    "issuer by two names": (
        [(V2, [value(one(LEAF, named=issuer_serial(LEAF, names=directory(LEAF) + DNS)))])],
        "does not have the form",
    ),
    "version 1 of another": ([(V1, [value(one(TWIN, "sha1"))])], "not the one that the signer signed"),
    "version 1, another serial number": (
        [(V1, [value(one(LEAF, "sha1", named=issuer_serial(LEAF, serial=77)))])],
        "another issuer and serial number",
    ),
    "version 1 in the form of version 2": ([(V1, [value(one(LEAF, "sha512"))])], "does not have the form"),
    "version 2 by sha1": ([(V2, [value(one(LEAF, "sha1"))])], "does not have the form"),
    "empty list": ([(V2, [value()])], "names no certificate"),
    "empty list in version 1": ([(V1, [value()])], "names no certificate"),
    "no value": ([(V2, [])], "has 0 values"),
    "two values": ([(V2, [value(one(LEAF)), value(one(LEAF), one(CA))])], "has 2 values"),
    "two values of version 1": ([(V1, [value(one(LEAF, "sha1")), value(one(TWIN, "sha1"))])], "has 2 values"),
    "both, version 1 of another": (
        [(V1, [value(one(TWIN, "sha1"))]), (V2, [value(one(LEAF))])],
        "not the one that the signer signed",
    ),
    "both, version 2 of another": (
        [(V1, [value(one(LEAF, "sha1"))]), (V2, [value(one(TWIN))])],
        "not the one that the signer signed",
    ),
    "the CA first": ([(V2, [value(one(CA), one(LEAF))])], "not the one that the signer signed"),
    "the signer twice": ([(V2, [value(one(LEAF), one(LEAF))])], "not the one that the signer signed"),
    "without the CA that comes along": (
        [(V2, [value(one(LEAF), one(ROOT))])],
        "is not among those that the signer allows",
    ),
    "a number": ([(V2, [core.Integer(5).dump()])], "does not have the form"),
    "thirty-three certificates": ([(V2, [value(*[one(LEAF)] * 33)])], "names 33 certificates; 32 are allowed"),
}


@pytest.mark.parametrize("attributes", GOOD.values(), ids=GOOD)
def test_forms_that_are_accepted(tmp_path, attributes):
    blob = signed(*attributes)
    evidence = judge(blob, pki.anchors(ROOT))
    assert evidence.counts, evidence.problems
    decided, words = openssl_accepts(tmp_path, blob, [ROOT], "-cades")
    assert decided, words


@pytest.mark.parametrize(("attributes", "words"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("store", [None, pki.anchors(ROOT)], ids=["no trust", "trust"])
def test_forms_that_are_refused(attributes, words, store):
    """Without trust as well: it is the signature that contradicts itself."""
    evidence = judge(signed(*attributes), store)
    assert rules(evidence) == ["signature-malformed"], evidence.problems
    assert words in evidence.problems[0].message
    assert not evidence.counts


NOT_REFUSED_BY_OPENSSL = {
    "without the CA that comes along",  # RFC 5035 section 3 says so, openssl does not limit the path
    "two values", "two values of version 1",
    "thirty-three certificates",
}  # fmt: skip


def test_openssl_refuses_no_form_that_we_accept(tmp_path):
    forms = {name: signed(*attributes) for name, (attributes, _) in BAD.items()}
    accepted = {name for name, blob in forms.items() if openssl_accepts(tmp_path, blob, [ROOT], "-cades")[0]}
    assert accepted <= NOT_REFUSED_BY_OPENSSL


@pytest.mark.parametrize("hash_", ["md5", "sha224"])
def test_a_weak_hash_is_refused(hash_):
    evidence = judge(signed((V2, [value(one(LEAF, hash_))])), pki.anchors(ROOT))
    assert rules(evidence) == ["weak-algorithm"]


def test_a_certificate_that_is_nowhere_is_refused(tmp_path):
    blob = signed((V2, [value(one(LEAF), one(CA), one(STRAY))]))
    evidence = judge(blob, pki.anchors(ROOT))
    assert rules(evidence) == ["chain-invalid"]
    assert f"(sha256:{hashlib.sha256(pki.der(STRAY)).hexdigest()})" in evidence.problems[0].message
    assert not openssl_accepts(tmp_path, blob, [ROOT], "-cades")[0]


@pytest.mark.parametrize(("hash_", "binds"), [("sha256", True), ("sha512", True), ("sha1", False)])
def test_a_pinned_key_wants_a_strong_hash_of_each_certificate(hash_, binds):
    blob = signed((V1 if hash_ == "sha1" else V2, [value(one(LEAF, hash_))]), carried=())
    assert judge(blob, pki.pins(key("p256", "Signer"))).counts is binds


def test_what_we_write_is_what_openssl_checks(tmp_path):
    blob = sign(HEAD, key("p256", "Signer"), pki.read(LEAF, CA))
    assert openssl_accepts(tmp_path, blob, [ROOT], "-cades")[0]
