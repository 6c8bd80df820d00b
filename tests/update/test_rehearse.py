"""Rehearsal: the table it must print, the invariants it must find broken, the recoveries it walks."""

import json
import random
import re
import subprocess
import sys

import msgspec
import pytest

from bundlekit.update.engine import history, planner
from bundlekit.update.engine import transitions as order
from bundlekit.update.engine.plan import PAIR, Group, OnFailure, problems
from bundlekit.update.engine.records import Answer, Outcome
from bundlekit.update.rehearsal.faults import ELSEWHERE, FAULTS
from bundlekit.update.rehearsal.invariants import broken_beside
from bundlekit.update.rehearsal.rehearse import _Sweep, label, rehearse, simulated
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job
from bundlekit.update.rehearsal.table import LEGEND, LEGEND_OF_BROKEN, LEGEND_OF_ELSEWHERE, SAME_LETTER, render, table
from fixtures.make_rehearsals import GOLDEN, TABLES
from tests.update.world import World, fault


def in_groups(*groups, gates=PAIR.gates):
    """The pair's steps in other groups; a failure in the first reverts all of it that was begun."""
    later = OnFailure()
    return msgspec.structs.replace(
        PAIR,
        gates=gates,
        groups=tuple(
            Group(
                steps=steps,
                on_failure={
                    step: later if number else OnFailure(revert=steps[: steps.index(step) + 1][::-1]) for step in steps
                },
            )
            for number, steps in enumerate(groups)
        ),
    )


VENDOR = {
    # fault: (outcome, hold), as the executor's page promises it. P is a T with part done, K a C.
    **{("validate", step, kind): "rejected" for step in PAIR.order for kind in "FT"},
    **{("prepare", step, kind): "rejected" for step in PAIR.order for kind in "FT"},
    **{("apply", step, "L"): "succeeded" for step in PAIR.order},
    **{("commit", step, kind): "succeeded" for step in PAIR.order for kind in "FT"},
    **{("apply", "storage", kind): "reverted, hold" for kind in "FTPX"},
    **{("verify", "storage", kind): "reverted, hold" for kind in "FT"},
    **{("apply", "active", kind): "reverted (storage kept new)" for kind in "FTPX"},
    **{("verify", "active", kind): "reverted (storage kept new)" for kind in "FT"},
    ("apply", "storage", "B"): "needs-operator (storage busy, active old, standby old), hold",
    ("apply", "active", "B"): "needs-operator (storage new, active busy, standby old), hold",
    **{("apply", "standby", kind): "degraded (standby), hold" for kind in "FTPBX"},
    **{("verify", "standby", kind): "degraded (standby), hold" for kind in "FT"},
    **{("gate", "ha-formed", kind): "degraded (ha-formed), hold" for kind in "FT"},
}


@pytest.fixture(scope="module")
def singles():
    return rehearse()


def test_the_single_fault_table_is_the_promised_one(singles):
    found = {
        (run.faults[0].verb, run.faults[0].step, run.faults[0].kind): label(run.outcome)
        for run in singles.runs
        if run.faults and run.faults[0].kind not in ELSEWHERE
    }
    assert {key: found[key] for key in VENDOR} == VENDOR
    for (verb, step, kind), end in found.items():
        if kind in "KC":
            assert end == "succeeded", f"a crash at {step} {verb}"
        else:
            assert (verb, step, kind) in VENDOR or verb in {"describe", "probe", "cleanup"}


def test_another_controller_is_rehearsed_at_every_position(singles):
    """One that takes over has the pair; one that does not leaves alone what has begun to change the pair."""
    ends = {(str(run.faults[0])[:-3], run.faults[0].kind): run for run in singles.runs if run.faults}
    places = {place for place, _ in ends}
    assert {(place, kind) for place in places for kind in ELSEWHERE} <= set(ends)
    staged = False
    for run in singles.runs[1:]:
        (fault,) = run.faults
        staged = staged or (fault.verb == "prepare" and fault.step != "storage")
        if fault.kind in "SO":
            assert run.outcome.kind in {"rejected", "superseded"}, str(fault)
            assert not run.outcome.hold, "the hold is what the pair reports, and it reports none"
        elif fault.kind == "A":
            assert run.outcome.kind == ("succeeded" if staged else "rejected"), str(fault)


def test_another_controller_is_no_fault_among_several_and_can_be_left_out():
    pairs = rehearse(faults=2, verbs=("apply",), steps=("active",))
    assert {len(run.faults) for run in pairs.runs if any(f.kind in ELSEWHERE for f in run.faults)} == {1}
    without = rehearse(elsewhere=False)
    assert not any(fault.kind in ELSEWHERE for run in without.runs for fault in run.faults)


