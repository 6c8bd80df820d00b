"""The decisions of one matrix about each of many versions, without a search of all entries for each version.

For each kind of entry at most one entry decides about a version. It is the first one in the file about that version, or
for stops the one that leads to the earliest release. These entries are found for all versions at once. decide.py then
makes the decision from a matrix of these entries only. It does so once for all versions with the same deciding entries.
"""

from __future__ import annotations

import bisect
from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix.decide import decide_from, tells_models_apart
from bundlekit.matrix.masks import VersionLine, places

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bundlekit.matrix.read import ReadMatrix, ReadStop
    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.model.decision import ComponentDecision, DecisionKind
    from bundlekit.versions import Version


T = TypeVar("T")


class DecisionOutcome(NamedTuple):
    """The stored part of a decision: its kind, the deciding entry, and whether it allows the update."""

    kind: DecisionKind
    entry: str
    allowed: bool


OutcomeKey = tuple[int, ...]
"""The deciding entries for a version on a model. Versions and models with the same key have the same decision."""


class Decisions:
    """The decisions of ``read`` about versions (``texts``) on models.

    ``signers`` and ``signatures`` are those of the bundle, as in `decide_from`.
    """

    def __init__(
        self,
        read: ReadMatrix,
        texts: Iterable[str],
        models: Sequence[str | None],
        *,
        signers: Collection[str] | None = None,
        signatures: BundleSignatures | None = None,
    ) -> None:
        self.read = read
        self._signers = signers
        self._signatures = signatures
        self.line = VersionLine(dict(_readable(read, (*texts, read.manifest.version))), read.known)
        self.withdrawn = tuple(one for one in read.withdrawn if read.own in one.range)
        self.dead = 0
        for dead_end in read.dead_ends:
            self.dead |= self.line.within(dead_end.range)
        self._decided = self.line.below(read.own)
        self._apart = tells_models_apart(read.manifest.matrix)
        self._group = _groups(read, models)
        groups = range(max(self._group.values(), default=0) + 1)
        self._common = self._common_keys()
        self._sources = self._first_sources(groups)
        self._blocks = self._first_blocks(groups)
        self._withdraws: dict[str, bool] = {}
        self._outcomes: dict[OutcomeKey, DecisionOutcome] = {}
        self._slow: dict[tuple[str, str | None], DecisionOutcome] = {}

    def of(self, text: str, model: str | None) -> DecisionOutcome:
        """The decision about a version on a model."""
        if (key := self.key(text, model)) is None:
            slow = text, model
            if slow not in self._slow:
                self._slow[slow] = _outcome(self.component_decision(text, model))
            return self._slow[slow]
        if key not in self._outcomes:
            self._outcomes[key] = _outcome(self.component_decision(text, model))
        return self._outcomes[key]

    def component_decision(self, text: str, model: str | None) -> ComponentDecision:
        """The whole decision about a version on a model, with its message. It is created at each call."""
        return decide_from(
            self.read.manifest,
            text,
            model=model,
            signers=self._signers,
            signatures=self._signatures,
            matrix=self.narrowed(text, model),
        ).overall

    def key(self, text: str, model: str | None) -> OutcomeKey | None:
        """The deciding entries for an older version on a model; None for any other version."""
        place = self.line.place.get(text)
        if place is None or not self._decided >> place & 1 or model not in self._group:
            return None
        if model is None and self._apart:  # the decision is made for all models at once
            return None
        group = self._group[model]
        return (self._common[place], self._sources[group][place], self._blocks[group][place])

    def stop_of(self, text: str) -> ReadStop | None:
        """The stop that a version must pass first, regardless of any other decision about it."""
        place = self.line.place.get(text)
        number = -1 if place is None else self._commons[self._common[place]][1]
        return self.read.stops[number] if number >= 0 else None

    def can_read(self, text: str) -> bool:
        """Whether a version has a place in the order of the matrix."""
        return text in self.line.place or self._parsed(text) is not None

    def withdraws(self, text: str) -> bool:
        """Whether the matrix withdraws a release. The matrix must be able to read the release."""
        if text not in self._withdraws:
            version = self._parsed(text)
            self._withdraws[text] = version is not None and any(version in one.range for one in self.read.withdrawn)
        return self._withdraws[text]

    def is_dead(self, text: str) -> bool:
        """Whether no update from a release is possible. The matrix must be able to read the release."""
        if (place := self.line.place.get(text)) is not None:
            return bool(self.dead >> place & 1)
        version = self._parsed(text)
        return version is not None and any(version in one.range for one in self.read.dead_ends)

    def _parsed(self, text: str) -> Version | None:
        try:
            return self.read.parse(self.read.primary_component, text)
        except VersionError:
            return None

    def narrowed(self, text: str, model: str | None) -> ReadMatrix:
        """The matrix reduced to the deciding entries for a version on a model."""
        if (key := self.key(text, model)) is None:
            return self.read
        read, (common, source, block) = self.read, key
        dead_end, stop, condition, skew, risk, *_ = self._commons[common]
        return replace(
            read,
            withdrawn=self.withdrawn[:1],
            sources=_only(read.sources, source),
            blocks=_only(read.blocks, block),
            dead_ends=_only(read.dead_ends, dead_end),
            stops=(*_only(read.stops, stop), *_only(read.stops, condition)),
            risks=_only(read.risks, risk),
            skews=_only(read.skews, skew) or read.skews[:1],
        )

    def _common_keys(self) -> array[int]:
        """For each version the entries that decide about it on every model, as a place in ``_commons``."""
        read, line, own = self.read, self.line, self.read.own
        dead_ends = _first(line, ((n, line.within(one.range)) for n, one in enumerate(read.dead_ends)))
        stops = sorted((stop.via, n) for n, stop in enumerate(read.stops) if stop.entry.when is None)
        sent = _first(line, ((n, line.sent(read.stops[n], own)) for _, n in stops))
        conditions = _first(
            line, ((n, line.sent(one, own)) for n, one in enumerate(read.stops) if one.entry.when is not None)
        )
        skews = _first(line, ((n, line.within(one.old)) for n, one in enumerate(read.skews) if own in one.new))
        risks = _first(line, ((n, line.within(one.range)) for n, one in enumerate(read.risks)))
        keys = [since for since, _ in read.trusted_keys]
        ships = [since for since, _ in read.trust_of]
        numbers: dict[tuple[int, ...], int] = {}
        common = array("l")
        for place, version in enumerate(line.versions):
            deciding = (
                dead_ends[place],
                sent[place],
                conditions[place],
                skews[place],
                risks[place],
                line.known >> place & 1,
                bisect.bisect_right(keys, version),
                bisect.bisect_right(ships, version),
            )
            common.append(numbers.setdefault(deciding, len(numbers)))
        self._commons = list(numbers)
        return common

    def _first_sources(self, groups: range) -> list[array[int]]:
        """For each group of models and each version the source that covers it: an edge first, a re-image last."""
        sources, line = self.read.sources, self.line
        order = sorted(
            range(len(sources)),
            key=lambda n: (sources[n].range.exact is None, sources[n].entry.method == "reimage"),
        )
        return self._by_group(groups, ((n, line.covered(sources[n]), sources[n].entry.models) for n in order))

    def _first_blocks(self, groups: range) -> list[array[int]]:
        blocks, line = self.read.blocks, self.line
        return self._by_group(groups, ((n, line.within(one.range), one.entry.models) for n, one in enumerate(blocks)))

    def _by_group(self, groups: range, masks: Iterator[tuple[int, int, tuple[str, ...]]]) -> list[array[int]]:
        firsts = [_First(self.line) for _ in groups]
        for number, mask, models in masks:
            for group in {self._group[one] for one in models if one in self._group} if models else groups:
                firsts[group].add(number, mask)
        return [first.found for first in firsts]


