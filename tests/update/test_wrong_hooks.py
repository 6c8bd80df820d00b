"""Hooks with one planted bug each: rehearsal finds it, names it, and finds nothing in hooks that are correct."""

import time

import pytest
from msgspec.structs import replace

from bundlekit.update.engine.hooks import Hooks
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.contract import NOT_CHECKED
from bundlekit.update.rehearsal.rehearse import Sandbox, rehearse, simulated
from bundlekit.update.rehearsal.simulator import SimulatedPair
from bundlekit.update.rehearsal.table import render


class Bugs(SimulatedPair):
    """Correct hooks, as an integrator's class of its own; ``at`` is the step whose hooks have the bug, if any."""

    at = "storage"

    def has_it(self, request):
        return request.step == self.at

    def component(self, request):
        return self.components[request.step]

    def accept(self, request):
        """Let any fence pass, as hooks do that look at none."""
        component = self.component(request)
        component.fence, component.owner, component.run = request.fence, request.owner, request.run


def bug(*verbs, **extra):
    """A class whose ``verbs`` are served, for the step that has the bug, by the decorated function."""

    def made(function):
        def serve(verb):
            def ask(self, request):
                right = getattr(super(cls, self), verb)
                return function(self, request, right) if self.has_it(request) else right(request)

            return ask

        cls = type(f"{function.__name__.title().replace('_', '')}Hooks", (Bugs,), extra)
        for verb in verbs:
            setattr(cls, verb, serve(verb))
        PLANTED[function.__name__] = cls
        return function

    return made


PLANTED = {}


@bug("revert")
def revert_does_nothing(_self, _request, _right):
    return Answer(kind="ok")


@bug("revert")
def revert_always_fails(_self, _request, _right):
    return Answer(kind="failed", reason="it cannot be reverted")


@bug("revert")
def revert_is_no_noop(self, request, right):
    if self.component(request).version == request.target.old:
        return Answer(kind="failed", reason="it is old already")
    return right(request)


@bug("revert")
def revert_toggles(self, request, right):
    answer, component = right(request), self.component(request)
    component.version, component.previous = component.previous, component.version
    if component.version == request.target.old and not component.staged:
        component.version = request.target.new
    return answer


@bug("commit")
def commit_leaves_no_mark(self, request, right):
    answer = right(request)
    self.component(request).committed = ""
    return answer


@bug("prepare", "apply", "commit", "revert", "cleanup")
def no_fence_is_checked(self, request, right):
    self.accept(request)
    return right(request)


@bug("prepare", "apply", "commit", "revert", "cleanup")
def same_fence_of_another_owner_is_accepted(self, request, right):
    if request.fence == self.component(request).fence:
        self.accept(request)
    return right(request)


@bug("prepare", "apply", "commit", "revert", "cleanup")
def what_came_since_the_probe_is_not_compared(_self, request, right):
    return right(replace(request, fence_seen=None))


@bug("prepare")
def what_came_since_the_probe_is_rejected_of_the_same_run_too(self, request, right):
    if request.fence_seen is not None and request.fence > self.component(request).fence > request.fence_seen:
        return Answer(kind="fenced", reason="something came since the probe")
    return right(request)


@bug("prepare", "apply", "commit", "revert", "cleanup")
def fences_are_compared_as_text(self, request, right):
    """As ``[ "$fence" \\< "$seen" ]`` does in a shell."""
    component = self.component(request)
    if str(request.fence) < str(component.fence):
        return Answer(kind="fenced", reason="it is below")
    if request.fence < component.fence:
        self.accept(request)
    return right(request)


@bug("validate")
def validate_stages(self, request, right):
    self.component(request).staged = request.target.new
    return right(request)


@bug("apply")
def apply_alone_checks_no_fence(self, request, right):
    self.accept(request)
    return right(request)


@bug("cleanup")
def hold_is_not_left(_self, request, right):
    return right(replace(request, hold=""))


@bug("cleanup")
def hold_is_not_lifted(self, request, right):
    return right(replace(request, hold=request.hold or self.component(request).hold))


@bug("probe")
def probe_sees_new_when_it_is_old(_self, request, right):
    return replace(right(request), kind="new", version=request.target.new)


@bug("probe")
def probe_is_stale(self, request, right):
    self.cache = getattr(self, "cache", None) or right(request)
    return self.cache


@bug("verify")
def verify_is_always_ok(_self, request, _right):
    return Answer(kind="ok", version=request.target.new)


