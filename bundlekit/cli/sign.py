"""``bundlekit sign``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.authoring.sign import how_elsewhere, load_signers, opened
from bundlekit.cli import common, options, signing
from bundlekit.cli.verbs import CliVerb
from bundlekit.model.release import release_of
from bundlekit.report.escape import escape
from bundlekit.report.phrases import describe

if TYPE_CHECKING:
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.trust import Purpose

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
def command(
    bundle: Path,
    certs: tuple[Path, ...],
    keys: tuple[Path, ...],
    attached: Path | None,
    replace: int | None,
    removed: int | None,
    *,
    pss: bool,
    purpose: Purpose,
) -> int:
    """Sign a bundle in place, or attach a signature made elsewhere, and show what is signed and by whom.

    The whole bundle is verified first, because the signature covers all of it. The payload is not changed. If a
    crash interrupts a signing, the next one finishes it.
    """
    signing.demand_one_change(keys, attached, removed, replace)
    signers = load_signers(keys, certs, ask=common.ask_passphrase, pss=pss, purpose=purpose)
    blob = signing.read_signature(attached) if attached else None
    with opened(bundle, at=common.now()) as open_:
        _show(open_.bundle)
        for one in open_.signatures:
            signing.say(f"signature {one.index} present, by", one)
        if removed is not None:
            signing.say(f"removed signature {removed}, by", open_.remove(removed))
        added = []
        if blob is not None:
            how = how_elsewhere(bundle)
            added.append(open_.attach(blob, replace=replace, purpose=purpose, how=how, origin=str(attached)))
            signing.say("signed by", added[-1])
        for key, signer in zip(keys, signers, strict=True):
            added.append(open_.sign(signer, replace=replace))
            signing.say("signed by", added[-1])
            signing.report_signed_without_certificate([key], [signer])
        for one in added:
            signing.warn(open_.out_of_time(one.index))
            signing.warn(open_.unbound(one.index))
    return 0


def _show(bundle: Bundle) -> None:
    """What is going to be signed, before it is."""
    if bundle.manifest:
        what = f"{describe(release_of(bundle.manifest))}, security counter {bundle.manifest.counter}"
        click.echo(f"bundle    {escape(what)}")
    click.echo(f"bundle id {bundle.id}")
