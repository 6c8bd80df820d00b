"""What is too much work is rejected before it is begun, whatever kind of entry makes it so much."""

import tracemalloc

import msgspec
import pytest

from bundlekit.checks import apply_rules, best_practice
from bundlekit.checks.rule import RuleContext
from bundlekit.errors import ConfigError
from bundlekit.layout import reader
from bundlekit.matrix import budget, work
from bundlekit.matrix.diff import diff
from bundlekit.matrix.lint import lint
from bundlekit.matrix.table import table
from bundlekit.model.bundle import Bundle, Span
from bundlekit.model.evidence import Evidence
from bundlekit.model.finding import NotRun
from bundlekit.model.manifest import Requirements
from bundlekit.model.question import Question
from fixtures import forge
from tests.counting import at_most
from tests.matrix.world import MATRIX, component, manifest, readable

RELEASES = [f"5.{number}.00" for number in range(40)]
MANY = range(250)
KINDS = {
    "from": [{"id": f"e{n}", "versions": "5.1.00"} for n in MANY],
    "stop": [{"id": f"e{n}", "versions": "<5.1.00", "via": "5.1.00"} for n in MANY],
    "block": [{"id": f"e{n}", "versions": "5.1.00"} for n in MANY],
    "withdrawn": [{"id": f"e{n}", "versions": "5.1.00"} for n in MANY],
    "dead-end": [{"id": f"e{n}", "versions": "5.1.00"} for n in MANY],
    "risk": [{"id": f"e{n}", "versions": "*", "when": {"fact": "a", "is": "b"}} for n in MANY],
    "skew": [{"id": f"e{n}", "old": "*", "new": "*"} for n in MANY],
    "works-together": [{"id": f"e{n}", "appliance": "*", "storage": "*"} for n in MANY],
    "aliases": {f"7.{n}": "5.1.00" for n in MANY},
    "trusted-keys": {f"5.{n}.00": ["a"] for n in MANY},
}


def test_each_kind_of_entry_and_each_clause_is_counted():
    few = work.work(readable(manifest({"releases": RELEASES, "aliases": {}})))
    for kind, entries in KINDS.items():
        many = work.work(readable(manifest({"releases": RELEASES, "aliases": {}, kind: entries})))
        assert many > few + 9000, kind
    clauses = [{"id": "e", "versions": ", ".join(["!=5.1.00"] * 20)}]
    assert work.work(readable(manifest({"releases": RELEASES, "aliases": {}, "block": clauses}))) > few + 800


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_leaves_out_the_lint_of_what_any_kind_of_entry_makes_too_large(kind, monkeypatch):
    monkeypatch.setattr(best_practice, "MAX_WORK", 300)
    found = manifest({"releases": RELEASES, "aliases": {}, kind: KINDS[kind]})
    bundle = Bundle(format="update.bin/1", aspects=reader.ASPECTS, size=0, head=Span(start=0, stop=99), manifest=found)
    answer = best_practice.matrix_lint.run(
        RuleContext(bundle=bundle, evidence=Evidence(), question=Question(at=forge.AT))
    )
    assert isinstance(answer, NotRun)
    assert "large" in answer.reason


@pytest.mark.parametrize("strict", [True, False])
def test_a_check_leaves_out_the_lint_of_many_versions_unless_it_is_needed(strict, monkeypatch):
    found = manifest({"releases": ["5.10.00", "5.20.00", "5.30.00"], "aliases": {}, "from": []})
    bundle = Bundle(format="update.bin/1", aspects=reader.ASPECTS, size=0, head=Span(start=0, stop=99), manifest=found)
    asked = RuleContext(bundle=bundle, evidence=Evidence(), question=Question(at=forge.AT, strict=strict))
    needed = work.lint_work(readable(found), ())
    for limit, skipped in ((needed - 1, not strict), (needed, False)):
        monkeypatch.setattr(best_practice, "MAX_WORK", limit)
        assert isinstance(best_practice.matrix_lint.run(asked), NotRun) is skipped


