"""Signatures, chains, demands and lists that must not be taken: rows 38-54, 64-76 and 83 (see fixtures/hostile.py).

Each case is a whole bundle, judged by the pipeline, refused by its named rule in its own words; the good ones
of those rows are accepted. Keys, certificates and lists are made here when they are needed. Signatures are
written by asn1crypto, and the PKI of `test_a_pki_of_openssls` by openssl, so that not our writer alone is judged.
"""

import datetime as dt
import hashlib
import subprocess
from datetime import timedelta
from types import SimpleNamespace

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundlekit.layout import reader
from bundlekit.trust import load_trust
from fixtures import forge
from tests.trust import pki, shapes, test_chain, test_cms, test_crl, world
from tests.trust.pki import CODE_SIGNING, NOW, SERVER_AUTH, intermediate, key, root, signer
from tests.trust.world import (
    ANNA,
    ANNA_PQ,
    CARL,
    DORA_MIXED,
    EVE,
    bundle,
    by,
    check,
    demand,
    pinned,
    rules,
    trust,
)

DAY = timedelta(days=1)
ROOT = pki.anchors(root())
ROOT_SIGNER, WEB_CA = root(purposes=[CODE_SIGNING]), intermediate(purposes=[SERVER_AUTH])
UNSIGNED = test_cms.put(unsigned_attrs=[pki.attribute("message_digest", b"x")])
EVES = "Eve's Root"
HYBRID = demand(1, "anna", algorithms=("post-quantum",))
GUS = key("p256", "Gus")


def case(rows, rule, words, *signatures, store=ROOT, at=NOW, also=(), data=None, **changes):
    """``store`` is a store, or the text of a trust.toml: (more, end)."""
    return SimpleNamespace(**locals())


def leaf(**options):
    """A signature by a signer whose certificate has something special."""
    return by(leaf=signer(**options))


def line(lowest, *above, owner="Signer", kind="p256", **options):
    return by(kind, owner, leaf=lowest, above=above, **options)


def raw(**options):
    return by(common="Signer", leaf=signer(), **options)


def numbered(exponent, bits):
    """A signature by a signer whose certificate has an RSA key that nobody has."""
    return by("rsa-2048", leaf=test_chain.issued_for(test_chain.numbered_rsa(exponent, bits)))


def context(info):
    """Sign again, with the context string that FIPS 204 has and the profile has not."""
    info["signature"] = key("ml-dsa-65", "Signer").sign(info["signed_attrs"].dump(), b"firmware")


def damaged(mask, place=-1):
    data = bundle(by())
    return forge.flip(data, forge.signature(data).stop + place, mask)


def zeroed():
    data = bundle(by())
    where = forge.signature(data)
    return forge.put(data, where.stop - 64, bytes(64))


def of(head):
    """A signature over something else than the whole head."""
    return lambda real: pki.forge(key("p256", "Signer"), [signer()], head=head(real))


def area(*entries):
    """A bundle whose signature area holds these bytes."""
    data = bundle(capacity=65536)
    return forge.put(data, forge.section(data, "signatures").start, b"".join(entries))


def entry(blob):
    return len(blob).to_bytes(4, "big") + blob


def lengthy(head):
    """A good signature but for its length, which comes from an attribute that nobody minds."""
    attributes = [
        pki.attribute("content_type", "data"),
        pki.attribute("message_digest", hashlib.sha256(head).digest()),
        pki.attribute("1.2.3.4", core.OctetString(bytes(65536))),
    ]
    return raw(attributes=attributes)(head)


def behind_zero():
    return area(bytes(4), entry(b"x" * 9))


def compressed(private):
    """The public key with its point compressed: the same numbers in other bytes."""
    point = private.public_key().public_bytes(pki.Encoding.X962, pki.PublicFormat.CompressedPoint)
    return load_der_public_key(bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point)


