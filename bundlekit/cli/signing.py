"""The flow of the commands that change signatures: load the signers, make the change, and print what was done."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from bundlekit.cli import common, options
from bundlekit.cli.parameters import TimeSpan, path_type
from bundlekit.errors import SigningError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.report.escape import escape
from bundlekit.trust.certificates import PURPOSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.authoring.signatures import SignatureList
    from bundlekit.authoring.signers import SigningIdentity
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose


def _key_files(_context: click.Context, _option: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The paths, if they are some. What a token or a vault is asked with is not read, and not repeated."""
    for path in map(str, paths):
        if re.match(r"(?i)[a-z][a-z0-9+.-]+:(?!\\)", path) and not Path(path).exists():
            kind = path.partition(":")[0].lower()
            raise click.BadParameter(
                f"a {kind}: address is not a file. Let the module sign the output of `bundlekit extract --head`, then "
                "add its signature: `bundlekit sign update.bin --attach sig.der`."
            )
    return paths


purpose_option: Final = click.option(
    "--purpose",
    type=click.Choice(list(PURPOSES)),
    default="code-signing",
    show_default=True,
    help="Require this extended key usage, which must be the `purpose` in the trust.toml of verifiers.",
)


signer_options: Final = options.combined(
    click.option(
        "--key",
        "keys",
        type=path_type,
        multiple=True,
        callback=_key_files,
        help=f"Sign with this private key (PEM). {common.PASSPHRASE} can contain its passphrase.",
    ),
    click.option(
        "--cert",
        "certs",
        type=path_type,
        multiple=True,
        help="Use this certificate of a key, followed by its CAs (PEM). A key without one must be pinned.",
    ),
    click.option(
        "--signer",
        "signer",
        metavar="COMMAND",
        help="Sign with this command, which has the key. It gets the message on standard input, and prints the bare "
        "signature (see `bundlekit explain signing-rooms`).",
    ),
    click.option(
        "--public-key",
        type=path_type,
        metavar="FILE",
        help="Use this public key (PEM) of --signer, in place of a certificate.",
    ),
    click.option(
        "--signer-timeout",
        type=TimeSpan(),
        default="5 min",
        show_default=True,
        metavar="DURATION",
        help="Stop the command of --signer after this time.",
    ),
    click.option("--pss", is_flag=True, help="Sign with RSA-PSS instead of PKCS #1 v1.5."),
    purpose_option,
)
"""The options that ``build`` and ``sign`` share."""


def has_signer(given: dict[str, Any]) -> bool:
    """Whether the options name a key to sign with. UsageError if they do not fit together."""
    if given["signer"] and given["keys"]:
        raise click.UsageError("--signer cannot be combined with --key; sign twice")
    if given["public_key"] and not given["signer"]:
        raise click.UsageError("--public-key needs --signer")
    return bool(given["signer"] or given["keys"])


def load_signers(given: dict[str, Any]) -> tuple[SigningIdentity, ...]:
    """The signers of ``signer_options``."""
    from bundlekit.authoring import signers

    terms = {"pss": given["pss"], "purpose": given["purpose"]}
    if not given["signer"]:
        return signers.load_signers(given["keys"], given["certs"], ask=common.ask_passphrase, **terms)
    if not given["certs"] and not given["public_key"]:
        raise click.UsageError("--signer needs the certificate of its key (--cert), or its --public-key")
    from bundlekit.authoring.signer_command import SignerCommand

    command = SignerCommand(given["signer"], timeout=given["signer_timeout"])
    return (signers.external_signer(given["certs"], given["public_key"], command.sign, name=command.name, **terms),)


def report_signed_without_certificate(signers: Sequence[SigningIdentity]) -> None:
    """Print a line for each key that signed without its certificate, because it can have been forgotten."""
    for signer in signers:
        if not signer.certificates:
            click.echo(
                f"{escape(signer.source)}: signed without a certificate, so this signature counts only for "
                "verifiers that pin this key; --cert adds the certificate",
                err=True,
            )


