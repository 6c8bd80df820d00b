"""``bundlekit check``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from bundlekit import pipeline
from bundlekit.cli import common
from bundlekit.cli.verbs import Verb

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """\b
Examples:
  bundlekit check update.bin --trust root.pem
  bundlekit check update.bin --trust root.pem --from 5.20.03 --from 5.30.02
  bundlekit check update.bin --trust trusted/ --appliance STATE.json --format json
JSON is one report on each line, a line for each bundle.
Exit codes: 0 accept, 1 refuse, 2 usage, 3 could not judge, 130 interrupted.
"""


@click.command(cls=Verb, epilog=EXAMPLES)
@click.argument("bundles", nargs=-1, required=True, type=common.path_type, metavar="BUNDLE...")
@common.judging_options
@click.option("--full", is_flag=True, help="Compare plain digests too; read unauthentic payloads as well.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but the report: no progress.")
def command(
    bundles: tuple[Path, ...],
    style: str,
    output: Path | None,
    *,
    quiet: bool,
    **options: Any,
) -> int:
    """Judge bundles: layout, every byte, signatures, and who may install them.

    Without --from and --appliance the bundle itself is judged; without --trust nothing is ever accepted.
    Several bundles: 1 if one is refused, else 3 if one could not be judged.
    """
    common.refuse_to_overwrite(output)
    question = common.asked(options)
    reports, codes = [], []
    for bundle in bundles:
        with common.progress_bar(str(bundle), quiet=quiet) as progress:
            judge = partial(pipeline.check, bundle, progress=progress, **question)
            report, code = common.attempted(bundle, judge, quoted=len(bundles) > 1 or style == "json")
        reports.append(report)
        codes.append(code)
    common.render(reports, style, output)
    return common.incomplete(1 if 1 in codes else max(codes))
