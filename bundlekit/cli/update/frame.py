"""One frame of the live view: never more lines than the terminal has rows, never a line wider than it.

Loaded on a terminal only, because it needs rich.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from bundlekit.model.primitives import Frozen
from bundlekit.report.escape import escape
from bundlekit.update.state.activity import Activity, Bar, Stage, StepRow, span
from bundlekit.update.state.events import Event

STAGES: Final[dict[Stage, str]] = {
    "checking": "checks the pair, nothing is changed yet",
    "staging": "staging, nothing is changed yet",
    "prepared": "prepared, waiting for `update resume`",
    "switching": "switching, can still be reverted",
    "committed": "after the commit point, no more reverts",
    "gate": "waiting for the pair",
    "final-checks": "final checks",
    "cleanup": "cleanup",
    "reverting": "reverting",
    "stopping": "stopping",
    "ended": "ended",
}

DOING: Final = {
    "validate": "validating", "describe": "describing", "prepare": "staging", "apply": "applying", "probe": "probing",
    "verify": "verifying", "commit": "committing", "revert": "reverting", "cleanup": "cleaning up",
}  # fmt: skip
"""The state of a step while its hook works."""

GOOD: Final = frozenset({"verified", "committed", "already new"})
NARROW: Final = 60
"""Columns under which each step takes two lines."""

BAR: Final = 40
"""The most cells of a bar. More cells show nothing more."""

SPENT: Final = 3
"""Lines that a text of a hook or a journal can take."""


class Glyphs(NamedTuple):
    """The characters that a terminal without UTF-8 has not."""

    arrow: str = "→"
    full: str = "█"
    usual: str = "▒"
    empty: str = "░"
    more: str = "…"


ASCII: Final = Glyphs(arrow="->", full="#", usual="=", empty="-", more="~")


class Shown(Frozen, frozen=True, kw_only=True):
    """What a frame shows. ``activity`` is None until a run has begun.

    ``checked`` are the bytes of the bundle that are checked, of how many. ``percent`` and ``message`` are what the hook
    reported that works now. ``facts`` are lines about the run: the window, a cancel. ``hint`` is about Ctrl-C.
    """

    activity: Activity | None = None
    title: str = ""
    controller: str = ""
    checked: tuple[int, int] | None = None
    percent: int | None = None
    message: str = ""
    facts: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    hint: str = ""
    wall: float = 0.0


class FramePart(NamedTuple):
    """Lines that belong together. Where there is too little room, the part with the higher ``rank`` goes first.

    ``order`` are the indexes of the lines, the most important first; by default as they are.
    """

    rank: int
    lines: list[Text]
    order: tuple[int, ...] = ()

    def cut(self, room: int) -> list[Text]:
        """At most ``room`` lines, the most important ones."""
        order = self.order or tuple(range(len(self.lines)))
        return [self.lines[index] for index in sorted(order[:room])]


def frame(shown: Shown, width: int, height: int, glyphs: Glyphs = Glyphs()) -> list[Text]:  # noqa: B008 - a constant
    """The lines of a frame for a terminal of ``width`` columns and ``height`` rows: at most ``height``."""
    seen = shown.activity
    parts = [FramePart(0, _title(shown, width, glyphs)), FramePart(6, _about(shown, width, glyphs))]
    parts.append(FramePart(5, [_line(fact, width, glyphs, "yellow") for fact in shown.facts]))
    if seen is not None:
        parts += [FramePart(8, [Text()]), _table(seen.steps, width, glyphs), FramePart(8, [Text()])]
        parts.append(FramePart(1, _labelled("now", _now(shown, seen), width, glyphs, "bold")))
    parts.append(_bars(shown, width, glyphs))
    if seen is not None and seen.if_it_fails:
        parts.append(FramePart(3, _labelled("if this fails now", seen.if_it_fails, width, glyphs, "")))
    hint = FramePart(7, [_line(shown.hint, width, glyphs, "dim")] if shown.hint else [])
    return _fitted(parts, hint, shown.events, width, height, glyphs)


def _fitted(
    parts: list[FramePart], hint: FramePart, events: Sequence[Event], width: int, height: int, glyphs: Glyphs
) -> list[Text]:
    """The parts in their order as far as they fit, the latest events in the rows that are left, the hint last."""
    kept: dict[int, list[Text]] = {}
    left = height
    for index, part in sorted(enumerate([*parts, hint]), key=lambda entry: entry[1].rank):
        kept[index] = part.cut(left)
        left -= len(kept[index])
    above = list(chain.from_iterable(kept[index] for index in range(len(parts))))
    below = kept[len(parts)]
    latest = [_event(event, width, glyphs) for event in events][-(left - 2) :] if left > 2 else []
    if latest:
        above += [Text(), _line("last events", width, glyphs, "dim"), *latest]
    return above + [Text() for _ in range(height - len(above) - len(below) if below else 0)] + below


def _title(shown: Shown, width: int, glyphs: Glyphs) -> list[Text]:
    """Which update, and the stage it is in: on the right, or on a line of its own."""
    seen = shown.activity
    if seen is None:
        return [_line(shown.title, width, glyphs, "bold")]
    head = _line(f"{seen.pair}: update to {seen.version}", width, glyphs, "bold")
    stage = _line(f"{STAGES[seen.stage]}, {span(seen.age)}", width, glyphs, _colour(seen.stage))
    gap = width - head.cell_len - stage.cell_len
    return [Text.assemble(head, " " * gap, stage)] if gap >= 2 else [head, stage]


def _colour(stage: Stage) -> str:
    return {"reverting": "red", "stopping": "red", "committed": "yellow", "switching": "yellow"}.get(stage, "cyan")


def _about(shown: Shown, width: int, glyphs: Glyphs) -> list[Text]:
    """The run's id and who works on it."""
    run = f"run {shown.activity.run}" if shown.activity is not None else ""
    who = shown.controller or "no controller works on it now"
    at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(shown.wall))
    return _packed([word for word in (run, who, at) if word], width, glyphs)


