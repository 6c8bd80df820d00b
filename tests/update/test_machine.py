"""A pair through whatever may happen to it, in any order: the promises that must hold at every moment.

Two hosts with state folders of their own, several faults in one run chosen by verb and kind, deaths of controllers,
older copies of a state folder, full disks, clocks that jump, and people who clear, revert, repair and re-image.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from bundlekit.update.engine.plan import PAIR, Group, IfIncompatible, OnFailure, problems
from bundlekit.update.rehearsal.faults import ELSEWHERE, FAULTS, InjectedFault
from tests.update.hosts import CLAIM, PREPARED, VISIT, Story

BETWEEN = replace(PAIR.gates["ha-formed"], after=("group", "success", "revert"))
PLANS = {
    "pair": PAIR,
    "gate-between": replace(PAIR, gates={"ha-formed": PAIR.gates["ha-formed"], "synchronised": BETWEEN}),
    "no-gate": replace(PAIR, gates={}),
    "one-by-one": replace(
        PAIR,
        groups=(
            Group(steps=("storage",), on_failure={"storage": OnFailure(revert=("storage",), hold=True)}),
            Group(steps=("active",), on_failure={"active": OnFailure()}),
            Group(steps=("standby",), on_failure={"standby": OnFailure(recovery="reimage")}),
        ),
    ),
    "storage-back-first": replace(
        PAIR,
        groups=(
            replace(
                PAIR.groups[0],
                on_failure=PAIR.groups[0].on_failure
                | {
                    "active": OnFailure(
                        revert=("active",),
                        keep=("storage",),
                        if_incompatible=IfIncompatible(revert=("storage", "active")),
                    )
                },
            ),
            Group(steps=("standby",), on_failure={"standby": OnFailure(recovery="reimage")}),
        ),
    ),
}

STEPS = ("storage", "active", "standby")
KINDS = {verb: [kind for kind in kinds if kind not in ELSEWHERE] for verb, kinds in FAULTS.items()}
VERBS = (*sorted(FAULTS), "prepare", "probe", "apply", "apply", "apply", "verify", "commit", "revert", "cleanup")
"""Each verb, and those again after which more can go wrong."""


@st.composite
def a_fault(draw, kinds=()):
    """A fault, by verb and kind, on any component or gate, the first time it is called there or a later one."""
    verb = draw(st.sampled_from(VERBS))
    return InjectedFault(
        verb=verb,
        step=draw(st.sampled_from(["ha-formed", "synchronised"] if verb == "gate" else STEPS)),
        nth=draw(st.integers(0, 4) if verb == "probe" else st.sampled_from([0, 0, 0, 1, 2])),
        kind=draw(st.sampled_from([*KINDS[verb], *kinds])),
    )


BUNDLE = st.sampled_from(["this", "this", "another"])
GIVEN = {
    "run": st.fixed_dictionaries(
        {"take_over": st.booleans(), "bundle": BUNDLE, "fresh": st.sampled_from([True, True, False])}
    ),
    "resume": st.just({}),
    **dict.fromkeys(["repair", "revert", "clear"], st.fixed_dictionaries({"take_over": st.booleans()})),
}
FAULTY = st.lists(a_fault(), max_size=2)
VISIT_BY_THE_OTHER = st.one_of(
    *(st.tuples(st.just(verb), FAULTY, GIVEN[verb]) for verb in ("run", "run", "run", "resume", "resume", *GIVEN))
)


@st.composite
def happenings(draw):
    """What goes wrong in one call: faults, a visit of the other host for each that is one, a full disk, a cancel."""
    faults = draw(st.lists(a_fault(kinds=[VISIT, VISIT, VISIT, CLAIM]), max_size=5))
    return {
        "faults": faults,
        "visits": [draw(VISIT_BY_THE_OTHER) for fault in faults if fault.kind == VISIT],
        "room": draw(st.one_of(st.none(), st.none(), st.none(), st.none(), st.integers(0, 80))),
        "cancel": draw(st.one_of(st.none(), st.none(), st.none(), st.none(), st.integers(0, 40))),
    }


HAPPENS = happenings()
HOST = st.sampled_from("AB")
TAKE_OVER = st.booleans()


class TwoHosts(RuleBasedStateMachine):
    @initialize(plan=st.sampled_from(sorted(PLANS)), compatible=st.booleans(), claims=st.lists(HOST, max_size=4))
    def begin(self, plan, compatible, claims):
        self.story = Story(PLANS[plan], compatible=compatible)
        for name in claims:
            self.a_claim_comes_to_nothing(name)

    @rule(
        host=HOST,
        happens=HAPPENS,
        fresh=st.sampled_from([True, True, True, False]),
        bundle=BUNDLE,
        take_over=TAKE_OVER,
        window=st.sampled_from([None, None, None, PREPARED]),
    )
    def run(self, host, happens, **given):
        host = self.story.hosts[host]
        open_run, held = host.last is not None and host.last.ended is None, host.last is not None and host.last.hold
        end = host.act("run", **happens, **given)
        if open_run or held:
            assert end is None or end.kind in {"on-hold", "busy"}

    @rule(host=HOST, happens=HAPPENS, take_over=TAKE_OVER)
    def repair(self, host, happens, **given):
        self.story.hosts[host].act("repair", **happens, **given)

    @rule(host=HOST, happens=HAPPENS, bundle=st.sampled_from(["given", "given", "given", "rejected", "absent"]))
    def resume(self, host, happens, bundle):
        self.story.hosts[host].act("resume", **happens, bundle=bundle)

    @rule(host=HOST, happens=HAPPENS, take_over=TAKE_OVER)
    def revert(self, host, happens, **given):
        self.story.hosts[host].act("revert", **happens, **given)

    @rule(host=HOST, happens=HAPPENS, blind=st.booleans(), take_over=TAKE_OVER)
    def clear(self, host, happens, **given):
        self.story.hosts[host].act("clear", **happens, **given)

    @rule(host=HOST)
    def a_claim_comes_to_nothing(self, host):
        """A controller dies before its first record: the fence is ahead of what the appliance knows."""
        self.story.hosts[host].journal.claim("pair-0", "nobody")

    @rule(host=HOST, of=HOST, part=st.integers(0, 20))
    def put_back_a_copy(self, host, of, part):
        """An older copy of its own state folder, or of that of the other host."""
        if self.story.hosts[of].records:
            self.story.hosts[host].put_back(self.story.hosts[of], part / 20)

    @rule(seconds=st.sampled_from([-1e9, -3600.0, 3600.0, 1e9]))
    def wall_clock_jumps(self, seconds):
        self.story.clock.wall += seconds

    @rule(down=st.sampled_from([1.0, 7200.0]), jump=st.sampled_from([0.0, -1e6, 1e6]))
    def reboot(self, down, jump):
        self.story.clock.reboot(down=down, jump=jump)

    @rule(step=st.sampled_from(STEPS), which=st.sampled_from(["old", "this", "another"]), clean=st.booleans())
    def reimage(self, step, which, clean):
        shared = step == "storage"
        version = {"old": ("5.20.03", "3.2.1"), "this": ("5.40.00", "3.4.0"), "another": ("5.41.00", "3.5.0")}[which][
            shared
        ]
        self.story.reimage(step, version, clean=clean, by_hand=True)

    @rule(step=st.sampled_from(STEPS))
    def power_fails(self, step):
        self.story.power_fails(step)

    @precondition(lambda self: "busy" in self.story.overrides.values())
    @rule(partial=st.booleans())
    def what_was_busy_becomes_idle(self, partial):
        for step in [step for step, override in self.story.overrides.items() if override == "busy"]:
            self.story.overrides[step] = "partial"
            if not partial:
                del self.story.overrides[step]
        self.story.changed(None, "", content=True)

    @rule()
    def mend_the_cluster(self):
        self.story.mend()

    @invariant()
    def every_end_has_a_way_out(self):
        """Whatever happened, what is advised leads to the end, if nothing else goes wrong."""
        for name in self.story.hosts:
            assert self.story.way_out(name) == ""

    @invariant()
    def all_promises_are_kept(self):
        self.story.check()


QUICK = settings(
    max_examples=100,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # which fails by a clock where the machine has other work
)
TwoHosts.TestCase.settings = QUICK
TestTwoHosts = pytest.mark.exhaustive(TwoHosts.TestCase)


@pytest.mark.sweep
def test_two_hosts_for_long():
    run_state_machine_as_test(TwoHosts, settings=settings(QUICK, max_examples=500, stateful_step_count=20))


@pytest.mark.parametrize("name", PLANS)
def test_the_plans_of_the_machine_are_plans(name):
    assert problems(PLANS[name]) == []


def test_a_run_over_a_new_pair_is_not_degraded_by_what_another_host_installs():
    """Found by an earlier machine: nothing was staged, so the first mark of the run was that of its commit."""
    story = Story(PAIR, compatible=False)
    host = story.hosts["A"]
    assert host.act("run").kind == "succeeded"
    host.journal.claim("pair-0", "nobody")
    faults = [InjectedFault(verb="prepare", step=step, nth=0, kind=VISIT) for step in ("active", "standby")]
    visits = [("run", (), {"bundle": "another", "take_over": take_over}) for take_over in (False, True)]
    last = host.act("run", faults, visits)
    assert (last.kind, last.hold) == ("rejected", False)
    assert set(story.pair.versions().values()) == {"5.41.00", "3.5.0"}
    assert not any(component.hold for component in story.pair.components.values())
    story.check()


def test_no_image_is_advised_again_that_is_in_place():
    """Found by the machine: a pair with two versions cannot be cleared, whatever image storage is given."""
    story = Story(PLANS["gate-between"], compatible=False)
    assert story.hosts["B"].act("run", [InjectedFault(verb="apply", step="standby", nth=0, kind="T")]).hold
    story.power_fails("storage")
    host = story.hosts["A"]
    end = host.act("run")
    assert end.kind == "rejected"
    assert story.way_out("A") == ""
    story.walked(host, end)
    declined = host.act("clear")
    assert [(way.verb, way.step, way.version) for way in declined.recovery] == [
        ("reimage", "standby", "5.40.00"),
        ("clear", "", ""),
        ("state", "", ""),
        ("run", "", ""),
    ]
