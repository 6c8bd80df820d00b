"""The commands about rollouts: begin one, carry it out, look at it, and ask something of it."""

import io
import json
import os
import sys
import zipfile

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from bundlekit.cli import run
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.fleet.live import frame
from bundlekit.cli.fleet.pause import command
from bundlekit.cli.naming import shell_command
from bundlekit.fleet.rollout_status import FleetEnd, FleetStatus
from bundlekit.model.decision import Acceptance
from bundlekit.schemas import schema
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet
from tests.cli.terminal import Terminal
from tests.waiting import wait_for

OPEN = '[[waves]]\nname = "all"\n[[abort]]\nfailures = ["reverted"]\npercent = 100\nminimum-ended = 2\n'
ADA = ["--by", "Ada", "--reason", "planned"]


@pytest.fixture
def fleet(memory_folder, database_url, monkeypatch):
    monkeypatch.setenv("BUNDLEKIT_STATE", database_url)
    monkeypatch.setenv("BUNDLEKIT_STATE_DIR", str(memory_folder / "work"))
    return ApplianceFleet(memory_folder / "fleet").make(2, two_stops=0, more=OPEN)


def statuses(capsys, *words):
    capsys.readouterr()
    code = run(["fleet", "status", *words, "--format", "json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for one in found:
        jsonschema.validate(one, schema("fleet-status"))
    return code, found


def test_a_rollout_from_the_start_to_its_end(fleet, capsys):
    appliances.put_fault(fleet.root, "pair-000001", "verify active", "fail")
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada", "--accept-risk", "flash-wear"]) == 0
    assert "rollout simulated has begun: 2 pairs in 1 wave" in capsys.readouterr().out
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 3
    assert "A rollout with the name 'simulated' exists already." in capsys.readouterr().err
    with fleet_options.rollouts(os.environ["BUNDLEKIT_STATE"]) as store:
        assert store.load("simulated").accepted_risks == (Acceptance(risk="flash-wear"),)
    code, (before,) = statuses(capsys)
    assert (code, before["pending"], before["decider"]) == (0, 2, "")
    assert run(["fleet", "status"]) == 0
    assert "no worker decides now" in capsys.readouterr().out
    assert run(["fleet", "worker", "--until-finished", "--slots", "2"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("worker with 2 slots, process ")
    assert sorted(told[1:]) == [
        "pair pair-000000: an update begins",
        "pair pair-000000: succeeded",
        "pair pair-000001: an update begins",
        "pair pair-000001: reverted",
    ]
    code, (after,) = statuses(capsys)
    assert (code, after["phase"], after["ends"]) == (1, "finished", {"reverted": 1, "succeeded": 1})
    assert [(one["pair"], one["end"]) for one in after["failed"]] == [("pair-000001", "reverted")]
    assert fleet.versions("pair-000000") == ("3.0",) * 3
    assert run(["fleet", "status", "simulated"]) == 1
    text = capsys.readouterr().out
    assert "reverted: pair-000001 at" in text
    assert "FINISHED: every pair has ended" in text
    assert run(["fleet", "status", "--format", "prometheus"]) == 1
    sample = 'bundlekit_fleet_pairs{rollout="simulated",wave="all",state="reverted"} 1'
    assert sample in capsys.readouterr().out.splitlines()


def test_operators_ask_for_a_pause_a_resume_a_stop_and_an_approval(fleet, capsys):
    text = fleet.file.read_text()
    waves = '[[waves]]\nname = "first"\npairs = ["pair-000000"]\napproval = true\n[[waves]]'
    fleet.file.write_text(text.replace("[[waves]]", waves))
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "pause"]) == run(["fleet", "pause", "simulated"]) == 0
    assert "bundlekit fleet resume simulated --by NAME --reason TEXT" in capsys.readouterr().out
    assert run(["fleet", "resume"]) == 2, "a name and a reason are required"
    assert run(["fleet", "resume", *ADA]) == 0
    assert run(["fleet", "approve", *ADA]) == 3
    assert "bundlekit fleet approve simulated --wave first --by NAME" in capsys.readouterr().err
    assert run(["fleet", "approve", "--wave", "first", *ADA]) == 0
    assert "wave first of rollout simulated is approved" in capsys.readouterr().out
    assert run(["fleet", "stop", *ADA]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    assert statuses(capsys)[1][0]["phase"] == "stopped"
    assert run(["fleet", "pause"]) == 3
    assert "The rollout simulated is stopped already, so nothing starts." in capsys.readouterr().err
    assert run(["fleet", "status", "missing"]) == 3
    assert "No rollout has the name 'missing'; there are simulated." in capsys.readouterr().err
    assert run(["fleet", "resume", *ADA]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    assert statuses(capsys)[0] == 0
    assert run(["fleet", "stop", "simulated", *ADA]) == 3
    assert "The rollout simulated has finished." in capsys.readouterr().err
    assert run(["fleet", "pause"]) == 3
    assert "No rollout is unfinished." in capsys.readouterr().err


def test_a_pair_is_tried_again(fleet, capsys, tmp_path):
    appliances.put_fault(fleet.root, "pair-000001", "verify active", "fail", left=1)
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "retry", "simulated", "pair-000001", *ADA]) == 1, "it has not ended"
    assert run(["fleet", "worker", "--until-finished"]) == 0
    assert run(["fleet", "retry", "simulated", *ADA]) == 2
    assert run(["fleet", "retry", "simulated", "--end", "degraded", *ADA]) == 1
    assert "none of these has ended without success" in capsys.readouterr().err
    assert run(["fleet", "retry", "simulated", "--end", "reverted", *ADA]) == 0
    assert "1 pair of rollout simulated tried again: pair-000001" in capsys.readouterr().out
    code, (between,) = statuses(capsys)
    assert (code, between["failed"]) == (0, [])
    assert [(one["pair"], one["end"]) for one in between["retried"]] == [("pair-000001", "reverted")]
    assert run(["fleet", "status"]) == 0
    assert "tried again: pair-000001, reverted at " in capsys.readouterr().out
    assert run(["fleet", "export", "--into", str(tmp_path / "cases")]) == 0
    assert (tmp_path / "cases" / "pair-000001.zip").exists(), "what was wrong is not lost"
    assert run(["fleet", "worker", "--until-finished"]) == 0
    code, (after,) = statuses(capsys, "simulated")
    assert (code, after["ends"], after["retried"]) == (0, {"succeeded": 2}, [])
    assert not list(fleet.violations())


def test_a_retry_of_a_pair_on_hold_names_what_clears_it(fleet, capsys):
    appliances.put_fault(fleet.root, "pair-000001", "apply standby", "kill")
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    capsys.readouterr()
    assert run(["fleet", "retry", "simulated", "--end", "degraded", *ADA]) == 0
    told = capsys.readouterr()
    assert "1 pair of rollout simulated tried again: pair-000001" in told.out
    assert "1 pair on hold, so the update is rejected until the hold is cleared: pair-000001\n" in told.err
    assert "--pair pair-000001 --by NAME --reason TEXT" in told.err
    assert run(["fleet", "retry", "simulated", "pair-000000", *ADA]) == 1
    assert "that succeeded" in capsys.readouterr().err


def status_with_failures(number):
    """A rollout that has finished, with 5 lines more than pairs that failed."""
    text = """{"schema": "bundlekit/fleet-status/1", "name": "spring", "target": "3.0", "by": "Ada", "created": "2026",
        "at": "2026", "phase": "finished", "because": "every pair has ended", "until": null, "approval": "",
        "decider": "", "pairs": 20, "pending": 0, "in-flight": 0, "ends": {"reverted": 20}, "silent": 0, "working": 0,
        "overdue": 0, "ended-last-hour": 0, "workers": [], "retried": [], "trouble": [], "waves": [
            {"name": "one", "pairs": 20, "pending": 0, "in-flight": 0, "ends": {"reverted": 20}},
            {"name": "two", "pairs": 0, "pending": 0, "in-flight": 0, "ends": {}}],
        "failed": []}"""
    end = FleetEnd(pair="p", wave="one", end="reverted", at="2026", run="", reason="a reason" * 30)
    return replace(msgspec.json.decode(text, type=FleetStatus), failed=(end,) * number)


def test_the_live_status_is_printed_with_each_change(fleet, capsys, monkeypatch):
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "pause"]) == 0
    capsys.readouterr()
    turns = iter([None, None, ["fleet", "stop", *ADA], ["fleet", "worker", "--until-finished"], None])

    def next_turn(_seconds):
        if (words := next(turns)) is not None:
            assert run(words) == 0

    monkeypatch.setattr("bundlekit.cli.fleet.status.sleep", next_turn)
    assert run(["fleet", "status", "--live"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("PAUSED", "STOPPED"))]
    assert lines == ["PAUSED", "STOPPED"], "and nothing without a change"


