"""The comparison for people: who signed, what differs, and the verdict as the last line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.matrix import diff_lines
from bundlekit.report.phrases import describe
from bundlekit.report.text import Line
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.bundle import Span
    from bundlekit.model.release import Part
    from bundlekit.report.comparison import (
        ChunkChanges,
        ComparedBundle,
        Comparison,
        ComparisonObstacle,
        FactChange,
        PartChange,
        RegionChange,
        SignerChange,
    )

VERDICTS: Final = {"same": "SAME", "differs": "DIFFERS", "incomplete": "INCOMPLETE"}
TONES: Final = {"same": "good", "differs": "doubtful", "incomplete": "bad"}
MOST: Final = 8
"""Ranges, runs of chunks and other lists that are written out; the JSON output has them all."""
MOST_VALUES: Final = 24
"""Values of the format's own description that are written out."""
LONGEST: Final = 200
"""Characters of a value that are written out."""

LESSER: Final = frozenset({"framing", "checked", "padding"})
"""Kinds of regions that follow from others."""

_KEYS: Final = {"same": "good", "rotated": "doubtful", "new": "bad", "gone": "bad", "unknown": "doubtful"}


def lines(comparison: Comparison) -> Iterator[Line]:
    """The comparison, line by line, every character of it safe for a terminal."""
    for line in _lines(comparison):
        yield Line(escape(line.text), line.tone)


def _lines(comparison: Comparison) -> Iterator[Line]:
    yield from _side("old", comparison.old)
    yield from _side("new", comparison.new)
    for signer in comparison.signers:
        for line in _signer(signer):
            yield line._replace(tone="muted") if comparison.request.ignore_signatures else line
    if not (comparison.old.signatures or comparison.new.signatures):
        yield Line("  key        neither bundle is signed", "doubtful")
    yield from _facts(comparison)
    for part in comparison.parts:
        yield from _part(part)
    yield from _matrix(comparison)
    yield from _regions(comparison)
    if not comparison.payload_read:
        yield Line(f"  not read   the payload: signed digests were compared ({given('full')} reads the bytes)", "muted")
    for obstacle in comparison.obstacles:
        yield from _obstacle(obstacle)
    yield from reliance(comparison)
    yield Line(f"{verdict_of(comparison)}: {comparison.summary}", TONES[comparison.verdict])


def verdict_of(comparison: Comparison) -> str:
    """The verdict in one word, with the obstacles."""
    rules = ", ".join(dict.fromkeys(one.rule for one in comparison.obstacles))
    return f"{VERDICTS[comparison.verdict]} ({rules})" if rules else VERDICTS[comparison.verdict]


def reliance(comparison: Comparison) -> Iterator[Line]:
    """What a reader must know to rely on the verdict."""
    if comparison.request.trust is None:
        yield Line(
            f"  NOT VERIFIED  no trust anchors were given ({given('trust')}); nothing is authenticated", "doubtful"
        )
    if comparison.old.test_trust or comparison.new.test_trust:
        yield Line("  TEST TRUST a test key counts here, which anyone can have; for tests only", "doubtful")


def _side(name: str, side: ComparedBundle) -> Iterator[Line]:
    claims = "" if side.authentic else "NOT VERIFIED, claims to be "
    what = describe(side.release) if side.release else "no description could be read"
    yield Line(f"{name} {side.file}: {claims}{what}", "plain" if side.authentic else "doubtful")
    if side.id:
        yield Line(f"  id         {side.id}")


def _signer(one: SignerChange) -> Iterator[Line]:
    tone = _KEYS[one.continuity]
    match one.continuity:
        case "same":
            yield Line(f"  key        same: {one.new_signer}", tone)
            if one.old_signer != one.new_signer:
                yield Line(f"             it was {one.old_signer}", "muted")
        case "gone":
            yield Line(f"  key        GONE: {one.old_signer}", tone)
        case _:
            yield Line(f"  key        {one.continuity.upper()}: {key_of(one.new_signer, one.new_key)}", tone)
            if one.old_signer:
                yield Line(f"             it was {key_of(one.old_signer, one.old_key)}", tone)
    if one.reason:
        yield Line(f"             {one.reason}", "muted")


def key_of(signer: str, key_id: str) -> str:
    """A signer with the start of the id of the key, unless the key is already named."""
    return signer if not key_id or key_id in signer else f"{signer}, key sha256:{key_id[:16]}…"


def _facts(comparison: Comparison) -> Iterator[Line]:
    described = [fact for fact in comparison.facts if fact.group == "description"]
    for fact in comparison.facts:
        if fact.group == "release":
            yield Line(f"  fact       {fact.fact}: {values(fact)}")
    for fact in described[:MOST_VALUES]:
        yield Line(f"  described  {fact.fact}: {values(fact)}")
    if len(described) > MOST_VALUES:
        yield Line(f"  described  and {len(described) - MOST_VALUES:,} more values, all in the JSON output", "muted")


def values(fact: FactChange) -> str:
    """The old and the new value of a fact. What was added to a list, or removed from it, is shown alone."""
    if isinstance(fact.old, list | tuple) and isinstance(fact.new, list | tuple):
        before, after = ({_value(one) for one in each} for each in (fact.old, fact.new))  # items can be objects
        added = [text for text in map(_value, fact.new) if text not in before]
        gone = [text for text in map(_value, fact.old) if text not in after]
        if added or gone:
            return ", ".join([*(f"+{text}" for text in added), *(f"-{text}" for text in gone)])[:LONGEST]
    return f"{_value(fact.old)} -> {_value(fact.new)}"


