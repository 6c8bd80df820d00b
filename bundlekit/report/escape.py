"""The escaping of reports. It is in `bundlekit.escape`, because the writer of TOML needs it too."""

from bundlekit.escape import escape, guarded, hashes_spelled

__all__ = ["escape", "guarded", "hashes_spelled"]
