"""The plan of a fleet: what is printed, and that one decision for each class is the decision for each pair."""

import json
import os
import random
import shutil
import sys
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from bundlekit import config
from bundlekit.cli import run
from bundlekit.errors import ConfigError
from bundlekit.fleet.fleet_file import load_fleet
from bundlekit.fleet.inventory import MAX_STATE, InventoryFault, read_inventory
from bundlekit.fleet.planning import gate_minutes, plan_fleet
from bundlekit.fleet.state_classes import StateClasses
from bundlekit.matrix.path import find_path
from bundlekit.model.appliance import Appliance
from bundlekit.schemas import schema
from bundlekit.update.engine.plan import PAIR
from fixtures.make_fleet import COMMANDS, GOLDEN, make_fleet, state
from tests.matrix.candidates import candidate
from tests.report.test_documents import sound


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """The small fleet, in the current folder."""
    monkeypatch.chdir(tmp_path)
    make_fleet(Path())
    return Path("FLEET.toml")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_golden_files_are_what_is_printed(fleet, capsys, name):
    """``python -m fixtures.make_fleet`` makes them again."""
    code = run(["fleet", *COMMANDS[name]])
    printed = capsys.readouterr().out
    assert printed == (GOLDEN / name).read_text()
    if name.startswith("plan"):
        assert code == 1, "pairs are refused"
    if name.endswith(".json"):
        jsonschema.validate(json.loads(printed), schema("fleet-plan" if name == "plan.json" else "fleet-rehearsal"))


def test_the_page_of_a_plan_is_self_contained_and_shows_no_markup_of_the_inventory(fleet, capsys):
    states = Path("states.jsonl")
    states.write_text(states.read_text().replace("storage failed", "<img src=x>"))
    assert run(["fleet", "plan", "FLEET.toml", "--pairs", "--format", "html"]) == 1
    page = capsys.readouterr().out
    sound(page)
    assert "&lt;img src=x&gt; in run 7" in page
    assert "<h2>Waves</h2>" in page


@pytest.mark.parametrize(
    ("verb", "name", "begin"),
    [
        ("plan", "plan.html", "<!doctype html>"),
        ("plan", "plan.json", '{"schema": "bundlekit/fleet-plan/1"'),
        ("rehearse", "result.json", '{"schema": "bundlekit/fleet-rehearsal/1"'),
        ("rehearse", "result.txt", "fleet management-3 to 3.0, simulated"),
    ],
)
def test_the_output_has_the_format_of_its_suffix(fleet, verb, name, begin):
    assert run(["fleet", verb, "FLEET.toml", "-o", name]) == 1
    assert Path(name).read_text().lower().startswith(begin)
    assert run(["fleet", verb, "FLEET.toml", "-o", "result.svg"]) == 2


def test_the_inventory_in_another_order_gives_the_same_waves_and_counts(fleet):
    lines = Path("states.jsonl").read_text().splitlines()
    before = plan_fleet(load_fleet(fleet), listing=True).plan
    Path("states.jsonl").write_text("\n".join(reversed(lines)))
    after = plan_fleet(load_fleet(fleet), listing=True).plan
    assert after.waves == before.waves
    assert after.starts == before.starts
    assert {one.pair: one.wave for one in after.listing} == {one.pair: one.wave for one in before.listing}
    assert sorted(one.pairs for one in after.routes) == sorted(one.pairs for one in before.routes)


