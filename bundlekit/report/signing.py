"""The result of a signing: what was added, who has still to sign, and until when the signatures count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bundlekit.model.evidence import DemandEvidence, SignatureEvidence
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.model.evidence import Evidence


class PreparedMessage(Frozen, frozen=True, kw_only=True):
    """What a key has to sign elsewhere: its file, the algorithm, and the digest of its bytes (``sha256:…``).

    ``hash`` and ``salt`` are those of the algorithm: empty and None for one that hashes by itself.
    """

    file: str
    size: int
    algorithm: str
    hash: str
    salt: int | None
    digest: str


class SigningResult(Frozen, frozen=True, kw_only=True):
    """The result of `bundlekit sign` and `bundlekit advisory sign`.

    ``id`` is the SHA-256 of what is signed. ``added`` and ``removed`` were changed by this call, and ``signatures`` are
    all that are in the file now. ``complete`` is whether the given trust requires no more signatures; None without
    trust. ``missing`` are sentences about what it still requires. ``until`` is the last second at which all these
    signatures count, in RFC 3339; None if they have no end, or it is not known.
    """

    schema: Literal["bundlekit/signing/1"] = "bundlekit/signing/1"
    file: str
    id: str
    added: tuple[SignatureEvidence, ...] = ()
    removed: SignatureEvidence | None = None
    prepared: PreparedMessage | None = None
    signatures: tuple[SignatureEvidence, ...] = ()
    demands: tuple[DemandEvidence, ...] = ()
    complete: bool | None = None
    missing: tuple[str, ...] = ()
    until: str | None = None
    warnings: tuple[str, ...] = ()


def valid_until(signatures: Sequence[SignatureEvidence]) -> str | None:
    """The last second at which all signatures count; None if they have no end, or it is not known."""
    return min((one.until for one in signatures if one.until and one.standing != "ignored"), default=None)


def still_missing(evidence: Evidence) -> tuple[str, ...]:
    """What the requirements of the trust still lack, a sentence for each; nothing without trust."""
    open_ = [demand for demand in evidence.demands or () if not demand.met]
    found = [progress(demand) for demand in open_]
    if not open_ and not evidence.authentic:
        bad = [one for one in evidence.signatures or () if not one.counts and one.standing != "ignored"]
        found.append(
            f"signature {bad[0].index} does not count: {bad[0].reason}" if bad else "no trusted signer has signed"
        )
    return tuple(found)


def progress(demand: DemandEvidence) -> str:
    """``1 of 2: QA has not signed``: how far a requirement is met, and who can still sign."""
    how = f" ({' or '.join(demand.algorithms)})" if demand.algorithms else ""
    signed = f"{min(len(demand.signed), demand.count)} of {demand.count}{how}"
    if demand.met:
        return f"{signed}: complete"
    left = [name for name in demand.of if name not in demand.signed]
    uncounted = [name for name in left if name in demand.present]
    absent = [name for name in left if name not in uncounted]
    open_ = demand.count - len(demand.signed)
    parts = [f"the signature of {name} does not count" for name in uncounted]
    if len(absent) > 1 and open_ < len(left):
        parts.append(f"{open_} more of {_listed(absent)} {'has' if open_ == 1 else 'have'} to sign")
    elif absent:
        parts.append(f"{_listed(absent)} {'has' if len(absent) == 1 else 'have'} not signed")
    return f"{signed}: {'; '.join(parts)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def closing_lines(result: SigningResult) -> list[str]:
    """The lines about what is still missing, and until when the signatures count."""
    lines = list(result.missing)
    if result.complete:
        met = [progress(demand) for demand in result.demands]
        lines = met or ["complete: signed by a trusted signer"]
    if result.until and result.signatures:
        until = f"signatures valid until {result.until[:10]}"
        lines = [*lines[:-1], f"{lines[-1]}; {until}"] if lines else [until]
    return lines
