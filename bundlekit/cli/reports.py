"""Reports on bundles: printed one by one, each as soon as it is finished, and written to files at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Self

import click
from click.core import ParameterSource
from msgspec.structs import replace

from bundlekit.cli import common, destination
from bundlekit.cli.project import used_project
from bundlekit.report import outputs
from bundlekit.report.document import ReportDocument, not_checked
from bundlekit.report.escape import escape
from bundlekit.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from bundlekit.report.document import BundleResult, Row
    from bundlekit.report.outputs import Style
    from bundlekit.report.text import Line


def refuse_outputs(
    output: Sequence[Path], style: Style, *, styles: Collection[Style] = frozenset(outputs.STYLES)
) -> None:
    """UsageError for files of ``--output`` that cannot all be written, before anything is read.

    A suffix has to be that of one of ``styles``, unless ``--format`` is given. A name without a suffix has that format.
    """
    for file in output:
        common.refuse_to_overwrite(file)
        if output.count(file) > 1:
            raise click.UsageError(f"--output {file} is given twice")
    context = click.get_current_context()
    source = context.get_parameter_source("style")
    suffixes = [suffix for suffix, one in outputs.SUFFIXES.items() if one in styles]
    for file in output if source is ParameterSource.DEFAULT else ():
        if file.suffix and file.suffix.lower() not in suffixes:
            raise destination.unknown_suffix(file, suffixes)
    if (used := used_project()) and context.get_parameter_source("output") is ParameterSource.DEFAULT_MAP:
        used.make_folders([file for file in output if file != destination.STDOUT])
    written = {style if file == destination.STDOUT else outputs.style_of(file, style) for file in output}
    if output and source is ParameterSource.COMMANDLINE and style not in written:
        raise click.UsageError(
            f"no output is in the format {style}: the suffix of {output[0]} means {outputs.style_of(output[0], style)}"
        )


def refuse_vsa(
    vsa: Path | None,
    resource: str | None,
    bundles: Sequence[Path],
    components: Mapping[str, Path | str],
    output: Sequence[Path],
) -> None:
    """UsageError for a ``--vsa`` that cannot be written. A statement of an earlier check is removed.

    A check that ends early then leaves no file, and not the result of another bundle.
    """
    if vsa is None:
        if resource is not None:
            raise click.UsageError("--vsa-resource requires --vsa")
        return
    from bundlekit.report import vsa as as_vsa

    as_vsa.demand_uri(resource or "")
    if len(bundles) > 1:
        raise click.UsageError("--vsa is about one bundle; check each one by itself")
    if vsa in output or (vsa == destination.STDOUT and not output):
        raise click.UsageError(f"--vsa {vsa} is also the output of the report; give --output another file")
    files = [one for one in components.values() if not isinstance(one, str)]
    common.refuse_to_overwrite(vsa, *files, option="--vsa")
    if vsa != destination.STDOUT and as_vsa.is_statement(vsa):
        vsa.resolve().unlink()  # the file itself, and not a link to it


def write_vsa(result: BundleResult, vsa: Path, resource: str) -> None:
    """Write the verification summary. A bundle that could not be read has none."""
    from bundlekit.report import vsa as as_vsa

    if isinstance(result.report, Report):
        common.write(as_vsa.render(result.report, result.digests, resource=resource), vsa)


def expecting(result: BundleResult, names: frozenset[str], pairs: Sequence[str]) -> tuple[BundleResult, int]:
    """The result with the comparison against the names of ``--expect``, and the exit code for that.

    ``pairs`` are the names of the appliances that were given.
    A line on standard error names what came instead, because a JSON report does not contain it.
    """
    from bundlekit.report.expectation import compare_with

    found = compare_with(result.report, names, pairs)
    if found.met:
        return replace(result, expectation=found), common.EXIT["accept"]
    click.echo(f"bundlekit: {escape(result.file)}: {found.message}", err=True)
    return replace(result, expectation=found), common.EXIT["reject" if found.decided else "incomplete"]


_REFUSED: Final = common.EXIT["reject"]


class Reports:
    """Prints reports as they come. Files of ``--output`` are written at the end, as each is whole or missing.

    After an interrupt, or any other end before the last of ``bundles``, the reports that are finished count: they
    are written, and the summary lists the bundles that were not checked. A report is kept only if an output at the
    end needs it.
    """

    def __init__(self, bundles: Sequence[Path], style: Style, files: Sequence[Path]) -> None:
        self._bundles = bundles
        self._files = {file: outputs.style_of(file, style) for file in files if file != destination.STDOUT}
        self._printed = style if not files or destination.STDOUT in files else None
        self._coloured = not files and style == "text" and common.colours(sys.stdout)
        self._kept = bool(self._files) or self._printed not in outputs.STREAMS
        self._done: list[BundleResult] = []
        self._rows: list[Row] = []
        self._codes: list[int] = []

    @property
    def draws_upgrades(self) -> bool:
        """Whether an output has the upgrade graph, which has to be worked out for it."""
        return "html" in {self._printed, *self._files.values()}

    @property
    def quotes_errors(self) -> bool:
        """Whether a bundle that cannot be checked becomes a part of an output, so that no output is missing."""
        return any(style != "text" for style in (self._printed, *self._files.values()) if style)

    @property
    def code(self) -> int:
        """The exit code: 1 if a bundle is rejected, otherwise 3 if one could not be checked."""
        return _REFUSED if _REFUSED in self._codes else max(self._codes, default=0)

    def add(self, result: BundleResult, code: int) -> None:
        """Print one report now, or keep it for the files."""
        self._rows.append(result.row)  # first: an interrupt after the printing must not make it "not checked"
        if self._kept:
            self._done.append(result)
        self._codes.append(code)
        if self._printed in outputs.STREAMS:
            self._print(outputs.stream(result, self._printed, self._styled))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):  # as of an output that is full, which takes no summary either
            return
        left = tuple(str(one) for one in self._bundles[len(self._rows) :])
        document = ReportDocument(results=tuple(self._done), not_checked=left)
        if self._printed in outputs.STREAMS:
            self._print(outputs.end([*self._rows, *map(not_checked, left)], self._printed, self._styled))
        elif self._printed is not None and self._done:
            self._print(outputs.rendered(document, self._printed))
        for file, style in self._files.items() if self._done else ():
            common.write(outputs.rendered(document, style), file)

    def _styled(self, line: Line) -> str:
        return common.styled(line, coloured=self._coloured)

    @staticmethod
    def _print(text: str) -> None:
        click.echo(text, nl=False, color=True)  # which flushes
