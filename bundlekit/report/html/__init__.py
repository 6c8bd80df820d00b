"""The report as one HTML page, for a release meeting: no network, no script, and its pictures inside it."""

from bundlekit.report.html.page import render

__all__ = ["render"]
