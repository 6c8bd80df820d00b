"""CMS as the tools of other formats make it. OpenSSL is the second judge: of good objects, and of spoiled ones."""

import hashlib
import json
import subprocess
import sys
import typing
from datetime import timedelta

import pytest
from asn1crypto import cms, core
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.cli.trust import lines
from bundlekit.integrity.content import SignedContent
from bundlekit.model.bundle import SignatureClaim, Span
from bundlekit.model.trust import Format
from bundlekit.source import BytesSource
from bundlekit.trust import SignatureFault, Signed, enclosed_content, load_trust, verify_claims
from bundlekit.trust.load import unnamed
from bundlekit.trust.overview import overview
from bundlekit.trust.store import Anchors
from tests.trust import pki
from tests.trust.pki import NOW, attribute, forge, key

CONTENT = b"[update]\ncompatible=box\nversion=2026.11-1\n"
RAUC = Signed(format="rauc", product="box")


def claim(blob, form="cms-detached", content=CONTENT):
    where = Span(start=len(content), stop=len(content) + len(blob))
    signed = () if form == "cms-enclosing" else (Span(start=0, stop=len(content)),)
    return SignatureClaim(index=0, signed=signed, blob=where, entry=where, form=form, value=blob)


def judge(blob, store, *, form="cms-detached", content=CONTENT, at=NOW, signed=RAUC, known=True):
    one = claim(blob, form, content)
    bytes_ = SignedContent(BytesSource(content), one.signed, known=content if known else None)
    return verify_claims([one], [bytes_], store, at, signed)


def rules(found):
    return [problem.rule for one in found for problem in one.problems]


