"""What a run is doing, shown while it does it: live on a terminal, else line by line, or as JSON."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import click

from bundlekit.cli.update.fold import Fold
from bundlekit.report.escape import escape
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.history import History
from bundlekit.update.engine.hooks import Request
from bundlekit.update.engine.records import Record, Started
from bundlekit.update.state.activity import Activity, activity, lines
from bundlekit.update.state.support_bundle import public

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

REFRESH_SECONDS: Final = 0.25
"""How often the block on a terminal is drawn again."""


class View(Protocol):
    """Someone to tell what happens, who shows it to whoever looks."""

    def watch(self, records: Sequence[Record]) -> None:
        """Records have become durable."""

    def known(self, records: Sequence[Record]) -> None:
        """Records that were there before, at a resume."""

    def progress(self, done: int, total: int) -> None:
        """So many bytes of the bundle are checked."""

    def heard(self, request: Request, percent: int | None, message: str) -> None:
        """A hook has said how far it is. Nothing follows from it."""

    def tell(self, text: str) -> None:
        """A line for the operator, on standard error."""


@contextmanager
def watching(clock: Clock, *, as_lines: bool, label: str = "") -> Iterator[View]:
    """The view that suits: JSON lines, live on a terminal, or plain lines.

    The live block erases itself at the end of this context, with the lines below it. So an outcome is printed after the
    context, and a line for the operator goes through ``View.tell``. Redirection of rich is off: click writes past it.
    """
    if not as_lines and sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        view = Terminal(clock, label)
        console = Console(stderr=True)
        with Live(
            get_renderable=view.shown,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as live:
            view.console = console
            with _refreshed(live, view.lock):
                try:
                    yield view
                finally:
                    view.fold.flush()
    else:
        lines = Lines(as_lines=as_lines, label=label)
        try:
            yield lines
        finally:
            lines.fold.flush()


@contextmanager
def _refreshed(live: Live, lock: threading.RLock) -> Iterator[None]:
    """Draw the block again and again from a thread, but never while a line is printed above it.

    The thread of rich takes no lock for that, and two that write at once leave a copy of the block on the screen.
    """
    over = threading.Event()

    def draw() -> None:
        while not over.wait(REFRESH_SECONDS):
            with lock:
                live.refresh()

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Lines:
    """A line for each record, of which equal answers of a gate are one."""

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

    def tell(self, text: str) -> None:
        """Print it."""
        click.echo(text, err=True)


class Terminal:
    """The activity of a run in place on the terminal, and the log above it."""

    def __init__(self, clock: Clock, label: str = "") -> None:
        self.fold = Fold(self.tell, label)
        self.console: Console | None = None
        self.lock = threading.RLock()
        self._clock = clock
        self._records: list[Record] = []
        self._history: History | None = None
        self._checking = ""
        self._heard = ""
        self._latest: Activity | None = None

    def watch(self, records: Sequence[Record]) -> None:
        """Log each, and see what the run is doing now."""
        self.known(records)
        for record in records:
            self.fold.add(record)

    def known(self, records: Sequence[Record]) -> None:
        """See what the run is doing now."""
        for record in records:
            if isinstance(record, Started):
                self._records, self._history = [], History(record)
            elif self._history is not None:
                self._history.add(record)
            self._records.append(record)
            self._heard = ""
        if self._history is not None:
            self._latest = activity(self._history, self._records, self._clock.now())

    def progress(self, done: int, total: int) -> None:
        """Show how far the check of the bundle is."""
        self._checking = f"validating the bundle: {done * 100 // max(total, 1)} %"

    def heard(self, request: Request, percent: int | None, message: str) -> None:
        """Show what the hook says of itself."""
        done = "" if percent is None else f"{percent} % "
        self._heard = f"  step {request.step} reports: {done}{message}"

    def tell(self, text: str) -> None:
        """Print it above the block."""
        if self.console is not None:
            with self.lock:
                self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def shown(self) -> Text:
        """What is in place now; asked by the terminal's own thread, so it only reads one frozen value."""
        from rich.text import Text

        seen = self._latest
        rows = [self._checking] if seen is None else [*lines(seen.later(self._clock.now())), self._heard]
        # A line that is wrapped would begin with text of a hook.
        return Text("\n".join(map(escape, filter(None, rows))), no_wrap=True, overflow="ellipsis")
