"""Who may sign: chains that hold, and every reason for which they do not."""

from datetime import timedelta
from itertools import pairwise

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundlekit.trust import chain
from bundlekit.trust.certificates import UnusableCertificateError, read_certificate
from tests.trust import pki
from tests.trust.pki import CODE_SIGNING, NOW, SERVER_AUTH, forge, intermediate, judge, key, root, rules, signer

DAY = timedelta(days=1)
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def verdict(leaf, above=(), anchors=None, *, kind="p256", owner="Signer", at=NOW, **options):
    options.setdefault("digest", "sha512" if kind.startswith(("ed", "ml")) else "sha256")
    blob = forge(key(kind, owner), [leaf, *above], **options)
    return judge(blob, pki.anchors(*(anchors or [root()])), at=at)


def line(count):
    """Intermediates I1 (under the root) to I<count>, the lowest first."""
    names = ["Root", *(f"I{n}" for n in range(1, count + 1))]
    return [intermediate(name, issuer) for issuer, name in pairwise(names)][::-1]


GOOD = {
    "root, signer": lambda: verdict(signer()),
    "root without keyUsage": lambda: verdict(signer(), anchors=[root(usage=None)]),
    "root with codeSigning": lambda: verdict(signer(), anchors=[root(purposes=[CODE_SIGNING])]),
    "intermediate": lambda: verdict(signer(issuer="Intermediate"), [intermediate()]),
    "intermediate with codeSigning": lambda: verdict(
        signer(issuer="Intermediate"), [intermediate(purposes=[CODE_SIGNING])]
    ),
    "intermediate for any purpose": lambda: verdict(signer(issuer="Intermediate"), [intermediate(purposes=[ANY])]),
    "intermediate as the anchor": lambda: verdict(signer(issuer="Intermediate"), anchors=[intermediate()]),
    "intermediate as the anchor, brought along": lambda: verdict(
        signer(issuer="Intermediate"), [ANCHOR_INTERMEDIATE], anchors=[ANCHOR_INTERMEDIATE]
    ),
    "eight intermediates": lambda: verdict(signer(issuer="I8"), line(8)),
    "several purposes": lambda: verdict(signer(purposes=[SERVER_AUTH, CODE_SIGNING])),
    "signer without basicConstraints": lambda: verdict(signer(ca=None)),
    "path length 0": lambda: verdict(signer(), anchors=[root(path_length=0)]),
    "last second": lambda: verdict(signer(end=NOW)),
    "first second": lambda: verdict(signer(start=NOW)),
    "P-521 CA": lambda: verdict(signer(issuer_kind="p521"), anchors=[root("p521")]),
    "RSA CA": lambda: verdict(signer(issuer_kind="rsa-2048"), anchors=[root("rsa-2048")]),
    "RSA CA with PSS": lambda: verdict(signer(issuer_kind="rsa-2048", salt=32), anchors=[root("rsa-2048")]),
    "ML-DSA-65 CA": lambda: verdict(
        signer("ml-dsa-65", issuer_kind="ml-dsa-65"), anchors=[root("ml-dsa-65")], kind="ml-dsa-65"
    ),
    "ML-DSA-87 CA and intermediate": lambda: verdict(
        signer("ml-dsa-65", "Intermediate", "ml-dsa-87"),
        [intermediate(kind="ml-dsa-87", issuer_kind="ml-dsa-87")],
        [root("ml-dsa-87")],
        kind="ml-dsa-65",
    ),
    "Ed25519 signer": lambda: verdict(signer("ed25519"), kind="ed25519"),
    "intermediate before and after its renewal": lambda: verdict(
        signer(issuer="Intermediate"), [intermediate(), intermediate(end=NOW + DAY)]
    ),
    "root that changed its kind of key": lambda: verdict(
        pki.certificate("Signer", key("p256", "Signer"), "Root", key("p256", "Root 2"), purposes=[CODE_SIGNING]),
        [pki.certificate("Root", key("p256", "Root 2"), "Root", key("rsa-2048", "Root"), ca=True)],
        [root("rsa-2048")],
    ),
    "two roots of one name": lambda: verdict(signer(), anchors=[root("p384"), root()]),
}
ANCHOR_INTERMEDIATE = intermediate()


