"""Verbs, and groups of them: each verb is in a module of its own that is loaded when it is used."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from typing import IO, Any, Final

import click

REPEATED: Final = "Can be repeated."
"""The end of the help of each option that can be given several times."""


def refuse_empty_values(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """BadParameter for an option or argument whose value is empty or nothing but blanks.

    Such a value is a variable of a script that is not set. It never has a meaning of its own: as a path it would
    be the current folder, with every CA and every bundle in it. This comes before any value is used.
    """
    if ctx.resilient_parsing:  # completing a line that is not whole yet
        return
    try:
        values, _, _ = command.make_parser(ctx).parse_args(args=list(args))
    except click.UsageError:  # which the command itself reports
        return
    for one in command.params:
        names = [one.envvar] if isinstance(one.envvar, str) else one.envvar or ()
        given = [values.get(one.name or ""), *(os.environ[name] for name in names if name in os.environ)]
        if any(map(_has_blank, given)):
            msg = "the value is empty; in a script, check that the variable is set"
            raise click.BadParameter(msg, ctx, one)


def _has_blank(value: object) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_has_blank, value))
    return isinstance(value, str) and not value.strip()


class CliVerb(click.Command):
    """A command that rejects empty values, and an option given twice where only one can count.

    Given two files of advisories, click would silently drop the first one, and with it the restrictions of that file.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for one in self.params:
            if isinstance(one, click.Option) and one.multiple:
                one.help = f"{one.help} {REPEATED}"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as usual, but find the options that are given more than once."""
        everything = list(args)
        refuse_empty_values(self, ctx, args)
        rest = super().parse_args(ctx, args)
        if ctx.resilient_parsing:  # completing a line that is not whole yet
            return rest
        _, _, given = self.make_parser(ctx).parse_args(args=everything)
        for one, times in Counter(given).items():
            if isinstance(one, click.Option) and times > 1 and not (one.multiple or one.is_flag or one.count):
                ctx.fail(f"{one.opts[0]} is given {times} times, but can be given only once")
        return rest


class HelpShownError(click.UsageError):
    """A group without a verb: its help goes to standard error, and the exit code is that of a usage error.

    click exits with 0 before version 8.2.
    """

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the help alone."""
        click.echo(self.message, file=file, err=file is None)


class VerbGroup(click.Group):
    """A group whose commands are of this kind."""

    command_class = CliVerb

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as usual, but for the help where nothing is given, and empty values of the group's own options."""
        refuse_empty_values(self, ctx, args)
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            raise HelpShownError(ctx.get_help(), ctx)
        return super().parse_args(ctx, args)


class Verbs(VerbGroup):
    """A group that loads the module of a command on first use, so that no command waits for the imports of others.

    ``verbs`` are the commands and their first lines, so that ``--help`` need not load them. ``package`` contains their
    modules, each with a ``command``.
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
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._verbs.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command meant. For an unknown name, the nearest one."""
        if args and args[0] not in self._verbs and not args[0].startswith("-"):
            from bundlekit.schema_errors import nearest

            ctx.fail(f"no command {args[0]!r}{nearest(args[0], set(self._verbs))}")
        return super().resolve_command(ctx, args)
