"""Which pairs are in which wave: by name, by count, or by percentage, in an order that a seed decides.

The order is that of SHA-256 over seed and name. It is the same on every machine and in every version. A pair that joins
the fleet moves at most one other pair over each border between two waves.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from bundlekit.fleet.fleet_file import FleetWave


def seeded(pairs: Collection[str], seed: str) -> list[str]:
    """The pairs in the order of the seed."""
    prefix = hashlib.sha256(seed.encode() + b"\0")

    def rank(pair: str) -> bytes:
        digest = prefix.copy()
        digest.update(pair.encode())
        return digest.digest()

    return sorted(pairs, key=rank)


def assign(waves: tuple[FleetWave, ...], pairs: Collection[str], seed: str) -> list[tuple[str, ...]]:
    """The pairs of each wave, in the order in which they start.

    Every pair is in one wave. A named pair is in the wave that names it, and only the others are counted. A percentage
    is one of all pairs, rounded up. A name that is not among the pairs is left out.
    """
    known = set(pairs)
    named = {pair for wave in waves for pair in wave.pairs}
    order = seeded([pair for pair in pairs if pair not in named], seed)
    found, taken = list[tuple[str, ...]](), 0
    for wave in waves:
        if wave.pairs:
            found.append(tuple(seeded([pair for pair in wave.pairs if pair in known], seed)))
            continue
        count = wave.count
        if wave.percent is not None:
            count = -(-len(known) * wave.percent // 100)
        until = len(order) if count is None else min(taken + count, len(order))
        found.append(tuple(order[taken:until]))
        taken = until
    return found
