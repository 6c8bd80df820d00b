"""Rules about single entries of the matrix."""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Final

from bundlekit.config import DURATIONS, UNITS
from bundlekit.facts import in_words
from bundlekit.matrix.component_rules import entry_digest
from bundlekit.matrix.lint.listing import named
from bundlekit.matrix.lint.rule import lint_rule
from bundlekit.matrix.masks import places
from bundlekit.model.finding import Fault
from bundlekit.version_forms import Forms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.matrix.lint.context import LintContext
    from bundlekit.model.matrix import MatrixEntry
    from bundlekit.versions import Version


UNIT: Final = (
    "s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|d|days?|weeks?|months?|years?|"
    "b|bytes?|[kmgt]|[kmgt]i?b|(?:kilo|mega|giga|tera)bytes?"
)
"""Common names of units of time and of size."""


@lint_rule("warning", "List the word in `pre-releases` of the scheme, or in `ignored` if it does not count.")
def word_unlisted(context: LintContext) -> Iterator[Fault]:
    """A version contains a pre-release word that its scheme does not list.

    The placeholder `@` of a declared scheme takes any word. A word that `pre-releases` does not list counts as later
    than the release: 4.0rc would be an update of 4.0.
    """
    manifest = context.read.manifest
    if (declared := manifest.matrix.scheme) is None:
        return
    forms = Forms(declared)
    texts = [component.version for component in manifest.components if component.scheme == "declared"]
    if manifest.scheme == "declared" and manifest.matrix.order == "version":
        texts += [version.text for version in (*context.versions, context.read.own)]
    for text in dict.fromkeys(texts):
        for word in forms.guessed(text):
            yield Fault(
                message=f"{text} counts as later than the release, because `pre-releases` does not list {word!r}.",
                subject=text,
            )


@lint_rule("warning", "Remove the entry, or correct its versions.")
def unused_entry(context: LintContext) -> Iterator[Fault]:
    """An entry applies to no known version: it never matches, or other entries always take precedence."""
    read = context.read
    decided = {context.decided(version, model).entry for version in context.versions for model in context.models}
    kinds: tuple[tuple[str, Sequence[tuple[MatrixEntry, bool]]], ...] = (
        ("source", [(one.entry, one.entry.unlisted) for one in read.sources]),
        ("block", [(one.entry, False) for one in read.blocks]),
        ("dead end", [(one.entry, False) for one in read.dead_ends]),
        ("stop", [(one.entry, bool(context.line.sent(one, read.own) & context.known)) for one in read.stops]),
    )
    for kind, entries in kinds:
        for entry, used in entries:
            if not used and entry.id not in decided:
                yield Fault(message=f"The {kind} {entry.id} applies to no known version.", entry=entry.id)


@lint_rule("warning", "Cover each version by one range. For an exception use `except`, or a [[from]] with one version.")
def overlapping_ranges(context: LintContext) -> Iterator[Fault]:
    """Two sources cover the same version, and only their order in the file determines which of them decides."""
    line, covered = context.line, dict.fromkeys(context.models, 0)
    first: dict[tuple[str | None, int], int] = {}  # by model and source, the versions that the source decides for
    owner = {model: array("l", [-1]) * len(line.versions) for model in context.models}
    sources = [one for one in context.read.sources if one.range.exact is None and one.entry.method != "reimage"]
    for number, source in enumerate(sources):
        mask = line.covered(source) & context.known
        overlaps: dict[int, int] = {}
        for model in context.models:
            if source.entry.models and model not in source.entry.models:
                continue
            twice = mask & covered[model]
            while twice:
                one = owner[model][next(places(twice))]
                overlaps[one] = overlaps.get(one, 0) | twice & first[model, one]
                twice &= ~first[model, one]
            first[model, number] = mask & ~covered[model]
            for place in places(first[model, number]):
                owner[model][place] = number
            covered[model] |= mask
        for one, versions in overlaps.items():
            decides = sources[one].entry.id
            yield Fault(
                message=f"{decides} takes precedence over {source.entry.id}; both cover {context.named(versions)}.",
                entry=source.entry.id,
            )