DENY_GUS = f'deny = ["sha256:{pki.describe(compressed(GUS)).id}"]'
GUS_SIGNER = '[signers.gus]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Gus,O=TEST ONLY"\n'
GUSTAV = by(common="Gus")
LISTS = '[crls]\nfiles = ["{}"]\nrequired = true\n'
MALFORMED, WEAK = "signature-malformed", "weak-algorithm"

CASES = {
    "bit flipped": case([38], "signature-wrong", "damaged, or made by another", data=lambda: damaged(1)),
    "signature missing": case([38, 51], "unsigned", "has no signature"),
    "signature all zero": case([38], MALFORMED, "DER", data=lambda: area(entry(bytes(100)))),
    "signature value all zero": case([38], "signature-wrong", "damaged", data=zeroed),
    "valid but by a stranger": case([39], "signer-unknown", "is not known here", EVE),
    "anchor brought along": case([40], MALFORMED, "anchors come from trust alone", line(signer(), root())),
    "stranger's anchor brought along": case(
        [40],
        MALFORMED,
        "anchors come from trust alone",
        by(common="Eve", issuer=EVES, above=[root(common=EVES)]),
    ),
    "foreign intermediate under the same root": case(
        [41],
        "signer-unknown",
        "the trust file accepts only listed ones",
        line(signer(common="Anna", issuer="Intermediate"), intermediate(), owner="Anna"),
        store=('intermediates = "listed"', ""),
    ),
    "foreign intermediate, another signer": case(
        [41],
        "signer-unknown",
        "is not one of those that the trust file names",
        line(signer(issuer="Intermediate"), intermediate()),
        store=("", ""),
        also=["too-few-signers"],
    ),
    "for servers": case([42], "wrong-purpose", "is not for code-signing", leaf(purposes=[SERVER_AUTH])),
    "for mail": case(
        [42], "wrong-purpose", "is not for code-signing", leaf(purposes=[ExtendedKeyUsageOID.EMAIL_PROTECTION])
    ),
    "CA as signer": case([43], "not-a-signer-certificate", "is that of a CA", leaf(ca=True)),
    "no digitalSignature": case([43], "not-a-signer-certificate", "no key usage digital", leaf(usage=("crl_sign",))),
    "expired": case([44], "signer-expired", "expired on 2026-11-23", leaf(end=NOW - timedelta(seconds=1))),
    "not yet valid": case([44], "signer-not-yet-valid", "is valid from 2026-11-25", leaf(start=NOW + DAY)),
    "clock at 1970": case(
        [44],
        "signer-not-yet-valid",
        "and the time used is 1970-",
        by(),
        at=NOW.replace(year=1970),
        also=["released-in-future"],
    ),
    "revoked": case([45], "signer-revoked", "was revoked by", ANNA, store=("", LISTS.format("anna.crl"))),
    "list missing": case([45], "crl-unusable", "no revocation list of", ANNA, store=("", LISTS.format("other.crl"))),
    "list stale": case([45], "crl-unusable", "is stale", ANNA, store=("", LISTS.format("stale.crl"))),
    "list badly signed": case([45], "crl-unusable", "not signed by", ANNA, store=("", LISTS.format("forged.crl"))),
    "MD5": case([46], WEAK, "is MD5", raw(digest="md5", signed_with="sha256", algorithm={"algorithm": "sha256_ecdsa"})),
    "SHA-1": case([46], WEAK, "is SHA-1", raw(digest="sha1")),
    "RSA-1024 CA": case([47], WEAK, "2048 to 8192", by(issuer_kind="rsa-1024"), store=pki.anchors(root("rsa-1024"))),
    "exponent 3": case([47], WEAK, "exponent 3 is not", numbered(3, 2048)),
    "small curve": case([47], WEAK, "secp256k1", by("secp256k1")),
    "algorithms differ": case([48], MALFORMED, "does not go with", raw(algorithm={"algorithm": "sha512_ecdsa"})),
    "no algorithm": case([48], MALFORMED, "not an accepted encoding", raw(algorithm={"algorithm": "1.2.3.4"})),
    "one key twice": case(
        [49],
        "too-few-signers",
        "only anna",
        ANNA,
        line(signer(common="Anna", serial=5), owner="Anna"),
        store=("", demand(2, "anna", "bert")),
    ),
    "threshold of unknown ones": case(
        [50],
        "too-few-signers",
        "only anna signed accordingly",
        ANNA,
        EVE,
        store=('other-signers = "ignore"', demand(2, "anna", "bert")),
    ),
    "threshold of revoked ones": case(
        [50],
        "too-few-signers",
        "none of them",
        ANNA,
        store=('other-signers = "ignore"', LISTS.format("anna.crl") + demand(1, "anna")),
    ),
    "zero signatures": case([51], "unsigned", "no signature", store=("", ""), also=["too-few-signers"]),
    "no key given": case([52], None, "no trust anchors were given", by(), store=None),
    "a part of the head": case([53], "signature-wrong", "is not for this head", of(lambda head: head[:-1])),
    "another kind of artefact": case([54], "signature-wrong", "is not for this head", of(lambda head: b"firmware.swu")),
    "another product's bundle": case(
        [54], "out-of-scope", "is allowed to sign for toaster, not for imager", CARL, store=("products", "")
    ),
    "messageDigest wrong": case(
        [54],
        "signature-wrong",
        "not for this head",
        raw(
            attributes=[
                pki.attribute("content_type", "data"),
                pki.attribute("message_digest", bytes(32)),
            ]
        ),
    ),
    "attributes duplicated": case(
        [54],
        MALFORMED,
        "is given twice",
        raw(
            attributes=[
                pki.attribute("content_type", "data"),
                pki.attribute("content_type", "data"),
            ]
        ),
    ),
    "content type wrong": case(
        [54],
        MALFORMED,
        "contentType",
        raw(
            attributes=[
                pki.attribute("content_type", "signed_data"),
                pki.attribute("message_digest", bytes(32)),
            ]
        ),
    ),
    "bytes after the DER": case([54], MALFORMED, "DER", lambda head: by()(head) + b"\0"),
    "BER": case([54], MALFORMED, "DER", lambda head: b"\x30\x80" + by()(head)[4:] + b"\0\0"),
    "no signed attributes": case([64], MALFORMED, "no signed attributes", raw(attributes=[])),
    "attached content": case([64], MALFORMED, "eContent", raw(signed_data=test_cms.attached)),
    "another content type": case([64], MALFORMED, "id-data", raw(signed_data=test_cms.other_type)),
    "two SignerInfos": case([64], MALFORMED, "has 2 signers", raw(signed_data=test_cms.twice)),
    "an unsigned attribute": case(
        [64],
        MALFORMED,
        "unsigned attributes",
        raw(signer_info=UNSIGNED),
    ),
    "a CRL inside": case([64, 74], MALFORMED, "carries CRLs", raw(signed_data=test_cms.add_crl)),
    "version of SignedData": case([64], MALFORMED, "version of the", raw(signed_data=test_cms.put(version="v3"))),
    "version of SignerInfo": case([64], MALFORMED, "version of the", raw(signer_info=test_cms.put(version="v3"))),
    "PSS with default parameters": case(
        [65], WEAK, "which means SHA-1", by("rsa-2048", algorithm={"algorithm": "rsassa_pss"})
    ),
    "PSS with another MGF hash": case([65], MALFORMED, "do not use MGF1", by(**test_cms.pss(mgf="sha512"))),
    "PSS with salt 0": case([65], WEAK, "salt has 0 bytes", by(**test_cms.pss(salt=0))),
    "PSS with salt 20": case([65], WEAK, "leave a field to its default", by(**test_cms.pss(salt=20))),
    "ECDSA hash is not the digest": case([66], MALFORMED, "go with", raw(algorithm={"algorithm": "sha384_ecdsa"})),
    "ML-DSA with a context": case(
        [66], "signature-wrong", "damaged, or made by another", by("ml-dsa-65", signer_info=context)
    ),
    "ML-DSA-44": case([66], WEAK, "ML-DSA-44", by("ml-dsa-44")),
    "RSA-1024 leaf": case([67], WEAK, "2048 to 8192 bits, this one 1024", by("rsa-1024")),
    "secp256k1 leaf": case([67], WEAK, "curve secp256k1", by("secp256k1")),
    "RSA-16384": case([67], WEAK, "this one 16384", numbered(65537, 16384)),
    "e = 2^64+1": case([67], WEAK, "18446744073709551617", numbered(2**64 + 1, 2048)),
    "one issuer and serial twice": case(
        [68], MALFORMED, "one issuer and serial", line(signer(serial=5), signer(serial=5, end=NOW + DAY))
    ),
    "denied as another encoding": case([69], "signer-denied", "list", GUSTAV, CARL, store=(DENY_GUS, GUS_SIGNER)),
    "a hybrid pair as two": case(
        [70], "too-few-signers", "only anna", ANNA, ANNA_PQ, store=("", demand(2, "anna", "bert", "carl"))
    ),
    "minted by one CA": case(
        [70],
        "too-few-signers",
        "only dora",
        world.DORA_PQ,
        by("ml-dsa-65", "Dora 2", issuer="Root PQ", issuer_kind="ml-dsa-65"),
        store=("", demand(2, "dora", "anna")),
    ),
    "post-quantum signature stripped": case(
        [71],
        "too-few-signers",
        "by post-quantum keys",
        ANNA,
        store=("", HYBRID),
    ),
    "ML-DSA under RSA": case(
        [71],
        "too-few-signers",
        "by post-quantum keys",
        DORA_MIXED,
        store=("", demand(1, "dora", algorithms=("post-quantum",))),
    ),
    "anchor as signer": case([72], "not-a-signer-certificate", "root CA", line(ROOT_SIGNER, owner="Root")),
    "intermediate for servers": case(
        [72],
        "wrong-purpose",
        "is not allowed to certify signers",
        line(signer(issuer="Intermediate"), WEB_CA),
    ),
    "critical constraints": case(
        [73],
        "chain-invalid",
        "RFC 5280",
        leaf(extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]),
    ),
    "path length": case(
        [73],
        "chain-invalid",
        "allows 0 CAs below it",
        line(signer(issuer="I2"), test_chain.line(2)[0], intermediate("I1", path_length=0)),
    ),
    "nine intermediates": case([73], "chain-invalid", "9 intermediate", line(signer(issuer="I9"), *test_chain.line(9))),
    "authority key identifier of another CA": case(
        [73], "chain-invalid", "identifies another certificate", leaf(extra=shapes.authority(b"another key"))
    ),
    "surplus certificate": case([73], MALFORMED, "is not on the signer's path", line(signer(), intermediate())),
    "64 surplus certificates": case(
        [73],
        MALFORMED,
        "certificates; 1 to 16 are allowed",
        line(signer(), *(intermediate(f"Surplus {n}") for n in range(64))),
    ),
    "list of another issuer": case([74], "crl-unusable", "no revocation", ANNA, store=("", LISTS.format("other.crl"))),
    "list without cRLSign": case(
        [74],
        "crl-unusable",
        "cRLSign",
        by(common="Hal", issuer="No Lists"),
        store=("", '[signers.hal]\nrole = "production"\nanchor = "no-lists.pem"\n' + LISTS.format("no-lists.crl")),
    ),
    "delta list": case([74], "crl-unusable", "delta", ANNA, store=("", LISTS.format("delta.crl"))),
    "list without nextUpdate": case([74], "crl-unusable", "nextUpdate", ANNA, store=("", LISTS.format("endless.crl"))),
    "a key for tests": case([75], "test-key", "which anyone can have", ANNA, store=("test", "")),
    "entry past its end": case([76], "signature-area-malformed", "", data=lambda: area(b"\xff\xff\xff\xff")),
    "zero entry, then another": case([76], "signature-area-dirty", "", data=behind_zero, also=["unsigned"]),
    "17 entries": case([76], "signature-area-malformed", "more than 16 entries", *(by() for _ in range(17))),
    "an entry twice": case([49, 76], "signature-area-malformed", "repeats an earlier one", *[by()] * 2),
    "over 64 KiB": case([76], MALFORMED, "more than the limit of 65536", lengthy, capacity=2**18),
    "below a floor": case([83], "below-floor", "is 7", ANNA, store=("floors = { imager = { counter = 8 } }", "")),
    "below a version": case(
        [83], "below-floor", "version is 5.40.00", ANNA, store=('floors = { imager = { version = "5.40.01" } }', "")
    ),
    "expired bundle": case([83], "bundle-expired", "until 2026-11-23", ANNA, store=("", ""), expires="2026-11-23"),
    "too old": case([83], "too-old", "days ago", ANNA, store=('max-age = "30 days"', ""), released="2026-10-01"),
}
"""The name, the rows of the survey, the rule that has to object, and words of its message."""

