"""``bundlekit fleet retry``."""

from __future__ import annotations

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb

EXAMPLES = """\b
Examples:
  bundlekit fleet retry spring-2027 imager-0042 --by "Ada King" --reason "disk 3 replaced"
  bundlekit fleet retry spring-2027 --end reverted --end rejected --by "Ada King" --reason "the image is corrected"
Exit codes: 0 pairs are tried again, 1 no pair is, 2 usage, 3 no such pair, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("name", metavar="ROLLOUT")
@click.argument("pairs", nargs=-1, metavar="[PAIR]...")
@fleet_options.end_option("Try all pairs again that ended so.")
@run_options.by_option
@run_options.reason_option
@fleet_options.state_option
def command(name: str, pairs: tuple[str, ...], kinds: tuple[str, ...], by: str, reason: str, state: str) -> int:
    """Try pairs again that did not succeed. A pair that is on hold must be cleared first.

    They start as their wave, the windows and the limits allow. Their state is read again, and the update of their route
    that failed is repeated.
    """
    from bundlekit.fleet.requests import retry_pairs
    from bundlekit.wording import command as command_text
    from bundlekit.wording import count

    if not pairs and not kinds:
        raise click.UsageError("name the pairs, or how they ended (--end)")
    with fleet_options.rollouts(state) as store:
        again = retry_pairs(store, name, by=by, reason=reason, pairs=pairs, kinds=kinds)
        held = store.on_hold(again)
    if held:
        clear = command_text("update clear", pair=held[0], by="NAME", reason="TEXT")
        click.echo(
            f"{count(len(held), 'pair')} on hold, so the update is rejected until the hold is cleared: "
            f"{', '.join(held[:10])}",
            err=True,
        )
        click.echo(f"next: {clear}", err=True)
    if not again:
        click.echo(
            f"no pair of rollout {name} is tried again: none of these has ended without success. "
            "Pairs that succeeded, that are in flight, or that were not started are left alone",
            err=True,
        )
        return 1
    click.echo(f"{count(len(again), 'pair')} of rollout {name} tried again: {', '.join(again[:10])}")
    return 0