@pytest.mark.parametrize("case", pki.where_ml_dsa_chains_verify(GOOD, "ML-DSA-65 CA", "ML-DSA-87 CA and intermediate"))
def test_chains_that_hold(case):
    evidence = case()
    assert evidence.counts, evidence.problems
    assert evidence.chain[0].startswith("CN=Signer")
    assert evidence.chain[-1] == evidence.anchor != ""


def numbered_rsa(exponent, bits):
    """A public RSA key by its numbers; nobody has the private one."""
    return rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) | 1).public_key()


def issued_for(public):
    """A signer's certificate for a public key alone."""
    builder = x509.CertificateBuilder(
        issuer_name=pki.name("Root"),
        subject_name=pki.name("Signer"),
        public_key=public,
        serial_number=7,
        not_valid_before=NOW - DAY,
        not_valid_after=NOW + DAY,
        extensions=[],
    )
    builder = builder.add_extension(pki.key_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([CODE_SIGNING]), critical=False)
    return builder.sign(key("p256", "Root"), hashes.SHA256())


BAD = {
    "stranger": (lambda: verdict(signer(issuer="Other")), "signer-unknown"),
    "stranger with the anchor's name": (
        lambda: verdict(signer(issuer_kind="p384"), anchors=[root()]),
        "signer-unknown",
    ),
    "stranger with the anchor's name and another kind of key": (
        lambda: verdict(signer(issuer_kind="rsa-2048"), anchors=[root()]),
        "signer-unknown",
    ),
    "stranger's Ed25519 CA with the anchor's name": (
        lambda: verdict(signer(issuer_kind="ed25519"), anchors=[root()]),
        "signer-unknown",
    ),
    "stranger's intermediate with the anchor's name": (
        lambda: verdict(signer(issuer="Intermediate"), [intermediate(issuer_kind="p384")], anchors=[root()]),
        "signer-unknown",
    ),
    "intermediate that did not issue the signer": (
        lambda: verdict(signer(issuer="Intermediate", issuer_kind="p384"), [intermediate()]),
        "signer-unknown",
    ),
    "intermediate missing": (lambda: verdict(signer(issuer="Intermediate")), "signer-unknown"),
    "signer for servers": (lambda: verdict(signer(purposes=[SERVER_AUTH])), "wrong-purpose"),
    "signer for any purpose": (lambda: verdict(signer(purposes=[ANY])), "wrong-purpose"),
    "signer without a purpose": (lambda: verdict(signer(purposes=None)), "wrong-purpose"),
    "intermediate for servers": (
        lambda: verdict(signer(issuer="Intermediate"), [intermediate(purposes=[SERVER_AUTH])]),
        "wrong-purpose",
    ),
    "root for servers": (lambda: verdict(signer(), anchors=[root(purposes=[SERVER_AUTH])]), "wrong-purpose"),
    "root as signer": (
        lambda: verdict(root(purposes=[CODE_SIGNING]), owner="Root"),
        "not-a-signer-certificate",
    ),
    "CA as signer": (lambda: verdict(signer(ca=True)), "not-a-signer-certificate"),
    "CA as signer that may sign data": (
        lambda: verdict(signer(ca=True, usage=("digital_signature", "key_cert_sign"))),
        "not-a-signer-certificate",
    ),
    "anchor as signer": (
        lambda: verdict(ANCHOR_SIGNER, anchors=[ANCHOR_SIGNER], owner="Intermediate"),
        "not-a-signer-certificate",
    ),
    "no digitalSignature": (
        lambda: verdict(signer(usage=("content_commitment",))),
        "not-a-signer-certificate",
    ),
    "no keyUsage": (lambda: verdict(signer(usage=None)), "not-a-signer-certificate"),
    "not yet valid": (lambda: verdict(signer(start=NOW + timedelta(seconds=1))), "signer-not-yet-valid"),
    "clock at 1970": (lambda: verdict(signer(), at=NOW.replace(year=1970)), "signer-not-yet-valid"),
    "expired": (lambda: verdict(signer(end=NOW - timedelta(seconds=1))), "signer-expired"),
    "intermediate expired": (
        lambda: verdict(signer(issuer="Intermediate"), [intermediate(end=NOW - DAY)]),
        "signer-expired",
    ),
    "root expired": (lambda: verdict(signer(), anchors=[root(end=NOW - DAY)]), "signer-expired"),
    "RSA-1024 CA": (
        lambda: verdict(signer(issuer_kind="rsa-1024"), anchors=[root("rsa-1024")]),
        "weak-algorithm",
    ),
    "secp256k1 CA": (
        lambda: verdict(signer(issuer_kind="secp256k1"), anchors=[root("secp256k1")]),
        "weak-algorithm",
    ),
    "ML-DSA-44 CA": (
        lambda: verdict(signer(issuer_kind="ml-dsa-44"), anchors=[root("ml-dsa-44")]),
        "weak-algorithm",
    ),
    "exponent 2^64+1": (lambda: verdict(issued_for(numbered_rsa(2**64 + 1, 2048))), "weak-algorithm"),
    "RSA-16384": (lambda: verdict(issued_for(numbered_rsa(65537, 16384))), "weak-algorithm"),
    "Ed25519 CA": (
        lambda: verdict(signer(issuer_kind="ed25519"), anchors=[root("ed25519")]),
        "chain-unsupported",
    ),
    "certificate with maximum PSS salt": (
        lambda: verdict(signer(issuer_kind="rsa-2048", salt=222), anchors=[root("rsa-2048")]),
        "chain-unsupported",
    ),
    "signer as issuer": (
        lambda: verdict(
            signer(issuer="Intermediate"),
            [pki.certificate("Intermediate", key("p256", "Intermediate"), "Root", key("p256", "Root"))],
        ),
        "chain-invalid",
    ),
    "CA without keyCertSign": (
        lambda: verdict(signer(issuer="Intermediate"), [intermediate(usage=("crl_sign",))]),
        "chain-invalid",
    ),
    "path length": (
        lambda: verdict(signer(issuer="I2"), [line(2)[0], intermediate("I1", path_length=0)]),
        "chain-invalid",
    ),
    "path length of the anchor": (
        lambda: verdict(signer(issuer="Intermediate"), [intermediate()], anchors=[root(path_length=0)]),
        "chain-invalid",
    ),
    "nine intermediates": (lambda: verdict(signer(issuer="I9"), line(9)), "chain-invalid"),
    "critical extension nobody knows": (
        lambda: verdict(signer(extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)])),
        "chain-invalid",
    ),
    "critical policy constraints": (
        lambda: verdict(signer(issuer="Intermediate"), [intermediate(extra=[(x509.PolicyConstraints(0, None), True)])]),
        "chain-invalid",
    ),
    "name constraints": (
        lambda: verdict(
            signer(issuer="Intermediate"),
            [intermediate(extra=[(x509.NameConstraints([x509.DNSName("example.com")], None), True)])],
        ),
        "chain-invalid",
    ),
    "anchor brought along": (lambda: verdict(signer(), [root()]), "signature-malformed"),
    "self-signed signer": (
        lambda: verdict(pki.certificate("Signer", key("p256", "Signer"), purposes=[CODE_SIGNING])),
        "signature-malformed",
    ),
    "surplus certificate": (lambda: verdict(signer(), [intermediate()]), "signature-malformed"),
    "surplus certificate above the anchor": (
        lambda: verdict(signer(issuer="I2"), line(2), anchors=[root(common="I2")]),
        "signature-malformed",
    ),
    "one issuer and serial number twice": (
        lambda: verdict(signer(serial=5), [signer(serial=5, end=NOW + DAY)]),
        "signature-malformed",
    ),
    "seventeen certificates": (lambda: verdict(signer(issuer="I16"), line(16)), "signature-malformed"),
}
ANCHOR_SIGNER = intermediate(usage=("digital_signature", "key_cert_sign"), purposes=[CODE_SIGNING])