@pytest.mark.parametrize(("rows", "left_out"), [(40, False), (8, True)])
@pytest.mark.usefixtures("fleet")
def test_the_live_status_on_a_terminal_is_a_screen_of_its_own(memory_folder, monkeypatch, rows, left_out):
    pairs = [f"pair-{number:06}" for number in range(6)]
    fleet = ApplianceFleet(memory_folder / "six").make(
        len(pairs), two_stops=0, more=OPEN.replace("minimum-ended = 2", "minimum-ended = 100")
    )
    for pair in pairs:
        appliances.put_fault(fleet.root, pair, "verify active", "fail")
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "pause"]) == 0
    terminal = Terminal(monkeypatch, 80, rows)
    turns = iter([["fleet", "resume", *ADA], ["fleet", "worker", "--until-finished"]])
    seen = []

    def next_turn(_seconds):
        wait_for(lambda: any(line.startswith("Ctrl-C") for line in terminal.now()), "a whole frame")
        seen.append(terminal.now())
        with monkeypatch.context() as silent:
            silent.setattr(sys, "stdout", io.StringIO())
            silent.setattr(sys, "stderr", io.StringIO())
            assert run(next(turns)) == 0

    monkeypatch.setattr("bundlekit.cli.fleet.status.sleep", next_turn)
    code = run(["fleet", "status", "--live"])
    shown = terminal.shown()
    assert (code, terminal.screens) == (1, 1), shown
    assert [line for line in seen[0] if line.startswith("  wave")] == [
        f"  wave all: [{'-' * 20}] 6 pairs: 6 not started"
    ]
    assert any(line.startswith("PAUSED") for line in seen[0])
    assert "Ctrl-C: leave this view. The rollout continues." in seen[0]
    assert not any("Ctrl-C" in line or "[" in line for line in shown), "nothing of the view is left"
    assert sum("reverted: pair-" in line for line in shown) >= (2 if left_out else 6)