class _First:
    """For each version the first of some entries that is about it (-1: none)."""

    def __init__(self, line: VersionLine) -> None:
        self._open = line.every
        self.found = array("l", [-1]) * len(line.versions)

    def add(self, number: int, mask: int) -> None:
        new = mask & self._open
        self._open ^= new
        for place in places(new):
            self.found[place] = number


def _first(line: VersionLine, masks: Iterable[tuple[int, int]]) -> array[int]:
    first = _First(line)
    for number, mask in masks:
        first.add(number, mask)
    return first.found


def _only(entries: tuple[T, ...], number: int) -> tuple[T, ...]:
    return entries[number : number + 1] if number >= 0 else ()


def _outcome(component_decision: ComponentDecision) -> DecisionOutcome:
    return DecisionOutcome(component_decision.kind, component_decision.entry, component_decision.allowed)


def _readable(read: ReadMatrix, texts: Iterable[str]) -> Iterator[tuple[str, Version]]:
    """The texts that have a place in the order of the matrix, each with its version."""
    for text in dict.fromkeys(texts):
        try:
            version = read.parse(read.primary_component, text)
        except VersionError:
            continue
        yield text, version


def _groups(read: ReadMatrix, models: Sequence[str | None]) -> dict[str | None, int]:
    """The group of each model. No entry distinguishes the models of one group."""
    named: dict[str | None, list[int]] = {model: [] for model in models}
    matrix = read.manifest.matrix
    of_entries = (*(entry.models for entry in matrix.sources), *(entry.models for entry in matrix.blocks))
    for number, models_named in enumerate(of_entries):
        for model in dict.fromkeys(models_named):
            if model in named:
                named[model].append(number)
    groups: dict[tuple[int, ...], int] = {}
    return {model: groups.setdefault(tuple(numbers), len(groups)) for model, numbers in named.items()}
