"""The flow of the commands that change signatures: load the signers, make the change, and print what was done."""

from __future__ import annotations

import hashlib
import re
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from msgspec.structs import replace as replace_fields

from bundlekit.authoring.pkcs11_uri import PIN
from bundlekit.cli import common, destination, options
from bundlekit.cli.naming import shell_command
from bundlekit.cli.parameters import TimeSpan, key_type, path_type
from bundlekit.errors import SigningError
from bundlekit.files import LIMITS, read_bounded, whole_file
from bundlekit.report import json as as_json
from bundlekit.report.escape import escape
from bundlekit.report.signing import PreparedMessage, SigningResult, closing_lines, still_missing, valid_until
from bundlekit.trust.certificates import PURPOSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bundlekit.authoring.signatures import SignatureList
    from bundlekit.authoring.signers import SigningIdentity
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose
    from bundlekit.trust import SigningRequest


def _key_files(
    _context: click.Context, _option: click.Parameter, paths: tuple[Path | str, ...]
) -> tuple[Path | str, ...]:
    """The paths and addresses of tokens. What a service is asked with is not read, and not repeated."""
    for path in (str(one) for one in paths if isinstance(one, Path)):
        if re.match(r"(?i)[a-z][a-z0-9+.-]+:(?!\\)", path) and not Path(path).exists():
            kind = path.partition(":")[0].lower()
            raise click.BadParameter(
                f"a {kind}: address is neither a file nor the address of a key in a token. Let a command sign with it "
                "(--signer): see `bundlekit explain signing-rooms`."
            )
    return paths


EXAMPLE_RSA: Final = 3072
"""The bits that the floor of the example of a trust.toml requires of RSA keys."""

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
        type=key_type,
        multiple=True,
        callback=_key_files,
        metavar="FILE|pkcs11:...",
        help=f"Sign with this private key: PEM, or a key in a token (RFC 7512). {common.PASSPHRASE} can contain its "
        f"passphrase, and {PIN} the PIN.",
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
        help="Use this public key (PEM) of --signer or --attach, in place of a certificate.",
    ),
    click.option(
        "--signer-timeout",
        type=TimeSpan(),
        default="5 min",
        show_default=True,
        metavar="DURATION",
        help="Stop waiting for the command of --signer, or for the token, after this time.",
    ),
    click.option("--pss", is_flag=True, help="Sign with RSA-PSS instead of PKCS #1 v1.5."),
    purpose_option,
)
"""The options that ``build`` and ``sign`` share."""


def has_signer(given: dict[str, Any]) -> bool:
    """Whether the options name a key to sign with. UsageError if they do not fit together."""
    if given["signer"] and given["keys"]:
        raise click.UsageError("--signer cannot be combined with --key; sign twice")
    if given["public_key"] and given["keys"]:
        raise click.UsageError("--public-key cannot be combined with --key, which contains it")
    return bool(given["signer"] or given["keys"])


def load_signers(given: dict[str, Any]) -> tuple[SigningIdentity, ...]:
    """The signers of ``signer_options``."""
    from bundlekit.authoring import signers

    if not given["signer"]:
        if given["public_key"]:
            raise click.UsageError("--public-key is for --signer, and for --prepare and --attach of `sign`")
        terms = {"pss": given["pss"], "purpose": given["purpose"]}
        terms |= {"ask_pin": common.ask_pin, "timeout": given["signer_timeout"]}
        return signers.load_signers(given["keys"], given["certs"], ask=common.ask_passphrase, **terms)
    from bundlekit.authoring.signer_command import SignerCommand

    command = SignerCommand(given["signer"], timeout=given["signer_timeout"])
    return (_elsewhere(given, "--signer", command.sign, command.name),)


def _elsewhere(
    given: dict[str, Any], option: str, sign: Callable[[SigningRequest], bytes], name: str
) -> SigningIdentity:
    """The signer whose private key is somewhere else. UsageError if the options do not give its public half."""
    from bundlekit.authoring import signers

    if not given["certs"] and not given["public_key"]:
        raise click.UsageError(f"{option} needs the certificate of the key (--cert), or its --public-key")
    terms = {"pss": given["pss"], "purpose": given["purpose"]}
    return signers.external_signer(given["certs"], given["public_key"], sign, name=name, **terms)


def report_signed_without_certificate(signers: Sequence[SigningIdentity]) -> None:
    """Print a line for each key that signed without its certificate, because it can have been forgotten."""
    for signer in signers:
        if not signer.certificates:
            click.echo(
                f"{escape(signer.source)}: signed without a certificate, so this signature counts only for "
                "verifiers that pin this key; --cert adds the certificate",
                err=True,
            )


def warn_of_keys(signers: Sequence[SigningIdentity]) -> None:
    """Print what the signatures of a new file lack because of the keys that made them."""
    report_signed_without_certificate(signers)
    for signer in signers:
        warn(small_key(signer.key_name))