def openssl(*arguments, cwd):
    return subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, check=False, timeout=30)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the content, the trust, and signers of several kinds."""
    folder = tmp_path_factory.mktemp("cms")
    (folder / "content").write_bytes(CONTENT)
    (folder / "root.pem").write_bytes(pki.pem(pki.root()))
    for kind in ("rsa-2048", "p256", "p384", "p521"):
        put(folder, kind, pki.signer(kind, common=f"Signer {kind}"), f"Signer {kind}")
    put(folder, "under", pki.signer("p256", issuer="Intermediate", common="Under"), "Under", "p256")
    (folder / "intermediate.pem").write_bytes(pki.pem(pki.intermediate()))
    (folder / "chain.pem").write_bytes(pki.pem(pki.intermediate()) + (folder / "root.pem").read_bytes())
    (folder / "pin.pem").write_bytes(pki.pem(key("p256", "Signer p256").public_key()))
    return folder


def put(folder, name, certificate, owner, kind=""):
    (folder / f"{name}.pem").write_bytes(pki.pem(certificate))
    (folder / f"{name}.key").write_bytes(pki.pem(key(kind or name, owner)))


def signed(place, *extra, signer="p256", source="content"):
    base = f"cms -sign -binary -outform DER -in {source} -signer {signer}.pem -inkey {signer}.key"
    done = openssl(*base.split(), *extra, cwd=place)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def openssl_accepts(place, blob, *, enclosing=False, trust="root.pem", content=CONTENT):
    (place / "judged.der").write_bytes(blob)
    (place / "judged").write_bytes(content)
    given_ = [] if enclosing else ["-content", "judged"]
    base = f"cms -verify -binary -inform DER -in judged.der -CAfile {trust} -purpose any -attime {int(NOW.timestamp())}"
    return openssl(*base.split(), *given_, cwd=place).returncode == 0


SALT = ["-keyopt", "rsa_padding_mode:pss", "-keyopt"]
MADE = {
    "rsa": ("rsa-2048", [], "rsa-2048-pkcs1v15-sha256"),
    "rsa sha512": ("rsa-2048", ["-md", "sha512"], "rsa-2048-pkcs1v15-sha512"),
    "pss": ("rsa-2048", ["-keyopt", "rsa_padding_mode:pss"], "rsa-2048-pss-sha256"),
    "pss salt as long as the digest": ("rsa-2048", [*SALT, "rsa_pss_saltlen:digest"], "rsa-2048-pss-sha256"),
    "pss longest salt": ("rsa-2048", [*SALT, "rsa_pss_saltlen:max"], "rsa-2048-pss-sha256"),
    "p256": ("p256", [], "ecdsa-p256-sha256"),
    "p384": ("p384", ["-md", "sha384"], "ecdsa-p384-sha384"),
    "p521": ("p521", ["-md", "sha512"], "ecdsa-p521-sha512"),
}
OPTIONS = {
    "plain": [],
    "no attributes": ["-noattr"],
    "no smimecap, as swugenerator": ["-nosmimecap"],
    "cades": ["-cades"],
    "keyid": ["-keyid"],
    "root comes along": ["-certfile", "root.pem"],
}


@pytest.mark.parametrize("enclosing", [False, True], ids=["detached", "enclosing"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("made", MADE)
def test_what_openssl_makes_counts(place, made, options, enclosing):
    signer, how, algorithm = MADE[made]
    blob = signed(place, *how, *OPTIONS[options], *(["-nodetach"] if enclosing else []), signer=signer)
    form = "cms-enclosing" if enclosing else "cms-detached"
    (found,) = judge(blob, load_trust(place / "root.pem"), form=form)
    assert found.counts, found.problems
    assert (found.algorithm, found.intact, found.trusted) == (algorithm, True, True)
    assert found.signer == f"CN=Signer {signer},O=TEST ONLY"
    assert openssl_accepts(place, blob, enclosing=enclosing)
    (untrusted,) = judge(blob, None, form=form)
    assert (untrusted.intact, untrusted.standing, untrusted.problems) == (True, "not-checked", ())


@pytest.mark.parametrize("attributes", [[], ["-noattr"]], ids=["attributes", "none"])
def test_other_content_is_rejected(place, attributes):
    blob, store = signed(place, *attributes), load_trust(place / "root.pem")
    found = judge(blob, store, content=CONTENT + b"\n")
    assert rules(found) == ["signature-wrong"]
    assert (found[0].intact, found[0].standing, found[0].trusted) == (False, "rejected", True)
    assert not openssl_accepts(place, blob, content=CONTENT + b"\n")
    assert rules(judge(blob, None, content=CONTENT + b"\n")) == ["signature-wrong"]


def test_content_is_read_as_a_stream(place, monkeypatch):
    """The spans of a file, without the content in memory. Signatures without attributes use its digest."""
    monkeypatch.setattr("bundlekit.integrity.content.MAX_WHOLE", 4)
    for extra in ([], ["-noattr"]):
        (found,) = judge(signed(place, *extra), load_trust(place / "root.pem"), known=False)
        assert found.counts


@pytest.mark.parametrize(
    ("extra", "signer", "expected"),
    [
        (["-certfile", "intermediate.pem"], "under", []),
        (["-certfile", "chain.pem"], "under", []),
        ([], "under", ["signer-unknown"]),
        (["-certfile", "intermediate.pem"], "p256", ["signature-malformed"]),
        (["-nocerts"], "p256", ["signer-unknown"]),
        (["-nocerts", "-keyid"], "p256", ["signer-unknown"]),
    ],
    ids=["intermediate", "chain with the root", "no intermediate", "stray intermediate", "no certificate", "key alone"],
)
def test_the_certificates_that_come_along(place, extra, signer, expected):
    assert rules(judge(signed(place, *extra, signer=signer), load_trust(place / "root.pem"))) == expected


@pytest.mark.parametrize(
    ("extra", "expected", "other"),
    [
        ("-nocerts", [], ["signature-wrong"]),
        ("-nocerts -noattr", [], ["signer-unknown"]),
        ("-nocerts -keyid", [], ["signature-wrong"]),
        ("-nocerts -keyid -noattr", [], ["signature-wrong"]),
        ("-cades", [], ["signature-wrong"]),
        ("", ["signature-malformed"], ["signature-wrong", "signature-malformed"]),
        ("-noattr", ["signature-malformed"], ["signature-wrong", "signature-malformed"]),
    ],
)
def test_a_pinned_key(place, extra, expected, other):
    """A certificate that comes along has to be covered by something: the signature, or the signature of an anchor."""
    blob, store = signed(place, *extra.split()), load_trust(place / "pin.pem")
    (found,) = judge(blob, store)
    assert rules([found]) == expected
    assert found.counts is not bool(expected)
    assert found.key_id == store.trusted.pinned[0].key.id
    assert rules(judge(blob, store, content=b"other")) == other


@pytest.mark.parametrize("is_ca", [True, False], ids=["CA", "no CA"])
def test_a_self_signed_certificate_counts_by_its_pinned_key(place, is_ca):
    """RAUC's first steps make such a certificate (`openssl req -x509`). It is no anchor, but its key covers it."""
    own = pki.certificate("Own", key("p256", "Own"), ca=is_ca, usage=("digital_signature", "key_cert_sign"))
    put(place, "own", own, "Own", "p256")
    (place / "own.pub.pem").write_bytes(pki.pem(key("p256", "Own").public_key()))
    blob = signed(place, signer="own")
    (found,) = judge(blob, load_trust(place / "own.pub.pem"))
    assert found.counts, found.problems
    assert rules(judge(blob, load_trust(place / "pin.pem"))) == ["signer-unknown"]
    if is_ca:  # the keyring of RAUC
        assert rules(judge(blob, load_trust(place / "own.pem")))[:1] == ["not-a-signer-certificate"]
    spoiled = blob.replace(b"Own", b"OwN")
    assert not judge(spoiled, load_trust(place / "own.pub.pem"))[0].counts


