"""``bundlekit advisory``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli import common
from bundlekit.cli.verbs import Group
from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from bundlekit.model.trust import Purpose

EXAMPLES = """\b
Examples:
  bundlekit advisory build --example > ADVISORY.toml
  bundlekit advisory build ADVISORY.toml -o advisories.bin --cert signer.pem --key signer.key
  bundlekit check update.bin --trust root.pem --from 5.30.02 --advisories advisories.bin
"""


@click.group(cls=Group, epilog=EXAMPLES)
def command() -> None:
    """Say what was learnt after a release shipped, in a signed file that only restricts."""


@command.command(epilog="Example: bundlekit advisory build ADVISORY.toml -o F --cert signer.pem --key signer.key")
@click.argument("source", type=common.path_type, required=False, metavar="ADVISORY.toml")
@click.option("--output", "-o", type=common.path_type, help="The file to write; replaced if it is there.")
@common.signer_options
@click.option("--example", is_flag=True, help="Print a commented ADVISORY.toml.")
def build(
    source: Path | None,
    output: Path | None,
    certs: tuple[Path, ...],
    keys: tuple[Path, ...],
    *,
    pss: bool,
    purpose: Purpose,
    example: bool,
) -> int:
    """Make and sign an advisories file. Its serial must be higher than that of the one before."""
    common.refuse_to_overwrite(output)
    from bundlekit.authoring import advisory
    from bundlekit.authoring.sign import load_signers

    if example:
        click.echo(advisory.ADVISORY_EXAMPLE, nl=False)
        return 0
    if source is None or output is None:
        raise click.UsageError("ADVISORY.toml and --output are needed (or --example)")
    made = advisory.load(source)
    signers = load_signers(keys, certs, ask=common.ask_passphrase, pss=pss, purpose=purpose)
    advisory.build(made, output, signers)
    common.say_who_signs_alone(keys, signers)
    click.echo(f"{output}: advisories for {escape(made.product)}, serial {made.serial}, until {made.until}")
    return 0
