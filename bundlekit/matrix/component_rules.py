"""The rules about one part of the appliance: numbers 7 to 17 of the order in decide.py."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.facts import in_words
from bundlekit.matrix.context import why
from bundlekit.matrix.key_rules import rule_verify
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.decision import Acceptance, ComponentDecision
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.matrix.read import ReadMatrix, ReadSource
    from bundlekit.model.decision import DecisionKind
    from bundlekit.model.matrix import Block, Entry, Source
    from bundlekit.versions import Version

MAX_ASKED: Final = 16
"""Releases that are tried as a way to the bundle: enough for a hint, little for a huge matrix."""

_UNKNOWN: Final = "Check which version is installed; if it is right, ask the vendor for a bundle that knows it."


class Installed(Frozen, frozen=True, kw_only=True):
    """A part of the appliance as it is now; ``subject`` is the name under which it is ruled about."""

    subject: str
    component: str
    version: str
    build: str | None = None
    released: str | None = None
    model: str | None = None


def rule_part(context: EvaluationContext, part: Installed) -> ComponentDecision:
    """Rules 7 and 8, and for the part that the matrix is about all that follow."""
    matrix, is_primary = context.matrix, part.component == context.matrix.primary_component
    target = matrix.carried[part.component]
    ruled = partial(_ruled, part, target.text)
    try:
        installed = matrix.parse(part.component, part.version)
    except VersionError as fault:  # 7
        if is_primary and _fits(matrix, part.version):
            return ruled("unknown-version", f"The matrix does not know {part.version}.", _UNKNOWN)
        return ruled("unreadable-version", str(fault), "Check which version is installed.")

    if installed == target:  # 8
        build = part.build or installed.build
        new_build = (context.manifest.build if is_primary else None) or target.build
        if build and new_build and build != new_build:
            return ruled(
                "same-version-other-build",
                f"{part.version} is installed already, as build {build}; the bundle has build {new_build}.",
                "Take a newer version; another build of the same one needs --allow-same-version.",
                override="allow-same-version" if context.policy.allow_same_version else "",
            )
        return ruled(
            "same-version",
            f"{part.version} is installed already.",
            "Nothing has to be done; to install it once more needs --allow-reinstall.",
            override="allow-reinstall" if context.policy.allow_reinstall else "",
        )
    if installed > target and not context.policy.allow_downgrade:
        return ruled(
            "downgrade",
            f"{target} is older than the installed {part.version}; an older version goes in by re-imaging only.",
            f"Take a version newer than {part.version}; go back only by re-imaging with {target}.",
        )
    if is_primary:
        return _rule_primary(context, part, installed)
    return _moves(ruled, installed, target)


def rule_unmoved_part(context: EvaluationContext, part: Installed) -> ComponentDecision:
    """Rule 7 for a part that the bundle does not carry: its version still has to work with what comes."""
    ruled = partial(_ruled, part, part.version)
    try:
        context.matrix.parse(part.component, part.version)
    except VersionError as fault:
        return ruled("unreadable-version", str(fault), f"Check which version of {part.component} is installed.")
    return ruled("stays", f"The bundle does not carry {part.component}, so {part.version} stays.")


def _rule_primary(context: EvaluationContext, part: Installed, installed: Version) -> ComponentDecision:
    """Rules 9 to 17: what the matrix says of the version that it is about."""
    matrix, own = context.matrix, context.matrix.own
    ruled = partial(_ruled, part, own.text)
    doubts: list[ComponentDecision] = []

    def doubt(kind: DecisionKind, unknown: str, message: str, remedy: str, entry: Entry | None = None) -> None:
        # Asked about a mere version, we say what was left open; of an appliance, it has to be known.
        if context.appliance is None:
            context.leave_open(unknown, kind)
        else:
            doubts.append(ruled("undecided", message, remedy, entry))

    is_known = installed in matrix.known
    source = _source(matrix, part, installed)
    is_edge = source is not None and source.range.exact is not None

    if part.released is None and source is not None and not is_known and not is_edge:  # 9
        doubt(
            "back-in-time",
            f"whether {part.version} was released after the bundle",
            f"It is not known when {part.version} was released, so it is possibly newer than the bundle.",
            "Give the release date of the installed version in the appliance state.",
        )
    elif part.released is not None and part.released > context.manifest.released and not is_edge:
        return ruled(
            "back-in-time",
            f"{part.version} was released on {part.released}, after the bundle ({context.manifest.released}), "
            "which can lack fixes of that release.",
            f"Take a bundle released after {part.released}.",
        )

    if source is None and not is_known and matrix.known:  # 10
        return ruled("unknown-version", f"The matrix does not know {part.version}.", _UNKNOWN)

    for dead_end in matrix.dead_ends:  # 11
        if installed in dead_end.range:
            return ruled(
                "dead-end",
                f"No update leads out of {part.version}.{why(dead_end.entry)}",
                f"Re-image with {own}.",
                dead_end.entry,
            )

    for block in matrix.blocks:  # 12
        if installed in block.range and _is_for(block.entry.models, part):
            return ruled(
                "blocked",
                f"{part.version} must not be updated to {own}.{why(block.entry)}",
                _past_block(context, installed, block.entry),
                block.entry,
            )

    stops = []  # 13
    for stop in matrix.stops:
        condition = stop.entry.when
        if not stop.lies_between(installed, own):
            continue
        if condition is None or (needed := context.holds(condition)):
            stops.append(stop)
        elif needed is None:
            because, remedy = context.unknown(condition)
            doubt(
                "needs-stop",
                f"the stop {stop.entry.id}, for where {in_words(condition)}",
                f"{stop.via} has to come first where {in_words(condition)}, and {because}.",
                f"{remedy} Or update to {stop.via} first.",
                stop.entry,
            )
    if stops:
        first = min(stops, key=lambda stop: stop.via)
        return ruled(
            "needs-stop",
            f"The upgrade path from {part.version} to {own} leads through {first.via}.{why(first.entry)}",
            f"Update to {first.via} first.",
            first.entry,
        )

    if source is None:  # 14
        return ruled(
            "unsupported-source",
            f"The bundle does not support the update from {part.version} to {own}.",
            _past_no_source(context, part, installed),
        )
    if source.entry.method == "reimage":
        return ruled(
            "reimage-only",
            f"From {part.version} only re-imaging leads to {own}.{why(source.entry)}",
            f"Re-image with {own}.",
            source.entry,
        )

    if (ruling := rule_verify(context, installed, source, ruled, doubt)) is not None:  # 15
        return ruling

    differ = part.component == APPLIANCE and source.entry.method == "rolling"  # 16
    if differ and matrix.skews and not any(installed in skew.old and own in skew.new for skew in matrix.skews):
        return ruled(
            "incompatible",
            f"While one member has {own} and the other still {part.version}, the two do not work together.",
            "Update through a release that works with both.",
        )

    for risk in matrix.risks:  # 17
        applies = context.holds(risk.entry.when)
        if installed not in risk.range or applies is False:
            continue
        given = [acceptance for acceptance in context.policy.accepted_risks if acceptance.risk == risk.entry.id]
        if given:
            digest = entry_digest(risk.entry)
            if any(acceptance.digest in ("", digest) for acceptance in given):
                context.accepted[risk.entry.id] = Acceptance(risk=risk.entry.id, digest=digest)
                continue
        reason = why(risk.entry) + " What was accepted under this name read otherwise." * bool(given)
        remedy = f"Fix this, or accept the risk {risk.entry.id} by name."
        danger = f"The update from {part.version} is a risk where {in_words(risk.entry.when)}"
        if applies:
            return ruled("risk", f"{danger}, as it is here.{reason}", remedy, risk.entry)
        because, advice = context.unknown(risk.entry.when)
        doubt(
            "risk",
            f"the risk {risk.entry.id}, for where {in_words(risk.entry.when)}",
            f"{danger}, and {because}.{reason}",
            f"{advice} Or accept the risk {risk.entry.id} by name.",
            risk.entry,
        )

    return doubts[0] if doubts else _moves(ruled, installed, own, source.entry)


def entry_digest(entry: Entry) -> str:
    """What the acceptance of a risk is bound to: the SHA-256 of its entry as sorted JSON, ``sha256:hex``."""
    import hashlib  # only who accepts a risk pays for the import

    import msgspec

    return "sha256:" + hashlib.sha256(msgspec.json.encode(entry, order="sorted")).hexdigest()


def _ruled(
    part: Installed,
    target: str,
    kind: DecisionKind,
    message: str,
    remedy: str = "",
    entry: Entry | None = None,
    *,
    override: str = "",
) -> ComponentDecision:
    return ComponentDecision(
        subject=part.subject,
        component=part.component,
        kind=kind,
        message=message,
        next=remedy,
        entry=entry.id if entry else "",
        installed=part.version,
        target=target,
        override=override,
    )


def _moves(
    ruled: Callable[..., ComponentDecision], installed: Version, target: Version, entry: Source | None = None
) -> ComponentDecision:
    """Nothing was said against it; an older version has come this far only because the policy allows it."""
    offline = ", offline" if entry is not None and entry.method == "offline" else ""
    one_way = " Once there, it cannot be reverted." if entry is not None and not entry.reversible else ""
    goes = f"{installed} can be updated to {target}{offline}.{one_way}"
    if installed < target:
        return ruled("upgrade", goes, "", entry)
    return ruled("downgrade", f"{goes} That is older.", "", entry, override="allow-downgrade")


def _fits(matrix: ReadMatrix, text: str) -> bool:
    """Whether a version can be read at all, wherever it may stand in the order of the releases."""
    try:
        matrix.scheme.parse(text)
    except VersionError:
        return False
    return True


def _past_block(context: EvaluationContext, installed: Version, block: Block) -> str:
    """What to do where a block refuses the direct update: a stop between the two versions leads round it."""
    matrix = context.matrix
    round_ = [
        stop
        for stop in matrix.stops
        if stop.lies_between(installed, matrix.own) and (stop.entry.when is None or context.holds(stop.entry.when))
    ]
    if round_:
        first = min(round_, key=lambda stop: stop.via)
        return f"Update to {first.via} first: the stop {first.entry.id} leads around the block."
    if block.reason:
        return "Follow the reason, or ask the vendor for a release that is not blocked."
    return "Take another release, or ask the vendor for one that is not blocked."


def _past_no_source(context: EvaluationContext, part: Installed, installed: Version) -> str:
    """What to do where no source covers the installed version."""
    if nearest := _nearest(context, part, installed):
        return f"Update to {nearest} first; from there the bundle can be installed."
    if (source := source_for_others(context.matrix, installed, part.model)) is not None:
        models = ", ".join(source.entry.models)
        return f"Ask the vendor for a bundle that supports {part.model}; {source.entry.id} is for {models} only."
    return "Ask the vendor for the way; no later release is known from which this bundle can be installed."


def source_for_others(matrix: ReadMatrix, installed: Version, model: str | None) -> ReadSource | None:
    """The first source that covers a version on other models only; None if there is none."""
    listed = installed in matrix.known
    return next(
        (
            one
            for one in matrix.sources
            if one.entry.models and model not in one.entry.models
            if one.entry.method != "reimage" and one.admits(installed, listed=listed)
        ),
        None,
    )


def _is_for(models: tuple[str, ...], part: Installed) -> bool:
    return not models or part.model in models


def _source(matrix: ReadMatrix, part: Installed, installed: Version) -> ReadSource | None:
    """The source that covers the installed version: an explicit edge before a range, an update before a re-image."""
    listed = installed in matrix.known
    covering = (
        source
        for source in matrix.sources
        if source.admits(installed, listed=listed) and _is_for(source.entry.models, part)
    )
    return min(
        covering,
        key=lambda source: (source.range.exact is None, source.entry.method == "reimage"),
        default=None,
    )


def _nearest(context: EvaluationContext, part: Installed, installed: Version) -> str:
    """The nearest later releases from which the bundle can be installed, at most three; empty if none.

    Of those that begin a source's range, and of the stops, the first few are asked whether they may go on from there.
    """
    matrix = context.matrix
    found = {
        source.range.first_of(matrix.releases, after=installed, without=source.denied)
        for source in matrix.sources
        if source.entry.method != "reimage" and _is_for(source.entry.models, part)
    }
    found.update(stop.via for stop in matrix.stops if installed < stop.via)
    later = sorted(version for version in found if version is not None and version < matrix.own)
    asked = type(context)(matrix, context.policy, None, context.signers, context.signatures)
    good = (
        str(version)
        for version in later[:MAX_ASKED]
        if rule_part(asked, replace(part, version=str(version), build=None, released=None)).allowed
    )
    return " or ".join(islice(good, 3))