@lint_rule("warning", "Add a reason, which the rejection shows to the operator.")
def reason_missing(context: LintContext) -> Iterator[Fault]:
    """An entry that rejects updates has no reason."""
    matrix = context.read.manifest.matrix
    for entry in (*matrix.blocks, *matrix.dead_ends, *matrix.withdrawn):
        if not entry.reason:
            yield Fault(message=f"{entry.id} rejects updates without a reason.", entry=entry.id)


@lint_rule("warning", "Give the changed risk a new id, because operators have accepted the old one.")
def risk_reworded(context: LintContext) -> Iterator[Fault]:
    """Another bundle has a risk of the same name with a different text."""
    elsewhere: dict[str, dict[str, set[str]]] = {}  # by name, its texts in other bundles
    for other in context.others:
        for one in other.risks:
            versions = elsewhere.setdefault(one.entry.id, {})
            versions.setdefault(other.manifest.version, set()).add(entry_digest(one.entry))
    for risk in context.read.risks:
        for version, digests in elsewhere.get(risk.entry.id, {}).items():
            if digests != {entry_digest(risk.entry)}:
                yield Fault(
                    message=f"The risk {risk.entry.id} is worded differently in {version}.",
                    subject=version,
                    entry=risk.entry.id,
                )


@lint_rule(
    "warning",
    "Compare it with < or >= (below and at-least in a condition of the matrix); "
    f"the unit is one of {', '.join((*DURATIONS, *UNITS))}.",
)
def quantity_as_text(context: LintContext) -> Iterator[Fault]:
    """A condition compares a fact literally with a text that looks like a duration or a size.

    `"24 hours"` without a sign matches exactly these characters. A backup that is 5 h old does not match.
    """
    conditions = [(condition, "") for condition in context.read.manifest.requirements.facts]
    conditions += [(stop.entry.when, stop.entry.id) for stop in context.read.stops if stop.entry.when]
    conditions += [(risk.entry.when, risk.entry.id) for risk in context.read.risks]
    for condition, entry in conditions:
        if condition.test in ("is", "is-not") and _looks_like_a_quantity(condition.value):
            what = entry or "A requirement"
            yield Fault(
                message=f"{what} compares a quantity as text: {in_words(condition)}.",
                subject=condition.fact,
                entry=entry,
            )


def _looks_like_a_quantity(value: str) -> bool:
    """Whether a text is a number and a unit, even an unknown one. Without a blank, a letter is not a unit: board 3d."""
    match = re.fullmatch(r"[0-9][0-9.,]*( ?)([A-Za-z]+)", value)
    return (
        match is not None
        and bool(match[1] or len(match[2]) > 1)
        and re.fullmatch(UNIT, match[2], re.IGNORECASE) is not None
    )


@lint_rule("info", "Test the update, and set `tested` to the name of the test record.")
def untested_source(context: LintContext) -> Iterator[Fault]:
    """A source does not name a test record."""
    by_id = {source.entry.id: source.entry for source in context.read.sources}
    for entry, versions in _grouped((entry, version) for version, _, entry in context.allowed()).items():
        if not by_id[entry].tested:
            yield Fault(message=f"{entry} has no test record for the update from {named(versions)}.", entry=entry)


@lint_rule("info", "List the known releases in `releases`, if possible.")
def unlisted_source(context: LintContext) -> Iterator[Fault]:
    """A source covers versions that the matrix does not list, so it also allows versions that were never considered."""
    for source in context.read.sources:
        if source.entry.unlisted:
            yield Fault(
                message=f"{source.entry.id} allows every version in {source.range}, including unlisted ones.",
                entry=source.entry.id,
            )


def _grouped(pairs: Iterable[tuple[str, Version]]) -> dict[str, list[Version]]:
    groups: dict[str, list[Version]] = {}
    for key, version in pairs:
        groups.setdefault(key, []).append(version)
    return groups
