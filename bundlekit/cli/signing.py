"""What the verbs that change signatures share: which change, the file of a signature, and what is printed of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import click

from bundlekit.cli import common
from bundlekit.errors import SigningError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bundlekit.model.evidence import SignatureEvidence


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which change is made."""
    options: list[Any] = [
        click.option("--attach", "attached", type=common.path_type, help="Add this signature (a detached CMS, DER)."),
        replace_option,
        click.option("--remove", "removed", type=click.IntRange(0), metavar="N", help="Take signature N, from 0, out."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


replace_option: Final = click.option(
    "--replace", type=click.IntRange(0), metavar="N", help="Put it in the place of signature N, from 0."
)


def demand_one_change(keys: Sequence[Path], attached: Path | None, removed: int | None, replace: int | None) -> None:
    """UsageError unless it is clear what to do."""
    if [bool(keys), bool(attached), removed is not None].count(True) != 1:
        raise click.UsageError("exactly one of --key, --attach and --remove is needed")
    if replace is not None and (removed is not None or len(keys) > 1):
        raise click.UsageError("--replace goes with one --key, or with --attach")


def read_signature(path: Path) -> bytes:
    """The signature in a file, DER. SigningError if it is PEM, or cannot be read within its bound."""
    blob = read_bounded(path, LIMITS["signature"], error=SigningError)
    if blob.startswith(b"-----BEGIN"):
        name, der = (shlex.quote(str(one)) for one in (path, path.with_name(f"{path.name}.der")))
        raise SigningError(
            f"{path}: is PEM, and has to be DER",
            next_step="Sign with `-outform DER`, or convert it: "
            f"`openssl cms -cmsout -inform PEM -in {name} -outform DER -out {der}`.",
        )
    return blob


def say(words: str, signature: SignatureEvidence) -> None:
    """A line about a signature."""
    who = signature.signer or "nobody that can be read"
    click.echo(f"{words} {escape(who)} ({signature.algorithm or 'unknown algorithm'})")


def warn(text: str) -> None:
    """A line on standard error, if there is anything to warn of."""
    if text:
        click.echo(f"warning: {escape(text)}", err=True)
