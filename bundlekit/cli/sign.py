"""``bundlekit sign``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.authoring.sign import attach, load_signers, remove, sign
from bundlekit.cli import common
from bundlekit.cli.verbs import Verb
from bundlekit.errors import SigningError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.pipeline import inspect
from bundlekit.report.escape import escape
from bundlekit.report.text import describe

if TYPE_CHECKING:
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose

EXAMPLES = """\b
Examples:
  bundlekit sign update.bin --cert signer.pem --key signer.key
  bundlekit extract update.bin --head -o head
  openssl cms -sign -binary -cades -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der
  bundlekit sign update.bin --attach sig.der
  bundlekit sign update.bin --remove 0
"""


@click.command(cls=Verb, epilog=EXAMPLES)
@common.bundle_argument
@common.signer_options
@click.option("--attach", "attached", type=common.path_type, help="Add this signature (a detached CMS, DER).")
@click.option("--replace", type=click.IntRange(0), metavar="N", help="Put it in the place of signature N, from 0.")
@click.option("--remove", "removed", type=click.IntRange(0), metavar="N", help="Take signature N, from 0, out.")
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
    """Sign a bundle in place, or attach a signature made elsewhere; shows what is signed, and by whom it was.

    All of the bundle is verified first, for who signs vouches for all of it. The payload is not touched. A
    signing that a crash interrupted is finished by the next one.
    """
    if [bool(keys), bool(attached), removed is not None].count(True) != 1:
        raise click.UsageError("exactly one of --key, --attach and --remove is needed")
    if replace is not None and (removed is not None or len(keys) > 1):
        raise click.UsageError("--replace goes with one --key, or with --attach")
    signers = load_signers(keys, certs, ask=common.ask_passphrase, pss=pss, purpose=purpose)
    _show(bundle)
    now = common.now()
    if removed is not None:
        _say(f"removed signature {removed}, by", remove(bundle, removed, at=now))
    if attached:
        blob = read_bounded(attached, LIMITS["signature"], error=SigningError)
        if blob.startswith(b"-----BEGIN"):
            name, der = (shlex.quote(str(path)) for path in (attached, attached.with_name(f"{attached.name}.der")))
            raise SigningError(
                f"{attached}: is PEM, and has to be DER",
                next_step="Sign with `-outform DER`, or convert it: "
                f"`openssl cms -cmsout -inform PEM -in {name} -outform DER -out {der}`.",
            )
        _say("signed by", attach(bundle, blob, at=now, replace=replace, purpose=purpose))
    for key, signer in zip(keys, signers, strict=True):
        _say("signed by", sign(bundle, signer, at=now, replace=replace))
        common.say_who_signs_alone([key], [signer])
    return 0


def _show(bundle: Path) -> None:
    """What is going to be signed, before it is."""
    shown = inspect(bundle)
    if shown.claims:
        click.echo(f"bundle    {escape(describe(shown.claims))}, security counter {shown.claims.counter}")
        click.echo(f"bundle id {shown.id}")
    for one in shown.signatures:
        _say(f"signature {one.index} is there, by", one)


def _say(words: str, signature: SignatureEvidence) -> None:
    who = signature.signer or "nobody that can be read"
    click.echo(f"{words} {escape(who)} ({signature.algorithm or 'unknown algorithm'})")
