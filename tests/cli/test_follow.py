"""``bundlekit update status --follow``: the live view of a run that another process carries out."""

import json
from pathlib import Path

import pytest

from bundlekit.cli import run
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import follow as following
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import Window
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job
from bundlekit.update.state.lock import PairLock
from bundlekit.update.state.read_only_journal import ReadOnlyJournal
from tests.cli.terminal import Terminal
from tests.cli.test_update import RUN, STATE_DIR, TRUST, Room, room, update_desk  # noqa: F401
from tests.update.world import World, fault

FOLLOW = ("update", "status", "--follow", *STATE_DIR)


class Meanwhile:
    """A clock whose n-th pause of a follower has something happen; after the last one, a pause is too many."""

    def __init__(self, clock, *happens):
        self.clock, self.happens, self.pauses, self.inside = clock, list(happens), [], False
        self.now = clock.now

    def sleep(self, seconds):
        self.clock.sleep(seconds)
        if self.inside:
            return
        assert self.happens, "it should have ended"
        self.pauses.append(seconds)
        if (happen := self.happens.pop(0)) is not None:
            self.inside = True
            happen()
            self.inside = False


@pytest.fixture
def meanwhile(room, monkeypatch):  # noqa: F811
    def put(*happens):
        clock = Meanwhile(room.clock, *happens)
        monkeypatch.setattr(shared, "clock", lambda: clock)
        return clock

    return put


def resume(*options):
    run(["update", "resume", "--pair", "pair-0", *STATE_DIR, *TRUST, *options])


def prepared(room, *faults):  # noqa: F811
    room.faults(*(fault(*one) for one in faults))
    assert room.run("--until", "prepared").code == 75


@pytest.mark.parametrize(
    ("faults", "ends", "code"),
    [([], "succeeded: ", 0), ([("apply", "standby", "F")], "degraded: ", 1)],
    ids=["succeeded", "degraded"],
)
def test_it_ends_with_the_run_and_with_the_exit_code_of_status(room, meanwhile, faults, ends, code):  # noqa: F811
    prepared(room, *faults)
    clock = meanwhile(None, resume, None)
    result = room.cli(*FOLLOW, "--fail-on", "hold")
    assert result.code == code == room.cli("update", "status", "--fail-on", "hold", *STATE_DIR).code
    assert clock.pauses[0] == 1.0
    assert result.out.startswith("pair pair-0: run "), "what it is doing when the view begins"
    assert "Z apply storage\n" in result.err
    assert "Z validate storage\n" not in result.err, "what happened before is in the log"
    assert ends in result.out.rpartition("has ended\n")[2]


def test_it_ends_also_when_the_controller_is_still_there(room, meanwhile):  # noqa: F811
    """A controller prints and gives its lock up after the end; a pair can also be taken at once for another run."""
    prepared(room)
    lock = PairLock(Path("state"), "pair-0", "another controller")

    def end():
        resume()
        lock.__enter__()

    meanwhile(end, None, None)
    try:
        assert room.cli(*FOLLOW).code == 0
    finally:
        lock.__exit__(None, None, None)


def test_as_json_each_status_is_one_line_and_the_last_one_has_the_outcome(room, meanwhile):  # noqa: F811
    prepared(room)
    meanwhile(None, lambda: resume("--detach"), resume)
    result = room.cli(*FOLLOW, "--json")
    found = [json.loads(line) for line in result.out.splitlines() if line.startswith('{"')]
    assert [one["phase"] for one in found] == ["waiting", "waiting", "ended"]
    assert [one["activity"]["stage"] for one in found] == ["prepared", "gate", "ended"]
    assert found[-1] == json.loads(room.update("status", "--json").out) | {"activity": found[-1]["activity"]}


def test_where_nothing_runs_it_is_status(room, meanwhile):  # noqa: F811
    assert room.run().code == 0
    meanwhile()
    assert room.cli(*FOLLOW).out == room.cli("update", "status", *STATE_DIR).out


def test_one_of_several_runs_has_to_be_chosen(room, meanwhile, monkeypatch):  # noqa: F811
    prepared(room)
    meanwhile()
    with PairLock(Path("state"), "pair-1", "another controller"):
        monkeypatch.setattr(ReadOnlyJournal, "pairs", lambda _journal: ("pair-0", "pair-1"))
        result = room.cli(*FOLLOW)
    assert result.code == 2
    assert "choose one of the pairs with --pair: pair-0, pair-1" in result.err
    assert room.cli(*FOLLOW, "--only", "waiting").code == 2


def files():
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("state").rglob("*") if path.is_file()}


