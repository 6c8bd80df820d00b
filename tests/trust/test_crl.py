"""Revocation lists: revoked is one answer, not known is another, and neither is yes."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from bundlekit.errors import TrustError
from bundlekit.trust import crl
from bundlekit.trust.overview import overview
from tests.trust import pki, world
from tests.trust.pki import NOW, intermediate, key, root, signer
from tests.trust.world import bundle, check, rules, trust

DAY = timedelta(days=1)
IDP: dict[str, Any] = {
    "full_name": None,
    "relative_name": None,
    "only_contains_user_certs": False,
    "only_contains_ca_certs": False,
    "only_some_reasons": None,
    "indirect_crl": False,
    "only_contains_attribute_certs": False,
}
LEAF = signer(common="Anna", serial=4711)


def make(*revoked, issuer="Root", signed_by=None, start=NOW - DAY, end=NOW + DAY, extra=(), hash_=None, entry=()):
    """A list of Root's that revokes these serial numbers."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(pki.name(issuer)).last_update(start).next_update(end)
    for serial in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - 5 * DAY)
        for extension in entry:
            one = one.add_extension(extension, critical=True)
        builder = builder.add_revoked_certificate(one.build())
    for extension in extra:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(signed_by or key("p256", issuer), hash_ or hashes.SHA256())


def without_next_update(crl):
    """The same list with no nextUpdate, signed again: the library does not write such."""
    from asn1crypto import crl as asn1

    parsed = asn1.CertificateList.load(crl.public_bytes(pki.Encoding.DER))
    body = parsed["tbs_cert_list"]
    del body["next_update"]
    body = asn1.TbsCertList.load(asn1.TbsCertList({name: body[name] for name in body if body[name].native}).dump())
    signature = pki.raw_sign(key("p256", "Root"), body.dump())
    fields = {"tbs_cert_list": body, "signature_algorithm": parsed["signature_algorithm"], "signature": signature}
    return x509.load_der_x509_crl(asn1.CertificateList(fields).dump())


def judge(tmp_path, *lists, more="", required=True, at=NOW, leaf=LEAF, above=(), anchor=None):
    world.write(tmp_path)
    (tmp_path / "root.pem").write_bytes(pki.pem(anchor or root()))
    names = []
    for number, one in enumerate(lists):
        names.append(f"{number}.crl")
        (tmp_path / names[-1]).write_bytes(one if isinstance(one, bytes) else one.public_bytes(pki.Encoding.PEM))
    text = f"[crls]\nfiles = {names}\nrequired = {str(required).lower()}\n{more}".replace("'", '"')
    signature = world.by(common="Anna", leaf=leaf, above=above)
    return check(trust(tmp_path, end=text), bundle(signature), at=at)


def test_a_current_list_that_does_not_name_the_signer(tmp_path):
    report = judge(tmp_path, make(1, 2, 3))
    assert (report.verdict, report.findings) == ("accept", ())


def test_der_and_pem(tmp_path):
    assert judge(tmp_path, make().public_bytes(pki.Encoding.DER)).verdict == "accept"


REVOKED = {
    "named": [make(4711)],
    "named among others": [make(1, 4711, 9)],
    "named in one of two": [make(), make(4711)],
    "named in a stale list": [make(4711, start=NOW - 9 * DAY, end=NOW - 8 * DAY), make()],
    "named in a list without nextUpdate": [without_next_update(make(4711))],
}


@pytest.mark.parametrize("lists", REVOKED.values(), ids=REVOKED)
@pytest.mark.parametrize("required", [True, False], ids=["required", "not required"])
def test_revoked_is_revoked(tmp_path, lists, required):
    report = judge(tmp_path, *lists, required=required)
    assert rules(report) == ["signer-revoked"]
    assert "'CN=Anna,O=TEST ONLY' was revoked by 'CN=Root,O=TEST ONLY' on 2026-11-19" in report.findings[0].message


@pytest.mark.parametrize("time", ["now", "released"])
def test_revoked_whatever_the_release_date(tmp_path, time):
    report = judge(tmp_path, make(4711), at=NOW + timedelta(hours=1))
    assert rules(report) == ["signer-revoked"]
    text = f'time = "{time}"\ncrls = {{ files = ["0.crl"] }}'
    report = check(trust(tmp_path, text), bundle(world.by(common="Anna", leaf=LEAF), released="2026-11-01"))
    assert "signer-revoked" in rules(report)