@pytest.mark.parametrize(("case", "rule"), BAD.values(), ids=BAD)
def test_chains_that_do_not_hold(case, rule):
    evidence = case()
    assert rules(evidence) == [rule], evidence.problems
    assert not evidence.counts
    assert evidence.trusted is False
    assert evidence.problems[0].message.endswith((".", "`."))


PSS = {"algorithm": "rsassa_pss"}
"""A key for RSA-PSS alone, without parameters."""


def rewritten(certificate, issuer_key, *, hash_=None, pss_only=None):
    """A certificate changed to what the library does not write, and signed again with PKCS#1 v1.5 or ECDSA."""
    changed = asn1_x509.Certificate.load(pki.der(certificate))
    tbs = changed["tbs_certificate"]
    if hash_:
        changed["signature_algorithm"] = tbs["signature"] = {"algorithm": f"{hash_}_rsa"}
    if pss_only:
        tbs["subject_public_key_info"]["algorithm"] = asn1_keys.PublicKeyAlgorithm(pss_only)
    changed["signature_value"] = pki.raw_sign(issuer_key, tbs.dump(force=True), hash_ or "sha256")
    return x509.load_der_x509_certificate(changed.dump(force=True))


@pytest.mark.parametrize("hash_", ["sha1", "sha224"])
def test_certificates_signed_with_weak_hashes(hash_):
    leaf = rewritten(signer(issuer_kind="rsa-2048"), key("rsa-2048", "Root"), hash_=hash_)
    assert rules(verdict(leaf, anchors=[root("rsa-2048")])) == ["weak-algorithm"]