def _packed(words: list[str], width: int, glyphs: Glyphs) -> list[Text]:
    """The words on as few lines as they need, each word whole where it fits."""
    rows: list[str] = []
    for word in map(escape, words):
        if rows and cell_len(rows[-1]) + 3 + cell_len(word) <= width:
            rows[-1] += f" · {word}" if glyphs.arrow == "→" else f" | {word}"
        else:
            rows.append(word)
    return [_line(row, width, glyphs, "dim") for row in rows]


def _table(steps: Sequence[StepRow], width: int, glyphs: Glyphs) -> FramePart:
    """A row for each step. Where there is too little room, the steps whose hook works now stay, and the heads go."""
    order = sorted(range(len(steps)), key=lambda index: not steps[index].verb)
    if width < NARROW:
        lines = list(_two_lines(steps, width, glyphs))
        return FramePart(4, lines, tuple(line for index in order for line in (2 * index, 2 * index + 1)))
    heads = ("component", "member", f"from {glyphs.arrow} to", "state", "elapsed")
    rows = [(s.component, _member(s), _versions(s, glyphs), _state(s), _worked(s)) for s in steps]
    cells = [heads, *([escape(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(heads))]
    while sum(widths) + 3 * len(widths) - 1 > width:  # the widest text gives way, the state and the time last
        widest = max((0, 1, 2), key=lambda column: widths[column])
        if widths[widest] <= 8:
            break
        widths[widest] -= 1
    lines = [_row(heads, widths, width, glyphs, "dim")]
    for step, row in zip(steps, cells[1:], strict=True):
        lines.append(_row(row, widths, width, glyphs, _style(step)))
    return FramePart(4, lines, (*(index + 1 for index in order), 0))


def _row(cells: Sequence[str], widths: list[int], width: int, glyphs: Glyphs, style: str) -> Text:
    line = Text(" ", style=style)
    for cell, room in zip(cells, widths, strict=True):
        text = _cut(Text(cell), room, glyphs)
        line.append_text(text).append(" " * (room - text.cell_len + 3))
    line.rstrip()
    return _cut(line, width, glyphs)


def _two_lines(steps: Sequence[StepRow], width: int, glyphs: Glyphs) -> Iterator[Text]:
    for step in steps:
        yield _line(f"{step.component} {_member(step)}", width, glyphs, _style(step))
        words = f"  {_state(step)} {_worked(step)}".rstrip()
        yield _line(f"{words}  {_versions(step, glyphs)}", width, glyphs, _style(step))


def _member(step: StepRow) -> str:
    return f"{step.role} {step.identity}"


def _versions(step: StepRow, glyphs: Glyphs) -> str:
    return f"{step.old} {glyphs.arrow} {step.new}"


def _state(step: StepRow) -> str:
    return DOING.get(step.verb, step.state)


def _worked(step: StepRow) -> str:
    return span(step.elapsed) if step.elapsed else ""


def _style(step: StepRow) -> str:
    if step.verb:
        return "bold"
    return "green" if step.state in GOOD else "red" if step.state in {"to be reverted", "reverted"} else ""


def _now(shown: Shown, seen: Activity) -> str:
    limit = f" (at most {span(seen.limit)})" if seen.limit and not seen.bars else ""
    expect = f", expected {seen.expect}" if seen.expect and not seen.bars else ""
    percent = "" if shown.percent is None else f"{shown.percent} % "
    report = f". The hook reports: {percent}{shown.message}".rstrip() if percent or shown.message else ""
    return f"{seen.action}, for {span(seen.elapsed)}{limit}{expect}{report}"


def _bars(shown: Shown, width: int, glyphs: Glyphs) -> FramePart:
    """A bar for the check of the bundle, for each step to stage, or for the gate. The one that moves stays longest."""
    seen = shown.activity
    if seen is None:
        if shown.checked is None:
            return FramePart(2, [])
        done, total = shown.checked
        text = f"{size(done)} of {size(total)}, {done * 100 // max(total, 1)} %"
        return FramePart(2, _bar("validating the bundle", done / max(total, 1), None, text, width, glyphs))
    working = {row.step for row in seen.steps if row.verb}
    label = max((cell_len(escape(bar.name)) for bar in seen.bars), default=0)
    lines, order = list[Text](), list[int]()
    for bar in seen.bars:
        if bar.kind == "staging":
            staged = bar.total * (shown.percent or 0) / 100 if bar.name in working else bar.done
            text, part = f"{size(staged)} of {size(bar.total)}", staged / max(bar.total, 1)
            drawn = _bar(f"{bar.name:<{label}}", part, None, text, width, glyphs)
        else:
            drawn = _bar(bar.name, bar.done / bar.total, bar, _gate(bar), width, glyphs)
        places = list(range(len(lines), len(lines) + len(drawn)))
        order = places + order if bar.name in working else order + places
        lines += drawn
    return FramePart(2, lines, tuple(order))


def _gate(bar: Bar) -> str:
    """How long a gate is polled, usually takes and can take."""
    shortest, longest = bar.expect or (0.0, bar.total)
    usual = f"{span(shortest)} to {span(longest)}"
    expected = f"longer than expected ({usual})" if bar.done > longest else f"expected {usual}"
    return f"{span(bar.done)}, {expected}, deadline {span(bar.total)}"


def _bar(name: str, part: float, gate: Bar | None, text: str, width: int, glyphs: Glyphs) -> list[Text]:
    """The bar and its text, on one line where both fit. The usual end of a gate is marked in the bar."""
    label = _cut(Text(f" {escape(name)} ", style="bold"), max(width // 2, 1), glyphs)
    room = width - label.cell_len - 1
    beside = room - cell_len(text) - 1
    cells = max(min(BAR, beside if beside >= BAR // 2 else room), 0)
    full = min(max(int(part * cells), 0), cells)
    usual = range(0)
    if gate is not None and gate.expect is not None:
        first, last = (round(seconds / gate.total * cells) for seconds in gate.expect)
        usual = range(first, max(last, first + 1))
    drawn = Text()
    for cell in range(cells):
        glyph = glyphs.full if cell < full else glyphs.usual if cell in usual else glyphs.empty
        drawn.append(glyph, style="cyan" if cell < full else "green" if cell in usual else "dim")
    line = label.append_text(drawn)
    if beside >= BAR // 2:
        return [_cut(line.append(f" {text}", style="not bold"), width, glyphs)]
    return [_cut(line, width, glyphs), *_wrapped(f"  {text}", "  ", width, glyphs, "")]


def size(count: float) -> str:
    """Bytes as people read them, in powers of 1024."""
    units = ["B", "KiB", "MiB", "GiB"]
    while count >= 1000 and len(units) > 1:
        count /= 1024
        del units[0]
    return f"{count:.0f} {units[0]}" if units[0] == "B" or count >= 100 else f"{count:.1f} {units[0]}"


def _event(event: Event, width: int, glyphs: Glyphs) -> Text:
    times = f", {event.times} times" if event.times > 1 else ""
    at = time.strftime("%H:%M:%SZ", time.gmtime(event.last))
    text, room = escape(event.text), width - len(at) - 3 - len(times)
    line = Text(f" {at} ", style="dim").append_text(_cut(Text(text, style="not dim"), max(room, 0), glyphs))
    return _cut(line.append(times, style="not dim"), width, glyphs)


def _labelled(label: str, text: str, width: int, glyphs: Glyphs, style: str) -> list[Text]:
    """``label: text``, wrapped at words, at most ``SPENT`` lines."""
    lines = _wrapped(f" {label}: {text}", "   ", width, glyphs, style)
    lines[0].stylize("bold", 0, len(label) + 3)
    return lines


def _wrapped(text: str, indent: str, width: int, glyphs: Glyphs, style: str) -> list[Text]:
    first = text[: len(text) - len(text.lstrip())]
    rows, used = [first], 0
    for word in escape(text).split():
        if used and cell_len(rows[-1]) + 1 + cell_len(word) > width:
            rows.append(indent)
            used = 0
        rows[-1] += f" {word}" if used else word
        used += 1
    if len(rows) > SPENT:
        rows[SPENT - 1 :] = [" ".join(row if not index else row.strip() for index, row in enumerate(rows[SPENT - 1 :]))]
    return [_cut(Text(row, style=style), width, glyphs) for row in rows]


def _line(text: str, width: int, glyphs: Glyphs, style: str) -> Text:
    return _cut(Text(escape(text), style=style), width, glyphs)


def _cut(text: Text, width: int, glyphs: Glyphs) -> Text:
    """The text, where it is too wide without its end; a wide character is whole or not there."""
    if text.cell_len > width:
        text.truncate(max(width - 1, 0), overflow="crop")
        text.rstrip()
        if width > 0:
            text.append(glyphs.more)
    return text