def test_ctrl_c_leaves_the_view_and_touches_nothing(room, meanwhile):  # noqa: F811
    prepared(room)
    before = files()

    def interrupt():
        raise KeyboardInterrupt

    meanwhile(None, None, interrupt)
    assert room.cli(*FOLLOW).code == 130
    assert files() == before
    assert room.cli("update", "status", *STATE_DIR, "--only", "waiting").out


def test_the_journal_is_read_when_it_has_changed_and_now_and_then(room, meanwhile, monkeypatch):  # noqa: F811
    prepared(room)
    reads = []
    read = ReadOnlyJournal.read
    monkeypatch.setattr(ReadOnlyJournal, "read", lambda journal, pair: reads.append(pair) or read(journal, pair))
    counted = []
    idle = [None] * (2 * following.CERTAINLY)
    meanwhile(lambda: counted.append(len(reads)), *idle, lambda: counted.append(len(reads)), resume)
    assert room.cli(*FOLLOW).code == 0
    assert 1 <= counted[1] - counted[0] <= 2


def test_a_controller_that_checks_a_bundle_is_waited_for(room, meanwhile, monkeypatch):  # noqa: F811
    assert room.run().code == 0
    lock = PairLock(Path("state"), "pair-0", "another controller")
    lock.__enter__()

    def start():
        lock.__exit__(None, None, None)
        assert run([*RUN, "--until", "prepared"]) == 75

    room.pair = room.hooks = SimulatedPair(simulated_job(PAIR), room.clock)
    meanwhile(None, start, resume)
    result = room.cli(*FOLLOW)
    assert result.code == 0
    assert result.out.startswith("pair pair-0: in progress: another controller\n")
    assert "Z validate storage\n" in result.err, "the whole run is shown, for it began in the view"


def test_a_controller_that_leaves_before_the_first_run_of_a_pair(room, meanwhile):  # noqa: F811
    prepared(room)
    lock = PairLock(Path("state"), "pair-9", "another controller")
    lock.__enter__()
    clock = meanwhile(None, lambda: lock.__exit__(None, None, None))
    result = room.cli(*FOLLOW, "--pair", "pair-9")
    assert result.code == 3
    assert "No run exists for pair pair-9" in result.err
    assert not clock.happens, "it waited for the controller"


def test_a_run_that_has_ended_is_not_shown_as_the_one_that_is_followed():
    first, second = World(), World()
    first.run()
    second.run(window=Window(until="prepared"))
    assert following._begin(second.records) == 0
    assert following._begin(first.records) == len(first.records)
    assert following._begin(first.records + second.records) == len(first.records)
    assert following._begin(()) == 0


@pytest.mark.parametrize(("times", "code"), [(following.FAILURES - 1, 0), (following.FAILURES, 75)])
def test_a_journal_that_cannot_be_read_for_a_moment_is_read_again(room, meanwhile, monkeypatch, times, code):  # noqa: F811
    prepared(room)
    looks, look = [], following._look

    def failing(*given):
        looks.append(given)
        if 1 < len(looks) <= times + 1:
            raise JournalError("The journal cannot be read.")
        return look(*given)

    monkeypatch.setattr(following, "_look", failing)
    meanwhile(resume, *[None] * (times + 1))
    assert room.cli(*FOLLOW).code == code


def test_on_a_terminal_it_is_the_view_and_then_the_status(room, meanwhile, monkeypatch):  # noqa: F811
    prepared(room)
    terminal = Terminal(monkeypatch, 120, 40)
    seen = []

    def look():
        terminal.shows(seen[-1].frame(120, 40, following_glyphs()))

    def following_glyphs():
        from bundlekit.cli.update.frame import Glyphs

        return Glyphs()

    from bundlekit.cli.update import view as views

    made = views.Terminal.__init__
    monkeypatch.setattr(views.Terminal, "__init__", lambda self, *given: (seen.append(self), made(self, *given))[1])

    def frame():
        lines = [line.plain for line in seen[0].frame(120, 40, following_glyphs())]
        terminal.shows(lines)
        assert any("prepared, waiting for `update resume`" in line for line in lines)
        assert lines[-1] == following.LEAVES

    def end():
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(f"sys.{name}", Path("/dev/null").open("w"))  # noqa: SIM115
        resume()
        for name, file in zip(("stdout", "stderr"), terminal.files, strict=True):
            monkeypatch.setattr(f"sys.{name}", file)

    meanwhile(frame, end, None)
    assert run(list(FOLLOW)) == 0
    shown = terminal.shown()
    assert shown[0].startswith("pair pair-0: run ")
    assert shown[0].endswith(" has ended")
    assert any("succeeded: Every component is on the new version" in line for line in shown)
    assert not any(line.startswith(" now: ") for line in shown)
    assert terminal.screens == 1