UNSUITABLE: dict[str, dict] = {
    "no purpose": {"purposes": None},
    "another purpose": {"purposes": [pki.SERVER_AUTH]},
    "expired": {"end": NOW - timedelta(days=1)},
    "no usage": {"usage": ("key_agreement",)},
}


@pytest.mark.parametrize("case", UNSUITABLE)
def test_a_pinned_key_counts_with_an_unsuitable_certificate_that_an_anchor_signed(case):
    """RAUC puts the certificate in, and often it has no purpose. The anchor covers its bytes."""
    private, certificate = key("p256", "Signer"), pki.signer(**UNSUITABLE[case])
    blob = forge(private, [certificate], head=CONTENT)
    pin = pki.pins(private).trusted.pinned
    anchor, other = (pki.anchors(pki.root(*which)).trusted.anchors for which in ((), ("p384", "Root")))
    (found,) = judge(blob, unnamed(Anchors(anchors=anchor, pinned=pin)))
    assert (found.counts, found.anchor, found.chain) == (True, "pinned.pem", ("CN=Signer,O=TEST ONLY",))
    assert not judge(blob, unnamed(Anchors(anchors=anchor)))[0].counts
    for anchors in ((), other):  # nobody covers the certificate, or an anchor with the name alone
        assert rules(judge(blob, unnamed(Anchors(anchors=anchors, pinned=pin)))) == ["signature-malformed"]
    der_ = pki.der(certificate)
    at = blob.index(der_)
    for place_ in range(at, at + len(der_)):
        spoiled = bytearray(blob)
        spoiled[place_] ^= 1
        assert not judge(bytes(spoiled), unnamed(Anchors(anchors=anchor, pinned=pin)))[0].counts


TWO = ["-signer", "p384.pem", "-inkey", "p384.key"]


def test_each_signer_is_a_signature_and_all_must_be_right(place):
    blob = signed(place, *TWO, signer="rsa-2048")
    found = judge(blob, load_trust(place / "root.pem"))
    assert [one.index for one in found] == [0, 1]
    assert {one.signer for one in found} == {"CN=Signer p384,O=TEST ONLY", "CN=Signer rsa-2048,O=TEST ONLY"}
    assert all(one.counts for one in found)
    assert rules(judge(blob, load_trust(place / "root.pem"), content=b"other")) == ["signature-wrong"] * 2


def test_an_unknown_second_signer_is_rejected(place):
    stranger = pki.signer("p256", issuer="Stranger", issuer_kind="p384", common="Foreign")
    put(place, "foreign", stranger, "Foreign", "p256")
    blob = signed(place, "-signer", "foreign.pem", "-inkey", "foreign.key", signer="rsa-2048")
    found = judge(blob, load_trust(place / "root.pem"))
    assert sorted(one.standing for one in found) == ["counted", "rejected"]
    assert rules(found) == ["signer-unknown"]


