"""What an operator and the monitoring are told by ``bundlekit update resume``, ``status`` and ``log``."""

import errno
import json
import os
import re
import sqlite3
from pathlib import Path

import jsonschema
import msgspec
import pytest

from bundlekit.schemas import schema
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.hooks import Hooks, Request
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.faults import ControllerKilled
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job
from bundlekit.update.targets.command import facts_of
from tests.cli.test_update import NEW, OLD, RUN, STATE_DIR, TRUST, room, update_desk, write_state  # noqa: F401
from tests.update.world import Overridden, fault

# --- resume answers for the run that is meant, and for no other ------------------------------------------------


def started(room):  # noqa: F811
    return [record["run"] for record in room.records if record["record"] == "started"]


def kill(room, *at):  # noqa: F811
    room.faults(fault(*(at or ("apply", "active")), "C"))
    with pytest.raises(ControllerKilled):
        room.run()


def test_a_run_that_was_killed_before_its_first_record_is_not_answered_by_an_older_success(room, monkeypatch):  # noqa: F811
    assert room.run().code == 0

    def killed(*_, **__):
        raise ControllerKilled

    with monkeypatch.context() as dying:
        dying.setattr("bundlekit.pipeline.examine", killed)
        with pytest.raises(ControllerKilled):
            room.run()
    for options in ((), ("--json",), ("--run", started(room)[0])):
        result = room.resume(*options)
        assert result.code == 4
        assert "has ended: succeeded" in result.out
    assert room.cli("update", "resume", "--run", started(room)[0], *TRUST, *STATE_DIR).code == 4
    assert room.cli("update", "resume", *TRUST, *STATE_DIR).code == 4


def test_only_the_run_that_is_named_is_resumed(room):  # noqa: F811
    kill(room)
    (run,) = started(room)
    before = len(room.records)
    result = room.resume("--run", "0" * 16)
    assert result.code == 4
    assert f"the run that has not ended is {run}" in result.out
    assert room.cli("update", "resume", "--run", "0" * 16, *TRUST, *STATE_DIR).code == 3
    assert len(room.records) == before
    assert room.cli("update", "resume", "--run", run, *TRUST, *STATE_DIR).code == 0


@pytest.mark.parametrize("spoil", ["another", "damaged", "missing"])
@pytest.mark.parametrize("trust", [TRUST, ()], ids=["trust", "no-trust"])
def test_a_bundle_that_is_not_of_the_run_is_refused_before_anything(room, spoil, trust):  # noqa: F811
    """A run that goes on with another one would revert, which the operator did not ask for."""
    kill(room)
    Path("SPEC.toml").write_text(Path("SPEC.toml").read_text().replace("counter  = 7", "counter  = 8"))
    if spoil == "another":
        signer = ("--cert", "signer.pem", "--key", "signer.key")
        assert room.cli("build", "SPEC.toml", "-o", "b.bin", *signer).code == 0
    elif spoil == "damaged":
        Path("b.bin").write_bytes(b"no head at all")
    before, versions = room.update("log").out, room.versions
    result = room.update("resume", *trust, "--bundle", "b.bin")
    assert result.code == 3
    assert ("cannot be opened" if spoil == "missing" else "the run was of bundle sha256:") in result.err
    assert (room.update("log").out, room.versions) == (before, versions)
    assert room.resume().code == 0


# --- a run that the check rejected -----------------------------------------------------------------------------


def test_a_run_that_the_check_rejected_is_shown_and_is_not_resumed(room):  # noqa: F811
    assert room.run().code == 0
    room.read_state()
    assert room.run().code == 10
    rejected = room.records[-1]
    assert (rejected["record"], rejected["causes"]) == ("rejected", ["not-newer"])
    assert rejected["path"] == str(Path("update.bin").resolve())
    status = room.update("status")
    assert f"pair-0: run {rejected['run']} of {rejected['path']} was rejected by the check\n" in status.out
    assert "has ended\n" in status.out, "what the latest run has come to is still there"
    found = json.loads(room.update("status", "--json").out)
    assert (found["rejected"]["run"], found["outcome"]["kind"]) == (rejected["run"], "succeeded")
    assert "is rejected by the check" in room.update("log", "--follow").out.splitlines()[-1]
    result = room.resume()
    assert result.code == 4
    assert f"reason       run {rejected['run']} of {rejected['path']} is rejected by the check" in result.out
    assert json.loads(room.run("--json").out.splitlines()[-1])["run"] == room.records[-1]["run"]


