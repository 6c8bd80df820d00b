"""A group of verbs, each in a module of its own that is loaded when the verb is used."""

from __future__ import annotations

import importlib
from typing import Any

import click


class Verbs(click.Group):
    """Loads the module of a verb when the verb is used: nobody pays for the imports of the others.

    ``verbs`` are the verbs and their first lines, so that ``--help`` need not load them; ``package`` is where
    their modules are, each with a ``command``.
    """

    def __init__(self, *args: Any, verbs: dict[str, str], package: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._verbs = verbs
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs by name."""
        return sorted(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, its module loaded now."""
        if cmd_name not in self._verbs:
            return None
        command = importlib.import_module(f"{self._package}.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a verb's module defines its command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(self._verbs.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb meant; for one that is not there, the nearest."""
        if args and args[0] not in self._verbs and not args[0].startswith("-"):
            from bundlekit.mistakes import nearest

            ctx.fail(f"no verb {args[0]!r}{nearest(args[0], set(self._verbs))}")
        return super().resolve_command(ctx, args)