replace_option: Final = click.option(
    "--replace", type=click.IntRange(0), metavar="N", help="Replace signature N, counted from 0."
)
change_options: Final = options.combined(
    click.option(
        "--prepare",
        "prepared",
        type=path_type,
        metavar="FILE",
        help="Write what the key of --cert has to sign to this file, for --attach. The bundle is not changed.",
    ),
    click.option(
        "--attach",
        "attached",
        type=path_type,
        metavar="FILE",
        help="Add this signature: a detached CMS (DER), or with --cert the bare value for what --prepare wrote.",
    ),
    replace_option,
    click.option(
        "--remove", "removed", type=click.IntRange(0), metavar="N", help="Remove signature N, counted from 0."
    ),
    click.option(
        "--status", is_flag=True, help="Show who has signed, and change nothing; with --trust also who has not."
    ),
    options.trust_option,
    options.format_option(),
)
"""The options that select the change."""


class SignatureChange(NamedTuple):
    """What a command is asked to do: add the signatures of ``signers`` or of a file, remove one, or prepare one.

    ``key`` is a public key to verify an attached signature with. ``attaching`` are the options for what is prepared.
    """

    signers: tuple[SigningIdentity, ...] = ()
    prepared: Path | None = None
    attached: Path | None = None
    blob: bytes = b""
    key: Any = None
    replace: int | None = None
    removed: int | None = None
    purpose: Purpose = "code-signing"
    attaching: Mapping[str, object] = {}
    style: str = "text"

    @property
    def writes(self) -> bool:
        """Whether the file is changed."""
        return bool(self.blob or self.removed is not None or (self.signers and not self.prepared))

    @property
    def silent(self) -> bool:
        """Whether standard output is for something other than text."""
        return self.style == "json" or self.prepared == destination.STDOUT


class Done(NamedTuple):
    """What was done to the signatures of a file. It is printed after the file is written."""

    file: SignatureList
    result: SigningResult
    request: SigningRequest | None = None


def requested(given: dict[str, Any]) -> SignatureChange:
    """The change that the options ask for. UsageError unless it is clear what to do."""
    prepared, attached, replace, removed = (given[name] for name in ("prepared", "attached", "replace", "removed"))
    public = bool(given["certs"] or given["public_key"])
    wanted = [has_signer(given), bool(prepared), bool(attached), removed is not None, given["status"]]
    if wanted.count(True) != 1:
        raise click.UsageError("exactly one of --key, --signer, --prepare, --attach, --remove and --status is required")
    if replace is not None and (removed is not None or given["status"] or len(given["keys"]) > 1):
        raise click.UsageError("--replace requires one --key, --signer, --prepare or --attach")
    if given["style"] == "json" and prepared == destination.STDOUT:
        raise click.UsageError("--format json and --prepare - both need standard output")
    common.refuse_to_overwrite(prepared, in_place="prepared", option="--prepare")
    change = SignatureChange(replace=replace, removed=removed, purpose=given["purpose"], style=given["style"])
    if prepared:
        purpose = None if given["purpose"] == "code-signing" else given["purpose"]
        attaching = {"cert": given["certs"], "public_key": given["public_key"], "pss": given["pss"] or None}
        signer = _elsewhere(given, "--prepare", lambda _request: b"", str(prepared))
        attaching |= {"replace": replace, "purpose": purpose}
        return change._replace(prepared=prepared, signers=(signer,), attaching=attaching)
    if not attached:
        return change._replace(signers=load_signers(given))
    blob = read_signature(attached, bare=public)
    if not public:
        return change._replace(attached=attached, blob=blob)
    signer = _elsewhere(given, "--attach", lambda _request: blob, str(attached))
    if is_signed_data(blob):
        return change._replace(attached=attached, blob=blob, key=signer.key.public)
    return change._replace(signers=(signer,))


def changed(file: SignatureList, change: SignatureChange) -> Done:
    """Print what ``file`` is and its signatures, and make the change in memory. The caller writes the file."""
    if change.style == "text":
        for line in file.described():
            click.echo(escape(line), err=change.silent)
        for one in file.signatures:
            say(f"signature {one.index} present, by", one, err=change.silent)
    request = removed = message = None
    added: list[SignatureEvidence] = []
    if change.prepared:
        request = file.prepare(change.signers[0], replace=change.replace)
        message = described_message(change.prepared, request)
    else:
        removed = file.remove(change.removed) if change.removed is not None else None
        added = [file.sign(signer, replace=change.replace) for signer in change.signers]
    if change.blob:
        attach = partial(file.attach, replace=change.replace, purpose=change.purpose, origin=str(change.attached))
        added.append(attach(change.blob, key=change.key))
    warnings = [text for one in added for text in (file.out_of_time(one.index), file.unbound(one.index))]
    warnings += [file.out_of_time(change.signers[0])] if change.prepared else []
    used = [one.key_name for one in change.signers] or [one.algorithm for one in added]
    warnings += [small_key(name) for name in used]
    result = replace_fields(
        _result(file),
        added=tuple(added),
        removed=removed,
        prepared=message,
        warnings=tuple(filter(None, warnings)),
    )
    return Done(file, result, request)


