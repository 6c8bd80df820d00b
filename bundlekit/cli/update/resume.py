"""``bundlekit update resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bundlekit.cli import common, options
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.update.message import MEANINGS
from bundlekit.cli.verbs import CliVerb
from bundlekit.update.engine.outcome import EXIT_CODES

if TYPE_CHECKING:
    import datetime as dt

    from bundlekit.update.state.update_state import UpdateState


EXAMPLES = f"""\b
Examples:
  bundlekit update resume --pair imager-0042 --trust root.pem
  bundlekit update resume --detach --trust root.pem             every run that has not ended, for a timer
{shared.CODES}"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.any_pair_option
@click.option("--run", metavar="ID", help="Do nothing unless this run waits.")
@run_options.file_option
@options.component_option
@run_options.window_options
@run_options.running_options
def command(
    pair: str | None,
    run: str | None,
    bundle: Path | None,
    until: Literal["prepared", "end"] | None,
    not_after: dt.datetime | None,
    components: dict[str, Path],
    trusted: tuple[Path, ...],
    kept_in: UpdateState,
    *,
    detach: bool,
    as_lines: bool,
) -> int:
    """Continue a run that has not ended, or without --pair each of them.

    Every component is probed first. The run keeps its --until and --not-after unless others are given. With
    --pair, a prepared run continues to its end. Without --trust or the bundle, a run takes no step forward. It can
    still revert, wait, commit and clean up. A --bundle of another run is rejected.

    If no run waits, the exit code is 4, whatever the outcome of an earlier run.
    """
    if pair is None and run is None and (bundle is not None or components):
        raise click.UsageError(f"--{'bundle' if bundle else 'component'} needs --pair or --run")
    if pair is None and run is not None:
        pair = shared.pair_of_run(kept_in, run)
    trust = common.load_trusted(trusted)
    latest = None if not_after is None else not_after.timestamp()
    if until is None and pair is not None and shared.is_prepared(kept_in, pair):
        until = "end"  # naming a run that only waits for the operator releases it
    paths = shared.paths(components, bundle=bundle, trusted=trusted)
    waiting = [pair] if pair else shared.unfinished(kept_in)
    if not waiting and not as_lines:
        shared.show([f"nothing-to-resume: {MEANINGS['nothing-to-resume']}"])
    codes = [] if waiting else [EXIT_CODES["nothing-to-resume"]]
    several = len(waiting) > 1

    def resume(name: str) -> tuple[int, float | None]:
        """Continue the run of one pair: its exit code, and in how many seconds to ask again instead."""
        label = name if several else ""
        with shared.controller(
            kept_in, as_lines=as_lines, detach=detach or several, paths=paths, label=label
        ) as controller:
            done = controller.resume(
                name,
                trust=trust,
                file=bundle,
                until=until,
                not_after=latest,
                run=run or "",
                components=components,
            )
        if several and not detach and done.retry_after is not None:
            return 0, done.retry_after
        code = shared.conclude(done, pair=name, kept_in=kept_in, paths=paths, as_lines=as_lines, label=label)
        return code, None

    while waiting:  # one pair that waits at its gate keeps no other one waiting
        asked = {name: resume(name) for name in waiting}
        codes += [code for code, pause in asked.values() if pause is None]
        waiting = [name for name, (_, pause) in asked.items() if pause is not None]
        if waiting:
            shared.clock().sleep(min(pause for _, pause in asked.values() if pause is not None))
    return max(codes)
