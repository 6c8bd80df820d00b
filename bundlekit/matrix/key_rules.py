"""Rule 15 of the order in decide.py: whether the installed version can verify the signatures of the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.matrix.read import ReadSource
    from bundlekit.matrix.shipped import ReadTrust
    from bundlekit.model.decision import ComponentDecision, DecisionKind
    from bundlekit.model.matrix import Entry
    from bundlekit.versions import Version


class Ruled(Protocol):
    """Makes a ruling for the part that is decided about."""

    def __call__(
        self, kind: DecisionKind, message: str, remedy: str = "", entry: Entry | None = None
    ) -> ComponentDecision:
        """The ruling of this kind, with its message, the next step and the entry that decided."""
        ...


class Doubt(Protocol):
    """Notes what cannot be known."""

    def __call__(self, kind: DecisionKind, unknown: str, message: str, remedy: str, entry: Entry | None = None) -> None:
        """Note the kind of decision that could come of it, and what to print of a version and of an appliance."""
        ...


def rule_verify(
    context: EvaluationContext, installed: Version, source: ReadSource, ruled: Ruled, doubt: Doubt
) -> ComponentDecision | None:
    """A ruling where the installed version cannot verify the bundle; None where it can, or where this stays open."""
    shipped = context.matrix.ships(installed)
    given = None if context.appliance is None else context.appliance.trusts
    trusted = given if given is not None else shipped.names if shipped else context.matrix.trusts(installed)
    keys = ", ".join(source.entry.keys)
    if trusted is None:
        if keys:
            doubt(
                "cannot-verify",
                f"whether {installed} trusts {keys}",
                f"It is not known whether {installed} trusts {keys}, with which the bundle is signed.",
                "Give the trusted keys in the appliance state.",
                source.entry,
            )
        return None
    if not set(trusted).issuperset(source.entry.keys):
        return ruled(
            "cannot-verify",
            f"{installed} would have to trust {keys}, and does not trust all of them.",
            "Update first to a release that contains the key.",
            source.entry,
        )
    if shipped is not None:
        return _rule_shipped(context, installed, shipped, ruled, doubt)
    if context.signers is None:
        open_ = f"whether {installed} trusts a key that signs the bundle (a trust.toml names them)"
        context.leave_open(open_, "cannot-verify")
    elif set(trusted).isdisjoint(context.signers):
        return ruled(
            "cannot-verify",
            f"{installed} trusts {', '.join(sorted(trusted)) or 'no key'}, and the bundle is signed by "
            f"{', '.join(sorted(context.signers)) or 'nobody'}: it would refuse the bundle.",
            "Update first to a release that trusts one of these, or have the bundle signed with a key that is trusted.",
        )
    return None


def _rule_shipped(
    context: EvaluationContext, installed: Version, shipped: ReadTrust, ruled: Ruled, doubt: Doubt
) -> ComponentDecision | None:
    if context.signatures is None:
        open_ = f"whether the trust file that {installed} ships accepts the signatures of the bundle"
        context.leave_open(open_, "cannot-verify")
        return None
    answer = context.signatures.accepted_by(shipped)
    if answer.accepts is False:
        message = f"{installed} {answer.because}: it would refuse the bundle."
        return ruled("cannot-verify", message, _help(answer.missing))
    if answer.accepts is None:
        doubt(
            "cannot-verify",
            f"whether {installed} accepts the signatures of the bundle: it {answer.because}",
            f"{installed} {answer.because}.",
            "Ask the vendor for a bundle whose matrix has a trust file that can be used.",
        )
    return None


def _help(missing: tuple[str, ...]) -> str:
    """What to do about signatures that a trust file does not accept; ``missing`` are signers that could still sign."""
    sign = f"have the bundle signed by {' or '.join(missing)} as well" if missing else "have it signed as it demands"
    return f"Update first to a release that ships a trust file which accepts these signatures, or {sign}."
