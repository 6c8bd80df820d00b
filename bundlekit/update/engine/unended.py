"""The outcomes of a call after which the run has not ended: it waits, was stopped, or was never begun."""

from __future__ import annotations

from typing import Literal

from bundlekit.update.engine.errors import FenceLostError, JournalError
from bundlekit.update.engine.history import History
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.outcome import seen_reasons, seen_versions
from bundlekit.update.engine.records import Outcome, RecoveryStep


def taken_by(job: Job, run: str) -> Outcome:
    """The outcome *busy*: nothing was started or touched, because the appliance remembers ``run`` as under way."""
    return Outcome(
        kind="busy",
        pair=job.pair,
        reason=f"run {run} of another controller is in progress",
        ha="as-before",
        recovery=(RecoveryStep(verb="repair" if job.repair else "take-over", run=run),),
    )


def paused(history: History, why: str, *, moved: bool = False, retry_after: float | None = None) -> Outcome:
    """The outcome *waiting*: the run stops here for ``why``, and a resume continues it."""
    return Outcome(
        kind="waiting",
        pair=history.job.pair,
        run=history.run,
        bundle_id=history.job.bundle_id,
        reason=why,
        states={step: history.state(step) for step in history.job.targets},
        probe_reasons=seen_reasons(history),
        versions=seen_versions(history),
        roles={step: target.role for step, target in history.job.targets.items()},
        ha="as-before" if history.untouched else "unknown",
        committed=history.committed,
        recovery=(RecoveryStep(verb="resume", bundle_moved=moved),),
        retry_after=retry_after,
    )


def stopped(
    pair: str,
    error: JournalError,
    history: History | None = None,
    *,
    again: Literal["run", "resume", "repair", "revert"] = "resume",
) -> Outcome:
    """Stop and change nothing more. A controller that can write the journal continues the run, after probing.

    Without a ``history`` nothing has begun, and the recovery is to do the same ``again``.
    """
    kind: Literal["busy", "waiting"] = "busy" if isinstance(error, FenceLostError) else "waiting"
    return Outcome(
        kind=kind,
        pair=pair,
        run=history.run if history is not None else "",
        reason=error.message,
        ha="as-before" if history is not None and history.untouched and not history.only_back else "unknown",
        recovery=(RecoveryStep(verb=again),),
    )
