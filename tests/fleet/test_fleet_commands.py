"""The commands about rollouts: begin one, carry it out, look at it, and ask something of it."""

import json

import jsonschema
import pytest

from bundlekit.cli import run
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
    assert run(["fleet", "start", str(fleet.file), "--by", "Ada"]) == 0
    assert "rollout simulated has begun: 2 pairs in 1 wave" in capsys.readouterr().out
    code, (before,) = statuses(capsys)
    assert (code, before["pending"], before["decider"]) == (0, 2, "")
    assert run(["fleet", "status"]) == 0
    assert "no worker decides now" in capsys.readouterr().out
    assert run(["fleet", "worker", "--until-finished", "--slots", "2"]) == 0
    assert capsys.readouterr().err == ""
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
