"""``bundlekit matrix``: look at an upgrade matrix before it ships."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundlekit import wall_clock
from bundlekit.cli import common, options
from bundlekit.cli.matrix_graph import export_command, import_command
from bundlekit.cli.parameters import bundle_type
from bundlekit.cli.verbs import VerbGroup
from bundlekit.report import json as as_json
from bundlekit.report.escape import escape
from bundlekit.wording import command as command_text

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

    from bundlekit.matrix.candidates import CandidateBundle
    from bundlekit.matrix.lint import LeftOut
    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.shipped import SignedManifest
    from bundlekit.model.manifest import Manifest
    from bundlekit.report.text import Line
    from bundlekit.trust import TrustStore

EXAMPLES = """\b
Examples:
  bundlekit matrix show update.bin
  bundlekit matrix lint SPEC.toml 5.30.02.bin --signed-by release-2027
  bundlekit matrix diff 5.40.00.bin SPEC.toml
"""


@click.group(cls=VerbGroup, epilog=EXAMPLES)
def command() -> None:
    """Examine an upgrade matrix before release: its table, its mistakes and its changes."""


@command.command(epilog="Example: bundlekit matrix show SPEC.toml --format csv > tests.csv")
@options.release_argument
@options.trust_option
@options.advisories_option
@options.format_option("csv")
def show(release: Path, trusted: tuple[Path, ...], advisories: Path | None, style: str) -> int:
    """Show the decision for every version that a matrix knows, on every model, as a list of what to test."""
    from bundlekit.matrix.table import table
    from bundlekit.report.matrix import table_csv, table_lines

    trust = common.load_trusted(trusted)
    shown = table(common.load_matrix(release, trust, _restriction(advisories, trust, wall_clock.now())))
    if style == "csv":
        common.write(table_csv(shown), None)
    else:
        _print(shown, table_lines(shown), style)
    return 0


@command.command(epilog="Exit codes: 0 accept, 1 an error was found, 2 usage, 3 incomplete.")
@options.release_argument
@click.argument("others", nargs=-1, type=bundle_type, metavar="[OTHER BUNDLE...]")
@options.config_options
@options.trust_option
@click.option(
    "--signed-by",
    "signers",
    multiple=True,
    metavar="KEY",
    help="Name a signer of the release. Not needed with a trust.toml that lists the signers.",
)
@options.catalog_option
@click.option(
    "--supported",
    multiple=True,
    metavar="VERSION",
    help="Check this version in the field. The default is all known versions.",
)
@options.at_option
@options.advisories_option
@options.strict_option
@options.format_option()
def lint(
    release: Path,
    others: tuple[Path, ...],
    catalogs: tuple[Path, ...],
    trusted: tuple[Path, ...],
    signers: tuple[str, ...],
    supported: tuple[str, ...],
    at: dt.datetime | None,
    advisories: Path | None,
    style: str,
    *,
    strict: bool,
) -> int:
    """Find mistakes in a matrix, and versions without an upgrade path to this release.

    Other bundles, and those of a catalog, are possible intermediate releases. A version whose support has ended,
    according to the catalog, is not reported as stranded.
    """
    from bundlekit.matrix.lint import lint as lint_matrix
    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.report.matrix import lint_lines

    trust = common.load_trusted(trusted)
    at = at or wall_clock.now()
    today = at.date().isoformat()
    candidates: tuple[CandidateBundle, ...] = ()
    if catalogs:
        from bundlekit.catalog import collect

        collected = collect(catalogs, trust=trust, at=at)
        candidates = collected.candidates
        for one in collected.skipped:
            click.echo(f"not used: {escape(one.subject)}: {escape(one.message)}", err=True)
    if operator := common.operators_matrix(release):
        manifest, left_out = _alone(operator)
        signatures, named = None, None
    else:
        manifest, signatures, named = common.load_release(release, trust, at)
        left_out = None
    manifest = _restriction(advisories, trust, at)(manifest)
    if named is not None and (strangers := sorted(set(signers) - named)):
        raise click.UsageError(
            f"--signed-by {strangers[0]}: by the trust file {escape(str(release))} is signed by "
            f"{', '.join(sorted(named)) or 'no named signer'} only"
        )
    if not signers and named is not None and manifest.matrix.trusted_keys:
        signers = tuple(sorted(named))
    if signatures is None or not signatures.signers:
        released = manifest.released
        signatures = (
            BundleSignatures(signers, at.isoformat(), product=manifest.product, released=released) if signers else None
        )
    report = lint_matrix(
        manifest,
        [*(_with_signers(other, trust, at) for other in others), *map(_as_signed, candidates)],
        at=today,
        signers=signers or None,
        signatures=signatures,
        supported=supported or None,
        ended=[
            candidate.manifest.version
            for candidate in candidates
            if candidate.supported_until and candidate.supported_until < today
        ],
        strict=strict,
        left_out=left_out,
    )
    _print(report, lint_lines(report), style)
    return common.EXIT[report.verdict]


@command.command(epilog="Exit codes: 0 no version loses an update, 1 a version loses one, 2 usage, 3 incomplete.")
@click.argument("old", type=bundle_type, metavar="OLD")
@click.argument("new", type=bundle_type, metavar="NEW")
@options.trust_option
@options.format_option()
def diff(old: Path, new: Path, trusted: tuple[Path, ...], style: str) -> int:
    """Show which versions gain and which lose between two matrices, each in a bundle, SPEC.toml or MATRIX.toml."""
    from bundlekit.matrix.diff import diff as compare
    from bundlekit.report.matrix import diff_lines

    trust = common.load_trusted(trusted)
    found = compare(common.load_matrix(old, trust), common.load_matrix(new, trust))
    _print(found, diff_lines(found), style)
    return 1 if found.a_version_loses else 0


def _alone(operator: OperatorMatrix) -> tuple[Manifest, LeftOut]:
    """The manifest of an operator's matrix for the lint, and what cannot be linted without the bundle."""
    from bundlekit.matrix.lint import LeftOut
    from bundlekit.matrix.operator import manifest_without_release

    check = command_text("check", "BUNDLE", matrix=operator.file, sources="VERSION")
    other = {"conditions of the bundle": f"the matrix does not contain them; {check} evaluates them"}
    if not operator.release.models:
        other["models of the bundle"] = "[release] has no models, so those that entries name are not compared with them"
    no_release = "" if operator.release.version else "[release] has no version, so the release to reach is unknown"
    left_out = LeftOut(no_release, other, f"Correct it in {operator.file}.")
    return manifest_without_release(operator), left_out


