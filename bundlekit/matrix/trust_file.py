"""A trust file that a release ships, as the matrix contains it.

It is loaded only when a decision needs it, because nothing else in this package needs cryptography.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bundlekit.errors import BundlekitError

if TYPE_CHECKING:
    from bundlekit.model.matrix import ShippedTrust
    from bundlekit.trust import TrustStore


class ReadTrust:
    """A trust file of a matrix, loaded once, at the first use."""

    def __init__(self, entry: ShippedTrust) -> None:
        self.entry = entry

    @cached_property
    def _loaded(self) -> TrustStore | str:
        from bundlekit.trust import load_inlined

        files = {one.name: one.text.encode() for one in self.entry.files}
        try:
            return load_inlined(self.entry.file.encode(), files, where=f"trust-of {self.entry.since}")
        except BundlekitError as why:
            return str(why)

    @property
    def problem(self) -> str:
        """Why the file cannot be loaded; empty if it can."""
        return self._loaded if isinstance(self._loaded, str) else ""

    @property
    def store(self) -> TrustStore:
        """The file as `bundlekit.trust` uses it. Call it only if there is no `problem`."""
        assert not isinstance(self._loaded, str)  # noqa: S101 - asked first
        return self._loaded

    @property
    def names(self) -> frozenset[str]:
        """The names of the signers in the file; none if it cannot be loaded."""
        return frozenset() if self.problem else frozenset(self.store.names or ())
