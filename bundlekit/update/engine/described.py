"""Whether a component is what the job was made for, by what it reports: the reason of a refusal, or nothing."""

from __future__ import annotations

from bundlekit.facts import holds, in_words
from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import Answer
from bundlekit.update.engine.transitions import PhaseStep


def disagrees(h: History, task: PhaseStep) -> str:
    """Why an *ok* is not one: what the hook read differs from what the job was made for."""
    answer = h.tally(task.phase, task.step).settled
    if answer is None or task.phase not in {"describe", "verify"}:
        return ""
    target = h.job.targets[task.step]
    if task.phase == "verify":
        return "" if answer.version == target.new else f"it reads back version {answer.version}, not {target.new}"
    last = task.step == list(h.job.targets)[-1]
    return _unfit(h, task.step, answer) or ((_fact_changed(h) or _short_of_space(h)) if last else "")


def _unfit(h: History, step: str, answer: Answer) -> str:
    """Why the description that a component gives does not suit the job, whose state can be out of date."""
    if differs := h.differs(step):
        name, before, now = differs
        return (
            f"state-changed: the state has {name} {before}, the appliance reports {'nothing' if now is None else now}"
        )
    if answer.counter is not None and answer.counter > h.job.counter:
        return f"its security counter is {answer.counter}, the bundle's only {h.job.counter}"
    target = h.job.targets[step]
    if step in h.job.groups()[0] and not answer.reverts and target.old != target.new:
        return "it cannot be reverted, but the plan requires that"
    return ""


def _fact_changed(h: History) -> str:
    """Compare the reported facts with the conditions of the bundle. Facts of the state can be stale."""
    for step in h.job.targets:
        answer = h.tally("describe", step).settled
        for condition in h.job.facts:
            if answer is not None and condition.fact in answer.facts and holds(condition, answer.facts) is not True:
                found = f"{step} reports {condition.fact} {answer.facts[condition.fact]}"
                return f"state-changed: {found}, the update needs that {in_words(condition)}"
    return ""


def _short_of_space(h: History) -> str:
    """Compare the free space that the components report with what the bundle needs. Unknown space is not enough."""
    answers = [answer for step in h.job.targets if (answer := h.tally("describe", step).settled)]
    for place, needed in h.job.free.items():
        free = [answer.free[place] for answer in answers if place in answer.free]
        if not free:
            return f"the free space in {place} is unknown, and {needed} bytes are needed"
        if min(free) < needed:
            return f"state-changed: {min(free)} bytes are free in {place}, {needed} are needed"
    return ""
