"""What the latest run of a pair allows: to be resumed, with this bundle, or another step in the place of a repair."""

from __future__ import annotations

from collections.abc import Sequence

from bundlekit.errors import ConfigError
from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import Record, RecoveryStep, Rejected
from bundlekit.update.state.activity import sentence
from bundlekit.wording import given


def nothing_to_resume(records: Sequence[Record], last: History | None, run: str) -> str:
    """Why no run, or not ``run``, can be resumed after ``records``, whose latest run is ``last``; empty if one can."""
    if isinstance(records[-1] if records else None, Rejected) and not (last is not None and last.ended is None):
        return sentence(records[-1])
    if last is None:
        return "the journal has no run of this pair"
    if last.ended is not None:
        return f"the latest run, {last.run}, has ended: {last.ended.kind}"
    return f"the run that has not ended is {last.run}" if run not in {"", last.run} else ""


def same_bundle(found: str | None, last: History, verb: str) -> None:
    """Refuse a file whose bundle id is another than that of the run."""
    if found != last.job.bundle_id:
        raise ConfigError(
            f"The file is bundle {found or '(its head cannot be read)'}, the run was of bundle {last.job.bundle_id}.",
            next_step=f"{verb} with the bundle of the run ({given('bundle')}).",
        )


def instead(last: History) -> tuple[RecoveryStep, ...]:
    """What to do with a pair that is not to be repaired: run the update again, unless that has succeeded.

    If the pair was taken off hold since, only that step remains of the recovery that the latest run advised.
    """
    if last.ended is None or last.ended.kind == "succeeded":
        return ()
    steps = tuple(one for one in last.ended.recovery if one.verb in {"state", "run"})
    return steps or (RecoveryStep(verb="state"), RecoveryStep(verb="run"))