def _result(file: SignatureList) -> SigningResult:
    """The signatures of a file as they are now, and what the trust still requires."""
    evidence, trusted = file.evidence, file.trust is not None
    return SigningResult(
        file=file.name,
        id=file.id,
        signatures=evidence.signatures or (),
        demands=evidence.demands or (),
        complete=evidence.authentic if trusted else None,
        missing=still_missing(evidence) if trusted else (),
        until=valid_until(evidence.signatures or ()),
    )


def described_message(path: Path, request: SigningRequest) -> PreparedMessage:
    """What is written for another computer."""
    hash_ = request.hash or "sha256"
    return PreparedMessage(
        file=str(path),
        size=len(request.message),
        algorithm=request.algorithm,
        hash=request.hash,
        salt=request.salt,
        digest=f"{hash_}:{hashlib.new(hash_, request.message).hexdigest()}",
    )


def report(done: Done, change: SignatureChange) -> None:
    """Print what was done. What was prepared is written now."""
    result = done.result
    if change.prepared and done.request:
        with whole_file(destination.opened(change.prepared)) as file:
            file.write(done.request.message)
    if change.style == "json":
        click.echo(as_json.render(result))
    else:
        if result.removed:
            say(f"removed signature {change.removed}, by", result.removed)
        for one in result.added:
            say("signed by", one)
        if result.prepared and done.request:
            _say_prepared(result.prepared, done.request, done.file, change)
        for line in closing_lines(result):
            click.echo(escape(line), err=change.silent)
    if not change.prepared:
        report_signed_without_certificate(change.signers)
    for text in result.warnings:
        warn(text)


def _say_prepared(
    prepared: PreparedMessage, request: SigningRequest, file: SignatureList, change: SignatureChange
) -> None:
    """How what was prepared is signed and attached."""
    assert change.prepared is not None  # noqa: S101 - it was prepared
    name = "FILE" if change.silent else prepared.file
    attach = shell_command(file.verb, file.name, attach=f"{name}.sig", **change.attaching)
    destination.report_written(change.prepared, f"{prepared.size} bytes, to be signed by {prepared.algorithm}")
    click.echo(f"digest    {prepared.digest}", err=change.silent)
    how = f"for example with `{_openssl(request, name, f'{name}.sig')}`"
    click.echo(f"next: Sign the file where the key is, {how}. Then run `{attach}`.", err=change.silent)


def _openssl(request: SigningRequest, name: str, value: str) -> str:
    """A command that makes the signature of a file with a key in a file."""
    if not request.hash:
        words = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", "KEY", "-in", name, "-out", value]
    else:
        pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", f"rsa_pss_saltlen:{request.salt}"] if request.salt else []
        words = ["openssl", "dgst", f"-{request.hash}", *pss, "-sign", "KEY", "-out", value, name]
    return shlex.join(words)


def is_signed_data(blob: bytes) -> bool:
    """Whether ``blob`` begins as a CMS SignedData does (RFC 5652 section 3), and no bare signature does."""
    return blob[:1] == b"\x30" and b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" in blob[:24]


def read_signature(path: Path, *, bare: bool = False) -> bytes:
    """The signature in a file: DER, or a ``bare`` value. SigningError if it is PEM, or larger than any signature."""
    blob = read_bounded(path, LIMITS["signature"], error=SigningError)
    if not blob:
        raise SigningError(f"{path}: empty file, but a signature{'' if bare else ' (DER)'} is required")
    if blob.startswith(b"-----BEGIN") and not (bare and b"BEGIN CMS" not in blob[:32]):
        name, der = (shlex.quote(str(one)) for one in (path, path.with_name(f"{path.name}.der")))
        raise SigningError(
            f"{path}: PEM file, but DER is required",
            next_step="Sign with `-outform DER`, or convert it: "
            f"`openssl cms -cmsout -inform PEM -in {name} -outform DER -out {der}`.",
        )
    return blob


def say(words: str, signature: SignatureEvidence, *, err: bool = False) -> None:
    """A line about a signature."""
    name = f"{signature.name} [{signature.role}]: " if signature.name else ""
    who = f"{name}{signature.signer or 'an unreadable signer'}"
    click.echo(f"{words} {escape(who)} ({signature.algorithm or 'unknown algorithm'})", err=err)


def say_missing(file: SignatureList, *, err: bool = False) -> None:
    """The lines about what the trust still requires of a file that was made now, and until when signatures count."""
    for line in closing_lines(_result(file)):
        click.echo(escape(line), err=err)


def small_key(algorithm: str) -> str:
    """What a signature by an RSA key lacks that is smaller than the floor of the example; empty if nothing."""
    bits = re.match(r"rsa-([0-9]+)", algorithm)
    if not bits or int(bits[1]) >= EXAMPLE_RSA:
        return ""
    return (
        f"{algorithm}: a trust.toml with the floor of `bundlekit trust --example` (RSA of {EXAMPLE_RSA} bits) rejects "
        "this signature; sign with a larger key"
    )


def warn(text: str) -> None:
    """A line on standard error, if there is anything to warn of."""
    if text:
        click.echo(f"warning: {escape(text)}", err=True)
