"""The entry points check(), preflight() and decide(). Each is one straight line from bytes to a report.

1. Open the source, once.
2. layout: read the head and the signature area.
3. trust: verify the signatures over the raw bytes of the head.
4. integrity: measure the payload. This is left out if the question is about the head only. It is also left out if
   trust was given and no trusted signature covers the head, because hostile files are checked head first. A request
   for all digests measures the payload in that case too.
5. matrix: decide for each installed state of the request.
6. checks: apply the rules to the evidence. Missing evidence makes a rule *not run*.
7. report
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from bundlekit import checks, formats, integrity, wall_clock
from bundlekit._version import __released__
from bundlekit.checks.rule import RuleContext
from bundlekit.decisions import basis, decisions_about, operator_matrix, read_basis
from bundlekit.errors import ClockError, TrustError, UnreadableError
from bundlekit.evidence import read_documents
from bundlekit.inner import inner_bundles
from bundlekit.integrity.content import signed_contents
from bundlekit.integrity.encrypted import perhaps_encrypted, settled
from bundlekit.integrity.whole import WholeFiles
from bundlekit.layout import foreign
from bundlekit.matrix.shipped import signatures_of
from bundlekit.model.appliance import Appliance
from bundlekit.model.bundle import ZeroClaim
from bundlekit.model.evidence import Evidence
from bundlekit.model.question import Limits, Question
from bundlekit.opening import open_bundle
from bundlekit.report.build import report
from bundlekit.request import STRICT, CheckRequest, one_request
from bundlekit.source import BytesSource
from bundlekit.trust import Signed, verify_claims
from bundlekit.wording import command, given

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bundlekit.checks.rule import Rule
    from bundlekit.integrity import Cancel, ReadProgress
    from bundlekit.integrity.content import SignedContent
    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.model.advisory import Advice
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.decision import Decision, Policy
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.finding import Scope
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.waiver import Waivers
    from bundlekit.report.document import BundleResult
    from bundlekit.report.inspection import Inspection
    from bundlekit.report.model import Report
    from bundlekit.source import ReadOnce, Source
    from bundlekit.trust import TrustStore

MAX_UNVOUCHED: Final = 64 * 2**30
"""Bytes of a bundle without trusted signature that are read unasked: a sparse file can claim any size."""

__all__ = ["check", "inspect", "preflight", "read_manifest"]


class Checked(NamedTuple):
    """A report, and what was read to make it, so that no caller reads it again."""

    report: Report
    bundle: Bundle
    matrix: ReadMatrix | UnreadableMatrix | None


def check(
    file: str | Path | Source,
    request: CheckRequest | None = None,
    *,
    trust: TrustStore | None = None,
    sources: Sequence[str] = (),
    appliance: Appliance | Sequence[Appliance] | None = None,
    matrix: OperatorMatrix | Sequence[OperatorMatrix] | None = None,
    policy: Policy = STRICT,
    advice: Advice | None = None,
    at: dt.datetime | None = None,
    full: bool = False,
    strict: bool = False,
    warn_within: int | None = None,
    require_evidence: bool = False,
    waivers: Waivers | None = None,
    rules: Iterable[Rule] | None = None,
    components: Mapping[str, str | Path] | None = None,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Report:
    """Validate the whole bundle ``file``: layout, every byte, signatures, and the upgrade path.

    ``file`` can be the URL of a bundle on a server, as text (``bundlekit explain remote``).

    ``request`` is a :class:`CheckRequest`; most of its fields can be keywords instead. ``sources`` can be one version,
    ``appliance`` one state or several, and ``matrix`` one matrix or several. ``components`` names files for components
    of a detached head, by label; the others are looked for next to it. ``progress`` is a function that is called with
    the bytes read and the bytes to read. ``cancel`` is a function, and the work ends when it returns True.

    A bad bundle raises nothing: see ``Report.verdict``. Raises UnreadableError if the file cannot be read, and
    ChangedWhileReadError if it changes meanwhile. Raises AdvisoryError if ``advice`` is about another product, and
    ClockError if the clock is plainly wrong. Raises CancelledError if ``cancel`` ended the work. Raises TypeError if
    both a request and keywords are given.
    """
    keywords = _request(trust, sources, appliance, matrix, policy, advice, at, waivers, rules, full=full, strict=strict)
    keywords = replace(keywords, warn_within=warn_within, require_evidence=require_evidence)
    with opened(file, components) as source:
        return examine(source, one_request(request, keywords), progress=progress, cancel=cancel).report


def judge(
    file: str | Path | Source,
    request: CheckRequest,
    *,
    scope: Scope = "full",
    upgrades: bool = False,
    digests: bool = False,
    components: Mapping[str, str | Path] | None = None,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> BundleResult:
    """The report as a part of a document. Parameters and exceptions are those of `check` and `preflight`.

    ``upgrades``: work out the upgrade graph too, if the matrix can be used. ``digests``: compute those of the files.
    """
    from bundlekit.report.document import BundleResult, with_upgrades

    with opened(file, components) as source:
        files = WholeFiles(source) if digests else None
        checked = examine(source, request, scope=scope, progress=progress, cancel=cancel)
        found = files.digests(cancel) if files else ()
    result = with_upgrades(checked.report, checked.matrix) if upgrades else BundleResult(report=checked.report)
    return replace(result, digests=found) if found else result


def preflight(
    file: str | Path | bytes | Source,
    request: CheckRequest | None = None,
    *,
    size: int | None = None,
    trust: TrustStore | None = None,
    sources: Sequence[str] = (),
    appliance: Appliance | Sequence[Appliance] | None = None,
    matrix: OperatorMatrix | Sequence[OperatorMatrix] | None = None,
    policy: Policy = STRICT,
    advice: Advice | None = None,
    at: dt.datetime | None = None,
    strict: bool = False,
    warn_within: int | None = None,
    require_evidence: bool = False,
    waivers: Waivers | None = None,
    rules: Iterable[Rule] | None = None,
) -> Report:
    """Validate head and signatures only. The scope of the report is ``head``, and no update can be planned from it.

    ``file`` can be the first bytes of the bundle, at least its head and signature area. ``size`` is then the size of
    the whole file in bytes. All other parameters and exceptions are as in :func:`check`.
    """
    keywords = _request(trust, sources, appliance, matrix, policy, advice, at, waivers, rules, strict=strict)
    keywords = replace(keywords, warn_within=warn_within, require_evidence=require_evidence)
    with opened(BytesSource(file, size=size) if isinstance(file, bytes) else file) as source:
        return examine(source, one_request(request, keywords), scope="head").report


def inspect(file: str | Path) -> Inspection:
    """What the bundle ``file`` claims to be, as far as its head can be read. Nothing is verified.

    A bad bundle raises nothing: see ``Inspection.problems``. Raises UnreadableError if the file cannot be read.
    """
    from bundlekit.report.inspection import Inspection

    with opened(file) as source:
        bundle = formats.read(source)
        signatures = _verify(bundle, signed_contents(source, bundle), wall_clock.now(), None)
    return Inspection(
        file=source.name,
        size=bundle.size,
        format=bundle.format,
        id=bundle.id,
        claims=bundle.release,
        manifest=bundle.document,
        signatures=signatures,
        sections=tuple(sorted(bundle.sections, key=lambda section: (section.span.stream, section.span))),
        problems=bundle.problems,
    )


def read_manifest(file: str | Path | bytes | Source, *, trust: TrustStore | None = None) -> Manifest:
    """The manifest of the bundle ``file``, which can be its path or its first bytes, for :func:`decide`.

    Nothing is verified without ``trust``. Raises TrustError if no signer in ``trust`` signed it, and UnreadableError
    if the manifest cannot be read. A bundle in another format has none.
    """
    return read_signed(file, trust=trust)[0]


def read_signed(
    file: str | Path | bytes | Source, *, trust: TrustStore | None = None, at: dt.datetime | None = None
) -> tuple[Manifest, BundleSignatures | None, frozenset[str] | None]:
    """The manifest as `read_manifest` gives it, the signatures, and the names of the signers.

    The names are those of a trust.toml, and only of signatures that count; None without such a file.
    """
    with opened(BytesSource(file) if isinstance(file, bytes) else file) as source:
        bundle = formats.read(source)
        if bundle.manifest is None:
            raise _without_manifest(source.name, bundle)
        when = (at or wall_clock.now()) if trust is None else at or _clock()
        evidence = _signed(bundle, signed_contents(source, bundle), when, trust) if trust else Evidence()
        if trust and not evidence.authentic:
            raise TrustError(
                f"{source.name}: it is not signed by a trusted signer.",
                next_step=f"{command('check', source.name)} with the same {given('trust')} shows the reason.",
            )
    names = trust.signed_by(evidence.signatures or ()) if trust else None
    return bundle.manifest, signatures_of(bundle, when.isoformat()), names


def _without_manifest(name: str, bundle: Bundle) -> UnreadableError:
    """The error for a manifest that cannot be read, or that the format of the bundle does not have."""
    if bundle.problems:
        return UnreadableError(f"{name}: {bundle.problems[0].message}")
    kind = foreign.KINDS[bundle.format.partition("/")[0]]
    return UnreadableError(
        f"{name}: this is {kind.what}, and a bundle of this format has no upgrade matrix",
        next_step=f"Give the matrix file that you use for it, as in {command('matrix lint', 'matrix.toml')}.",
    )


@contextmanager
def opened(file: str | Path | Source, components: Mapping[str, str | Path] | None = None) -> Iterator[ReadOnce]:
    """A path is opened, and closed afterwards; a source stays as open as it is. Its head is read once."""
    if isinstance(file, str | os.PathLike):
        with open_bundle(file, components) as source:
            yield source
    else:
        yield formats.once(file)


def _request(
    trust: TrustStore | None,
    sources: Sequence[str],
    appliance: Appliance | Sequence[Appliance] | None,
    matrix: OperatorMatrix | Sequence[OperatorMatrix] | None,
    policy: Policy,
    advice: Advice | None,
    at: dt.datetime | None,
    waivers: Waivers | None,
    rules: Iterable[Rule] | None,
    *,
    full: bool = False,
    strict: bool,
) -> CheckRequest:
    return CheckRequest(
        trust=trust,
        sources=(sources,) if isinstance(sources, str) else tuple(sources),
        appliances=(appliance,) if isinstance(appliance, Appliance) else tuple(appliance or ()),
        matrices=tuple(matrix or ()) if isinstance(matrix, Sequence | None) else (matrix,),
        policy=policy,
        advice=advice,
        at=at,
        full=full,
        strict=strict,
        waivers=waivers,
        rules=None if rules is None else tuple(rules),
    )


def _question(
    request: CheckRequest, scope: Scope, operator: OperatorMatrix | None, others: tuple[str, ...]
) -> Question:
    trust, waivers = request.trust, request.waivers
    used = (request.at or _clock()).astimezone(dt.UTC).replace(microsecond=0)
    return Question(
        scope=scope,
        trust=trust is not None,
        sources=request.sources,
        appliances=request.appliances,
        matrix=operator.digest if operator else None,
        matrix_file=operator.file if operator else "",
        other_matrices=others,
        policy=request.policy,
        advice=request.advice,
        digests=request.full,
        strict=request.strict,
        warn_within=request.warn_within,
        require_evidence=request.require_evidence,
        bundle_formats=request.bundle_formats,
        at=used.isoformat().replace("+00:00", "Z"),
        at_given=request.at is not None,
        limits=trust.limits if trust else Limits(),
        waivers=waivers.current if waivers else (),
        expired_waivers=waivers.expired if waivers else (),
        waivers_digest=waivers.digest if waivers else None,
    )


def _clock() -> dt.datetime:
    """The time now. ClockError if that is before this very program was released."""
    now = wall_clock.now()
    if f"{now:%Y-%m-%d}" < __released__:
        raise ClockError(
            f"The clock shows {now:%Y-%m-%d}, which is before the release of this bundlekit.",
            next_step=f"Set the clock, or give the right time ({given('at')}).",
        )
    return now


def examine(
    source: ReadOnce,
    request: CheckRequest,
    *,
    scope: Scope = "full",
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Checked:
    """The report about an open source, and what was read for it. Parameters and exceptions are those of `check`."""
    trust, bundle = request.trust, formats.read(source)
    operator, others = operator_matrix(bundle, request.matrices)
    question = _question(request, scope, operator, others)
    _log("%s: layout read, %d problems", source.name, len(bundle.problems))
    contents = signed_contents(source, bundle, progress=progress, cancel=cancel)
    evidence = _measure_head(source, bundle, contents, question, trust)
    authentic = evidence.authentic
    # Signatures of a kind that is not verified here leave the bytes open, so these are compared with their digests.
    unverifiable = not trust or (bundle.complete and bundle.signatures is None) or perhaps_encrypted(bundle)
    unvouched = question.digests or (unverifiable and bundle.size <= MAX_UNVOUCHED)
    known = {at: digest for content in contents for at, digest in content.found().items()}
    if question.scope == "full" and _measurable(bundle) and (authentic or unvouched):
        measured = integrity.measure(
            source,
            bundle.claims,
            streams=bundle.streams,
            known=known,
            serial=question.digests,
            progress=progress,
            cancel=cancel,
        )
        inner = inner_bundles(source, bundle, partial(_inner_report, request=request, cancel=cancel))
        documents = read_documents(source, bundle, measured, cancel)
        evidence = replace(
            measured, signatures=evidence.signatures, demands=evidence.demands, inner=inner, documents=documents
        )
        if question.digests and bundle.packed and (authentic or not trust):
            from bundlekit.integrity.packed import packed_digests

            evidence = replace(evidence, packed=tuple(packed_digests(source, bundle.packed, cancel)))
    elif question.scope == "full" and known:  # the signatures needed these digests, so nothing is read for them
        evidence = replace(evidence, digests=integrity.compared(bundle.claims, known))
    if perhaps_encrypted(bundle):
        bundle, evidence = settled(bundle, evidence)
    # Without trust the decisions are shown as claims. With trust, a matrix without a trusted signature decides nothing.
    signers = trust.signed_by(evidence.signatures or ()) if trust else None
    manifest = basis(bundle, question, operator)
    matrix = read_basis(manifest, bundle, operator)
    decisions: tuple[Decision, ...] = ()
    if authentic or not trust:
        decisions = decisions_about(bundle, manifest, matrix, question, signers, operator)
    case = RuleContext(bundle=bundle, evidence=evidence, question=question, decisions=decisions, matrix=matrix)
    result = checks.apply_rules(case, checks.RULES if request.rules is None else request.rules)
    made = report(
        name=source.name,
        bundle=bundle,
        evidence=evidence,
        question=question,
        decisions=decisions,
        result=result,
        authentic=authentic,
        trust=trust.digest if trust else None,
        trust_folders=trust.folders if trust else (),
        config=request.config,
    )
    return Checked(made, bundle, matrix)


def _inner_report(source: ReadOnce, *, request: CheckRequest, cancel: Cancel | None) -> Report:
    """The report about a component in another format: the same trust and time, and no question about versions."""
    return examine(source, CheckRequest(trust=request.trust, at=request.at, full=request.full), cancel=cancel).report


def _measure_head(
    source: Source,
    bundle: Bundle,
    contents: Sequence[SignedContent],
    question: Question,
    trust: TrustStore | None,
) -> Evidence:
    """The signatures, and the unused rest of the signature area."""
    if bundle.signatures is None:
        return Evidence()
    evidence = _signed(bundle, contents, dt.datetime.fromisoformat(question.at), trust)
    rest = [c for c in bundle.claims if isinstance(c, ZeroClaim) and c.subject == "signature area"]
    measured = integrity.measure(source, rest, threads=1)
    return replace(evidence, zeros=measured.zeros)


def _verify(
    bundle: Bundle, contents: Sequence[SignedContent], at: dt.datetime, trust: TrustStore | None
) -> tuple[SignatureEvidence, ...]:
    if bundle.signatures is None:
        return ()
    release = bundle.release
    signed = Signed(
        format=bundle.format.partition("/")[0],
        product=release.product if release else "",
        released=release.released or "" if release else "",
    )
    stored = {claim.index: claim.device_key for claim in bundle.signatures if claim.device_key}
    found = verify_claims(bundle.signatures, contents, trust, at, signed=signed)
    return tuple(replace(one, device_key=stored[one.index]) if one.index in stored else one for one in found)


def _signed(bundle: Bundle, contents: Sequence[SignedContent], at: dt.datetime, trust: TrustStore | None) -> Evidence:
    """Who signed the bundle, and how far the demands of a trust.toml are met, where one was given."""
    signatures = _verify(bundle, contents, at, trust)
    if trust is None or not trust.demands:
        return Evidence(signatures=signatures)
    from bundlekit.trust import tally

    return Evidence(signatures=signatures, demands=tally(trust, bundle.format.partition("/")[0], signatures))


def _measurable(bundle: Bundle) -> bool:
    """Whether everything that is claimed is known, and within the file."""
    sizes = {"": bundle.size} | bundle.files | {name: len(data) for name, data in bundle.streams.items()}
    return bundle.complete and all(one.span.stop <= sizes.get(one.span.stream, 0) for one in bundle.sections)


def _log(message: str, *details: object) -> None:
    """Log to the logger ``bundlekit``. Logging takes 2 ms to load; without it loaded, no handler can be listening."""
    if logging := sys.modules.get("logging"):
        logging.getLogger("bundlekit").debug(message, *details)
