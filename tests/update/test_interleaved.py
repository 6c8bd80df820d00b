"""Two hosts over one pair, call by call in any order: each controller runs in a thread and waits before each call."""

import random
from threading import Semaphore, Thread

import pytest
from msgspec.structs import replace

from bundlekit.update.engine.executor import Engine, HoldRelease, latest
from bundlekit.update.engine.hooks import PassThrough
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.faults import FAILED, ControllerKilled
from bundlekit.update.rehearsal.rehearse import EmptyBundle
from bundlekit.update.rehearsal.sandbox import reimaging
from tests.update.world import World

VERSIONS = {"A": ("5.40.00", "3.4.0"), "B": ("5.41.00", "3.5.0"), "C": ("5.42.00", "3.6.0")}
CHANGING = {"prepare", "apply", "commit", "revert", "cleanup"}


class Paused(PassThrough):
    """Hooks that let their host go on only when it is its turn, and tell the story what was written."""

    def __init__(self, host):
        super().__init__(host.story.world.pair)
        self.host = host

    def ask(self, request):
        host, story = self.host, self.host.story
        host.stopped.release()
        host.turn.acquire()
        if story.chance.random() < story.deaths:
            raise ControllerKilled
        if story.plain:  # hooks that compare fences only
            request = replace(request, fence_seen=None)
        if request.verb in {"prepare", "apply", "verify", "commit", "revert"} and story.chance.random() < story.faults:
            answer = Answer(kind=FAILED.get(request.verb, "failed"))  # type: ignore[arg-type]
        else:
            answer = super().ask(request)
        story.wrote(host, request, answer)
        return answer


class Host:
    def __init__(self, story, name, claims=0, hooks=None):
        self.story, self.name = story, name
        self.journal, self.hooks = MemoryJournal(), hooks or Paused(self)
        self.turn, self.stopped = Semaphore(0), Semaphore(0)
        self.at_work, self.result, self.named, self.known = False, None, "", {}
        self.claim(claims)

    def claim(self, times):
        for _ in range(times):
            self.journal.claim("pair-0", "a claim that came to nothing")

    @property
    def engine(self):
        return Engine(journal=self.journal, hooks=self.hooks, clock=self.story.world.clock)

    def job(self, *, repair=False):
        pair, (version, storage) = self.story.world.pair, VERSIONS[self.name]
        targets = {
            step: replace(target, old=pair.versions()[step], new=storage if target.role == "shared" else version)
            for step, target in self.story.world.job.targets.items()
        }
        bundle_id = f"{ord(self.name):02d}" * 32
        return replace(
            self.story.world.job, targets=targets, bundle_id=bundle_id, counter_before=pair.counter, repair=repair
        )

    def next(self):
        """What someone at this host does next."""
        chance, last = self.story.chance, latest(self.journal, "pair-0")
        take_over = self.named if chance.random() < 0.4 else ""
        who = {"by": "Ada", "reason": "fixed", "take_over": take_over}
        if last is not None and last.ended is None:
            self.claim(chance.choice([0, 0, 0, 3]))
            return lambda: self.engine.resume("pair-0", EmptyBundle(last.job.bundle_id))
        repair = last is not None and last.hold and chance.random() < 0.5
        if last is not None and last.hold and not repair:
            self.story.world.clock.sleep(7200)
            if chance.random() < 0.3:
                return lambda: self.engine.revert("pair-0", **who)
            release = HoldRelease(without_probe=chance.random() < 0.5, **who)
            return lambda: self.engine.clear("pair-0", release)
        job = self.job(repair=repair)
        return lambda: self.engine.run(job, EmptyBundle(job.bundle_id), take_over=take_over)

    def begin(self):
        what, self.at_work, self.known = self.next(), True, {}

        def work():
            self.turn.acquire()
            try:
                self.result = what()
            except ControllerKilled:
                self.result = None
            except BaseException as error:  # for the thread of the test to raise
                self.result = error
            self.at_work = False
            self.stopped.release()

        Thread(target=work, daemon=True).start()

    def go_on(self):
        self.turn.release()
        self.stopped.acquire()
        if not self.at_work:
            self.story.ended(self, self.result)


class Story:
    def __init__(self, seed, *, plain):
        self.chance, self.plain = random.Random(seed), plain  # noqa: S311 -- no secret
        self.deaths, self.faults = self.chance.choice([0, 0.01, 0.04]), self.chance.choice([0, 0.03])
        self.fences, self.overwritten = {}, []
        self.world = World(compatible=self.chance.random() < 0.7)
        self.hosts = [Host(self, name, self.chance.choice([0, 0, 1, 3])) for name in "AB"]
        for step, target in self.world.job.targets.items():
            if self.chance.random() < 0.2:
                self.world.pair.reimage(reimaging(self.world.job, step, target.new))

    def wrote(self, host, request, answer):
        """A host never writes over what another has written since it looked, whatever its fence is."""
        fence = self.world.pair.components[request.step].fence if request.target else 0
        if request.verb == "probe":
            host.known[request.step] = fence
        elif request.verb in CHANGING and answer.kind == "ok":
            if self.fences.get(request.step, 0) > host.known.get(request.step, 0) and not self.plain:
                self.overwritten.append((host.name, request.verb, request.step))
            host.known[request.step] = fence
        self.fences = {step: component.fence for step, component in self.world.pair.components.items()}

    def ended(self, host, result):
        if isinstance(result, BaseException):
            raise result
        kind = getattr(result, "kind", "")
        host.named = next((way.run for way in getattr(result, "recovery", ()) if way.verb == "take-over"), "")
        if kind == "succeeded":
            version, storage = VERSIONS[host.name]
            assert self.world.pair.versions() == {"storage": storage, "active": version, "standby": version}
        if kind == "rejected":
            assert not result.hold or self.world.held_at_target

    def tell(self):
        chance, starts, one_for_long, now = self.chance, self.chance.randrange(2, 7), self.chance.random() < 0.5, None
        while True:
            at_work = [host for host in self.hosts if host.at_work]
            idle = [host for host in self.hosts if not host.at_work]
            if starts and idle and (not at_work or chance.random() < 0.15):
                starts -= 1
                chance.choice(idle).begin()
                continue
            if not at_work:
                return
            if now not in at_work or not one_for_long or chance.random() < 0.1:
                now = chance.choice(at_work)
            now.go_on()

    def third_host(self):
        """Whatever has happened: if the pair is not on hold, someone elsewhere gets an update through."""
        if self.world.held_at_target:
            return
        host = Host(self, "C", hooks=self.world.pair)
        self.world.clock.sleep(7200)
        job = host.job()
        outcome = host.engine.run(job, EmptyBundle(job.bundle_id))
        if outcome.kind == "busy":
            outcome = host.engine.run(job, EmptyBundle(job.bundle_id), take_over=outcome.recovery[0].run)
        self.ended(host, outcome)
        assert outcome.kind == "succeeded", outcome


@pytest.mark.exhaustive
@pytest.mark.parametrize("plain", [False, True], ids=["as-the-hooks-page-demands", "hooks-that-compare-fences-only"])
@pytest.mark.parametrize("first", [0, *(pytest.param(n, marks=pytest.mark.sweep) for n in range(40, 4000, 40))])
def test_two_hosts_call_by_call(first, plain):
    for seed in range(first, first + 40):
        story = Story(seed, plain=plain)
        try:
            story.tell()
            story.third_host()
            assert story.overwritten == []
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
