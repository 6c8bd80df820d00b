"""What the commands of ``bundlekit update`` share: options, the controller, and the display of an outcome."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bundlekit.cli import common
from bundlekit.cli.update import view
from bundlekit.cli.update.message import message, next_steps, text
from bundlekit.errors import BundlekitError
from bundlekit.report import json as as_json
from bundlekit.report import text as as_text
from bundlekit.report.escape import escape
from bundlekit.update.controller import Controller
from bundlekit.update.engine.clock import Clock, SystemClock
from bundlekit.update.engine.errors import JournalDamagedError
from bundlekit.update.engine.executor import Declined, latest
from bundlekit.update.engine.history import History
from bundlekit.update.engine.invocation import UNKNOWN, InvocationPaths
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.plan import PAIR, Plan, load_plan
from bundlekit.update.engine.records import Outcome, Record, Rejected, Started, Window
from bundlekit.update.state.lock import holder
from bundlekit.update.state.support_bundle import LOGS
from bundlekit.update.state.update_state import FolderState, UpdateState
from bundlekit.update.targets.command import HookProgressObserver
from bundlekit.update.targets.program import ensure_unchangeable
from bundlekit.update.targets.select import hooks_for
from bundlekit.wording import command, given

if TYPE_CHECKING:
    import datetime as dt

    from bundlekit.model.appliance import Appliance
    from bundlekit.report.model import Report
    from bundlekit.update.engine.hooks import Hooks

CODES: Final = """\
Exit codes: 0 succeeded, 4 nothing to resume, 10 rejected, 11 cancelled, 12 on hold, 13 busy, 14 superseded,
20 reverted, 30 degraded, 40 needs an operator, 75 waiting: resume it; 2 usage, 3 could not begin, 130 interrupted.
"""


def state_of(path: Path) -> Appliance:
    """The one pair of ``--appliance``."""
    states = common.load_appliances(path)
    if len(states) != 1:
        raise click.UsageError(f"{path} contains the states of {len(states)} pairs; an update is for one pair")
    return states[0]


def window(until: str | None, not_after: dt.datetime | None) -> Window:
    """The window of the options; the end, whenever that is, where none is given."""
    return Window(
        until="prepared" if until == "prepared" else "end",
        not_after=None if not_after is None else not_after.timestamp(),
    )


def plan_of(path: Path | None) -> Plan:
    """The plan of ``--plan``; without it, the built-in pair. ConfigError if others can change the file."""
    if path is None:
        return PAIR
    ensure_unchangeable(path, "plan")
    return load_plan(path)


def hooks_of(
    plan: Plan, *, lock_fd: int | None = None, log_dir: Path | None = None, progress: HookProgressObserver | None = None
) -> Hooks:
    """The hooks that a plan names; see ``wiring.hooks_for``."""
    return hooks_for(plan, lock_fd=lock_fd, log_dir=log_dir, progress=progress)


clock: Final = SystemClock


def clock_of(kept_in: UpdateState) -> Clock:
    """The clock of the runs that are kept there: that of this host, or the one that many hosts share."""
    return clock() if isinstance(kept_in, FolderState) else kept_in.clock


@contextmanager
def controller(
    kept_in: UpdateState,
    *,
    as_lines: bool = False,
    detach: bool = False,
    paths: InvocationPaths = UNKNOWN,
    label: str = "",
    reports: list[Report] | None = None,
) -> Iterator[Controller]:
    """A controller whose activity is shown, and which the operator can interrupt.

    ``paths`` are the files of the call. The report of each check of a bundle is added to ``reports``.

    The first Ctrl-C requests to cancel, because waiting for a running change is better. The second exits at once, and
    the run can be resumed. Print an outcome after this context, not in it: see ``view.watching``.
    """
    asked: list[int] = []
    views: list[view.View] = []

    def interrupt(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        for seen in views:
            seen.notify("cancelling after the current step; press Ctrl-C again to exit now and resume the run later")

    before = signal.signal(signal.SIGINT, interrupt)
    time = clock_of(kept_in)
    try:
        title = f"update with {paths.bundle}" if paths.bundle else "update"
        with view.watching(time, as_lines=as_lines, label=label, title=title) as seen:
            views.append(seen)
            seen.about(holder())
            yield Controller(
                kept_in,
                lambda plan, lock: hooks_of(plan, lock_fd=lock, log_dir=kept_in.folder / LOGS, progress=seen.heard),
                clock=time,
                watch=seen.watch,
                known=seen.known,
                progress=seen.progress,
                cancel=lambda: bool(asked),
                detach=detach,
                paths=paths,
                on_report=(lambda _report: None) if reports is None else reports.append,
            )
    finally:
        signal.signal(signal.SIGINT, before)


def records_of(kept_in: UpdateState, pair: str) -> tuple[Record, ...]:
    """What the journal has of a pair; BundlekitError if that is nothing."""
    with kept_in.reading() as found:
        records = found.read(pair)
    if not records:
        raise BundlekitError(
            f"No run exists for pair {pair} in {kept_in.name}.",
            next_step=f"{command('update status')} lists the pairs; "
            f"{given(kept_in.parameter)} names another {kept_in.noun}.",
        )
    return records


def last_run(kept_in: UpdateState, pair: str) -> History | None:
    """The history of the pair's latest run."""
    with kept_in.reading() as found:
        return latest(found, pair)