def test_a_pair_of_which_every_run_was_rejected_has_a_status(room):  # noqa: F811
    write_state(version="5.10.00")
    assert room.run().code == 10
    status = room.update("status")
    assert status.code == 0
    assert "was rejected by the check" in status.out
    assert json.loads(room.update("status", "--json").out)["activity"] is None
    assert room.update("log", "--export", "case.zip").code == 0
    for verb, code in {"resume": 4, "repair": 3, "cancel": 3, "clear": 3, "revert": 3}.items():
        more = ("--by", "Ada", "--reason", "x") if verb in {"clear", "revert"} else ()
        assert room.update(verb, *more).code == code
    write_state(version="5.20.03")
    assert room.run().code == 0


def test_a_rejected_run_changes_nothing_of_a_hold(room):  # noqa: F811
    room.faults(fault("apply", "standby", "F"))
    assert room.run().code == 30
    room.faults()
    bundle = Path("update.bin").read_bytes()
    os.truncate("update.bin", 100_000)
    assert room.update("repair", *TRUST).code == 10
    assert room.records[-1]["record"] == "rejected"
    assert json.loads(room.update("status", "--json").out)["hold"] is True
    assert room.run().code == 12
    Path("update.bin").write_bytes(bundle)
    assert room.update("repair", *TRUST).code == 0


# --- status for monitoring -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "code", "phase"),
    [
        ((), 0, "ended"),
        (("apply", "storage", "F"), 1, "on-hold"),
        (("apply", "active", "F"), 0, "ended"),
        (("apply", "active", "B"), 1, "on-hold"),
        (("apply", "standby", "F"), 1, "on-hold"),
        (("apply", "active", "C"), 0, "waiting"),
    ],
    ids=["succeeded", "reverted-hold", "reverted", "operator", "degraded", "waiting"],
)
def test_monitoring_is_told_by_an_exit_code_that_a_pair_is_on_hold(room, at, code, phase):  # noqa: F811
    room.faults(*[fault(*at)] if at else [])
    try:
        room.run()
    except ControllerKilled:
        assert phase == "waiting"
    room.faults()
    assert room.update("status").code == 0
    assert room.cli("update", "status", "--fail-on", "hold", *STATE_DIR).code == code
    assert json.loads(room.update("status", "--json").out)["phase"] == phase
    for other in ("running", "waiting", "on-hold", "ended"):
        result = room.cli("update", "status", "--only", other, "--fail-on", "hold", *STATE_DIR)
        assert result.code == code, "a filter hides no hold"
        assert bool(result.out) == (other == phase)
    if code:
        assert room.clear("--without-probe").code == 0
        assert room.update("status", "--fail-on", "hold").code == 0


@pytest.mark.usefixtures("in_utc")
def test_status_has_the_wall_times_of_start_and_end(room):  # noqa: F811
    room.run()
    ends = [record["at"]["wall"] for record in (room.records[0], room.records[-1])]
    found = json.loads(room.update("status", "--json").out)
    assert [found["started"], found["ended"]] == ends
    out = room.update("status").out
    assert "  started      Fri 2027-01-15 08:00:00 +0000\n  ended        Fri 2027-01-15 " in out


# --- a disk that is full, or cannot be written -----------------------------------------------------------------


def test_a_disk_without_room_is_named_before_anything_is_staged(room, monkeypatch):  # noqa: F811
    monkeypatch.setattr("bundlekit.update.state.space.free_in", lambda _: 1_000_000)
    result = room.run()
    assert result.code == 3
    assert result.err.startswith("bundlekit: the device ")
    assert "which holds the state folder state, has 1000000 bytes free; the update needs 18577216 there: " in result.err
    assert "1800000 for a copy of the component of active, 16777216 for journal and logs.\n" in result.err
    assert (
        "next: Free that space, or name a folder on a larger disk with --state-dir. Nothing was started.\n"
        in result.err
    )
    assert room.versions == OLD
    assert not any(component.staged for component in room.pair.components.values())
    assert room.update("status").code == 3, "no run has begun"


