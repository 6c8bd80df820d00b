"""``bundlekit preflight``."""

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
  bundlekit preflight update.bin --trust root.pem --from 5.20.03
  bundlekit preflight update.bin --trust root.pem --appliance STATE.json --format json
Exit codes: 0 accept, 1 refuse, 2 usage, 3 could not judge, 130 interrupted.
"""


@click.command(cls=Verb, epilog=EXAMPLES)
@common.bundle_argument
@common.judging_options
def command(
    bundle: Path,
    style: str,
    output: Path | None,
    **options: Any,
) -> int:
    """Judge head and signatures only, in a moment, whatever the size of the bundle.

    The payload is not read, so an accepted pre-flight is not an accepted bundle; the report says so.
    """
    common.refuse_to_overwrite(output)
    judge = partial(pipeline.preflight, bundle, **common.asked(options))
    report, code = common.attempted(bundle, judge, quoted=style == "json")
    common.render([report], style, output)
    return code
