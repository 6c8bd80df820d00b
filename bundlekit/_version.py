"""The version of bundlekit and the day of its release. It imports nothing, so that every module can import it."""

__version__ = "0.1.0"
__released__ = "2026-11-01"  # no clock that is right shows an earlier day to this version