@pytest.mark.parametrize("verb", ["run", "resume", "repair", "plan", "status", "log", "export", "cancel", "clear"])
@pytest.mark.parametrize(("how", "code"), [("newer", 75), ("damaged", 40)])
def test_a_journal_that_cannot_be_used_is_one_exit_code_everywhere(room, verb, how, code):  # noqa: F811
    assert room.run("--until", "prepared").code == 75
    if how == "newer":
        with sqlite3.connect("state/journal.db") as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        Path("state/journal.db").write_bytes(b"no database at all" * 1000)
    calls = {
        "run": room.run,
        "plan": room.plan,
        "export": lambda: room.update("log", "--export", "case.zip"),
        "clear": room.clear,
    }
    result = calls.get(verb, lambda: room.update(verb))()
    assert result.code == code
    assert ("has schema 99" if how == "newer" else "is damaged") in result.out + result.err
    if (verb, how) == ("run", "newer"):
        assert result.out.startswith("waiting: No run was started, and this call changed nothing.\n")
        assert "next 1       run the update again: " in result.out


def test_a_run_that_never_began_says_so(room, monkeypatch):  # noqa: F811
    def full(*_, **__):
        raise JournalError("The journal cannot be used: database or disk is full.")

    monkeypatch.setattr("bundlekit.update.state.sqlite_journal.SqliteJournal.append", full)
    result = room.run()
    assert result.code == 75
    assert result.out.startswith("waiting: No run was started, and this call changed nothing.\n")
    assert "bundlekit update run " in result.out
    assert "resume" not in result.out
    assert json.loads(room.run("--json").out)["recovery"][0]["verb"] == "run"


def test_an_error_of_the_system_in_the_middle_names_file_and_operation(room, monkeypatch):  # noqa: F811
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("bundlekit.update.bundle.verified_chunks", full)
        room.hooks = Overridden(room.pair, prepare=lambda hooks, request: request.stage().__enter__())
        result = room.run()
    assert "The copy of storage in state cannot be written: No space left on device (the device " in result.out
    with monkeypatch.context() as disk:
        disk.setattr("bundlekit.update.engine.executor.Engine.run", full)
        result = room.run()
    assert result.code == 75
    assert "the output" not in result.err
    assert "The update of pair pair-0 stopped, because the device " in result.out


# --- the schemas of what programs read -------------------------------------------------------------------------


def validate(name, lines):
    validator = jsonschema.Draft202012Validator(schema(name))
    assert lines
    for line in lines:
        validator.validate(line)


@pytest.mark.parametrize(
    "at",
    [(), ("apply", "storage", "F"), ("apply", "standby", "F"), ("apply", "active", "B"), ("prepare", "active", "F")],
    ids=str,
)
def test_status_records_and_outcome_are_as_their_schemas_say(room, at):  # noqa: F811
    room.faults(*[fault(*at)] if at else [])
    told = [json.loads(line) for line in room.run("--json").out.splitlines()]
    validate("record", told[:-1])
    validate("outcome", told[-1:])
    validate("outcome", [json.loads(room.resume("--json").out)])
    if json.loads(room.update("status", "--json").out)["hold"]:
        room.clear("--without-probe")
    write_state(version="5.10.00")
    room.run()
    validate("record", room.records)
    assert room.records[-1]["record"] == "rejected"
    validate("status", [json.loads(room.update("status", "--json").out)])


def test_the_status_of_a_pair_that_never_began_and_of_one_that_waits_are_as_the_schema_says(room):  # noqa: F811
    write_state(version="5.10.00")
    room.run()
    validate("status", [json.loads(room.update("status", "--json").out)])
    write_state(version="5.20.03")
    outcome = json.loads(room.run("--until", "prepared", "--json").out.splitlines()[-1])
    validate("outcome", [outcome])
    validate("status", [json.loads(room.update("status", "--json").out)])


@pytest.mark.parametrize("name", ["status", "record", "outcome"])
def test_a_schema_refuses_what_is_something_else(name):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema(name)).validate({"kind": "splendid"})


