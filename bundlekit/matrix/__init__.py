"""The upgrade matrix: whether a bundle can be installed over the installed versions."""

from __future__ import annotations

from bundlekit.matrix.advisory import restricted
from bundlekit.matrix.component_rules import entry_digest
from bundlekit.matrix.consistency import inconsistencies
from bundlekit.matrix.decide import decide, decide_from, withdrawn
from bundlekit.matrix.read import read_matrix

__all__ = ["decide", "decide_from", "entry_digest", "inconsistencies", "read_matrix", "restricted", "withdrawn"]