def test_faults_are_put_where_they_are_wanted():
    told = []
    found = rehearse(verbs=("apply", "gate"), steps=("active", "ha-formed"), progress=lambda *n: told.append(n))
    assert {(f.verb, f.step) for run in found.runs for f in run.faults} == {("apply", "active"), ("gate", "ha-formed")}
    assert [done for done, _ in told] == list(range(1, len(found.runs) + 1))
    assert {whole for _, whole in told} == {len(found.runs)}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("kind", "another controller took over the pair, but this run ended succeeded"),
        ("touched", "another controller took over the pair, but this run changed something after that"),
        ("other", "another controller of the pair ended reverted: it failed"),
    ],
)
def test_a_run_that_does_not_leave_the_pair_to_another_controller_is_found(fault, sentence):
    ours = Outcome(kind="succeeded" if fault == "kind" else "superseded", pair="pair-0")
    other = Outcome(kind="reverted" if fault == "other" else "succeeded", pair="pair-0", reason="it failed")
    found = broken_beside(simulated_job(PAIR), (), ours, other, touched=fault == "touched")
    assert list(found) == [sentence]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_the_golden_one(name):
    plan, compatible = TABLES[name]
    assert problems(plan) == []
    rehearsal = rehearse(simulated(plan, compatible=compatible))
    assert rehearsal.broken == ()
    assert render(rehearsal) == (GOLDEN / f"{name}.txt").read_text()


def test_renderings_say_the_same(singles):
    rows = table(singles)
    document = json.loads(render(singles, "json"))
    assert [row["outcome"] for row in document["outcomes"]] == [row.outcome for row in rows]
    assert document["runs"] == len(singles.runs)
    markdown = render(singles, "markdown").splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in markdown[2 : 2 + len(rows)]] == [
        row.outcome for row in rows
    ]


PARTS = 8  # so that each run of the tests takes one part of the pairs, and a sweep all of them


@pytest.fixture
def part_of_the_pairs(monkeypatch, number):
    """Let a sweep take one part of its pairs of faults: a sample of all of them, and the same in every run."""
    extended = _Sweep._extended

    def some(self, frontier, depth):
        planned = list(extended(self, frontier, depth))
        if depth == 2:
            assert len(planned) > 1600
            random.Random(len(planned)).shuffle(planned)  # noqa: S311 - no secret
            planned = planned[number::PARTS]
        return planned

    monkeypatch.setattr(_Sweep, "_extended", some)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("part_of_the_pairs")
@pytest.mark.parametrize(
    "number", [number if number == 0 else pytest.param(number, marks=pytest.mark.sweep) for number in range(PARTS)]
)
@pytest.mark.parametrize("compatible", [True, False], ids=["compatible", "incompatible"])
def test_no_pair_of_faults_breaks_an_invariant(compatible, number):
    rehearsal = rehearse(simulated(compatible=compatible), faults=2)
    assert rehearsal.broken == ()
    assert sum(len(run.faults) == 2 for run in rehearsal.runs) > 200
    led = {way: where for ways in rehearsal.recoveries.values() for way, where in ways.items() if way}
    assert set(led.values()) == {"succeeded"}
    assert {"clear, run", "repair", "run"} < set(led)


@pytest.mark.exhaustive
@pytest.mark.parametrize("faults", [1, pytest.param(2, marks=pytest.mark.sweep)])
@pytest.mark.parametrize(
    "plan",
    [
        in_groups(("storage", "active", "standby")),
        in_groups(("storage",), ("active",), ("standby",)),
        in_groups(("storage", "active"), ("standby",), gates={}),
    ],
    ids=["all-or-nothing", "one-by-one", "no-gate"],
)
def test_other_plans_keep_the_same_promises(plan, faults):
    assert problems(plan) == []
    rehearsal = rehearse(simulated(plan), faults=faults)
    assert rehearsal.broken == ()


def gated(*moments):
    """The pair with a gate for each of the moments, which can be several."""
    gate = PAIR.gates["ha-formed"]
    gates = {f"gate-{number}": msgspec.structs.replace(gate, after=after) for number, after in enumerate(moments)}
    return msgspec.structs.replace(PAIR, gates=gates)


