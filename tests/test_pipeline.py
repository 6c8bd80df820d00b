"""The conductor: what is asked decides what is read, and what is needed."""

import datetime as dt
import threading
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import bundlekit
from bundlekit import pipeline
from bundlekit.errors import CancelledError, UnreadableError
from bundlekit.layout import reader
from bundlekit.model.appliance import Appliance, Member
from bundlekit.model.manifest import Document, Requirements
from bundlekit.source import BytesSource
from fixtures import forge

AT = dt.datetime.fromisoformat(forge.AT)
GOOD = forge.good()


class Counting(BytesSource):
    """Counts the bytes that are read behind the head and signature area."""

    def __init__(self, data):
        super().__init__(data, name="bundle.bin")
        self.area = reader.read(BytesSource(data)).area
        self.payload_bytes = 0

    def readinto(self, offset, buffer):
        if offset >= self.area.stop:
            self.payload_bytes += len(buffer)
        super().readinto(offset, buffer)


def test_an_incomplete_report_lists_what_was_not_checked():
    report = pipeline.check(BytesSource(forge.good()))
    assert (report.verdict, report.findings) == ("incomplete", ())
    (one,) = report.not_checked
    unrun = [rule for rule in report.rules if rule.required and rule.outcome == "not-run"]
    assert one.rules == tuple(rule.rule for rule in unrun)
    assert {(rule.reason, rule.next) for rule in unrun} == {(one.reason, one.next)}
    assert one.next.startswith("Give trust anchors")
    assert report.summary.startswith("the bundle is incomplete: 12 required rules could not run (signer-unknown, ")
    assert forge.judge(forge.good(), forge.Ask()).not_checked is msgspec.UNSET


@pytest.mark.parametrize("name", ["header", "manifest", "signatures", "padding"])
def test_what_is_stored_may_be_called_as_a_part_of_every_bundle_is(name):
    (component,) = forge.MANIFEST.components
    document = Document(name=name, **forge.stored(b"notes"))
    manifest = replace(forge.MANIFEST, documents=(document,))
    assert forge.judge(forge.write(manifest, contents=(forge.IMAGE, b"notes")), forge.Ask()).verdict == "accept"
    manifest = replace(forge.MANIFEST, components=(replace(component, name=name),))
    assert forge.judge(forge.write(manifest), forge.Ask()).verdict == "accept"


@pytest.mark.parametrize(
    ("tool", "verdict"),
    [
        ("0.0.9", "accept"),
        (bundlekit.__version__, "accept"),
        (f"{bundlekit.__version__}rc1", "accept"),
        ("0.10.0", "incomplete"),
    ],
)
def test_a_bundle_may_want_a_newer_bundlekit(tool, verdict):
    report = forge.judge(forge.changed(requirements=Requirements(tool=tool)), forge.Ask())
    assert report.verdict == verdict
    (rule,) = [one for one in report.rules if one.rule == "tool-too-old"]
    assert rule.reason.startswith("the bundle requires bundlekit 0.10.0 or later") is (verdict == "incomplete")


BEYOND_VERSIONS = {"wrong-product", "wrong-model", "on-hold", "update-pending", "counter-too-low", "loses-fix"}


def test_what_a_version_alone_leaves_open_has_not_passed():
    def outcomes(**ask):
        report = forge.judge(GOOD, forge.Ask(**ask))
        assert report.verdict == "accept"
        return {one.rule: one for one in report.rules}, report.decisions

    rules, (decision,) = outcomes(sources=("5.30.02",))
    assert set(decision.possible_kinds) >= BEYOND_VERSIONS
    assert {name for name, one in rules.items() if one.next.endswith("(`appliance`).")} == set(decision.possible_kinds)
    assert all((rules[name].outcome, rules[name].required) == ("not-run", False) for name in decision.possible_kinds)
    assert rules["downgrade"].outcome == rules["unsupported-source"].outcome == "passed"

    rules, (decision,) = outcomes(appliance=forge.STATE)
    assert all((rules[name].outcome, rules[name].required) == ("passed", True) for name in BEYOND_VERSIONS)

    rules, _ = outcomes(appliance=forge.STATE, sources=("5.30.02",))
    for name in BEYOND_VERSIONS:
        assert (rules[name].outcome, rules[name].required) == ("passed", True)
        assert rules[name].reason.startswith("some decisions leave it open")


def test_preflight_reads_nothing_of_the_payload():
    source = Counting(GOOD)
    report = bundlekit.preflight(source, trust=forge.trust(), at=AT)
    assert (report.verdict, report.scope, source.payload_bytes) == ("accept", "head", 0)


