"""Rules about versions in the field that have no path to the release."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Final

from bundlekit.matrix.context import models_of, why
from bundlekit.matrix.lint.listing import listed
from bundlekit.matrix.lint.rule import lint_rule
from bundlekit.matrix.nearby import only_for
from bundlekit.model.finding import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.matrix.lint.context import LintContext
    from bundlekit.matrix.read import ReadSource
    from bundlekit.model.decision import ComponentDecision
    from bundlekit.model.matrix import Block
    from bundlekit.versions import Version


ON_PURPOSE: Final = "if it is left behind intentionally,"


@lint_rule(
    "error", "Add a [[from]] that covers it, a [[stop]] with an intermediate release, or a [[dead-end]] with a reason."
)
def stranded_version(context: LintContext) -> Iterator[Fault]:
    """A version in the field has no upgrade path to this release.

    It cannot install the bundle itself, and no stop or other given bundle leads on from it. A version cannot use a
    bundle if it does not accept the signatures. The states that a failed update can leave are checked in the same
    manner.

    A version is left behind intentionally (left-behind) if a [[dead-end]] with a reason names it. It is also left
    behind if a [[block]] with a reason keeps it from this release and no later release leads here. If a later release
    leads here, the reason only excludes the direct update. The version must then be able to reach that release, or it
    is stranded.
    """
    for version, model, on in in_the_field(context):
        routes = context.routes[model]
        if not routes.reaches(routes.plain(version.text)):
            if not _detour(context, version, model) and not blocked_on_purpose(context, version, model):
                whole = context.component_decision(version, model)
                yield Fault(
                    message=f"{on} is stranded: {_objection(context, version, model)}",
                    subject=on,
                    entry=whole.entry,
                    next=_sign(context, version, model)
                    or _widen(context, version, model)
                    or _help(whole, _next(context.ways[model], version)),
                )
            continue
        for state in routes.after_failures(version.text):
            if not routes.reaches(state):
                yield Fault(
                    message=f"{on} is stranded after a failed update: there is no upgrade path from {state}.",
                    subject=on,
                    entry=context.decided(version, model).entry,
                    next="Allow this release over that state, or declare that these versions do not work together.",
                )


def _objection(context: LintContext, version: Version, model: str | None) -> str:
    """Why a version has no path to this release. Its own matrix can allow it while another one objects."""
    whole, routes = context.component_decision(version, model), context.routes[model]
    if whole.allowed:
        return routes.refusal(context.read, routes.plain(version.text))
    if refused := _refused_stop(context, version, model):
        return f"{whole.message} {refused[1]}"
    plain = routes.plain(version.text)
    if unverified := routes.unverified(plain):
        return f"{whole.message} {routes.refusal(unverified, plain)}"
    elsewhere = _elsewhere(context, version, model)
    return f"{whole.message}{only_for(elsewhere)}" if elsewhere else whole.message


def _elsewhere(context: LintContext, version: Version, model: str | None) -> ReadSource | None:
    """The source that covers a version only on other models; None if the missing path has another reason."""
    if context.decided(version, model).kind != "unsupported-source":
        return None
    for other in context.models:
        if other != model and (outcome := context.decided(version, other)).allowed:
            return context.sources.get(outcome.entry)
    return None


def _refused_stop(context: LintContext, version: Version, model: str | None) -> tuple[Version, str] | None:
    """The stop that a version is sent to, and why it cannot go there; None if there is no stop or the version can."""
    kind, routes, stop = (
        context.decided(version, model).kind,
        context.routes[model],
        context.decisions.stop_of(version.text),
    )
    if stop is None or kind not in ("needs-stop", "blocked"):  # a stop leads around a block
        return None
    via = stop.via
    if other := routes.elsewhere.get(via.text):
        return via, f"{via} is not for {model}, but for {', '.join(models_of(other))}."
    bundle = routes.bundles.get(via.text)
    refusal = routes.refusal(bundle, routes.plain(version.text)) if bundle else ""
    return (via, refusal) if refusal else None


GIVE: Final = "Give the bundle of the intermediate release to the lint as well, or declare it in a [[stop]]"


@lint_rule("warning", f"{GIVE}.")
def detour_unknown(context: LintContext) -> Iterator[Fault]:
    """A version can reach this release only through a later release, and it is unknown whether it can go there.

    The bundle of that release was not given. The version is therefore neither reported as stranded nor known to have a
    path.
    """
    for version, model, on in in_the_field(context):
        routes = context.routes[model]
        detour = _detour(context, version, model)
        if detour and not routes.reaches(routes.plain(version.text)):
            whole = context.decided(version, model)
            remedy = ""
            if whole.kind == "blocked":
                remedy = f"{GIVE}; {ON_PURPOSE} make {whole.entry} a [[dead-end]] with a reason."
            if refused := _refused_stop(context, version, model):
                via, refusal = refused
                way = f"get there through {detour}" if detour < via else f"use {detour} instead"
                said = f"{on} must be updated to {via} first, which is not possible: {refusal} "
                said += f"It is unknown whether it can {way}."
            else:
                why_not = _objection(context, version, model)
                only = sum(version < one for one in context.detours[model]) == 1
                way = f"The only possible path from {on} leads" if only else f"Each possible path from {on} leads"
                through = f"{detour}, whose" if only else f"{detour} or another later release whose"
                said = f"{way} through {through} bundle was not given: {why_not}"
            yield Fault(message=said, subject=on, entry=whole.entry, next=remedy)


def in_the_field(context: LintContext) -> Iterator[tuple[Version, str | None, str]]:
    """Each version that the bundle is meant for and must not strand, on each model, and both as a text."""
    deliberate = 0
    for dead_end in context.read.dead_ends:
        if dead_end.entry.reason:
            deliberate |= context.line.within(dead_end.range)
    for version in context.supported:
        if not context.has(deliberate, version):
            for model in context.models:
                if context.is_meant(version, model):
                    yield version, model, f"{version} on {model}" if model else version.text


def _detour(context: LintContext, version: Version, model: str | None) -> Version | None:
    """The next later release that this version can reach and whose own matrix is not known.

    A release that can install the bundle itself has precedence, because the decision for the version also names it.
    """
    if context.has(context.decisions.dead, version):
        return None
    return _next(context.direct[model], version) or _next(context.detours[model], version)


def _next(rising: Sequence[Version], version: Version) -> Version | None:
    """The first of some versions, in ascending order, that is later than this one."""
    place = bisect.bisect_right(rising, version)
    return rising[place] if place < len(rising) else None


def blocked_on_purpose(context: LintContext, version: Version, model: str | None) -> Block | None:
    """The block that leaves this version behind on purpose: it has a reason, and no later release leads here."""
    whole, routes = context.decided(version, model), context.routes[model]
    if whole.kind != "blocked" or routes.reaches(routes.plain(version.text)) or _next(context.ways[model], version):
        return None
    return context.reasoned.get(whole.entry)


def _sign(context: LintContext, version: Version, model: str | None) -> str:
    """The remedy for a version that cannot verify a bundle of its path; empty if there is no such bundle."""
    routes = context.routes[model]
    unverified = routes.unverified(routes.plain(version.text))
    if unverified is None:
        return ""
    between = unverified.manifest.version
    return (
        f"Sign the bundle of {between} in a way that {version} accepts as well, or add a [[stop]] before {between} "
        "that installs the new key."
    )


def _widen(context: LintContext, version: Version, model: str | None) -> str:
    """The remedy for a version whose [[from]] is for other models only; empty if there is no such entry."""
    source = _elsewhere(context, version, model)
    return "" if source is None else f"Add {model} to `models` of {source.entry.id}; {ON_PURPOSE} add a [[dead-end]]."


def _help(whole: ComponentDecision, later: Version | None) -> str:
    """The remedy for a stranded version; empty if the rule's remedy applies.

    A [[from]] does not help if another entry decides before it. ``later`` leads here, and rejects the version.
    """
    entry = whole.entry
    match whole.kind:
        case "blocked" if later:
            way = f"Allow the update to {later}, or declare an intermediate release in a [[stop]]"
            return f"{way}; {ON_PURPOSE} make {entry} a [[dead-end]] with a reason."
        case "blocked":
            return f"Give {entry} a reason {ON_PURPOSE} or declare a [[stop]] with an intermediate release."
        case "needs-stop":
            way = f"Choose another release in {entry} that accepts this version and has a path to this release"
            return f"{way}; {ON_PURPOSE} declare a [[dead-end]]."
        case "dead-end":
            return f"Give {entry} a reason {ON_PURPOSE} or remove it."
        case "withdrawn":
            return f"Remove {entry}, which withdraws this release itself."
        case "unknown-version":
            return f"List {whole.installed} in `releases`, and cover it by a [[from]]."
        case _:
            return ""


@lint_rule("info", "If this is not intended, remove or restrict the entry.")
def left_behind(context: LintContext) -> Iterator[Fault]:
    """A known version is left behind intentionally.

    Either a [[dead-end]] with a reason names it, so that it can be left only by re-imaging. Or a [[block]] with a
    reason keeps it from this release, and no later release leads here either.
    """
    supported = context.places(context.supported)
    for dead_end in context.read.dead_ends:
        covered = supported & context.line.within(dead_end.range) if dead_end.entry.reason else 0
        if covered:
            yield Fault(
                message=f"{context.named(covered)} can be left only by re-imaging: {dead_end.entry.reason}",
                entry=dead_end.entry.id,
            )
    blocked: dict[str, dict[Version, list[str]]] = {}
    for version, model, _ in in_the_field(context):
        if block := blocked_on_purpose(context, version, model):
            blocked.setdefault(block.id, {}).setdefault(version, []).extend([model] if model else ())
    for name, versions in blocked.items():
        from_ = listed(
            f"{version} on {', '.join(models)}" if len(models) < len(context.models) and models else version.text
            for version, models in versions.items()
        )
        yield Fault(
            message=f"{name} blocks the update from {from_} to {context.read.own}, and no other path is known:"
            f"{why(context.reasoned[name])}",
            entry=name,
        )
