"""No exception of a reader of certificates, lists or keys gets out, whatever a stranger has put into them."""

import random
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.errors import TrustError
from bundlekit.trust import chain, crl, pem
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.door import UnreadableObjectError, reading
from tests.trust import pki, test_crl
from tests.trust.pki import NOW, forge, intermediate, judge, key, root, signer

EXTENSIONS = sorted(
    (one for one in vars(ExtensionOID).values() if isinstance(one, x509.ObjectIdentifier)),
    key=lambda one: one.dotted_string,
)
ENTRY_EXTENSIONS = [one for one in vars(CRLEntryExtensionOID).values() if isinstance(one, x509.ObjectIdentifier)]
BODIES = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "0500",
        "3000",
        "3003020105",  # a list of 5, as of a TLS feature that no one knows
        "30030201ff",
        "300602010502010a",
        "020105",
        "0201ff",
        "0209ffffffffffffffffff",
        "0101ff",
        "30030101ff",
        "30060101ff020100",
        "30060101ff0201ff",
        "300e0101ff0209ffffffffffffffffff",
        "0303070080",
        "030100",
        "03020780",
        "0400",
        "0404deadbeef",
        "04020500",
        "30023000",
        "30043002a000",
        "3006a0048202c3a9",  # a name that is not ASCII
        "30048202c3a9",
        "3006a4043002300030",
        "30068704c0000201",
        "30058703c00002",  # an address of three bytes
        "300da00b820968747470733a2f2f",
        "300b06092a864886f70d010101",
        "30053003060100",
        "180f30303030303130313030303030305a",  # the year 0
        "0c0461626364",
        "1e0161",
        "a000",
        "ff01",
        "3080",
    )
]
"""Bodies that are right for one extension and wrong for most."""

TLS_FEATURE = x509.UnrecognizedExtension(ExtensionOID.TLS_FEATURE, bytes.fromhex("3003020163"))
"""status_request_v3, if there were one: no name for the number 99 is known."""


def examine(der):
    """Read a certificate, and ask everything of it that is asked when a signature is verified."""
    try:
        found = read_certificate(der)
    except UnusableCertificateError:
        return None
    assert isinstance(found, Certificate)
    for line in ((found,), (*pki.read(signer(issuer="Intermediate")), found)):
        chain.best_chain(line, pki.read(root()), NOW, "code-signing")
    chain.best_chain(pki.read(signer(issuer="Intermediate")), (found,), NOW, "code-signing")
    return found


@pytest.mark.parametrize("oid", EXTENSIONS, ids=lambda one: one.dotted_string)
def test_every_extension_with_bodies_of_others(oid):
    for body in BODIES:
        for critical in (False, True):
            extension = x509.UnrecognizedExtension(oid, body)
            for extra in ([(extension, critical)],):
                try:
                    made = pki.certificate(
                        "Intermediate", key("p256", "Intermediate"), "Root", key("p256", "Root"), ca=None, usage=None,
                        extra=extra,
                    )  # fmt: skip
                except ValueError:  # it already exists
                    continue
                examine(pki.der(made))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(EXTENSIONS), st.one_of(st.binary(max_size=24), st.sampled_from(BODIES)), st.booleans())
def test_every_extension_with_any_body(oid, body, critical):
    if oid == ExtensionOID.SUBJECT_KEY_IDENTIFIER:
        return
    extra = [(x509.UnrecognizedExtension(oid, body), critical)]
    examine(pki.der(pki.certificate("Signer", key("p256", "Signer"), "Root", key("p256", "Root"), ca=None, usage=None,
                                    extra=extra)))  # fmt: skip