def test_preflight_needs_no_more_than_the_head_and_the_size_of_the_file():
    stop = reader.read(BytesSource(GOOD)).area.stop
    report = bundlekit.preflight(GOOD[:stop], size=len(GOOD), trust=forge.trust(), at=AT)
    assert report.verdict == "accept"
    assert bundlekit.preflight(GOOD[: stop + 1], trust=forge.trust(), at=AT).causes == ("corrupted",)
    alone = bundlekit.preflight(GOOD[:stop], trust=forge.trust(), at=AT)  # without a size it is as a catalog keeps it
    assert (alone.verdict, alone.causes) == ("reject", ("unsupported-format",))
    assert alone.findings[0].params["format"] == "bundlekit-catalog-head"
    with pytest.raises(UnreadableError, match="are needed"):
        bundlekit.preflight(GOOD[: stop - 1], size=len(GOOD), trust=forge.trust(), at=AT)


@pytest.mark.parametrize(("full", "read"), [(False, False), (True, True)])
def test_the_payload_of_what_nobody_trusted_signed_is_read_on_request_only(full, read):
    source = Counting(forge.spoil("signer-unknown").data)
    report = bundlekit.check(source, trust=forge.trust(), at=AT, full=full)
    assert report.verdict == "reject"
    assert bool(source.payload_bytes) is read
    outcomes = {rule.rule: rule.outcome for rule in report.rules}
    assert outcomes["chunk-digest-mismatch"] == ("passed" if read else "not-run")


def test_a_huge_payload_that_nobody_vouches_for_is_not_read_unasked(monkeypatch):
    monkeypatch.setattr(pipeline, "MAX_UNVOUCHED", len(GOOD) - 1)
    read = {}
    questions: dict[str, Any] = {"": {}, "full": {"full": True}, "trust": {"trust": forge.trust()}}
    for name, question in questions.items():
        source = Counting(GOOD)
        bundlekit.check(source, at=AT, **question)
        read[name] = source.payload_bytes > 0
    assert read == {"": False, "full": True, "trust": True}


def test_what_nobody_trusted_vouches_for_stands_under_claims_and_decides_nothing():
    report = bundlekit.check(BytesSource(forge.spoil("signer-unknown").data), trust=forge.trust(), sources=["5.20.03"])
    assert report.release is None
    assert report.claims.version == "5.40.00"
    assert report.decisions == ()


def test_the_question_decides_which_rules_are_needed():
    def needed(**question):
        report = bundlekit.check(BytesSource(GOOD), trust=forge.trust(), at=AT, **question)
        return {rule.rule for rule in report.rules if rule.required}

    bundle = needed()
    assert "plain-digest-mismatch" not in bundle
    assert "downgrade" not in bundle
    assert needed(full=True) - bundle == {"plain-digest-mismatch"}
    assert "downgrade" in needed(sources=["5.20.03"])
    head = bundlekit.preflight(GOOD, trust=forge.trust(), at=AT)
    assert "chunk-digest-mismatch" not in {rule.rule for rule in head.rules if rule.required}


def test_a_manifest_can_be_decided_on_without_any_file():
    manifest = bundlekit.read_manifest(GOOD)
    member = Member(role="active", version="5.20.03", released="2024-02-10")
    pair = Appliance(
        schema="bundlekit/state/1", pair="p", product="imager", model="im-100", members={"A": member}, counter=7
    )
    assert bundlekit.decide_from(manifest, "5.20.03").allowed
    assert bundlekit.decide_from(manifest, "5.40.00").kind == "same-version"
    assert bundlekit.decide(manifest, pair).product == "imager"
    with pytest.raises(UnreadableError, match="does not begin with the magic"):
        bundlekit.read_manifest(b"something else entirely, and longer than a header")


def test_a_cancelled_check_is_no_verdict():
    with pytest.raises(CancelledError):
        bundlekit.check(BytesSource(GOOD), trust=forge.trust(), cancel=lambda: True)


def test_progress_ends_at_the_end():
    seen = []
    lock = threading.Lock()

    def progress(done, total):
        assert lock.acquire(blocking=False), "called concurrently"
        seen.append((done, total))
        lock.release()

    bundlekit.check(BytesSource(GOOD), trust=forge.trust(), at=AT, progress=progress)
    assert seen[-1][0] == seen[-1][1]


def test_the_time_is_said_and_has_a_zone():
    report = bundlekit.check(
        BytesSource(GOOD), at=dt.datetime(2026, 12, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    )
    assert report.request.at == "2026-12-01T00:00:00Z"
