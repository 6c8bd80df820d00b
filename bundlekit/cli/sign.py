"""``bundlekit sign``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundlekit.authoring.sign import opened
from bundlekit.cli import common, options, signing
from bundlekit.cli.verbs import CliVerb
from bundlekit.model.release import release_of
from bundlekit.report.escape import escape
from bundlekit.report.phrases import describe

if TYPE_CHECKING:
    from pathlib import Path

    from bundlekit.model.bundle import Bundle

EXAMPLES = """\b
Examples:
  bundlekit sign update.bin --cert signer.pem --key signer.key
  bundlekit extract update.bin --head -o head
  openssl cms -sign -binary -cades -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der
  bundlekit sign update.bin --attach sig.der
  bundlekit sign update.bin --remove 0
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_argument
@signing.signer_options
@signing.change_options
def command(bundle: Path, **given: Any) -> int:
    """Sign a bundle in place, or attach a signature made elsewhere, and show what is signed and by whom.

    The whole bundle is verified first, because the signature covers all of it. The payload is not changed. If a
    crash interrupts a signing, the next one finishes it.
    """
    change = signing.requested(given)
    with opened(bundle, at=common.now()) as file:
        _show(file.bundle)
        done = signing.changed(file, change)
    signing.report(done)
    return 0


def _show(bundle: Bundle) -> None:
    """What is going to be signed, before it is."""
    if bundle.manifest:
        what = f"{describe(release_of(bundle.manifest))}, security counter {bundle.manifest.counter}"
        click.echo(f"bundle    {escape(what)}")
    click.echo(f"bundle id {bundle.id}")