EXPLAINED = {
    54: "Attributes unsorted: a SET OF in DER has one order, and the reader encodes again and compares; test_cms.",
    65: "A PSS-only key used with PKCS #1 v1.5: test_chain. The maximum salt, which is good: among GOOD below.",
    66: "Ed25519 with SHA-256: test_cms.",
    68: "Two pinned keys with one key id: test_store plays the collision.",
    72: "A leaf in the trust folder is rejected when trust is read; the good intermediate is among GOOD below.",
    83: "Withdrawn: below, since its id has to be known.",
}
"""What of a row is not in the table, and where it is."""


def test_every_row_has_a_case():
    rows = {row for one in CASES.values() for row in one.rows}
    assert rows == {*range(38, 55), *range(64, 77), 83}
    assert rows >= set(EXPLAINED)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The files of these trust files: the world's, and lists of every kind."""
    folder = world.write(tmp_path_factory.mktemp("hostile"))
    no_lists = pki.certificate("No Lists", key("p256", "No Lists"), ca=True, usage=("key_cert_sign",))
    (folder / "no-lists.pem").write_bytes(pki.pem(no_lists))
    lists = {
        "anna": test_crl.make(world.ANNA_LEAF.serial_number),
        "other": test_crl.make(issuer="Other", signed_by=key("p256", "Root")),
        "stale": test_crl.make(start=NOW - 9 * DAY, end=NOW - DAY),
        "forged": test_crl.make(signed_by=key("p256", "Eve")),
        "delta": test_crl.make(extra=[x509.DeltaCRLIndicator(1)]),
        "endless": test_crl.without_next_update(test_crl.make()),
        "no-lists": test_crl.make(issuer="No Lists"),
    }
    for name, one in lists.items():
        (folder / f"{name}.crl").write_bytes(one.public_bytes(pki.Encoding.PEM))
    return folder


