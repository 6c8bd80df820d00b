"""External commands: what they are told, what their end means, and what they cannot do to us."""

import json
import os
import signal
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from bundlekit.update.engine.hooks import ANSWERS, Request
from bundlekit.update.targets import process
from bundlekit.update.targets.command import Command, CommandHooks, facts_of, filled
from tests.update.target import IMAGES, FileBundle, job_for
from tests.waiting import LIMIT, at_work, lines_of

PRELUDE = "import fcntl, json, os, signal, sys, time; fds = os.listdir('/proc/self/fd')\n"


@pytest.fixture
def bundle(tmp_path):
    made = FileBundle(tmp_path / "update.bin")
    yield made
    made.source.close()


@pytest.fixture
def hook(tmp_path, bundle):
    """Ask a hook whose whole program is ``code`` (Python); what it writes to ``out`` is for the test."""

    def ask(code, verb="apply", *, step="storage", pipe=False, deadline=LIMIT, lock_fd=None, progress=None, **said):
        program = tmp_path / "hook.py"
        program.write_text(f"#!{sys.executable} -IS\n{PRELUDE}" + f"out = {str(tmp_path / 'out')!r}\n" + code)
        program.chmod(0o700)
        argv = (str(program),)
        if len(hook_ends) == 2 and lock_fd is None:
            lock_fd = hook_ends[1]
        hooks = CommandHooks(
            {step: Command(argv=argv, pipe=pipe), "ha-formed": Command(argv=argv)},
            lock_fd=lock_fd,
            log_dir=tmp_path / "logs",
            progress=progress,
            grace=ask.grace,
        )
        job = job_for()
        request = Request(
            verb=verb, pair="pair-0", step="ha-formed" if verb == "gate" else step, run="r1", fence=3, attempt=2,
            deadline=deadline, bundle_id=bundle.bundle_id, target=None if verb == "gate" else job.targets[step],
            counter=7, bundle=bundle if verb in {"prepare", "apply"} else None,
        )  # fmt: skip
        return getattr(hooks, verb)(replace(request, **said))

    def all_ended():
        """Wait until no process has the pipe that every hook, and every child of one, inherited."""
        os.close(hook_ends.pop())
        assert os.read(hook_ends[0], 1) == b""

    hook_ends = list(os.pipe())
    ask.grace = 0.3
    ask.out, ask.logs, ask.all_ended = tmp_path / "out", tmp_path / "logs", all_ended
    yield ask
    for descriptor in hook_ends:
        os.close(descriptor)


@pytest.fixture
def late_when_it_wrote(hook, monkeypatch):
    """The deadline of a hook passes when it has written to ``out``, however long that takes."""
    real = process._now
    frozen = real()
    monkeypatch.setattr(process, "_now", lambda: real() + 3600 if lines_of(hook.out) else frozen)


@pytest.mark.parametrize("after", ["", "group", "success", "revert"])
def test_a_gate_is_told_when_it_is_polled(after):
    asked = Request(
        verb="gate", pair="pair-0", step="ha-formed", run="r1", fence=1, attempt=1, deadline=1, bundle_id="",
        after=after,
    )  # fmt: skip
    assert facts_of(asked).get("after", "") == after


# --- what it is told --------------------------------------------------------------------------------------------

TELL = """
told = json.loads(sys.stdin.readline())
json.dump({"argv": sys.argv[1:], "told": told, "env": dict(os.environ), "fds": fds, "rest": sys.stdin.read(),
           "umask": os.umask(0), "cwd": os.getcwd(), "leader": os.getsid(0) == os.getpid()}, open(out, "w"))
"""


def test_argv_stdin_and_environment_say_the_same(hook, monkeypatch):
    monkeypatch.setenv("SECRET", "of the operator")
    assert hook(TELL, step="active").kind == "ok"
    seen = json.loads(hook.out.read_text())
    told = seen["told"]
    assert seen["argv"] == ["apply", "pair-0", "appliance"]
    assert told == {
        "schema": "bundlekit/hook/1", "verb": "apply", "pair": "pair-0", "step": "active", "component": "appliance",
        "run": "r1", "fence": 3, "owner": "", "attempt": 2, "deadline": LIMIT, "bundle-id": "0" * 64, "counter": 7,
        "hold": "",
        "identity": "SN-active", "role": "active", "old": "5.20.03", "new": "5.40.00",
        "size": len(IMAGES["appliance"]), "digest": job_for().targets["active"].digest, "image": told["image"],
    }  # fmt: skip
    named = {f"BUNDLEKIT_{name.upper().replace('-', '_')}": str(value) for name, value in told.items()}
    assert {k: v for k, v in seen["env"].items() if k.startswith("BUNDLEKIT_")} == named
    assert set(seen["env"]) - set(named) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE"}
    assert (seen["umask"], seen["cwd"], seen["leader"], seen["rest"]) == (0o077, "/", True, "")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("active", ["root@SN-active", "pair-0/appliance", "{}"]),
        ("storage", ["root@pair-0", "pair-0/storage", "{}"]),
    ],
)
def test_names_in_braces_are_filled_in(step, words):
    facts = facts_of(Request(
        verb="apply", pair="pair-0", step=step, run="r", fence=1, attempt=1, deadline=1, bundle_id="",
        target=job_for().targets[step],
    ))  # fmt: skip
    argv = ("/bin/x", "root@{identity}", "{pair}/{component}", "{}")
    assert filled(argv, facts) == ["/bin/x", *words]


