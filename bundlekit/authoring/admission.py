"""Whether a signature can be added. No command writes a signature that `bundlekit check` would report as a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.errors import SigningError
from bundlekit.layout import update_bin
from bundlekit.model.bundle import Span
from bundlekit.trust import ABOUT_THE_BLOB, signer_fault, signing_key, verify_signatures
from bundlekit.wording import given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose
    from bundlekit.trust import Signed, TrustStore


def looked_at(
    head: bytes,
    blobs: Sequence[bytes],
    start: int,
    at: dt.datetime,
    trust: TrustStore | None = None,
    signed: Signed | None = None,
) -> list[SignatureEvidence]:
    """The evidence of each of ``blobs`` over ``head``. Their first entry is at ``start``.

    ``trust`` and the ``signed`` content decide which of them count.
    """
    spans = []
    for blob in blobs:
        spans.append(Span(start=start + 4, stop=start + 4 + len(blob)))  # after its length
        start = spans[-1].stop
    return list(verify_signatures(head, blobs, spans, trust, at, signed))


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
    remover: Callable[[int], str] = lambda _number: "",
    verified: bool = False,
    trust: TrustStore | None = None,
    signed: Signed | None = None,
) -> SignatureEvidence:
    """The evidence of signature ``place`` of ``blobs``. SigningError if one of them would make a check reject the file.

    ``refused`` begins the message, and ``what`` is the name of the file in it. ``origin`` is the file of the signature;
    the message names it if the signature is at fault. ``how`` explains how such a signature is made. ``remover``
    gives the command that removes another, by its number. ``verified``: the caller has verified the signature under its
    key. With ``trust``, a signature that does not count is refused as well.
    """
    found = looked_at(head, blobs, start, at, trust, signed)
    added = found.pop(place)
    itself = f"{origin}: not added, and the {what} is as it was" if origin else refused
    if added.problems:
        problem = added.problems[0]
        raise SigningError(f"{itself}: {problem.message}", next_step=how if problem.rule in ABOUT_THE_BLOB else "")
    if not verified and not added.intact:
        raise SigningError(
            f"{itself}: it contains no certificate, and its key is not known, so it cannot be verified",
            next_step=f"Give the public key of its signer: {given('public_key')}.",
        )
    if fault := signer_fault(blobs[place], purpose):
        raise SigningError(f"{itself}: no trust file accepts it: {fault}")
    for other in found:
        if other.problems:
            raise SigningError(
                f"{refused}: signature {other.index} would reject the {what}: {other.problems[0].message}",
                next_step=f"Remove it first: {removal}." if (removal := remover(other.index)) else "",
            )
    same = next((one for one in found if signing_key(blobs[one.index]) == signing_key(blobs[place])), None)
    if same:
        raise SigningError(
            f"{refused}: this key has already signed this {what} (signature {same.index}, {same.signer}), and a key "
            "counts once",
            next_step=f"Replace the old signature with the new one: {given('replace', str(same.index))}."
            if remover(0)
            else "",
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
