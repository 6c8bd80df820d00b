"""``bundlekit sign``."""

from __future__ import annotations

from pathlib import Path

import click

from bundlekit.authoring.sign import attach, load_signers, sign
from bundlekit.cli import common
from bundlekit.errors import SigningError
from bundlekit.pipeline import inspect
from bundlekit.report.escape import escape
from bundlekit.report.text import describe

EXAMPLES = """\b
Examples:
  bundlekit sign update.bin --cert signer.pem --key signer.key
  bundlekit extract update.bin --head -o head
  openssl cms -sign -binary -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der
  bundlekit sign update.bin --attach sig.der
"""


@click.command(epilog=EXAMPLES)
@common.bundle_argument
@common.signer_options
@click.option("--attach", "attached", type=common.path_type, help="Add this signature (a detached CMS, DER).")
def command(bundle: Path, certs: tuple[Path, ...], keys: tuple[Path, ...], attached: Path | None, *, pss: bool) -> int:
    """Sign a bundle in place, or attach a signature made elsewhere; shows what is signed.

    The payload is not touched. A signing that a crash interrupted is finished by the next one.
    """
    if bool(keys) == bool(attached):
        raise click.UsageError("either --key or --attach is needed")
    signers = load_signers(keys, certs, ask=common.ask_passphrase, pss=pss)
    shown = inspect(bundle)
    if shown.claims:
        click.echo(f"signing {escape(describe(shown.claims))}, security counter {shown.claims.counter}")
        click.echo(f"bundle id {shown.id}")
    if attached:
        try:
            blob = attached.read_bytes()
        except OSError as error:
            raise SigningError(f"{attached}: {error.strerror}") from error
        added = [attach(bundle, blob, at=common.now())]
    else:
        added = [sign(bundle, signer, at=common.now()) for signer in signers]
    for signature in added:
        click.echo(f"signed by {escape(signature.signer)} ({signature.algorithm})")
    return 0
