"""The verdict of a comparison, and the sentence about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.report.comparison import Comparison


def decided(comparison: Comparison) -> Comparison:
    """The comparison with its verdict. The bytes decide, since every statement is made of bytes."""
    differs = any(not region.ignored for region in comparison.regions)
    if comparison.obstacles:
        found = "; ".join(_differences(comparison)) if differs else "no byte that was compared differs"
        return replace(comparison, summary=found)
    if differs:
        return replace(comparison, verdict="differs", summary="; ".join(_differences(comparison)))
    return replace(comparison, verdict="same", summary=_sameness(comparison))


def _sameness(comparison: Comparison) -> str:
    ignored = ", apart from signatures" if comparison.request.ignore_signatures else ""
    if not comparison.payload_read:
        return f"the heads are the same, and so are all digests in them{ignored}; the payload was not read"
    return f"all bytes are the same{ignored}" if ignored else f"all {comparison.new.size:,} bytes are the same"


def _differences(comparison: Comparison) -> Iterator[str]:
    """What differs, the most important first."""
    counted = [region for region in comparison.regions if not region.ignored]
    keys = [one for one in comparison.signers if one.continuity != "same"]
    if not comparison.request.ignore_signatures:
        for word in ("new", "rotated", "gone", "unknown"):
            if count := sum(one.continuity == word for one in keys):
                yield f"{_counted(count, 'signing key')} {word}"
        if all(region.kind in ("signature", "decoded") for region in counted):
            yield "only signatures differ" if not keys else "the contents are the same"
            return
    versions = [side.release.version for side in (comparison.old, comparison.new) if side.release]
    if len(set(versions)) == 2:
        yield f"version {versions[0]} became {versions[1]}"
    elif len(versions) == 2:
        yield f"both are version {versions[0]}"
    if parts := sum(part.change != "same" for part in comparison.parts):
        yield f"{parts:,} of {_counted(len(comparison.parts), 'part')} changed"
    changes = comparison.matrix.diff.changes if comparison.matrix.diff else ()
    losers = [one.new.via for one in changes if one.change == "loses"]
    if lost := sum(not via for via in losers):
        yield f"{_counted(lost, 'upgrade path')} lost"
    if longer := sum(bool(via) for via in losers):
        yield f"{_counted(longer, 'upgrade path')} longer"
    differing = sum(region.differing for region in counted)
    yield f"{_counted(differing, 'differing byte')} in {_counted(len(counted), 'region')}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
