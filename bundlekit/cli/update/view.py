"""What a run is doing, shown while it does it: on a terminal in place, elsewhere line by line, or as JSON."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from bundlekit.cli import common
from bundlekit.cli.parameters import local_time
from bundlekit.cli.update.fold import Fold
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.history import History
from bundlekit.update.engine.hooks import Request
from bundlekit.update.engine.records import Record, Started, Window
from bundlekit.update.state.activity import activity
from bundlekit.update.state.events import EventLog
from bundlekit.update.state.support_bundle import public

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from bundlekit.cli.update.frame import Glyphs

REFRESH_SECONDS: Final = 0.25
"""How often a frame is made. It is written only if it differs from the one on the terminal."""

LAST_FRAME_SECONDS: Final = 1.0
"""How long SIGTERM waits for the frame being written. A terminal that takes no more must not hold it up for good."""

SCREEN_BEFORE: Final = b"\x1b[?25h\x1b[?1049l"
"""Show the cursor and the screen from before (ECMA-48 private modes of xterm)."""

EVENTS: Final = 200
"""How many events are kept for a terminal with many rows."""

CANCELS: Final = "Ctrl-C: cancel after the current step. All events: bundlekit update log"


def window_lines(window: Window) -> Iterator[str]:
    """When a run with ``window`` can start to switch, as lines; none where it can at any time."""
    if window.not_after is not None:
        yield f"the switch can start until {local_time(window.not_after)}"
    if window.until == "prepared":
        yield "the run stops when everything is staged; a resume of this pair starts the switch"


class View(Protocol):
    """What is informed of a run, and shows it."""

    def watch(self, records: Sequence[Record]) -> None:
        """Records have become durable."""

    def known(self, records: Sequence[Record]) -> None:
        """Records that existed before, at a resume."""

    def progress(self, done: int, total: int) -> None:
        """So many bytes of the bundle are checked."""

    def heard(self, request: Request, percent: int | None, message: str) -> None:
        """A hook has reported its progress. Nothing follows from it."""

    def notify(self, text: str) -> None:
        """A line for the operator, on standard error."""

    def about(self, controller: str, *, cancels: bool = False) -> None:
        """Which process works on the pair (empty: none), and whether a cancel of the run was requested."""


def is_live() -> bool:
    """Whether standard error is a terminal that a frame can be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


@contextmanager
def watching(clock: Clock, *, as_lines: bool, label: str = "", hint: str = CANCELS, title: str = "") -> Iterator[View]:
    """The view that suits: JSON lines, a frame on a terminal, or plain lines. A label selects plain lines too.

    The frame has its own screen, and the end of this context restores the screen from before. So print an outcome after
    the context, and a line for the operator through ``View.notify``.
    """
    if not as_lines and not label and is_live():
        view = Terminal(clock, hint, title)
        with _drawn(view):
            yield view
        for text in view.notices:
            click.echo(text, err=True)
    else:
        lines = Lines(as_lines=as_lines, label=label)
        try:
            yield lines
        finally:
            lines.fold.flush()


@contextmanager
def _drawn(view: Terminal) -> Iterator[None]:
    """Draw frames of ``view`` from a thread, which holds no lock while it writes.

    So a terminal that takes no more (Ctrl-S, a dead connection) holds no update up before its outcome is printed.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    over = threading.Event()

    def draw() -> None:
        last: object = None
        with suppress(OSError):  # the terminal is gone: the run continues
            ends = False
            while not ends:
                ends = over.wait(REFRESH_SECONDS) if last is not None else over.is_set()
                last = _draw(console, view, last)

    thread = threading.Thread(target=draw, daemon=True)

    def stop() -> None:
        over.set()
        if thread.is_alive():
            thread.join(LAST_FRAME_SECONDS)

    before = _restoring(sys.stderr.fileno(), stop)
    with suppress(OSError):
        console.set_alt_screen(True)
        console.show_cursor(False)
    thread.start()
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        over.set()
        try:
            thread.join()
        finally:
            with suppress(OSError):
                console.clear()  # what is left of a screen that has grown is shown by some terminals
                console.show_cursor(True)
                console.set_alt_screen(False)


def _restoring(descriptor: int, stop: Callable[[], None]) -> Any:
    """Have SIGTERM give the terminal its screen back before it ends the process; the answer is the handler before.

    ``stop`` ends the drawing first. Otherwise a frame could follow onto the screen from before.
    A second SIGTERM ends a process whose terminal takes no more. None: there is a handler, or this thread sets none.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or (before := signal.getsignal(signal.SIGTERM)) is not signal.SIG_DFL:
        return None

    def restore(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()
        with suppress(OSError):
            os.write(descriptor, SCREEN_BEFORE)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, restore)
    return before


