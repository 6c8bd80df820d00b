"""Reports on bundles go out one by one, each as soon as it is finished."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Self

import click

from bundlekit.cli import common, destination
from bundlekit.report import json as as_json
from bundlekit.report import summary
from bundlekit.report import text as as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from bundlekit.report.model import NotChecked, Report

_REFUSED: Final = common.EXIT["reject"]


class Reports:
    """Prints reports as they come; a file of ``--output`` is written at the end, as it is whole or missing.

    After an interrupt, or any other end before the last of ``bundles``, the reports that are finished count: they
    are written, and the summary lists the bundles that were not checked. Only text for two or more bundles
    has a summary.
    """

    def __init__(self, bundles: Sequence[Path], style: str, output: Path | None) -> None:
        self._bundles = bundles
        self._style = style
        self._output = None if output == destination.STDOUT else output
        self._coloured = output is None and style == "text" and common.colours(sys.stdout)
        self._done: list[Report | NotChecked] = []
        self._codes: list[int] = []

    @property
    def code(self) -> int:
        """The exit code: 1 if a bundle is rejected, otherwise 3 if one could not be checked."""
        return _REFUSED if _REFUSED in self._codes else max(self._codes, default=0)

    def add(self, report: Report | NotChecked, code: int) -> None:
        """Print one report now, or keep it for the file."""
        self._done.append(report)  # first: an interrupt after the printing must not make it "not checked"
        self._codes.append(code)
        if self._output is None:
            self._print(self._text(report))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):  # as of an output that is full, which takes no summary either
            return
        end = ""
        if len(self._bundles) > 1 and self._style == "text":
            end = self._lines(summary.lines(self._done, [str(one) for one in self._bundles[len(self._done) :]]))
        if self._output is None:
            self._print(end)
        elif self._done:
            common.write("".join(map(self._text, self._done)) + end, self._output)

    def _text(self, report: Report | NotChecked) -> str:
        return as_json.render(report) + "\n" if self._style == "json" else self._lines(as_text.lines(report))

    def _lines(self, lines: Iterable[as_text.Line]) -> str:
        return "".join(common.styled(line, coloured=self._coloured) + "\n" for line in lines)

    @staticmethod
    def _print(text: str) -> None:
        click.echo(text, nl=False, color=True)  # which flushes