@bug("prepare")
def prepare_fails_the_second_time(self, request, right):
    if self.component(request).staged and request.fence >= self.component(request).fence:
        return Answer(kind="rejected", reason="staging is not empty")
    return right(request)


@bug("prepare")
def prepare_rejects_what_runs_already(self, request, right):
    component = self.component(request)
    if component.version == request.target.new and request.fence >= component.fence:
        return Answer(kind="rejected", reason="it is already installed")
    return right(request)


@bug("prepare")
def prepare_leaves_no_fence_where_the_new_version_runs(self, request, right):
    component = self.component(request)
    if component.version == request.target.new and request.fence >= component.fence:
        return Answer(kind="ok")
    return right(request)


@bug("apply", "probe")
def apply_answers_before_it_is_over(self, request, right):
    if request.verb == "apply":
        self.pending, before = 3, self.component(request).version
        answer, self.meanwhile = right(request), before
        return answer
    answer = right(request)
    if getattr(self, "pending", 0) and answer.kind == "new":
        self.pending -= 1
        return replace(answer, kind="old", version=self.meanwhile)
    return answer


@bug("cleanup")
def cleanup_removes_what_runs(self, request, right):
    answer = right(request)
    if answer.kind == "ok":
        self.component(request).version = "nothing"
    return answer


@bug("cleanup")
def cleanup_leaves_the_staging(self, request, right):
    staged, answer = self.component(request).staged, right(request)
    self.component(request).staged = staged
    return answer


@bug("cleanup")
def run_is_never_emptied(self, request, right):
    run, answer = self.component(request).run, right(request)
    self.component(request).run = run
    return answer


@bug("apply")
def counter_is_raised_by_apply(self, request, right):
    answer = right(request)
    self.counter = request.counter
    return answer


@bug("commit")
def counter_is_not_raised(self, request, right):
    counter, answer = self.counter, right(request)
    self.counter = counter
    return answer


@bug("describe")
def describe_reports_a_wrong_version(_self, request, right):
    return replace(right(request), version="9.9")


@bug("describe")
def describe_is_of_another_member(_self, request, right):
    return replace(right(request), identity="SN-other")


@bug("commit")
def commit_fails_the_second_time(self, request, right):
    if self.component(request).committed == request.run and request.fence >= self.component(request).fence:
        return Answer(kind="failed", reason="committed already")
    return right(request)


@bug("apply")
def apply_answers_none(_self, request, right):
    right(request)


@bug("cleanup")
def cleanup_answers_an_unknown_kind(_self, request, right):
    return replace(right(request), kind="done")


@bug("commit")
def commit_answers_after_its_deadline(self, request, right):
    answer = right(request)
    self.clock.sleep(request.deadline + 1)
    return answer


@bug("prepare")
def prepare_raises(_self, request, _right):
    raise KeyError(request.step)


@bug("probe")
def probe_reads_no_owner_back(_self, request, right):
    return replace(right(request), owner=None)


@bug("apply")
def apply_writes_no_run(self, request, right):
    answer = right(request)
    self.component(request).run = ""
    return answer


NAMED = {
    # bug: the verb that a message has to name, with the step and the class that serves it
    "revert_does_nothing": "revert",
    "revert_always_fails": "revert",
    "revert_is_no_noop": "revert",
    "revert_toggles": "revert",
    "commit_leaves_no_mark": "commit",
    "no_fence_is_checked": "prepare",
    "same_fence_of_another_owner_is_accepted": "prepare",
    "what_came_since_the_probe_is_not_compared": "prepare",
    "what_came_since_the_probe_is_rejected_of_the_same_run_too": "prepare",
    "fences_are_compared_as_text": "prepare",
    "validate_stages": "validate",
    "apply_alone_checks_no_fence": "apply",
    "hold_is_not_left": "cleanup",
    "hold_is_not_lifted": "cleanup",
    "probe_sees_new_when_it_is_old": "probe",
    "probe_is_stale": "probe",
    "verify_is_always_ok": "verify",
    "prepare_fails_the_second_time": "prepare",
    "prepare_rejects_what_runs_already": "prepare",
    "prepare_leaves_no_fence_where_the_new_version_runs": "prepare",
    "apply_answers_before_it_is_over": "apply",
    "cleanup_removes_what_runs": "cleanup",
    "cleanup_leaves_the_staging": "cleanup",
    "run_is_never_emptied": "cleanup",
    "counter_is_raised_by_apply": "apply",
    "counter_is_not_raised": "commit",
    "describe_reports_a_wrong_version": "describe",
    "describe_is_of_another_member": "describe",
    "commit_fails_the_second_time": "commit",
    "apply_answers_none": "apply",
    "cleanup_answers_an_unknown_kind": "cleanup",
    "commit_answers_after_its_deadline": "commit",
    "prepare_raises": "prepare",
    "probe_reads_no_owner_back": "probe",
    "apply_writes_no_run": "apply",
}