def test_a_signer_key_for_pss_alone_signs_with_pss_alone():
    leaf = rewritten(signer("rsa-2048"), key("p256", "Root"), pss_only=PSS)
    assert rules(verdict(leaf, kind="rsa-2048")) == ["signature-malformed"]
    pss = {"algorithm": pki.pss_algorithm(), "rsa_padding": padding.PSS(padding.MGF1(hashes.SHA256()), 32)}
    assert verdict(leaf, kind="rsa-2048", **pss).counts


@pytest.mark.parametrize(
    ("demanded", "used", "said"),
    [
        (("sha256", "sha256", 32), ("sha256", 32), ""),
        (("sha256", "sha256", 32), ("sha256", 40), ""),
        (("sha256", "sha256", 40), ("sha256", 32), "requires a salt of 40 bytes, and that of the signature has 32"),
        (("sha512", "sha512", 64), ("sha256", 64), "with sha512 only, and the signature uses sha256"),
        (("sha256", "sha256", 32), ("sha512", 64), "with sha256 only, and the signature uses sha512"),
        (("sha512", "sha512", 64), None, "for RSA-PSS only, and the signature is one of PKCS#1"),
    ],
    ids=["as demanded", "longer salt", "shorter salt", "weaker hash", "stronger hash", "not PSS"],
)
def test_what_a_key_for_pss_demands_of_its_signatures(demanded, used, said):
    leaf = rewritten(signer("rsa-2048"), key("p256", "Root"), pss_only=pki.pss_algorithm(*demanded))
    how = {}
    if used:
        name, salt = used
        how = {
            "digest": name,
            "algorithm": pki.pss_algorithm(name, name, salt),
            "rsa_padding": padding.PSS(padding.MGF1(getattr(hashes, name.upper())()), salt),
        }
    evidence = verdict(leaf, kind="rsa-2048", **how)
    assert rules(evidence) == (["signature-malformed"] if said else [])
    assert said in "".join(problem.message for problem in evidence.problems)


@pytest.mark.parametrize(
    "demanded",
    [("sha1", "sha1", 20), ("sha256", "sha512", 32), ("sha256", "sha256", 20)],
    ids=["sha1", "two hashes", "short salt"],
)
def test_a_key_for_pss_that_demands_what_is_weak(demanded):
    leaf = rewritten(signer("rsa-2048"), key("p256", "Root"), pss_only=pki.pss_algorithm(*demanded))
    evidence = verdict(leaf, kind="rsa-2048")
    assert rules(evidence)[:1] == ["weak-algorithm"], evidence.problems
    assert not evidence.counts
    assert "RSA-PSS with parameters that are not accepted" in evidence.problems[0].message


