"""The executor in a program: the one in the README, threads, asyncio, and hooks whose marks bundlekit keeps."""

import asyncio
import functools
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

import bundlekit.update
from bundlekit import load_appliance, load_trust
from bundlekit.cli import run
from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.update import PAIR, Controller, Declined, FolderHooks, Sandbox, UpdateError, Window, save_appliance
from bundlekit.update.rehearsal.rehearse import rehearse
from bundlekit.update.rehearsal.sandbox import calm, from_outside, over
from bundlekit.update.state.lock import PairLock
from bundlekit.update.state.sqlite_journal import FILE
from bundlekit.update.targets.marked import PATIENCE
from tests.update.target import FileBundle, job_for
from tests.waiting import LIMIT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
(PROGRAM,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "FolderHooks" in code)
(SEVERAL,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "update_all" in code)
HEAD = PROGRAM.partition("stop = threading.Event()")[0]
HOOKS_PAGE = (ROOT / "bundlekit/docs/hooks.md").read_text(encoding="utf-8")
((_, REHEARSAL),) = re.findall(r"(For the class `ImagerHooks` of the README:\n\n)((?: {4}.*\n|\n)+)", HOOKS_PAGE)
REHEARSAL = dedent(REHEARSAL)
OLD = {"pair-0/storage": "3.2.1", "SN-active/appliance": "5.20.03", "SN-standby/appliance": "5.20.03"}
NEW = {"pair-0/storage": "3.4.0", "SN-active/appliance": "5.40.00", "SN-standby/appliance": "5.40.00"}


def make_pair(root, pair="pair-0"):
    for name, version in OLD.items():
        folder = root / name.replace("pair-0", pair)
        folder.mkdir(parents=True)
        (folder / "running").write_text(version)
    (root / "counter").write_text("6")


def running(root, pair="pair-0"):
    return {name: (root / name.replace("pair-0", pair) / "running").read_text() for name in OLD}


@pytest.fixture
def desk(bundle_folder, monkeypatch):
    shutil.copy(bundle_folder / "root.pem", bundle_folder / "release.pub.pem")
    make_pair(bundle_folder / "pair")
    monkeypatch.chdir(bundle_folder)
    return bundle_folder


@pytest.fixture
def hooks_class(desk):
    """The class of the README."""
    space = {}
    before = signal.getsignal(signal.SIGINT)
    exec(compile(HEAD, "README.md", "exec"), space)  # noqa: S102 - it is our own page
    assert signal.getsignal(signal.SIGINT) is before
    return space["ImagerHooks"]


@pytest.mark.parametrize(
    "program",
    [PROGRAM, HEAD + SEVERAL, HEAD + "def fresh_pair(root: Path) -> Path:\n    return root\n" + REHEARSAL],
    ids=["program", "several", "rehearsal"],
)
def test_a_program_of_the_pages_is_typed(tmp_path, program):
    (tmp_path / "program.py").write_text(program)
    words = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        str(tmp_path / "program.py"),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_program_of_the_readme_is_short():
    assert PROGRAM.count("\n") <= 40


def program(desk):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=desk, capture_output=True, text=True, timeout=LIMIT, check=False
    )


def test_the_program_updates_a_pair(desk):
    done = program(desk)
    assert done.stderr == ""
    assert done.stdout.endswith("done: Ended\non the new version\n")
    assert "checked: " in done.stdout
    assert running(desk / "pair") == NEW


def test_the_program_says_why_a_bundle_is_rejected(desk):
    (desk / "update.bin").write_bytes((desk / "update.bin").read_bytes()[:-1])
    done = program(desk)
    assert done.stdout.splitlines()[-1].startswith("rejected, nothing more is changed: ")
    assert running(desk / "pair") == OLD


@pytest.fixture
def controller(desk, hooks_class):
    def made(**options):
        return Controller(desk / "state", hooks_class(desk / "pair"), **options)

    return made