def _with_signers(other: Path, trust: TrustStore | None, at: dt.datetime) -> SignedManifest:
    """The manifest of another release, with who signed it; of a SPEC.toml this is not known."""
    from bundlekit.matrix.shipped import SignedBy, SignedManifest

    manifest, signatures, named = common.load_release(other, trust, at)
    return SignedManifest(manifest=manifest, by=SignedBy(signers=named, signatures=signatures))


def _as_signed(candidate: CandidateBundle) -> SignedManifest:
    from bundlekit.matrix.shipped import SignedBy, SignedManifest

    signers = None if candidate.signed_by is None else frozenset(candidate.signed_by)
    return SignedManifest(manifest=candidate.manifest, by=SignedBy(signers=signers, signatures=candidate.signatures))


def _restriction(advisories: Path | None, trust: TrustStore | None, at: dt.datetime) -> Callable[[Manifest], Manifest]:
    """What the advisories do to a manifest: nothing without them."""
    if advisories is None:
        return lambda manifest: manifest
    from bundlekit.advisories import load_advisory
    from bundlekit.decisions import advised

    advice = load_advisory(advisories, trust=trust, at=at)
    return lambda manifest: advised(manifest, advice)


def _print(value: Any, lines: Iterable[Line], style: str) -> None:
    if style == "json":
        common.write(as_json.render(value) + "\n", None)
    else:
        coloured = common.colours(sys.stdout)
        common.write("".join(common.styled(line, coloured=coloured) + "\n" for line in lines), None)


command.add_command(import_command)
command.add_command(export_command)
