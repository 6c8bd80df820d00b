"""Compare the marks at the target, which show other controllers, with the records of a run."""

from __future__ import annotations

from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import Answer


def committed_elsewhere(h: History) -> bool:
    """Whether a component has passed the commit point of another run since this one began.

    If this run had not looked at it before, the mark counts with a version that is neither the old nor the new one.
    """
    return any(
        answer.committed not in {None, "", h.run} and _committed_since(h, step, answer)
        for step, answer in h.seen.items()
    )


def _committed_since(h: History, step: str, answer: Answer) -> bool:
    if step in h.surveyed:
        return answer.committed != h.surveyed[step].committed
    return answer.kind == "unknown" and answer.version is not None


def changed_elsewhere(h: History) -> bool:
    """Whether the marks show that the pair is what it is by another controller or by hand, not by this run.

    Each component reports its version. Either everything is new, which this run never gets to before its commit point.
    Or none of them remembers this run as under way. A target that does not remember runs has to show it otherwise: both
    members have the same version, and there is another run's commit mark.
    """
    seen = h.seen
    if len(seen) < len(h.job.targets) or any(
        answer.kind in {"partial", "busy"} or answer.version is None for answer in seen.values()
    ):
        return False
    if all(answer.kind == "new" for answer in seen.values()) and not h.committed_at_target:
        return True
    if any(answer.run == h.run for answer in seen.values()):
        return False
    if all(answer.run is not None for answer in seen.values()):
        return True
    if len({seen[step].version for step, target in h.job.targets.items() if target.role != "shared"}) > 1:
        return False
    return any(answer.committed not in {None, "", h.run} for answer in seen.values())


def over_at_target(h: History) -> bool:
    """Whether the target shows that the run is over, although it never cleaned up by this journal.

    Either all components that an earlier controller of the run changed remember no run under way. Or none of them
    remembers one, and the target has the commit mark that the journal lacks. Then a newer journal than this one ended
    the run, or the pair was re-imaged meanwhile.
    """
    idle = {step for step, answer in h.seen.items() if answer.run == ""}
    if idle == set(h.job.targets) and h.committed_at_target and not h.committed:
        return True
    if not h.done or max(h.done.values()) > h.resumed:
        return False
    if any(h.tally("cleanup", step).attempts for step in h.job.targets):
        return False
    return idle >= set(h.done)
