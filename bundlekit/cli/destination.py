"""Where the file of ``--output`` goes: under its name, or to standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from typing import BinaryIO

STDOUT: Final = Path("-")
"""What stands for standard output where a file to write is named."""


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
