"""A pair through whatever may happen to it, in any order: the promises that must hold at every moment."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bundlekit.update.engine.executor import BundleRejected, Declined, Engine, latest
from bundlekit.update.engine.history import History
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import CallStarted, CommitPoint, RevertDecided, Started
from bundlekit.update.rehearsal.faults import FAULTS, KINDS, ControllerKilled, FaultyHooks
from bundlekit.update.rehearsal.rehearse import EmptyBundle
from bundlekit.update.rehearsal.sandbox import reimaging
from tests.update.world import World

SCRIPT = st.one_of(
    st.lists(st.sampled_from([*"......", *KINDS, "!", "&", "%"]), max_size=40),
    st.builds(lambda calls, kind: [*"." * calls, kind], st.integers(0, 30), st.sampled_from("!&%")),
)
"""What becomes of the next calls: ``.`` nothing, a kind of fault, ``!`` another controller claims the journal.

``%``: a controller on another host, with a state folder of its own, tries an update meanwhile; ``&``: it takes over.
"""

UNCHANGED = {"rejected", "cancelled", "superseded", "busy", "on-hold", "waiting"}
"""The ends of a run that another controller forestalled: nothing of this run is left behind."""


class Scripted(FaultyHooks):
    script: list
    overtake = staticmethod(lambda: None)
    meanwhile = staticmethod(lambda _take_over: None)

    def _meet(self, request):
        verb, step = request.verb, request.step
        if verb in {"apply", "revert"} and self.overrides.get(step) == "busy":
            self.violations.append(f"{verb} of {step} while it was busy")
        kind = self.script.pop(0) if self.script else "."
        if kind == "!":
            self.overtake()
        if kind in "&%":
            self.meanwhile(kind == "&")
        return self._inject(request, kind) if kind in FAULTS[verb] else self._pass_on(request)

    validate = describe = prepare = apply = probe = verify = commit = revert = gate = cleanup = _meet


class Pair(RuleBasedStateMachine):
    @initialize(compatible=st.booleans(), ahead=st.integers(0, 3))
    def begin(self, compatible, ahead):
        self.cancelled = False
        self.outcome = None
        self.world = World(hooks=Scripted, compatible=compatible, cancel=lambda: self.cancelled, plan=PAIR)
        self.world.hooks.script = []
        self.world.hooks.overtake = lambda: self.world.journal.claim("pair-0", "the other")
        self.world.hooks.meanwhile = self.meanwhile
        self.elsewhere = MemoryJournal()
        self.guard = self.kept = None
        self.calling = False
        self.fences = {}
        self.start_truth = self.truth()
        for _ in range(ahead):
            self.a_claim_comes_to_nothing()

    def truth(self):
        overrides = self.world.hooks.overrides
        versions = self.world.pair.versions()
        return {step: overrides.get(step, versions[step]) for step in self.world.job.targets}

    def marks(self):
        """All that the other controller can have left at the target."""
        seen = {s: [getattr(c, n) for n in c.__slots__] for s, c in self.world.pair.components.items()}
        return seen, dict(self.world.hooks.overrides), self.world.pair.counter

    def meanwhile(self, take_over):
        """Another host runs an update to its end; from then on this one must leave the pair alone."""
        pair, ours = self.world.pair, latest(self.world.journal, "pair-0")
        versions = pair.versions()
        under_way = {c.run for c in pair.components.values()} - {""}
        targets = {
            step: replace(t, old=versions[step], new="3.5.0" if t.role == "shared" else "5.41.00")
            for step, t in self.world.job.targets.items()
        }
        job = replace(self.world.job, targets=targets, bundle_id="1" * 64, counter_before=pair.counter, repair=False)
        hooks = FaultyHooks(pair, self.world.clock, ())
        hooks.overrides = self.world.hooks.overrides
        engine = Engine(journal=self.elsewhere, hooks=hooks, clock=self.world.clock)
        was, truth = self.marks(), self.truth()
        mine = ours.run if ours is not None else ""
        ticks, wall = self.world.clock.ticks, self.world.clock.wall
        outcome = engine.run(job, EmptyBundle(job.bundle_id), take_over=mine if take_over else "")
        if self.calling:  # its time is not that of the call of ours that is in progress
            self.world.clock.ticks, self.world.clock.wall = ticks, wall
        assert hooks.violations == []
        if not take_over and mine in under_way:
            assert outcome.kind in {"busy", "on-hold"}
            assert self.marks() == was, "the run of another is left alone"
        if self.marks() == was:
            return
        if not self.ended() and (mine in under_way or self.guard is not None):
            self.guard = self.marks()
            self.world.hooks.script = []
        elif (self.calling or not self.ended()) and self.truth() != truth:
            self.kept = self.truth()  # ours has staged nothing yet, but it was made for what the pair was before
        self.start_truth = self.truth() if self.guard is None else self.start_truth

    def go(self, what, script):
        was = self.guard
        self.world.hooks.script = list(script)
        self.calling = True
        try:
            self.outcome = what()
        except ControllerKilled:
            self.outcome = None
        self.calling = False
        self.world.hooks.script = []
        if self.kept is not None:
            assert self.truth() == self.kept, "what another controller has installed stays"
            if self.ended():
                assert self.outcome is None or self.outcome.kind in UNCHANGED
                self.kept = None
        if self.guard is not was:
            assert self.marks() == self.guard, "a controller that lost the pair touches nothing more"
            if not self.ended():
                return
            assert self.outcome.kind in {"rejected", "superseded", "busy"}
            self.guard = self.outcome = None

    def ended(self):
        last = latest(self.world.journal, "pair-0")
        return last is None or last.ended is not None

    @rule(script=SCRIPT, repair=st.booleans())
    def run(self, script, repair):
        truth, ended, before_it = self.truth(), self.ended(), self.start_truth
        held = (last := latest(self.world.journal, "pair-0")) is not None and last.hold
        before = sum(isinstance(record, Started) for record in self.world.records)
        self.start_truth = truth
        self.go(lambda: self.world.run_again(repair=repair), script)
        started = sum(isinstance(record, Started) for record in self.world.records) > before
        if self.start_truth != truth and self.outcome is not None:
            self.outcome = None if started else self.outcome  # its recovery cannot know what came between
        if started:
            assert ended, "two runs at once"
            assert not held or repair, "a run on hold"
        else:
            assert self.outcome is None or self.outcome.kind in {"on-hold", "busy", "waiting"}
            assert self.truth() == self.start_truth
            self.outcome = None
            self.start_truth = before_it  # the run that is still open began with that

    @precondition(lambda self: self.world.records)
    @rule(script=SCRIPT, bundle=st.sampled_from(["given", "given", "rejected", "absent"]))
    def resume(self, script, bundle):
        given = {"given": self.world.bundle, "rejected": BundleRejected(reason="revoked"), "absent": None}[bundle]
        told, ended, taken = self.outcome, self.ended(), self.guard
        self.go(lambda: self.world.resume(bundle=given), [] if taken else script)
        if taken and not ended:
            assert self.marks() == taken, "a controller that lost the pair touches nothing more"
            assert self.outcome.kind in {"rejected", "superseded"}
            assert not self.outcome.states or {w.verb for w in self.outcome.recovery} <= {"clear", "state", "run"}
            self.guard = self.kept = self.outcome = None
            return
        if ended:
            assert self.outcome == latest(self.world.journal, "pair-0").ended, "it only says how it ended"
            self.outcome = told

    @rule(take_over=st.booleans())
    def another_host(self, take_over):
        if not self.ended():
            self.meanwhile(take_over)
        if self.guard is not None:
            self.outcome = None

    @rule()
    def a_claim_comes_to_nothing(self):
        """A controller of this host dies before its first record: the fence is ahead of what the appliance knows."""
        self.world.journal.claim("pair-0", "the other")

    @rule(seconds=st.sampled_from([-1e9, -3600.0, 3600.0, 1e9]))
    def wall_clock_jumps(self, seconds):
        self.world.clock.wall += seconds

    @rule(down=st.sampled_from([1.0, 7200.0]), jump=st.sampled_from([0.0, -1e6, 1e6]))
    def reboot(self, down, jump):
        self.world.clock.reboot(down=down, jump=jump)

    @rule(wanted=st.booleans())
    def cancel(self, wanted):
        self.cancelled = wanted

    @precondition(lambda self: self.ended() and self.world.records)
    @rule(blind=st.booleans())
    def clear(self, blind):
        self.world.clock.sleep(7200)
        cleared = self.world.clear(without_probe=blind)
        if not isinstance(cleared, Declined) and not blind:
            assert not self.world.hooks.overrides
            assert self.world.pair.formed()

    @precondition(lambda self: self.ended())
    @rule(step=st.sampled_from(["storage", "active", "standby"]), new=st.booleans())
    def reimage(self, step, new):
        target = self.world.job.targets[step]
        self.world.hooks.overrides.pop(step, None)
        version = target.new if new else ("3.2.1" if step == "storage" else "5.20.03")
        self.world.pair.reimage(reimaging(self.world.job, step, version))
        self.outcome = None

    @rule()
    def mend_the_cluster(self):
        self.world.hooks.overrides.pop("ha-formed", None)

    @precondition(lambda self: self.ended())
    @rule()
    def follow_the_way_out(self):
        """Whatever happened, what the outcome names leads to the end, if nothing else goes wrong."""
        self.cancelled = False
        self.world.hooks.overrides.pop("ha-formed", None)
        if self.guard is not None:
            return
        last = latest(self.world.journal, "pair-0")
        outcome = last.ended if last is not None else None
        if outcome is None or self.outcome is not outcome:
            return
        led, read_again = outcome.kind, False
        for way in outcome.recovery:
            match way.verb:
                case "reimage":
                    self.world.hooks.overrides.pop(way.step, None)
                    self.world.pair.reimage(reimaging(self.world.job, way.step, way.version))
                case "clear":
                    self.world.clock.sleep(7200)
                    assert not isinstance(cleared := self.world.clear(), Declined), cleared
                case "state":
                    read_again = True
                case "run" if not read_again:
                    led = self.world.run().kind
                case verb:
                    led = self.world.run_again(repair=verb == "repair").kind
        assert led == "succeeded"
        self.outcome = None

    @invariant()
    def nothing_is_touched_that_still_moves(self):
        assert self.world.hooks.violations == []

    @invariant()
    def no_fence_ever_falls(self):
        fences = {step: component.fence for step, component in self.world.pair.components.items()}
        assert all(fence >= self.fences.get(step, 0) for step, fence in fences.items())
        self.fences = fences

    @invariant()
    def the_commit_point_is_kept(self):
        committed = False
        for record in self.world.records:
            match record:
                case Started():
                    committed = False
                case CommitPoint():
                    committed = True
                case RevertDecided() | CallStarted(verb="revert"):
                    assert not committed
                case CallStarted(verb="apply", step="standby"):
                    assert committed

    @invariant()
    def an_outcome_is_true(self):
        outcome, truth = self.outcome, self.truth()
        if outcome is None:
            return
        new = {step: target.new for step, target in self.world.job.targets.items()}
        match outcome.kind:
            case "succeeded":
                assert truth == new
                assert self.world.pair.formed()
            case "rejected" | "cancelled":
                assert truth == self.start_truth
            case "reverted":
                for step, state in outcome.states.items():
                    assert truth[step] == (new[step] if state == "kept-new" else self.start_truth[step])
                assert not {"active", "standby"} & {
                    step
                    for step, state in outcome.states.items()
                    if state == "kept-new" and self.start_truth[step] != new[step]
                }
            case "degraded" | "needs-operator":
                assert outcome.hold
                assert outcome.recovery

    @invariant()
    def the_journal_adds_up(self):
        if self.world.records:
            assert History.of(self.world.records).transitions <= 100


Pair.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # which fails by a clock where the machine has other work
)
TestPair = Pair.TestCase


def test_a_run_over_a_new_pair_is_not_degraded_by_what_another_host_installs():
    """Found by the machine: nothing was staged, so the first mark of the run was that of its commit."""
    pair = Pair()
    pair.begin(compatible=False, ahead=0)
    pair.run(repair=False, script=[])
    pair.a_claim_comes_to_nothing()
    pair.run(repair=False, script=[*"." * 14, "&"])
    last = latest(pair.world.journal, "pair-0").ended
    assert (last.kind, last.hold) == ("rejected", False)
    assert not pair.world.held_at_target
