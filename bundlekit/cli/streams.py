"""Output streams. A reader who has gone away changes nothing of what was found."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from bundlekit.report.escape import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator


class BrokenPipeSafeStream:
    """A text stream whose reader can stop reading (``| head -1``). All later output is discarded.

    The exit code is about the bundle or the update, not about the reader.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begins = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, unless the reader has gone."""
        with self._while_read():
            self._stream.write(self._harmless(text))
        return len(text)

    def _harmless(self, text: str) -> str:
        """All text leaves the process here: nothing in it is obeyed by a CI runner, and all of it can be encoded."""
        safe = guarded(text, begins=self._begins, terminal=is_terminal(self._stream))
        if text:
            last = text.rpartition("\n")[2]
            self._begins = not last.strip() and (self._begins or "\n" in text)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return safe.encode(encoding, "backslashreplace").decode(encoding)

    def flush(self) -> None:
        """Flush what is buffered, unless the reader has gone."""
        with self._while_read():
            self._stream.flush()

    @contextlib.contextmanager
    def _while_read(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            discard(self._stream)


def is_terminal(stream: Any) -> bool:
    """Whether colours and cursor movements of this program can go to the stream."""
    return bool(stream.isatty())


def discard(stream: Any) -> None:
    """Let what the stream still has, and gets, go nowhere: another error at exit would be noise."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is no file, or closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Standard output and standard error are patient inside."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and BrokenPipeSafeStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