@pytest.mark.parametrize(
    "look",
    [table, lambda read: diff(read, read)],
    ids=["table", "diff"],
)
def test_what_is_too_large_is_neither_shown_nor_compared(look, monkeypatch):
    read = readable(manifest(MATRIX))
    look(read)
    monkeypatch.setitem(budget.COMPARISONS, "show", 10)
    with pytest.raises(ConfigError, match="too large to evaluate every version") as caught:
        look(read)
    assert "(`sources`)" in caught.value.next_step


def test_more_releases_than_can_be_linted_against_are_refused_with_what_to_do(monkeypatch):
    other = manifest(MATRIX, version="5.30.03", components=(component("appliance", "5.30.03"),))
    found = manifest()
    monkeypatch.setitem(budget.COMPARISONS, "lint", work.lint_work(readable(found), ()))
    assert lint(found, at="2026-11-24")
    with pytest.raises(ConfigError, match=r"^1 other bundles are too many") as caught:
        lint(found, [other], at="2026-11-24")
    assert "releases that versions in the field have to pass" in caught.value.next_step


def test_a_real_matrix_is_not_too_large():
    matrix = {
        "releases": [f"5.{minor}.{patch:02}" for minor in range(20) for patch in range(25)],
        "aliases": {},
        "from": [{"id": f"f{n}", "versions": f">=5.{n}.00, <5.{n + 2}.00", "models": ["im-100"]} for n in range(20)],
        "block": [{"id": f"b{n}", "versions": f"5.{n}.07"} for n in range(20)],
        "stop": [{"id": f"s{n}", "versions": f"<5.{n}.00", "via": f"5.{n}.00"} for n in range(1, 20)],
    }
    read = readable(manifest(matrix))
    assert work.lint_work(read, ()) < best_practice.MAX_WORK
    assert len(table(read).rows) == 2 * 501
    diff(read, read)


def test_a_strict_check_lints_what_another_check_leaves_to_matrix_lint(monkeypatch):
    monkeypatch.setattr(best_practice, "MAX_WORK", 300)
    found = manifest({"releases": RELEASES, "aliases": {}, "block": KINDS["block"]})
    bundle = Bundle(format="update.bin/1", aspects=reader.ASPECTS, size=0, head=Span(start=0, stop=99), manifest=found)
    for strict, verdict in ((True, "reject"), (False, "accept")):
        case = RuleContext(bundle=bundle, evidence=Evidence(), question=Question(at=forge.AT, strict=strict))
        result = apply_rules(case, [best_practice.matrix_lint])
        assert result.verdict == verdict
        assert strict or "bundlekit matrix lint" in result.outcomes[0].reason
    monkeypatch.setitem(budget.COMPARISONS, "show", work.work(readable(found)) - 1)
    with pytest.raises(ConfigError, match="too large"):
        table(readable(found))
    assert lint(found, at="2026-11-24").findings  # what the hint leads to has an answer


def test_long_facts_are_not_kept_for_each_of_a_thousand_releases():
    matrix = {"releases": [f"5.{n}.00" for n in range(1000)], "aliases": {}, "from": [{"id": "all", "versions": "*"}]}
    facts = [{"fact": f"f{n}", "test": "is", "value": "x" * 1000} for n in range(64)]
    parts = (msgspec.structs.replace(manifest().components[1], version="6.0.0"),)
    requirements = msgspec.convert({"facts": facts}, Requirements)
    found = manifest(matrix, version="6.0.0", components=parts, requirements=requirements)
    tracemalloc.start()
    lint(found, at="2026-12-01")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20  # it was 70 MiB


def test_many_keys_over_many_releases_are_linted_with_bounded_work():
    matrix = {
        "releases": [f"5.{n}.00" for n in range(200)],
        "aliases": {},
        "from": [{"id": "all", "versions": "*"}],
        "trusted-keys": {f"5.{n}.00": ["a"] for n in range(50)},
    }
    parts = msgspec.structs.replace(manifest().components[1], version="6.0.0")
    with at_most(1_000_000):
        report = lint(manifest(matrix, version="6.0.0", components=(parts,)), at="2026-12-01", signers=["b"])
    assert sum(finding.rule == "source-cannot-verify" for finding in report.findings) == 200
