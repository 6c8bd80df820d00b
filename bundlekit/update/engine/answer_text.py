"""Reasons in words, from the answers of hooks."""

from __future__ import annotations

from bundlekit.update.engine.records import Answer


def answer_text(answer: Answer) -> str:
    """What the hook gave as its reason, or what became of it."""
    silent: dict[str, str] = {"timeout": "its deadline passed", "died": "the hook was killed or crashed"}
    return answer.reason or silent.get(answer.kind, answer.kind)


def seen_text(answer: Answer) -> str:
    """What a probe answered, with its own reason."""
    return f"{answer.kind} ({answer.reason})" if answer.reason else answer.kind


def unknown_text(answer: Answer) -> str:
    """What a probe answered that sees neither the old version nor the new one."""
    if answer.version is None:
        return f"the probe cannot determine its state: {answer_text(answer)}"
    return f"it runs {answer.version}, which is neither the old version nor the new one"