def store_of(one, folder):
    if not isinstance(one, tuple):
        return one
    more, end = one
    if more == "test":
        text = world.tomllib.loads("trust = 1" + world.SIGNERS)
        return world.policy.parse(text, folder / "trust.toml")
    if more == "products":
        signers = world.SIGNERS.replace('"development"', '"development"\nproducts = ["toaster"]')
        return trust(folder, signers=signers)
    return trust(folder, more, end)


@pytest.mark.parametrize("one", pki.where_ml_dsa_chains_verify(CASES, "minted by one CA"))
def test_refused_by_the_named_rule(place, one):
    data = one.data() if one.data else bundle(*one.signatures, **one.changes)
    report = check(store_of(one.store, place), data, at=one.at)
    if one.rule in (None, "crl-unusable"):
        assert report.verdict == "incomplete"
        reasons = [outcome.reason for outcome in report.rules if outcome.outcome == "not-run" and outcome.required]
        assert any(one.words in reason for reason in reasons)
        assert report.findings == ()
    else:
        assert report.verdict == "reject"
        assert set(rules(report)) == {one.rule, *one.also}
        assert any(one.words in finding.message for finding in report.findings if finding.rule == one.rule)
    assert report.release is None or one.rule in ("bundle-expired", "too-old", "below-floor")


