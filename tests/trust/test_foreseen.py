"""`trust show` gives the answer of `check`: expiry, purposes, revocation lists, and who looks like one person."""

import json
from datetime import timedelta

import pytest
from cryptography import x509

from bundlekit.cli import run
from bundlekit.trust.overview import overview
from tests.trust import pki, world
from tests.trust.pki import NOW, intermediate, key, root, signer
from tests.trust.test_crl import DAY, make, without_next_update
from tests.trust.world import bundle, by, check, demand, trust

STALE = {"start": NOW - 9 * DAY, "end": NOW - DAY}
MIDDLE = intermediate(serial=99)
LEAF = signer(common="Anna", issuer="Intermediate", serial=4711)
ANNA = '[signers.anna]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Anna,O=TEST ONLY"\n'


def low(*revoked, **times):
    return make(*revoked, issuer="Intermediate", **times)


def backwards():
    """A list whose next one was due before it: the library does not write such."""
    from asn1crypto import core
    from asn1crypto import crl as asn1
    from asn1crypto import x509 as names

    parsed = asn1.CertificateList.load(pki.der(low()))
    body = parsed["tbs_cert_list"]
    body["next_update"] = names.Time({"utc_time": core.UTCTime(NOW - 3 * DAY)})
    body = asn1.TbsCertList.load(asn1.TbsCertList({one: body[one] for one in body if body[one].native}).dump())
    signature = pki.raw_sign(key("p256", "Intermediate"), body.dump())
    fields = {"tbs_cert_list": body, "signature_algorithm": parsed["signature_algorithm"], "signature": signature}
    return x509.load_der_x509_crl(asn1.CertificateList(fields).dump())


LISTS = {
    "all current": (lambda: [make(), low()], "accept", ""),
    "that of the intermediate is missing": (lambda: [make()], "incomplete", "there is no revocation list of 'CN=Inter"),
    "that of the root is missing": (lambda: [low()], "incomplete", "there is no revocation list of 'CN=Root"),
    "stale": (lambda: [make(), low(**STALE)], "incomplete", "is stale: the next one was due on 2026-11-23"),
    "that of the root is stale": (lambda: [make(**STALE), low()], "incomplete", "is stale"),
    "backwards": (lambda: [make(), backwards()], "incomplete", "is stale: the next one was due on 2026-11-21"),
    "of tomorrow": (lambda: [make(), low(start=NOW + DAY, end=NOW + 9 * DAY)], "incomplete", "after the time used"),
    "revokes the intermediate": (lambda: [make(99), low()], "reject", "was revoked by 'CN=Root"),
    "revokes the intermediate, and is stale": (lambda: [make(99, **STALE), low()], "reject", "was revoked by 'CN=Root"),
    "signed by another": (lambda: [make(), low(signed_by=key("p256", "Eve"))], "incomplete", "not signed by that CA"),
    "delta": (lambda: [make(), low(extra=[x509.DeltaCRLIndicator(1)])], "incomplete", "a delta list"),
}


def listed(folder, lists, *, required=True):
    world.write(folder)
    (folder / "intermediate.pem").write_bytes(pki.pem(MIDDLE))
    names = []
    for number, one in enumerate(lists):
        names.append(f'"{number}.crl"')
        (folder / f"{number}.crl").write_bytes(pki.der(one))
    more = 'intermediates = "listed"\nintermediate-files = ["intermediate.pem"]\n'
    crls = f"[crls]\nfiles = [{', '.join(names)}]\nrequired = {str(required).lower()}\n"
    return trust(folder, more + crls, "", ANNA)


@pytest.mark.parametrize(("lists", "verdict", "words"), LISTS.values(), ids=LISTS)
def test_revocation_lists_are_held_against_the_trust_as_against_a_bundle(tmp_path, lists, verdict, words):
    store = listed(tmp_path, lists())
    report = check(store, bundle(by(common="Anna", leaf=LEAF)))
    assert report.verdict == verdict
    found = overview(store, NOW)
    assert found.can_be_met == found.signers[0].usable == (verdict == "accept")
    assert any(words in why for why in found.signers[0].sources[0].unusable) == bool(words)
    assert bool(words) == bool(found.signers[0].sources[0].unusable)


