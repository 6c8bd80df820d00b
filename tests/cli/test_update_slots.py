"""``bundlekit update`` as a user runs it: a pair that exists as folders, a plan with ``[slots]``, real time.

Each row of the vendor's table, with the bytes and versions found on disk, and then its recovery.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bundlekit.update.engine.clock import SystemClock
from bundlekit.update.targets.slot_folder import Place, read_pair
from bundlekit.update.targets.slots import create_slot_pair, install_slot
from bundlekit.update.targets.slots import slot_pair_state as state_of_folders
from tests.update import shelf
from tests.update.folders import TEMPLATES, make_folders

ROOT = Path(__file__).parents[2]

PLAN = """\
plan = 1
name = "a pair of folders"
[slots]
root = "pairs"
[steps]
storage = { component = "storage" }
active  = { component = "appliance", member = "active" }
standby = { component = "appliance", member = "standby" }
[[groups]]
steps = ["storage", "active"]
on-failure.storage = { revert = ["active", "storage"], hold = true }
on-failure.active  = { revert = ["active"], keep = ["storage"] }
[[groups]]
steps = ["standby"]
on-failure.standby = {}
[gates.ha-formed]
poll = "1 s"
expect = ["1 s", "2 s"]
deadline = "300 s"
"""

OLD, NEW = ("3.2.1", "5.20.03", "5.20.03"), ("3.4.0", "5.40.00", "5.40.00")
PLACES = ("shared/storage", "SN-active/appliance", "SN-standby/appliance")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return shelf.fill(tmp_path_factory.mktemp("slots-desk"))


@pytest.fixture
def desk(filled, memory_folder, monkeypatch):
    desk = shutil.copytree(filled, memory_folder / "desk")
    monkeypatch.chdir(desk)
    (desk / "PLAN.toml").write_text(PLAN)
    (desk / "PLAN.toml").chmod(0o600)
    create_slot_pair(
        desk / "pairs",
        "pair-0",
        product="imager",
        model="im-200",
        version="5.20.03",
        storage="3.2.1",
        members=("SN-active", "SN-standby"),
        counter=6,
    )
    return desk


@pytest.fixture
def update(cli, desk):
    def call(verb, *options):
        common = ("--state-dir", "state") if verb != "state" else ()
        pair = ("--pair", "pair-0") if verb not in {"run", "plan"} else ()
        trust = ("--trust", "root.pem") if verb in {"run", "plan", "resume", "repair"} else ()
        bundle = ("update.bin", "--plan", "PLAN.toml", "--appliance", "STATE.json") if verb in {"run", "plan"} else ()
        plan = ("--plan", "PLAN.toml") if verb == "state" else ()
        return cli("update", verb, *bundle, *plan, *pair, *trust, *common, *options)

    return call


@pytest.fixture
def state(update):
    """STATE.json as the folders say it."""

    def read():
        done = update("state", "--includes", "none", "-o", "STATE.json")
        assert done.code == 0, done.err

    read()
    return read


def places():
    return [Path("pairs/pair-0") / place for place in PLACES]


def versions():
    found = []
    for path in places():
        with Place(path) as place:
            found.append(place.read().running.version)
    return tuple(found)


def running(number):
    """The bytes of the active slot."""
    with Place(places()[number]) as place:
        record = place.read()
    return (places()[number] / record.active).read_bytes()[: record.running.size]


def holds():
    found = set()
    for path in places():
        with Place(path) as place:
            found.add(bool(place.read().hold))
    return found


def spoil(update, number):
    """Stage everything, and let the software in the new slot of one component say that it does not work."""
    assert update("run", "--until", "prepared").code == 75
    (places()[number] / "b.unhealthy").write_text("the disk does not answer\n")


def test_the_state_that_the_library_reads_is_one_that_an_update_accepts(update):
    seen = state_of_folders(Path("pairs"), "pair-0")
    Path("STATE.json").write_bytes(msgspec.json.encode(seen))
    assert seen.components["storage"].free["storage"] > 0
    result = update("run")
    assert result.code == 0, result.err + result.out
    assert versions() == NEW


def test_all_succeed(update, state):
    assert update("run").code == 0
    assert versions() == NEW
    assert running(0) == Path("storage.img").read_bytes()
    assert running(1) == running(2) == Path("appliance.img").read_bytes()
    assert read_pair(Path("pairs"), "pair-0").counter == 7
    state()
    again = update("run")
    assert again.code == 10
    assert "not-newer" in again.out or "already" in again.out


def test_a_validation_error_touches_nothing(update, state):
    before = {path: path.read_bytes() for path in Path("pairs").rglob("*") if path.is_file()}
    os.truncate("update.bin", 100_000)
    assert update("run").code == 10
    assert {path: path.read_bytes() for path in Path("pairs").rglob("*") if path.is_file()} == before


def test_storage_fails_both_revert_and_the_pair_is_on_hold(update, state):
    spoil(update, 0)
    result = update("resume")
    assert result.code == 20
    assert "the disk does not answer" in result.out
    assert versions() == OLD
    assert running(0) == b"storage 3.2.1\n"
    assert holds() == {True}
    assert update("run").code == 12
    assert update("clear", "--by", "Ada", "--reason", "disk replaced").code == 0
    assert holds() == {False}
    state()
    assert update("run").code == 0
    assert versions() == NEW


def test_active_fails_and_the_new_storage_is_kept(update, state):
    spoil(update, 1)
    assert update("resume").code == 20
    assert versions() == ("3.4.0", "5.20.03", "5.20.03")
    assert running(0) == Path("storage.img").read_bytes()
    assert running(1) == b"appliance 5.20.03\n"
    assert holds() == {False}
    assert read_pair(Path("pairs"), "pair-0").counter == 6
    state()
    assert update("run").code == 0
    assert versions() == NEW


def test_standby_fails_and_the_pair_is_repaired(update, state):
    spoil(update, 2)
    result = update("resume")
    assert result.code == 30
    assert versions()[:2] == NEW[:2]
    assert holds() == {True}
    assert "by one appliance; complete: active\n" in result.out
    again = update("repair")
    assert again.code == 30
    assert "verify of standby failed: " in again.out, "it runs the new version, and is not taken for well"
    (places()[2] / "b.unhealthy").unlink()
    assert update("repair").code == 0
    assert versions() == NEW
    assert running(2) == Path("appliance.img").read_bytes()
    assert holds() == {False}


def test_a_gate_that_does_not_pass_in_time(update, state):
    pair, plan = Path("pairs/pair-0/pair.json"), Path("PLAN.toml")
    pair.write_text(json.dumps(json.loads(pair.read_text()) | {"synchronise": 3600}))
    plan.write_text(
        plan.read_text().replace(
            'expect = ["1 s", "2 s"]\ndeadline = "300 s"', 'expect = ["1 s", "1 s"]\ndeadline = "1 s"'
        )
    )
    result = update("run")
    assert result.code == 30
    assert "HA           no" in result.out
    pair.write_text(json.dumps(json.loads(pair.read_text()) | {"synchronise": 0}))
    assert update("repair").code == 0


def test_a_pair_that_changed_since_its_state_was_read(update, state, cli):
    install_slot(places()[1], "5.30.02", b"appliance 5.30.02\n")
    result = update("run")
    assert result.code == 10
    assert "state-changed: the state has version 5.20.03, the appliance reports 5.30.02" in result.out
    again = "update state --plan PLAN.toml --appliance STATE.json --pair pair-0 -o STATE.json"
    assert f"next 1       write the state of the pair again: bundlekit {again}\n" in result.out
    assert cli(*again.split()).code == 0
    assert json.loads(Path("STATE.json").read_text())["members"]["SN-active"]["version"] == "5.30.02"
    assert update("run").code == 0


def change_json(path, **changes):
    Path(path).write_text(json.dumps(json.loads(Path(path).read_text()) | changes))


def slots():
    """The bytes of all slots."""
    return {path: path.read_bytes() for path in Path("pairs").rglob("[ab]")}


@pytest.mark.parametrize(("what", "told", "says"), [("model", "im-100", "im-200"), ("product", "printer", "imager")])
def test_a_pair_that_is_another_than_its_state_says(update, state, cli, what, told, says):
    """The bundle fits what STATE.json says; the pair says that it is something else, and no slot is written."""
    change_json("pairs/pair-0/pair.json", **{what: told})
    before = slots()
    for verb in ("plan", "run"):
        result = update(verb)
        assert result.code == 10
        assert f"state-changed: the state has {what} {says}, the appliance reports {told}" in result.out
    assert slots() == before
    again = f"update state --plan PLAN.toml --appliance STATE.json --pair pair-0 --{what} {told} -o STATE.json"
    assert f"next 1       write the state of the pair again: bundlekit {again}\n" in result.out
    assert cli(*again.split()).code == 0
    result = update("run")
    assert (result.code, "wrong-product" in result.out) == (10, True)
    assert slots() == before


def test_members_whose_roles_the_state_swaps_are_not_touched(update, state):
    members = json.loads(Path("STATE.json").read_text())["members"]
    for member in members.values():
        member["role"] = {"active": "standby", "standby": "active"}[member["role"]]
    change_json("STATE.json", members=members)
    before = slots()
    result = update("run")
    assert result.code == 10
    assert "state-changed: the state has role active, the appliance reports standby" in result.out
    assert slots() == before
    assert update("state", "--appliance", "STATE.json", "-o", "STATE.json").code == 0
    assert update("run").code == 0


@pytest.mark.parametrize("source", ["option", "older state"])
@pytest.mark.parametrize(("what", "word", "says"), [("model", "im-100", "im-200"), ("product", "printer", "imager")])
def test_no_state_is_written_that_the_pair_contradicts(update, state, source, what, word, says):
    options = [f"--{what}", word] if source == "option" else ["--appliance", "STATE.json"]
    if source == "older state":
        change_json("STATE.json", **{what: word})
    before = Path("STATE.json").read_bytes()
    result = update("state", *options, "-o", "STATE.json")
    assert result.code == 3
    assert f"would contain {what} {word}, but storage itself reports {says}." in result.err
    assert Path("STATE.json").read_bytes() == before
    kept = options if source == "older state" else []
    assert update("state", *kept, f"--{what}", says, "-o", "STATE.json").code == 0


def test_the_plan_of_a_real_pair_changes_nothing_and_waits_for_nothing(update, state, monkeypatch):
    monkeypatch.setattr(SystemClock, "sleep", lambda *_: pytest.fail("a plan waits"))
    before = {path: path.stat().st_mtime_ns for path in Path("pairs").rglob("*")}
    result = update("plan")
    assert result.code == 0, result.out
    assert "  1. storage (shared, pair-0): 3.2.1 -> 3.4.0" in result.out
    assert "    degraded (ha-formed), hold\n      after ha-formed gate: F T\n" in result.out
    assert "-> degraded" not in result.out, "every recovery leads to a good end, whatever the plan's deadlines"
    assert {path: path.stat().st_mtime_ns for path in Path("pairs").rglob("*")} == before


def test_a_plan_that_others_can_change_is_refused(update, state):
    Path("PLAN.toml").chmod(0o666)
    result = update("run")
    assert (result.code, "is not safe: other users can change" in result.err) == (3, True)


def test_a_run_is_resumed_from_any_folder(update, state, cli, monkeypatch):
    desk = Path.cwd()
    assert update("run", "--until", "prepared").code == 75
    monkeypatch.chdir("/")
    done = cli("update", "resume", "--pair", "pair-0", "--trust", desk / "root.pem", "--state-dir", desk / "state")
    assert done.code == 0
    monkeypatch.chdir(desk)
    assert versions() == NEW


def test_a_bundle_changed_during_the_update_reaches_no_slot(update, state):
    assert update("run", "--until", "prepared").code == 75
    with Path("update.bin").open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"!" * 100)
    result = update("resume")
    assert b"!" * 100 not in b"".join(path.read_bytes() for path in Path("pairs").rglob("*") if path.is_file())
    assert result.code in {0, 20}


def test_commands_in_python_and_shell_do_the_same(update, desk, cli):
    make_folders(desk / "boxes", sandbox=False)
    hook = f'["/bin/sh", "{desk}/hook.sh", "{desk}/boxes"]'
    shutil.copy(TEMPLATES / "hook.sh", desk / "hook.sh")
    Path("hook.sh").chmod(0o700)
    plan = PLAN.replace('[slots]\nroot = "pairs"\n', "")
    for component in ('"storage"', '"active"', '"standby"'):
        plan = plan.replace(f"{component} }}", f"{component}, hook = {hook} }}")
    Path("PLAN.toml").write_text(plan)
    done = update("state", "--appliance", "STATE.json", "-o", "STATE.json")
    assert done.code == 0, done.err
    result = update("run")
    assert result.code == 0, result.out
    assert (desk / "boxes/pair-0/SN-active/appliance/current").read_text().strip() == "5.40.00"
    assert list(Path("state/logs").glob("pair-0-*-active-apply-*.log"))
    exported = update("log", "--export", "case.zip").out
    assert "logs/pair-0-" in exported


def test_the_live_view_on_a_real_terminal(update, state):
    """Run below a pseudo-terminal: what rich draws there is not asserted by the letter, only that it works."""
    script = (
        "import pty, sys, os\n"
        "code = pty.spawn([sys.executable, '-m', 'bundlekit', *sys.argv[1:]])\n"
        "sys.exit(os.waitstatus_to_exitcode(code))\n"
    )
    here = Path.cwd()
    command = [
        "update", "run", here / "update.bin", "--plan", here / "PLAN.toml", "--appliance", here / "STATE.json",
        "--trust", here / "root.pem", "--state-dir", here / "state",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "now: " in done.stdout
    assert "succeeded: Every component is on the new version" in done.stdout


@pytest.mark.parametrize("value", ["HF-1,,HF-2", ",", "HF-1,"])
def test_no_fix_has_an_empty_name(update, value):
    done = update("state", "--includes", value, "-o", "STATE.json")
    assert done.code == 2
    assert "'--includes': the name between two commas is empty" in done.err


def test_none_is_the_word_for_no_fixes(state):
    assert json.loads(Path("STATE.json").read_text())["includes"] == []


def test_what_was_installed_is_remembered_with_its_release_date_so_that_no_older_bundle_replaces_it(cli, update, state):
    assert update("run").code == 0
    state()
    seen = json.loads(Path("STATE.json").read_text())
    assert {member["released"] for member in seen["members"].values()} == {"2026-11-23"}
    assert seen["components"]["storage"].get("released") is None  # the bundle's date is that of its own version
    installed = json.loads(Path("pairs/pair-0/SN-active/appliance/record.json").read_text())
    assert installed[installed["active"]]["released"] == "2026-11-23"


@pytest.mark.parametrize(("version", "kept"), [("5.20.03", "2024-02-10"), ("5.20.02", None)])
def test_a_release_date_that_the_pair_does_not_report_is_kept_for_an_unchanged_version(update, state, version, kept):
    seen = json.loads(Path("STATE.json").read_text())
    for member in seen["members"].values():
        member |= {"version": version, "released": "2024-02-10", "build": "77"}
    Path("OLD.json").write_text(json.dumps(seen))
    done = update("state", "--appliance", "OLD.json", "-o", "NEW.json")
    assert done.code == 0, done.err
    members = json.loads(Path("NEW.json").read_text())["members"].values()
    assert {(member.get("released"), member.get("build")) for member in members} == {(kept, kept and "77")}