def given(desk, pair="pair-0"):
    appliance = load_appliance(desk / "STATE.json")
    return {"trust": load_trust([desk / "root.pem"]), "appliance": replace(appliance, pair=pair)}


@pytest.mark.parametrize(
    ("polls", "kind", "left"), [(1, "cancelled", OLD), (12, "cancelled", OLD), (10**6, "succeeded", NEW)]
)
def test_a_program_can_cancel(desk, controller, polls, kind, left):
    asked = iter(range(polls))
    outcome = controller(cancel=lambda: next(asked, None) is None).run(desk / "update.bin", PAIR, **given(desk))
    assert outcome.kind == kind
    assert running(desk / "pair") == left


def test_what_keeps_a_run_from_beginning_is_an_outcome(desk, controller):
    reports = []
    one = controller(on_report=reports.append)
    assert one.run(desk / "update.bin", PAIR, trust=None, appliance=given(desk)["appliance"]).kind == "rejected"
    assert [report.verdict for report in reports] == ["incomplete"]
    assert one.resume("pair-0", trust=None).kind == "nothing-to-resume"
    with PairLock(desk / "state", "pair-0", "another process"):
        assert one.run(desk / "update.bin", PAIR, **given(desk)).kind == "busy"
        assert one.resume("pair-0", trust=None).kind == "busy"
    assert one.run(desk / "update.bin", PAIR, **given(desk)).kind == "succeeded"
    assert [report.verdict for report in reports] == ["incomplete", "accept"]
    assert isinstance(one.revert("pair-0", by="Ada", reason="test"), Declined)
    (desk / "state" / FILE).write_bytes(b"no journal" * 1000)
    assert one.resume("pair-0", trust=None).kind in {"waiting", "needs-operator"}
    (desk / "state").chmod(0o777)
    with pytest.raises(bundlekit.update.StateFolderError):
        one.resume("pair-0", trust=None)


def test_a_rejection_states_what_is_wrong_where_and_the_next_step(desk, controller):
    reports = []
    one = controller(on_report=reports.append)
    untrusted = one.run(desk / "update.bin", PAIR, trust=None, appliance=given(desk)["appliance"])
    assert " more): no trust anchors were given (`trust`)" in untrusted.reason
    assert "Give trust anchors, for example `trust=root.pem`" in untrusted.reason
    whole = (desk / "update.bin").read_bytes()
    (desk / "update.bin").write_bytes(whole[:-1])
    cut = one.run(desk / "update.bin", PAIR, **given(desk))
    assert "is rejected by truncated: the file has" in cut.reason
    (finding,) = (finding for finding in reports[-1].findings if finding.rule == "truncated")
    assert f"(bytes {len(whole) - 1}..{len(whole)})" in cut.reason
    assert cut.reason.endswith(finding.next)


@pytest.mark.parametrize("name", ["watch", "known", "progress", "on_report"])
def test_an_observer_that_fails_stops_no_update(desk, controller, name):
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        raise RuntimeError(name)

    if name == "known":
        prepared = controller().run(desk / "update.bin", PAIR, **given(desk), window=Window(until="prepared"))
        assert prepared.kind == "waiting"
    assert controller(**{name: fail}).run(desk / "update.bin", PAIR, **given(desk)).kind == "succeeded"
    assert calls


def test_an_exception_in_cancel_leaves_the_call_and_the_run_can_be_resumed(desk, controller):
    def fail():
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        controller(cancel=fail).run(desk / "update.bin", PAIR, **given(desk))
    assert controller().resume("pair-0", trust=given(desk)["trust"]).kind == "succeeded"


def test_the_status_of_a_run_of_a_program_names_its_calls_and_no_command(desk, controller, capsys):
    prepared = controller().run(desk / "update.bin", PAIR, **given(desk), window=Window(until="prepared"))
    assert prepared.kind == "waiting"
    where = ["--state-dir", str(desk / "state"), "--pair", "pair-0"]
    assert run(["update", "status", *where]) == 0
    shown = capsys.readouterr().out
    assert "in the program that has the hooks, Controller.resume('pair-0', trust=trust)" in shown
    assert "bundlekit update" not in shown
    assert run(["update", "resume", *where, "--trust", str(desk / "root.pem")]) == 3
    assert "If a program has the hooks, use that program" in capsys.readouterr().err


