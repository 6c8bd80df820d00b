"""A simulated pair with everything an update of it needs, for the tests of this folder."""

from msgspec.structs import replace

from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.executor import Engine, HoldRelease
from bundlekit.update.engine.hooks import Hooks
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import CallFinished, CallStarted
from bundlekit.update.rehearsal.faults import FaultyHooks, InjectedFault
from bundlekit.update.rehearsal.rehearse import EmptyBundle, calm
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job


def fault(verb, step, kind, nth=0):
    return InjectedFault(verb=verb, step=step, nth=nth, kind=kind)


class World:
    def __init__(self, *faults, plan=PAIR, compatible=True, journal=None, hooks=FaultyHooks, **engine):
        self.job = simulated_job(calm(plan), compatible=compatible)
        self.clock = ManualClock()
        self.pair = SimulatedPair(self.job, self.clock)
        self.hooks = hooks(self.pair, self.clock, faults)
        self.journal = journal or MemoryJournal()
        self.bundle = EmptyBundle(self.job.bundle_id)
        self.options = engine

    @property
    def engine(self):
        return Engine(journal=self.journal, hooks=self.hooks, clock=self.clock, **self.options)

    def run(self, **options):
        return self.engine.run(self.job, self.bundle, **options)

    def run_again(self, *, repair=False):
        """A new run for the pair as it is now: what a fresh state and a fresh check make of it."""
        versions = self.pair.versions()
        targets = {step: replace(t, old=versions[step]) for step, t in self.job.targets.items()}
        self.job = replace(self.job, targets=targets, counter_before=self.pair.counter, repair=repair)
        return self.run()

    def resume(self, **options):
        return self.engine.resume(self.job.pair, options.pop("bundle", self.bundle), **options)

    def clear(self, **options):
        return self.engine.clear(self.job.pair, HoldRelease(by="Ada", reason="disk replaced", **options))

    @property
    def records(self):
        return self.journal.read(self.job.pair)

    def calls(self, verb, *, answered=True):
        kind = CallFinished if answered else CallStarted
        return [r.step for r in self.records if isinstance(r, kind) and r.verb == verb]

    @property
    def new(self):
        """The steps that truly run the new version."""
        return {step for step, target in self.job.targets.items() if self.pair.versions()[step] == target.new}

    @property
    def held_at_target(self):
        return any(component.hold for component in self.pair.components.values())


class Overridden(Hooks):
    """Hooks where single verbs are replaced by functions of (hooks behind, request)."""

    def __init__(self, hooks, **verbs):
        self.hooks = hooks
        self.verbs = verbs

    def _pass(self, request):
        verb = self.verbs.get(request.verb)
        return verb(self.hooks, request) if verb else getattr(self.hooks, request.verb)(request)

    validate = describe = prepare = apply = probe = verify = commit = revert = gate = cleanup = _pass


def overridden(**verbs):
    return lambda pair, clock, faults: Overridden(FaultyHooks(pair, clock, faults), **verbs)