def sandboxes(cls, step="storage", plan=PAIR):
    def make(clock):
        box = simulated(plan)(clock)
        hooks = cls(box.job, clock)
        hooks.at = step
        return Sandbox(job=box.job, hooks=hooks, bundle=box.bundle)

    return make


def test_each_planted_bug_has_a_verb_to_be_named_by():
    assert set(NAMED) == set(PLANTED)
    assert len(PLANTED) >= 20


def named(found, cls, verb, step):
    """The messages that name the verb of the bug, its step, and the class and method that serve it."""
    return [what for what in found.broken if f"{verb} of {step}" in what and f"{cls.__name__}." in what]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_and_named(name):
    cls, verb = PLANTED[name], NAMED[name]
    found = rehearse(sandboxes(cls), verbs=("apply", "verify", "cleanup"), steps=("storage", "active"), elsewhere=False)
    assert named(found, cls, verb, "storage"), found.broken[:5]
    assert all(finding.expected and finding.came and finding.answer for finding in found.findings)


INVISIBLE = {("counter_is_not_raised", "active"), ("counter_is_not_raised", "standby")}
"""Bugs that change nothing: the pair has one counter, and the commit of the storage has raised it already."""


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("name", "step"), [(name, step) for name in PLANTED for step in PAIR.order if (name, step) not in INVISIBLE]
)
def test_a_planted_bug_is_found_in_every_step(name, step):
    cls, verb = PLANTED[name], NAMED[name]
    found = rehearse(sandboxes(cls, step))
    assert named(found, cls, verb, step), found.broken[:5]


@pytest.mark.parametrize(("name", "step"), sorted(INVISIBLE))
def test_a_bug_that_changes_nothing_is_none(name, step):
    assert rehearse(sandboxes(PLANTED[name], step), verbs=("commit",), elsewhere=False).broken == ()


