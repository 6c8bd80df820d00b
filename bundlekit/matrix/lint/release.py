"""Rules about the release as a whole: which versions can be updated to it, and which ones it is meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.matrix.lint.listing import listed, named
from bundlekit.matrix.lint.rule import lint_rule
from bundlekit.matrix.meant import has_known_line
from bundlekit.model.finding import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.matrix.lint.context import LintContext


@lint_rule("info", "If this is not intended, add a [[from]] for these versions.")
def exempted_version(context: LintContext) -> Iterator[Fault]:
    """A version was not evaluated, because the bundle is not meant for it.

    A hotfix is meant for the newest version before it, and for the versions in the ranges of its [[from]] entries.
    Other versions need no path to it. A re-image is no update, so no version needs a path to it.
    """
    kind = context.read.manifest.kind
    exempted = [
        version
        for version in context.supported
        if not any(context.is_meant(version, model) for model in context.models)
    ]
    if kind != "release" and exempted:
        why = "is a hotfix without a [[from]] for them" if kind == "hotfix" else "is for re-imaging, not for updates"
        yield Fault(message=f"Upgrade paths from {named(exempted)} were not evaluated: this release {why}.")


@lint_rule("warning", "List the release that the hotfix is for in `releases`, and cover it by a [[from]].")
def base_unknown(context: LintContext) -> Iterator[Fault]:
    """The matrix of a hotfix lists no earlier version with the same numbers except for the last one.

    The release that the hotfix is meant for is then probably missing from `releases`, and cannot install the hotfix.
    """
    read = context.read
    unlisted = any(source.entry.unlisted for source in read.sources)
    if read.manifest.kind == "hotfix" and not unlisted and not has_known_line(read, context.versions):
        line = ".".join(map(str, read.own.numbers[:-1]))
        yield Fault(
            message=f"{read.own} is a hotfix, but no earlier version that begins with {line} is known.",
            subject=read.own.text,
        )


@lint_rule("error", "Add a [[from]] for the versions that can be updated to this release.")
def no_update_to(context: LintContext) -> Iterator[Fault]:
    """No known version can install this bundle, so it can never be installed as an update."""
    sources = context.read.sources
    unlisted = any(source.entry.unlisted for source in sources)
    if context.read.manifest.kind != "reimage" and not any(context.allowed()) and not unlisted:
        if renamed := _renamed(context):
            yield renamed
            return
        what = "The matrix has no [[from]]" if not sources else "The bundle cannot be installed from any known version"
        yield Fault(message=f"{what}, so {context.read.own} can never be installed as an update.")


def _renamed(context: LintContext) -> Fault | None:
    """The issue if a [[from]] allows versions whose bundles are for other models only."""
    if not any(context.decided(version, model).allowed for version in context.versions for model in context.models):
        return None
    ours = context.read.manifest.models
    theirs = dict.fromkeys(model for other in context.others for model in other.manifest.models if model not in ours)
    if not theirs:
        return None
    return Fault(
        message=f"The bundle is for {listed(ours)}, but the bundles of its source versions are for {listed(theirs)}.",
        next=f"If this is one model with a new name, add {listed(theirs)} to `models` of this bundle.",
    )


@lint_rule("error", "Allow the update from the stop, or choose another intermediate release.")
def stop_blocked(context: LintContext) -> Iterator[Fault]:
    """A stop leads to a release without an upgrade path to this one."""
    for stop in context.read.stops:
        for model, routes in context.routes.items():
            if not routes.reaches(routes.plain(stop.via.text)):
                on = f"{stop.via} on {model}" if model else stop.via.text
                # Its matrix can allow the stop while a counter, a lost fix or another matrix objects.
                reason = routes.refusal(context.read, routes.plain(stop.via.text))
                reason = reason or routes.component_decision(context.read, stop.via.text).message
                yield Fault(
                    message=f"The stop leads to {on}, which has no upgrade path to this release: {reason}",
                    subject=on,
                    entry=stop.entry.id,
                )