@pytest.mark.parametrize("salt", [None, 32], ids=["pkcs1", "pss"])
def test_a_ca_key_for_pss_alone_is_not_supported(salt):
    anchor = rewritten(root("rsa-2048"), key("rsa-2048", "Root"), pss_only=PSS)
    assert rules(verdict(signer(issuer_kind="rsa-2048", salt=salt), anchors=[anchor])) == ["chain-unsupported"]


def test_reasons_are_named_together():
    leaf = signer(purposes=[SERVER_AUTH], end=NOW - DAY, usage=None)
    assert rules(verdict(leaf)) == ["not-a-signer-certificate", "wrong-purpose", "signer-expired"]


def test_messages_name_the_certificate_and_the_date():
    (problem,) = verdict(signer(end=NOW - DAY)).problems
    assert problem.message.startswith("The signer's certificate 'CN=Signer,O=TEST ONLY' expired on")
    assert "2026-11-23 00:00:00 UTC" in problem.message
    assert problem.message.endswith("and the time used is 2026-11-24 00:00:00 UTC.")
    assert problem.params == {"expired": "2026-11-23 00:00:00 UTC", "at": "2026-11-24 00:00:00 UTC"}
    assert problem.where.start > 1000


def test_another_purpose_can_be_asked_for():
    leaf = signer(purposes=[ExtendedKeyUsageOID.EMAIL_PROTECTION])
    blob = forge(key("p256", "Signer"), [leaf])
    assert judge(blob, pki.anchors(root()), purpose="email-protection").counts


def test_one_key_has_one_id_however_it_is_encoded():
    public = key("p256", "Signer").public_key()
    point = public.public_bytes(pki.Encoding.X962, pki.PublicFormat.CompressedPoint)
    info = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    compressed = load_der_public_key(info)
    assert info != public.public_bytes(pki.Encoding.DER, pki.PublicFormat.SubjectPublicKeyInfo)
    assert pki.describe(compressed).id == pki.describe(public).id


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("stranger", "its chain ends at the issuer 'CN=Other,O=TEST ONLY', which is not among the anchors"),
        ("stranger with the anchor's name", "damaged, or an imitation"),
        ("intermediate expired", "The intermediate certificate 'CN=Intermediate"),
        ("root expired", "The anchor 'CN=Root"),
        ("signer as issuer", "must not issue certificates"),
        ("CA without keyCertSign", "must not issue certificates"),
        ("path length", "allows 0 CAs below it, but the chain has 1"),
        ("nine intermediates", "has 9 intermediate certificates; 8 are allowed"),
        ("name constraints", "breaks a rule of RFC 5280"),
        ("one issuer and serial number twice", "have one issuer and serial number"),
        ("certificate with maximum PSS salt", "rsa_pss_saltlen:digest"),
    ],
)
def test_messages_say_which_rule_was_broken(case, words):
    assert words in BAD[case][0]().problems[0].message


@pytest.mark.parametrize(
    ("leaf", "above"),
    [
        (lambda: signer(purposes=[SERVER_AUTH], issuer="Intermediate"), intermediate),
        (lambda: signer(usage=("content_commitment",), issuer="Intermediate"), intermediate),
        (lambda: signer(ca=True, issuer="Intermediate"), intermediate),
        (lambda: signer(issuer="Intermediate"), lambda: intermediate(purposes=[SERVER_AUTH])),
        (lambda: signer(issuer="Intermediate"), lambda: intermediate(usage=("crl_sign",))),
    ],
)
def test_the_policies_refuse_without_the_second_look(leaf, above):
    good = pki.read(signer(issuer="Intermediate"), intermediate())
    assert chain._verify(good, pki.read(root()), NOW, "code-signing")
    assert chain._verify(pki.read(leaf(), above()), pki.read(root()), NOW, "code-signing") is None


