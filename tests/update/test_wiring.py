"""From a plan to hooks: who serves what, and whose files are not trusted."""

import os

import pytest

from bundlekit.errors import ConfigError
from bundlekit.update.engine.plan import load_plan
from bundlekit.update.targets.command import CommandHooks
from bundlekit.update.targets.select import Routed, hooks_for
from bundlekit.update.targets.slots import SlotHooks

STEPS = """
plan = 1
name = "pair"
{tables}
[steps]
storage = {{ component = "storage"{storage} }}
active = {{ component = "appliance", member = "active"{active} }}
[[groups]]
steps = ["storage", "active"]
on-failure.storage = {{ revert = ["active", "storage"], hold = true }}
on-failure.active = {{ revert = ["active", "storage"] }}
[gates.ha-formed]
expect = ["1 s", "2 s"]
poll = "1 s"
deadline = "3 s"
"""
SLOTS = '[slots]\nroot = "pairs"'
HOOK = ', hook = ["./hook", "--really"]'


@pytest.fixture
def plan_file(tmp_path):
    tmp_path.chmod(0o700)
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)

    def write(*, tables="", storage="", active=""):
        path = tmp_path / "PLAN.toml"
        path.write_text(STEPS.format(tables=tables, storage=storage, active=active))
        path.chmod(0o644)
        return path

    return write


def hooks_of(path, **options):
    return hooks_for(load_plan(path), plan_path=path, **options)


def test_a_plan_without_hooks_names_the_program_that_can_have_them(plan_file):
    with pytest.raises(ConfigError, match="does not define what updates 'storage'") as refused:
        hooks_of(plan_file())
    assert "its Controller has a method for each of these commands" in refused.value.next_step
    for tables, storage, active, in_program in (
        ("", "", "", True),
        ("", HOOK, "", True),
        ("", HOOK, HOOK, False),
        (SLOTS, "", "", False),
    ):
        assert load_plan(plan_file(tables=tables, storage=storage, active=active)).in_program == in_program


def test_slots_serve_what_names_no_command_and_paths_start_at_the_plan(plan_file, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    hooks = hooks_of(plan_file(tables=SLOTS))
    assert isinstance(hooks, SlotHooks)
    assert hooks.root == tmp_path / "pairs"


def test_commands_serve_their_steps_and_the_first_one_the_gates(plan_file, tmp_path):
    hooks = hooks_of(plan_file(storage=HOOK, active=HOOK + ', handover = "pipe"'), lock_fd=7, log_dir=tmp_path)
    assert isinstance(hooks, CommandHooks)
    argv = (str(tmp_path / "hook"), "--really")
    assert {name: (c.argv, c.pipe) for name, c in hooks.commands.items()} == {
        "storage": (argv, False),
        "active": (argv, True),
        "ha-formed": (argv, False),
    }
    assert (hooks.lock_fd, hooks.log_dir) == (7, tmp_path)


def test_both_kinds_serve_one_plan(plan_file):
    hooks = hooks_of(plan_file(tables=SLOTS, active=HOOK))
    assert isinstance(hooks, Routed)
    served = {name: type(by) for name, by in hooks.routes.items()}
    assert served == {"storage": SlotHooks, "active": CommandHooks, "ha-formed": SlotHooks}


def test_a_step_that_nobody_serves_is_refused(plan_file):
    with pytest.raises(ConfigError, match="does not define what updates 'active'") as refused:
        hooks_of(plan_file(storage=HOOK))
    assert "[slots]" in refused.value.next_step


@pytest.mark.parametrize("who", ["plan", "hook", "interpreted", "folder"])
def test_what_others_may_change_is_refused(plan_file, tmp_path, who):
    path = plan_file(tables=SLOTS, active=f', hook = ["/bin/sh", "{tmp_path}/hook"]' if who == "interpreted" else HOOK)
    changeable = {"plan": path, "folder": tmp_path}.get(who, tmp_path / "hook")
    changeable.chmod(changeable.stat().st_mode | 0o020)
    with pytest.raises(ConfigError, match="other users can change") as refused:
        hooks_of(path)
    assert str(changeable) in refused.value.next_step


def test_a_file_of_another_owner_is_refused(plan_file, monkeypatch):
    path = plan_file(tables=SLOTS)
    owner = os.stat
    monkeypatch.setattr("pathlib.Path.stat", lambda self: os.stat_result([0o100644, 0, 0, 1, 4711, *owner(self)[5:10]]))
    with pytest.raises(ConfigError, match="other users can change"):
        hooks_of(path)


@pytest.mark.parametrize(
    ("hook", "why"), [("hook-that-is-not", "is not a file"), (".", "is not a file")], ids=["absent", "folder"]
)
def test_a_command_that_is_none_is_refused(plan_file, hook, why):
    with pytest.raises(ConfigError, match=why):
        hooks_of(plan_file(tables=SLOTS, active=f', hook = ["{hook}"]'))


@pytest.mark.parametrize(
    ("text", "mode", "message", "remedy"),
    [
        ("#!/bin/sh\r\nexit 0\r\n", 0o755, "lines that end in CR LF", "sed -i 's/\\r$//'"),
        (
            "#!/usr/bin/nosuchshell\n",
            0o755,
            "needs the interpreter '/usr/bin/nosuchshell', which is missing",
            "Install it",
        ),
        (
            "#!/usr/bin/env nosuchshell\n",
            0o755,
            "needs 'nosuchshell', which is not in /usr/local/sbin",
            "Install it there",
        ),
        ("#!\n", 0o755, "needs the interpreter '', which is missing", "Install it"),
        ("#!/etc/passwd\n", 0o755, "cannot be run", "Install it"),
        ("#!/bin/sh\nexit 0\n", 0o644, "is not executable", "chmod +x "),
    ],
    ids=["crlf", "interpreter", "env", "empty", "not-a-program", "mode"],
)
def test_a_command_that_cannot_be_started_is_found_when_the_plan_is_read(
    plan_file, tmp_path, text, mode, message, remedy
):
    (tmp_path / "hook").write_bytes(text.encode())
    (tmp_path / "hook").chmod(mode)
    with pytest.raises(ConfigError, match=message) as refused:
        hooks_of(plan_file(tables=SLOTS, active=HOOK))
    assert remedy in refused.value.next_step


@pytest.mark.parametrize("text", ["#!/bin/sh\n", "#! /bin/sh -eu\n", "#!/usr/bin/env sh\n", "\x7fELF"])
def test_what_the_kernel_would_try_to_start_is_taken(plan_file, tmp_path, text):
    (tmp_path / "hook").write_text(text)
    assert hooks_of(plan_file(tables=SLOTS, active=HOOK))


@pytest.mark.parametrize(
    ("text", "nearest"), [('[slots]\nrot = "x"', "root"), ('[slot]\nroot = "x"', "slots")], ids=["key", "table"]
)
def test_unknown_keys_are_refused_with_the_nearest(plan_file, text, nearest):
    with pytest.raises(ConfigError, match=f"did you mean '{nearest}'"):
        load_plan(plan_file(tables=text))
