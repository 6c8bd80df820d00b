"""Whether the bytes match the claims: measurement of claims, byte coverage, verified reading.

Nothing here depends on a format. Claims come from a layout reader, and evidence goes to the rules.
"""

from bundlekit.integrity.accounting import Covered, coverage, signed_alone
from bundlekit.integrity.measurement import compared, measure
from bundlekit.integrity.tree import MAX_REPORTED
from bundlekit.integrity.verified import verified_chunks
from bundlekit.integrity.worker_pool import Cancel, ReadProgress

__all__ = [
    "MAX_REPORTED",
    "Cancel",
    "Covered",
    "ReadProgress",
    "compared",
    "coverage",
    "measure",
    "signed_alone",
    "verified_chunks",
]
