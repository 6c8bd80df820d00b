"""Rules about the bytes of the payload: does each byte match the manifest?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.checks.layout import ASK_VENDOR, COPY_AGAIN
from bundlekit.checks.rule import RuleAnswer, RuleContext, rule
from bundlekit.integrity import coverage
from bundlekit.model.bundle import Span
from bundlekit.model.finding import Fault, NotRun
from bundlekit.wording import fill

if TYPE_CHECKING:
    from bundlekit.model.question import Question

NOT_MEASURED: Final = NotRun(reason="the payload was not read")
NOT_COMPARED: Final = NotRun(reason="digests and padding were not compared")
"""The reason for other formats than update.bin, where the signature can require that the payload is read."""


def _payload(question: Question) -> bool:
    return question.scope == "full"


def _digests(question: Question) -> bool:
    return question.scope == "full" and question.digests


@rule("integrity", cause="corrupted", remedy=ASK_VENDOR, see="format")
def uncovered_bytes(context: RuleContext) -> RuleAnswer:
    """Some bytes of the file are not covered: they are not signed, not digested and not known to be zero.

    An attacker can put anything there, so every byte of a bundle must be accounted for.
    """
    bundle = context.bundle
    if not bundle.complete or bundle.declared_size is None:
        return NotRun(reason="the manifest could not be read, so nothing is known about the payload")
    if not bundle.signatures:
        return NotRun(reason="no signature covers the head of this bundle")
    trailing = {problem.where for problem in bundle.problems if problem.rule == "trailing-data"}
    return [
        Fault(message=f"{item.span.size} bytes are covered by no signature and no digest", where=item.span)
        for stream in ("", *bundle.streams)
        for item in coverage(bundle, stream)
        if item.by == "nothing"
        and item.span not in trailing
        and (item.span.stream or item.span.start < bundle.declared_size)  # later bytes are trailing-data
    ]


@rule("integrity", cause="corrupted", remedy=COPY_AGAIN, see="format", needed=_payload)
def nonzero_padding(context: RuleContext) -> RuleAnswer:
    """A gap between components contains bytes other than zero.

    The padding of a flash slot contains bytes other than those of erased flash memory.
    """
    if context.evidence.chunks is None or context.evidence.zeros is None:
        return NOT_MEASURED if "manifest" in context.bundle.aspects else NOT_COMPARED
    return [
        Fault(
            message=f"byte 0x{at:x} of the padding is not {f'0x{zero.fill:02x}' if zero.fill else 'zero'}",
            where=Span(start=at, stop=at + 1, stream=zero.span.stream),
        )
        for zero in context.evidence.zeros
        if zero.subject == "padding" and (at := zero.first_nonzero) is not None
    ]


@rule("integrity", cause="corrupted", remedy=COPY_AGAIN, see="format", needed=_payload, aspect="chunks")
def index_digest_mismatch(context: RuleContext) -> RuleAnswer:
    """The chunk index of a component does not match its digest in the manifest.

    The component itself can be intact, but that cannot be verified without its index.
    """
    if context.evidence.digests is None:
        return NOT_MEASURED
    return [
        Fault(
            message=f"the {digest.subject} is damaged",
            where=digest.span,
            subject=digest.subject,
            params={"expected": digest.expected, "found": digest.found},
        )
        for digest in context.evidence.digests
        if digest.of == "index" and digest.found != digest.expected
    ]


@rule("integrity", cause="corrupted", remedy=COPY_AGAIN, see="format", needed=_payload, aspect="chunks")
def chunk_digest_mismatch(context: RuleContext) -> RuleAnswer:
    """Part of a component is damaged: the digest of a chunk differs from the one in the chunk index.

    The byte spans show which chunks differ. One damaged span of a few chunks indicates a bad transfer or a bad disk.
    Damage across the whole component indicates a different file.
    """
    if context.evidence.chunks is None or context.evidence.digests is None:
        return NOT_MEASURED
    found: list[Fault] = []
    for chunk in context.evidence.chunks:
        message = f"{chunk.damaged_count} of {chunk.chunks} chunks of {chunk.subject!r} are damaged"
        params: dict[str, str | int] = {"damaged": chunk.damaged_count, "chunks": chunk.chunks}
        found += [Fault(message=message, where=span, subject=chunk.subject, params=params) for span in chunk.damaged]
    if not found and any(
        digest.of == "index" and digest.found != digest.expected for digest in context.evidence.digests
    ):
        return NotRun(reason="a chunk index is damaged, so its chunks could not be compared")
    return found


@rule("integrity", cause="corrupted", remedy=ASK_VENDOR, see="format", needed=_digests, aspect="chunks")
def plain_digest_mismatch(context: RuleContext) -> RuleAnswer:
    """The plain digest of a component, as ``sha256sum`` prints it, is not the one in the manifest.

    The rule runs only on request (``full``), because the digest cannot be computed in parallel and the chunk index
    already covers the same bytes. If only this rule fails, the bundle was built incorrectly.
    """
    serial = [digest for digest in context.evidence.digests or () if digest.serial]
    if not serial and context.question.digests:
        return NOT_MEASURED if context.evidence.chunks is None else NotRun(reason="the chunk indexes are damaged")
    if not serial:
        return NotRun(reason=fill("plain digests are compared on request ({full}); chunk digests have been compared"))
    if chunk_digest_mismatch.run(context):
        return NotRun(reason="the component is damaged")
    return [
        Fault(
            message=f"the plain digest of {digest.subject!r} is not the one in the manifest",
            where=digest.span,
            subject=digest.subject,
            params={"expected": digest.expected, "found": digest.found},
        )
        for digest in serial
        if digest.found != digest.expected
    ]


RULES: Final = (
    uncovered_bytes,
    nonzero_padding,
    index_digest_mismatch,
    chunk_digest_mismatch,
    plain_digest_mismatch,
)
