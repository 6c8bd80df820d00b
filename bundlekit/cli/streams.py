"""Where output goes: to a reader who may have gone away, which changes nothing of what was found."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Patient:
    """A text stream of which nobody may be reading the rest (``| head -1``): what comes after that goes nowhere.

    The exit code is about the bundle, or the update, and not about who listens.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, as long as somebody reads."""
        with self._whoever_reads():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what is buffered, as long as somebody reads."""
        with self._whoever_reads():
            self._stream.flush()

    @contextlib.contextmanager
    def _whoever_reads(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            discard(self._stream)


def discard(stream: Any) -> None:
    """Let what the stream still has, and gets, go nowhere: another error at exit would be noise."""
    with contextlib.suppress(AttributeError, OSError):  # there is none, or it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Standard output and standard error are patient inside."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and Patient(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
