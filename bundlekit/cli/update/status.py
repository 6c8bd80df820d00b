"""``bundlekit update status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from bundlekit.cli import parameters
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.update.follow import follow
from bundlekit.cli.update.view import is_live, window_lines
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import json as as_json
from bundlekit.update.engine.errors import JournalDamagedError, StateFolderError
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.state.sqlite_journal import NAME_ANOTHER, has_private_folder
from bundlekit.update.state.status import Phase, Status, status_of
from bundlekit.update.state.update_state import FolderState, UpdateState
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


EXAMPLES = """\b
Examples:
  bundlekit update status
  bundlekit update status --only waiting --only on-hold
  bundlekit update status --fail-on hold                        for monitoring
  bundlekit update status --pair imager-0042 --json
  bundlekit update status --follow                              the run of another process, live
Exit codes: 0 printed, 1 with --fail-on hold: a pair is on hold or needs an operator, 2 usage, 3 no such pair or state
folder, 40 the journal is damaged, 75 the journal is temporarily unusable.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.any_pair_option
@run_options.kept_in_option
@click.option("--only", type=click.Choice(get_args(Phase)), multiple=True, help="Show only pairs in this phase.")
@click.option("--fail-on", type=click.Choice(["hold"]), help="Exit with 1 if a pair is on hold or needs an operator.")
@click.option("--follow", is_flag=True, help="Show the run of one pair, live on a terminal, until it ends.")
@run_options.json_option
def command(
    pair: str | None,
    kept_in: UpdateState,
    only: tuple[Phase, ...],
    fail_on: str | None,
    *,
    follow: bool,
    as_lines: bool,
) -> int:
    """Show which runs are in progress or waiting, and which pairs are on hold. Only the journal is read.

    With --follow the view is that of `bundlekit update run`, from another process. Ctrl-C leaves it, and the run
    continues. The end of the run is printed as without --follow, with the same exit code.
    """
    if follow and only:
        raise click.UsageError("--follow shows one pair; choose it with --pair, not with --only")
    if isinstance(kept_in, FolderState) and not has_private_folder(kept_in.folder):
        # Where others only look, an answer about no folder would be a false comfort.
        raise StateFolderError(f"No state folder exists at {kept_in.name}.", next_step=fill(NAME_ANOTHER))
    with kept_in.reading() as journal:
        names = (pair,) if pair else journal.pairs()
    if follow and (followed := _followed(kept_in, names)):
        names = (followed,)
        _follow(kept_in, followed, as_lines=as_lines)
    code = 0
    for name in names:
        try:
            found = status_of(name, shared.records_of(kept_in, name), kept_in, shared.clock_of(kept_in).now())
        except JournalDamagedError as error:  # the other pairs are still reported
            shared.show([f"pair {name}: {error.message}", f"  next: {error.next_step}"], err=True)
            code = max(code, EXIT_CODES["needs-operator"])
            continue
        if fail_on and found.needs_operator:
            code = max(code, 1)
        if only and found.phase not in only:
            continue
        if as_lines:
            click.echo(as_json.render(found))
        else:
            shared.show(_lines(found))
    if not names and not as_lines:
        click.echo(f"no pair was ever updated with the state {kept_in.noun} {kept_in.name}")
    return code


def _followed(kept_in: UpdateState, names: Sequence[str]) -> str:
    """The one pair of ``names`` with a run that has not ended or a controller at work; empty: there is none."""
    open_runs = set(shared.unfinished(kept_in))
    names = [name for name in names if name in open_runs or kept_in.at_work(name)]
    if len(names) > 1:
        raise click.UsageError(f"choose one of the pairs with --pair: {', '.join(names)}")
    return names[0] if names else ""


def _follow(kept_in: UpdateState, pair: str, *, as_lines: bool) -> None:
    """Follow the run, and print the last status after it. As JSON, each earlier status is printed too."""
    if as_lines:
        last: list[Status] = []

        def changed(found: Status) -> None:
            for earlier in last:
                click.echo(as_json.render(earlier))
            last[:] = [found]

        follow(kept_in, pair, changed)
        return
    printed = None
    if not is_live():
        with kept_in.reading() as journal:
            records = journal.read(pair)
        if records:
            printed = len(records)
            shared.show(_lines(status_of(pair, records, kept_in, shared.clock_of(kept_in).now())))
    follow(kept_in, pair, printed=printed)


def _lines(found: Status) -> Iterator[str]:
    from bundlekit.cli.update.message import message, resume_call, text
    from bundlekit.update.state.activity import lines

    if found.controller:
        yield f"pair {found.pair}: in progress: {found.controller}"
    if found.cancel_requested:
        yield f"pair {found.pair}: the operator requested a cancel"
    if found.rejected is not None:
        yield f"pair {found.pair}: run {found.rejected.run} of {found.rejected.path} was rejected by the check"
        yield f"  rejected     {parameters.local_time(found.rejected.at.wall)}"
        yield f"  reason       {found.rejected.reason}"
    if found.activity is None:
        return
    if found.outcome is None:
        yield from lines(found.activity)
        if found.started is not None:
            yield f"  started: {parameters.local_time(found.started)}"
        yield from (f"  {line}" for line in window_lines(found.window))
        if not found.controller:
            yield f"  no controller works on it: {resume_call(found.pair, found.paths, found.plan)}"
        return
    yield f"pair {found.pair}: run {found.activity.run} to {found.activity.version} has ended"
    for name, wall in (("started", found.started), ("ended", found.ended)):
        if wall is not None:
            yield f"  {name:<12} {parameters.local_time(wall)}"
    yield from (f"  {line}" for line in text(message(found.outcome, found.plan, found.paths)).splitlines())
    if found.cleared is not None:
        yield f"  hold cleared by {found.cleared.by}: {found.cleared.reason}"
