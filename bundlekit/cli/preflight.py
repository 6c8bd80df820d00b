"""``bundlekit preflight``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bundlekit import pipeline
from bundlekit.cli import common, options, reports
from bundlekit.cli.verbs import CliVerb
from bundlekit.errors import UnreadableError
from bundlekit.files import LIMITS
from bundlekit.source import BytesSource

if TYPE_CHECKING:
    from bundlekit.report.outputs import Style

STDIN: Final = Path("-")

EXAMPLES = """\b
Examples:
  bundlekit preflight update.bin --trust root.pem --from 5.20.03
  curl -s -r 0-2097151 URL | bundlekit preflight - --size 734003200 --trust root.pem
  bundlekit preflight update.bin --trust root.pem --appliance STATE.json --format json
Exit codes: 0 accept, 1 reject, 2 usage, 3 incomplete, 130 interrupted.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_or_url_argument
@click.option(
    "--size",
    type=click.IntRange(1),
    metavar="N",
    help="Set the size of the bundle in bytes, if BUNDLE is - and its first bytes are on standard input.",
)
@options.check_options
def command(
    bundle: Path,
    size: int | None,
    style: Style,
    output: tuple[Path, ...],
    **asked: Any,
) -> int:
    """Check only the head and signatures, which is fast regardless of the bundle size.

    The payload is not read, so acceptance here does not mean an accepted bundle. The report states this.
    """
    reports.refuse_outputs(output, style)
    head = _start_of(size) if bundle == STDIN else bundle
    if size is not None and bundle != STDIN:
        raise click.UsageError("--size requires - (standard input)")
    request = common.check_request(asked)
    with reports.Reports([bundle], style, output) as stream:
        run = partial(pipeline.judge, head, request, scope="head", upgrades=stream.draws_upgrades)
        stream.add(*common.checked(bundle, run, quoted=stream.quotes_errors))
    return stream.code


def _start_of(size: int | None) -> BytesSource:
    """The first bytes of a bundle of ``size`` bytes, from standard input; no more are read than a head can have."""
    if size is None:
        raise click.UsageError("- requires --size, the size of the whole bundle in bytes")
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("standard input (-) is a terminal; redirect the first bytes of a bundle to it")
    data = sys.stdin.buffer.read(min(size + 1, LIMITS["head"]))
    if len(data) > size:
        raise UnreadableError(f"standard input: has more than {size:,} bytes, and --size states {size:,}")
    return BytesSource(data, size=size, name="standard input")
