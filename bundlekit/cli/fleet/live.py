"""The live view of rollouts on a terminal: a screen of its own, and never more lines than it has rows.

Loaded on a terminal only, because it needs rich.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bundlekit.cli import common
from bundlekit.fleet.status_text import lines
from bundlekit.report.text import Line

if TYPE_CHECKING:
    from bundlekit.fleet.rollout_status import FleetStatus

BAR: Final = 20
"""The cells of the bar of a wave."""

HINT: Final = "Ctrl-C: leave this view. The rollout continues."


@contextmanager
def live_view() -> Iterator[Callable[[Sequence[FleetStatus]], None]]:
    """A function that shows the status of rollouts in place of what it showed before.

    The end of this context restores the screen from before.
    """
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as view:

        def show(found: Sequence[FleetStatus]) -> None:
            console.size = common.terminal_size(sys.stdout.fileno())
            rows = frame(found, console.height)
            view.update(Group(*(_text(row) for row in rows)), refresh=True)

        yield show


def frame(found: Sequence[FleetStatus], height: int) -> list[Line]:
    """At most ``height`` lines about these rollouts, or three for each: its name, what was left out, and its phase."""
    room = max(3, (height - 1) // max(1, len(found)))
    rows = [line for status in found for line in _fitted(status, room)]
    return [*rows, Line(HINT, "muted")]


def _fitted(status: FleetStatus, room: int) -> list[Line]:
    """The lines of a rollout. Those before its phase give way first, the last ones before the others."""
    every = list(lines(status, bars=BAR))
    if len(every) <= room:
        return every
    phase = next(index for index, line in enumerate(every) if line.text.startswith(status.phase.upper()))
    below = every[phase : phase + room - 2]
    above = every[: room - len(below) - 1]
    return [*above, Line(f"  {phase - len(above):,} more lines: see the status without --live", "muted"), *below]


def _text(line: Line) -> Text:
    text = Text.from_ansi(common.styled(line, coloured=True))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
