"""From a plan to the hooks that carry it out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bundlekit.errors import ConfigError
from bundlekit.update.engine.hooks import Hooks, PassThrough, Request
from bundlekit.update.engine.plan import Plan
from bundlekit.update.targets.command import Command, CommandHooks, HookProgressObserver
from bundlekit.update.targets.program import ensure_ours, ensure_startable, ensure_unchangeable
from bundlekit.update.targets.slots import SlotHooks


class Routed(PassThrough):
    """Hooks that pass each request on to those that serve its step or gate."""

    def __init__(self, routes: Mapping[str, Hooks]) -> None:
        self.routes = routes

    def behind(self, request: Request) -> Hooks:
        """The hooks of the step or gate."""
        return self.routes[request.step]


def hooks_for(
    plan: Plan,
    *,
    plan_path: Path | None = None,
    lock_fd: int | None = None,
    log_dir: Path | None = None,
    progress: HookProgressObserver | None = None,
) -> Hooks:
    """The hooks of ``plan``: a step's external command, or the slots target for a step that names none.

    ``plan_path`` is the file the plan was read from: relative paths in it start there. ``lock_fd`` is
    ``PairLock.hook_fd``. Raises ConfigError if nothing serves a step, if a command cannot be started, or
    if others can change the plan or a command.
    """
    base = Path(os.path.abspath(plan_path)).parent if plan_path else Path.cwd()
    if plan_path is not None:
        ensure_unchangeable(plan_path, "plan")
    first = plan.steps[plan.order[0]].hook
    wanted = {name: Command(argv=step.hook, pipe=step.handover == "pipe") for name, step in plan.steps.items()}
    wanted |= {name: Command(argv=gate.hook or first) for name, gate in plan.gates.items()}
    commands = {}
    for name, command in wanted.items():
        if command.argv:
            commands[name] = Command(argv=(str(base / command.argv[0]), *command.argv[1:]), pipe=command.pipe)
            ensure_ours(commands[name].argv)
            ensure_startable(Path(commands[name].argv[0]))
        elif plan.slots is None:
            raise ConfigError(
                f"Plan '{plan.name}' does not define what updates '{name}'.",
                next_step='Give the step a hook = ["/path/to/command"], or the plan a [slots] table. If a program has '
                "the hooks, use that program: its Controller has a method for each of these commands.",
            )
    external = CommandHooks(commands, lock_fd=lock_fd, log_dir=log_dir, progress=progress)
    if plan.slots is None:
        return external
    slots = SlotHooks(base / plan.slots.root)
    return Routed({name: external if name in commands else slots for name in wanted}) if commands else slots