def test_a_program_reads_the_state_again_and_keeps_it(desk, controller):
    """The step *state* of a recovery, with the hooks of the program."""
    before = given(desk)["appliance"]
    assert controller().run(desk / "update.bin", PAIR, **given(desk)).kind == "succeeded"
    again = controller().state(before=before)
    assert {member.version for member in again.members.values()} == {"5.40.00"}
    assert (again.pair, again.product, again.model, again.counter) == (before.pair, before.product, before.model, 7)
    save_appliance(again, desk / "STATE.json")
    assert load_appliance(desk / "STATE.json") == again
    with pytest.raises(ConfigError, match="`product`, `model`"):
        controller().state(pair="pair-0")


def pairs(desk, count):
    names = [f"pair-{number}" for number in range(count)]
    for name in names:
        make_pair(desk / name, name)
    return names


def updates(desk, hooks_class, names):
    """One controller for each pair, since each pair is a folder of its own, over one state folder."""
    for name in names:
        controller = Controller(desk / "state", lambda _plan, _lock, name=name: hooks_class(desk / name))
        yield lambda controller=controller, name=name: controller.run(desk / "update.bin", PAIR, **given(desk, name))


def test_several_pairs_are_updated_from_threads(desk, hooks_class):
    names = pairs(desk, 4)
    with ThreadPoolExecutor(4) as pool:
        outcomes = [done.result(LIMIT) for done in [pool.submit(run) for run in updates(desk, hooks_class, names)]]
    assert [(outcome.pair, outcome.kind) for outcome in outcomes] == [(name, "succeeded") for name in names]
    assert [list(running(desk / name, name).values()) for name in names] == [list(NEW.values())] * 4


def test_several_pairs_are_updated_inside_asyncio(desk, hooks_class):
    names = pairs(desk, 3)

    async def all_of_them():
        return await asyncio.gather(*(asyncio.to_thread(run) for run in updates(desk, hooks_class, names)))

    assert {outcome.kind for outcome in asyncio.run(all_of_them())} == {"succeeded"}


def test_the_asyncio_program_of_the_readme_updates_pairs_and_cancels_one(desk, capsys):
    names = pairs(desk, 3)
    for name in names:
        state = (desk / "STATE.json").read_text().replace('"pair-0"', f'"{name}"')
        (desk / name / "STATE.json").write_text(state)
    space = {}
    exec(compile(HEAD + SEVERAL, "README.md", "exec"), space)  # noqa: S102 - it is our own page
    stops = {name: threading.Event() for name in names}
    stops["pair-1"].set()
    outcomes = asyncio.run(space["update_all"](stops))
    assert [(one.pair, one.kind) for one in outcomes] == [
        ("pair-0", "succeeded"),
        ("pair-1", "cancelled"),
        ("pair-2", "succeeded"),
    ]
    assert "pair-2: apply of standby\n" in capsys.readouterr().out


def test_of_two_threads_with_one_pair_one_is_told_that_it_is_busy(desk, controller):
    inside, other = [], controller()

    def watch(_records):
        if not inside:
            inside.append(other.run(desk / "update.bin", PAIR, **given(desk)))

    assert controller(watch=watch).run(desk / "update.bin", PAIR, **given(desk)).kind == "succeeded"
    assert inside[0].kind == "busy"


@pytest.mark.exhaustive
def test_the_hooks_of_the_readme_pass_the_rehearsal(desk, hooks_class):
    """Every rule of the hooks page that a rehearsal can check holds for hooks on the marks of the library."""
    root = desk / "sandbox"
    make_pair(root)

    class Sandboxed(hooks_class):
        def about(self, target):
            return replace(super().about(target), sandbox=True)

        def install(self, target, request):
            self.put(target, "running", target.new.encode())
            (root / "counter").write_text(str(request.counter))
            self.at(target, "staged").unlink(missing_ok=True)

    job = job_for(calm(PAIR))
    found = rehearse(over(job, Sandboxed(root), FileBundle(root / "update.bin")))
    assert found.findings == ()
    assert found.broken == ()