@pytest.mark.parametrize("rollouts", [1, 2])
@pytest.mark.parametrize("height", range(1, 61))
def test_the_live_view_is_never_higher_than_the_terminal(height, rollouts):
    rows = [row.text for row in frame([status_with_failures(20)] * rollouts, height)]
    assert len(rows) <= max(height, 3 * rollouts + 1)
    assert sum(row.startswith("FINISHED") for row in rows) == rollouts
    assert height < 60 or f"  wave one: [{'=' * 20}] 20 pairs: 20 reverted" in rows
    assert sum("more lines: see the status without --live" in row for row in rows) == rollouts * (
        height < 25 * rollouts + 1
    )


@pytest.mark.parametrize("how", ["option", "environment"])
def test_next_steps_have_the_database_of_an_option_without_its_password(monkeypatch, how):
    url = "postgresql://bundlekit:secret@db.example/fleet"
    monkeypatch.setenv("BUNDLEKIT_STATE", url)
    words = ["--state", url] if how == "option" else []
    with command.make_context("pause", words):
        lines = [shell_command(f"fleet {verb}", "name") for verb in ("resume", "plan", "rehearse")]
    state = "--state postgresql://bundlekit@db.example/fleet " if how == "option" else ""
    assert lines == [
        f"bundlekit fleet resume {state}name",
        "bundlekit fleet plan name",
        "bundlekit fleet rehearse name",
    ]


def test_pairs_that_did_not_succeed_are_exported(fleet, tmp_path, capsys):
    appliances.put_fault(fleet.root, "pair-000001", "verify active", "fail")
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    folder = tmp_path / "cases"
    assert run(["fleet", "export", "--into", str(folder)]) == 0
    assert f"1 support bundle of rollout simulated written to {folder}" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["pair-000001.zip", "records.jsonl", "rollout.json"]
    with zipfile.ZipFile(folder / "pair-000001.zip") as archive:
        assert "reverted" in archive.read("README.txt").decode()
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert sorted((one["kind"], one["outcome"]) for one in records) == [
        ("end", "reverted"), ("end", "succeeded"), ("start", ""), ("start", "")
    ]  # fmt: skip
    assert json.loads((folder / "rollout.json").read_text())["ends"] == {"reverted": 1, "succeeded": 1}
    assert run(["fleet", "export", "simulated", "--into", str(tmp_path / "none"), "--end", "degraded"]) == 0
    assert sorted(path.name for path in (tmp_path / "none").iterdir()) == ["records.jsonl", "rollout.json"]
    (tmp_path / "file").write_text("")
    assert run(["fleet", "export", "--into", str(tmp_path / "file")]) == 3
    assert "cannot be made" in capsys.readouterr().err


def test_a_pair_of_another_rollout_is_named_with_it(fleet, capsys):
    first = fleet.file.read_text()
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    fleet.file.write_text(first.replace('name = "simulated"', 'name = "second"'))
    capsys.readouterr()
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 3
    said = capsys.readouterr().err
    assert "2 pairs in another rollout: pair-000000 in simulated." in said
    assert "rollout_pair_taken" not in said
    assert run(["fleet", "stop", "simulated", *ADA]) == 0
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    capsys.readouterr()
    assert run(["fleet", "resume", "simulated", *ADA]) == 3
    assert "cannot have its pairs again: 2 pairs in another rollout: pair-000000 in second." in capsys.readouterr().err


def test_a_worker_does_not_begin_with_a_folder_that_others_can_enter(fleet, memory_folder, capsys):
    (memory_folder / "shared").mkdir()
    (memory_folder / "shared").chmod(0o755)
    assert run(["fleet", "worker", "--until-finished", "--state-dir", str(memory_folder / "shared")]) == 3
    assert "can be entered by other users" in capsys.readouterr().err


def test_a_retry_names_the_rollout_that_has_the_pair_by_now(fleet, capsys):
    appliances.put_fault(fleet.root, "pair-000001", "verify active", "fail")
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    fleet.file.write_text(fleet.file.read_text().replace('name = "simulated"', 'name = "second"'))
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    capsys.readouterr()
    assert run(["fleet", "retry", "simulated", "pair-000001", *ADA]) == 3
    assert "cannot try again: 1 pair in another rollout: pair-000001 in second." in capsys.readouterr().err
