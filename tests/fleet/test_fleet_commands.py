"""The commands about rollouts: begin one, carry it out, look at it, and ask something of it."""

import json
import os
import zipfile

import jsonschema
import pytest

from bundlekit.cli import run
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.fleet.pause import command
from bundlekit.cli.naming import shell_command
from bundlekit.model.decision import Acceptance
from bundlekit.schemas import schema
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet

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
    assert run(["fleet", "status", "missing"]) == 3
    assert "No rollout has the name 'missing'; there are simulated." in capsys.readouterr().err
    assert run(["fleet", "resume", *ADA]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    assert statuses(capsys)[0] == 0
    assert run(["fleet", "stop", "simulated", *ADA]) == 3
    assert "The rollout simulated has finished." in capsys.readouterr().err
    assert run(["fleet", "pause"]) == 3
    assert "No rollout is unfinished." in capsys.readouterr().err


def test_a_pair_is_tried_again(fleet, capsys):
    appliances.put_fault(fleet.root, "pair-000001", "verify active", "fail", left=1)
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "retry", "simulated", "pair-000001", *ADA]) == 1, "it has not ended"
    assert run(["fleet", "worker", "--until-finished"]) == 0
    assert run(["fleet", "retry", "simulated", *ADA]) == 2
    assert run(["fleet", "retry", "simulated", "--end", "degraded", *ADA]) == 1
    assert "none of these has ended without success" in capsys.readouterr().err
    assert run(["fleet", "retry", "simulated", "--end", "reverted", *ADA]) == 0
    assert "1 pair of rollout simulated tried again: pair-000001" in capsys.readouterr().out
    assert run(["fleet", "worker", "--until-finished"]) == 0
    code, (after,) = statuses(capsys, "simulated")
    assert (code, after["ends"]) == (0, {"succeeded": 2})
    assert not list(fleet.violations())


def test_a_retry_of_a_pair_on_hold_names_what_clears_it(fleet, capsys):
    appliances.put_fault(fleet.root, "pair-000001", "apply standby", "kill")
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "worker", "--until-finished"]) == 0
    capsys.readouterr()
    assert run(["fleet", "retry", "simulated", "--end", "degraded", *ADA]) == 0
    told = capsys.readouterr()
    assert "1 pair of rollout simulated tried again: pair-000001" in told.out
    assert "1 pair on hold, whose update is rejected until then: pair-000001\n" in told.err
    assert "--pair pair-000001 --by NAME --reason TEXT" in told.err
    assert run(["fleet", "retry", "simulated", "pair-000000", *ADA]) == 1
    assert "that succeeded" in capsys.readouterr().err


def test_the_live_status_is_printed_with_each_change(fleet, capsys, monkeypatch):
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert run(["fleet", "pause"]) == 0
    capsys.readouterr()
    turns = iter([None, None, ["fleet", "stop", *ADA], ["fleet", "worker", "--until-finished"], None])

    def next_turn(_seconds):
        if (words := next(turns)) is not None:
            assert run(words) == 0

    monkeypatch.setattr("bundlekit.cli.fleet.status.time.sleep", next_turn)
    assert run(["fleet", "status", "--live"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("PAUSED", "STOPPED"))]
    assert lines == ["PAUSED", "STOPPED"], "and nothing without a change"


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
    assert run(["fleet", "export", str(folder)]) == 0
    assert f"1 support bundle of rollout simulated written to {folder}" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["pair-000001.zip", "records.jsonl", "rollout.json"]
    with zipfile.ZipFile(folder / "pair-000001.zip") as archive:
        assert "reverted" in archive.read("README.txt").decode()
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert sorted((one["kind"], one["outcome"]) for one in records) == [
        ("end", "reverted"), ("end", "succeeded"), ("start", ""), ("start", "")
    ]  # fmt: skip
    assert json.loads((folder / "rollout.json").read_text())["ends"] == {"reverted": 1, "succeeded": 1}
    assert run(["fleet", "export", str(tmp_path / "none"), "simulated", "--end", "degraded"]) == 0
    assert sorted(path.name for path in (tmp_path / "none").iterdir()) == ["records.jsonl", "rollout.json"]
    (tmp_path / "file").write_text("")
    assert run(["fleet", "export", str(tmp_path / "file")]) == 3
    assert "cannot be made" in capsys.readouterr().err
