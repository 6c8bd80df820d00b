"""What makes a comparison incomplete. The result still contains everything that was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.comparison import ComparisonObstacle
from bundlekit.trust import ABOUT_THE_BLOB
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.comparison.sides import ComparisonSide
    from bundlekit.report.comparison import SignerChange

_ABOUT_KEYS: Final = {
    "new": ("key-new", "A key that the old bundle does not have signed the new one"),
    "unknown": ("key-unknown", "It is unknown whether the same key signed both bundles"),
    "gone": ("signer-gone", "A signer of the old bundle has not signed the new one"),
}
_STEPS: Final = {
    "new": "Ask the signer whether the key is right. See `bundlekit explain key-rotation` for a planned change.",
    "unknown": "Give the public keys that are trusted ({trust}).",
    "gone": "Have the new bundle signed by this signer too, or ask why the signature is missing.",
}


def about_sides(
    old: ComparisonSide, new: ComparisonSide, *, trusting: bool, ignore_signatures: bool
) -> Iterator[ComparisonObstacle]:
    """Bundles that are damaged, too large to be read without a request, or not signed by trusted signers.

    If signatures are ignored, one authentic bundle is enough: the other one is compared with it byte by byte.
    """
    for side in (old, new):
        damage = list(side.faults("layout", "integrity"))
        if not trusting and not ignore_signatures:  # with trust, these bundles are not authentic
            damage += [one for one in side.faults("authenticity") if one.rule in ABOUT_THE_BLOB]
        if damage:
            yield ComparisonObstacle(
                rule="damaged",
                subject=side.name,
                message=f"The {side.name} bundle is damaged ({damage[0].rule}): {damage[0].message}",
                next=damage[0].next,
            )
        if side.too_large:
            yield ComparisonObstacle(
                rule="too-large",
                subject=side.name,
                message=f"The {side.name} bundle is large and not authentic, so its payload was not read.",
                next=f"Give the trusted signers ({given('trust')}), or read it without them ({given('full')}).",
            )
    strangers = [side for side in (old, new) if trusting and not side.authentic]
    if len(strangers) > (1 if ignore_signatures else 0):
        for side in strangers:
            yield _not_authentic(side)


def _not_authentic(side: ComparisonSide) -> ComparisonObstacle:
    first = next(side.faults("authenticity"), None)
    if first is None:
        reason = ": no signature of a trusted signer counts"
        step = f"`bundlekit check` with the same {given('trust')} shows the reason."
    else:
        reason, step = f" ({first.rule}): {first.message}", first.next
    return ComparisonObstacle(
        rule="not-authentic",
        subject=side.name,
        message=f"The {side.name} bundle is not signed as the trust requires{reason}",
        next=step,
    )


def unread(old: ComparisonSide, new: ComparisonSide) -> Iterator[ComparisonObstacle]:
    """Bundles without damage whose description cannot be read. Call it only if bytes differ."""
    for side in (old, new):
        if not side.opened.readable and not any(side.faults("layout", "integrity")):
            first = next(iter(side.bundle.unread), None)
            yield ComparisonObstacle(
                rule="unreadable",
                subject=side.name,
                message=f"The {side.name} bundle cannot be read to the end" + (f": {first.reason}" if first else "."),
                next=(first.next if first else "") or "Check the bundle.",
            )


def about_keys(signers: Iterable[SignerChange], new: ComparisonSide) -> Iterator[ComparisonObstacle]:
    """Signing keys without continuity, which a strict comparison does not accept.

    The holder of any key can write a matrix that announces it. A rotation therefore counts only if trusted signers
    signed the new bundle, or if the operator gave the matrix.
    """
    announced = new.authentic or new.bundle.manifest is None
    for one in signers:
        if one.continuity == "rotated" and not announced:
            yield ComparisonObstacle(
                rule="key-new",
                subject=one.name or one.new_signer,
                message=f"Only the matrix of the new bundle announces the key of {one.new_signer}, "
                "and the bundle is not authenticated.",
                next=f"Give the trusted signers ({given('trust')}).",
            )
        if one.continuity in _ABOUT_KEYS:
            rule, message = _ABOUT_KEYS[one.continuity]
            yield ComparisonObstacle(
                rule=rule,  # type: ignore[arg-type]  # one of the literals, by the table
                subject=one.name or one.new_signer or one.old_signer,
                message=f"{message}: {one.new_signer or one.old_signer}. {one.reason}".rstrip(),
                next=_STEPS[one.continuity].replace("{trust}", given("trust")),
            )