def test_a_line_that_is_no_state_is_counted_and_named(fleet, capsys):
    with Path("states.jsonl").open("a") as file:
        file.write('\n{"schema": 1}\nnot JSON\n' + json.dumps(state("pair-13")))
    assert run(["fleet", "plan", "FLEET.toml", "--format", "json"]) == 3
    plan = json.loads(capsys.readouterr().out)
    assert (plan["unreadable"], plan["pairs"]) == (2, 13)
    assert [fault.partition(":")[0] for fault in plan["faults"]] == ["line 14", "line 15"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Path("states.jsonl").unlink(), "cannot be read: No such file"),
        (lambda: Path("states.jsonl").write_text("\n".join([json.dumps(state("a"))] * 2)), "the pair a has two"),
        (lambda: (Path("states.jsonl").unlink(), os.mkfifo("states.jsonl")), "cannot be read: it is a pipe"),
        (lambda: Path("states.jsonl").write_text("x" * (MAX_STATE + 1)), "states.jsonl: line 1: it has more than"),
        (lambda: Path("mc3.bin").unlink(), "mc3.bin"),
        (lambda: shutil.rmtree("trust"), "trust"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence(fleet, capsys, change, message):
    change()
    assert run(["fleet", "plan", "FLEET.toml"]) == 3
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["plan", "rehearse"])
@pytest.mark.parametrize("name", ["FLEET.toml", "states.jsonl", "mc3.bin"])
def test_no_input_is_overwritten(fleet, capsys, verb, name):
    before = Path(name).read_bytes()
    assert run(["fleet", verb, "FLEET.toml", "-o", name]) == 2
    assert "is also an input" in capsys.readouterr().err
    assert Path(name).read_bytes() == before


def test_a_bundle_can_be_on_a_server(fleet):
    fleet.write_text(fleet.read_text().replace('"mc3.bin"', '"https://127.0.0.1:1/mc3.bin"'))
    assert str(load_fleet(fleet).bundles[1]) == "https://127.0.0.1:1/mc3.bin"
    assert load_fleet(fleet).inputs[:2] == (Path("mc2.bin"), Path("sp3.bin"))


def with_command(fleet, script, timeout="1 min"):
    program = Path("inventory")
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o700)
    text = fleet.read_text().replace('file = "states.jsonl"', f'command = ["inventory", "all"]\ntimeout = "{timeout}"')
    fleet.write_text(text)
    return load_fleet(fleet)