def test_a_gate_fills_in_the_pair_for_the_identity():
    facts = facts_of(Request(
        verb="gate", pair="pair-0", step="ha-formed", run="r", fence=1, attempt=1, deadline=1, bundle_id="",
    ))  # fmt: skip
    argv = ("/bin/x", "{identity}", "{pair}", "{component}")
    assert filled(argv, facts) == ["/bin/x", "pair-0", "pair-0", "ha-formed"]


def test_only_its_own_descriptors_are_open(hook):
    extra = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(extra, True)
    lock = os.open("/dev/null", os.O_RDONLY)
    try:
        hook(TELL, lock_fd=lock)
    finally:
        os.close(extra)
        os.close(lock)
    seen = json.loads(hook.out.read_text())
    image = seen["told"]["image"].rpartition("/")[2]
    listing = "3"  # the lowest that is free
    assert set(seen["fds"]) == {"0", "1", "2", listing, str(lock), image}
    assert str(extra) not in {listing, str(lock), image}


def test_a_gate_is_named_in_the_place_of_the_component(hook):
    assert hook(TELL, "gate").kind == "ready"
    seen = json.loads(hook.out.read_text())
    assert seen["argv"] == ["gate", "pair-0", "ha-formed"]
    assert "image" not in seen["told"]


@pytest.mark.parametrize("word", ["standby;id", "$(id)", "a\nb", "-rf", "a\0b", "../x", "ü", "x" * 65, "`id`", "a b"])
@pytest.mark.parametrize("where", ["pair", "identity", "version", "component"])
def test_a_name_that_a_shell_could_take_for_more_reaches_no_command(hook, word, where):
    target = job_for().targets["storage"]
    if where == "pair":
        said = {"pair": word}
    else:
        said = {"target": replace(target, **{{"version": "old"}.get(where, where): word})}
    answer = hook("open(out, 'w')", "revert", **said)
    assert answer.kind == "failed"
    assert "can be passed to a command" in answer.reason
    assert not hook.out.exists()


# --- the component ----------------------------------------------------------------------------------------------

COPY_FILE = "open(out, 'wb').write(open(json.loads(sys.stdin.readline())['image'], 'rb').read())"
COPY_PIPE = """
told = json.loads(sys.stdin.buffer.readline())
data = sys.stdin.buffer.read(told["size"])
open(out, "wb").write(data)
sys.exit(len(data) != told["size"])
"""


@pytest.mark.parametrize(("code", "pipe"), [(COPY_FILE, False), (COPY_PIPE, True)], ids=["file", "pipe"])
@pytest.mark.parametrize("verb", ["prepare", "apply"])
def test_the_component_arrives_whole(hook, code, pipe, verb):
    assert hook(code, verb, pipe=pipe).kind == "ok"
    assert hook.out.read_bytes() == IMAGES["storage"]


def test_the_file_has_no_name_and_is_not_the_bundle(hook, bundle):
    assert hook("os.symlink(os.readlink(json.loads(sys.stdin.readline())['image']), out)").kind == "ok"
    assert str(bundle.path) not in os.readlink(hook.out)
    assert os.readlink(hook.out).endswith("(deleted)")


@pytest.mark.parametrize(("verb", "kind"), [("prepare", "rejected"), ("apply", "failed")])
def test_on_damage_a_file_never_starts_the_command(hook, bundle, verb, kind):
    bundle.damage("storage")
    answer = hook("open(out, 'w')", verb)
    assert (answer.kind, "damaged" in answer.reason) == (kind, True)
    assert not hook.out.exists()


@pytest.mark.parametrize("child", [False, True], ids=["itself", "its-child"])
def test_on_damage_a_pipe_kills_the_command_before_it_sees_the_end(hook, bundle, child):
    """A hook that takes the end of its input for the end of the component must not live to see it."""
    bundle.damage("storage")
    code = f"""
if {child} and os.fork():
    os.wait()
sys.stdin.buffer.readline()
while data := sys.stdin.buffer.read(1000):
    open(out + ".read", "ab").write(data)
open(out, "w").write("switched")
"""
    answer = hook(code, pipe=True)
    assert answer.kind == "died"
    assert "damaged" in answer.reason
    hook.all_ended()
    assert not hook.out.exists()
    assert IMAGES["storage"].startswith(Path(f"{hook.out}.read").read_bytes())


