"""The command line: arguments, one API call, rendering, exit code. The only place that knows click."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from bundlekit._version import __version__
from bundlekit.cli import streams
from bundlekit.cli.naming import COMMAND_LINE
from bundlekit.cli.verbs import Verbs
from bundlekit.errors import BundlekitError
from bundlekit.report.escape import escape
from bundlekit.wording import worded

if TYPE_CHECKING:
    from collections.abc import Callable

READER_GONE: Final = 128 + 13
"""The exit code of a command that SIGPIPE ends; Python ignores the signal, and Windows has none."""

VERBS: Final = {
    "advisory": "Create signed advisories that restrict releases already shipped.",
    "build": "Build an update.bin from a SPEC.toml.",
    "catalog": "Manage a catalog of bundle heads for path planning.",
    "check": "Validate bundles: layout, every byte, signatures, and from which versions they can be installed.",
    "compare": "Compare two bundles: signing keys, statements, contents, and upgrade paths.",
    "explain": "Explain a rule, a page, or a word or exit code of a report; without a topic, list the rules and pages.",
    "extract": "Extract a component, a document, the head or a signature from a bundle.",
    "fleet": "Run rollouts over many pairs: plan, simulate, start, and watch them, with workers on any hosts.",
    "inspect": "Show what a bundle claims to be. Nothing is verified: `bundlekit check` does that.",
    "keygen": "Make a test PKI, which is not for production.",
    "matrix": "Examine an upgrade matrix before release: its table, its mistakes and its changes.",
    "path": "Find the upgrade path from an installed version to a target version.",
    "preflight": "Check only the head and signatures, which is fast regardless of the bundle size.",
    "rehearse": "Run an update plan against simulated appliances, with a fault at every position.",
    "schema": "Print the JSON Schema of a file or an output.",
    "sign": "Sign a bundle in place, or attach a signature made elsewhere, and show what is signed and by whom.",
    "trust": "Show the trusted signers of a trust.toml or PEM files, or print an example of one.",
    "update": "Update a pair of appliances and manage the run.",
}
"""The verbs and their first lines, so that ``--help`` need not load the module of each."""


@click.group(
    cls=Verbs,
    verbs=VERBS,
    package=__name__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Examples: `bundlekit check update.bin --trust root.pem`, `bundlekit explain exit-codes`. "
    'Completion: eval "$(_BUNDLEKIT_COMPLETE=bash_source bundlekit)" (or zsh_source, fish_source).',
)
@click.version_option(__version__, prog_name="bundlekit", message="%(prog)s %(version)s")
def command() -> None:
    """Validate signed firmware bundles (update.bin) before release and before installation."""


def run(args: list[str] | None = None, *, interrupted: Callable[[], int] = lambda: 0) -> int:
    """The exit code of one call. Neither click's Abort nor a traceback ends in 1, because 1 means *reject*.

    ``interrupted`` is the exit code if a signal came, and 0 otherwise. A library can turn the interrupt into an error
    of its own.
    """
    with streams.patient(), worded(COMMAND_LINE):
        return _run(args, interrupted)


def _show(error: click.ClickException) -> None:
    """Show the error as click does, but on one line. The message quotes the command line and its line ends."""
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(context.get_usage(), err=True)
        if context.command.get_help_option(context) is not None:
            click.echo(f"Try '{context.command_path} {context.help_option_names[-1]}' for help.\n", err=True)
    message = error.format_message().replace(",\n\t", ", ").replace("\n\t", " ")
    click.echo(f"Error: {escape(_hidden(message))}", err=True)


def _hidden(text: str) -> str:
    from bundlekit.authoring.pkcs11_uri import PIN
    from bundlekit.cli import secrets
    from bundlekit.cli.common import PASSPHRASE

    return secrets.hidden(text, PASSPHRASE, PIN)


def _run(args: list[str] | None, interrupted: Callable[[], int]) -> int:
    try:
        code = command.main(args=args, prog_name="bundlekit", standalone_mode=False)
        if sys.stdout:  # what cannot be written must not come up after the exit code is settled
            sys.stdout.flush()
    except SystemExit as ended:  # 0 after a completion; 1 is what click makes of a broken pipe
        if ended.code == 0:
            return 0
        streams.discard(sys.stdout)
        return READER_GONE
    except click.ClickException as error:
        _show(error)
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return interrupted() or 130
    except BundlekitError as error:
        click.echo(f"bundlekit: {escape(_hidden(str(error)))}", err=True)
        if error.next_step:
            click.echo(f"next: {escape(_hidden(error.next_step))}", err=True)
        return error.exit_code
    except OSError as error:  # a disk that is full, a name that is a folder: the world, not a mistake in here
        if os.environ.get("BUNDLEKIT_DEBUG"):
            raise
        streams.discard(sys.stdout)
        click.echo(f"bundlekit: {escape(_hidden(str(error.filename or 'the output')))}: {error.strerror}", err=True)
        return 3
    except Exception as error:
        if os.environ.get("BUNDLEKIT_DEBUG"):
            raise
        if code := interrupted():
            click.echo("interrupted", err=True)
            return code
        from bundlekit import dependencies

        if fault := dependencies.unmet():
            click.echo(f"bundlekit: {fault}\nnext: {dependencies.REMEDY}", err=True)
            return 3
        click.echo(
            f"bundlekit: internal error, please report it: {type(error).__name__}: {escape(_hidden(str(error)))}",
            err=True,
        )
        click.echo("next: run again with BUNDLEKIT_DEBUG=1 for the traceback", err=True)
        return 70
    return code if isinstance(code, int) else 0
