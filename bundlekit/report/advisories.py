"""An advisories file, as it is shown: what it restricts, and who signed it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from bundlekit.report.escape import escape
from bundlekit.report.json import render
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.model.advisory import Advisory, AdvisoryUse
    from bundlekit.model.evidence import SignatureEvidence


def lines(
    name: str, advisory: Advisory, identity: str, signatures: Sequence[SignatureEvidence], use: AdvisoryUse | None
) -> Iterator[str]:
    """The file in lines of text. ``use``: it was verified; without it the lines are claims."""
    yield escape(f"file {name}: advisories for {advisory.product}, serial {advisory.serial}")
    yield f"  id         {identity}"
    yield escape(f"  valid      from {advisory.issued} up to and including {advisory.until}")
    for kind, entry in _entries(advisory):
        facts = [f"{key} {_plain(value)}" for key, value in entry.items() if key not in {"id", "reason", "link"}]
        yield escape(f"  {kind:10} {entry['id']}: {', '.join(facts)}")
        yield from (escape(f"             {key}: {entry[key]}") for key in ("reason", "link") if entry.get(key))
    for one in signatures:
        yield escape(f"  signature  {one.index}: {one.signer or 'unreadable'} ({one.algorithm or 'unknown algorithm'})")
        yield from (escape(f"             problem: {problem.message}") for problem in one.problems)
    if not signatures:
        yield "  signature  none"
    if use is None:
        yield f"NOT VERIFIED: the signatures were not checked ({given('trust')})"
    else:
        yield "ACCEPT: a trusted signer signed these advisories, and they are valid at this time"


def as_json(advisory: Advisory, identity: str, signatures: Sequence[SignatureEvidence], use: AdvisoryUse | None) -> str:
    """The same as one JSON object."""
    value = {
        "verified": use is not None,
        "id": identity,
        "advisory": msgspec.to_builtins(advisory),
        "signatures": msgspec.to_builtins(tuple(signatures)),
    }
    return render(value)


def _entries(advisory: Advisory) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = (
        ("block", advisory.blocks),
        ("stop", advisory.stops),
        ("withdrawn", advisory.withdrawn),
        ("risk", advisory.risks),
        ("dead-end", advisory.dead_ends),
    )
    for kind, entries in kinds:
        for entry in entries:
            yield kind, msgspec.to_builtins(entry)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