def test_a_command_that_says_ok_without_the_whole_component_is_not_believed(hook, bundle, tmp_path):
    big = FileBundle(tmp_path / "big.bin", {"storage": bytes(5_000_000)})
    try:
        answer = hook("sys.stdin.buffer.read(100)", pipe=True, bundle=big)
    finally:
        big.source.close()
    assert answer.kind == "died"
    assert "did not read the whole component" in answer.reason


# --- what its end means -----------------------------------------------------------------------------------------

CODES = {
    0: {"probe": "unknown", "gate": "ready"},
    1: {"validate": "rejected", "describe": "rejected", "prepare": "rejected", "probe": "unknown"},
    75: {"validate": "rejected", "describe": "rejected", "prepare": "retry", "probe": "unknown", "gate": "not-yet"},
    64: {
        "validate": "ok", "describe": "rejected", "prepare": "ok", "probe": "unknown", "commit": "ok", "cleanup": "ok",
    },
}  # fmt: skip
CODES[10] = CODES[1]


@pytest.mark.parametrize("verb", ANSWERS)
@pytest.mark.parametrize("code", [0, 1, 10, 64, 75, 2, 126, 127, 255])
def test_exit_codes(hook, verb, code):
    default = {0: "ok"}.get(code, "failed" if code in CODES else "died")
    assert hook(f"sys.exit({code})", verb).kind == CODES.get(code, {}).get(verb, default)


@pytest.mark.parametrize("verb", ["describe", "apply", "probe", "revert", "gate", "reimage"])
def test_a_verb_that_is_not_implemented_is_named_with_the_command(hook, verb):
    answer = hook("sys.exit(64)", verb)
    assert "does not implement" in answer.reason
    assert answer.reason.startswith(f"{hook.out.parent}/")
    assert f"does not implement {verb} (exit code 64)" in answer.reason


def test_a_result_of_another_verb_is_wrong_and_names_the_command(hook):
    answer = hook("print('{\"result\": 7}')", "apply")
    assert answer.kind == "died"
    assert answer.diagnostic == answer.reason
    assert " apply: its result cannot be read" in answer.diagnostic


def test_verify_that_is_not_implemented_asks_the_probe(hook):
    answer = hook(
        "if sys.argv[1] == 'verify': sys.exit(64)\nprint(json.dumps({'result': 'new', 'version': '3.4.0'}))", "verify"
    )
    assert (answer.kind, answer.version) == ("ok", "3.4.0")


def test_a_result_says_what_an_answer_can(hook):
    said = {
        "result": "old", "version": "3.2.1", "fence": 4, "committed": "r0", "hold": "broken disk", "counter": 6,
        "free": {"storage": 10}, "identity": "SN-1", "reverts": True, "sandbox": True, "reason": "as it was",
    }  # fmt: skip
    answer = hook(f"print({json.dumps(json.dumps(said))})", "probe")
    assert {name: getattr(answer, "kind" if name == "result" else name) for name in said} == said


@pytest.mark.parametrize(
    ("code", "verb", "kind"),
    [
        ('print(\'{"result": "ok"}\'); sys.exit(1)', "apply", "failed"),
        ('print(\'{"result": "failed"}\')', "apply", "failed"),
        ('print(\'{"result": "new"}\'); sys.exit(1)', "probe", "unknown"),
        ("print('{\"result\": \"failed\"}', end='')", "apply", "failed"),
        ("print('{\"result\": 7}')", "apply", "died"),
        ('print(\'{"result": "ok", "version": []}\')', "apply", "died"),
        ('print(\'{"result": "ok"\')', "apply", "died"),
        ('print(\'{"result": "ready"}\'); print(\'{"progress": 3}\'); sys.exit(75)', "gate", "not-yet"),
        ('print(\'{"progress": 100, "message": "done"}\'); sys.exit(1)', "apply", "failed"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe{\\n\\0')", "apply", "ok"),
    ],
)
def test_code_and_result_must_both_say_yes(hook, code, verb, kind):
    assert hook(code, verb).kind == kind


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGPIPE])
def test_death_by_signal_is_no_clean_failure(hook, number):
    answer = hook(f"signal.signal({number}, 0) if {number} != 9 else 0; os.kill(os.getpid(), {number}); signal.pause()")
    assert (answer.kind, signal.Signals(number).name in answer.reason) == ("died", True)


def test_the_last_line_of_the_log_is_the_reason(hook):
    answer = hook("print('starting\\n\\ndisk 3 is broken\\n\\n', file=sys.stderr); sys.exit(1)")
    assert answer.reason == "disk 3 is broken"
    (log,) = hook.logs.iterdir()
    assert log.read_text().startswith("starting")
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.name.startswith("pair-0-r1-storage-apply-")