def test_the_rehearsal_of_the_hooks_page_finds_nothing(desk, tmp_path, monkeypatch):
    made = []

    def fresh_pair(folder):
        made.append(folder / f"pair-{len(made)}")
        make_pair(made[-1])
        return made[-1]

    monkeypatch.setattr(bundlekit.update, "rehearse", functools.partial(rehearse, verbs=("apply",), steps=("standby",)))
    space = {"fresh_pair": fresh_pair}
    exec(compile(HEAD + REHEARSAL, "hooks.md", "exec"), space)  # noqa: S102 - it is our own page
    space["test_every_single_fault"](tmp_path)
    assert len(made) > 10


def test_the_reference_lists_the_executor():
    names = set(bundlekit.update.__all__)
    assert {
        "Controller",
        "Engine",
        "Plan",
        "Hooks",
        "Request",
        "Answer",
        "Journal",
        "SqliteJournal",
        "Outcome",
    } <= names
    assert {name for name in bundlekit.__all__ if bundlekit._HOMES.get(name, "").startswith("update.")} - {
        "rehearse"
    } <= names
    with pytest.raises(AttributeError, match="no attribute 'Controler'"):
        bundlekit.update.Controler  # noqa: B018


def test_every_exception_of_an_update_has_one_root():
    found = [
        value
        for name in bundlekit.update.__all__
        if isinstance(value := getattr(bundlekit.update, name), type) and issubclass(value, Exception)
    ]
    assert len(found) > 5
    assert all(issubclass(error, UpdateError) for error in found)
    assert issubclass(UpdateError, BundlekitError)


class KeptMarks(FolderHooks):
    """Marks that only the object of the hooks remembers."""

    def load(self, target):
        return vars(self).get(f"marks of {target.identity}", b"")

    def store(self, target, marks):
        vars(self)[f"marks of {target.identity}"] = marks


class KeptStaging(FolderHooks):
    """A slot that only the object of the hooks knows."""

    def stage(self, target, request):
        vars(self)[f"staged at {target.identity}"] = target.new

    def switch(self, target, request):
        self.at(target, "running").write_text(vars(self)[f"staged at {target.identity}"])

    def tidy(self, target, request):
        vars(self).pop(f"staged at {target.identity}", None)


@pytest.mark.parametrize("kept", [KeptMarks, KeptStaging])
def test_hooks_that_remember_something_only_in_their_object_are_found(desk, hooks_class, kept):
    """A resume is another process. With one object for all, the report states what it did not check."""

    class Forgetful(kept, hooks_class):
        def install(self, target, request):
            self.put(target, "running", target.new.encode())
            (self.root / "counter").write_text(str(request.counter))

    job, made = job_for(calm(PAIR)), []

    def sandboxes(one_for_all):
        def sandbox(clock):
            made.append(desk / f"sandbox-{len(made)}")
            make_pair(made[-1])
            root = made[-1]
            bundle = FileBundle(root / "update.bin")
            return Sandbox(job=job, hooks=Forgetful(root) if one_for_all else lambda: Forgetful(root), bundle=bundle)

        return sandbox

    at_the_apply = functools.partial(rehearse, verbs=("apply",), steps=("active",), elsewhere=False)
    fresh = at_the_apply(sandboxes(one_for_all=False))
    assert any("active apply: K" in what for what in fresh.broken), fresh.broken
    assert not any(what.startswith("crash: ") for what in fresh.not_checked)
    same = at_the_apply(sandboxes(one_for_all=True))
    assert same.broken == ()
    assert any(what.startswith("crash: that new hooks can continue") for what in same.not_checked)


