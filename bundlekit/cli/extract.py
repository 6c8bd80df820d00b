"""``bundlekit extract``."""

from __future__ import annotations

from pathlib import Path

import click

from bundlekit import extraction
from bundlekit.cli import common, destination, options
from bundlekit.cli.verbs import CliVerb

EXAMPLES = """\b
Examples:
  bundlekit extract update.bin storage -o storage.img
  bundlekit extract update.bin appliance/im-200 -o im200.img --trust root.pem
  bundlekit extract update.bin sbom -o sbom.json --trust root.pem
  bundlekit extract update.bin --head -o head; bundlekit extract update.bin --signature 0 -o sig.der
  openssl cms -verify -binary -inform DER -in sig.der -content head -CAfile root.pem -purpose any
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_argument
@click.argument("component", required=False)
@click.option("--head", is_flag=True, help="Extract the head, the bytes that signatures cover.")
@click.option(
    "--signature", type=click.IntRange(0), help="Extract the signature with this number, counted from 0, as DER."
)
@options.output_option("Write to this file; - is standard output.", required=True)
@options.trust_option
@options.component_option
def command(
    bundle: Path,
    component: str | None,
    signature: int | None,
    output: Path,
    trusted: tuple[Path, ...],
    components: dict[str, Path],
    *,
    head: bool,
) -> int:
    """Extract a component, a document, the head or a signature from a bundle.

    Components are verified against the manifest during extraction. The output appears only after all of it is
    verified. The signatures of the manifest are verified only with --trust.
    """
    common.refuse_to_overwrite(output)
    if (component is not None) + head + (signature is not None) != 1:
        raise click.UsageError("exactly one of COMPONENT, --head and --signature is required")
    trust, target = common.load_trusted(trusted), destination.opened(output)
    if component is not None:
        size = extraction.extract(bundle, component, target, trust=trust, components=components)
        if trust is None:
            click.echo("NOT VERIFIED: the signatures were not checked (--trust)", err=True)
    elif head:
        size = extraction.extract_head(bundle, target, trust=trust)
    else:
        size = extraction.extract_signature(bundle, signature or 0, target, trust=trust)
    destination.report_written(output, f"{size:,} bytes")
    return 0
