"""House rules: what a careful release has, though a bundle is no worse to install without it.

They warn, and refuse in a strict check. They alone can be waived: by name, with a reason and a last day, for
one bundle, from a file that the operator names (``bundlekit explain waivers``).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from bundlekit.checks.layout import NO_MANIFEST
from bundlekit.checks.rule import Answer, RuleContext, rule
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.model.finding import Fault, NotRun, PartialResult
from bundlekit.wording import fill

if TYPE_CHECKING:
    from bundlekit.matrix.lint import LintReport

MAX_WORK: Final = 20_000
"""How much (`matrix.work.lint_work`) the lint may do as a part of a check that does not need it: about a second."""

NOT_AS_A_WHOLE: Final = NotRun(because="this check is for an installation, not for the release as a whole")

SAID_ELSEWHERE: Final = {"manifest-inconsistent", "detour-unknown", "unknown-key"}
"""The first is a rule by itself; the second is asked with other bundles at hand, and here said of all versions at once
(`_with_what_is_not_seen`); the third is for whoever types names of keys: here they come from a trust.toml, which may
know signers that a matrix need not."""


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Ask the vendor what the extension means, or update bundlekit.",
    see="manifest",
)
def extension_not_understood(context: RuleContext) -> Answer:
    """The manifest carries an extension that this bundlekit does not understand, and so ignores."""
    if context.bundle.manifest is None:
        return NO_MANIFEST
    return [
        Fault(message=f"the extension {name!r} is not understood", subject=name)
        for name in sorted(context.bundle.manifest.extensions)
    ]


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Add the impact of the update to the SPEC: impact = { service = …, reboot = …, minutes = … }.",
    see="manifest",
    needed=lambda question: question.strict and question.scope == "full" and not question.asks_who,
)
def impact_not_said(context: RuleContext) -> Answer:
    """The manifest does not say what the update does to the service, whether it reboots, and how long it takes.

    Whoever has to plan the night of the update needs all three. It is about the release as a whole, so it is
    asked only where no installed version is asked about.
    """
    if context.bundle.manifest is None:
        return NO_MANIFEST
    if context.question.scope == "head" or context.question.asks_who:
        return NOT_AS_A_WHOLE
    impact = context.bundle.manifest.impact
    said = {"service": impact.service, "reboot": impact.reboot, "minutes": impact.minutes}
    missing = [name for name, value in said.items() if value is None]
    return [Fault(message=f"the impact of the update lacks {', '.join(missing)}")] if missing else ()


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Correct the matrix before the bundle ships; `bundlekit matrix lint` lists the details.",
    see="matrix",
    needed=lambda question: question.strict and question.scope == "full" and not question.asks_who,
)
def matrix_lint(context: RuleContext) -> Answer | PartialResult:
    """The upgrade matrix strands a version, or has an entry that is probably a mistake.

    Each message begins with the name of a rule of `bundlekit matrix lint`, which has a page of its own. It is
    about the release as a whole, so it is asked by `check` alone, and only where no installed version is asked
    about. Unless the check is strict, it is left out for a large matrix. In a strict check it is needed: it is run
    whatever the size, and where it was not run, the verdict is incomplete. Of a version that would
    have to go through another release, which no [[stop]] names, it is said that this was not judged: whether it
    can go there, one bundle cannot say. `bundlekit matrix lint` can, given the others.
    """
    manifest = context.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    if context.question.scope == "head" or context.question.asks_who:
        return NOT_AS_A_WHOLE
    if context.question.trust and not context.evidence.authentic:
        return NotRun(because="the upgrade matrix is not signed by a trusted signer")

    from bundlekit.matrix.budget import COMPARISONS
    from bundlekit.matrix.lint import lint, source_cannot_verify  # a pre-flight should not pay for these
    from bundlekit.matrix.shipped import signatures_of
    from bundlekit.matrix.work import lint_work

    matrix = context.matrix or read_matrix(manifest)
    if isinstance(matrix, ReadMatrix) and lint_work(matrix, ()) > (
        COMPARISONS["lint"] if context.question.strict else MAX_WORK
    ):
        return NotRun(because="the upgrade matrix is large; `bundlekit matrix lint` takes its time for it")

    # Names of signers come with a trust.toml; without one it stays open whether a source can verify the bundle.
    named = [signature.name for signature in context.evidence.signatures or () if signature.counts and signature.name]
    report = lint(
        manifest,
        at=context.question.at[: len("2026-11-23")],
        signers=named if named and manifest.matrix.trusted_keys else None,
        signatures=signatures_of(context.bundle, context.question.at),
        matrix=matrix,
    )
    found = [
        Fault(
            message=f"{finding.rule}: {finding.message}",
            subject=finding.subject,
            entry=finding.entry,
            next=finding.next,
            params={"lint": finding.rule},
        )
        for finding in report.findings
        if finding.severity != "info" and finding.rule not in SAID_ELSEWHERE
    ]
    if context.question.strict and not found and source_cannot_verify.name in report.not_run:
        because = f"{source_cannot_verify.name}: {report.not_run[source_cannot_verify.name]}"
        return NotRun(because=because, next=fill("Give a trust.toml, which names the signers ({trust})."))
    return _with_what_is_not_seen(found, report)


def _with_what_is_not_seen(found: list[Fault], report: LintReport) -> Answer | PartialResult:
    """What was found, and from which versions no way can be seen, for it leads through releases not in hand.

    No finding: most releases leave their oldest versions to those in between.
    """
    from bundlekit.matrix.lint import detour_unknown, listed

    versions = [finding.subject for finding in report.findings if finding.rule == detour_unknown.name]
    if not versions:
        return found
    return PartialResult(
        faults=tuple(found),
        because=f"upgrade paths from {listed(versions)} depend on bundles of other releases",
        next="Pass these bundles to `bundlekit matrix lint`. If the path is known, declare it in a [[stop]].",
    )


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Correct the clock, or `released` in the SPEC, and build again, or check for the day of the release ({at}).",
    see="manifest",
)
def released_in_future(context: RuleContext) -> Answer:
    """The release date is more than a day after the time used.

    The date orders releases: every version that comes out until then counts as older than this one, and may not
    be installed over it (`back-in-time`). Either the date is a slip of the pen, or the clock is wrong. A day is
    left for those whose day begins earlier than in UTC.
    """
    manifest = context.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    now = dt.date.fromisoformat(context.question.at[: len("2026-11-23")])
    if manifest.released <= (now if now == dt.date.max else now + dt.timedelta(days=1)).isoformat():
        return ()
    message = f"the bundle claims a release on {manifest.released}, and the time used is {now}"
    return [Fault(message=message, params={"released": manifest.released, "at": str(now)})]


RULES: Final = (extension_not_understood, impact_not_said, matrix_lint, released_in_future)
