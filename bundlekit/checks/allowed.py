"""The rule about what the operator allows of a bundle as such: its format."""

from __future__ import annotations

from typing import Final

from bundlekit.checks.rule import RuleAnswer, RuleContext, rule
from bundlekit.model.finding import Fault, NotRun
from bundlekit.wording import fill


@rule(
    "compatibility",
    cause="unsupported-format",
    remedy="Get the release in an allowed format, or change the formats that are allowed ({bundle_formats}).",
    see="formats",
    needed=lambda question: bool(question.bundle_formats),
)
def format_not_allowed(context: RuleContext) -> RuleAnswer:
    """The bundle is in a format that the request does not allow.

    The formats are those of `bundle-formats` in the project file, or of `--bundle-format`. The file can be intact and
    signed by a trusted signer. The rule concerns the bundle itself, and not a bundle that is a component of it.
    """
    allowed, found = context.question.bundle_formats, context.bundle.format.partition("/")[0]
    if not allowed:
        return NotRun(reason=fill("bundles in every format are allowed ({bundle_formats})"))
    if any(fault.rule == "not-a-bundle" for fault in context.bundle.problems):
        return NotRun(reason="the format of the file is not known")
    if found in allowed:
        return ()
    message = f"the bundle is in the format {found}, and only {', '.join(allowed)} is allowed"
    return [Fault(message=message, params={"format": found, "allowed": ", ".join(allowed)})]


RULES: Final = (format_not_allowed,)
