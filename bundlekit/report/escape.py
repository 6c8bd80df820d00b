"""The escaping of reports; it is in `bundlekit.escape`, because what writes TOML needs it as well."""

from bundlekit.escape import escape, guarded, hashes_spelled

__all__ = ["escape", "guarded", "hashes_spelled"]
