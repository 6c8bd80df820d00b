"""The verbs of ``bundlekit update``."""

from __future__ import annotations

from typing import Final

VERBS: Final = {
    "cancel": "Ask a run to stop. Before the commit point it reverts.",
    "clear": "Release a complete pair from its hold, with a name and a reason.",
    "log": "Show what a run did, or export a support bundle for the vendor.",
    "plan": "Show what an update would do, and the outcome of each failure.",
    "repair": "Finish a degraded pair with the bundle of its run.",
    "resume": "Continue a run that has not ended.",
    "revert": "Retry the failed reverts of a run, with a name and a reason.",
    "run": "Update a pair.",
    "state": "Write STATE.json from what the pair reports.",
    "status": "Show which runs are in progress or wait, and which pairs are on hold.",
}
"""The verbs of ``bundlekit update``, and the first lines of their help."""
