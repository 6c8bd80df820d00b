"""Two hosts with state folders of their own over one pair, and the judge of all that they tell about it.

The judge knows what is true of the pair and who has written it. It holds every end against what the vendor promises.
"""

from contextlib import contextmanager
from copy import copy

from msgspec.structs import replace

from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.executor import BundleRejected, Declined, Engine, HoldRelease, latest
from bundlekit.update.engine.history import CHANGING, History
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.records import (
    CallStarted,
    Cleared,
    CommitPoint,
    ModeChanged,
    Outcome,
    Resumed,
    RevertDecided,
    Started,
    Window,
)
from bundlekit.update.inventory import as_found, described
from bundlekit.update.rehearsal.faults import ControllerKilled, FaultyHooks
from bundlekit.update.rehearsal.rehearse import EmptyBundle, calm
from bundlekit.update.rehearsal.sandbox import reimaging
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job

BUNDLES = {"this": ("5.40.00", "3.4.0"), "another": ("5.41.00", "3.5.0")}
RELEASES = {"old": ("5.20.03", "3.2.1"), **BUNDLES}
WRITING = CHANGING | {"cleanup"}
PREPARED = Window(until="prepared")
VISIT, CLAIM = "N", "!"
"""Kinds of faults of this model: the other host is at work, or another controller of this host claims the pair."""


class FullJournal(MemoryJournal):
    """A journal on a disk that can be full after so many records."""

    room = None

    def append(self, pair, fence, record):
        if self.room is not None:
            self.room -= 1
            if self.room < 0:
                raise JournalError("the disk is full")
        super().append(pair, fence, record)


class Watched(FaultyHooks):
    """Hooks of one call of a host, with faults; whatever reaches the pair is known to the judge."""

    def __init__(self, host, faults, visits):
        super().__init__(host.story.pair, host.story.clock, tuple(faults))
        self.host, self.visits = host, list(visits)
        self.overrides = host.story.overrides

    def _inject(self, request, kind):
        if kind == CLAIM:
            self.host.journal.claim(request.pair, "another controller of this host")
        if kind == VISIT and self.visits:
            self.host.story.visit(self.host, self.visits.pop(0))
        if kind in {CLAIM, VISIT}:
            return self._pass_on(request)
        before = self.host.story.truth()
        answer = super()._inject(request, kind)
        if self.host.story.truth() != before:
            self.host.story.changed(self.host, request.run, content=True)
        return answer

    def _pass_on(self, request):
        with self.host.story.watched(self.host, request) as seen:
            seen.append(super()._pass_on(request))
        return seen[0]