def _draw(console: Console, view: Terminal, last: object) -> object:
    """Write the frame, unless it is ``last``; the answer is what to compare the next one with."""
    from rich.control import Control
    from rich.screen import Screen
    from rich.text import Text

    from bundlekit.cli.update.frame import ASCII, Glyphs

    width, height = common.terminal_size(sys.stderr.fileno())
    lines = view.frame(width, height, ASCII if console.options.ascii_only else Glyphs())
    made = width, height, [(line.plain, line.style, line.spans) for line in lines]
    if made != last:
        console.size = (width, height)
        with console:  # written in one piece
            console.control(Control.home())
            console.print(Screen(Text("\n").join(lines)), end="")
    return made


class Lines:
    """A line for each record, where equal answers of a gate are one."""

    def __init__(self, *, as_lines: bool, label: str = "") -> None:
        self.fold = Fold(partial(click.echo, err=True), label)
        self._as_lines = as_lines
        self._label = label

    def watch(self, records: Sequence[Record]) -> None:
        """Write a line for each."""
        for record in records:
            if not self._as_lines:
                self.fold.add(record)
                continue
            text = public(record)
            click.echo(f'{{"pair": "{self._label}", {text[1:]}' if self._label else text)

    def known(self, records: Sequence[Record]) -> None:
        """They were shown when they were made; `bundlekit update log` has them."""

    def progress(self, done: int, total: int) -> None:
        """Not worth a line."""

    def heard(self, request: Request, percent: int | None, message: str) -> None:
        """Not worth a line either; the hook's log has it."""

    def notify(self, text: str) -> None:
        """Print it."""
        click.echo(text, err=True)

    def about(self, controller: str, *, cancels: bool = False) -> None:
        """`bundlekit update status` has it."""


class Terminal:
    """The state of a run, from which frames are made. Records and frames can come from different threads."""

    def __init__(self, clock: Clock, hint: str = CANCELS, title: str = "") -> None:
        self.notices: list[str] = []
        self._clock = clock
        self._hint = hint
        self._title = title
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._history: History | None = None
        self._events = EventLog(EVENTS)
        self._checked: tuple[int, int] | None = None
        self._heard: tuple[int | None, str] = None, ""
        self._controller = ""
        self._cancels = False

    def watch(self, records: Sequence[Record]) -> None:
        """Take the records in."""
        with self._lock:
            for record in records:
                if isinstance(record, Started):
                    self._records, self._history = [], History(record)
                elif self._history is not None:
                    self._history.add(record)
                self._records.append(record)
                self._events.add(record)
                self._heard = None, ""

    known = watch

    def progress(self, done: int, total: int) -> None:
        """Show how far the check of the bundle is."""
        self._checked = done, total

    def heard(self, request: Request, percent: int | None, message: str) -> None:
        """Show what the hook reports."""
        self._heard = percent, message

    def notify(self, text: str) -> None:
        """Show it in each frame from now on. It is printed once more when the frames are gone."""
        self.notices.append(text)

    def about(self, controller: str, *, cancels: bool = False) -> None:
        """Show it."""
        self._controller, self._cancels = controller, cancels

    def frame(self, width: int, height: int, glyphs: Glyphs) -> list[Text]:
        """The frame at this moment."""
        from bundlekit.cli.update.frame import Shown, frame

        percent, message = self._heard
        now = self._clock.now()
        with self._lock:
            shown = Shown(
                activity=None if self._history is None else activity(self._history, self._records, now),
                title=self._title,
                controller=self._controller,
                checked=self._checked,
                percent=percent,
                message=message,
                facts=tuple(self._facts()),
                events=tuple(self._events.latest(height)),
                hint=self._hint,
                wall=now.wall,
            )
        return frame(shown, width, height, glyphs)

    def _facts(self) -> Iterator[str]:
        if self._history is not None and self._history.ended is None:
            yield from window_lines(self._history.window)
        if not self.notices and (self._cancels or (self._history is not None and self._history.cancel)):
            yield "The operator has requested a cancel."
        yield from self.notices
