"""The effect of a trust store at a given time: the allowed signers, their end dates, and achievable requirements.

The tests for a signature are applied to the trust itself, before any bundle exists. A requirement that cannot be met is
a mistake in the trust file, or a date that has passed. It is better found here than on the day of an update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import UNSET

from bundlekit.model.evidence import DemandEvidence
from bundlekit.model.origin import Folder
from bundlekit.model.primitives import Frozen
from bundlekit.model.trust import Require
from bundlekit.trust import foreseen
from bundlekit.trust.fault import day
from bundlekit.trust.notes import notes
from bundlekit.trust.quorum import fits
from bundlekit.trust.trust_path import is_test

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from bundlekit.trust.store import Signer, TrustStore

UNNAMED = "any of these"
"""The signer of PEM trust: one set of signers without names."""


class TrustSource(Frozen, frozen=True, kw_only=True):
    """An anchor or pinned key: its description, its end (UTC; None: never), and why it cannot be used now.

    ``file`` is the file of a pinned key, or of an anchor in a given folder.
    """

    kind: Literal["anchor", "key"]
    file: str = ""
    subject: str
    algorithm: str
    id: str
    until: str | None = None
    test: bool = False
    unusable: tuple[str, ...] = ()


class SignerView(Frozen, frozen=True, kw_only=True):
    """A named signer.

    ``formats`` are those that it can sign; none means all. ``usable``: at least one of ``sources`` is usable, and no
    objection applies to the whole signer.
    """

    name: str
    role: str
    subject: str
    until: str | None
    purpose: str
    products: tuple[str, ...]
    formats: tuple[str, ...]
    sources: tuple[TrustSource, ...]
    usable: bool
    unusable: tuple[str, ...] = ()


class Overview(Frozen, frozen=True, kw_only=True):
    """Everything that ``bundlekit trust show`` prints. ``demands`` are met by the possible signers, not by actual ones.

    ``notes`` are facts that an operator should look at; they reject nothing. ``folders`` are the given folders.
    """

    schema: Literal["bundlekit/trust-show/1"] = "bundlekit/trust-show/1"
    name: str
    at: str
    digest: str
    time: Literal["now", "released"]
    other_signers: Literal["reject", "ignore"]
    test_trust: bool
    signers: tuple[SignerView, ...]
    demands: tuple[DemandEvidence, ...]
    withdrawn: int
    denied: int
    folders: tuple[Folder, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def can_be_met(self) -> bool:
        """Whether every requirement can be met."""
        return all(demand.met for demand in self.demands)


def overview(store: TrustStore, at: datetime) -> Overview:
    """The allowed signers at the time ``at``."""
    views = tuple(view(signer, store, at) for signer in store.signers)
    demands = store.demands or (Require(of=tuple(one.name for one in views)),)
    return Overview(
        name=store.name,
        at=day(at),
        digest=store.digest,
        time="released" if store.by_release_date else "now",
        other_signers="ignore" if store.ignore_others else "reject",
        test_trust=store.allow_test_keys and any(one.test for each in views for one in each.sources),
        signers=views,
        demands=tuple(_demand(demand, views) for demand in demands),
        withdrawn=len(store.limits.withdrawn),
        denied=len(store.denied),
        folders=store.folders,
        notes=notes(store, at),
    )


def view(signer: Signer, store: TrustStore, at: datetime) -> SignerView:
    """A signer at the time ``at``."""
    sources = tuple(_sources(signer, store, at))
    why = []
    if signer.until and at.date() > signer.until:
        why.append(f"signed until {signer.until}")
    if signer.formats == ("advisories",):
        why.append("signs advisories only")
    return SignerView(
        name=signer.name or UNNAMED,
        role=signer.role,
        subject=" or ".join(signer.subjects),
        until=str(signer.until) if signer.until else None,
        purpose=signer.purpose,
        products=signer.products,
        formats=signer.formats,
        sources=sources,
        usable=not why and any(not one.unusable for one in sources),
        unusable=tuple(why),
    )


def _sources(signer: Signer, store: TrustStore, at: datetime) -> Iterator[TrustSource]:
    files = {entry.id: f"{one.folder}/{entry.file}" for one in store.folders for entry in one.entries}
    for one in signer.trust.anchors:
        last = signer.ends.get(one.id)
        yield TrustSource(
            kind="anchor",
            file=files.get(one.id, ""),
            subject=one.subject or f"serial number {one.serial:x}",
            algorithm=one.key.name if one.key else "unknown",
            id=one.id,
            until=day(one.not_after) if last is None else min(day(one.not_after), str(last)),
            test=is_test(one.key, [one]),
            unusable=foreseen.against_anchor(one, store, at, signer),
        )
    for pin in signer.trust.pinned:
        last = signer.ends.get(pin.key.id)
        yield TrustSource(
            kind="key",
            file=files.get(pin.key.id, ""),
            subject=pin.name,
            algorithm=pin.key.name,
            id=pin.key.id,
            until=str(last) if last else None,
            test=pin.test or is_test(pin.key, ()),
            unusable=foreseen.against_key(pin, store, at, signer),
        )


def _demand(demand: Require, views: tuple[SignerView, ...]) -> DemandEvidence:
    """The signers who can meet a requirement together, which means: in one format. The format with the fewest counts.

    Without formats of its own, the requirement is for each format that one of its signers signs. It is enough if it can
    be met in one of them.
    """
    able = [
        one
        for one in views
        if one.usable and one.name in demand.of
        if any(not source.unusable and _could(source, demand) for source in one.sources)
    ]
    forms = tuple(dict.fromkeys(demand.formats or (form for one in able for form in one.formats))) or ("",)
    groups = [tuple(sorted(one.name for one in able if not one.formats or form in one.formats)) for form in forms]
    names = (min if demand.formats else max)(groups, key=len)
    return DemandEvidence(
        count=demand.count,
        of=demand.of,
        algorithms=demand.algorithms,
        formats=demand.formats or UNSET,
        signed=names,
        present=names,
    )


def family(source: TrustSource) -> str:
    """The key family of an anchor or pinned key, as requirements name it."""
    return source.algorithm if source.algorithm.startswith("ml-dsa") else source.algorithm.partition("-")[0]


def _could(source: TrustSource, demand: Require) -> bool:
    """Whether a signature through ``source`` can use the algorithms. A CA can certify weaker kinds of keys."""
    return fits((family(source),), demand.algorithms) or (source.kind == "anchor" and "classical" in demand.algorithms)
