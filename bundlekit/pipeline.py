"""The conductor: check(), preflight() and decide(), each one straight line from bytes to a report.

1. open the source, once
2. layout: read head and signature area
3. trust: verify the signatures over the raw bytes of the head
4. integrity: measure the payload, unless the question is about the head only, or nobody trusted vouches
   for the head (work on hostile files goes head first)
5. matrix: decide for each installed state that was asked about
6. checks: apply the rules to what is there; evidence that is absent makes a rule *not run*
7. report
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from msgspec.structs import replace

import bundlekit
from bundlekit import checks, integrity
from bundlekit.checks.rule import Case
from bundlekit.errors import ClockError
from bundlekit.layout import reader
from bundlekit.matrix import decide, decide_from
from bundlekit.model.bundle import SignatureClaim, ZeroClaim
from bundlekit.model.evidence import Evidence
from bundlekit.model.question import Limits, Question
from bundlekit.report.build import release_of, report
from bundlekit.source import BytesSource, FileSource
from bundlekit.trust import verify_signatures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bundlekit.checks.rule import Rule
    from bundlekit.integrity import Cancel, Progress
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.decision import Decision
    from bundlekit.model.evidence import DemandEvidence, SignatureEvidence
    from bundlekit.model.waiver import Waivers
    from bundlekit.report.inspection import Inspection
    from bundlekit.report.model import Report
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore

__all__ = ["check", "decide", "decide_from", "inspect", "preflight"]


def check(
    file: str | Path | Source,
    *,
    trust: TrustStore | None = None,
    sources: Sequence[str] = (),
    appliance: Appliance | None = None,
    at: dt.datetime | None = None,
    full: bool = False,
    strict: bool = False,
    waivers: Waivers | None = None,
    rules: Iterable[Rule] = checks.RULES,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Report:
    """Judge the whole bundle ``file``: layout, every byte, signatures, and what else was asked.

    ``trust``: who may sign; without it nothing is ever accepted. ``sources``: installed versions, and
    ``appliance``: an installed state, that the bundle is to be judged for; without either, the bundle itself
    is judged. ``at``: the time to use (aware; default: now). ``full``: compare the plain digests as well, and
    read the payload even if nobody trusted vouches for the head. ``strict``: warnings refuse.
    ``waivers``: house rules whose findings the operator lets be (`bundlekit.checks.waivers.load_waivers`).

    ``progress(done, total)`` counts bytes; ``cancel()`` returning True ends the work. Raises UnreadableError
    if the file cannot be read or changes meanwhile, ClockError if the clock cannot be right, CancelledError
    if cancelled. A bad bundle is no error: see ``Report.verdict``.
    """
    question = _question(trust, sources, appliance, at, waivers, full=full, strict=strict)
    with _opened(file) as source:
        return _judge(source, question, trust, rules, progress, cancel)


def preflight(
    file: str | Path | bytes | Source,
    *,
    size: int | None = None,
    trust: TrustStore | None = None,
    sources: Sequence[str] = (),
    appliance: Appliance | None = None,
    at: dt.datetime | None = None,
    strict: bool = False,
    waivers: Waivers | None = None,
    rules: Iterable[Rule] = checks.RULES,
) -> Report:
    """Judge head and signatures only; the report says so (``scope`` is ``head``), and no plan comes of it.

    ``file`` may be the first bytes of the bundle, at least its head and signature area; ``size`` is then the
    size in bytes of the whole file. The rest is as in :func:`check`.
    """
    question = replace(_question(trust, sources, appliance, at, waivers, full=False, strict=strict), scope="head")
    with _opened(BytesSource(file, size=size) if isinstance(file, bytes) else file) as source:
        return _judge(source, question, trust, rules)


def inspect(file: str | Path) -> Inspection:
    """What a bundle claims to be, as far as its head can be read. Verifies nothing, and says so."""
    from bundlekit.report.inspection import Inspection

    with FileSource(file) as source:
        bundle = reader.read(source)
        signatures = _verify(bundle, dt.datetime.now(dt.UTC), None)
    return Inspection(
        file=source.name,
        size=bundle.size,
        format=bundle.format,
        id=bundle.id,
        claims=release_of(bundle.manifest) if bundle.manifest else None,
        manifest=bundle.document,
        signatures=signatures,
        sections=tuple(sorted(bundle.sections, key=lambda section: section.span)),
        problems=bundle.problems,
    )


def _opened(file: str | Path | Source) -> AbstractContextManager[Source]:
    """A path is opened, and closed afterwards; a source stays as open as it is."""
    return FileSource(file) if isinstance(file, str | os.PathLike) else nullcontext(file)


def _question(
    trust: TrustStore | None,
    sources: Sequence[str],
    appliance: Appliance | None,
    at: dt.datetime | None,
    waivers: Waivers | None,
    *,
    full: bool,
    strict: bool,
) -> Question:
    used = (at or _clock()).astimezone(dt.UTC).replace(microsecond=0)
    return Question(
        trust=trust is not None,
        sources=tuple(sources),
        appliance=appliance,
        digests=full,
        strict=strict,
        at=used.isoformat().replace("+00:00", "Z"),
        at_given=at is not None,
        limits=trust.policy.limits if trust and trust.policy else Limits(),
        waivers=waivers.current if waivers else (),
        waivers_digest=waivers.digest if waivers else None,
    )


def _clock() -> dt.datetime:
    """The time now. ClockError if that is before this very program was released."""
    now = dt.datetime.now(dt.UTC)
    if f"{now:%Y-%m-%d}" < bundlekit.__released__:
        raise ClockError(
            f"The clock says {now:%Y-%m-%d}, which is before this bundlekit was released.",
            next_step="Set the clock, or give the right time (--at).",
        )
    return now


def _judge(
    source: Source,
    question: Question,
    trust: TrustStore | None,
    rules: Iterable[Rule],
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Report:
    bundle = reader.read(source)
    _log("%s: layout read, %d problems", source.name, len(bundle.problems))
    evidence = _measure_head(source, bundle, question, trust)
    authentic = vouched(evidence)
    if question.scope == "full" and _measurable(bundle) and (authentic or not trust or question.digests):
        measured = integrity.measure(source, bundle.claims, serial=question.digests, progress=progress, cancel=cancel)
        evidence = replace(measured, signatures=evidence.signatures, demands=evidence.demands)
    # Without trust the decisions are shown as claims; with trust, a matrix nobody vouches for says nothing.
    decisions = _decisions(bundle, question) if authentic or not trust else ()
    case = Case(bundle=bundle, evidence=evidence, question=question, decisions=decisions)
    judgement = checks.judge(case, rules)
    return report(
        name=source.name,
        bundle=bundle,
        evidence=evidence,
        question=question,
        decisions=decisions,
        judgement=judgement,
        authentic=authentic,
        trust=trust.digest if trust else None,
    )


def _measure_head(source: Source, bundle: Bundle, question: Question, trust: TrustStore | None) -> Evidence:
    """The signatures, and the unused rest of the signature area."""
    if bundle.signatures is None:
        return Evidence()
    signatures = _verify(bundle, dt.datetime.fromisoformat(question.at), trust)
    demands = _demands(signatures, trust)
    rest = [c for c in bundle.claims if isinstance(c, ZeroClaim) and c.subject == "signature area"]
    measured = integrity.measure(source, rest, threads=1)
    return Evidence(signatures=signatures, demands=demands, zeros=measured.zeros)


def _verify(bundle: Bundle, at: dt.datetime, trust: TrustStore | None) -> tuple[SignatureEvidence, ...]:
    if bundle.head_bytes is None or bundle.signatures is None:
        return ()
    spans = [claim.blob for claim in bundle.claims if isinstance(claim, SignatureClaim)]
    return verify_signatures(bundle.head_bytes, bundle.signatures, spans, trust, at, manifest=bundle.manifest)


def _demands(signatures: tuple[SignatureEvidence, ...], trust: TrustStore | None) -> tuple[DemandEvidence, ...] | None:
    """How far the demands of a trust.toml are met; None where none was given."""
    if trust is None or trust.policy is None:
        return None
    from bundlekit.trust import tally

    return tally(trust.policy.demands, signatures)


def vouched(evidence: Evidence) -> bool:
    """Whether trusted signatures vouch for the head: as many count as are demanded, and none is at fault."""
    signatures = evidence.signatures or ()
    return (
        any(signature.counts for signature in signatures)
        and all(signature.counts or signature.standing == "ignored" for signature in signatures)
        and all(demand.met for demand in evidence.demands or ())
    )


def _measurable(bundle: Bundle) -> bool:
    """Whether everything that is claimed lies within the file."""
    return bundle.manifest is not None and all(section.span.stop <= bundle.size for section in bundle.sections)


def _decisions(bundle: Bundle, question: Question) -> tuple[Decision, ...]:
    if bundle.manifest is None:
        return ()
    decisions = [decide_from(bundle.manifest, version) for version in question.sources]
    if question.appliance:
        decisions.append(decide(bundle.manifest, question.appliance))
    return tuple(decisions)


def _log(message: str, *details: object) -> None:
    """To the logger ``bundlekit``. Who has not loaded logging, which takes 2 ms, has nobody listening."""
    if logging := sys.modules.get("logging"):
        logging.getLogger("bundlekit").debug(message, *details)
