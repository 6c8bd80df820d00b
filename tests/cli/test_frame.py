"""The frames of the live view: what they show, at each size of a terminal and at each record of a run."""

import re
import signal
import subprocess
import sys
import threading

import click
import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from bundlekit.cli.update.frame import ASCII, DOING, Glyphs, Shown, frame, size
from bundlekit.cli.update.view import Terminal as View
from bundlekit.cli.update.view import watching
from bundlekit.update.engine.history import History
from bundlekit.update.engine.hooks import ANSWERS
from bundlekit.update.engine.records import Answer, CallStarted, Window
from bundlekit.update.state.activity import activity
from bundlekit.update.state.events import Event
from tests.cli.terminal import Terminal
from tests.update.world import World, fault, overridden

WIDE = "存储控制器正在同步 " * 12


def world(*faults, **options):
    made = World(*(fault(*one) for one in faults), **options)
    made.run()
    return made


def shown(of, upto=None, **more):
    """What is shown after so many records."""
    records = of.records[:upto]
    seen = activity(History.of(records), records, records[-1].at)
    return Shown(activity=seen, controller="bundlekit, process 7 on tower", hint="Ctrl-C: leave", **more)


def at(of, verb, step, **more):
    """What is shown while a hook works."""
    index = next(i for i, r in enumerate(of.records) if isinstance(r, CallStarted) and (r.verb, r.step) == (verb, step))
    return shown(of, index + 1, **more)


def text(given, width=80, height=24, glyphs=Glyphs()):  # noqa: B008 - a constant
    return [line.plain for line in frame(given, width, height, glyphs)]


def long_and_wide():
    def gate(hooks, request):
        return replace(hooks.gate(request), reason=WIDE)

    made = World(hooks=overridden(gate=gate))
    made.job = replace(
        made.job,
        pair="p" * 64,
        version="9" * 64,
        targets={step: replace(t, identity="S" * 64, new=t.new + "-" * 60) for step, t in made.job.targets.items()},
    )
    made.run()
    return made


@pytest.mark.parametrize("glyphs", [Glyphs(), ASCII], ids=["utf-8", "ascii"])
@pytest.mark.parametrize("width", [1, 2, 7, 20, 40, 59, 60, 80, 200])
def test_no_frame_is_larger_than_the_terminal(width, glyphs):
    events = tuple(Event(last=n * 60.0, text=WIDE if n % 2 else "x" * 300, times=n) for n in range(1, 60))
    for of in (world(("apply", "active", "F")), long_and_wide()):
        for upto in range(1, len(of.records) + 1, 5):
            given = shown(of, upto, events=events, percent=40, message=WIDE, facts=(WIDE, "a cancel " * 40))
            for height in (1, 3, 12, 24, 60):
                lines = frame(given, width, height, glyphs)
                assert len(lines) <= height
                assert max(line.cell_len for line in lines) <= width
                assert glyphs is not ASCII or width < 3 or "→" not in "".join(line.plain for line in lines)


def test_a_frame_of_80_columns_and_24_rows():
    of = world()
    of.job = replace(of.job, version="5.40.00")
    events = (Event(last=60.0, text="apply storage: ok"), Event(last=3720.0, text="verify storage: ok", times=3))
    lines = text(at(of, "apply", "active", events=events, percent=40, message="writing"))
    assert len(lines) == 24
    title, state = lines[0].split("  ")[0], lines[0].split("  ")[-1].strip()
    assert title == "pair-0: update to 5.40.00"
    assert state.startswith("switching, can still be reverted, ")
    assert lines[1].startswith(f"run {of.records[0].run} · bundlekit, process 7 on tower")
    first = next(index for index, line in enumerate(lines) if line.startswith(" component "))
    rows = [re.split(r" {2,}", line.strip()) for line in lines[first : first + 4]]
    assert [row[:4] for row in rows] == [
        ["component", "member", "from → to", "state"],
        ["storage", "shared pair-0", "3.2.1 → 3.4.0", "verified"],
        ["appliance", "active SN-active", "5.20.03 → 5.40.00", "applying"],
        ["appliance", "standby SN-standby", "5.20.03 → 5.40.00", "prepared"],
    ]
    now = lines[first + 5 : first + 8]
    assert now[0].startswith(" now: apply active, for 0 s (at most 90 min)")
    assert "The hook reports: 40 % writing" in " ".join(map(str.strip, now))
    effect = " if this fails now: active is reverted, storage stays new; the run ends reverted"
    assert effect in lines
    assert lines[-1] == "Ctrl-C: leave"
    start = lines.index("last events")
    assert lines[start + 1 : start + 3] == [" 00:01:00Z apply storage: ok", " 01:02:00Z verify storage: ok, 3 times"]


