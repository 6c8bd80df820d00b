"""The rules about the bundle and the pair as a whole: numbers 1 to 6 of the list in rules.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.matrix.context import models_of, why
from bundlekit.matrix.nearby import alike
from bundlekit.model.decision import ComponentDecision

if TYPE_CHECKING:
    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.matrix.pair import PairQuestion
    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.model.manifest import Manifest


def readable_matrix(manifest: Manifest, subject: str, matrix: UnreadableMatrix) -> ComponentDecision:
    """Rule 1: the matrix of the bundle can be read. This is the decision if it cannot."""
    first, *others = matrix.problems
    more = f" ({len(others)} more of these.)" if others else ""
    return ComponentDecision(
        subject=subject,
        kind="undecided",
        message=f"The bundle's matrix cannot be read. {first.message}{more}",
        next="Ask the vendor for a bundle with a readable matrix.",
        entry=first.subject,
        target=manifest.version,
    )


def for_this_appliance(question: PairQuestion) -> None:
    """Rule 2: the bundle is for this product, with an image for this model."""
    manifest, appliance = question.context.manifest, question.appliance
    if appliance is None:
        return
    if manifest.product and manifest.product != appliance.product:  # some formats have no name of a product
        question.decide(
            "wrong-product",
            f"The bundle is for the product {manifest.product}, but the pair is {appliance.product}.",
            f"Get a bundle for {appliance.product}.",
        )
    elif appliance.model not in models_of(question.context.matrix):
        question.decide("wrong-model", *_wrong_model(question.context, appliance.model))


def _wrong_model(context: EvaluationContext, model: str) -> tuple[str, str]:
    """The message and the next step if a bundle has no image for a model."""
    fitting = models_of(context.matrix)
    if model in context.manifest.models:
        primary, has = context.matrix.primary_component, ", ".join(fitting) or "no model"
        return (
            f"The bundle names the model {model}, but its images of {primary} are only for {has}.",
            f"Ask the vendor for a bundle with an image of {primary} for {model}.",
        )
    likely = next((one for one in fitting if alike(one, model)), "")
    hint = f" If the appliance is the model {likely}, correct `model` in its state." if likely else ""
    return (
        f"The bundle is for {', '.join(context.manifest.models)}, but the pair is the model {model}.",
        f"Get a bundle for {model}.{hint}",
    )


def is_update(question: PairQuestion) -> None:
    """Rule 3: the bundle is an update, not a re-image."""
    manifest = question.context.manifest
    if manifest.kind == "reimage":
        question.decide(
            "reimage-only",
            f"The bundle is for re-imaging with {manifest.version}, and is never accepted as an update.",
            f"Re-image with it, or get the update bundle of {manifest.version}.",
        )


def not_withdrawn(question: PairQuestion) -> None:
    """Rule 4: the version of the bundle has not been withdrawn. This applies to a re-image as well."""
    context = question.context
    for withdrawn in context.matrix.withdrawn:
        if context.matrix.own in withdrawn.range:
            question.decide(
                "withdrawn",
                f"{context.manifest.version} has been withdrawn.{why(withdrawn.entry)}",
                "Get a release that has not been withdrawn.",
                withdrawn.entry,
            )
            return


def not_held(question: PairQuestion) -> None:
    """Rule 5: the pair is not on hold, and no earlier update is unfinished. For a version alone this is left open."""
    appliance = question.appliance
    if appliance is None:
        question.context.leave_open("product and model", "wrong-product", "wrong-model")
        question.context.leave_open("holds and pending updates", "on-hold", "update-pending")
        return
    if appliance.hold is not None:
        question.decide(
            "on-hold",
            f"Updates of the pair are on hold: {appliance.hold}",
            "Fix the fault that caused the hold, then clear the hold.",
        )
    if appliance.update is not None:
        question.decide(
            "update-pending",
            f"An update of the pair has not ended: {appliance.update}",
            "First resume or cancel that update.",
        )


def counter_not_lower(question: PairQuestion) -> None:
    """Rule 6: the security counter does not decrease."""
    own, appliance = question.context.manifest.counter, question.appliance
    if appliance is None:
        if (demanded := question.facts.counter) is None:
            question.context.leave_open("the security counter", "counter-too-low")
        elif own < demanded:
            _counter_too_low(question, demanded)
        return
    of_members = [member.counter for member in appliance.members.values()]
    given = [counter for counter in (appliance.counter, *of_members) if counter is not None]
    if given and own < max(given):
        _counter_too_low(question, max(given))
    elif appliance.counter is None and None in of_members:
        question.decide(
            "undecided",
            "The security counter that the pair requires is unknown, and unknown does not count as zero.",
            "Give the counter in the appliance state.",
        )


def _counter_too_low(question: PairQuestion, demanded: int) -> None:
    who = "the pair" if question.appliance else question.subject
    question.decide(
        "counter-too-low",
        f"The security counter of the bundle is {question.context.manifest.counter}, but {who} requires {demanded}.",
        f"Get a release with a counter of at least {demanded}. There is no override.",
    )
