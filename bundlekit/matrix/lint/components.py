"""Rules about the versions and components of the bundle itself."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from bundlekit.matrix.compatibility import partners, work_together
from bundlekit.matrix.lint.listing import named
from bundlekit.matrix.lint.rule import lint_rule
from bundlekit.matrix.read import APPLIANCE, misspelt_appliance
from bundlekit.model.finding import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.matrix.lint.context import LintContext


@lint_rule("warning", "Change the alias so that it can mean only one release, or remove it.")
def ambiguous_alias(context: LintContext) -> Iterator[Fault]:
    """An alias could be mistaken for another release: 6.3 means 6.30.00, and 6.3.1 exists."""
    read = context.read
    labels: dict[str, str] = {}
    by_text = sorted(range(len(read.releases)), key=lambda place: read.releases[place].text)
    texts = [read.releases[place].text for place in by_text]
    for alias in read.manifest.matrix.aliases:
        if (same := labels.setdefault(alias.alias.lower(), alias.version)) != alias.version:
            yield Fault(
                message=f"The alias {alias.alias} differs only in case from the alias of {same}.", subject=alias.alias
            )
        means = read.parse(read.primary_component, alias.alias)
        beginning = range(bisect.bisect_left(texts, f"{alias.alias}."), bisect.bisect_left(texts, f"{alias.alias}/"))
        looks_like = [place for place in sorted(by_text[at] for at in beginning) if read.releases[place] != means]
        if looks_like:
            yield Fault(
                message=f"The alias {alias.alias} means {means}, but it could be mistaken for "
                f"{named(read.releases[place] for place in looks_like)}.",
                subject=alias.alias,
            )


@lint_rule("error", "Correct the version of the release, or the entry.")
def own_version_contradicted(context: LintContext) -> Iterator[Fault]:
    """The matrix contradicts the version of the bundle itself."""
    read = context.read
    own = read.own.text
    for withdrawn in read.withdrawn:
        if read.own in withdrawn.range:
            yield Fault(
                message=f"The matrix withdraws {own}, the version of the bundle itself.",
                subject=own,
                entry=withdrawn.entry.id,
            )
    for dead_end in read.dead_ends:
        if read.own in dead_end.range:
            yield Fault(
                message=f"The matrix declares {own} a dead end, the version of the bundle itself.",
                subject=own,
                entry=dead_end.entry.id,
            )
    for source in read.sources:
        floor = max((clause.bound for clause in source.range.floors), default=None)
        if floor is not None and floor >= read.own:
            yield Fault(
                message=f"{source.entry.id} covers {source.range}, which is not older than the bundle ({own}).",
                subject=own,
                entry=source.entry.id,
            )


@lint_rule(
    "warning", f"Name the component {APPLIANCE!r}, if it runs on each member. Otherwise another name is clearer."
)
def appliance_misspelt(context: LintContext) -> Iterator[Fault]:
    """No component is named `appliance`, but one name is similar: most likely it is misspelt.

    The component that each member of the pair runs by itself must have this name. The pair shares every other
    component.
    """
    if name := misspelt_appliance(context.read.manifest):
        yield Fault(
            message=f"The component {name!r} counts as shared by the pair. Did you mean {APPLIANCE!r}?", subject=name
        )


@lint_rule(
    "info", f"Name the component that runs on each member {APPLIANCE!r}. If the bundle has none, nothing is to do."
)
def no_member_component(context: LintContext) -> Iterator[Fault]:
    """No component is named `appliance`, so the bundle changes only what the pair shares.

    The versions of the matrix are then those of a shared component. Each member keeps its version. That is right for a
    bundle of storage software alone.
    """
    manifest = context.read.manifest
    if misspelt_appliance(manifest) or any(component.name == APPLIANCE for component in manifest.components):
        return
    name = context.read.primary_component
    yield Fault(
        message=f"No component is named {APPLIANCE!r}, so no member is updated. The versions are those of {name}.",
        subject=name,
    )


@lint_rule("error", "Correct the ranges of [[works-together]], or the versions of the components.")
def no_compatible_partner(context: LintContext) -> Iterator[Fault]:
    """According to the bundle's own matrix its components do not work together, or an entry fits no known version."""
    read = context.read
    if work_together(read, read.carried)[0] is False:
        found = " and ".join(f"{name} {version}" for name, version in read.carried.items())
        yield Fault(message=f"The bundle installs {found}, which its matrix does not list as compatible.")
    for together in read.works_together:
        versions = together.ranges.get(read.primary_component)
        if (
            versions
            and not versions.is_empty
            and not (context.line.within(versions) & context.known or read.own in versions)
        ):
            yield Fault(
                message=f"{together.entry.id} covers {read.primary_component} {versions}, but no known version.",
                entry=together.entry.id,
            )


@lint_rule("info", "State in [[works-together]] whether they are compatible. The new one can then stay.")
def partial_failure_unknown(context: LintContext) -> Iterator[Fault]:
    """The matrix does not specify whether an old appliance works with the other new components of the bundle.

    If the update of the active member fails, the shared components must then revert too.
    """
    read = context.read
    shared = {name: one for name, one in read.carried.items() if name != APPLIANCE}
    if not shared or read.primary_component != APPLIANCE:
        return
    works, not_ = partners(read, context.line, APPLIANCE, shared)
    if unknown := context.places(one for one, _, _ in context.allowed()) & ~works & ~not_:
        brings = " and ".join(f"{name} {version}" for name, version in shared.items())
        yield Fault(message=f"The matrix does not state whether {context.named(unknown)} is compatible with {brings}.")