# --- what it cannot do to us ------------------------------------------------------------------------------------

IMMORTAL = """
signal.signal(signal.SIGTERM, lambda *_: open(out, "a").write("asked\\n"))
open(out, "a").write(f"{os.getpid()}\\n")
while True: signal.pause()
"""


def test_a_command_that_does_not_heed_term_is_killed(hook, late_when_it_wrote):
    assert hook(IMMORTAL, deadline=1).kind == "timeout"
    assert not at_work(lines_of(hook.out)[0])


def test_term_comes_first(hook, late_when_it_wrote, monkeypatch):
    monkeypatch.setattr(hook, "grace", LIMIT)
    tidy = "signal.signal(15, lambda *_: (open(out, 'a').write('tidied\\n'), sys.exit(0)))\n"
    answer = hook(f"{tidy}open(out, 'a').write('ready\\n')\nwhile True: signal.pause()", deadline=1)
    assert answer.kind == "timeout"
    assert lines_of(hook.out) == ["ready", "tidied"]


def test_children_in_its_group_do_not_outlive_it(hook):
    code = f"if os.fork() == 0:\n{textwrap.indent(IMMORTAL, '    ')}\nwhile not os.path.exists(out): time.sleep(0.01)"
    assert hook(code).kind == "ok"
    hook.all_ended()


DAEMON = """
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    with open(out, "w") as file: file.write(f"{{os.getpid()}}\\n")
    os.write(write, b"1")
    {chatter}
    signal.pause()
os.read(read, 1)
print(json.dumps({{"result": "ok", "version": "9"}}))
"""


@pytest.mark.parametrize("chatter", ["pass", 'while True: os.write(1, b\'{"result": "failed"}\' * 1000)'])
def test_a_daemon_that_keeps_the_pipes_open_is_not_waited_for(hook, chatter):
    answer = hook(DAEMON.format(chatter=chatter))
    (daemon,) = map(int, lines_of(hook.out))
    assert chatter != "pass" or at_work(daemon), "it was waited for"
    with suppress(ProcessLookupError):  # one that chatters dies of its closed pipe
        os.kill(daemon, signal.SIGKILL)
    if chatter == "pass":
        assert (answer.kind, answer.version) == ("ok", "9")


@pytest.mark.parametrize(
    "flood",
    [
        "for _ in range(1600): os.write(1, b'x' * 65536)",
        "for _ in range(1600): os.write(1, b'{\"progress\": 1}\\n' * 4096)",
        "for _ in range(1600): os.write(2, b'broken\\n' * 9362)",
    ],
    ids=["one-line", "progress", "log"],
)
def test_100_mb_of_output_cost_nothing(hook, flood):
    import tracemalloc

    tracemalloc.start()
    answer = hook(flood + "\nprint('\\n' + json.dumps({'result': 'ok', 'version': '9'}))")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.kind, answer.version) == ("ok", "9")
    assert peak < 8 * 2**20
    (log,) = hook.logs.iterdir()
    assert log.stat().st_size < 1.1 * 2**20


def test_progress_is_passed_on_and_proves_nothing(hook):
    heard = []
    answer = hook(
        "print(json.dumps({'progress': 400, 'message': 'al\\x1bl'}), flush=True)\nsys.exit(1)",
        progress=lambda request, percent, message: heard.append((request.step, percent, message)),
    )
    assert heard == [("storage", 100, "al�l")]
    assert answer.kind == "failed"


def test_a_listener_that_raises_changes_nothing(hook):
    def raises(*_):
        raise ValueError

    assert hook("print('{\"progress\": 1}')", progress=raises).kind == "ok"


def test_a_log_that_cannot_be_written_changes_nothing(hook):
    hook.logs.write_text("not a folder")
    assert hook("print('words', file=sys.stderr)").kind == "ok"


@pytest.mark.parametrize(("verb", "kind"), [("apply", "failed"), ("probe", "unknown"), ("gate", "not-yet")])
def test_a_command_that_others_may_change_by_now_is_not_run(hook, tmp_path, verb, kind):
    tmp_path.chmod(0o777)
    answer = hook("open(out, 'w')", verb)
    assert (answer.kind, "other users can change" in answer.reason) == (kind, True)
    assert not hook.out.exists()


def test_a_command_that_vanished_was_not_started(hook, tmp_path):
    hooks = CommandHooks({"storage": Command(argv=(str(tmp_path / "gone"),))})
    request = Request(
        verb="revert", pair="p", step="storage", run="r", fence=1, attempt=1, deadline=1, bundle_id="0",
        target=job_for().targets["storage"],
    )  # fmt: skip
    assert hooks.revert(request).kind == "failed"
    assert hooks.probe(replace(request, verb="probe")).kind == "unknown"
