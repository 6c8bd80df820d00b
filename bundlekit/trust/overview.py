"""What a trust store comes to at a given time: who may sign, until when, and whether the demands can be met.

The same tests as for a signature, asked of the trust itself before any bundle comes. A demand that cannot be
met is a mistake in the trust file, or a date that has passed; better found here than on the day of an update.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from bundlekit.model.evidence import DemandEvidence
from bundlekit.model.primitives import Frozen
from bundlekit.model.trust import Require
from bundlekit.trust import crl
from bundlekit.trust.refusal import day
from bundlekit.trust.threshold import fits
from bundlekit.trust.verify import is_test

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.keys import Key
    from bundlekit.trust.policy import Policy, Signer
    from bundlekit.trust.store import TrustStore

UNNAMED = "any of these"
"""Who signs where PEM was given: one set of signers without names."""


class Source(Frozen, frozen=True, kw_only=True):
    """An anchor or pinned key: what it is, when it ends (UTC; None: never), why it is of no use now."""

    kind: Literal["anchor", "key"]
    subject: str
    algorithm: str
    id: str
    until: str | None = None
    test: bool = False
    unusable: tuple[str, ...] = ()


class SignerView(Frozen, frozen=True, kw_only=True):
    """A named signer. ``usable``: at least one of ``sources`` is, and nothing bars the signer as a whole."""

    name: str
    role: str
    subject: str
    until: str | None
    purpose: str
    products: tuple[str, ...]
    sources: tuple[Source, ...]
    usable: bool
    unusable: tuple[str, ...] = ()


class Overview(Frozen, frozen=True, kw_only=True):
    """Everything ``bundlekit trust show`` shows. ``demands`` are met by those who could sign, not who did."""

    schema: Literal["bundlekit/trust-show/1"] = "bundlekit/trust-show/1"
    name: str
    at: str
    digest: str
    time: Literal["now", "released"]
    other_signers: Literal["refuse", "ignore"]
    test_trust: bool
    signers: tuple[SignerView, ...]
    demands: tuple[DemandEvidence, ...]
    withdrawn: int
    denied: int

    @property
    def can_be_met(self) -> bool:
        """Whether every demand can be."""
        return all(demand.met for demand in self.demands)


def overview(store: TrustStore, at: datetime) -> Overview:
    """Who may sign at the time ``at``."""
    policy = store.policy
    if policy is None:
        sources = tuple(_sources(store, None, at))
        usable = any(not one.unusable for one in sources)
        views: tuple[SignerView, ...] = (
            SignerView(
                name=UNNAMED,
                role="",
                subject="",
                until=None,
                purpose="code-signing",
                products=(),
                sources=sources,
                usable=usable,
            ),
        )
        demands: tuple[Require, ...] = (Require(of=(UNNAMED,)),)
    else:
        views = tuple(view(signer, policy, at) for signer in policy.signers)
        demands = policy.demands
    return Overview(
        name=policy.name if policy else "",
        at=day(at),
        digest=store.digest,
        time="released" if policy and policy.by_release_date else "now",
        other_signers="ignore" if policy and policy.ignore_others else "refuse",
        test_trust=(policy is None or policy.allow_test_keys)
        and any(one.test for each in views for one in each.sources),
        signers=views,
        demands=tuple(_demand(demand, views) for demand in demands),
        withdrawn=len(policy.limits.withdrawn) if policy else 0,
        denied=len(policy.denied) if policy else 0,
    )


def view(signer: Signer, policy: Policy, at: datetime) -> SignerView:
    """A named signer at the time ``at``."""
    sources = tuple(_sources(signer.trust, policy, at))
    why = []
    if signer.until and at.date() > signer.until:
        why.append(f"signed until {signer.until}")
    if "update.bin" not in signer.formats:
        why.append(f"signs {', '.join(signer.formats)} only")
    return SignerView(
        name=signer.name,
        role=signer.role,
        subject=signer.subject,
        until=str(signer.until) if signer.until else None,
        purpose=signer.purpose,
        products=signer.products,
        sources=sources,
        usable=not why and any(not one.unusable for one in sources),
        unusable=tuple(why),
    )


def _sources(store: TrustStore, policy: Policy | None, at: datetime) -> Iterator[Source]:
    for one in store.anchors:
        test = is_test(one.key, [one])
        against = [one.weakness] if one.weakness else []
        against += [*_out_of_time(one, policy, at), *_by_policy(one.key, policy, test=test)]
        fingerprint = hashlib.sha256(one.der).hexdigest()
        if policy:
            against += ["on the deny list"] if fingerprint in policy.denied else []
            against += _without_list(one, policy, at)
        yield Source(
            kind="anchor",
            subject=one.subject or f"serial number {one.serial:x}",
            algorithm=one.key.name if one.key else "unknown",
            id=fingerprint,
            until=day(one.not_after),
            test=test,
            unusable=tuple(against),
        )
    for pin in store.pinned:
        test = pin.test or is_test(pin.key, ())
        against = [pin.key.weakness] if pin.key.weakness else []
        against += _by_policy(pin.key, policy, test=test)
        yield Source(
            kind="key",
            subject=pin.name,
            algorithm=pin.key.name,
            id=pin.key.id,
            test=test,
            unusable=tuple(against),
        )


def _out_of_time(anchor: Certificate, policy: Policy | None, at: datetime) -> Iterator[str]:
    if at < anchor.not_before:
        yield f"valid from {day(anchor.not_before)}"
    elif at > anchor.not_after and not (policy and policy.by_release_date):
        yield f"expired on {day(anchor.not_after)}"


def _by_policy(key: Key | None, policy: Policy | None, *, test: bool) -> Iterator[str]:
    if policy is None or key is None:
        return
    if key.id in policy.denied:
        yield "its key is on the deny list"
    if test and not policy.allow_test_keys:
        yield "for tests, and allow-test-keys is not set"
    if key.family == "rsa" and not policy.floor.rsa <= key.bits <= policy.ceiling.rsa:
        yield f"RSA keys have to have {policy.floor.rsa} to {policy.ceiling.rsa} bits here"


def _without_list(anchor: Certificate, policy: Policy, at: datetime) -> Iterator[str]:
    """Why it could not be known whether a certificate of this CA was revoked."""
    if not policy.crls.required:
        return
    lists = [one for one in policy.crls.lists if one.parsed.issuer == anchor.parsed.subject]
    faults = [(one.name, crl.unusable(one, anchor, at, policy.crls.max_age)) for one in lists]
    if all(why for _, why in faults):
        yield "; ".join(f"its revocation list {name}: {why}" for name, why in faults) or "no revocation list of it"


def _demand(demand: Require, views: tuple[SignerView, ...]) -> DemandEvidence:
    able = {
        one.name
        for one in views
        if one.usable and one.name in demand.of
        if any(not source.unusable and _could(source, demand) for source in one.sources)
    }
    names = tuple(sorted(able))
    return DemandEvidence(count=demand.count, of=demand.of, algorithms=demand.algorithms, signed=names, present=names)


def family(source: Source) -> str:
    """The kind of key that an anchor or pinned key is, as demands name it."""
    return source.algorithm if source.algorithm.startswith("ml-dsa") else source.algorithm.partition("-")[0]


def _could(source: Source, demand: Require) -> bool:
    """Whether a signature through ``source`` can be by the algorithms; a CA can certify weaker kinds of keys."""
    return fits((family(source),), demand.algorithms) or (source.kind == "anchor" and "classical" in demand.algorithms)