class Host:
    """One host: its state folder, what its STATE.json says, and what its operator was told last."""

    def __init__(self, story, name):
        self.story, self.name = story, name
        self.journal = FullJournal()
        self.job = story.job
        self.named, self.taking = "", False
        self.epoch = 0
        self.told, self.told_over = None, None
        self.doing = ""

    @property
    def records(self):
        return self.journal.read("pair-0")

    @property
    def last(self):
        return latest(self.journal, "pair-0")

    @property
    def runs(self):
        """The runs that this host can clean up after: its own, and those that it was told to take over."""
        started = [record for record in self.records if isinstance(record, Started)]
        taken = {self.named} if self.taking else set()
        return {run for record in started for run in (record.run, *record.takes_over)} | taken | {""}

    def read_state(self, bundle):
        """STATE.json as the pair is now, and the job for the update with ``bundle``."""
        version, storage = BUNDLES[bundle]
        job = as_found(self.story.job, described(self.story.job, self.story.pair, self.story.clock))
        self.job = replace(
            job,
            targets={s: replace(t, new=storage if t.role == "shared" else version) for s, t in job.targets.items()},
            bundle_id=("0" if bundle == "this" else "1") * 64,
            hold=next((c.hold for c in self.story.pair.components.values() if c.hold), ""),
        )

    def act(self, what, faults=(), visits=(), *, room=None, cancel=None, **given):
        """Do one thing as its operator would, and have the judge look at what comes of it."""
        polls = iter(range(1000000))
        engine = Engine(
            journal=self.journal,
            hooks=Watched(self, faults, visits),
            clock=self.story.clock,
            cancel=lambda: cancel is not None and next(polls) >= cancel,
        )
        self.journal.room = room
        begun, before, self.doing = len(self.records), self.story.snapshot(), what
        self.taking = given.get("take_over", False)
        foreign = self.story.under_way(self)
        try:
            result = getattr(self, f"_{what}")(engine, **given)
        except (ControllerKilled, JournalError):
            result = None
        self.journal.room = None
        added = self.records[begun:]
        foreign &= self.story.under_way(self)  # it can have ended meanwhile
        if foreign and (isinstance(result, Cleared) or any(isinstance(record, Started) for record in added)):
            self.story.wrong.append(f"{self.name}: {what} while {foreign} of another is in progress")
        self.story.judge(self, result, added, before)
        if what == "resume" and len(self.records) == begun:
            return result  # it only tells again how the run ended
        self.told, self.told_over = result, self.story.snapshot()
        if getattr(result, "recovery", ()):
            self.named = next((way.run for way in result.recovery if way.run), self.named)
        return result

    def _run(self, engine, *, fresh=True, bundle="this", take_over=False, window=None):
        if fresh:
            self.read_state(bundle)
        options = {"window": window} if window else {}
        return engine.run(
            self.job, EmptyBundle(self.job.bundle_id), take_over=self.named if take_over else "", **options
        )

    def _repair(self, engine, *, take_over=False):
        if self.last is None:
            return None
        job = replace(self.last.job, hold="", repair=True, counter_before=None)
        return engine.run(job, EmptyBundle(job.bundle_id), take_over=self.named if take_over else "")

    def _resume(self, engine, *, bundle="given"):
        if self.last is None:
            return None
        given = {"given": EmptyBundle(self.last.job.bundle_id), "rejected": BundleRejected(reason="revoked")}
        return engine.resume("pair-0", given.get(bundle))

    def _revert(self, engine, *, take_over=False):
        if self.last is None:
            return None
        return engine.revert("pair-0", by="Ada", reason="fixed", take_over=self.named if take_over else "")

    def _clear(self, engine, *, blind=False, take_over=False):
        if self.last is None:
            return None
        self.story.clock.sleep(7200)
        return engine.clear(
            "pair-0",
            HoldRelease(by="Ada", reason="fixed", without_probe=blind, take_over=self.named if take_over else ""),
        )

    def fork(self, story):
        """The same host in another story."""
        other = copy(self)
        other.story, other.journal = story, FullJournal()
        other.journal._records = {"pair-0": list(self.records)}
        other.journal._fences = dict(self.journal._fences)
        return other

    def put_back(self, host, part):
        """Put an older copy of a state folder, of this host or the other one, in the place of this one.

        ``part`` is how much of the journal had been written by then.
        """
        records = host.records[: max(1, round(len(host.records) * part))]
        fences = [record.fence for record in records if isinstance(record, Started | Resumed)]
        self.journal._records, self.journal._fences = {"pair-0": list(records)}, {"pair-0": max(fences, default=0)}
        self.epoch += 1
        self.told, self.named = None, ""


