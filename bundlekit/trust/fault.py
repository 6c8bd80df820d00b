"""The only exception inside this package: a rule is broken at some bytes. It becomes data for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class SignatureFault(Exception):  # noqa: N818 - not an error of ours: it becomes a Problem before it leaves the package
    """A signature breaks ``rule``. ``part`` are the bytes at fault, if they can be named.

    The message states what is wrong, and the rule has the remedy. ``brief`` states it in a line about one anchor or
    key, without its name; by default it is the first sentence of the message.
    """

    def __init__(self, rule: str, message: str, part: bytes = b"", *, brief: str = "", **params: str | int) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.part = part
        self.brief = brief or message.partition(". ")[0].removesuffix(".")
        self.params = params


def malformed(message: str, part: bytes = b"", **params: str | int) -> SignatureFault:
    """A violation of the CMS profile.

    It has no next step, because that differs between a signature in a bundle and one that is to be added.
    """
    return SignatureFault("signature-malformed", f"{message}.", part, brief="", **params)


def day(time: datetime) -> str:
    """A time as messages print it."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
