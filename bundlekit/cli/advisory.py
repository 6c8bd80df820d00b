"""``bundlekit advisory``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundlekit import wall_clock
from bundlekit.cli import common, destination, options, signing
from bundlekit.cli.parameters import path_type
from bundlekit.cli.verbs import VerbGroup
from bundlekit.files import LIMITS

if TYPE_CHECKING:
    import datetime as dt

    from bundlekit.model.trust import Purpose
    from bundlekit.trust import TrustStore

EXAMPLES = """\b
Examples:
  bundlekit advisory build --example > ADVISORY.toml
  bundlekit advisory build ADVISORY.toml -o advisories.bin --cert signer.pem --key signer.key
  bundlekit advisory sign advisories.bin --cert second.pem --key second.key
  bundlekit advisory show advisories.bin --trust root.pem
  bundlekit check update.bin --trust root.pem --from 5.30.02 --advisories advisories.bin
"""

ELSEWHERE = """\b
Examples:
  bundlekit advisory build ADVISORY.toml -o advisories.bin --unsigned
  bundlekit extract advisories.bin --head -o head
  openssl cms -sign -binary -cades -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der
  bundlekit advisory attach advisories.bin sig.der
"""


@click.group(cls=VerbGroup, epilog=EXAMPLES)
def command() -> None:
    """Create signed advisories that restrict releases already shipped."""


@command.command(epilog="Example: bundlekit advisory build ADVISORY.toml -o F --cert signer.pem --key signer.key")
@click.argument("source", type=path_type, required=False, metavar="ADVISORY.toml")
@options.output_option("Write or replace this file; - is standard output.")
@signing.signer_options
@options.trust_option
@click.option("--unsigned", is_flag=True, help="Write it without a signature, to be signed later or elsewhere.")
@click.option("--example", is_flag=True, help="Print a commented ADVISORY.toml.")
def build(source: Path | None, output: Path | None, *, unsigned: bool, example: bool, **given: Any) -> int:
    """Make and sign an advisories file. Its serial must be higher than that of the previous file.

    With --trust, only signatures that count are accepted, and the last lines show which signers have still to sign.
    """
    common.refuse_to_overwrite(output)
    from bundlekit.authoring import advisory

    if example:
        click.echo(advisory.ADVISORY_EXAMPLE, nl=False)
        return 0
    if source is None or output is None:
        raise click.UsageError("ADVISORY.toml and --output are required, or --example")
    if signing.has_signer(given) and unsigned:
        raise click.UsageError("--unsigned cannot be combined with --key or --signer")
    target = destination.opened(output)
    trust = common.load_trusted(given.pop("trusted"))
    made = advisory.load(source)
    signers = signing.load_signers(given)
    signed = advisory.build(made, target, signers, unsigned=unsigned, trust=trust)
    signing.warn_of_keys(signers)
    for one in signed.signatures:
        signing.warn(signed.out_of_time(one.index))
    note = "" if signers else ", UNSIGNED: run `bundlekit advisory sign` next"
    destination.report_written(output, f"{advisory.in_brief(made)}{note}")
    if trust:
        signing.say_missing(signed, err=output == destination.STDOUT)
    return 0


@command.command(epilog="Example: bundlekit advisory sign advisories.bin --cert signer.pem --key signer.key")
@options.advisories_argument
@signing.signer_options
@signing.change_options
def sign(file: Path, **given: Any) -> int:
    """Sign an advisories file again, or change its signatures, and print what is signed and by whom."""
    _change(file, signing.requested(given), common.load_trusted(given["trusted"]))
    return 0


@command.command(epilog=ELSEWHERE)
@options.advisories_argument
@click.argument("signature", type=path_type, metavar="SIGNATURE")
@signing.replace_option
@signing.purpose_option
def attach(file: Path, signature: Path, replace: int | None, *, purpose: Purpose) -> int:
    """Add a signature (a detached CMS, DER) that was made elsewhere, for example in a hardware module."""
    blob = signing.read_signature(signature)
    _change(file, signing.SignatureChange(attached=signature, blob=blob, replace=replace, purpose=purpose))
    return 0


@command.command(epilog="Exit codes: 0 shown, and accepted if --trust is given; 2 usage; 3 the file cannot be used.")
@options.advisories_argument
@options.trust_option
@options.at_option
@options.serial_option
@options.format_option()
def show(file: Path, trusted: tuple[Path, ...], at: dt.datetime | None, serial_at_least: int, style: str) -> int:
    """Show an advisories file and its signers. With --trust, it is verified as `check --advisories` does."""
    from bundlekit import config
    from bundlekit.advisories import take_in
    from bundlekit.authoring.advisory import read
    from bundlekit.report.advisories import as_json, lines

    trust = common.load_trusted(trusted)
    data = config.read_file(file, limit=LIMITS["advisories"])
    signed = read(file, data, at=at or wall_clock.now())
    use = take_in(file, data, trust=trust, at=at, serial_at_least=serial_at_least).use if trust else None
    shown = (signed.advisory, signed.id, signed.signatures, use)
    if style == "json":
        common.write(as_json(*shown) + "\n", None)
    else:
        common.write("".join(f"{line}\n" for line in lines(str(file), *shown)), None)
    return 0


def _change(file: Path, change: signing.SignatureChange, trust: TrustStore | None = None) -> None:
    """Change the signatures of an advisories file, and print what is signed and by whom."""
    from bundlekit.authoring.advisory import opened

    with opened(file, at=wall_clock.now(), trust=trust, change=change.writes) as signed:
        done = signing.changed(signed, change)
    signing.report(done, change)