def pair_of_run(kept_in: UpdateState, run: str) -> str:
    """The pair whose journal has the run, begun or rejected; BundlekitError if none has."""
    with kept_in.reading() as found:
        for pair in found.pairs():
            with suppress(JournalDamagedError):
                if any(isinstance(r, Started | Rejected) and r.run == run for r in found.read(pair)):
                    return pair
    raise BundlekitError(
        f"No run exists with id {run} in {kept_in.name}.",
        next_step=f"{command('update status')} lists the runs; "
        f"{given(kept_in.parameter)} names another {kept_in.noun}.",
    )


def unfinished(kept_in: UpdateState) -> list[str]:
    """The pairs whose latest run has not ended, and the pairs whose journal cannot show it."""
    names = []
    with kept_in.reading() as found:
        for pair in found.pairs():
            with suppress(JournalDamagedError):
                last = latest(found, pair)
                if last is None or last.ended is not None:
                    continue
            names.append(pair)
    return names


def is_prepared(kept_in: UpdateState, pair: str) -> bool:
    """Whether the run of the pair has staged everything and touched nothing yet."""
    try:
        last = last_run(kept_in, pair)
    except JournalDamagedError:
        return False  # the command that continues reports this, with its exit code
    return last is not None and last.ended is None and last.prepared


def paths(components: Mapping[str, Path], *, trusted: Iterable[Path], **files: Path | None) -> InvocationPaths:
    """The files of this call, for the commands that are printed as next steps."""
    found: dict[str, Any] = {name: str(path) for name, path in files.items() if path is not None}
    named = {label: str(path) for label, path in components.items()}
    return InvocationPaths(**found, components=named, trust=tuple(map(str, trusted)))


def conclude(
    outcome: Outcome,
    *,
    pair: str,
    kept_in: UpdateState,
    plan: Plan | None = None,
    paths: InvocationPaths = UNKNOWN,
    as_lines: bool = False,
    label: str = "",
    reports: Sequence[Report] = (),
) -> int:
    """Print how a run ended, and return the exit code.

    ``reports`` are those of the checks that were made. A report that did not accept the bundle is printed first.
    ``plan`` has the vendor's words for the outcome, by default the plan of the pair's latest run. ``paths`` are the
    files for the next steps. Without ``plan`` the files of the latest run are added. ``label`` is the pair, if outcomes
    of several are printed.
    """
    if reports and reports[-1].verdict != "accept":
        show_report(reports[-1], as_lines=as_lines)
    if plan is None:
        with suppress(BundlekitError):  # the outcome names a journal that cannot be read
            if last := last_run(kept_in, pair):
                plan, paths = last.job.plan, paths.over(last.paths)
    if as_lines:
        click.echo(as_json.render(outcome))
    else:
        show(f"{label}: {line}" if label else line for line in text(message(outcome, plan, paths)).splitlines())
    return EXIT_CODES[outcome.kind]


def declined(pair: str, done: Declined, kept_in: UpdateState) -> int:
    """Print why a call was declined, and what to do instead; the exit code for it."""
    show([f"pair {pair} is unchanged: {done.reason}"], err=True)
    paths, plan = UNKNOWN, None
    if done.recovery and (last := last_run(kept_in, pair)):
        paths, plan = last.paths, last.job.plan
    show((f"next: {step}" for step in next_steps(done.recovery, pair=pair, paths=paths, plan=plan)), err=True)
    return 3


def show_report(report: Report, *, as_lines: bool) -> None:
    """The report of a check, as one object of JSON or as text."""
    if as_lines:
        click.echo(as_json.render(report))
    else:
        show(line.text for line in as_text.lines(report))


def show(found: Iterable[str], *, err: bool = False) -> None:
    """Print lines of text. Text from a pair or a hook is made harmless."""
    for line in found:
        click.echo(escape(line), err=err)