@pytest.mark.parametrize("marks", [b"{", b'{"fence":-1}', b'{"fence":9007199254740993}', b"[]"])
def test_marks_that_cannot_be_read_protect_nothing_and_are_told(desk, hooks_class, marks):
    job, hooks = job_for(), hooks_class(desk / "pair")
    asked = from_outside(job, "apply", "storage")
    hooks.store(asked.target, marks)
    for verb, kind in (("describe", "rejected"), ("probe", "unknown"), ("apply", "failed"), ("cleanup", "failed")):
        answer = getattr(hooks, verb)(asked)
        assert (answer.kind, "marks of storage" in answer.reason) == (kind, True)


@pytest.fixture
def waits(monkeypatch):
    """The pauses of marked hooks, which take no time."""
    pauses = []
    clock = SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append)
    monkeypatch.setattr("bundlekit.update.targets.marked.time", clock)
    return pauses


def test_a_component_that_another_process_has_is_busy(desk, hooks_class, waits):
    hooks, asked = hooks_class(desk / "pair"), from_outside(job_for(), "probe", "storage")
    with hooks.exclusive(asked.target):
        assert hooks_class(desk / "pair").probe(asked).kind == "busy"
        assert not waits, "a probe reports what is under way"
        assert hooks_class(desk / "pair").apply(asked).reason == "another process has the component"
        assert PATIENCE <= sum(waits) < PATIENCE + 0.1
        assert hooks_class(desk / "pair").describe(asked).kind == "rejected"


@pytest.mark.parametrize("verb", ["describe", "prepare"])
def test_another_process_that_only_looks_stops_nothing(desk, hooks_class, monkeypatch, verb):
    """A controller of another host probes, or is rejected, just when a change of this one begins."""
    asked = replace(from_outside(job_for(), verb, "storage"), bundle=FileBundle(desk / "looked-at.bin"))
    hooks = hooks_class(desk / "pair")
    looking = hooks.exclusive(asked.target)
    looking.__enter__()
    clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _seconds: looking.__exit__(None, None, None))
    monkeypatch.setattr("bundlekit.update.targets.marked.time", clock)
    assert getattr(hooks_class(desk / "pair"), verb)(asked).kind == "ok"


def test_a_state_file_of_several_pairs_is_refused(desk):
    line = (desk / "STATE.json").read_text().replace("\n", " ")
    (desk / "TWO.json").write_text(f"{line}\n{line}\n")
    with pytest.raises(ConfigError, match="contains the states of 2 pairs"):
        load_appliance(desk / "TWO.json")


def test_a_line_end_after_the_reason_of_a_hook_is_no_control_character(desk, hooks_class):
    class FailingHooks(hooks_class):
        def switch(self, target, request):
            raise OSError("disk 3 does not answer\n")

    one = Controller(desk / "state", FailingHooks(desk / "pair"))
    outcome = one.run(desk / "update.bin", PAIR, **given(desk))
    assert outcome.reason == "apply of storage failed: disk 3 does not answer; the probe reports old"


def test_folder_hooks_keep_the_counter_of_the_pair(desk, hooks_class):
    hooks, request = hooks_class(desk / "pair"), from_outside(job_for(), "commit", "storage")
    assert hooks.counter() == 6
    hooks.keep(request.target, replace(request, counter=5))
    assert hooks.counter() == 6, "it is never lowered"
    hooks.keep(request.target, replace(request, counter=7))
    assert hooks.about(request.target).counter == hooks.counter() == 7
    (desk / "pair" / "counter").unlink()
    assert hooks.about(request.target).counter is None
    (desk / "pair" / "counter").write_text("seven")
    assert hooks.describe(replace(request, verb="describe")).kind == "rejected"


def test_folder_hooks_report_no_version_of_a_component_that_is_not_whole(desk, hooks_class):
    request = from_outside(job_for(), "describe", "storage")
    (desk / "pair" / "pair-0" / "storage" / "running").write_text("")
    assert hooks_class(desk / "pair").describe(request).version is None