def _value(value: object) -> str:
    if value is None or value == "":
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _part(part: PartChange) -> Iterator[Line]:
    tone = {"same": "muted", "added": "good", "removed": "bad", "changed": "plain"}[part.change]
    yield Line(f"  {part.kind:<10} {part.label}: {part_text(part)}", tone)
    if part.chunks:
        yield Line(f"             chunks {chunk_numbers(part.chunks)}", "muted")


def part_text(part: PartChange) -> str:
    """What became of a component or document."""
    if part.change == "same":
        return f"same{_version(part.new)}, {_size(part.new)}" + (
            "; its format states no digest" if part.content == "unknown" else ""
        )
    if part.change != "changed":
        return f"{part.change}{_version(part.new or part.old)}, {_size(part.new or part.old)}"
    versions = f"{_version(part.old)} ->{_version(part.new)}" if _version(part.old) != _version(part.new) else ""
    versions = versions or _version(part.new)
    if part.content == "same":
        return f"changed{versions}; its content is the same, {_size(part.new)}"
    sizes = _size(part.new) if _size(part.old) == _size(part.new) else f"{_size(part.old)} -> {_size(part.new)}"
    if part.content == "unknown":
        return f"changed{versions}, {sizes}; one of the two states no digest"
    return f"changed{versions}, {sizes}" + (f"; {delta_text(part.chunks)}" if part.chunks else "")


def delta_text(chunks: ChunkChanges) -> str:
    """How many chunks differ, and what a delta needs."""
    if not chunks.changed:
        return f"the first {chunks.new_chunks:,} of {chunks.old_chunks:,} chunks are the same; a delta needs 0 bytes"
    return f"{chunks.changed:,} of {chunks.new_chunks:,} chunks differ; a delta needs {chunks.delta_bytes:,} bytes"


def chunk_numbers(chunks: ChunkChanges) -> str:
    """The numbers of the chunks that differ, with their bytes in the new file."""
    shown = [
        (str(run.start) if run.stop == run.start + 1 else f"{run.start} to {run.stop - 1}")
        + (f" ({run.new})" if run.new else " (only in the old one)")
        for run in chunks.runs[:MOST]
    ]
    more = ", and more" if len(chunks.runs) > MOST else ""
    return f"of {chunks.chunk_size:,} bytes: {', '.join(shown)}{more}"


def _version(part: Part | None) -> str:
    return f" {part.version}" if part and part.version else ""


def _size(part: Part | None) -> str:
    return f"{part.size:,} bytes" if part else ""


def _matrix(comparison: Comparison) -> Iterator[Line]:
    matrix = comparison.matrix
    for entry in matrix.entries:
        yield Line(f"  matrix     [[{entry.table}]] {entry.id}: {entry.change}")
    for line in diff_lines(matrix.diff) if matrix.diff else ():
        yield Line(f"  path     {line.text}" if line.text.startswith(" ") else f"  paths      {line.text}", line.tone)
    if matrix.reason:
        yield Line(f"  paths      not compared: {matrix.reason}", "muted")


def _regions(comparison: Comparison) -> Iterator[Line]:
    """The regions that differ. Many of framing and padding are only counted, as they follow from the others."""
    lesser, counted = 0, []
    for region in comparison.regions:
        lesser += region.kind in LESSER
        if region.kind in LESSER and lesser > MOST:
            counted.append(region)
        else:
            yield from _region(region, ranges=are_ranges_shown(comparison, region))
    if counted:
        differing = sum(one.differing for one in counted)
        where = f"in {len(counted):,} more regions of framing and padding, all in the JSON output"
        yield Line(f"  bytes      {differing:,} bytes {where}", "muted")


def are_ranges_shown(comparison: Comparison, region: RegionChange) -> bool:
    """Whether the ranges of a region are written out. Those of a head are not if the values in it are shown."""
    if region.ignored or region.kind == "signature":
        return False
    changed = comparison.facts or comparison.matrix.entries or any(one.change != "same" for one in comparison.parts)
    return region.kind != "head" or not changed


def _region(region: RegionChange, *, ranges: bool) -> Iterator[Line]:
    tone = "muted" if region.ignored else "plain"
    yield Line(f"  bytes      {region_text(region)}", tone)
    if not ranges:
        return
    for one in region.ranges[:MOST]:
        yield Line(f"             {range_text(one.old, one.new)}", "muted")
    if len(region.ranges) > MOST:
        yield Line(f"             and {len(region.ranges) - MOST} more ranges, all in the JSON output", "muted")


def region_text(region: RegionChange) -> str:
    """What became of a region, and whether that counts."""
    ignored = "; ignored" if region.ignored else ""
    where = region.new or region.old
    noun = "byte" if region.differing == 1 else "bytes"
    if region.change == "changed":
        verb = "differs" if region.differing == 1 else "differ"
        return f"{region.region} ({region.kind}): {region.differing:,} {noun} {verb}{ignored}"
    return f"{region.region} ({region.kind}): {region.change}, {region.differing:,} {noun}, {where}{ignored}"


def range_text(old: Span, new: Span) -> str:
    """A range that differs, in one or in both files."""
    return f"{new} ({new.size:,} {'byte' if new.size == 1 else 'bytes'})" if old == new else f"{old} -> {new}"


def _obstacle(obstacle: ComparisonObstacle) -> Iterator[Line]:
    yield Line(f"  error      {obstacle.rule} [{obstacle.subject}]: {obstacle.message}", "bad")
    if obstacle.next:
        yield Line(f"             next: {obstacle.next}")
