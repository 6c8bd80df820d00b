"""``bundlekit keygen``."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

import click

from bundlekit import wall_clock
from bundlekit.cli.parameters import path_type
from bundlekit.cli.verbs import CliVerb
from bundlekit.report.escape import escape
from bundlekit.trust import ALGORITHMS, keygen, unverifiable

EXAMPLES = """\b
Examples:
  bundlekit keygen keys
  bundlekit build SPEC.toml -o update.bin --cert keys/signer.pem --key keys/signer.key
  bundlekit check update.bin --trust keys/root.pem
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("directory", type=path_type)
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    default="ecdsa-p384",
    show_default=True,
    help="Set the algorithm of the keys.",
)
def command(directory: Path, algorithm: str) -> int:
    """Make a test PKI, which is not for production, because its keys are not protected.

    It consists of a root certificate to trust, and a signer's certificate and key. With
    ed25519 it is a public key to pin, and its private key.
    """
    # A name of its own, so that two throw-away roots are not taken for one another.
    name = f"Example {token_hex(3)}"
    for path in keygen(directory, algorithm, now=wall_clock.now(), name=name):
        click.echo(f"wrote {escape(str(path))}")
    if warning := unverifiable(algorithm):
        click.echo(f"warning: {escape(warning)}", err=True)
    return 0