@pytest.mark.parametrize("expired_first", [True, False])
def test_an_expired_intermediate_beside_its_renewal_bars_nothing(tmp_path, expired_first):
    world.write(tmp_path)
    pair = [intermediate(end=NOW - DAY), MIDDLE]
    data = b"".join(pki.pem(one) for one in (pair if expired_first else reversed(pair)))
    (tmp_path / "both.pem").write_bytes(data)
    more = 'intermediates = "listed"\nintermediate-files = ["both.pem"]\n'
    assert overview(trust(tmp_path, more, "", ANNA), NOW).can_be_met
    (tmp_path / "both.pem").write_bytes(pki.pem(pair[0]))
    found = overview(trust(tmp_path, more, "", ANNA), NOW)
    assert found.signers[0].sources[0].unusable == ("expired on 2026-11-23 00:00:00 UTC",)


def test_lists_that_are_not_required_are_noted(tmp_path):
    found = overview(listed(tmp_path, [make(**STALE), low(), make(issuer="Other")], required=False), NOW)
    assert found.can_be_met
    stale, other = found.notes
    assert stale.startswith("the revocation list 0.crl cannot show that a certificate is not revoked: it is stale: the")
    assert other == "the revocation list 2.crl is of a CA that is not in this trust file"
    store = listed(tmp_path, [make(99), low()], required=False)
    assert not overview(store, NOW).can_be_met


def test_the_command_says_it_with_its_exit_code(tmp_path, capsys):
    listed(tmp_path, [make(), low(**STALE)])
    text = (
        world.HEAD
        + 'intermediates = "listed"\nintermediate-files = ["intermediate.pem"]\n'
        + '[crls]\nfiles = ["0.crl", "1.crl"]\nrequired = true\n'
        + ANNA
    )
    (tmp_path / "trust.toml").write_text(text)
    assert run(["trust", "show", str(tmp_path / "trust.toml"), "--at", "2026-11-24"]) == 1
    out = capsys.readouterr().out
    assert "signer     anna [production] UNUSABLE" in out
    assert "is stale: the next one was due on 2026-11-23" in out
    assert "cannot be met now" in out


ANCHORS = {
    "for servers": ({"purposes": [pki.SERVER_AUTH]}, "is not allowed to certify signers for code-signing"),
    "is not allowed to certify": ({"usage": ("crl_sign",)}, "must not issue certificates"),
    "of an Ed25519 key": ({"kind": "ed25519"}, "which cannot issue certificates here"),
    "of a weak key": ({"kind": "rsa-1024"}, "RSA keys have 2048 to 8192 bits"),
    "for names alone": (
        {"extra": [(x509.NameConstraints([x509.DNSName("example.org")], None), True)]},
        "has name constraints",
    ),
    "expired": ({"end": NOW - timedelta(days=1)}, "expired on 2026-11-23"),
    "good": ({}, ""),
}


@pytest.mark.parametrize(("options", "words"), ANCHORS.values(), ids=ANCHORS)
@pytest.mark.parametrize("named", [True, False], ids=["trust.toml", "PEM"])
def test_an_anchor_under_which_nothing_counts_is_unusable(tmp_path, options, words, named):
    from bundlekit.trust import load_trust

    world.write(tmp_path)
    (tmp_path / "root.pem").write_bytes(pki.pem(root(**options)))
    store = trust(tmp_path, signers=ANNA) if named else load_trust(tmp_path / "root.pem")
    found = overview(store, NOW)
    assert found.can_be_met == (not words)
    (source,) = found.signers[0].sources
    assert words in "; ".join(source.unusable)
    kind = options.get("kind", "p256")
    signed = by(common="Anna", issuer_kind=kind)
    assert (check(store, bundle(signed)).verdict == "accept") == (not words)


def test_a_list_without_next_update_is_unusable(tmp_path):
    world.write(tmp_path)
    (tmp_path / "0.crl").write_bytes(pki.der(without_next_update(make())))
    store = trust(tmp_path, '[crls]\nfiles = ["0.crl"]\nrequired = true\n', "", ANNA)
    assert "does not state when the next one is due" in overview(store, NOW).signers[0].sources[0].unusable[0]


# --- signers are people ---


def person(name, kind, subject="", more=""):
    subject = f'subject = "CN={subject},O=TEST ONLY"\n' if subject else ""
    return f'[signers.{name}]\nrole = "production"\n{kind}\n{subject}{more}'


