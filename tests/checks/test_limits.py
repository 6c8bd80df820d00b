"""A report stays small, whatever the bundle has so much of."""

import msgspec
from msgspec.structs import replace

from bundlekit.checks import MAX_MESSAGE, RULES, RulesResult, apply_rules
from bundlekit.checks.rule import MAX_FINDINGS, RuleContext
from bundlekit.layout import canonical, reader
from bundlekit.model.bundle import Bundle
from bundlekit.model.evidence import Evidence
from bundlekit.model.finding import Fault, NotRun
from bundlekit.model.question import Question
from bundlekit.report import json as as_json
from bundlekit.report import text as as_text
from fixtures import forge

CASE = RuleContext(
    bundle=Bundle(format="of no kind", aspects=reader.ASPECTS, size=0),
    evidence=Evidence(),
    question=Question(trust=False, at="2026-12-01T00:00:00Z"),
)


def judged(answer) -> RulesResult:
    return apply_rules(CASE, [replace(RULES[0], run=lambda _: answer)])


def test_of_many_findings_the_first_are_reported_and_all_counted():
    found = judged([Fault(message=f"fault {number}") for number in range(1000)])
    assert [one.message for one in found.findings] == [f"fault {number}" for number in range(MAX_FINDINGS)]
    assert (found.outcomes[0].outcome, found.outcomes[0].finding_count) == ("failed", 1000)
    few = judged([Fault(message="one")])
    assert (len(few.findings), few.outcomes[0].finding_count) == (1, 1)


def test_a_message_has_an_end():
    (finding,) = judged([Fault(message="x" * 10_000)]).findings
    assert finding.message == "x" * MAX_MESSAGE + "… (10,000 characters)"
    (outcome,) = judged(NotRun(reason="y" * 10_000, next="z" * 10_000)).outcomes
    assert outcome.reason == "y" * MAX_MESSAGE + "… (10,000 characters)"
    assert outcome.next == "z" * MAX_MESSAGE + "… (10,000 characters)"
    (whole,) = judged([Fault(message="x" * MAX_MESSAGE)]).findings
    assert whole.message == "x" * MAX_MESSAGE


def test_the_text_says_how_many_more_there_are():
    report = forge.judge(forge.spoil("chunk-digest-mismatch").data)
    assert not [line for line in as_text.lines(report) if "more findings" in line.text]
    rules = [replace(one, finding_count=300) if one.rule == "chunk-digest-mismatch" else one for one in report.rules]
    lines = [line.text for line in as_text.lines(replace(report, rules=tuple(rules)))]
    assert "  and        299 more findings of chunk-digest-mismatch, which are not listed" in lines


def test_a_bundle_with_as_many_contradictions_as_there_is_room_for():
    names = [f"m{number:05}" + "x" * 58 for number in range(64)]
    image = {key.replace("_", "-"): value for key, value in forge.stored(b"image").items()}
    images = [image | {"models": [name]} for name in names]
    components = [{"name": "appliance", "version": "5.40.00", "images": images}] * 24
    report = forge.judge(
        forge.write(text=canonical.encode(msgspec.to_builtins(forge.MANIFEST) | {"components": components}))
    )
    outcome = next(one for one in report.rules if one.rule == "manifest-inconsistent")
    assert outcome.finding_count > 1000
    assert len(report.findings) <= MAX_FINDINGS + 8
    assert len(as_json.render(report)) < 2_000_000