def mutated(data, chance):
    """``data`` with one to three places changed, cut or repeated."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                data[place] = chance.choice([0, 1, 2, 3, 4, 5, 6, 0x0C, 0x13, 0x17, 0x18, 0x30, 0x31, 0x80, 0xA0, 0xFF])
            case 2:
                del data[place : place + chance.randint(1, 4)]
            case 3:
                data[place:place] = chance.randbytes(chance.randint(1, 4))
            case _:
                data[place:place] = data[place : place + chance.randint(1, 40)]
        if not data:
            break
    return bytes(data)


RICH = signer(
    issuer="Intermediate",
    extra=[
        (x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.RFC822Name("a@a.example")]), False),
        (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), ["text"])]), False),
        (x509.AuthorityKeyIdentifier(b"k" * 20, [x509.DirectoryName(pki.name("Root"))], 5), False),
        (x509.TLSFeature([x509.TLSFeatureType.status_request]), False),
        (x509.IssuerAlternativeName([x509.UniformResourceIdentifier("http://a.example")]), False),
        (x509.OCSPNoCheck(), False),
    ],
)  # fmt: skip
MUTABLE = {"signer": RICH, "rsa": signer("rsa-2048"), "ml-dsa": signer("ml-dsa-65"), "ed25519": signer("ed25519")}


@pytest.mark.parametrize("one", MUTABLE.values(), ids=MUTABLE)
def test_damaged_certificates(one):
    chance = random.Random(11)  # noqa: S311 - the same cases each time
    read = sum(examine(mutated(pki.der(one), chance)) is not None for _ in range(150))
    assert read > 0


def rewrapped(body, private=None):
    """A signature whose certificate is these bytes, which nobody signed."""
    blob = forge(private or key("p256", "Signer"), [RICH])
    return blob.replace(pki.der(RICH), body) if len(body) == len(pki.der(RICH)) else blob


@pytest.mark.parametrize("store", [None, pki.anchors(root())], ids=["no trust", "trust"])
def test_damaged_certificates_in_a_signature(store):
    """Changed in place, so that the CMS around them is in order."""
    chance = random.Random(12)  # noqa: S311 - the same cases each time
    der = pki.der(RICH)
    for _ in range(120):
        place, bit = chance.randrange(len(der)), 1 << chance.randrange(8)
        changed = der[:place] + bytes([der[place] ^ bit]) + der[place + 1 :]
        evidence = judge(rewrapped(changed), store)
        assert not evidence.counts
        assert evidence.standing != "counted"


def ask_of(lists):
    line = pki.read(test_crl.LEAF, root())
    found = crl.status(line, crl.Crls(lists=lists, required=True), NOW)
    assert isinstance(found, crl.RevocationStatus)


@pytest.mark.parametrize("number", range(3))
def test_damaged_lists(number):
    chance = random.Random(number)  # noqa: S311 - the same cases each time
    extra = [x509.CRLNumber(5)] if number else []
    made = test_crl.make(1, 4711, extra=extra, entry=[x509.CRLReason(x509.ReasonFlags.key_compromise)] * (number > 1))
    for _ in range(250):
        changed = mutated(made.public_bytes(Encoding.DER), chance)
        try:
            ask_of(crl.read(Path("a.crl"), changed))
        except TrustError:
            continue


def test_a_damaged_name_of_the_issuer_of_a_list():
    made = test_crl.make().public_bytes(Encoding.DER)
    assert made.count(b"TEST ONLY") == 1
    changed = made.replace(b"TEST ONLY", b"TEST \xff\xfe\xfdY")
    with pytest.raises(TrustError, match="cannot be used as a revocation list"):
        crl.read(Path("a.crl"), changed)


@pytest.mark.parametrize("oid", [*EXTENSIONS, *ENTRY_EXTENSIONS], ids=lambda one: one.dotted_string)
def test_lists_with_every_extension(oid):
    for body in BODIES:
        extension = x509.UnrecognizedExtension(oid, body)
        for options in ({"extra": [extension]}, {"entry": [extension]}):
            try:
                ask_of(crl.read(Path("a.crl"), test_crl.make(4711, **options).public_bytes(Encoding.DER)))
            except TrustError:
                continue


@pytest.mark.parametrize("kind", ["rsa-2048", "p256", "p521", "ed25519", "ml-dsa-65"])
def test_damaged_keys(kind):
    chance = random.Random(13)  # noqa: S311 - the same cases each time
    info = key(kind).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for _ in range(150):
        body = pki.pem_of("PUBLIC KEY", mutated(info, chance))
        try:
            pem.from_pem([(Path("a.pem"), body)])
        except TrustError:
            continue


class PanicException(BaseException):
    """What a fault in the Rust code of the library raises looks like this."""


@pytest.mark.parametrize("error", [PanicException, KeyError, OverflowError, AttributeError, RecursionError])
def test_whatever_the_library_raises_is_one_exception(monkeypatch, error):
    def fail(der):
        raise error("words of the library")

    monkeypatch.setattr(x509, "load_der_x509_certificate", fail)
    with pytest.raises(UnusableCertificateError, match="breaks a rule of RFC 5280") as caught:
        read_certificate(pki.der(RICH))
    assert "words of the library" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_not_about_the_object_passes(error):
    with pytest.raises(error), reading():
        raise error


def test_a_warning_of_what_will_not_be_read_is_an_error():
    with pytest.raises(UnreadableObjectError), reading():
        x509.load_der_x509_certificate(asn1_x509.Certificate().dump())


def test_a_tls_feature_without_a_name():
    with pytest.raises(UnusableCertificateError):
        read_certificate(pki.der(intermediate(extra=[(TLS_FEATURE, False)])))
