"""A simulated appliance pair for hooks: versions, staging, slots, cluster, storage synchronisation, marks.

It has no faults of its own. ``rehearse`` puts them between it and the executor, as it does with any hooks.
"""

from __future__ import annotations

from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.hooks import Hooks, Request
from bundlekit.update.engine.job import Job, Target
from bundlekit.update.engine.plan import Plan, seconds
from bundlekit.update.engine.records import Answer

OLD, NEW = "5.20.03", "5.40.00"
OLD_STORAGE, NEW_STORAGE = "3.2.1", "3.4.0"

MINUTE = 60.0
DURATIONS = {"prepare": 5 * MINUTE, "apply": 20 * MINUTE, "revert": 15 * MINUTE}
"""How long the simulated appliance takes, within half a deadline; anything else answers at once."""


class SimulatedComponent:
    """One component: the version that runs, the version that a revert would restore, and the staged version."""

    __slots__ = ("committed", "fence", "hold", "owner", "previous", "run", "staged", "version")

    def __init__(self, version: str) -> None:
        self.version = version
        self.previous = version
        self.staged = ""
        self.fence = 0
        self.owner = ""
        self.run = ""
        self.committed = ""
        self.hold = ""


class SimulatedPair(Hooks):
    """Hooks over an appliance pair that exists in memory.

    The cluster is formed while both members run the same version, and nothing was changed for a minimum time. That time
    is what the plan's gates are expected to take at least, in which storage synchronises. A gate between groups is
    ready with two versions, because a plan that has one is of a product that allows it. Time is the clock's: hooks let
    it pass.
    """

    def __init__(self, job: Job, clock: ManualClock) -> None:
        self.clock = clock
        self.synchronise = min((seconds(gate.expect[0]) for gate in job.plan.gates.values()), default=0)
        self.counter = job.counter_before
        self.identities = {step: target.identity for step, target in job.targets.items()}
        self.components = {step: SimulatedComponent(target.old) for step, target in job.targets.items()}
        self.members = tuple(step for step, target in job.targets.items() if target.role != "shared")
        self.changed_at = clock.passed - self.synchronise

    def formed(self, *, mixed: bool = False) -> bool:
        """Whether the cluster is formed, which is HA. ``mixed``: members with different versions can form it, too."""
        same = len({self.components[step].version for step in self.members}) <= 1
        return (same or mixed) and self.clock.passed - self.changed_at >= self.synchronise

    def versions(self) -> dict[str, str]:
        """What runs, by step."""
        return {step: component.version for step, component in self.components.items()}

    def describe(self, request: Request) -> Answer:
        """Identity and version, as they are."""
        component = self.components[request.step]
        return Answer(
            kind="ok",
            identity=self.identities[request.step],
            version=component.version,
            reverts=True,
            counter=self.counter,
            fence=component.fence,
        )

    def prepare(self, request: Request) -> Answer:
        """Stage the new version."""
        return self._change(request, "staged", _of(request).new)

    def apply(self, request: Request) -> Answer:
        """Switch to what is staged."""
        component = self.components[request.step]
        if refused := _refused(component, request):
            return refused
        if not component.staged:
            return Answer(kind="failed", reason="nothing is staged")
        if component.version != component.staged:
            component.previous = component.version
        return self._change(request, "version", component.staged)

    def probe(self, request: Request) -> Answer:
        """What runs, and the marks that earlier hooks left."""
        target, component = _of(request), self.components[request.step]
        states = {target.old: "old", target.new: "new"}
        return Answer(
            kind=states.get(component.version, "unknown"),  # type: ignore[arg-type]
            version=component.version,
            fence=component.fence,
            owner=component.owner,
            run=component.run,
            committed=component.committed or None,
            hold=component.hold or None,
        )

    def commit(self, request: Request) -> Answer:
        """Give up the revert. Only from now on the old version can be unable to boot."""
        component = self.components[request.step]
        if refused := _refused(component, request):
            return refused
        component.previous = component.version
        component.committed = request.run
        self.counter = max(self.counter or 0, request.counter)
        return Answer(kind="ok")

    def revert(self, request: Request) -> Answer:
        """Go back to the version before."""
        return self._change(request, "version", self.components[request.step].previous)

    def gate(self, request: Request) -> Answer:
        """Ready when the cluster is formed."""
        formed = self.formed(mixed=request.after == "group")
        return Answer(kind="ready" if formed else "not-yet", reason="storage synchronises")

    def cleanup(self, request: Request) -> Answer:
        """Forget what is staged; leave or lift the hold."""
        component = self.components[request.step]
        if refused := _refused(component, request):
            return refused
        component.staged = component.run = ""
        component.hold = request.hold
        return Answer(kind="ok")

    def reimage(self, request: Request) -> Answer:
        """What a person does with a console and an image. Marks and counter are not part of this image."""
        component = self.components[request.step]
        component.version = component.previous = _of(request).new
        self.changed_at = self.clock.passed
        return Answer(kind="ok")

    def _change(self, request: Request, what: str, value: str) -> Answer:
        component = self.components[request.step]
        if refused := _refused(component, request):
            return refused
        if getattr(component, what) != value:
            self.clock.sleep(min(DURATIONS[request.verb], request.deadline / 2))
            setattr(component, what, value)
            if what == "version":
                self.changed_at = self.clock.passed
        return Answer(kind="ok", version=component.version)


def _refused(component: SimulatedComponent, request: Request) -> Answer | None:
    """The answer to an overtaken controller. Otherwise None, and the request's marks are remembered."""
    if request.fence < component.fence:
        return Answer(kind="fenced", reason=f"fence {request.fence} is below {component.fence}")
    if request.fence == component.fence and component.owner not in {"", request.owner}:
        return Answer(kind="fenced", reason=f"fence {request.fence} is another controller's")
    seen = component.fence if request.fence_seen is None else request.fence_seen
    if request.fence > component.fence > seen and component.run != request.run:
        return Answer(kind="fenced", reason=f"fence {component.fence} came since the last probe, which saw {seen}")
    component.fence, component.owner, component.run = request.fence, request.owner, request.run
    return None


def simulated_job(plan: Plan, *, compatible: bool = True, pair: str = "pair-0") -> Job:
    """A job for ``plan`` on a pair that does not exist; ``compatible``: kept components suit the old rest."""
    targets = {}
    for name in plan.order:
        step = plan.steps[name]
        shared = step.member is None
        targets[name] = Target(
            component=step.component,
            label=step.component,
            identity=pair if shared else f"SN-{step.member}",
            role=step.member or "shared",
            old=OLD_STORAGE if shared else OLD,
            new=NEW_STORAGE if shared else NEW,
            size=4096,
            digest="sha256:" + "0" * 64,
        )
    incompatible = {
        step: policy.keep for step, policy in plan.groups[0].on_failure.items() if policy.keep and not compatible
    }
    return Job(
        plan=plan,
        pair=pair,
        bundle_id="0" * 64,
        path="update.bin",
        version=NEW,
        targets=targets,
        incompatible=incompatible,
        counter=7,
        counter_before=6,
    )


def _of(request: Request) -> Target:
    if request.target is None:
        raise LookupError(request.step)
    return request.target