EARLY_GATE = replace(PAIR.gates["ha-formed"], after=("group", "success", "revert"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("plan", [PAIR, replace(PAIR, gates={"ha-formed": EARLY_GATE})], ids=["end", "between"])
def test_correct_hooks_have_nothing_wrong(plan):
    found = rehearse(sandboxes(Bugs, "", plan))
    assert found.broken == ()
    assert found.findings == ()
    assert set(NOT_CHECKED) <= set(found.not_checked)


def test_a_revert_that_has_nothing_to_do_need_not_write_its_fence():
    class IdleHooks(Bugs):
        def revert(self, request):
            component = self.components[request.step]
            idle = component.version == request.target.old and request.fence > component.fence
            return Answer(kind="ok") if idle else super().revert(request)

    found = rehearse(sandboxes(IdleHooks, ""), verbs=("apply", "verify"), elsewhere=False)
    assert found.broken == ()


def test_an_end_worse_than_the_plans_is_told_with_the_answer_that_led_there():
    cls = PLANTED["revert_always_fails"]
    found = rehearse(sandboxes(cls), verbs=("verify",), steps=("storage",), elsewhere=False)
    (end,) = (
        finding for finding in found.findings if finding.expected == "reverted, hold" and "verify: F" in finding.faults
    )
    assert end.came.startswith("needs-operator (storage new")
    assert end.answer == (
        "revert of storage (RevertAlwaysFailsHooks.revert): answered failed (it cannot be reverted), expected ok, "
        "after apply of storage (answered ok)"
    )
    assert (end.verb, end.step, end.hook) == ("revert", "storage", "RevertAlwaysFailsHooks.revert")
    assert f"storage verify: F: expected reverted, hold, came {end.came}; {end.answer}" in found.broken


def test_hooks_without_a_reimage_are_told_which_recovery_was_not_walked():
    class NoReimageHooks(Bugs):
        reimage = Hooks.reimage

    found = rehearse(sandboxes(NoReimageHooks, ""), verbs=("apply",), steps=("storage",), elsewhere=False)
    none = "failed (these hooks cannot re-image)"
    assert any(f"reimage of storage (NoReimageHooks.reimage): answered {none}" in what for what in found.broken)
    way = f"recovery 'reimage storage 3.2.1, clear, run' leads to 'reimage answered {none}'"
    assert f"storage apply: B: {way}" in found.broken


def test_a_hook_that_takes_longer_than_its_deadline_in_real_time_is_found(monkeypatch):
    class SlowHooks(Bugs):
        def commit(self, request):
            answer = super().commit(request)
            if request.step == "active":
                times.append(request.deadline + 1)
            return answer

    times = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: sum(times))
    found = rehearse(sandboxes(SlowHooks, ""), verbs=("apply",), steps=("storage",), elsewhere=False)
    assert "commit of active (SlowHooks.commit): answered ok after 601 s, expected an answer within 600 s" in (
        " ".join(found.broken)
    )


def test_what_is_not_checked_is_printed():
    class InstallsByItselfHooks(Bugs):
        """An apply that brings the component by itself leaves nothing to see of the staging."""

        def apply(self, request):
            self.components[request.step].staged = request.target.new
            return super().apply(request)

    found = rehearse(sandboxes(InstallsByItselfHooks, ""), verbs=("apply",), steps=("storage",), elsewhere=False)
    assert found.broken == ()
    wanted = "cleanup of storage: that the staging is gone, because apply needs none"
    assert wanted in found.not_checked
    for form in ("text", "json", "markdown"):
        assert wanted in render(found, form)
    assert "Not checked" not in render(rehearse(faults=1, verbs=("validate",)))


def test_a_reimage_that_changes_nothing_is_found():
    class FalseReimageHooks(Bugs):
        def reimage(self, request):
            self.components[request.step].version = "nothing"
            return Answer(kind="ok")

    found = rehearse(sandboxes(FalseReimageHooks, ""), verbs=("apply",), steps=("storage",), elsewhere=False)
    assert any(
        "reimage of storage (FalseReimageHooks.reimage): answered ok, but a probe reports " in what
        for what in found.broken
    )


def test_a_reimage_can_forget_the_marks():
    """A real one writes the whole medium, and the hooks page demands it of a command."""

    class WholeMediumHooks(Bugs):
        def reimage(self, request):
            super().reimage(request)
            component = self.components[request.step]
            component.fence, component.owner, component.run, component.committed, component.hold = 0, "", "", "", ""
            return Answer(kind="ok")

    found = rehearse(sandboxes(WholeMediumHooks, ""), verbs=("apply",), steps=("standby",), elsewhere=False)
    assert found.broken == ()


def test_a_reimage_that_raises_ends_its_recovery_and_not_the_rehearsal():
    class RaisingReimageHooks(Bugs):
        def reimage(self, request):
            if request.target.new == "5.40.00":
                raise KeyError(request.target.new)
            return super().reimage(request)

    found = rehearse(sandboxes(RaisingReimageHooks, ""), verbs=("apply",), steps=("standby",), elsewhere=False)
    why = "reimage answered died (RaisingReimageHooks.reimage: KeyError: '5.40.00')"
    assert f"standby apply: B: recovery 'reimage standby 5.40.00, repair' leads to '{why}'" in found.broken


def test_an_answer_that_is_none_is_quoted_once():
    class GarbageHooks(Bugs):
        def verify(self, request):
            return replace(super().verify(request), kind="splendid")

    found = rehearse(sandboxes(GarbageHooks, ""), verbs=("verify",), steps=("storage",), elsewhere=False)
    said = "verify of storage (GarbageHooks.verify): it answered splendid to verify, expected an answer of this verb"
    assert found.broken[0].startswith(f"asked directly: {said}")
    assert not any("answered it" in what for what in found.broken)


def test_hooks_that_are_slow_are_named_by_what_they_do_and_not_by_what_they_reject():
    class SlowHooks(Bugs):
        def apply(self, request):
            self.clock.sleep(request.deadline + 1)
            return super().apply(request)

    found = rehearse(sandboxes(SlowHooks, ""), verbs=("verify",), steps=("storage",), elsewhere=False)
    first = "asked directly: apply of storage (SlowHooks.apply): it answered ok after its deadline of 5400 s"
    assert found.broken[0].startswith(first)
    assert not any("): it answered fenced" in what for what in found.broken)


def test_a_counter_of_each_member_is_told_to_be_that_of_the_pair():
    class OwnCounterHooks(Bugs):
        def describe(self, request):
            committed = self.components[request.step].committed
            return replace(super().describe(request), counter=7 if committed else 6)

    found = rehearse(sandboxes(OwnCounterHooks, ""), verbs=("commit",), steps=(), elsewhere=False)
    expected = "counter 7, the pair's since commit of storage: every component reports it, or none does"
    assert f"describe of active (OwnCounterHooks.describe): answered counter 6, expected {expected}" in found.broken[0]
