"""Certificates and keys for the tests, made when asked for. Every one is a plainly marked TEST key."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from asn1crypto import cms, core
from asn1crypto import x509 as x509_asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundlekit.model.bundle import Span
from bundlekit.trust.certificates import read_certificate
from bundlekit.trust.keys import ML_DSA_CHAINS, describe
from bundlekit.trust.load import unnamed
from bundlekit.trust.store import Anchors, Pinned
from bundlekit.trust.verify import verify_signatures

needs_ml_dsa_chains = pytest.mark.skipif(
    not ML_DSA_CHAINS, reason="the installed cryptography verifies no chain with ML-DSA signatures (50 and later do)"
)
"""For tests that expect such a chain to hold; test_der.py holds what happens where it cannot be verified."""


def where_ml_dsa_chains_verify(cases, *names):
    """The values of a table for parametrize, where the cases of these names need such chains."""
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)), id=name, marks=[needs_ml_dsa_chains] * (name in names)
        )
        for name, value in cases.items()
    ]


NOW = datetime(2026, 11, 24, tzinfo=UTC)
HEAD = b"\x89BNDL\r\n\x1a\n the head of a bundle"
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH

MAKERS = {
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - to be refused
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-e3": lambda: rsa.generate_private_key(3, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate,
}
HASHES = {"p384": hashes.SHA384(), "p521": hashes.SHA512()}


@cache
def key(kind, owner="signer"):
    """One key for each kind and owner, made once a run."""
    del owner
    return MAKERS[kind]()


def name(common):
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "TEST ONLY"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
        ]
    )


def key_usage(*on):
    fields = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{field: field in on for field in fields})


def certificate(
    common,
    public,
    issuer=None,
    issuer_key=None,
    *,
    ca=False,
    path_length=None,
    usage=("default",),
    purposes=None,
    start=NOW - timedelta(days=10),
    end=NOW + timedelta(days=20 * 365),
    serial=None,
    extra=(),
    hash_=None,
    salt=None,
):
    """A certificate for a private key ``public``; the defaults make a good one."""
    issuer_key = issuer_key or public
    if usage == ("default",):
        usage = ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(name(issuer or common))
        .public_key(public.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public.public_key()), critical=False)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if usage is not None:
        builder = builder.add_extension(key_usage(*usage), critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    if isinstance(issuer_key, rsa.RSAPrivateKey):
        used = hash_ or hashes.SHA256()
        pss = None if salt is None else padding.PSS(padding.MGF1(used), salt)
        return builder.sign(issuer_key, used, rsa_padding=pss)
    if isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        return builder.sign(issuer_key, hash_ or hashes.SHA256())
    return builder.sign(issuer_key, None)


def root(kind="p256", common="Root", **options):
    return certificate(common, key(kind, common), ca=True, **options)


def intermediate(common="Intermediate", issuer="Root", kind="p256", issuer_kind="p256", **options):
    return certificate(common, key(kind, common), issuer, key(issuer_kind, issuer), ca=True, **options)


def signer(kind="p256", issuer="Root", issuer_kind="p256", common="Signer", **options):
    options = {"purposes": [CODE_SIGNING], **options}
    return certificate(common, key(kind, common), issuer, key(issuer_kind, issuer), **options)


def read(*certificates):
    return tuple(read_certificate(one.public_bytes(Encoding.DER)) for one in certificates)


def anchors(*certificates):
    return unnamed(Anchors(anchors=read(*certificates)))


def pins(*keys):
    return unnamed(Anchors(pinned=tuple(Pinned(name="pinned.pem", key=describe(one.public_key())) for one in keys)))


SHA1 = hashes.SHA1()  # noqa: S303 - to be refused
DIGESTS = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(), "sha1": SHA1}
DIGESTS["sha224"] = hashes.SHA224()
OIDS = {
    "ed25519": "1.3.101.112",
    "ml-dsa-44": "2.16.840.1.101.3.4.3.17",
    "ml-dsa-65": "2.16.840.1.101.3.4.3.18",
    "ml-dsa-87": "2.16.840.1.101.3.4.3.19",
}


def raw_sign(private, data, digest="sha256", rsa_padding=None):
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, rsa_padding or padding.PKCS1v15(), DIGESTS[digest])
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(data, ec.ECDSA(DIGESTS[digest]))
    return private.sign(data)


def algorithm_for(private, digest):
    if isinstance(private, rsa.RSAPrivateKey):
        return {"algorithm": "rsassa_pkcs1v15", "parameters": core.Null()}
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return {"algorithm": f"{digest}_ecdsa"}
    return {"algorithm": OIDS[describe(private.public_key()).name]}


def pss_algorithm(digest="sha256", mgf="sha256", salt=32):
    parameters = {
        "hash_algorithm": {"algorithm": digest, "parameters": core.Null()},
        "mask_gen_algorithm": {
            "algorithm": "mgf1",
            "parameters": {"algorithm": mgf, "parameters": core.Null()},
        },
        "salt_length": salt,
    }
    return {"algorithm": "rsassa_pss", "parameters": parameters}


def attribute(kind, *values):
    return cms.CMSAttribute({"type": kind, "values": list(values)})


class Verbatim(x509_asn1.Certificate):
    """A certificate that is written as it was read.

    asn1crypto takes a length whose last byte is 0x80 for an indefinite one, and then writes the certificate anew. It
    cannot do so for a key that it does not know, such as one for ML-DSA.
    """

    def dump(self, force=False):
        return self._header + self._contents


def forge(
    private,
    certificates,
    *,
    head=HEAD,
    digest="sha256",
    algorithm=None,
    rsa_padding=None,
    signed_with=None,
    attributes=None,
    by_identifier=False,
    signer_info=None,
    signed_data=None,
):
    """A SignedData written by asn1crypto, which writes anything: the forger's hand, and an independent one.

    ``attributes`` replaces the signed attributes (None leaves the usual two, an empty list leaves them out),
    ``signer_info`` and ``signed_data`` are called with the fields before they are encoded.
    """
    if attributes is None:
        attributes = [
            attribute("content_type", "data"),
            attribute("message_digest", hashlib.new(digest, head).digest()),
        ]
    parsed = [Verbatim.load(one.public_bytes(Encoding.DER)) for one in certificates]
    signed = cms.CMSAttributes(attributes) if attributes else None
    data = signed.dump() if signed else head
    if by_identifier or not parsed:
        identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key()).digest
        sid, version = cms.SignerIdentifier("subject_key_identifier", identifier), "v3"
    else:
        named = {"issuer": parsed[0].issuer, "serial_number": parsed[0].serial_number}
        sid, version = cms.SignerIdentifier("issuer_and_serial_number", named), "v1"
    info = {
        "version": version,
        "sid": sid,
        "digest_algorithm": {"algorithm": digest},
        "signature_algorithm": algorithm or algorithm_for(private, digest),
        "signature": raw_sign(private, data, signed_with or digest, rsa_padding),
    }
    if signed:
        info["signed_attrs"] = signed
    if signer_info:
        signer_info(info)
    fields = {
        "version": version,
        "digest_algorithms": [info["digest_algorithm"]],
        "encap_content_info": {"content_type": "data"},
        "signer_infos": [info],
    }
    if parsed:
        fields["certificates"] = parsed
    if signed_data:
        signed_data(fields)
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(fields)}).dump()


def judge(blob, store, *, head=HEAD, at=NOW, purpose="code-signing"):
    if purpose != "code-signing":  # trust in anchors alone has no other
        store = unnamed(store.trusted, purpose=purpose)
    (evidence,) = verify_signatures(head, [blob], [Span(start=1000, stop=1000 + len(blob))], store, at)
    return evidence


def rules(evidence):
    return [problem.rule for problem in evidence.problems]


def pem(thing):
    if isinstance(thing, x509.Certificate | x509.CertificateRevocationList):
        return thing.public_bytes(Encoding.PEM)
    if hasattr(thing, "private_bytes"):
        return thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return thing.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def der(one):
    return one.public_bytes(Encoding.DER)


def pem_of(label, data):
    """Any bytes as PEM."""
    body = base64.encodebytes(data).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()
