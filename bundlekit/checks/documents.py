"""Rules about the documents in a bundle: SBOMs, attestations, and the records of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.checks.layout import NO_MANIFEST
from bundlekit.checks.rule import RuleAnswer, RuleContext, rule
from bundlekit.model.finding import Fault, NotRun, PartialResult
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundlekit.model.evidence import DocumentEvidence
    from bundlekit.model.matrix import MatrixSource
    from bundlekit.model.question import Question

NOT_READ: Final = NotRun(reason="the payload was not read")


def _strictly(question: Question) -> bool:
    return question.scope == "full" and question.strict


@rule(
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Make the document again, or correct its media type in the SPEC, and build again.",
    see="documents",
    needed=_strictly,
    aspect="manifest",
)
def document_malformed(context: RuleContext) -> RuleAnswer:
    """A document is not in the format that its media type declares, or its JSON can be read in two ways.

    SBOMs, attestations and VEX documents are read. Duplicate keys, deep nesting and numbers out of range are rejected,
    because two readers would see two different documents.
    """
    if context.evidence.documents is None:
        return NOT_READ
    return [
        Fault(message=f"document {one.subject!r}: {one.malformed}", where=one.where, subject=one.subject)
        for one in context.evidence.documents
        if one.malformed
    ]


@rule(
    "best-practice",
    severity="warning",
    cause="best-practice",
    remedy="Make the document again for the components of this bundle, and build again.",
    see="documents",
    needed=_strictly,
    aspect="manifest",
)
def document_mismatch(context: RuleContext) -> RuleAnswer | PartialResult:
    """An SBOM or an attestation in the bundle states another digest or version of a component than the bundle has.

    It was probably made for another build. An auditor who relies on it looks for vulnerabilities in other software. A
    document that states the digests of what it is about must be about something in the bundle.
    """
    documents = context.evidence.documents
    if documents is None:
        return NOT_READ
    found = [
        Fault(
            message=f"document {one.subject!r}: {difference.message}",
            where=one.span,
            subject=one.subject,
            params={
                "what": difference.what,
                "component": difference.component,
                "stated": difference.named,
                "expected": difference.expected,
            },
        )
        for one in documents
        for difference in one.differences
    ]
    unread = [f"{one.subject}: {one.unread}" for one in documents if one.unread]
    if unread and not found:
        return NotRun(reason="; ".join(unread))
    left = [f"{one.subject}: it names nothing in the bundle" for one in documents if _names_nothing(one)]
    left += unread + [f"{one.subject}: it cannot be read" for one in documents if one.malformed]
    return PartialResult(faults=tuple(found), reason="; ".join(left)) if left else found


def _names_nothing(document: DocumentEvidence) -> bool:
    return not (document.compared or document.differences or document.malformed or document.unread)


@rule(
    "best-practice",
    cause="best-practice",
    remedy="Add the record to [documents] in the SPEC, name it with `tested` in the entry, and build again.",
    see="documents",
    needed=lambda question: question.require_evidence,
)
def evidence_missing(context: RuleContext) -> RuleAnswer:
    """A source of the matrix allows an update, and no document in the bundle is the record of its successful test.

    The rule runs only on request (``require_evidence``). `tested` of each source must name a document of the bundle
    with its digest. `bundlekit build` adds the digest if `tested` is the name of a document in the SPEC. In a full
    check, a record whose format is known must not be about a test that failed, nor about another build.
    """
    manifest = context.bundle.manifest
    if not context.question.require_evidence:
        return NotRun(reason=fill("records of tests are required on request ({require_evidence})"))
    if "manifest" not in context.bundle.aspects:
        return NotRun(
            reason="bundles of this format contain no documents",
            next="Build a detached head for the bundle, with a SPEC that names the records as documents.",
        )
    if manifest is None:
        return NO_MANIFEST
    names = {one.digest: one.name for one in manifest.documents}
    read = {one.subject: one for one in context.evidence.documents or ()}
    return [
        Fault(message=f"{source.id} {problem}", entry=source.id, params={"tested": source.tested})
        for source in manifest.matrix.sources
        if source.method != "reimage" and (problem := _problem(source, names, read))
    ]


def _problem(source: MatrixSource, names: Mapping[str, str], read: Mapping[str, DocumentEvidence]) -> str:
    """What the source lacks; empty if the record of its test is a document. ``names`` are the documents by digest."""
    name, digest = source.record
    if not name:
        return "allows an update without the record of a test"
    if not digest:
        return f"names the test record {name!r}, which is not a document of the bundle"
    if digest not in names:
        return f"names the test record {name!r} with a digest that no document of the bundle has"
    record = read.get(names[digest])
    if record is None:
        return ""
    if record.failed:
        return f"names the test record {name!r}, which states that the test failed"
    if record.malformed or record.unread:
        return f"names the test record {name!r}, which cannot be read"
    return f"names the test record {name!r}, which is about another build" if record.differences else ""


RULES: Final = (document_malformed, document_mismatch, evidence_missing)
