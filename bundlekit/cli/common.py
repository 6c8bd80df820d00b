"""What the verbs share: options, colours, progress, and where output goes."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bundlekit import config
from bundlekit.files import whole_file
from bundlekit.model.appliance import Appliance
from bundlekit.report import json as as_json
from bundlekit.report import text as as_text
from bundlekit.trust import load_trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundlekit.integrity import Progress
    from bundlekit.model.finding import Verdict
    from bundlekit.model.waiver import Waivers
    from bundlekit.report.model import Report
    from bundlekit.trust import TrustStore

EXIT: Final[dict[Verdict, int]] = {"accept": 0, "refuse": 1, "incomplete": 3}
TONES: Final = {"good": "green", "bad": "red", "doubtful": "yellow", "quiet": "bright_black"}

Decorator = Any  # click's decorators change a function's type in ways mypy does not follow

path_type: Final = click.Path(path_type=Path)
bundle_argument: Final = click.argument("bundle", type=path_type)


class Time(click.ParamType[dt.datetime]):
    """A date (its first second in UTC) or an RFC 3339 time with its offset."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """The aware time that ``value`` spells."""
        if isinstance(value, dt.datetime):
            return value
        try:
            time = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither 2026-11-23 nor 2026-11-23T12:00:00Z", param, ctx)
        if time.tzinfo is None and len(value) > len("2026-11-23"):
            self.fail(f"{value!r} does not say its time zone; add Z for UTC", param, ctx)
        return time.replace(tzinfo=time.tzinfo or dt.UTC)


def judging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that ``check`` and ``preflight`` share."""
    options: list[Decorator] = [
        click.option(
            "--trust",
            "trusted",
            type=path_type,
            multiple=True,
            help="Who may sign: a trust.toml, a PEM file of CA certificates or public keys, or a folder of them.",
        ),
        click.option(
            "--from",
            "sources",
            multiple=True,
            metavar="VERSION",
            help="Judge the update from this version.",
        ),
        click.option(
            "--appliance",
            type=path_type,
            metavar="STATE.json",
            help="Judge the update of this pair.",
        ),
        click.option("--at", type=Time(), metavar="TIME", help="The time to use instead of now."),
        click.option("--strict", is_flag=True, help="Warnings refuse, too."),
        click.option(
            "--waivers",
            type=path_type,
            metavar="FILE",
            callback=lambda _context, _option, path: load_waivers(path),
            help="Findings of house rules to let be; see `bundlekit explain waivers`.",
        ),
        click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option("--output", "-o", type=path_type, help="Write the report to this file instead."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def signer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that ``build`` and ``sign`` share."""
    options: list[Decorator] = [
        click.option(
            "--key",
            "keys",
            type=path_type,
            multiple=True,
            help="A private key (PEM) to sign with; may be repeated.",
        ),
        click.option(
            "--cert",
            "certs",
            type=path_type,
            multiple=True,
            help="The certificate of a key, followed by those above it (PEM). A key without one must be pinned.",
        ),
        click.option("--pss", is_flag=True, help="Sign with RSA-PSS instead of PKCS #1 v1.5."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def ask_passphrase(path: Path) -> bytes:
    """Ask for the passphrase of a private key that has one."""
    passphrase: str = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
    return passphrase.encode()


def now() -> dt.datetime:
    """The current time."""
    return dt.datetime.now(dt.UTC)


def load_trusted(paths: Sequence[Path]) -> TrustStore | None:
    """What ``--trust`` names, or None where it is not given: nothing is trusted by default."""
    return load_trust(paths) if paths else None


def load_appliance(path: Path | None) -> Appliance | None:
    """The STATE.json of ``--appliance``."""
    return config.convert(config.load_json(path), Appliance, where=str(path)) if path else None


def load_waivers(path: Path | None) -> Waivers | None:
    """The file of ``--waivers``; what reads it is loaded only then."""
    if path is None:
        return None
    from bundlekit.checks.waivers import load_waivers

    return load_waivers(path)


def colours(stream: Any) -> bool:
    """Colours are for a terminal whose owner has not set NO_COLOR (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def render(reports: Sequence[Report], style: str, output: Path | None) -> None:
    """Write the reports, as text or as one JSON object a line."""
    coloured = output is None and style == "text" and colours(sys.stdout)
    written = []
    for report in reports:
        if style == "json":
            written.append(as_json.render(report))
        else:
            written += [styled(line, coloured=coloured) for line in as_text.lines(report)]
    write("\n".join(written) + "\n", output)


def styled(line: as_text.Line, *, coloured: bool) -> str:
    """A line in the colour of its tone."""
    return click.style(line.text, fg=TONES.get(line.tone)) if coloured else line.text


def write(content: str, output: Path | None) -> None:
    """To standard output, or to a file that is whole or not there."""
    if output is None:
        click.echo(content, nl=False, color=True)
        return
    with whole_file(output) as file:
        file.write(content.encode())


@contextlib.contextmanager
def progress_bar(label: str, *, quiet: bool) -> Iterator[Progress | None]:
    """A progress bar on a terminal, nothing elsewhere; rich is loaded only if there is one to draw on."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
