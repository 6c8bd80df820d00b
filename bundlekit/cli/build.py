"""``bundlekit build``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from bundlekit import wall_clock
from bundlekit.authoring.build import build_signed
from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE
from bundlekit.authoring.spec import load
from bundlekit.cli import common, destination, options, signing
from bundlekit.cli.parameters import path_type
from bundlekit.cli.progress import progress_bar
from bundlekit.cli.verbs import CliVerb
from bundlekit.layout.update_bin import DEFAULT_CAPACITY, MAX_CAPACITY, MIN_CAPACITY
from bundlekit.matrix.read import APPLIANCE, misspelt_appliance
from bundlekit.report.escape import escape
from bundlekit.wording import count

EXAMPLES = """\b
Examples:
  bundlekit build --example > SPEC.toml
  bundlekit build --example matrix > matrix.toml
  bundlekit build SPEC.toml -o update.bin
  bundlekit build SPEC.toml -o update.bin --cert signer.pem --key signer.key
  bundlekit build SPEC.toml --detached -o release.bk --cert signer.pem --key signer.key
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("spec", type=path_type, required=False, metavar="SPEC.toml")
@options.output_option("Write or replace this bundle; - is standard output.")
@signing.signer_options
@options.trust_option
@click.option(
    "--signature-capacity",
    type=click.IntRange(MIN_CAPACITY, MAX_CAPACITY),
    default=DEFAULT_CAPACITY,
    show_default=True,
    help="Reserve this number of bytes for signatures. A post-quantum signature with its chain takes about 18 KiB.",
)
@click.option("--detached", is_flag=True, help="Write a head alone; the components stay in their files, next to it.")
@click.option(
    "--example", is_flag=False, flag_value="spec", type=click.Choice(["spec", "matrix"]), help="Print an example."
)
@click.option("--quiet", "-q", is_flag=True, help="Print no progress and no summary.")
def command(
    spec: Path | None,
    output: Path | None,
    signature_capacity: int,
    example: str | None,
    *,
    detached: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Build an update.bin from a SPEC.toml, and sign it if keys are given.

    The same inputs always give the same head and payload. With the same keys, signatures are the same as well,
    except those of ML-DSA and RSA-PSS (--pss), which contain fresh randomness. The bundle appears under its name
    only when it is complete and signed.

    With --trust, only signatures that count are accepted, and the last lines show which signers have still to sign.

    With --detached, the payload is left out. The head names the files of the components, and they are shipped with it.
    """
    common.refuse_to_overwrite(output)
    if example:
        click.echo({"spec": SPEC_EXAMPLE, "matrix": MATRIX_EXAMPLE}[example], nl=False)
        return 0
    if spec is None or output is None:
        raise click.UsageError("SPEC.toml and --output are required, or --example")
    if not signing.has_signer(given) and given["certs"]:
        raise click.UsageError("--cert needs --key or --signer: a certificate alone cannot sign")
    trust = common.load_trusted(given.pop("trusted"))
    signers = signing.load_signers(given)
    draft = load(spec)
    common.refuse_to_overwrite(output, *draft.texts, *draft.files)
    target = destination.opened(output)
    with progress_bar(f"building {output}", quiet=quiet) as progress:
        terms = partial(build_signed, signers=signers, trust=trust, capacity=signature_capacity, detached=detached)
        manifest, signatures = terms(draft, target, progress=progress)
    signing.warn_of_keys(signers)
    for signer in signers:
        signing.warn(signer.out_of_time(wall_clock.now(), manifest.released))
    if name := misspelt_appliance(manifest):
        click.echo(
            f"spec {escape(str(spec))}: components.{name} is a shared component, not one that runs on each member; "
            f"did you mean {APPLIANCE!r}?",
            err=True,
        )
    elif all(component.name != APPLIANCE for component in manifest.components):
        click.echo(
            f"spec {escape(str(spec))}: no component is named {APPLIANCE!r}, so the bundle updates only what the pair "
            "shares; the component that each member runs must have that name",
            err=True,
        )
    if not quiet:
        signed = count(len(signers), "signature") if signers else "UNSIGNED: run `bundlekit sign` next"
        size = f"{output.stat().st_size:,} bytes, " if output != destination.STDOUT and output.is_file() else ""
        destination.report_written(output, f"{manifest.product} {manifest.version}, {size}{signed}")
        if trust:
            signing.say_missing(signatures, err=output == destination.STDOUT)
    return 0
