"""Best-practice rules: what a careful release contains, although a bundle without it can be installed.

They produce warnings, and reject the bundle only in a strict check. Only these rules can be waived. A waiver names the
rule, a reason, a last day and one bundle. It is in a file that the operator names (``bundlekit explain waivers``).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from bundlekit.checks.layout import NO_HEAD, NO_MANIFEST
from bundlekit.checks.rule import RuleAnswer, RuleContext, rule
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.model.finding import Fault, NotRun, PartialResult
from bundlekit.wording import count, fill, given

if TYPE_CHECKING:
    from bundlekit.matrix.lint import LintReport

MAX_WORK: Final = 20_000
"""Units of work (`matrix.work.lint_work`) that the lint can use in a check that does not need it: about one second."""

DAY: Final = 24 * 60 * 60
"""Seconds."""

NOT_AS_A_WHOLE: Final = NotRun(reason="this check is for an installation, not for the release as a whole")

SAID_ELSEWHERE: Final = {"manifest-inconsistent", "detour-unknown", "unknown-key"}
"""Lint rules that are reported elsewhere.

``manifest-inconsistent`` is a rule of its own. ``detour-unknown`` needs other bundles; here all its versions are
reported together (`_with_what_is_not_seen`). ``unknown-key`` is for people who type names of keys. Here the names come
from a trust.toml, which can list signers that a matrix does not need.
"""


@rule(
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Ask the vendor what the extension means, or update bundlekit.",
    see="manifest",
    aspect="manifest",
)
def extension_not_understood(context: RuleContext) -> RuleAnswer:
    """The manifest contains an extension that this bundlekit does not understand and therefore ignores."""
    if context.bundle.manifest is None:
        return NO_MANIFEST
    return [
        Fault(message=f"the extension {name!r} is not understood", subject=name)
        for name in sorted(context.bundle.manifest.extensions)
    ]


@rule(
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Add the impact of the update to the SPEC: impact = { service = …, reboot = …, minutes = … }.",
    see="manifest",
    needed=lambda question: question.strict and question.scope == "full" and not question.asks_who,
    aspect="manifest",
)
def impact_not_said(context: RuleContext) -> RuleAnswer:
    """The manifest does not specify the impact on the service, whether the update reboots, or how long it takes.

    An operator needs all three to plan a maintenance window. The rule is about the release as a whole. It is therefore
    applied only if the request names no installed version.
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
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Correct the matrix before the bundle ships; `bundlekit matrix lint` lists the details.",
    see="matrix",
    needed=lambda question: question.strict and question.scope == "full" and not question.asks_who,
    aspect="manifest",
)
def matrix_lint(context: RuleContext) -> RuleAnswer | PartialResult:
    """The upgrade matrix strands a version, or has an entry that is probably a mistake.

    Each message begins with the name of a rule of `bundlekit matrix lint`, which has a page of its own. The rule is
    about the release as a whole. It is therefore applied only by `check`, and only if the request names no installed
    version.

    A strict check needs this rule and runs it for a matrix of any size. If it did not run, the verdict is incomplete.
    Any other check leaves it out for a large matrix.

    Some versions would have to go through another release that no [[stop]] names. One bundle cannot show whether such a
    path exists, so these versions are reported as not evaluated. `bundlekit matrix lint` can evaluate them if it is
    given the other bundles.
    """
    manifest = context.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    if context.question.scope == "head" or context.question.asks_who:
        return NOT_AS_A_WHOLE
    if context.question.trust and not context.evidence.authentic:
        return NotRun(reason="the upgrade matrix is not signed by a trusted signer")

    from bundlekit.matrix.budget import COMPARISONS
    from bundlekit.matrix.lint import lint, source_cannot_verify  # a pre-flight must not pay for these
    from bundlekit.matrix.shipped import signatures_of
    from bundlekit.matrix.work import lint_work

    matrix = context.matrix or read_matrix(manifest)
    if isinstance(matrix, ReadMatrix) and lint_work(matrix, ()) > (
        COMPARISONS["lint"] if context.question.strict else MAX_WORK
    ):
        return NotRun(reason="the upgrade matrix is too large for a check; run `bundlekit matrix lint`")

    # The trust.toml provides the names of signers. Without it, whether a source can verify the bundle stays open.
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
        return NotRun(reason=because, next=fill("Give a trust.toml, which names the signers ({trust})."))
    return _with_what_is_not_seen(found, report)


def _with_what_is_not_seen(found: list[Fault], report: LintReport) -> RuleAnswer | PartialResult:
    """The faults, and the versions whose path cannot be seen because it leads through releases that are not available.

    The latter are not findings: most releases leave their oldest versions to the releases in between.
    """
    from bundlekit.matrix.lint import detour_unknown, listed

    versions = [finding.subject for finding in report.findings if finding.rule == detour_unknown.name]
    if not versions:
        return found
    return PartialResult(
        faults=tuple(found),
        reason=f"upgrade paths from {listed(versions)} depend on bundles of other releases",
        next="Pass these bundles to `bundlekit matrix lint`. If the path is known, declare it in a [[stop]].",
    )


@rule(
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Correct the clock, or `released` in the SPEC, and build again, or check for the day of the release ({at}).",
    see="manifest",
    aspect="manifest",
)
def released_in_future(context: RuleContext) -> RuleAnswer:
    """The release date is more than a day after the reference time.

    The date orders releases. Every version released before that date counts as older than this one, and must not be
    installed over it (`back-in-time`). Either the date is wrong, or the clock is. One day is allowed for time zones
    ahead of UTC.
    """
    manifest = context.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    now = dt.date.fromisoformat(context.question.at[: len("2026-11-23")])
    if manifest.released <= (now if now == dt.date.max else now + dt.timedelta(days=1)).isoformat():
        return ()
    message = f"the bundle claims a release on {manifest.released}, and the time used is {now}"
    return [Fault(message=message, params={"released": manifest.released, "at": str(now)})]


@rule(
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Sign again with a renewed certificate or key; `bundlekit explain key-rotation` describes how.",
    see="signing-rooms",
    needed=lambda question: question.warn_within is not None,
)
def signer_ends_soon(context: RuleContext) -> RuleAnswer:
    """A signature that counts now ends within the time that the request names.

    It ends with the first certificate of its chain, or on the last day that the trust file gives the signer or the key.
    After that it is `signer-expired`, and an installed appliance with the same trust rejects the bundle. If several
    chains are valid, the one that ends last decides. With ``time = "released"`` in the trust file nothing ends.
    """
    within, signatures = context.question.warn_within, context.evidence.signatures
    if within is None:
        return NotRun(reason=f"no time to warn within was given ({given('warn_within')})")
    if signatures is None:
        return NO_HEAD
    if not context.question.trust:
        return NotRun(reason=f"no trust anchors were given ({given('trust')}), so no signature counts")
    now = dt.datetime.fromisoformat(context.question.at)
    found = []
    for one in signatures:
        end = dt.datetime.fromisoformat(one.until) if one.counts and one.until else None
        if end is None or (left := (end - now).total_seconds()) > within:
            continue
        who = one.name or one.signer
        days = max(0, int(left // DAY))
        found.append(
            Fault(
                message=f"the signature of {who} counts until {end:%Y-%m-%d}, which is in {count(days, 'day')}",
                where=one.where,
                subject=f"signature {one.index}",
                params={"until": f"{end:%Y-%m-%d}", "days": days, "signer": who},
            )
        )
    return found


RULES: Final = (extension_not_understood, impact_not_said, matrix_lint, released_in_future, signer_ends_soon)
