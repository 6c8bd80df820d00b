"""The chain of a journal's records: SHA-256 over the hash before, the pair, the number, and the JSON.

The chain finds damage, not tampering: a tail that was cut off is a shorter valid chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from bundlekit.update.engine.errors import JournalDamagedError
from bundlekit.update.engine.records import Record, decode

GENESIS: Final = "0" * 64
"""What stands for the hash before the first record."""


def link(previous: str, pair: str, seq: int, body: str) -> str:
    """The hash of record ``seq`` of ``pair``, whose JSON is ``body``, after a record with the hash ``previous``."""
    return hashlib.sha256(f"{previous}\n{pair}\n{seq}\n{body}".encode()).hexdigest()


def checked(store: str, pair: str, rows: Sequence[tuple[int, str, str]], *, next_step: str) -> tuple[Record, ...]:
    """The records of ``rows``, their chain checked. JournalDamagedError, about ``store``, where it is broken."""
    previous = GENESIS
    for seq, body, digest in rows:
        if digest != link(previous, pair, seq, body):
            raise JournalDamagedError(f"{store} is damaged at record {seq} of pair {pair}.", next_step=next_step)
        previous = digest
    return tuple(decode(body) for _, body, _ in rows)
