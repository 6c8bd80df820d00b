"""How much of a document is decoded, with everything that it contains in a coded form."""

from __future__ import annotations

from typing import Any, Final

from bundlekit.evidence.artifact import MalformedDocumentError
from bundlekit.layout import strict_json

MAX_NODES: Final = 500_000
"""Objects and lists of a document that is read: each takes up to 250 bytes of memory."""

MAX_VALUES: Final = 2_000_000
"""Values of a document that is read, counted by their commas: a million takes about two seconds."""


class LargeDocumentError(ValueError):
    """The document has too many values. It need not be malformed."""


class DocumentBudget:
    """What is left for one document. The payload of an envelope is decoded for the same budget as the envelope."""

    def __init__(self) -> None:
        self._nodes, self._values = MAX_NODES, MAX_VALUES

    def decode(self, data: bytes) -> Any:  # noqa: ANN401 - any JSON value
        """The JSON value. MalformedDocumentError if readers can disagree about it; LargeDocumentError at the limit."""
        self._nodes -= data.count(b"{") + data.count(b"[")
        self._values -= data.count(b",")
        if self._nodes < 0:
            raise LargeDocumentError(f"it has more than {MAX_NODES:,} objects and lists")
        if self._values < 0:
            raise LargeDocumentError(f"it has more than {MAX_VALUES:,} values")
        try:
            return strict_json.decode(data)
        except strict_json.StrictJsonError as error:
            raise MalformedDocumentError(str(error), error.offset) from error