def test_a_withdrawn_bundle(place):
    data = bundle(ANNA)
    name = reader.read(world.BytesSource(data)).id
    report = check(trust(place, f'withdrawn = {{ "{name}" = "wrong image" }}'), data)
    assert rules(report) == ["bundle-withdrawn"]
    assert report.findings[0].message == "this bundle was withdrawn: wrong image"


GOOD = {
    "intermediate with codeSigning": lambda: (
        ROOT,
        bundle(line(signer(issuer="Intermediate"), intermediate(purposes=[CODE_SIGNING]))),
    ),
    "PSS with the maximum salt": lambda: (
        ROOT,
        bundle(by(**test_cms.pss(salt=222))),
    ),
    "16 signatures": lambda: (ROOT, bundle(*(by() for _ in range(16)))),
    "two pinned keys, one of them compressed": lambda: (
        pki.unnamed(pki.Anchors(pinned=(pki.Pinned(name="gus", key=pki.describe(compressed(GUS))),))),
        bundle(pinned("p256", "Gus")),
    ),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_the_good_ones_are_accepted(make):
    store, data = make()
    assert check(store, data).verdict == "accept"


def test_a_pki_of_openssls(tmp_path):
    """Root, intermediate, signer, list and signature as a vendor makes them, revoked in the end."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=60)

    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=this\n[this]\ndatabase=index\nserial=serial\ncrlnumber=crlnumber\ndefault_md=sha256\n"
        "certificate=root.pem\nprivate_key=root.key\nnew_certs_dir=.\npolicy=any\ndefault_crl_days=30\n[any]\n"
        "commonName=supplied\n[signer]\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n"
    )
    for name, text in {"index": "", "serial": "1000\n", "crlnumber": "01\n"}.items():
        (tmp_path / name).write_text(text)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made = ["-keyout", "root.key", "-out", "root.pem", "-days", "9"]
    openssl("req", "-x509", *new, "-subj", "/CN=TEST ONLY Root", *made)
    openssl("req", "-new", *new, "-subj", "/CN=TEST ONLY Signer", "-keyout", "signer.key", "-out", "signer.csr")
    issue = "ca -batch -config ca.cnf -extensions signer -in signer.csr -out signer.pem -days 8 -notext"
    openssl(*issue.split())
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "root.crl")

    def sign(head):
        (tmp_path / "head").write_bytes(head)
        openssl(
            *[
                "cms",
                "-sign",
                "-binary",
                "-outform",
                "DER",
                "-in",
                "head",
                "-signer",
                "signer.pem",
                "-inkey",
                "signer.key",
                "-out",
                "sig",
            ]
        )
        return (tmp_path / "sig").read_bytes()

    data = bundle(sign)
    (tmp_path / "trust.toml").write_text(
        'trust = 1\nallow-test-keys = true\ncrls = { files = ["root.crl"], required = true }\n'
        '[signers.vendor]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=TEST ONLY Signer"\n'
    )
    now = dt.datetime.now(dt.UTC)
    report = check(load_trust([tmp_path / "trust.toml"]), data, at=now)
    assert (report.verdict, report.signatures[0].name) == ("accept", "vendor")
    openssl("ca", "-config", "ca.cnf", "-revoke", "signer.pem")
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "root.crl")
    assert rules(check(load_trust([tmp_path / "trust.toml"]), data, at=now)) == ["signer-revoked"]
