"""An advisory: what was learnt of a product's releases after they had shipped. It only ever restricts."""

# Without `from __future__ import annotations`, so that msgspec need not compile each of them at the first use.

from typing import Annotated, Literal

from msgspec import Meta

from bundlekit.model.matrix import Block, DeadEnd, Risk, Stop, Withdrawn
from bundlekit.model.primitives import MAX_INTEGER, Date, Frozen, Name, RangeText, Strict


class AdvisoryBlock(Block, frozen=True, kw_only=True):
    """Versions that must not go ``into`` some releases."""

    into: RangeText = "*"


class AdvisoryStop(Stop, frozen=True, kw_only=True):
    """A release that versions must pass through on their way ``into`` some releases."""

    into: RangeText = "*"


class AdvisoryRisk(Risk, frozen=True, kw_only=True):
    """A danger on the way ``into`` some releases."""

    into: RangeText = "*"


class AdvisoryDeadEnd(DeadEnd, frozen=True, kw_only=True):
    """Versions from which only re-imaging leads ``into`` some releases."""

    into: RangeText = "*"


class Advisory(Strict, frozen=True, kw_only=True):
    """What an advisories file says about a ``product``.

    ``serial`` rises with every file; whoever keeps the last one used can refuse an older one. It is good from
    ``issued`` up to and including ``until``. Versions follow the scheme of the bundle that is judged. There is
    no entry that could allow anything: a source comes from a bundle's own matrix alone.
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
    """Which advisory was used: for the report's inputs. ``id`` is the SHA-256 of its signed bytes."""

    serial: int
    issued: Date
    until: Date
    id: str
    signers: tuple[str, ...]


class Advice(Frozen, frozen=True, kw_only=True):
    """An advisory that was found authentic, current and not older than the last one used."""

    advisory: Advisory
    use: AdvisoryUse
