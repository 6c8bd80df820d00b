"""The comparison as Markdown, for a job summary or a merge request. Text from a bundle makes no markup."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bundlekit.report.comparison_text import (
    are_ranges_shown,
    chunk_numbers,
    key_of,
    part_text,
    range_text,
    region_text,
    reliance,
    values,
    verdict_of,
)
from bundlekit.report.markdown import code, fitted, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.report.comparison import ByteRange, Comparison, SignerChange

SYMBOLS: Final = {"same": "✅", "differs": "🔶", "incomplete": "❌"}
MOST_ROWS: Final = 200
"""Rows of a table; the JSON output has them all."""
LARGEST_TABLE: Final = 120_000
"""Bytes of a table. Seven of them fit into a document."""
MOST_RANGES: Final = 4
"""Ranges of a region in its row."""


def render(comparison: Comparison) -> str:
    """The comparison as a document, with the verdict first."""
    return fitted(_document(comparison))


def _document(comparison: Comparison) -> Iterator[str]:
    files = f"{code(comparison.old.file)} and {code(comparison.new.file)}"
    yield f"## {SYMBOLS[comparison.verdict]} {verdict_of(comparison)}: {files}\n"
    yield f"{plain(comparison.summary)}\n"
    for note in reliance(comparison):
        yield f"**{plain(note.text.strip())}**\n"
    if not comparison.payload_read:
        yield "The payload was not read: signed digests were compared.\n"
    yield from _section(
        "Obstacles",
        ("Rule", "About", "What", "Next"),
        ((code(one.rule), plain(one.subject), plain(one.message), plain(one.next)) for one in comparison.obstacles),
    )
    yield from _section("Signing keys", ("Key", "Old", "New", "Why"), map(_signer, comparison.signers))
    yield from _section(
        "Facts", ("Field", "Change"), ((code(one.fact), plain(values(one))) for one in comparison.facts)
    )
    yield from _section(
        "Components and documents",
        ("Kind", "Name", "Change", "Chunks"),
        (
            (one.kind, code(one.label), plain(part_text(one)), plain(chunk_numbers(one.chunks)) if one.chunks else "")
            for one in comparison.parts
        ),
    )
    yield from _matrix(comparison)
    yield from _section(
        "Bytes",
        ("Region", "First ranges"),
        (
            (plain(region_text(one)), _ranges(one.ranges) if are_ranges_shown(comparison, one) else "")
            for one in comparison.regions
        ),
    )


def _signer(one: SignerChange) -> tuple[str, ...]:
    continuity = one.continuity if one.continuity == "same" else f"**{one.continuity.upper()}**"
    keys = (key_of(one.old_signer, one.old_key), key_of(one.new_signer, one.new_key))
    return continuity, *map(plain, keys), plain(one.reason)


def _matrix(comparison: Comparison) -> Iterator[str]:
    matrix = comparison.matrix
    if matrix.diff:
        yield from _section(
            "Upgrade paths",
            ("From", "Model", "Change", "Old", "New"),
            (
                (
                    code(one.source),
                    code(one.model) if one.model else "",
                    f"**{one.change}**" if one.change == "loses" else one.change,
                    *(
                        plain(f"{side.decision} ({side.path}{f' {side.via}' if side.via else ''}) {side.entry}".strip())
                        for side in (one.old, one.new)
                    ),
                )
                for one in matrix.diff.changes
            ),
        )
    yield from _section(
        "Matrix entries",
        ("Table", "Id", "Change"),
        ((code(one.table), code(one.id), one.change) for one in matrix.entries),
    )
    if matrix.reason:
        yield f"Upgrade paths were not compared: {plain(matrix.reason)}.\n"


def _ranges(found: Sequence[ByteRange]) -> str:
    """The first ranges of a region, one on each line of a cell."""
    shown = [code(range_text(one.old, one.new)) for one in found[:MOST_RANGES]]
    more = len(found) - MOST_RANGES
    return "<br>".join([*shown, f"and {more:,} more"] if more > 0 else shown)


def _section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    every = list(rows)
    if not every:
        return
    sizes = accumulate(sum(len(cell.encode()) for cell in cells) for cells in every[:MOST_ROWS])
    shown = sum(size <= LARGEST_TABLE for size in sizes)
    yield f"### {title}\n"
    yield table(columns, every[:shown])
    if len(every) > shown:
        yield f"{len(every) - shown:,} more are in the JSON output.\n"
