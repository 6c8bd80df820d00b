"""Components that are bundles themselves: a RAUC bundle with a detached head, a firmware image in an update.bin.

The manifest names the format of such a component. The rules of that format then apply to it as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit import formats
from bundlekit.model.bundle import ChunkClaim, Span
from bundlekit.model.evidence import InnerEvidence
from bundlekit.model.manifest import labelled
from bundlekit.source import Slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.model.bundle import Bundle
    from bundlekit.model.finding import Finding
    from bundlekit.report.model import Report
    from bundlekit.source import ReadOnce, Source


def inner_bundles(
    source: Source, bundle: Bundle, judge: Callable[[ReadOnce], Report]
) -> tuple[InnerEvidence, ...] | None:
    """The results of the components whose format the manifest names; None if it names none.

    ``judge`` makes the report about one of them. The caller has compared the bytes of ``source`` with the chunk index.
    """
    if bundle.manifest is None:
        return None
    places = {claim.subject: claim.span for claim in bundle.claims if isinstance(claim, ChunkClaim)}
    named = [(item.label, item.format) for item in labelled(bundle.manifest) if item.format]
    return tuple(_judged(source, label, places[label], name, judge) for label, name in named) if named else None


def _judged(source: Source, label: str, span: Span, name: str, judge: Callable[[ReadOnce], Report]) -> InnerEvidence:
    part = formats.once(Slice(source, span, name=label))
    if formats.format_of(part) != name:
        return InnerEvidence(subject=label, span=span, format=name, recognised=False)
    report = judge(part)
    return InnerEvidence(
        subject=label,
        span=span,
        format=name,
        recognised=True,
        findings=tuple(_moved(finding, span) for finding in report.findings if finding.severity == "error"),
        not_run=tuple(
            f"{outcome.rule}: {outcome.reason}"
            for outcome in report.rules
            if outcome.required and outcome.outcome == "not-run"
        ),
    )


def _moved(finding: Finding, span: Span) -> Finding:
    """The finding with its range of bytes in the outer file."""
    if finding.where is None or finding.where.stream:
        return finding
    start, stop = finding.where.start + span.start, finding.where.stop + span.start
    return replace(finding, where=Span(start=start, stop=stop, stream=span.stream))