UNKNOWN = {
    "of another CA": ([make(4711, issuer="Other")], "there is no revocation list of 'CN=Root,O=TEST ONLY'"),
    "stale": ([make(start=NOW - 9 * DAY, end=NOW - DAY)], "is stale: the next one was due on 2026-11-23"),
    "from the future": ([make(start=NOW + DAY, end=NOW + 9 * DAY)], "was issued on 2026-11-25 00:00:00 UTC, after"),
    "without nextUpdate": ([without_next_update(make())], "does not state when the next one is due"),
    "signed by another with that name": ([make(4711, signed_by=key("p256", "Eve"))], "not signed by that CA"),
    "with another issuer name and the same key": (
        [make(4711, issuer="Other", signed_by=key("p256", "Root"))],
        "there is no revocation list",
    ),
    "delta": ([make(4711, extra=[x509.DeltaCRLIndicator(1)])], "is a delta list"),
    "indirect": (
        [make(4711, extra=[x509.IssuingDistributionPoint(**IDP | {"indirect_crl": True})])],
        "limited to some certificates, or indirect",
    ),
    "for users' certificates only": (
        [make(extra=[x509.IssuingDistributionPoint(**IDP | {"only_contains_user_certs": True})])],
        "limited to some certificates",
    ),
    "with somebody else's entries": (
        [make(4711, entry=[x509.CertificateIssuer([x509.DirectoryName(pki.name("Other"))])])],
        "limited to some certificates, or indirect",
    ),
    "with an entry that has an unknown critical extension": (
        [make(4711, entry=[x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")])],
        "an entry of it has the critical extension 1.2.3.4, which is not understood",
    ),
    "with another's entry that has an unknown critical extension": (
        [make(1, entry=[x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")])],
        "an entry of it has the critical extension 1.2.3.4, which is not understood",
    ),
    "with an unknown critical extension": (
        [make(4711, extra=[x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")])],
        "critical extension 1.2.3.4, which is not understood",
    ),
}


@pytest.mark.parametrize(("lists", "words"), UNKNOWN.values(), ids=UNKNOWN)
def test_not_known_is_neither_yes_nor_no(tmp_path, lists, words):
    report = judge(tmp_path, *lists)
    assert (report.verdict, report.findings, report.release) == ("incomplete", (), None)
    reasons = {one.rule: one.reason for one in report.rules if one.outcome == "not-run" and one.required}
    assert words in reasons["crl-unusable"]
    assert reasons["too-few-signers"] == "required signatures do not count; other rules give the reasons"
    assert report.signatures[0].standing == "undecided"


@pytest.mark.parametrize("kind", UNKNOWN)
def test_where_lists_are_welcome_what_they_do_not_say_does_not_matter(tmp_path, kind):
    """But a list of the CA that cannot be understood may say it: it counts, or nothing does."""
    lists, words = UNKNOWN[kind]
    report = judge(tmp_path, *lists, required=False)
    if not any(crl.read(Path("x"), pki.der(one))[0].fault for one in lists):
        assert report.verdict == "accept"
        return
    assert report.verdict == "incomplete"
    assert words in {one.rule: one.reason for one in report.rules}["crl-unusable"]
    assert judge(tmp_path, make(), *lists, required=True).verdict == "incomplete"


def test_the_greatest_age(tmp_path):
    old = make(start=NOW - 9 * DAY, end=NOW + 90 * DAY)
    assert judge(tmp_path, old, more='max-age = "9 days"').verdict == "accept"
    report = judge(tmp_path, old, more='max-age = "8 days"')
    assert report.verdict == "incomplete"
    assert "older than the trust file allows" in report.signatures[0].reason


def test_the_last_and_the_first_second(tmp_path):
    for one in (make(end=NOW, start=NOW - DAY), make(start=NOW, end=NOW + DAY)):
        assert judge(tmp_path, one).verdict == "accept"


def test_a_ca_that_may_not_sign_lists(tmp_path):
    anchor = root(usage=("key_cert_sign",))
    report = judge(tmp_path, make(4711), anchor=anchor)
    assert report.verdict == "incomplete"
    assert "cRLSign" in report.signatures[0].reason
    assert judge(tmp_path, make(), anchor=root(usage=None)).verdict == "accept"  # without key usage it may


def test_every_certificate_but_the_anchor_is_asked_about(tmp_path):
    middle = intermediate(serial=99)
    line = {"leaf": signer(common="Anna", issuer="Intermediate", serial=4711), "above": [middle]}
    lower = make(issuer="Intermediate")
    assert judge(tmp_path, make(), lower, **line).verdict == "accept"
    report = judge(tmp_path, make(), **line)
    assert "no revocation list of 'CN=Intermediate" in report.signatures[0].reason
    assert rules(judge(tmp_path, make(99), lower, **line)) == ["signer-revoked"]
    assert rules(judge(tmp_path, make(), make(4711, issuer="Intermediate"), **line)) == ["signer-revoked"]
    # The anchor is there because the operator wants it; its serial number on a list of its own says nothing.
    assert judge(tmp_path, make(root().serial_number), lower, **line).verdict == "accept"


def test_a_pinned_key_needs_no_list(tmp_path):
    world.write(tmp_path)
    (tmp_path / "0.crl").write_bytes(make(issuer="Other").public_bytes(pki.Encoding.PEM))
    text = '[crls]\nfiles = ["0.crl"]\nrequired = true\n'
    assert check(trust(tmp_path, end=text), bundle(world.CARL)).verdict == "accept"
    report = check(trust(tmp_path, end=text), bundle(world.CARL, world.ANNA))
    assert report.verdict == "incomplete"


def test_understood_extensions_of_entries_change_nothing(tmp_path):
    entry = [x509.CRLReason(x509.ReasonFlags.key_compromise), x509.InvalidityDate(NOW.replace(tzinfo=None))]
    assert rules(judge(tmp_path, make(4711, entry=entry))) == ["signer-revoked"]


SECOND = {
    "second of two": lambda: pki.pem(make()) + pki.pem(make(4711)),
    "first of two": lambda: pki.pem(make(4711)) + pki.pem(make()),
    "third, after words": lambda: b"two old ones\n" + pki.pem(make()) * 2 + b"# new\n" + pki.pem(make(4711)),
    "DOS line ends": lambda: (pki.pem(make()) + pki.pem(make(4711))).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("data", SECOND.values(), ids=SECOND)
@pytest.mark.parametrize("required", [True, False])
def test_every_list_of_a_file_counts(tmp_path, data, required):
    assert rules(judge(tmp_path, data(), required=required)) == ["signer-revoked"]


LISTS = {
    "a certificate after a list": (lambda: pki.pem(make()) + pki.pem(root()), "damaged, or is not one"),
    "a list that another label names": (lambda: pki.pem(make()).replace(b"X509 CRL", b"CRL"), "damaged, or is not one"),
    "a byte after DER": (lambda: pki.der(make()) + b"\0", "damaged, or is not one"),
    "a list in DER after one in DER": (lambda: pki.der(make()) * 2, "damaged, or is not one"),
    "a second list cut off": (lambda: pki.pem(make()) + pki.pem(make(4711))[:-30], "not a PEM file"),
    "a second list without its first line": (
        lambda: pki.pem(make()) + pki.pem(make(4711)).partition(b"\n")[2],
        "outside its PEM blocks",
    ),
    "DER after PEM": (lambda: pki.pem(make()) + pki.der(make(4711)), "outside its PEM blocks"),
    "words after a list": (lambda: pki.pem(make()) + b"that was all\n", "outside its PEM blocks"),
    "too many": (lambda: pki.pem(make()) * 65, "more than 64 revocation lists"),
    "nothing": (lambda: b"", "is empty"),
}


@pytest.mark.parametrize(("data", "words"), LISTS.values(), ids=LISTS)
def test_what_is_in_a_file_of_lists_is_used_or_the_file_is_refused(tmp_path, data, words):
    with pytest.raises(TrustError, match=words):
        judge(tmp_path, data())


def test_an_anchor_that_another_ca_of_the_trust_file_revoked(tmp_path):
    """The operator names the CA and the list that revokes it: the list is not left out."""
    middle = intermediate(serial=99)
    leaf = signer(common="Anna", issuer="Intermediate", serial=4711)
    world.write(tmp_path)
    (tmp_path / "middle.pem").write_bytes(pki.pem(middle))
    (tmp_path / "root.crl").write_bytes(pki.pem(make(99)))
    two = '[signers.{0}]\nrole = "production"\nanchor = "{1}.pem"\nsubject = "CN={0}"\n'
    signers = two.format("Anna", "middle").replace("=Anna", "=Anna,O=TEST ONLY") + two.format("Root", "root")
    store = trust(tmp_path, end='[crls]\nfiles = ["root.crl"]\n', signers=signers)
    report = check(store, bundle(world.by(common="Anna", leaf=leaf)))
    assert rules(report) == ["signer-revoked"]
    assert "was revoked by 'CN=Root" in overview(store, NOW).signers[0].sources[0].unusable[0]
    store = trust(tmp_path, signers=signers)
    assert check(store, bundle(world.by(common="Anna", leaf=leaf))).verdict == "accept"
