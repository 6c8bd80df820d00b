"""The rules about one component of the appliance: numbers 7 to 17 of the list in rules.py.

Each gets a `ComponentQuestion`. It returns a decision that ends the evaluation, or None. It records unknown facts as
doubts.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.facts import in_words
from bundlekit.matrix.context import why
from bundlekit.matrix.terms import bad_source
from bundlekit.model.decision import Acceptance
from bundlekit.wording import given

if TYPE_CHECKING:
    from bundlekit.matrix.component import ComponentQuestion
    from bundlekit.matrix.read import ReadMatrix, ReadSource
    from bundlekit.model.decision import ComponentDecision
    from bundlekit.model.matrix import Block, MatrixEntry
    from bundlekit.versions import Version

MAX_ASKED: Final = 16
"""Releases that are tried as a path to the bundle: enough for a hint, and little work for a huge matrix."""

_UNKNOWN: Final = "Check the installed version. If it is correct, ask the vendor for a bundle that supports it."


def readable_version(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 7: the installed version can be read."""
    if (fault := question.fault) is None:
        return None
    text = question.installed.version
    if question.is_primary and _fits(question.matrix, text):
        return question.decided("unknown-version", f"The matrix does not list {text}.", _UNKNOWN)
    return question.decided("unreadable-version", str(fault), "Check the installed version.")


