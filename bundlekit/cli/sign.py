"""``bundlekit sign``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundlekit import wall_clock
from bundlekit.authoring.sign import opened
from bundlekit.cli import common, options, signing
from bundlekit.cli.verbs import CliVerb

if TYPE_CHECKING:
    from pathlib import Path


EXAMPLES = """\b
Examples:
  bundlekit sign update.bin --cert signer.pem --key signer.key
  bundlekit sign update.bin --cert signer.pem --key "pkcs11:token=release;object=signer"
  bundlekit sign update.bin --cert signer.pem --signer "./sign-in-the-hsm.sh release"
  bundlekit sign update.bin --cert signer.pem --prepare message     # then, where the key is:
  openssl dgst -sha256 -sign signer.key -out message.sig message    # and back here:
  bundlekit sign update.bin --cert signer.pem --attach message.sig
  bundlekit sign update.bin --remove 0
`bundlekit explain signing-rooms` is about keys in a token, in a service, or on another computer.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_argument
@signing.signer_options
@signing.change_options
def command(bundle: Path, **given: Any) -> int:
    """Sign a bundle in place, or attach a signature made elsewhere, and show what is signed and by whom.

    The whole bundle is verified first, because the signature covers all of it. The payload is not changed. If a
    crash interrupts a signing, the next one finishes it. Each signature is verified before it is stored.

    With --trust, only signatures that count can be added, and the last lines show which signers of a trust.toml have
    still to sign.
    """
    change = signing.requested(given)
    trust = common.load_trusted(given["trusted"])
    with opened(bundle, at=wall_clock.now(), trust=trust, change=change.writes) as file:
        done = signing.changed(file, change)
    signing.report(done, change)
    return 0
