"""The time now, asked in one place. A caller gives another time as an argument."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """The time now, in UTC."""
    return dt.datetime.now(dt.UTC)
