"""Where the file of ``--output`` goes, and in which format: under its name, or to standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

STDOUT: Final = Path("-")
"""What stands for standard output where a file to write is named."""

SUFFIXES: Final = {".txt": "text", ".json": "json", ".html": "html", ".svg": "svg", ".mmd": "mermaid"}
"""The formats of the commands that write one file, by the end of its name."""


def style_for(output: Path | None, style: str) -> str:
    """The format for the one output of the command that runs: that of the suffix, otherwise that of ``--format``.

    UsageError for a suffix without a format if ``--format`` is not given, and for a suffix that contradicts it.
    """
    if output is None or output == STDOUT or not output.suffix:
        return style
    context = click.get_current_context()
    choices = next(one.type for one in context.command.params if one.name == "style")
    known = choices.choices if isinstance(choices, click.Choice) else ()
    suffixes = {suffix: one for suffix, one in SUFFIXES.items() if one in known}
    found = suffixes.get(output.suffix.lower())
    given = context.get_parameter_source("style") is ParameterSource.COMMANDLINE
    if found is None and not given:
        raise unknown_suffix(output, suffixes)
    if found not in {None, style} and given:
        raise click.UsageError(f"no output is in the format {style}: the suffix of {output} means {found}")
    return found or style


def unknown_suffix(file: Path, known: Iterable[str]) -> click.UsageError:
    """The usage error for an output whose suffix is that of no format of the command."""
    return click.UsageError(
        f"--output {file}: no format here has the suffix {file.suffix}; "
        f"use one of {', '.join(known)}, or select a format with --format"
    )


def opened(output: Path) -> Path | BinaryIO:
    """Where bytes that no terminal can show go: a file, or standard output for ``-``."""
    if output != STDOUT:
        return output
    if sys.stdout is None or sys.stdout.isatty():
        raise click.UsageError(
            "the output is binary, and standard output (-) is a terminal; redirect it, or give a file name"
        )
    stream: BinaryIO = sys.stdout.buffer
    return stream


def report_written(output: Path, what: str) -> None:
    """Report what was written where. The line goes to standard error if standard output can carry the output."""
    name = "standard output" if output == STDOUT else escape(str(output))
    click.echo(f"wrote {name}: {escape(what)}", err=output == STDOUT or not output.is_file())
