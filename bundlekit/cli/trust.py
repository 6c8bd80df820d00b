"""``bundlekit trust``: show what a trust file contains, before a bundle arrives."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bundlekit import wall_clock
from bundlekit.cli import common, options
from bundlekit.cli.parameters import path_type
from bundlekit.cli.verbs import VerbGroup
from bundlekit.report import json as as_json
from bundlekit.report.escape import escape
from bundlekit.report.text import Line

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from bundlekit.trust.overview import Overview, SignerView

EXAMPLES = """\b
Examples:
  bundlekit trust --example > trust.toml
  bundlekit trust show trust.toml
  bundlekit trust show root.pem --at 2030-01-01 --format json
  bundlekit trust show certs/
Exit codes of show: 0 every requirement can be met, 1 a requirement cannot be met, 3 the trust cannot be used.
"""


@click.group(cls=VerbGroup, invoke_without_command=True, subcommand_metavar="[COMMAND] [ARGS]...", epilog=EXAMPLES)
@click.option("--example", is_flag=True, help="Print a commented trust.toml.")
@click.pass_context
def command(context: click.Context, *, example: bool) -> int:
    """Show the trusted signers of a trust.toml or PEM files, or print an example of one."""
    if example:
        from bundlekit.trust.policy import EXAMPLE

        click.echo(EXAMPLE, nl=False)
    elif context.invoked_subcommand is None:
        raise click.UsageError("give `show TRUST`, or --example")
    return 0


@command.command("show", epilog=EXAMPLES)
@click.argument("trusted", nargs=-1, required=True, type=path_type, metavar="TRUST...")
@options.at_option
@options.format_option()
def show(trusted: tuple[Path, ...], at: dt.datetime | None, style: str) -> int:
    """Show signers, their last days, the requirements, and what is unusable and why."""
    from bundlekit.trust.overview import overview

    trust = common.load_trusted(trusted, reported=True)
    assert trust is not None  # noqa: S101 - TRUST is a required argument
    found = overview(trust, at or wall_clock.now())
    if style == "json":
        click.echo(as_json.render(found))
    else:
        coloured = common.colours(sys.stdout)
        for line in lines(found):
            click.echo(common.styled(Line(escape(line.text), line.tone), coloured=coloured), color=True)
    return 0 if found.can_be_met else 1


def lines(found: Overview) -> Iterator[Line]:
    """The overview, line by line."""
    yield Line(f"trust      {found.name or '(no name)'} at {found.at}")
    yield Line(f"digest     {found.digest}", "muted")
    yield Line(f"time       certificates are compared with {'now' if found.time == 'now' else 'the release date'}")
    yield Line(f"others     valid signatures by other signers: {found.other_signers}")
    if found.denied or found.withdrawn:
        yield Line(f"denied     {found.denied} keys and certificates, {found.withdrawn} bundles withdrawn")
    for folder in found.folders:
        yield Line(f"folder     {folder.folder}: {len(folder.entries)} trusted certificates and keys")
    for signer in found.signers:
        yield from _signer(signer)
    for demand in found.demands:
        how = f" ({', '.join(demand.algorithms)})" if demand.algorithms else ""
        where = f" for {', '.join(demand.formats)}" if demand.formats else ""
        could = f"can be met by {', '.join(demand.signed)}" if demand.met else "cannot be met now"
        short = f": usable are {', '.join(demand.signed) or 'none'}" if not demand.met else ""
        yield Line(
            f"demand     {demand.count} of {', '.join(demand.of)}{how}{where} {could}{short}",
            "good" if demand.met else "bad",
        )
    for note in found.notes:
        yield Line(f"note       {note}", "doubtful")
    if found.test_trust:
        yield Line("TEST TRUST test keys count here; for tests only", "doubtful")


def _signer(signer: SignerView) -> Iterator[Line]:
    role = f" [{signer.role}]" if signer.role else ""
    until = f", until {signer.until}" if signer.until else ""
    products = f", for {', '.join(signer.products)}" if signer.products else ""
    formats = f", signs {', '.join(signer.formats)}" if signer.formats else ""
    why = f": {'; '.join(signer.unusable)}" if signer.unusable else ""
    state = "usable" if signer.usable else f"UNUSABLE{why}"
    yield Line(f"signer     {signer.name}{role} {state}{until}{products}{formats}", "good" if signer.usable else "bad")
    if signer.subject:
        yield Line(f"           subject {signer.subject}, for {signer.purpose}")
    for source in signer.sources:
        ends = f", until {source.until}" if source.until else ""
        test = ", TEST ONLY" if source.test else ""
        why = f", UNUSABLE: {'; '.join(source.unusable)}" if source.unusable else ""
        place = f" in {source.file}" if source.file else ""
        yield Line(
            f"           {source.kind} {source.subject} ({source.algorithm}{ends}{test}){place}{why}",
            "bad" if source.unusable else "plain",
        )
        yield Line(f"           sha256:{source.id}", "muted")
