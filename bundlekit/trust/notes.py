"""Notes on a valid trust file that an operator should look at: `bundlekit trust show` prints them."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Final

from bundlekit.trust import crl
from bundlekit.trust.quorum import applicable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from bundlekit.trust.store import Signer, TrustStore

OF_A_KEY: Final = re.compile(
    r"[0-9]+|(?<![a-z])(old|new|next|backup|spare|pq|pqc|classical|rsa|ec|ecdsa|ed|ml|mldsa|dsa|key|hsm|pub|pem)(?![a-z])"
)
"""Parts of a name that distinguish keys and not people: years, numbers, kinds of keys."""


def notes(store: TrustStore, at: datetime) -> tuple[str, ...]:
    """The notes on a trust file at the time ``at``; PEM trust has none."""
    return () if store.names is None else (*_one_person(store), *_without_demand(store), *_lists(store, at))


def _one_person(store: TrustStore) -> Iterator[str]:
    """Two signers that look like two keys of one person, in a requirement for more than one person."""
    for one, other in combinations(store.signers, 2):
        together = [demand for demand in store.demands if {one.name, other.name} <= set(demand.of)]
        if any(demand.count > 1 for demand in together) and (why := _alike(one, other)):
            yield (
                f"the signers {one.name} and {other.name} look like one person ({why}), but count as two: "
                "put all keys and anchors of one person under one [signers.NAME]"
            )


def _alike(one: Signer, other: Signer) -> str:
    names = _common_names(one) & _common_names(other)
    if names:
        return f"both are {min(names)!r}"
    if _person(one.name) and _person(one.name) == _person(other.name):
        return "their names differ as those of keys do"
    return ""


def _common_names(signer: Signer) -> set[str]:
    """The names of people in the certificates of a signer, without the parts that distinguish keys."""
    subjects = {_common_name(text) for text in signer.subjects}
    anchors = {name for one in signer.trust.anchors for name in one.common_names}
    named = subjects if signer.subjects else anchors
    return {person for text in named if (person := _person(text))}


def _common_name(subject: str) -> str:
    found = re.search(r"(?:^|[,+])CN=((?:[^,+\\]|\\.)*)", subject)
    return found[1] if found else subject


def _person(name: str) -> str:
    """A name without the parts that distinguish keys."""
    return " ".join(re.sub(r"[\W_]+", " ", OF_A_KEY.sub(" ", name.lower())).split())


def _without_demand(store: TrustStore) -> Iterator[str]:
    """Signers in no requirement. In formats without requirement they alone suffice."""
    asked = {name for demand in store.demands for name in demand.of}
    for signer in store.signers:
        if signer.name in asked:
            continue
        free = [form for form in signer.formats if not any(one in store.demands for one in applicable(store, form))]
        if free:
            yield (
                f"the signer {signer.name} is in no requirement, and none is for {', '.join(free)}, so this signature "
                "is sufficient there"
            )
        if len(free) < len(signer.formats):
            yield f"the signer {signer.name} is in no requirement, so this signature alone never meets one"


def _lists(store: TrustStore, at: datetime) -> Iterator[str]:
    """Revocation lists that cannot show that a certificate is good."""
    known = (*store.trusted.anchors, *(store.listed or ()))
    crls = store.crls or crl.Crls()
    for one in crls.lists:
        issuers = [ca for ca in known if one.is_of(ca)]
        faults = [crl.unusable(one, ca, at, crls.max_age) for ca in issuers]
        if not issuers:
            yield f"the revocation list {one.name} is of a CA that is not in this trust file"
        elif all(faults):
            yield f"the revocation list {one.name} cannot show that a certificate is not revoked: {faults[0]}"