def test_the_bar_of_a_gate_shows_the_time_the_usual_time_and_the_deadline():
    of = world(detach=True)
    of.clock.sleep(1800)
    seen = activity(History.of(of.records), of.records, of.clock.now())
    line = next(line for line in text(Shown(activity=seen), width=100) if line.startswith(" ha-formed"))
    bar, _, words = line.removeprefix(" ha-formed ").partition(" ")
    assert words == "30 min, expected 45 min to 60 min, deadline 90 min"
    assert re.fullmatch("█+░+▒+░+", bar)
    cells = len(bar)
    assert bar.count("█") == cells // 3
    assert (bar.index("▒"), bar.rindex("▒") + 1) == (round(cells / 2), round(cells * 2 / 3))
    of.clock.sleep(2000)
    late = activity(History.of(of.records), of.records, of.clock.now())
    words = " ".join(map(str.strip, text(Shown(activity=late), width=60)))
    assert "63 min, longer than expected (45 min to 60 min), deadline 90 min" in words


def test_each_component_has_a_bar_of_its_bytes_with_what_the_hook_reports():
    of = World()
    sizes = {"storage": 100 * 2**20, "active": 200 * 2**20, "standby": 200 * 2**20}
    of.job = replace(of.job, targets={s: replace(t, size=sizes[s]) for s, t in of.job.targets.items()})
    of.run()
    for percent, done in ((None, 0), (25, 50), (100, 200)):
        lines = [line for line in text(at(of, "prepare", "active", percent=percent)) if "░" in line or "█" in line]
        assert [line.split()[0] for line in lines] == ["storage", "active", "standby"]
        words = [" ".join(line.split()[2:]) for line in lines]
        staged = f"{done} MiB" if done >= 100 else f"{done}.0 MiB" if done else "0 B"
        assert words == ["100 MiB of 100 MiB", f"{staged} of 200 MiB", "0 B of 200 MiB"]
        assert [line.count("█") for line in lines] == [40, 40 * done // 200, 0]
        assert len({line.index(next(cell for cell in "█░" if cell in line)) for line in lines}) == 1
    low = text(at(of, "prepare", "active"), 100, 3)
    assert any(line.startswith(" active ") for line in low), "the one that moves stays"


def test_what_matters_most_stays_on_a_low_terminal():
    of = world()
    for height, starts in (
        (1, ["pair-0: update"]),
        (2, ["pair-0: update", " now: apply"]),
        (3, ["pair-0: update", " now: apply", " if this fails now: "]),
        (4, ["pair-0: update", " appliance   standby", " now: apply", " if this fails now: "]),
    ):
        lines = text(at(of, "apply", "standby"), 100, height)
        assert all(line.startswith(start) for line, start in zip(lines, starts, strict=False)), lines
        assert len(lines) >= len(starts)


def test_a_narrow_terminal_has_two_lines_for_each_step():
    lines = text(at(world(), "apply", "active"), 40)
    assert "storage shared pair-0" in lines
    assert any(line.startswith("  applying") and line.endswith("5.20.03 → 5.40.00") for line in lines)


def test_text_of_a_hook_cannot_act_on_the_terminal():
    lines = text(at(world(), "apply", "active", message="\x1b[2J\u202e[bold]evil[/bold]"))
    found = " ".join(lines)
    assert "\x1b" not in found
    assert "\u202e" not in found
    assert "\\u001b[2J\\u202e[bold]evil[/bold]" in found


def test_a_frame_before_the_run_shows_the_check_of_the_bundle():
    lines = text(Shown(title="update with update.bin", checked=(300, 1200)))
    assert lines[0] == "update with update.bin"
    assert any(re.fullmatch(r" validating the bundle █+░+ 300 B of 1.2 KiB, 25 %", line) for line in lines)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1024, "1.0 KiB"), (150 * 2**20, "150 MiB"), (2**42, "4096 GiB")]
)
def test_sizes_as_people_read_them(count, words):
    assert size(count) == words
    assert cell_len(words) == len(words)


# --- the view on a terminal -----------------------------------------------------------------------------------


def plain(view, columns, rows):
    return [line.plain for line in view.frame(columns, rows, Glyphs())]


def test_each_frame_stands_on_the_screen_also_after_a_resize(monkeypatch):
    of = World(detach=True)
    of.run(window=Window(not_after=of.clock.wall + 3600))
    terminal = Terminal(monkeypatch, 80, 24)
    click.echo("the prompt")
    with watching(of.clock, as_lines=False) as view:
        view.about("bundlekit, process 7 on tower")
        view.progress(1, 4)
        terminal.shows(plain(view, 80, 24))
        view.known(of.records)
        terminal.shows(plain(view, 80, 24))
        for columns, rows in ((40, 24), (200, 50), (30, 5), (80, 12), (80, 24)):
            terminal.resize(columns, rows)
            terminal.shows(plain(view, columns, rows))
        of.clock.sleep(60)
        terminal.shows(plain(view, 80, 24))
        assert any("the switch can start until" in line for line in terminal.now())
        view.notify("Cancelling after the current step.")
        terminal.shows(plain(view, 80, 24))
    click.echo("the outcome")
    assert [line for line in terminal.shown() if line] == [
        "the prompt", "Cancelling after the current step.", "the outcome",
    ]  # fmt: skip


