"""Progress on a terminal: one line for each file that is being read. Elsewhere nothing is drawn."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress

    from bundlekit.integrity import ReadProgress


class ProgressLines:
    """The lines of the files that are being read. Without ``drawn`` there is no terminal to draw on."""

    def __init__(self, drawn: Progress | None) -> None:
        self._drawn = drawn

    @contextlib.contextmanager
    def line(self, label: str) -> Iterator[ReadProgress | None]:
        """A line for one file, which can be drawn from any thread."""
        if (drawn := self._drawn) is None:
            yield None
            return
        from rich.markup import escape as markup_free

        task = drawn.add_task(markup_free(escape(label)), total=None)
        try:
            yield lambda done, total: drawn.update(task, completed=done, total=total)
        finally:
            drawn.remove_task(task)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Clear the lines while something is printed, because both can be on one terminal."""
        if self._drawn is None:
            yield
            return
        self._drawn.stop()
        try:
            yield
        finally:
            self._drawn.start()


@contextlib.contextmanager
def progress_lines(*, quiet: bool) -> Iterator[ProgressLines]:
    """Lines of progress on standard error, if it is a terminal; rich is loaded only in that case."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield ProgressLines(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True), transient=True) as drawn:
        yield ProgressLines(drawn)


@contextlib.contextmanager
def progress_bar(label: str, *, quiet: bool) -> Iterator[ReadProgress | None]:
    """Progress of one file."""
    with progress_lines(quiet=quiet) as lines, lines.line(label) as progress:
        yield progress
