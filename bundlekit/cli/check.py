"""``bundlekit check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundlekit import pipeline
from bundlekit.cli import common, options, reports
from bundlekit.cli.jobs import MAX_JOBS, in_order
from bundlekit.cli.parameters import path_type
from bundlekit.cli.progress import progress_lines
from bundlekit.cli.verbs import CliVerb
from bundlekit.errors import BundlekitError

if TYPE_CHECKING:
    from pathlib import Path

    from bundlekit.integrity import Cancel
    from bundlekit.report.document import BundleResult
    from bundlekit.report.outputs import Style

EXAMPLES = """\b
Examples:
  bundlekit check update.bin --trust root.pem
  bundlekit check update.bin --trust root.pem --from 5.20.03 --from 5.30.02
  bundlekit check update.bin --trust trusted/ --appliance STATE.json --format json
  bundlekit check *.bin --jobs 2 --trust root.pem -o - -o junit.xml -o report.html
  bundlekit check old.bin --trust root.pem --from 5.40.00 --expect downgrade
  bundlekit check https://example.com/update.bin s3://releases/5.40.00.bin --trust root.pem
  bundlekit check update.bin --trust root.pem --vsa vsa.json
JSON has one report per line and bundle. Each report is printed as soon as it is finished.
Files are written at the end: text, JSON, Markdown (.md), JUnit (.xml), or a page for a browser (.html).
With --expect the exit code is 0 only if each bundle is rejected as expected.
Exit codes: 0 accept, 1 reject, 2 usage, 3 incomplete, 130 interrupted.
"""


def _expected(context: click.Context, option: click.Parameter, names: tuple[str, ...]) -> frozenset[str]:
    if not names:
        return frozenset()
    from bundlekit.report.expectation import checked_names

    try:
        return checked_names(names)
    except BundlekitError as error:
        raise click.BadParameter(str(error), context, option) from error


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundles_or_urls_argument
@options.check_options
@click.option("--full", is_flag=True, help="Compare plain digests too; read unauthentic payloads as well.")
@options.component_option
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, MAX_JOBS),
    default=1,
    show_default=True,
    metavar="N",
    help="Check this many bundles at once. The check of one bundle already uses all processors.",
)
@click.option(
    "--vsa",
    type=path_type,
    metavar="FILE",
    help="Write the verdict to this file as an unsigned verification summary (in-toto, SLSA); for one bundle.",
)
@click.option(
    "--vsa-resource",
    "resource",
    metavar="URI",
    help="Name the place from which users get the bundle in the verification summary.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="CAUSE",
    callback=_expected,
    help="Require that each bundle is rejected by this rule or cause, for each --from, and by nothing more.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only the report and no progress.")
def command(
    bundles: tuple[Path, ...],
    style: Style,
    output: tuple[Path, ...],
    components: dict[str, Path | str],
    vsa: Path | None,
    resource: str | None,
    *,
    expect: frozenset[str],
    jobs: int,
    quiet: bool,
    **asked: Any,
) -> int:
    """Validate bundles: layout, every byte, signatures, and from which versions they can be installed.

    Without --from and --appliance, only the bundle itself is validated. Without --trust, no bundle is accepted.
    Several bundles end with a summary. The exit code is then 1 if one is rejected, or 3 if one is incomplete.
    After Ctrl-C, finished reports and the summary are printed or written to --output.
    """
    reports.refuse_outputs(output, style)
    reports.refuse_vsa(vsa, resource, bundles, components, output)
    request = common.check_request(asked)
    quoted = len(bundles) > 1
    with reports.Reports(bundles, style, output) as stream, progress_lines(quiet=quiet) as lines:

        def check(bundle: Path, cancel: Cancel) -> BundleResult:
            with lines.line(str(bundle)) as progress:
                return pipeline.judge(
                    bundle,
                    request,
                    components=components,
                    upgrades=stream.draws_upgrades,
                    digests=vsa is not None,
                    progress=progress,
                    cancel=cancel,
                )

        with in_order(bundles, check, min(jobs, len(bundles))) as results:
            for bundle, result in results:
                found, code = common.checked(bundle, result, quoted=quoted or stream.quotes_errors)
                if expect:
                    found, code = reports.expecting(found, expect, [one.pair for one in request.appliances])
                with lines.paused():
                    stream.add(found, code)
                if vsa is not None:
                    reports.write_vsa(found, vsa, resource or "")
    return stream.code
