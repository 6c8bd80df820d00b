"""The command line: arguments, one API call, rendering, exit code. The only place that knows click."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import Final

import click

import bundlekit
from bundlekit.errors import BundlekitError
from bundlekit.report.escape import escape

VERBS: Final = {
    "advisory": "Say what was learnt after a release shipped, in a signed file that only restricts.",
    "build": "Build an update.bin from a SPEC.toml.",
    "catalog": "Keep heads of bundles, to find paths by.",
    "check": "Judge bundles: layout, every byte, signatures, and who may install them.",
    "explain": "Explain a rule, the format, the exit codes, ….",
    "extract": "Take a component, the head or a signature out of a bundle.",
    "inspect": "Show what a bundle claims to be. Verifies nothing.",
    "keygen": "Make a throw-away PKI for trying out.",
    "matrix": "Look at an upgrade matrix before it ships: its table, its mistakes, what it changes.",
    "path": "Find the way from an installed version to a wanted one.",
    "preflight": "Judge head and signatures only, in a moment, whatever the size.",
    "schema": "Print the JSON Schema of a file or an output.",
    "sign": "Sign a bundle in place, or attach a signature made elsewhere.",
    "trust": "Show who may sign according to a trust.toml or PEM files.",
}
"""The verbs and their first lines, so that ``--help`` need not load the module of each."""


class _Verbs(click.Group):
    """Loads the module of a verb when the verb is used: nobody pays for the imports of the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"bundlekit.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a verb's module defines its command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from bundlekit.mistakes import nearest

            ctx.fail(f"no verb {args[0]!r}{nearest(args[0], set(VERBS))}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Examples: `bundlekit check update.bin --trust root.pem`, `bundlekit explain exit-codes`. "
    'Completion: eval "$(_BUNDLEKIT_COMPLETE=bash_source bundlekit)" (or zsh_source, fish_source).',
)
@click.version_option(bundlekit.__version__, prog_name="bundlekit", message="%(prog)s %(version)s")
def command() -> None:
    """Validate signed firmware bundles (update.bin) and decide who may install them."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit (``bundlekit explain exit-codes``)."""
    # Modules are no garbage. Looking for some after every 700 new objects, and among them all on the way out,
    # takes 13 of a pre-flight's 90 ms.
    gc.set_threshold(100_000)
    code = run(args)
    gc.freeze()
    sys.exit(code)


def run(args: list[str] | None = None) -> int:
    """The exit code of one call. Neither click's Abort nor a traceback may end in 1, which means *refuse*."""
    try:
        code = command.main(args=args, prog_name="bundlekit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BundlekitError as error:
        click.echo(f"bundlekit: {escape(str(error))}", err=True)
        if error.next_step:
            click.echo(f"next: {escape(error.next_step)}", err=True)
        return 3
    except BrokenPipeError:
        # Whoever read our output has gone; a second error while Python flushes at exit would be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except Exception as error:
        if os.environ.get("BUNDLEKIT_DEBUG"):
            raise
        click.echo(f"bundlekit: internal error, please report it: {type(error).__name__}: {error}", err=True)
        click.echo("next: run again with BUNDLEKIT_DEBUG=1 for the traceback", err=True)
        return 70
    return code if isinstance(code, int) else 0
