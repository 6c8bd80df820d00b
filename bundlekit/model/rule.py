"""What all rules have in common, those of a check and those of the lint: a name, a page, and what to do."""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING, Final

from bundlekit.model.finding import Severity
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable


class NamedRule(Frozen, frozen=True, kw_only=True):
    """A rule, by the name of its fault. ``bundlekit explain NAME`` prints ``page``; ``remedy`` is the next step."""

    name: str
    severity: Severity
    remedy: str
    page: str


SIGNATURE_RULES: Final = (
    *("unsigned", "signature-malformed", "signature-wrong", "signer-unknown", "wrong-purpose"),
    *("not-a-signer-certificate", "signer-not-yet-valid", "signer-expired", "signer-denied", "signer-revoked"),
    *("crl-unusable", "test-key", "out-of-scope", "weak-algorithm", "chain-unsupported", "chain-invalid"),
    "too-few-signers",
)
"""The rules of a check that need the signatures of a bundle."""


def name_of(function: Callable[..., object]) -> str:
    """The name of the rule that ``function`` is: its own, with hyphens."""
    return function.__name__.replace("_", "-")


def page_of(text: str | None) -> str:
    """A page from a docstring."""
    return cleandoc(text or "").replace("``", "`")