PEOPLE = {
    "by the years of their keys": (
        person("anna-2026", 'key = "anna-pq.pub.pem"') + person("anna-2027", 'key = "carl.pub.pem"'),
        "anna-2026 and anna-2027 look like one person (their names differ as those of keys do)",
    ),
    "old and new": (
        person("release-old", 'key = "anna-pq.pub.pem"') + person("release", 'key = "carl.pub.pem"'),
        "release-old and release look like one person",
    ),
    "by subject": (
        person("one", 'anchor = "root.pem"', "Anna") + person("two", 'anchor = "root-pq.pem"', "Anna"),
        "one and two look like one person (both are 'anna')",
    ),
    "by subject, but for a year": (
        person("one", 'anchor = "root.pem"', "Anna 2026") + person("two", 'anchor = "root.pem"', "Anna 2027"),
        "one and two look like one person (both are 'anna')",
    ),
    "by the names of their CAs": (
        person("one", 'anchor = "root.pem"') + person("two", 'anchor = "root-pq.pem"'),
        "one and two look like one person (both are 'root')",
    ),
    "two people": (person("anna", 'key = "anna-pq.pub.pem"') + person("carl", 'key = "carl.pub.pem"'), ""),
    "two people under one CA": (
        person("anna", 'anchor = "root.pem"', "Anna") + person("bert", 'anchor = "root.pem"', "Bert"),
        "",
    ),
}


@pytest.mark.parametrize(
    ("signers", "words"), pki.where_ml_dsa_chains_verify(PEOPLE, "by subject", "by the names of their CAs")
)
def test_two_signers_that_look_like_one_person_are_noted(tmp_path, capsys, signers, words):
    world.write(tmp_path)
    file = tmp_path / "trust.toml"
    names = [line[9:-1] for line in signers.splitlines() if line.startswith("[signers.")]
    file.write_text(world.HEAD + signers + demand(2, *names))
    assert run(["trust", "show", str(file), "--at", "2026-11-24", "--format", "json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert len(notes) == bool(words)
    assert all(words in note for note in notes)
    run(["trust", "show", str(file), "--at", "2026-11-24"])
    assert ("note       the signers" in capsys.readouterr().out) == bool(words)
    file.write_text(world.HEAD + signers + demand(1, *names))  # where one is enough it makes no difference
    assert run(["trust", "show", str(file), "--at", "2026-11-24", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_one_person_with_several_keys_counts_once(desk):
    anna = person("anna", 'anchor = "root.pem"\nkey = ["anna-pq.pub.pem", "carl.pub.pem"]', "Anna")
    store = trust(desk, end=demand(2, "anna", "bert"), signers=anna + person("bert", 'anchor = "root.pem"', "Bert"))
    report = check(store, bundle(world.ANNA, world.ANNA_PQ, world.CARL))
    assert [one.rule for one in report.rules if one.outcome == "failed"] == ["too-few-signers"]
    assert check(store, bundle(world.CARL, world.BERT)).verdict == "accept"


def test_one_key_of_a_person_ends_before_the_others(desk):
    anna = person("anna", 'key = ["anna-pq.pub.pem", "carl.pub.pem"]\nuntil = { "carl.pub.pem" = 2026-11-23 }')
    store = trust(desk, signers=anna)
    report = check(store, bundle(world.CARL))
    assert "signer-expired" in world.rules(report)
    assert "allows anna to sign by carl.pub.pem until 2026-11-23" in report.findings[0].message
    assert check(store, bundle(world.ANNA_PQ)).verdict == "accept"
    assert check(store, bundle(world.CARL), at=NOW - timedelta(hours=1)).verdict == "accept"
    found = overview(store, NOW).signers[0]
    assert found.usable
    assert [(one.until, one.unusable) for one in found.sources] == [
        (None, ()),
        ("2026-11-23", ("signs until 2026-11-23",)),
    ]


@pki.needs_ml_dsa_chains
def test_one_anchor_of_a_person_ends_before_the_others(desk):
    anna = person("anna", 'anchor = ["root.pem", "root-pq.pem"]', more='until = { "root.pem" = 2026-11-23 }\n')
    store = trust(desk, signers=anna)
    assert "signer-expired" in world.rules(check(store, bundle(world.ANNA)))
    assert check(store, bundle(world.DORA_PQ)).verdict == "accept"
    released = trust(desk, 'time = "released"\n', signers=anna)
    assert check(released, bundle(world.ANNA, released="2026-11-20")).verdict == "accept"
