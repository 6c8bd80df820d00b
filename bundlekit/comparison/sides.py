"""The two bundles of a comparison, each validated on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.comparison.matrices import operator_choice, side_matrix
from bundlekit.comparison.parts import OpenedBundle
from bundlekit.model.bundle import ChunkClaim
from bundlekit.pipeline import MAX_UNVOUCHED, examine
from bundlekit.report.comparison import ComparedBundle
from bundlekit.request import CheckRequest
from bundlekit.wording import renamed

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from bundlekit.integrity import Cancel, ReadProgress
    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.finding import Finding
    from bundlekit.report.model import Report
    from bundlekit.source import ReadOnce
    from bundlekit.trust import TrustStore

SHOWN: Final = ("layout", "integrity", "authenticity")
"""Classes of rules whose errors a comparison shows. The others are about installing a bundle."""


class ComparisonOptions(NamedTuple):
    """The options of a comparison, as `bundlekit.compare` describes them."""

    trust: TrustStore | None
    at: dt.datetime | None
    matrices: tuple[OperatorMatrix, ...]
    full: bool
    strict: bool
    ignore_signatures: bool
    progress: ReadProgress | None
    cancel: Cancel | None


class ComparisonSide(NamedTuple):
    """One of the two bundles: open, with its report and its matrix. ``name`` is ``old`` or ``new``.

    ``operator`` is the matrix of the operator that was used for it.
    """

    name: str
    opened: OpenedBundle
    report: Report
    operator: OperatorMatrix | None
    matrix: ReadMatrix | UnreadableMatrix | None

    @property
    def bundle(self) -> Bundle:
        """What the file claims to be."""
        return self.opened.bundle

    @property
    def authentic(self) -> bool:
        """Whether trusted signers signed it."""
        return self.report.release is not None

    @property
    def too_large(self) -> bool:
        """Whether it is too large to be read without a request, since no trusted signature covers it."""
        size = self.bundle.size + sum(self.bundle.files.values())
        return size > MAX_UNVOUCHED and not self.authentic and not self.report.request.full

    @property
    def has_chunks(self) -> bool:
        """Whether its payload has a chunk index."""
        return any(isinstance(claim, ChunkClaim) for claim in self.bundle.claims)

    def faults(self, *classes: str) -> Iterator[Finding]:
        """The errors of some classes of rules."""
        for one in self.report.findings:
            if one.severity == "error" and one.rule_class in classes:
                yield one

    def described(self) -> ComparedBundle:
        """The side as the result has it."""
        report = self.report
        return ComparedBundle(
            file=report.request.file,
            size=self.bundle.size,
            format=report.format,
            id=report.id,
            release=report.release or report.claims,
            authentic=None if report.request.trust is None else self.authentic,
            test_trust=report.test_trust,
            scope=report.scope,
            verdict=report.verdict,
            summary=report.summary,
            signatures=report.signatures,
            demands=report.demands,
            findings=tuple(self.faults(*SHOWN)),
        )


def side_named(name: str) -> AbstractContextManager[None]:
    """Let messages about a side name the parameter for components of that side."""
    return renamed(component=f"{name}_component")


def examined(
    sources: tuple[ReadOnce, ReadOnce], options: ComparisonOptions
) -> tuple[ComparisonSide, ComparisonSide, bool]:
    """Both sides, and whether their payload was checked.

    Heads and signatures are enough if both are authentic: the signed digests pin every other byte. Otherwise the
    payload is compared with the digests too, so that damage is found.
    """
    pairs = tuple(zip(("old", "new"), sources, strict=True))
    if options.trust is not None and not options.full:
        old, new = (_side(*pair, options, payload=False) for pair in pairs)
        if old.authentic and new.authentic:
            return old, new, False
    old, new = (_side(*pair, options, payload=True) for pair in pairs)
    return old, new, True


def _side(name: str, source: ReadOnce, options: ComparisonOptions, *, payload: bool) -> ComparisonSide:
    unread = payload and options.trust is not None  # without an authentic head, check reads the payload on request only
    with side_named(name):
        checked = examine(
            source,
            CheckRequest(trust=options.trust, at=options.at, full=options.full or unread),
            scope="full" if payload else "head",
            progress=options.progress if payload else None,
            cancel=options.cancel,
        )
    bundle = checked.bundle
    readable = bundle.complete and not bundle.problems
    operator = operator_choice(bundle, options.matrices)
    opened = OpenedBundle(source, bundle, readable)
    return ComparisonSide(name, opened, checked.report, operator, side_matrix(bundle, operator))