BETWEEN = [
    gated(("group", "success", "revert")),
    gated(("group",), ("success", "revert")),
    msgspec.structs.replace(
        in_groups(("storage",), ("active",), ("standby",)), gates=gated(("group", "success", "revert")).gates
    ),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("faults", [1, pytest.param(2, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("plan", BETWEEN, ids=["one-gate", "own-gate", "one-by-one"])
def test_a_gate_between_groups_is_rehearsed_like_any_other(plan, faults):
    """The standby is old then, and HA has to form all the same."""
    rehearsal = rehearse(simulated(plan), faults=faults)
    assert rehearsal.broken == ()
    assert rehearsal.runs[0].outcome.kind == "succeeded"
    struck = {(run.faults[0].verb, run.faults[0].nth) for run in rehearsal.runs if run.faults}
    assert ("gate", 0) in struck


def test_a_gate_is_told_when_it_is_polled(monkeypatch):
    world = World(fault("verify", "active", "F"), plan=gated(("group", "success", "revert")))
    asked, gate = [], world.pair.gate

    def noted(request):
        asked.append(request.after)
        return gate(request)

    monkeypatch.setattr(world.pair, "gate", noted)
    assert world.run().kind == "reverted"
    assert set(asked) == {"revert"}
    asked.clear()
    assert world.run_again().kind == "succeeded"
    assert list(dict.fromkeys(asked)) == ["group", "success"]


def test_a_repair_polls_no_gate_for_which_it_has_to_write_the_standby_first():
    """The half-written standby keeps the pair out of HA, and only the repair can change that."""
    world = World(fault("apply", "standby", "F"), plan=gated(("group", "success", "revert")))
    assert world.run().kind == "degraded"
    assert world.run_again(repair=True).kind == "succeeded"


def test_every_call_of_a_run_is_a_position(singles):
    clean = next(run for run in singles.runs if not run.faults)
    assert clean.outcome.kind == "succeeded"
    struck = {(run.faults[0].verb, run.faults[0].step) for run in singles.runs if run.faults}
    expected = {(verb, step) for verb in FAULTS if verb not in {"gate", "revert"} for step in PAIR.order}
    assert struck == expected | {("gate", "ha-formed")}


@pytest.mark.sweep
def test_all_triples_of_faults_break_no_invariant():
    rehearsal = rehearse(faults=3)
    assert rehearsal.broken == ()


def lying(**methods):
    pair = type("Lying", (SimulatedPair,), methods)

    def make(clock):
        box = simulated()(clock)
        return msgspec.structs.replace(box, hooks=pair(box.job, clock))

    return make


def test_a_hook_that_says_ok_and_does_nothing_is_found_out():
    rehearsal = rehearse(lying(apply=lambda _self, _request: Answer(kind="ok")), faults=0)
    assert [run.outcome.kind for run in rehearsal.runs] == ["reverted"]
    assert rehearsal.runs[0].outcome.failed == "storage"
    assert rehearsal.runs[0].outcome.reason.startswith("verify of storage failed")


def test_a_commit_point_too_early_is_an_invariant_broken(monkeypatch):
    real = order._phase_steps

    def early(mode, job, revert):
        tasks = [task for task in real(mode, job, revert) if task.phase != order.COMMIT_POINT]
        if mode == "apply":
            tasks.insert(len(order.FIRST) * len(job.targets), order.PhaseStep(order.COMMIT_POINT, ""))
        return iter(tasks)

    monkeypatch.setattr(order, "_phase_steps", early)
    broken = " ".join(rehearse().broken)
    assert "the commit point came before its group was verified" in broken


def test_a_revert_under_a_running_apply_is_an_invariant_broken(monkeypatch):
    monkeypatch.setattr(planner, "_never_idle", lambda h, now, task: planner.fail(h, now, task, ""))
    assert any("while it was still busy" in what for what in rehearse().broken)


def test_an_outcome_believed_without_a_probe_is_an_invariant_broken(monkeypatch):
    monkeypatch.setattr(history.History, "state", lambda _self, _step: "new")
    assert any("is reported new" in what for what in rehearse().broken)


def test_a_crash_that_changes_the_outcome_is_found(monkeypatch):
    monkeypatch.setattr(planner, "ATTEMPTS", 1)
    assert any("the crash changes succeeded to" in what for what in rehearse().broken)


def test_a_way_out_that_leads_nowhere_is_found(monkeypatch):
    monkeypatch.setattr("bundlekit.update.engine.outcome._needs_image", lambda _h, _step, _kind: False)
    assert any("clear refuses" in what for what in rehearse().broken)


def test_the_letters_are_explained_where_people_read_them(singles):
    """Once, below the table; a program has ``kinds``, and the page with the Markdown table a sentence."""
    letters = set(re.findall(r"\b([A-Z])\b", " ".join(fault for row in table(singles) for fault in row.faults)))
    assert letters == set(re.findall(r"\b([A-Z])\b", LEGEND + LEGEND_OF_ELSEWHERE))
    assert render(singles).splitlines()[-4:-1] == ["", LEGEND, LEGEND_OF_ELSEWHERE]
    assert LEGEND not in render(singles, "json") + render(singles, "markdown")


def test_a_broken_invariant_names_faults_by_letters_that_are_explained_too(singles):
    broken = msgspec.structs.replace(singles, broken=("storage apply: P: it is half-written",))
    assert f"BROKEN storage apply: P: it is half-written\n{LEGEND_OF_BROKEN}\n" in render(broken)
    assert set(re.findall(r"\b([PK])\b", LEGEND_OF_BROKEN)) == set(SAME_LETTER)


def test_letters_cover_every_kind():
    assert set(SAME_LETTER) | set("FTLBXC") | set(ELSEWHERE) == {kind for kinds in FAULTS.values() for kind in kinds}


def test_importing_bundlekit_loads_no_executor():
    code = "import sys, bundlekit; print([m for m in sys.modules if m.startswith('bundlekit.update')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
