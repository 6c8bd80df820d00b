"""The components and documents of two bundles, by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from bundlekit.comparison.chunks import DamagedIndexError, chunk_changes, indexed
from bundlekit.report.comparison import ComparisonObstacle, PartChange

if TYPE_CHECKING:
    from bundlekit.comparison.chunks import Indexed
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.release import Part
    from bundlekit.report.comparison import Content
    from bundlekit.source import Source


class OpenedBundle(NamedTuple):
    """An open bundle as its reader understood it. ``readable``: it could be read to the end, without a fault."""

    source: Source
    bundle: Bundle
    readable: bool


def part_changes(old: OpenedBundle, new: OpenedBundle) -> tuple[tuple[PartChange, ...], list[ComparisonObstacle]]:
    """The components and documents in the order of the new bundle, and the chunk indexes that are damaged."""
    before, after = _parts(old.bundle), _parts(new.bundle)
    was, now = indexed(old.source, old.bundle), indexed(new.source, new.bundle)
    changes, obstacles = [], []
    for label in dict.fromkeys((*after, *before)):
        found = _stated(old.bundle, new.bundle, label, before.get(label), after.get(label))
        try:
            found = _by_chunks(found, was.get(label), now.get(label))
        except DamagedIndexError:
            obstacles.append(
                ComparisonObstacle(
                    rule="index-damaged",
                    subject=label,
                    message=f"A chunk index of {label} is not the one that the description names.",
                    next="Get the bundle again, and check it.",
                )
            )
        changes.append(found)
    return tuple(changes), obstacles


def _parts(bundle: Bundle) -> dict[str, Part]:
    return {part.label: part for part in bundle.release.parts} if bundle.release else {}


def _stated(old: Bundle, new: Bundle, label: str, was: Part | None, now: Part | None) -> PartChange:
    """The result of comparing the two entries of the descriptions."""
    manifest = new.manifest if now else old.manifest
    documents = {one.name for one in manifest.documents} if manifest else set()
    return PartChange(
        kind="document" if label in documents else "component",
        label=label,
        change="removed" if now is None else "added" if was is None else "same" if was == now else "changed",
        content=_content(was, now),
        old=was,
        new=now,
    )


def _content(was: Part | None, now: Part | None) -> Content:
    if was is None or now is None or was.size != now.size:
        return "differs"
    if was.digest.partition(":")[0] != now.digest.partition(":")[0] or not was.digest:
        return "unknown"
    return "same" if was.digest == now.digest else "differs"


def _by_chunks(found: PartChange, was: Indexed | None, now: Indexed | None) -> PartChange:
    """The change with the chunks that differ. The index decides, because the check of a bundle compares it."""
    if was is None or now is None or not was.like(now) or was.expected == now.expected:
        return found
    return replace(found, change="changed", content="differs", chunks=chunk_changes(was, now))