class Story:
    """The pair, the two hosts, and the judge. What is wrong is kept in ``wrong``, since hooks that raise are hidden."""

    def __init__(self, plan, *, compatible=True):
        self.job = simulated_job(calm(plan), compatible=compatible)
        self.clock = ManualClock()
        self.pair = SimulatedPair(self.job, self.clock)
        self.overrides = {}
        self.hosts = {name: Host(self, name) for name in ("A", "B")}
        self.wrong = []
        self.changes = []
        self.owners, self.fences = {}, {}
        self.left = {}
        self.inside, self.by_hand = None, False

    # what is true

    def truth(self):
        return {step: self.overrides.get(step, version) for step, version in self.pair.versions().items()}

    def marks(self):
        return {s: tuple(getattr(c, n) for n in c.__slots__) for s, c in self.pair.components.items()}

    def snapshot(self):
        return self.truth(), self.marks(), self.pair.counter, len(self.changes)

    def whole(self):
        """Whether the pair needs no person with an image: nothing half-written, and all of it from one release."""
        of = {version: name for name, versions in RELEASES.items() for version in versions}
        return not self.unfit() and len({of[version] for version in self.pair.versions().values()}) == 1

    def unfit(self):
        """The components that are half-written or busy."""
        return set(self.overrides) & set(self.job.targets)

    def under_way(self, host):
        """The runs that the target remembers and that are not of ``host``."""
        seen = {c.run for step, c in self.pair.components.items() if step not in self.overrides}
        return seen - host.runs  # one that is half-written or busy shows no marks

    # what is seen of each call

    @contextmanager
    def watched(self, host, request):
        step, seen = request.step, []
        before, truth = self.marks(), self.truth()
        component = self.pair.components.get(step)
        run = component.run if component is not None else ""
        yield seen
        if request.verb not in WRITING:
            if self.marks() != before:
                self.wrong.append(f"{request.verb} of {step} has changed marks")
            return
        lost = any(isinstance(r, ModeChanged) and r.to == "lost" for r in self._records_of(host, request.run))
        if lost and host.doing != "clear":
            self.wrong.append(f"{host.name}: {request.verb} of {step} after the pair was lost")
        if seen[0].kind != "ok":
            return
        owner = self.owners.setdefault((step, request.fence), request.owner)
        if owner != request.owner:
            self.wrong.append(f"{step} takes fence {request.fence} from two owners")
        if request.verb == "cleanup":
            if run not in host.runs and step not in self.overrides:  # one that is half-written shows no marks
                self.wrong.append(f"{host.name}: cleanup of {step}, where run {run} of another is in progress")
            self.left.setdefault((host.name, request.run, host.epoch), {})[step] = bool(request.hold)
        self.changed(host, request.run, content=self.truth() != truth)

    def _records_of(self, host, run):
        records, ours = host.records, []
        for record in records:
            if isinstance(record, Started):
                ours = []
            ours.append(record)
        return ours if any(isinstance(r, Started) and r.run == run for r in ours) else []

    def changed(self, host, run, *, content):
        """Note who has changed the pair; ``content``: not its marks only."""
        self.changes.append((host.name if host else "a person", run, host.epoch if host else 0, content))

    def visit(self, host, visit):
        """The other host does something while ``host`` is in the middle of a call, whose time goes on as it was."""
        other = self.hosts["B" if host.name == "A" else "A"]
        if other is self.inside:
            return
        what, faults, options = visit
        before, self.inside = self.inside, host
        ticks, wall, boot = self.clock.ticks, self.clock.wall, self.clock.boot
        other.act(what, faults, **options)
        self.clock.ticks, self.clock.wall, self.clock.boot = ticks, wall, boot
        self.inside = before

    def fork(self):
        """The same story, to try out how it goes on."""
        other = copy(self)
        other.clock, other.pair = copy(self.clock), copy(self.pair)
        other.pair.clock = other.clock
        other.pair.components = {step: copy(component) for step, component in self.pair.components.items()}
        other.overrides, other.changes, other.wrong = dict(self.overrides), list(self.changes), []
        other.owners, other.fences = dict(self.owners), dict(self.fences)
        other.left = {key: dict(left) for key, left in self.left.items()}
        other.hosts = {name: host.fork(other) for name, host in self.hosts.items()}
        return other

    # what must hold

    def judge(self, host, result, added, before):
        changes = before[3]
        since = self.changes[changes:]
        alone = all(who == host.name for who, *_ in since)
        ours = [change for change in since if change[0] == host.name]
        began = any(isinstance(record, Started | Resumed) for record in added)
        self._order_of(host)
        if isinstance(result, Declined):
            if ours:
                self.wrong.append(f"{host.name}: declined ({result.reason}), but it wrote to the pair")
            return
        if isinstance(result, Cleared):
            formed = self.pair.formed() or not host.last.job.plan.gates
            if result.states and alone and (set(self.overrides) or not formed):
                self.wrong.append(f"{host.name}: cleared a pair that is not whole: {self.overrides}")
            return
        if result is None:
            return
        if not began:
            if ours:
                self.wrong.append(f"{host.name}: {result.kind} before anything began, but it wrote to the pair")
            return
        if result.kind in {"waiting", "busy"}:
            return
        self._end(host, result, alone=alone)

    def _end(self, host, end, *, alone):
        job, now = host.last.job, self.truth()
        started = host.doing in {"run", "repair", "revert"}
        new = {step: target.new for step, target in job.targets.items()}
        mine = [c for c in self.changes if c[:3] == (host.name, end.run, host.epoch) and c[3]]
        say = lambda what: self.wrong.append(f"{host.name}: {end.kind}, {what} ({end.reason}; {now})")  # noqa: E731
        match end.kind:
            case "succeeded":
                if now != new:
                    say("but not everything is new")
                if not self.pair.formed():
                    say("but the cluster is not formed")
            case "rejected":
                if mine:
                    say("but this run has changed something")
            case "reverted":
                kept = {s for s, state in end.states.items() if state == "kept-new" and job.targets[s].old != new[s]}
                back = {
                    s: new[s] if s in kept or host.last.is_new(s) else target.old for s, target in job.targets.items()
                }
                if alone and now != back:
                    say("but something is neither old nor kept")
                if kept & set(self.pair.members):
                    say("but a member was kept on the new version")
            case "degraded" | "needs-operator":
                if not end.hold or not end.recovery:
                    say("without a hold, or without a way out")
        left = self.left.get((host.name, end.run, host.epoch), {})
        if end.kind not in {"rejected", "superseded", "cancelled"} and any(
            hold != end.hold
            for step, hold in left.items()
            if end.states.get(step) not in {"busy", "unknown"} and f"cleanup of {step}" not in str(end.notes)
        ):
            say(f"told hold {end.hold}, left {left}")
        if alone:
            self._told_states(end, job, say)
            if started and host.last.mode == "lost":
                say("but nobody else has touched the pair since this run began")
        images = {way.step for way in end.recovery if way.verb == "reimage"}
        blind = {step for step, state in end.states.items() if state in {"busy", "unknown"}}
        if images and self.whole() and not blind:
            say(f"but it wants {sorted(images)} of a whole pair re-imaged")

    def _told_states(self, end, job, say):
        for step, state in end.states.items():
            true = self.overrides.get(step) or self.pair.versions()[step]
            told = {"old": job.targets[step].old, "new": job.targets[step].new}.get(state.removeprefix("kept-"), state)
            if state not in {"untouched", "unknown"} and told != true:
                say(f"tells {step} is {state}, but it is {true}")
        for step, version in end.versions.items():
            if version != self.pair.versions()[step]:
                say(f"tells {step} runs {version}, but it runs {self.pair.versions()[step]}")

    def _order_of(self, host):
        committed, open_run = False, False
        for record in host.records:
            match record:
                case Started():
                    committed, first = False, record.job.groups()[0]
                    if open_run:
                        self.wrong.append(f"{host.name}: two runs at once")
                    open_run = True
                case CommitPoint():
                    committed = True
                case RevertDecided() | CallStarted(verb="revert") if committed:
                    self.wrong.append(f"{host.name}: a revert after the commit point")
                case CallStarted(verb="apply", step=step) if not committed and step not in first:
                    self.wrong.append(f"{host.name}: {step} was touched before the commit point")
                case _:
                    open_run = open_run and record.__class__.__name__ != "Ended"
        if host.records and History.of(host.records).transitions > 100:
            self.wrong.append(f"{host.name}: a run without an end")

    def check(self):
        """Everything that must hold at any moment."""
        fences = {step: component.fence for step, component in self.pair.components.items()}
        assert all(fence >= self.fences.get(step, 0) for step, fence in fences.items())
        self.fences = fences
        assert self.wrong == []

    # what people do

    def reimage(self, step, version, *, clean, by_hand=False):
        self.by_hand = self.by_hand or by_hand
        self.overrides.pop(step, None)
        self.pair.reimage(reimaging(self.job, step, version))
        component = self.pair.components[step]
        if clean:
            component.fence, component.owner, component.run, component.committed, component.hold = 0, "", "", "", ""
            self.fences[step] = 0
            self.owners = {key: owner for key, owner in self.owners.items() if key[0] != step}
        self.changed(None, "", content=True)

    def power_fails(self, step):
        """A component is half-written, whatever had been under way there."""
        self.overrides[step] = "partial"
        self.changed(None, "", content=True)

    def mend(self):
        """Whatever kept gates from passing is gone."""
        for name in set(self.overrides) - set(self.job.targets):
            del self.overrides[name]

    def way_out(self, name):
        """What is wrong with what the host's operator is advised, once the causes are gone; "" where it leads out.

        A run that waits is resumed. An end that has changed something leads to *succeeded* itself. One that met what
        others had done can lead to the next advice first.
        """
        story = self.fork()
        host = story.hosts[name]
        end = host.told if host.told_over == self.snapshot() else None
        if host.last is not None and host.last.ended is None:
            story.settle(set())
            end = host.act("resume")
        if not isinstance(end, Outcome) or end.kind in {"busy", "on-hold", "waiting"}:
            return "; ".join(story.wrong)
        host.job = next(record.job for record in reversed(host.records) if isinstance(record, Started))
        walked = []
        for _ in range(6):
            walked.append(end)
            end = story.walked(host, end)
            if isinstance(end, Outcome) and end.kind == "succeeded":
                return "; ".join(story.wrong)
            mixed = len({story.pair.versions()[step] for step in story.pair.members}) > 1
            if walked[0].kind == "needs-operator" and isinstance(end, Declined) and mixed and story.by_hand:
                return "; ".join(story.wrong)  # a person had given the members different versions
            if walked[0].kind not in {"rejected", "superseded", "cancelled"}:
                break
            if isinstance(end, Declined) and not end.recovery and not (story.whole() and story.pair.formed()):
                return "; ".join(story.wrong)  # it says why; the host that put the pair on hold knows more
        return f"the way out of {[*map(brief, walked)]} leads to {brief(end)}"

    def settle(self, images):
        """The causes are gone: gates can pass, and what was busy, but for ``images``, has become idle."""
        self.mend()
        for step in {s for s, override in self.overrides.items() if override == "busy"} - images:
            del self.overrides[step]

    def walked(self, host, end):
        """Where ``host`` comes to by the advice of ``end``."""
        self.settle({way.step for way in end.recovery if way.verb == "reimage"})
        for way in end.recovery:
            match way.verb:
                case "reimage":
                    self.reimage(way.step, way.version, clean=False)
                case "clear":
                    self.clock.sleep(7200)
                    if isinstance(cleared := self._through(host, "clear", way.run), Declined):
                        return cleared
                case "state":
                    host.read_state("this" if host.last.job.bundle_id[0] == "0" else "another")
                case "run" | "take-over":
                    end = self._through(host, "run", way.run, fresh=False)
                case verb:
                    end = self._through(host, verb, way.run)
        if isinstance(end, Declined):  # what kept it from being cleared is gone, so the first advice goes on
            host.read_state("this" if host.last.job.bundle_id[0] == "0" else "another")
            end = self._through(host, "run", "", fresh=False)
        return end

    def _through(self, host, verb, run, **given):
        """The next step, and the one that it advises where another's run is in progress."""
        result = host.act(verb, take_over=bool(run), **given)
        (again,) = result.recovery if len(getattr(result, "recovery", ())) == 1 else (None,)
        if again is not None and again.run and not run:
            verb = "run" if again.verb == "take-over" else again.verb
            result = host.act(verb, take_over=True, **given)
        return result


def brief(end):
    """An end in a few words."""
    return (
        getattr(end, "kind", "declined"),
        end.reason,
        [f"{w.verb} {w.step} {w.version}".strip() for w in end.recovery],
    )
