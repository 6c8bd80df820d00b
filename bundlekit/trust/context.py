"""When, and for what, signatures are verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from bundlekit.model.trust import Format


class Signed(Frozen, frozen=True, kw_only=True):
    """What signatures are over, as far as the bounds of a signer go.

    ``format`` is ``update.bin`` or ``advisories``; ``product`` and ``released`` (YYYY-MM-DD) are empty where it
    could not be read.
    """

    format: Format = "update.bin"
    product: str = ""
    released: str = ""


class Occasion(Frozen, frozen=True, kw_only=True):
    """The time at which signatures are verified, and what they are over."""

    at: datetime
    signed: Signed
