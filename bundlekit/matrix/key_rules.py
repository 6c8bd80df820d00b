"""Rule 15 of the list in rules.py: whether the installed version can verify the signatures of the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.matrix.component import ComponentQuestion
    from bundlekit.matrix.trust_file import ReadTrust
    from bundlekit.model.decision import ComponentDecision


def can_verify(question: ComponentQuestion) -> ComponentDecision | None:
    """Rule 15: the installed version trusts the keys that the source requires, and accepts the signatures."""
    context, installed, source = question.context, question.version, question.source
    if source is None:
        return None
    shipped = context.matrix.ships(installed)
    given = None if context.appliance is None else context.appliance.trusts
    trusted = given if given is not None else shipped.names if shipped else context.matrix.trusts(installed)
    keys = ", ".join(source.entry.keys)
    if trusted is None:
        if keys:
            question.doubt(
                "cannot-verify",
                f"whether {installed} trusts {keys}",
                f"It is unknown whether {installed} trusts {keys}, which signed the bundle.",
                "Give the trusted keys in the appliance state.",
                source.entry,
            )
        return None
    if not set(trusted).issuperset(source.entry.keys):
        return question.decided(
            "cannot-verify",
            f"{installed} must trust {keys}, but does not trust all of them.",
            "Update first to a release that contains the key.",
            source.entry,
        )
    if shipped is not None:
        return _accepts(question, shipped)
    if context.signers is None:
        open_ = f"whether {installed} trusts a key that signs the bundle (a trust.toml names them)"
        context.leave_open(open_, "cannot-verify")
    elif set(trusted).isdisjoint(context.signers):
        return question.decided(
            "cannot-verify",
            f"{installed} trusts {', '.join(sorted(trusted)) or 'no key'}, but the bundle is signed by "
            f"{', '.join(sorted(context.signers)) or 'no known key'}. It would reject the bundle.",
            "Update first to a release that trusts one of these, or have the bundle signed with a trusted key.",
        )
    return None


def _accepts(question: ComponentQuestion, shipped: ReadTrust) -> ComponentDecision | None:
    context, installed = question.context, question.version
    if context.signatures is None:
        open_ = f"whether the trust file that {installed} ships accepts the signatures of the bundle"
        context.leave_open(open_, "cannot-verify")
        return None
    answer = context.signatures.accepted_by(shipped)
    if answer.accepts is False:
        message = f"{installed} {answer.reason}. It would reject the bundle."
        return question.decided("cannot-verify", message, _help(answer.missing))
    if answer.accepts is None:
        question.doubt(
            "cannot-verify",
            f"whether {installed} accepts the signatures of the bundle: it {answer.reason}",
            f"{installed} {answer.reason}.",
            "Ask the vendor for a bundle whose matrix has a trust file that can be used.",
        )
    return None


def _help(missing: tuple[str, ...]) -> str:
    """The next step if a trust file does not accept the signatures. ``missing`` are signers that could still sign."""
    sign = (
        f"have the bundle signed by {' or '.join(missing)} as well"
        if missing
        else "have it signed as that file requires"
    )
    return f"Update first to a release that ships a trust file that accepts these signatures, or {sign}."
