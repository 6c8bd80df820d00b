"""Whether a signature may be added: no verb writes one that `bundlekit check` would call a fault of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.errors import SigningError
from bundlekit.layout import update_bin
from bundlekit.model.bundle import Span
from bundlekit.trust import ABOUT_THE_BLOB, signer_fault, signing_key, verify_signatures
from bundlekit.wording import given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose


def looked_at(head: bytes, blobs: Sequence[bytes], start: int, at: dt.datetime) -> list[SignatureEvidence]:
    """What each of ``blobs`` is over ``head``, nothing trusted; the first of their entries lies at ``start``."""
    spans = []
    for blob in blobs:
        spans.append(Span(start=start + 4, stop=start + 4 + len(blob)))  # behind its length
        start = spans[-1].stop
    return list(verify_signatures(head, blobs, spans, None, at))


def admit(
    head: bytes,
    blobs: Sequence[bytes],
    place: int,
    *,
    start: int,
    at: dt.datetime,
    purpose: Purpose,
    refused: str,
    what: str = "bundle",
    origin: str = "",
    how: str = "",
    take_out: str = "",
) -> SignatureEvidence:
    """What signature ``place`` of ``blobs`` is; SigningError if a check would refuse the file because of one of them.

    ``refused`` begins the message, and ``what`` is what the file is called there. ``origin`` is the file that the
    signature came from: it is named where the fault lies in the signature. ``how`` tells how such a signature is made,
    and ``take_out`` how another is taken out, with its number to be filled in.
    """
    found = looked_at(head, blobs, start, at)
    added = found.pop(place)
    itself = f"{origin}: not added, and the {what} is as it was" if origin else refused
    if added.problems:
        problem = added.problems[0]
        raise SigningError(f"{itself}: {problem.message}", next_step=how if problem.rule in ABOUT_THE_BLOB else "")
    if fault := signer_fault(blobs[place], purpose):
        raise SigningError(f"{itself}: no trust file accepts it: {fault}")
    for other in found:
        if other.problems:
            raise SigningError(
                f"{refused}: signature {other.index} would refuse the {what}: {other.problems[0].message}",
                next_step=take_out.format(other.index),
            )
    if signing_key(blobs[place]) in {signing_key(blobs[other.index]) for other in found}:
        raise SigningError(
            f"{refused}: {added.signer} has already signed this {what}, and a key counts once",
            next_step=f"Replace the old signature with the new one: {given('replace')}." if take_out else "",
        )
    return added


def signature_area(blobs: Sequence[bytes], capacity: int) -> bytes:
    """The bytes of a signature area that holds ``blobs``; SigningError if they do not fit."""
    demand_number(blobs)
    try:
        return update_bin.encode_area(blobs, capacity)
    except ValueError as error:
        raise SigningError(str(error), next_step=f"Build with a larger {given('signature_capacity')}.") from error


def demand_number(blobs: Sequence[bytes]) -> None:
    """SigningError for more signatures than any file of ours holds."""
    if len(blobs) > update_bin.MAX_SIGNATURES:
        raise SigningError(f"{len(blobs)} signatures are too many; the maximum is {update_bin.MAX_SIGNATURES}")


def demand_index(name: str, what: str, index: int, blobs: Sequence[bytes]) -> None:
    """SigningError if there is no signature ``index``; ``what`` is what the file is called."""
    if not 0 <= index < len(blobs):
        there = f"has {len(blobs)}, counted from 0" if blobs else "has none"
        raise SigningError(f"{name}: there is no signature {index}; the {what} {there}")
