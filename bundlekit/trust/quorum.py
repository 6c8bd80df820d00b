"""k of n: whether enough named signers have signed. People are counted, not keys or signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.evidence import DemandEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Require

POST_QUANTUM = {"ml-dsa-65", "ml-dsa-87"}
"""FIPS 204, in the accepted parameter sets."""


def tally(demands: Sequence[Require], signatures: Sequence[SignatureEvidence]) -> tuple[DemandEvidence, ...]:
    """How far the signatures meet each requirement."""
    return tuple(_demand(demand, signatures) for demand in demands)


def _demand(demand: Require, signatures: Sequence[SignatureEvidence]) -> DemandEvidence:
    fitting = [one for one in signatures if one.name in demand.of and fits(one.families, demand.algorithms)]
    return DemandEvidence(
        count=demand.count,
        of=demand.of,
        algorithms=demand.algorithms,
        signed=people((one.name, one.key_id) for one in fitting if one.counts),
        present=people((one.name, one.key_id) for one in fitting if one.standing != "ignored"),
    )


def fits(families: Sequence[str], algorithms: Sequence[str]) -> bool:
    """Whether a signature with keys of these families uses one of ``algorithms`` in its whole chain.

    A chain is as strong as its weakest key: it is post-quantum if every key is, and classical otherwise.
    """
    kinds = set(families)
    wanted = set(algorithms)
    strength = "post-quantum" if kinds <= POST_QUANTUM else "classical"
    return not wanted or strength in wanted or (bool(kinds) and kinds <= wanted)


def people(edges: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The maximum number of distinct people, each with a key of their own, given pairs of name and key.

    A person with two keys is one, and so are two names with one key. This is a maximum matching in the graph of names
    and keys, found by augmenting paths (Kuhn 1955). An additional pair never makes it smaller.
    """
    keys: dict[str, list[str]] = {}
    for name, key in sorted(set(edges)):
        keys.setdefault(name, []).append(key)
    owner: dict[str, str] = {}

    def place(name: str, tried: set[str]) -> bool:
        for key in keys[name]:
            if key not in tried:
                tried.add(key)
                if key not in owner or place(owner[key], tried):
                    owner[key] = name
                    return True
        return False

    for name in keys:
        place(name, set())
    return tuple(sorted(owner.values()))