replace_option: Final = click.option(
    "--replace", type=click.IntRange(0), metavar="N", help="Replace signature N, counted from 0."
)
change_options: Final = options.combined(
    click.option("--attach", "attached", type=path_type, help="Add this signature (a detached CMS, DER)."),
    replace_option,
    click.option(
        "--remove", "removed", type=click.IntRange(0), metavar="N", help="Remove signature N, counted from 0."
    ),
)
"""The options that select the change."""


class SignatureChange(NamedTuple):
    """What a command is asked to do: add the signatures of ``signers`` or of a file, or remove one."""

    signers: tuple[SigningIdentity, ...] = ()
    attached: Path | None = None
    blob: bytes = b""
    replace: int | None = None
    removed: int | None = None
    purpose: Purpose = "code-signing"


class Done(NamedTuple):
    """What was done, and the warnings about it. It is printed after the file is written."""

    change: SignatureChange
    added: tuple[SignatureEvidence, ...]
    removed: SignatureEvidence | None
    warnings: tuple[str, ...]


def requested(given: dict[str, Any]) -> SignatureChange:
    """The change that the options ask for. UsageError unless it is clear what to do."""
    attached, replace, removed = given["attached"], given["replace"], given["removed"]
    if [has_signer(given), bool(attached), removed is not None].count(True) != 1:
        raise click.UsageError("exactly one of --key, --signer, --attach and --remove is required")
    if replace is not None and (removed is not None or len(given["keys"]) > 1):
        raise click.UsageError("--replace requires one --key, --signer, or --attach")
    return SignatureChange(
        signers=load_signers(given),
        attached=attached,
        blob=read_signature(attached) if attached else b"",
        replace=replace,
        removed=removed,
        purpose=given["purpose"],
    )


def changed(file: SignatureList, change: SignatureChange) -> Done:
    """Print the signatures of ``file``, and make the change in memory. The caller writes the file."""
    for one in file.signatures:
        say(f"signature {one.index} present, by", one)
    removed = file.remove(change.removed) if change.removed is not None else None
    added = [file.sign(signer, replace=change.replace) for signer in change.signers]
    if change.blob:
        origin = str(change.attached)
        added.append(file.attach(change.blob, replace=change.replace, purpose=change.purpose, origin=origin))
    warnings = [text for one in added for text in (file.out_of_time(one.index), file.unbound(one.index)) if text]
    return Done(change, tuple(added), removed, tuple(warnings))


def report(done: Done) -> None:
    """Print what was done."""
    if done.removed:
        say(f"removed signature {done.change.removed}, by", done.removed)
    for one in done.added:
        say("signed by", one)
    report_signed_without_certificate(done.change.signers)
    for text in done.warnings:
        warn(text)


def read_signature(path: Path) -> bytes:
    """The signature in a file, DER. SigningError if it is PEM, or cannot be read within its bound."""
    blob = read_bounded(path, LIMITS["signature"], error=SigningError)
    if not blob:
        raise SigningError(f"{path}: empty file, but a signature (DER) is required")
    if blob.startswith(b"-----BEGIN"):
        name, der = (shlex.quote(str(one)) for one in (path, path.with_name(f"{path.name}.der")))
        raise SigningError(
            f"{path}: PEM file, but DER is required",
            next_step="Sign with `-outform DER`, or convert it: "
            f"`openssl cms -cmsout -inform PEM -in {name} -outform DER -out {der}`.",
        )
    return blob


def say(words: str, signature: SignatureEvidence) -> None:
    """A line about a signature."""
    who = signature.signer or "an unreadable signer"
    click.echo(f"{words} {escape(who)} ({signature.algorithm or 'unknown algorithm'})")


def warn(text: str) -> None:
    """A line on standard error, if there is anything to warn of."""
    if text:
        click.echo(f"warning: {escape(text)}", err=True)
