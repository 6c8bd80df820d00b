"""A rule that a decision did not come to has not passed: it was not run, and the report says why."""

import msgspec
import pytest

from bundlekit.checks import apply_rules
from bundlekit.checks.compatibility import RULES
from bundlekit.checks.rule import RuleContext
from bundlekit.layout import reader
from bundlekit.matrix.decide import decide, decide_from
from bundlekit.matrix.read import read_matrix
from bundlekit.model.bundle import Bundle, Span
from bundlekit.model.evidence import Evidence
from bundlekit.model.question import Question
from fixtures import forge
from tests.matrix.world import manifest, state

PAIR = ["wrong-product", "wrong-model", "on-hold", "update-pending"]
PARTS = [
    "unreadable-version",
    "same-version",
    "same-version-other-build",
    "downgrade",
    "back-in-time",
    "unknown-version",
    "dead-end",
    "blocked",
    "needs-stop",
    "unsupported-source",
    "reimage-only",
    "cannot-verify",
    "risk",
]
WHOLE = ["loses-fix", "incompatible", "requirement-not-met"]
BLOCK = {"block": [{"id": "b", "versions": "5.30.02", "reason": "Bad."}]}
STOP = {"stop": [{"id": "s", "versions": "<5.32.00", "via": "5.32.00"}]}


def outcomes(found, pairs=(), versions=()):
    """What became of each rule of compatibility, by name: the outcome and its reason."""
    decisions = [decide(found, one) for one in pairs] + [decide_from(found, one) for one in versions]
    case = RuleContext(
        bundle=Bundle(
            format="update.bin/1", aspects=reader.ASPECTS, size=0, head=Span(start=0, stop=99), manifest=found
        ),
        evidence=Evidence(),
        question=Question(at=forge.AT, appliances=tuple(pairs), sources=tuple(versions)),
        decisions=tuple(decisions),
        matrix=read_matrix(found),
    )
    return {one.rule: (one.outcome, one.reason) for one in apply_rules(case, RULES).outcomes}


def not_asked(found, **asked):
    reason = "an earlier rule already rejects the update: "
    return {
        name: because.removeprefix(reason)
        for name, (outcome, because) in outcomes(found, **asked).items()
        if outcome == "not-run" and because.startswith(reason)
    }


def after(kind, names):
    return dict.fromkeys(names, kind)


@pytest.mark.parametrize(
    ("matrix", "fields", "kind", "later"),
    [
        (BLOCK, {}, "blocked", ["needs-stop", "unsupported-source", "reimage-only", "cannot-verify", "risk", *WHOLE]),
        (STOP, {}, "needs-stop", ["unsupported-source", "reimage-only", "cannot-verify", "risk", *WHOLE]),
        ({"from": []}, {}, "unsupported-source", ["cannot-verify", "risk", *WHOLE]),
        ({}, {"version": "5.41.00"}, "downgrade", [*PARTS[PARTS.index("back-in-time") :], *WHOLE]),
        ({}, {"version": "5.9.00"}, "unknown-version", [*PARTS[PARTS.index("dead-end") :], *WHOLE]),
        ({}, {"version": "x"}, "unreadable-version", [*PARTS[1:], *WHOLE]),
        ({"dead-end": [{"id": "d", "versions": "*"}]}, {}, "dead-end", [*PARTS[PARTS.index("blocked") :], *WHOLE]),
        ({}, {"hold": "x"}, "on-hold", WHOLE),
        ({}, {"counter": 9}, "counter-too-low", WHOLE),
        (
            {"withdrawn": [{"id": "w", "versions": "5.40.00"}]},
            {},
            "withdrawn",
            ["on-hold", "update-pending", "counter-too-low", *PARTS, *WHOLE],
        ),
        (
            {},
            {"product": "other"},
            "wrong-product",
            [*PAIR[1:], "withdrawn", "counter-too-low", *PARTS, *WHOLE],
        ),
        (
            {},
            {"model": "im-900"},
            "wrong-model",
            [*PAIR[2:], "withdrawn", "counter-too-low", *PARTS, *WHOLE],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_comes_after_the_rule_that_refuses_is_not_run(matrix, fields, kind, later):
    found = manifest(matrix)
    pair = state(**fields)
    assert not_asked(found, pairs=[pair]) == after(kind, later)
    assert outcomes(found, pairs=[pair])[kind][0] == "failed"


def test_of_an_update_that_nothing_refuses_every_rule_has_passed():
    assert {outcome for outcome, _ in outcomes(manifest(), pairs=[state()]).values()} == {"passed"}


def test_a_matrix_that_cannot_be_read_lets_no_rule_pass():
    found = manifest({"block": [{"id": "b", "versions": "x"}]})
    assert {outcome for outcome, _ in outcomes(found, pairs=[state()]).values()} == {"not-run"}


def test_of_versions_alone_what_was_not_asked_of_one_is_open_and_of_all_not_run():
    found = manifest(BLOCK)
    assert not_asked(found, versions=["5.30.02"])["needs-stop"] == "blocked"
    both = outcomes(found, versions=["5.30.02", "5.32.00"])
    assert both["needs-stop"] == (
        "passed",
        "1 of 2 decisions ended before: an earlier rule already rejects the update: blocked",
    )
    assert both["dead-end"] == ("passed", "")


@pytest.mark.parametrize("name", PAIR)
def test_of_a_version_alone_nothing_about_a_pair_has_passed_whatever_refuses(name):
    found = manifest({"withdrawn": [{"id": "w", "versions": "5.40.00"}]})
    assert outcomes(found, versions=["5.30.02"])[name][0] == "not-run"


def test_a_rule_that_was_not_asked_of_one_member_is_not_run():
    mixed = state(version="5.30.02")
    serial = next(iter(mixed.members))
    member = msgspec.structs.replace(mixed.members[serial], version="5.32.00")
    mixed = msgspec.structs.replace(mixed, members=mixed.members | {serial: member})
    found = outcomes(manifest(BLOCK), pairs=[mixed])
    refused = next(name for name in mixed.members if name != serial)
    reason = f"an earlier rule already rejects the update: blocked (for {refused})"
    assert found["needs-stop"] == ("not-run", reason)
    assert found["loses-fix"][0] == "not-run"
    assert found["dead-end"] == ("passed", "")


def test_a_rule_that_was_not_asked_of_one_model_is_not_run():
    found = manifest({"block": [{"id": "b", "versions": "5.30.02", "models": ["im-100"]}]})
    reason = "an earlier rule already rejects the update: blocked (for 5.30.02 on im-100)"
    assert outcomes(found, versions=["5.30.02"])["unsupported-source"] == ("not-run", reason)


def test_what_has_the_version_already_needs_no_further_question():
    mixed = state(version="5.40.00")
    serial = next(iter(mixed.members))
    member = msgspec.structs.replace(mixed.members[serial], version="5.30.02")
    mixed = msgspec.structs.replace(mixed, members=mixed.members | {serial: member})
    assert {outcome for outcome, _ in outcomes(manifest(), pairs=[mixed]).values()} == {"passed"}