@pytest.mark.parametrize(
    ("kind", "oid", "other", "words"),
    [
        ("p256", "06082a8648ce3d030107", "06082a8648ce3d030101", "not accepted"),  # P-192
        ("ed25519", "06032b65700321", "06032b65710321", "do not sign bundles"),  # Ed448
    ],
)
def test_a_key_that_cannot_be_loaded_is_weak(kind, oid, other, words):
    certificate = pki.der(signer(kind))
    assert certificate.count(bytes.fromhex(oid)) == 1
    found = read_certificate(certificate.replace(bytes.fromhex(oid), bytes.fromhex(other)))
    assert found.key is None
    assert words in found.weakness
    digest = "sha512" if kind == "ed25519" else "sha256"
    blob = forge(key(kind, "Signer"), [signer(kind)], digest=digest)
    certificate = pki.cms.ContentInfo.load(blob)["content"]["certificates"][0].dump()
    changed = certificate.replace(bytes.fromhex(oid), bytes.fromhex(other))
    assert rules(judge(blob.replace(certificate, changed), None)) == ["weak-algorithm"]
    if kind != "ed25519":  # with trust it is known that the issuer did not sign this key, and nothing more is reported
        assert rules(judge(blob.replace(certificate, changed), pki.anchors(pki.root()))) == ["signer-unknown"]


def test_the_two_algorithms_of_a_certificate_agree():
    identifier = bytes.fromhex("06082a8648ce3d040302")
    first, second, third = pki.der(signer()).split(identifier)
    with pytest.raises(UnusableCertificateError, match="two signature algorithms differ"):
        read_certificate(first + identifier + second + identifier[:-1] + b"\3" + third)


def test_what_the_library_only_warns_about_is_refused():
    """A warning on the way would be printed at whoever checks a hostile bundle, or raised where warnings are errors."""
    named = x509.AuthorityKeyIdentifier(b"keyid", [x509.DirectoryName(pki.name("Root"))], 0x1234)
    good = pki.der(signer(extra=[(named, False)]))
    assert read_certificate(good)
    serial = bytes.fromhex("82021234")
    assert good.count(serial) == 1
    with pytest.raises(UnusableCertificateError, match="serial number, or its issuer's, is not positive"):
        read_certificate(good.replace(serial, bytes.fromhex("82029234")))


def test_a_certificate_of_the_year_0_cannot_be_read():
    """Its dates are asked for when it is read, and not in the middle of a chain."""
    good = pki.der(signer(start=NOW.replace(year=2060), end=NOW.replace(year=2061)))
    assert good.count(b"2060") == 1
    with pytest.raises(UnusableCertificateError, match="breaks a rule of RFC 5280"):
        read_certificate(good.replace(b"2060", b"0000"))


def test_of_a_name_without_end_the_beginning_is_shown():
    with pytest.warns(UserWarning, match="length"):  # as whoever reads it would see, if nobody took care
        part = x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 100, _validate=False)
    builder = x509.CertificateBuilder(
        subject_name=x509.Name([part] * 20),
        issuer_name=pki.name("Root"),
        public_key=key("p256", "Signer").public_key(),
        serial_number=1,
        not_valid_before=NOW,
        not_valid_after=NOW,
    )
    found = read_certificate(pki.der(builder.sign(key("p256", "Root"), hashes.SHA256())))
    assert found.subject.startswith("CN=xxx")
    assert found.subject.endswith("… (2,079 characters)")
    assert len(found.subject) < 600


def test_nothing_is_verified_under_a_key_that_is_refused(monkeypatch):
    """A bundle can bring along keys under which one verification takes long, and many of them."""
    weak = intermediate(kind="rsa-1024")
    child, issuer = pki.read(signer(issuer="Intermediate", issuer_kind="rsa-1024"), weak)
    monkeypatch.setattr(verification, "PolicyBuilder", lambda: pytest.fail("verified"))
    assert issuer.weakness
    assert chain.issued(child, issuer) is None
    found = chain.best_chain((child, issuer), pki.read(root()), NOW, "code-signing")
    assert [one.rule for one in found.refusals] == ["weak-algorithm"]
