"""``bundlekit compare``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from bundlekit.cli import common, destination, options, reports
from bundlekit.cli.parameters import bundle_type
from bundlekit.cli.progress import progress_bar
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import outputs

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from bundlekit.report.comparison import Comparison
    from bundlekit.report.outputs import Style

EXAMPLES = """\b
Examples:
  bundlekit compare 5.30.02.bin 5.40.00.bin --trust root.pem
  bundlekit compare 5.30.02.bin 5.40.00.bin --trust trust.toml --strict
  bundlekit compare release.bin rebuild.bin --ignore-signatures
  bundlekit compare last.bin next.bin --trust trust.toml -o - -o compare.json -o compare.md
Exit codes: 0 same, 1 differs, 2 usage, 3 could not be compared, 130 interrupted.
"""
STYLES: Final[frozenset[Style]] = frozenset(["text", "json", "markdown"])
EXIT: Final = {"same": 0, "differs": 1, "incomplete": 3}


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("old", type=bundle_type, metavar="OLD")
@click.argument("new", type=bundle_type, metavar="NEW")
@options.config_options
@options.trust_option
@click.option("--strict", is_flag=True, help="Require that each signing key is continued (exit code 3 if not).")
@click.option("--ignore-signatures", is_flag=True, help="Compare only the contents, such as those of a rebuild.")
@click.option("--full", is_flag=True, help="Compare the bytes of the payload even if signed digests are enough.")
@options.matrices_option
@options.components_of_two_options
@options.at_option
@options.format_option("markdown")
@options.output_option(
    "Write the result to this file instead; - is standard output. "
    "The format is that of the suffix: .txt, .json, or .md.",
    multiple=True,
)
@click.option("--quiet", "-q", is_flag=True, help="Print only the result and no progress.")
def command(
    old: Path,
    new: Path,
    trusted: tuple[Path, ...],
    matrices: tuple[Path, ...],
    old_components: dict[str, Path | str],
    new_components: dict[str, Path | str],
    at: dt.datetime | None,
    style: Style,
    output: tuple[Path, ...],
    *,
    strict: bool,
    ignore_signatures: bool,
    full: bool,
    quiet: bool,
) -> int:
    """Compare two bundles: signing keys, statements, contents, and upgrade paths.

    If --trust is given, both bundles must be authentic, and chunk indexes replace the reading of the payload.
    Without --trust, or if one is not authentic, every byte of both is read. `bundlekit explain compare` has more.
    """
    reports.refuse_outputs(output, style, styles=STYLES)
    files = {file: style if file == destination.STDOUT else outputs.style_of(file, style) for file in output}
    if wrong := next((file for file, each in files.items() if each not in STYLES), None):
        raise click.UsageError(f"--output {wrong}: a comparison is written as text, JSON (.json) or Markdown (.md)")
    if strict and ignore_signatures:
        raise click.UsageError(
            "--strict is about signatures, and --ignore-signatures leaves them out; give one of them"
        )
    from bundlekit.comparison import compare

    trust, known = common.load_trusted(trusted), common.load_matrices(matrices)
    with progress_bar(f"{old} {new}", quiet=quiet) as progress:
        found = compare(
            old,
            new,
            trust=trust,
            at=at,
            matrix=known,
            full=full,
            strict=strict,
            ignore_signatures=ignore_signatures,
            old_components=old_components,
            new_components=new_components,
            progress=progress,
        )
    if not files:
        common.write(_rendered(found, style, coloured=style == "text" and common.colours(sys.stdout)), None)
    for file, each in files.items():
        common.write(_rendered(found, each, coloured=False), file)
    return EXIT[found.verdict]


def _rendered(found: Comparison, style: Style, *, coloured: bool) -> str:
    if style == "json":
        from bundlekit.report import json as as_json

        return as_json.render(found) + "\n"
    if style == "markdown":
        from bundlekit.report import comparison_markdown

        return comparison_markdown.render(found)
    from bundlekit.report import comparison_text

    return "".join(common.styled(line, coloured=coloured) + "\n" for line in comparison_text.lines(found))