def newer_version(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 8: the installed version is older than the bundle's, or a policy allows it."""
    installed, target, policy = question.version, question.target, question.context.policy
    text = question.installed.version
    if installed == target:
        build = question.installed.build or installed.build
        new_build = (question.context.manifest.build if question.is_primary else None) or target.build
        if build and new_build and build != new_build:
            return question.decided(
                "same-version-other-build",
                f"{text} is already installed as build {build}; the bundle has build {new_build}.",
                f"Use a newer version. To install another build of this one, give {given('allow_same_version')}.",
                override="allow-same-version" if policy.allow_same_version else "",
            )
        return question.decided(
            "same-version",
            f"{text} is already installed.",
            f"Nothing needs to be done. To install it again, give {given('allow_reinstall')}.",
            override="allow-reinstall" if policy.allow_reinstall else "",
        )
    if installed > target and not policy.allow_downgrade:
        return question.decided(
            "downgrade",
            f"{target} is older than the installed {text}. An older version can be installed only by re-imaging.",
            f"Use a version newer than {text}. To go back to {target}, re-image the appliance.",
        )
    return None


def not_back_in_time(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 9: the installed version was not released after the bundle, unless an explicit edge names it."""
    text, released = question.installed.version, question.installed.released
    if question.is_edge:
        return None
    if released is None:
        if question.source is not None and not question.is_known:
            question.doubt(
                "back-in-time",
                f"whether {text} was released after the bundle",
                f"The release date of {text} is unknown, so it could be newer than the bundle.",
                "Give the release date of the installed version in the appliance state.",
            )
        return None
    if not question.context.manifest.released:  # a format without release dates
        question.doubt(
            "back-in-time",
            f"whether {text} was released after the bundle",
            f"The bundle has no release date, and {text} was released on {released}.",
            f"Give the release date of the bundle in [release] of the matrix ({given('matrix')}).",
        )
        return None
    if released > question.context.manifest.released:
        return question.decided(
            "back-in-time",
            f"{text} was released on {released}, after the bundle ({question.context.manifest.released}), "
            "which can lack fixes of that release.",
            f"Get a bundle that was released after {released}.",
        )
    return None


def known_version(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 10: the matrix lists the installed version, or a source covers unlisted ones."""
    if question.source is None and not question.is_known and question.matrix.known:
        return question.decided("unknown-version", f"The matrix does not list {question.installed.version}.", _UNKNOWN)
    return None


def no_dead_end(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 11: the installed version can be left by an update."""
    for dead_end in question.matrix.dead_ends:
        if question.version in dead_end.range:
            return question.decided(
                "dead-end",
                f"{question.installed.version} is a dead end, which no update can leave.{why(dead_end.entry)}",
                f"Re-image with {question.own}.",
                dead_end.entry,
            )
    return None


def not_blocked(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 12: no block is about the installed version."""
    for block in question.matrix.blocks:
        if question.version in block.range and question.concerns(block.entry.models):
            return question.decided(
                "blocked",
                f"{question.installed.version} must not be updated to {question.own}.{why(block.entry)}",
                _past_block(question, block.entry),
                block.entry,
            )
    return None


def no_stop_between(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 13: no stop is between the two versions. If there are several, the earliest one decides."""
    stops = []
    for stop in question.matrix.stops:
        condition = stop.entry.when
        if not stop.lies_between(question.version, question.own):
            continue
        if condition is None or (needed := question.context.holds(condition)):
            stops.append(stop)
        elif needed is None:
            because, remedy = question.context.unknown(condition)
            question.doubt(
                "needs-stop",
                f"the stop {stop.entry.id}, which applies if {in_words(condition)}",
                f"{stop.via} must be installed first if {in_words(condition)}, and {because}.",
                f"{remedy} Or update to {stop.via} first.",
                stop.entry,
            )
    if not stops:
        return None
    first = min(stops, key=lambda stop: stop.via)
    return question.decided(
        "needs-stop",
        f"The upgrade path from {question.installed.version} to {question.own} leads through {first.via}."
        f"{why(first.entry)}",
        f"Update to {first.via} first.",
        first.entry,
    )


def has_source(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 14: the matrix names the installed version as a source. If the bundle itself names any, so does it."""
    text, target, source = question.installed.version, question.own, question.source
    if question.is_appliance and (fault := bad_source(question.matrix.terms, text)):
        return question.decided(fault.kind, fault.message, fault.next)
    if source is None:
        return question.decided(
            "unsupported-source",
            f"The bundle does not support the update from {text} to {target}.",
            _past_no_source(question),
        )
    if source.entry.method == "reimage":
        return question.decided(
            "reimage-only",
            f"{text} can be replaced by {target} only by re-imaging.{why(source.entry)}",
            f"Re-image with {target}.",
            source.entry,
        )
    return None


def members_may_differ(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 16: the two members can differ while one of them is updated."""
    matrix, source = question.matrix, question.source
    if not question.is_appliance or source is None or source.entry.method != "rolling" or not matrix.skews:
        return None
    if any(question.version in skew.old and question.own in skew.new for skew in matrix.skews):
        return None
    return question.decided(
        "incompatible",
        f"While one member has {question.own} and the other one still has {question.installed.version}, "
        "the members are incompatible.",
        "Update through a release that is compatible with both.",
    )


def no_risk(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 17: no risk applies except those that the policy accepts."""
    context = question.context
    for risk in question.matrix.risks:
        applies = context.holds(risk.entry.when)
        if question.version not in risk.range or applies is False:
            continue
        given = [acceptance for acceptance in context.policy.accepted_risks if acceptance.risk == risk.entry.id]
        if given:
            digest = entry_digest(risk.entry)
            if any(acceptance.digest in ("", digest) for acceptance in given):
                context.accepted[risk.entry.id] = Acceptance(risk=risk.entry.id, digest=digest)
                continue
        reason = why(risk.entry) + " The accepted risk with this id was worded differently." * bool(given)
        danger = f"The update from {question.installed.version} is a risk if {in_words(risk.entry.when)}"
        if applies:
            remedy = f"Remove the risk, or accept the risk {risk.entry.id} by name."
            return question.decided("risk", f"{danger}, which is true here.{reason}", remedy, risk.entry)
        because, advice = context.unknown(risk.entry.when)
        question.doubt(
            "risk",
            f"the risk {risk.entry.id}, which applies if {in_words(risk.entry.when)}",
            f"{danger}, and {because}.{reason}",
            f"{advice} Or accept the risk {risk.entry.id} by name.",
            risk.entry,
        )
    return None


def allowed(question: ComponentQuestion) -> ComponentDecision:
    """The decision if no rule rejects. An older version gets here only if the policy allows it."""
    entry = question.source.entry if question.is_primary and question.source is not None else None
    offline = ", offline" if entry is not None and entry.method == "offline" else ""
    one_way = " This update cannot be reverted." if entry is not None and not entry.reversible else ""
    goes = f"{question.version} can be updated to {question.own}{offline}.{one_way}"
    if question.version < question.own:
        return question.decided("upgrade", goes, "", entry)
    return question.decided("downgrade", f"{goes} This is an older version.", "", entry, override="allow-downgrade")


def entry_digest(entry: MatrixEntry) -> str:
    """The digest that an accepted risk is bound to: the SHA-256 of its entry as sorted JSON, ``sha256:hex``."""
    import hashlib  # imported only if a risk is accepted

    import msgspec

    return "sha256:" + hashlib.sha256(msgspec.json.encode(entry, order="sorted")).hexdigest()


def _fits(matrix: ReadMatrix, text: str) -> bool:
    """Whether a version can be read at all, even if it has no place in the order of the releases."""
    try:
        matrix.scheme.parse(text)
    except VersionError:
        return False
    return True


def _past_block(question: ComponentQuestion, block: Block) -> str:
    """The next step if a block rejects the direct update: a stop between the two versions leads around it."""
    holds = question.context.holds
    round_ = [
        stop
        for stop in question.matrix.stops
        if stop.lies_between(question.version, question.own) and (stop.entry.when is None or holds(stop.entry.when))
    ]
    if round_:
        first = min(round_, key=lambda stop: stop.via)
        return f"Update to {first.via} first: the stop {first.entry.id} leads around the block."
    if block.reason:
        return "Follow the instructions in the reason, or ask the vendor for a release that is not blocked."
    return "Use another release, or ask the vendor for one that is not blocked."


def _past_no_source(question: ComponentQuestion) -> str:
    """The next step if no source covers the installed version."""
    model = question.installed.model
    if nearest := _nearest(question):
        return f"Update to {nearest} first; from there the bundle can be installed."
    if (source := source_for_others(question.matrix, question.version, model)) is not None:
        models = ", ".join(source.entry.models)
        return f"Ask the vendor for a bundle that supports {model}; {source.entry.id} is only for {models}."
    if not question.matrix.releases:
        return "Ask the vendor for an upgrade path. The matrix lists no releases, so no release can be named."
    return "Ask the vendor for an upgrade path. No known later release leads to this bundle."


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


def _nearest(question: ComponentQuestion) -> str:
    """The nearest later releases from which the bundle can be installed, at most three; empty if there are none.

    The candidates are the releases at the beginning of a source's range, and the stops. The first few are tested for a
    further path to the bundle.
    """
    matrix, context, installed = question.matrix, question.context, question.version
    found = {
        source.range.first_of(matrix.releases, after=installed, without=source.denied)
        for source in matrix.sources
        if source.entry.method != "reimage" and question.concerns(source.entry.models)
        if (exact := source.range.exact) is None
        or installed < exact  # an edge from an earlier release leads no further
    }
    found.update(stop.via for stop in matrix.stops if installed < stop.via)
    later = sorted(version for version in found if version is not None and version < matrix.own)
    asked = type(context)(matrix, context.policy, None, context.signers, context.signatures)
    good = (
        str(version)
        for version in later[:MAX_ASKED]
        if question.decide(asked, replace(question.installed, version=str(version), build=None, released=None)).allowed
    )
    return " or ".join(islice(good, 3))