def test_a_command_prints_the_states(fleet):
    given = with_command(fleet, "import sys\nprint(open('states.jsonl').read(), sys.argv[1])")
    found = list(read_inventory(given))
    assert [one.pair for one in found if isinstance(one, Appliance)] == [f"pair-{number:02}" for number in range(1, 13)]
    assert isinstance(found[-1], InventoryFault), "'all' is the last line"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise SystemExit(3)", "ended with exit code 3, so the inventory is not complete"),
        ("import time\ntime.sleep(60)", "did not end within 1 s"),
        ("import os, time\nos.fork() or time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_a_command_that_fails_gives_no_plan(fleet, script, message):
    with pytest.raises(ConfigError) as caught:
        list(read_inventory(with_command(fleet, script, "1 s")))
    assert message in str(caught.value)


def test_a_command_that_others_can_change_is_not_run(fleet):
    given = with_command(fleet, "print()")
    Path("inventory").chmod(0o722)
    with pytest.raises(ConfigError, match="other users can change"):
        list(read_inventory(given))


def test_a_slot_is_taken_until_the_end_of_the_gate():
    assert gate_minutes(PAIR) == 60


WAYS = {
    "from": [{"id": "any", "versions": ">=1.0", "unlisted": True}],
    "risk": [
        {
            "id": "slow-disk",
            "versions": "*",
            "when": {"fact": "disk.firmware", "below": "7.1"},
            "reason": "The disk can fail.",
        }
    ],
}


def odd_state(choose, number):
    """A state whose parts are chosen from few values, so that many states share a class."""
    made = state(f"pair-{number}", choose.choice(["1.0", "2.0", "3.0"]), choose.choice(["1.0", "2.0"]))
    made["facts"] = {"site": f"site-{number}"}
    if (firmware := choose.choice(["", "7.0", "7.1", 7])) != "":
        made["facts"]["disk.firmware"] = firmware
    made |= choose.choice([{}, {}, {"hold": f"fault {number}"}, {"update": f"run {number}"}, {"model": "im-900"}])
    made["members"] = dict(choose.sample(sorted(made["members"].items()), 2))
    for member in made["members"].values():
        if (space := choose.choice([None, 5, 2**30, 2**30 + 1, number])) is not None:
            member["free"] = {"storage": space}
    return config.convert(made, Appliance, where="made")


def decided(candidates, one):
    way = find_path(candidates, one, "3.0")
    return way.found, tuple(hop.bundle for hop in way.hops), {(it.subject, it.kind, it.entry) for it in way.obstacles}


def test_states_of_one_class_are_decided_alike():
    from bundlekit.model.manifest import Requirements

    candidates = [
        candidate("2.0", WAYS, models=("im-100",)),
        candidate("3.0", WAYS, models=("im-100",), requirements=Requirements(free={"storage": 2**30})),
    ]
    classes, known = StateClasses(candidates), {}
    choose = random.Random(16)  # noqa: S311 - no secret, only the same states again
    for number in range(400):
        one = odd_state(choose, number)
        found = decided(candidates, one)
        assert known.setdefault(classes.key(one), found) == found
    assert 20 < len(known) < 350
    assert len({str(found) for found in known.values()}) > 5


def test_what_a_decision_reads_makes_another_class():
    candidates = [candidate("3.0", WAYS)]
    classes = StateClasses(candidates)
    plain = config.convert(state("a"), Appliance, where="made")
    same = [replace(plain, pair="b"), replace(plain, facts={"other": 1}), replace(plain, components=plain.components)]
    others = [
        replace(plain, facts={"disk.firmware": "7.0"}),
        replace(plain, counter=7),
        replace(plain, hold=""),
        replace(plain, model="im-200"),
        replace(plain, trusts=("a",)),
        replace(plain, includes=None),
        replace(plain, provides={"rootfs": "1"}),
    ]
    assert {classes.key(one) for one in same} == {classes.key(plain)}
    assert len({classes.key(one) for one in (plain, *others)}) == len(others) + 1


@pytest.mark.parametrize("verb", ["plan", "rehearse"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_inventory_without_pairs_is_an_error(fleet, capsys, verb, content):
    Path("states.jsonl").write_text(content)
    assert run(["fleet", verb, "FLEET.toml"]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "FLEET.toml: the inventory has no pair" in printed.err


def test_a_rehearsal_names_what_is_refused_and_fails(fleet, capsys):
    assert run(["fleet", "rehearse", "FLEET.toml", "--at", "2026-11-23T21:30:00Z"]) == 1
    printed = capsys.readouterr().out
    assert "  refused, no-time-zone: 1 pair, such as pair-12" in printed
    assert "FINISHED at 2026-" in printed
    assert printed.endswith("; 3 pairs refused\n")


def test_a_rehearsal_in_which_nothing_can_start_fails(fleet, capsys):
    fleet.write_text(fleet.read_text().replace('target = "3.0"', 'target = "9.0"'))
    assert run(["fleet", "rehearse", "FLEET.toml"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("NO ROLLOUT at ")
    assert last.endswith(": there is no pair to update; 0 of 0 pairs started; 12 pairs refused")
    assert run(["fleet", "plan", "FLEET.toml"]) == 1
    assert "  now: there is no pair to update" in capsys.readouterr().out


def test_a_rehearsal_of_an_incomplete_inventory_is_incomplete(fleet, capsys):
    with Path("states.jsonl").open("a") as file:
        file.write('\n{"schema": 1}\n')
    assert run(["fleet", "rehearse", "FLEET.toml"]) == 3
    printed = capsys.readouterr().out
    assert "  unreadable: 1 line of the inventory\n     line 14: " in printed
    assert printed.splitlines()[-1].startswith("INCOMPLETE at ")


def test_a_limit_by_a_fact_that_no_pair_has_is_a_warning(fleet, capsys):
    fleet.write_text(fleet.read_text().replace("per = { site = ", "per = { sitte = "))
    run(["fleet", "plan", "FLEET.toml"])
    assert "max-in-flight.per: no pair has the fact sitte, so all pairs share its limit of 1" in capsys.readouterr().out