class Stopped:
    """A terminal after Ctrl-S: what another thread than ``runner`` writes waits for ``goes_on``."""

    def __init__(self, file):
        self.file, self.runner = file, threading.current_thread()
        self.waits, self.goes_on = threading.Event(), threading.Event()

    def write(self, text):
        if threading.current_thread() is not self.runner:
            self.waits.set()
            self.goes_on.wait()
        return self.file.write(text)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_terminal_that_takes_no_more_holds_no_run_up(monkeypatch):
    terminal = Terminal(monkeypatch, 80, 24)
    of, stopped = world(), Stopped(sys.stderr)
    monkeypatch.setattr(sys, "stderr", stopped)
    done = threading.Event()

    def run(view):
        for record in of.records:
            view.watch([record])
        view.notify("a line")
        done.set()

    with watching(of.clock, as_lines=False) as view:
        stopped.waits.wait()
        runner = threading.Thread(target=run, args=[view])
        runner.start()
        happened = done.wait(60)
        stopped.goes_on.set()
        runner.join()
    assert happened, "the run waits for the terminal"
    assert "a line" in terminal.shown()


@pytest.mark.parametrize("colour", [True, False])
def test_colours_are_left_out_on_request(monkeypatch, colour):
    terminal = Terminal(monkeypatch, 80, 24)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    of = world()
    with watching(of.clock, as_lines=False) as view:
        view.watch(of.records[:-1])
        terminal.shows(plain(view, 80, 24))
    terminal.shown()
    codes = re.findall(rb"\x1b\[([0-9;]*)m", bytes(terminal.written))
    assert any(re.search(rb"(^|;)3[0-7]($|;)", code) for code in codes) == colour


@pytest.mark.parametrize("why", ["dumb", "label", "unset"])
def test_plain_lines_where_no_frame_can_be_drawn(monkeypatch, why):
    terminal = Terminal(monkeypatch, 80, 24)
    monkeypatch.setenv("TERM", {"dumb": "dumb", "unset": ""}.get(why, "xterm"))
    of = world()
    with watching(of.clock, as_lines=False, label="pair-0" if why == "label" else "") as view:
        view.watch(of.records[:1])
    line = terminal.shown()[0]
    assert line.startswith("2027-01-15T08:00:00Z " + ("pair-0: run " if why == "label" else "run "))
    assert terminal.screens == 0


def test_a_report_of_a_hook_is_gone_with_its_call():
    of = world()
    index = next(i for i, record in enumerate(of.records) if isinstance(record, CallStarted) and record.verb == "apply")
    view = View(of.clock)
    view.watch(of.records[: index + 1])
    view.heard(None, 40, "writing")
    assert any("40 % writing" in line for line in plain(view, 200, 24))
    view.watch(of.records[index + 1 : index + 3])
    assert not any("40 % writing" in line for line in plain(view, 200, 24))


def test_a_journal_with_a_reason_of_wide_characters_is_drawn_as_it_is(monkeypatch):
    of = World(hooks=overridden(gate=lambda hooks, request: Answer(kind="not-yet", reason="同步 " * 9)), detach=True)
    of.run()
    terminal = Terminal(monkeypatch, 80, 24)
    with watching(of.clock, as_lines=False) as view:
        view.watch(of.records)
        for columns in (80, 41, 40):
            terminal.resize(columns, 24)
            terminal.shows(plain(view, columns, 24))
    terminal.shown()


@pytest.mark.parametrize(
    "late", ["", "os.kill = lambda *given: (time.sleep(1.5), kill(*given))"], ids=["at once", "late"]
)
def test_a_process_that_is_terminated_leaves_the_terminal_as_it_was(monkeypatch, late):
    """Also if its end comes late: no frame follows onto the screen from before."""
    terminal = Terminal(monkeypatch, 80, 24)
    script = (
        "import os, signal, time\n"
        "from bundlekit.cli.update.view import watching\n"
        "from bundlekit.update.engine.clock import SystemClock\n"
        f"kill = os.kill\n{late}\n"
        "with watching(SystemClock(), as_lines=False, title='a title'):\n"
        "    kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stderr=terminal.slave, check=False)
    assert done.returncode == -signal.SIGTERM
    assert not any(terminal.shown())
    assert terminal.screens == 1
    assert not terminal.screen.cursor.hidden


def test_each_verb_of_a_step_has_a_word():
    assert set(DOING) == set(ANSWERS) - {"gate", "reimage"}, "a gate is shown on a line of its own"