@pytest.mark.parametrize("verb", ["apply", "gate"])
def test_what_a_hook_is_told_and_may_answer_is_as_the_schema_says(verb):
    job = simulated_job(PAIR)
    step = "active" if verb == "apply" else "ha-formed"
    asked = Request(
        verb=verb, pair="p", step=step, run="r", fence=1, attempt=1, deadline=1, bundle_id="0",
        target=job.targets.get(step),
    )  # fmt: skip
    facts = facts_of(asked)
    validate("hook", [facts, {"progress": 40, "message": "writing"}, {"result": "old", "version": "3.2.1"}])
    assert set(facts) <= set(schema("hook")["$defs"]["HookRequest"]["properties"])
    for wrong in (
        {"result": "splendid"},
        {**facts, "verb": "explode"},
        {**facts, "fence": "one"},
        {"progress": "half"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema("hook")).validate(wrong)


# --- several pairs, and gates that are polled for long ---------------------------------------------------------


class Dispatched(Hooks):
    """The hooks of several simulated pairs."""

    def __init__(self, pairs):
        self.pairs = pairs

    def _pass(self, request):
        return getattr(self.pairs[request.pair], request.verb)(request)

    validate = describe = prepare = apply = probe = verify = commit = revert = gate = cleanup = _pass


@pytest.fixture
def two(room):  # noqa: F811
    """Two pairs that wait at their gates, the second for less long."""
    job = simulated_job(PAIR)
    shared = msgspec.structs.replace(job.targets["storage"], identity="pair-1")
    job = msgspec.structs.replace(job, pair="pair-1", targets=job.targets | {"storage": shared})
    pairs = {"pair-0": room.pair, "pair-1": SimulatedPair(job, room.clock)}
    room.hooks = Dispatched(pairs)
    for name in pairs:
        write_state(pair=name)
        assert room.run("--detach").code == 75
    room.pairs = pairs
    return room


EVERYTHING = ("update", "resume", *TRUST, *STATE_DIR)


@pytest.mark.parametrize("detach", [False, True])
def test_a_resume_of_several_pairs_names_the_pair_in_every_line(two, detach):
    result = two.cli(*EVERYTHING, *(["--detach"] if detach else []))
    assert result.code == (75 if detach else 0)
    lines = result.err.splitlines()
    assert lines
    assert all(line.split()[1] in {"pair-0:", "pair-1:"} for line in lines)
    assert all(line.startswith(("pair-0: ", "pair-1: ")) for line in result.out.splitlines())
    assert {line.split()[0] for line in result.out.splitlines()} == {"pair-0:", "pair-1:"}
    if not detach:
        assert {tuple(pair.versions().values()) for pair in two.pairs.values()} == {NEW}


def test_one_pair_at_its_gate_keeps_no_other_one_waiting(two):
    two.hooks = Overridden(two.hooks, gate=lambda hooks, request: (
        Answer(kind="not-yet") if request.pair == "pair-0" else Answer(kind="ready")
    ))  # fmt: skip
    result = two.cli(*EVERYTHING)
    assert result.code == 30
    ends = [line for line in result.out.splitlines() if ": succeeded: " in line or ": degraded: " in line]
    assert [line.split()[:2] for line in ends] == [["pair-1:", "succeeded:"], ["pair-0:", "degraded:"]]
    times = {r["record"]: r["at"]["ticks"] for r in map(json.loads, two.cli(
        "update", "log", "--pair", "pair-1", *STATE_DIR, "--json").out.splitlines())}  # fmt: skip
    assert times["ended"] <= times["resumed"], "the first round"


def test_json_records_of_several_pairs_name_the_pair(two):
    told = [json.loads(line) for line in two.cli(*EVERYTHING, "--json").out.splitlines()]
    assert {line["pair"] for line in told} == {"pair-0", "pair-1"}
    validate("record", [line for line in told if "record" in line])


def test_equal_answers_of_a_gate_are_one_line(room):  # noqa: F811
    room.hooks = Overridden(
        room.pair, gate=lambda _, request: Answer(kind="ready" if request.attempt > 3 else "not-yet", reason="syncing")
    )
    result = room.run()
    assert result.code == 0
    for told in (result.err, room.update("log").out):
        polls = [line for line in told.splitlines() if "not-yet" in line]
        assert len(polls) == 2
        assert re.search(r"gate ha-formed: not-yet \(syncing\), 3 times, last at 20\S+Z$", polls[1])
    assert sum(r["record"] == "call-finished" and r["verb"] == "gate" for r in room.records) >= 4


def test_answers_that_a_timer_got_are_folded_too(room):  # noqa: F811
    room.hooks = Overridden(room.pair, gate=lambda *_: Answer(kind="not-yet", reason="syncing"))
    assert room.run("--detach").code == 75
    for _ in range(10):
        room.clock.sleep(60)
        assert room.resume("--detach").code == 75
    lines = room.update("log").out.splitlines()
    assert len([line for line in lines if "not-yet" in line]) == 2
    assert re.search(r", 11 times, last at 20\S+Z$", lines[-1])
    assert not any("another controller goes on" in line for line in lines)
