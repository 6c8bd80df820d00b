"""k of n: whether enough named signers have signed. People are counted, not keys or signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from bundlekit.model.evidence import DemandEvidence
from bundlekit.model.trust import Require

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.trust.store import TrustStore

POST_QUANTUM = {"ml-dsa-65", "ml-dsa-87"}
"""FIPS 204, in the accepted parameter sets."""


def tally(store: TrustStore, form: str, signatures: Sequence[SignatureEvidence]) -> tuple[DemandEvidence, ...]:
    """How far the signatures meet each requirement for files in the format ``form``."""
    return tuple(_demand(demand, signatures) for demand in applicable(store, form))


def applicable(store: TrustStore, form: str) -> tuple[Require, ...]:
    """The requirements for files in the format ``form``, which is a name that ``formats`` of a signer can have.

    A requirement without formats is for those that one of its signers can sign. If none is for this format, one of all
    signers has to sign: a file without a trusted signature never counts. PEM trust has no requirements.
    """
    if not store.demands:
        return ()
    able = {one.name for one in store.signers if not one.formats or form in one.formats}
    found = tuple(one for one in store.demands if (form in one.formats if one.formats else able & set(one.of)))
    return found or (Require(of=tuple(one.name for one in store.signers)),)


def _demand(demand: Require, signatures: Sequence[SignatureEvidence]) -> DemandEvidence:
    fitting = [one for one in signatures if one.name in demand.of and fits(one.families, demand.algorithms)]
    return DemandEvidence(
        count=demand.count,
        of=demand.of,
        algorithms=demand.algorithms,
        formats=demand.formats or UNSET,
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
