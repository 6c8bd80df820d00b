"""An advisory: facts about a product's releases found after they shipped. It can only restrict."""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from typing import Annotated, Literal

from msgspec import Meta

from bundlekit.model.matrix import Block, DeadEnd, Risk, Stop, Withdrawn
from bundlekit.model.primitives import MAX_INTEGER, Date, Frozen, Name, RangeText, Strict


class AdvisoryBlock(Block, frozen=True, kw_only=True):
    """Versions that must not be updated ``into`` some releases."""

    into: RangeText = "*"


class AdvisoryStop(Stop, frozen=True, kw_only=True):
    """A release that versions must pass through before they go ``into`` some releases."""

    into: RangeText = "*"


class AdvisoryRisk(Risk, frozen=True, kw_only=True):
    """A risk of an update ``into`` some releases."""

    into: RangeText = "*"


class AdvisoryDeadEnd(DeadEnd, frozen=True, kw_only=True):
    """Versions that can reach the releases ``into`` only by re-imaging."""

    into: RangeText = "*"


class Advisory(Strict, frozen=True, kw_only=True):
    """The content of an advisories file about a ``product``.

    ``serial`` rises with every file. A caller that keeps the last serial used can reject an older file. The file is
    valid from ``issued`` up to and including ``until``. Versions follow the scheme of the bundle under validation. No
    entry can allow an update: a source comes only from a bundle's own matrix.
    """

    advisory: Literal[1]
    product: Name
    serial: Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
    issued: Date
    until: Date
    blocks: Annotated[tuple[AdvisoryBlock, ...], Meta(max_length=1024)] = ()
    stops: Annotated[tuple[AdvisoryStop, ...], Meta(max_length=1024)] = ()
    withdrawn: Annotated[tuple[Withdrawn, ...], Meta(max_length=1024)] = ()
    risks: Annotated[tuple[AdvisoryRisk, ...], Meta(max_length=1024)] = ()
    dead_ends: Annotated[tuple[AdvisoryDeadEnd, ...], Meta(max_length=1024)] = ()


class AdvisoryUse(Frozen, frozen=True, kw_only=True):
    """The advisory used, for the inputs of the report. ``id`` is the SHA-256 of its signed bytes."""

    serial: int
    issued: Date
    until: Date
    id: str
    signers: tuple[str, ...]


class Advice(Frozen, frozen=True, kw_only=True):
    """An advisory that was verified as authentic, current and not older than the last one used."""

    advisory: Advisory
    use: AdvisoryUse