LEAVES: dict[str, tuple[dict, list[str]]] = {
    "expired": ({"end": NOW - timedelta(days=1)}, ["signer-expired"]),
    "not yet valid": ({"start": NOW + timedelta(days=1), "end": NOW + timedelta(days=9)}, ["signer-not-yet-valid"]),
    "mail": ({"purposes": [pki.ExtendedKeyUsageOID.EMAIL_PROTECTION]}, ["wrong-purpose"]),
    "no purpose": ({"purposes": None}, ["wrong-purpose"]),
    "no usage": ({"usage": ("key_agreement",)}, ["not-a-signer-certificate"]),
    "CA": ({"ca": True, "usage": ("digital_signature", "key_cert_sign")}, ["not-a-signer-certificate"]),
    "stranger": ({"issuer": "Stranger"}, ["signer-unknown"]),
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_certificate_of_the_signer(leaf):
    options, expected = LEAVES[leaf]
    blob = forge(key("p256", "Signer"), [pki.signer(**options)], head=CONTENT)
    assert rules(judge(blob, pki.anchors(pki.root()))) == expected


@pytest.mark.parametrize("purposes", [[pki.ExtendedKeyUsageOID.EMAIL_PROTECTION], [pki.CODE_SIGNING], None])
def test_mail_certificates_count_where_the_purpose_says_so(purposes):
    """Without an extended key usage a certificate is for neither, as for update.bin."""
    blob = forge(key("p256", "Signer"), [pki.signer(purposes=purposes)], head=CONTENT)
    store = unnamed(pki.anchors(pki.root()).trusted, purpose="email-protection")
    mail = [pki.ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert rules(judge(blob, store)) == ([] if purposes == mail else ["wrong-purpose"])


def test_ed25519_with_and_without_attributes(monkeypatch):
    private = key("ed25519", "Signer")
    certificates = [pki.signer("ed25519")]
    with_, without = (forge(private, certificates, head=CONTENT, digest="sha512", attributes=a) for a in (None, []))
    store = pki.anchors(pki.root())
    for blob in (with_, without):
        (found,) = judge(blob, store)
        assert (found.counts, found.algorithm) == (True, "ed25519"), found.problems
        assert rules(judge(blob, store, content=b"other")) == ["signature-wrong"]
    monkeypatch.setattr("bundlekit.integrity.content.MAX_WHOLE", 4)
    assert judge(with_, store, known=False)[0].counts
    (found,) = judge(without, store, known=False)
    assert (rules([found]), found.intact, found.standing) == (["chain-unsupported"], None, "rejected")
    assert "is over 42 bytes as a whole" in found.reason


TRUST = """
trust = 1
allow-test-keys = true
{top}
[signers.release]
role = "production"
anchor = "root.pem"
subject = "CN=Signer p256,O=TEST ONLY"
{more}
"""


def toml(place, more, top=""):
    (place / "trust.toml").write_text(TRUST.format(more=more, top=top))
    return load_trust(place / "trust.toml")


@pytest.mark.parametrize(
    ("more", "top", "expected"),
    [
        ('formats = ["rauc"]', "", []),
        ('formats = ["update.bin", "rauc"]', "", []),
        ("", "", ["out-of-scope"]),
        ('formats = ["swupdate", "mcuboot"]', "", ["out-of-scope"]),
        ('formats = ["rauc"]\nproducts = ["box"]', "", []),
        ('formats = ["rauc"]\nproducts = ["crate"]', "", ["out-of-scope"]),
        ('formats = ["rauc"]\nuntil = 2026-11-23', "", ["signer-expired"]),
        ('formats = ["rauc"]\npurpose = "email-protection"', "", ["wrong-purpose"]),
        ('formats = ["rauc"]', 'floor = { hash = "sha512" }', ["weak-algorithm"]),
        ('formats = ["rauc"]', 'deny = ["p256.pem"]', ["signer-denied"]),
    ],
)
@pytest.mark.parametrize("options", [[], ["-noattr"]])
def test_a_trust_file_names_signer_and_format(place, more, top, expected, options):
    (found,) = judge(signed(place, *options), toml(place, more, top))
    assert rules([found]) == expected
    assert (found.name, found.role, found.counts) == ("release", "production", not expected)


def test_the_same_trust_as_pem_counts_for_every_format(place):
    blob, store = signed(place), load_trust(place / "root.pem")
    for name in typing.get_args(Format):
        assert judge(blob, store, signed=Signed(format=name))[0].counts


@pytest.mark.parametrize(("intermediates", "expected"), [("bundle", []), ("listed", ["signer-unknown"])])
def test_intermediates_of_the_bundle(place, intermediates, expected):
    text = TRUST.replace("p256", "under").format(top=f'intermediates = "{intermediates}"', more='formats = ["rauc"]')
    (place / "trust.toml").write_text(text.replace("CN=Signer under", "CN=Under"))
    blob = signed(place, "-certfile", "intermediate.pem", signer="under")
    assert rules(judge(blob, load_trust(place / "trust.toml"))) == expected
    (place / "trust.toml").write_text(
        text.replace("CN=Signer under", "CN=Under").replace(
            f'"{intermediates}"', '"listed"\nintermediate-files = ["intermediate.pem"]'
        )
    )
    for extra in ([], ["-certfile", "intermediate.pem"]):
        assert judge(signed(place, *extra, signer="under"), load_trust(place / "trust.toml"))[0].counts


@pytest.mark.parametrize(
    ("formats", "usable"),
    [('["rauc"]', True), ('["update.bin"]', True), ('["advisories", "esp"]', True), ('["advisories"]', False)],
)
def test_the_overview_names_the_formats(place, formats, usable):
    store = toml(place, f"formats = {formats}")
    (view,) = overview(store, NOW).signers
    assert view.usable is usable
    assert list(view.formats) == json.loads(formats)
    (line, *_) = [one.text for one in lines(overview(store, NOW)) if one.text.startswith("signer")]
    assert line.endswith(f", signs {', '.join(view.formats)}")
    assert ("UNUSABLE: signs advisories only" in line) is not usable


ANY = pki.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
MAIL = pki.ExtendedKeyUsageOID.EMAIL_PROTECTION


@pytest.mark.parametrize(
    ("purposes", "expected"),
    [([ANY], ["wrong-purpose"]), ([ANY, MAIL], []), ([MAIL], []), (None, []), ([pki.CODE_SIGNING], ["wrong-purpose"])],
)
def test_a_ca_for_any_purpose_certifies_no_signer_of_other_formats(tmp_path, purposes, expected):
    """RFC 5280 allows it, and update.bin too. Devices verify with OpenSSL, which does not count it."""
    leaf = pki.signer(issuer="Intermediate", purposes=[MAIL])
    blob = forge(key("p256", "Signer"), [leaf, pki.intermediate(purposes=purposes)], head=CONTENT)
    found = judge(blob, unnamed(pki.anchors(pki.root()).trusted, purpose="email-protection"))
    assert rules(found) == expected
    messages = [problem.message for one in found for problem in one.problems]
    assert all(("anyExtendedKeyUsage" in one) is (purposes == [ANY]) for one in messages)
    for file, data in (("blob", blob), ("content", CONTENT), ("root.pem", pki.pem(pki.root()))):
        (tmp_path / file).write_bytes(data)
    command = "cms -verify -inform DER -in blob -content content -CAfile root.pem -purpose smimesign -binary -out out"
    done = openssl(*command.split(), "-attime", str(int(NOW.timestamp())), cwd=tmp_path)
    assert (done.returncode == 0) is not bool(expected), done.stderr


# --- hostile objects ---


def der(tag, *contents):
    body = b"".join(contents)
    size = len(body)
    length = bytes([size]) if size < 0x80 else bytes([0x82, size >> 8, size & 0xFF])
    return bytes([tag]) + length + body


def change(**fields):
    """Change fields of the SignedData."""
    return {"signed_data": lambda data: data.update(fields)}


def info(**fields):
    return {"signer_info": lambda one: one.update(fields)}


def twice(data):
    data["signer_infos"] = data["signer_infos"] * 2


MESSAGE_DIGEST = attribute("message_digest", hashlib.sha256(CONTENT).digest())
TIME = attribute("signing_time", cms.Time({"utc_time": NOW}))
CRL = cms.RevocationInfoChoices([cms.RevocationInfoChoice({"other": {
    "other_rev_info_format": "1.2.3", "other_rev_info": core.Null()}})])  # fmt: skip

HOSTILE: dict[str, tuple[dict, str]] = {
    "one signer twice": ({"signed_data": twice}, "signers are identical"),
    "no signer": (change(signer_infos=[]), "has 0 signers"),
    "a version of the signer": (info(version="v3"), "is 3; RFC 5652 requires"),
    "a version of the data": (change(version="v3"), "is 3; RFC 5652 requires"),
    "unsigned attributes": (info(unsigned_attrs=cms.CMSAttributes([TIME])), "unsigned attributes"),
    "another digest": (change(digest_algorithms=[{"algorithm": "sha512"}]), "digestAlgorithms are not"),
    "one digest more": (
        change(digest_algorithms=[{"algorithm": "sha256"}, {"algorithm": "sha512"}]), "digestAlgorithms are not"),
    "the digest twice": (change(digest_algorithms=[{"algorithm": "sha256"}] * 2), "digestAlgorithms are not"),
    "no content type": ({"attributes": [MESSAGE_DIGEST]}, "contentType has 0 values"),
    "another content type": (
        {"attributes": [attribute("content_type", "signed_data"), MESSAGE_DIGEST]}, "contentType attribute is not"),
    "no digest": ({"attributes": [attribute("content_type", "data")]}, "messageDigest has 0 values"),
    "an attribute twice": (
        {"attributes": [attribute("content_type", "data"), MESSAGE_DIGEST, TIME, TIME]}, "is given twice"),
    "content of another type": (change(encap_content_info={"content_type": "1.2.3.4"}), "not of type id-data"),
    "content inside": (
        change(encap_content_info={"content_type": "data", "content": CONTENT}), "a content of its own"),
    "the certificate twice": (
        {"signed_data": lambda data: data.update(certificates=data["certificates"] * 2)}, "one issuer and serial"),
    "the root of a stranger": (
        {"signed_data": lambda data: data.update(certificates=[
            *data["certificates"], cms.Certificate.load(pki.der(pki.root("p384", "Stranger")))])},
        "not on the path of a signer"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_object(name):
    how, message = HOSTILE[name]
    blob = forge(key("p256", "Signer"), [pki.signer()], head=CONTENT, **how)
    (found,) = judge(blob, pki.anchors(pki.root()))
    assert rules([found]) == ["signature-malformed"]
    assert message in found.reason
    assert found.standing == "rejected"


def test_lists_that_come_along_are_ignored():
    blob = forge(key("p256", "Signer"), [pki.signer()], head=CONTENT, **change(crls=CRL))
    assert judge(blob, pki.anchors(pki.root()))[0].counts


@pytest.mark.parametrize("digest", ["sha1", "sha224"])
def test_weak_digests(digest):
    blob = forge(key("p256", "Signer"), [pki.signer()], head=CONTENT, digest=digest)
    assert rules(judge(blob, pki.anchors(pki.root()))) == ["weak-algorithm"]


@pytest.mark.parametrize("kind", ["rsa-1024", "secp256k1", "rsa-e3"])
def test_weak_keys(kind):
    blob = forge(key(kind, "Signer"), [pki.signer(kind)], head=CONTENT)
    assert rules(judge(blob, pki.anchors(pki.root()))) == ["weak-algorithm"]


@pytest.mark.parametrize("salt", [0, 20])
def test_short_salts(salt):
    padding = pki.padding.PSS(pki.padding.MGF1(pki.DIGESTS["sha256"]), salt)
    options = {"algorithm": pki.pss_algorithm(salt=salt), "rsa_padding": padding}
    blob = forge(key("rsa-2048", "Signer"), [pki.signer("rsa-2048")], head=CONTENT, **options)
    assert rules(judge(blob, pki.anchors(pki.root()))) == ["weak-algorithm"]


def good(**options):
    return forge(key("p256", "Signer"), [pki.signer()], head=CONTENT, **options)


ENCODINGS = {
    "empty": lambda blob: b"",
    "a byte behind": lambda blob: blob + b"\0",
    "another object behind": lambda blob: blob * 2,
    "indefinite length": lambda blob: b"\x30\x80" + blob[4:] + b"\0\0",
    "a longer length": lambda blob: b"\x30\x83\0" + blob[2:],
    "a length past the end": lambda blob: b"\x30\x84\xff\xff\xff\xff" + blob[4:],
    "a length of 127 bytes": lambda blob: b"\x30\xff" + b"\xff" * 127,
    "cut": lambda blob: blob[:-1],
    "too large": lambda blob: blob + bytes(65536),
    "deep": lambda blob: b"\x30\x80" * 20000,
    "PEM": lambda blob: pki.pem_of("CMS", blob),
    "data alone": lambda blob: der(0x30, core.ObjectIdentifier("1.2.840.113549.1.7.1").dump()),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoding_that_is_not_one(name):
    spoiled = ENCODINGS[name](good())
    for form in ("cms-detached", "cms-enclosing"):
        assert rules(judge(spoiled, pki.anchors(pki.root()), form=form)) == ["signature-malformed"]
    with pytest.raises(SignatureFault):
        enclosed_content(spoiled)


def test_attributes_out_of_order():
    """DER sorts them. A signature over another order would be one over other bytes."""
    blob = good(attributes=[attribute("content_type", "data"), MESSAGE_DIGEST, TIME])
    sorted_ = cms.ContentInfo.load(blob)["content"]["signer_infos"][0]["signed_attrs"]
    parts = [one.dump() for one in sorted_]
    spoiled = blob.replace(b"".join(parts), b"".join(reversed(parts)))
    assert spoiled != blob
    assert rules(judge(spoiled, pki.anchors(pki.root()))) == ["signature-malformed"]
    assert judge(blob, pki.anchors(pki.root()))[0].counts


def test_attributes_are_not_taken_for_content():
    """The value over signed attributes is also one over a content of the same bytes, without attributes."""
    info_ = cms.ContentInfo.load(good())["content"]["signer_infos"][0]
    attributes, value = info_["signed_attrs"].untag().dump(), info_["signature"].native
    blob = good(attributes=[], **info(signature=value))
    assert rules(judge(blob, pki.anchors(pki.root()), content=attributes)) == ["signature-malformed"]
    assert rules(judge(blob, pki.anchors(pki.root()))) == ["signature-wrong"]


def test_the_form_has_to_fit():
    inside = good(**change(encap_content_info={"content_type": "data", "content": CONTENT}))
    assert enclosed_content(inside) == CONTENT
    assert judge(inside, pki.anchors(pki.root()), form="cms-enclosing")[0].counts
    assert rules(judge(good(), pki.anchors(pki.root()), form="cms-enclosing")) == ["signature-malformed"]
    with pytest.raises(SignatureFault, match="encloses no content"):
        enclosed_content(good())
    changed = inside.replace(b"box", b"bix")
    assert rules(judge(changed, pki.anchors(pki.root()), form="cms-enclosing")) == ["signature-wrong"]


@pytest.mark.exhaustive
def test_each_byte_matters():
    """No changed byte is accepted, by either of two bits. ECDSA values aside, none has two encodings."""
    store = pki.anchors(pki.root())
    for blob in (good(), good(attributes=[])):
        assert judge(blob, store)[0].counts
        for place_ in range(len(blob)):
            for bit in (0x01, 0x80):
                spoiled = bytearray(blob)
                spoiled[place_] ^= bit
                found = judge(bytes(spoiled), store)
                assert not any(one.counts for one in found), (place_, bit)
                assert rules(found)
                assert "weak-algorithm" not in rules(found)  # a damaged key is not a weak one


def test_each_truncation_is_malformed():
    blob = good()
    for size in range(len(blob)):
        assert rules(judge(blob[:size], None)) == ["signature-malformed"]


GOOD = good()
PLACES = st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda at, new: GOOD[:at] + new + GOOD[at:], *PLACES),
        st.builds(lambda at, new: GOOD[:at] + new + GOOD[at + len(new) :], *PLACES),
    )
)
def test_any_bytes_are_evidence(blob):
    for form in ("cms-detached", "cms-enclosing"):
        for store in (None, pki.anchors(pki.root())):
            found = judge(blob, store, form=form)
            assert found
            assert not any(one.counts for one in found) or blob == GOOD


SPOILED = {
    "no change": lambda blob: blob,
    "the value": lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]),
    "the name": lambda blob: blob.replace(b"Signer p256", b"signer p256"),
    "cut": lambda blob: blob[:-1],
    "empty": lambda blob: b"",
}


@pytest.mark.parametrize("name", SPOILED)
def test_openssl_does_not_accept_what_we_reject(place, name):
    """The other direction is no rule: OpenSSL accepts BER, weak digests and stray certificates."""
    blob = SPOILED[name](signed(place))
    found = judge(blob, load_trust(place / "root.pem"))
    assert openssl_accepts(place, blob) is all(one.counts for one in found)


def test_an_update_bin_loads_nothing_of_other_formats():
    code = (
        "import sys, bundlekit, pathlib\n"
        "trust = bundlekit.load_trust([pathlib.Path('fixtures/keys/trust')])\n"
        "found = bundlekit.preflight('fixtures/golden/accept/signed-by-chain/bundle.bin', trust=trust)\n"
        "assert found.signatures[0].counts\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "bundlekit.trust.verify" in loaded
    assert not loaded & {f"bundlekit.trust.{name}" for name in ("foreign", "raw")}
