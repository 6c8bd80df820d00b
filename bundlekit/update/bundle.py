"""The bridge from a check to an update: an open bundle that was checked whole, and stays open while it is used.

A job is made from a :class:`CheckedBundle`, and its constructor *is* the full check of the descriptor that will be
used. Nothing can replace that check: not a pre-flight, not a report file, not another time than now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final

from msgspec.structs import replace

from bundlekit import formats, pipeline
from bundlekit.errors import BundlekitError, ConfigError, VersionError
from bundlekit.integrity import verified_chunks
from bundlekit.layout import reader
from bundlekit.matrix import read_matrix
from bundlekit.matrix.advisory import restricted
from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.read import ReadMatrix
from bundlekit.model.bundle import ChunkClaim, DigestClaim
from bundlekit.model.manifest import Manifest
from bundlekit.opening import open_bundle
from bundlekit.request import CheckRequest
from bundlekit.source import FileSource
from bundlekit.update.bind import bind
from bundlekit.update.engine.errors import UpdateError
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.plan import Plan
from bundlekit.update.state.private_files import opened_again
from bundlekit.update.state.space import device_of
from bundlekit.wording import given

if TYPE_CHECKING:
    from bundlekit.integrity import Cancel, ReadProgress
    from bundlekit.model.bundle import Bundle
    from bundlekit.report.model import Report
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore

SEVERITIES: Final = ("error", "warning", "info")
"""The severities of findings, the gravest first."""

EXPIRY: Final = frozenset({"bundle-expired", "signer-expired", "too-old"})
"""The rules whose failure alone does not stop a run that has begun: only time has passed."""


class NotAcceptedError(UpdateError):
    """The bundle must not be installed here; ``report`` gives the reasons. Nothing was touched."""

    def __init__(self, message: str, report: Report, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.report = report
        self.ends = "on-hold" if report.causes == ("on-hold",) else "rejected"


def not_accepted(report: Report) -> NotAcceptedError:
    """The rejection that ``report`` is: what is wrong, where, and the next step. The report lists the rest."""
    for finding in sorted(report.findings, key=lambda one: (one.waived != "", SEVERITIES.index(one.severity))):
        where = f" (bytes {finding.where.start}..{finding.where.stop})" if finding.where else ""
        if report.verdict == "reject":
            return NotAcceptedError(f"{report.summary}: {finding.message}{where}", report, next_step=finding.next)
    for outcome in report.rules:
        if report.verdict == "incomplete" and outcome.required and outcome.outcome == "not-run":
            return NotAcceptedError(f"{report.summary}: {outcome.reason}", report, next_step=outcome.next)
    return NotAcceptedError(report.summary, report)


@contextmanager
def staged(source: Source, chunks: ChunkClaim, index: DigestClaim, folder: Path) -> Iterator[BinaryIO]:
    """Copy a component into an unlinked file in ``folder`` and give a read-only view of it, at its first byte.

    Each chunk is verified before it is copied, and the hook gets the copy: whatever becomes of the bundle
    meanwhile, no byte that was not verified reaches it. Raises ChangedWhileReadError at the first chunk that
    is not as claimed; then nothing has been handed over. The file needs the component's size in ``folder``.
    """
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(TemporaryFile(dir=folder))
            for chunk in verified_chunks(source, chunks, index):
                copy.write(chunk)
            copy.flush()
        except OSError as error:
            raise BundlekitError(
                f"The copy of {chunks.subject} in {folder} cannot be written: {error.strerror} ({device_of(folder)})."
            ) from error
        # Opened again, so that our code cannot write to or move the descriptor of the hook.
        reader = opened_again(copy.fileno(), os.O_RDONLY)
        with open(reader, "rb") as file:
            yield file


class OpenBundle:
    """An open bundle whose head is known: what hooks get components from, each verified as it is staged."""

    def __init__(self, source: Source, folder: Path, bundle: Bundle) -> None:
        self._source = source
        self._folder = folder
        self._bundle = bundle

    @property
    def bundle_id(self) -> str:
        """The bundle id: ``sha256:`` and the digest of the head."""
        return str(self._bundle.id)

    @property
    def path(self) -> str:
        """Where the file was opened, as an absolute path: a resume opens it there again."""
        return str(Path(self._source.name).resolve())

    def stage(self, label: str) -> AbstractContextManager[BinaryIO]:
        """A staged copy of what is stored under ``label``; see :func:`staged`."""
        return staged(self._source, *self._claims(label), self._folder)

    def chunks(self, label: str) -> Iterator[memoryview]:
        """What is stored under ``label``, chunk by chunk, each verified before it is handed over."""
        return verified_chunks(self._source, *self._claims(label))

    def _claims(self, label: str) -> tuple[ChunkClaim, DigestClaim]:
        chunks = next(c for c in self._bundle.claims if isinstance(c, ChunkClaim) and c.subject == label)
        return chunks, next(c for c in self._bundle.claims if isinstance(c, DigestClaim) and c.span == chunks.index)


class CheckedBundle(OpenBundle):
    """An open bundle that a full check, made here and now on this very source, has accepted.

    The pair of ``request`` is the one that a job can be made for; without one, the bundle can finish or repair what has
    begun. The ``hold`` of the pair is left out of the check: the run asks the pair itself. Staged copies are made in
    ``folder``. Raises NotAcceptedError, or what :func:`bundlekit.check` raises.
    """

    def __init__(
        self,
        source: Source,
        request: CheckRequest,
        *,
        folder: Path,
        progress: ReadProgress | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        source = formats.once(source)
        asked = _by_all_rules_now(request)
        checked = pipeline.examine(source, asked, progress=progress, cancel=cancel)
        self.report, self._matrix = checked.report, checked.matrix
        self.appliance = request.appliances[0] if request.appliances else None
        self._advice = request.advice
        if self.report.verdict != "accept" or self.report.scope != "full":
            raise not_accepted(self.report)
        _refuse_test_trust(self.report)
        super().__init__(source, folder, checked.bundle)

    @property
    def manifest(self) -> Manifest:
        """The manifest in the signed head."""
        assert self._bundle.manifest is not None  # noqa: S101 - an accepted bundle has one
        return self._bundle.manifest

    def works_together(self, versions: Mapping[str, str]) -> bool:
        """Whether the bundle's matrix states that these versions, by component, are compatible. Unknown is no."""
        matrix = self._matrix
        if self._advice:
            matrix = read_matrix(restricted(self.manifest, self._advice.advisory))
        if not isinstance(matrix, ReadMatrix):
            return False
        try:
            state = {name: matrix.parse(name, version) for name, version in versions.items()}
        except VersionError:
            return False
        return work_together(matrix, state)[0] is True

    def job(self, plan: Plan) -> Job:
        """Bind ``plan`` to this bundle and the pair it was checked for. Raises ConfigError as ``bind`` does."""
        if self.appliance is None:
            raise ConfigError(
                "The bundle was not checked for a pair, so no update can be planned from it.",
                next_step=f"Give the state of the pair ({given('appliance', 'STATE.json')}).",
            )
        return bind(plan, self, self.appliance, works_together=self.works_together)


def _by_all_rules_now(request: CheckRequest) -> CheckRequest:
    """The request without the holds of its pair. TypeError for a time, rules or waivers that the caller gives.

    An update is made from a bundle that all rules accept now. No argument of a caller can replace that.
    """
    asked = CheckRequest(
        trust=request.trust, appliances=request.appliances, policy=request.policy, advice=request.advice
    )
    if asked != request or len(request.appliances) > 1:
        raise TypeError("the check before an update takes trust, one appliance, policy and advice, and nothing else")
    return replace(asked, appliances=tuple(replace(one, hold=None) for one in request.appliances))


@contextmanager
def verified(
    file: str | Path,
    request: CheckRequest,
    *,
    folder: Path,
    components: Mapping[str, str | Path] | None = None,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Iterator[CheckedBundle]:
    """Open ``file``, check all of it, and keep it open while the context lasts; see :class:`CheckedBundle`.

    ``job(plan)`` of the bundle makes the job for the one appliance of ``request``. The bundle itself is the payload.
    A rehearsal over your own hooks needs both. Copies of components are staged in ``folder``. ``components`` names
    files for components of a detached head, by label. ``progress`` is called with the bytes done and to do, and the
    check stops once ``cancel`` returns true. Raises NotAcceptedError if the bundle is not accepted, and UnreadableError
    if it cannot be read.
    """
    with open_bundle(file, components) as source:
        yield CheckedBundle(source, request, folder=folder, progress=progress, cancel=cancel)


@contextmanager
def reopened(
    file: str | Path,
    *,
    trust: TrustStore | None,
    folder: Path,
    components: Mapping[str, str | Path] | None = None,
) -> Iterator[OpenBundle]:
    """Open ``file`` again for a run that has begun.

    Its signatures are verified with today's trust. Expiry alone is no reason to stop. The payload was checked before
    the run began, and is verified again while it is handed over. The executor compares the id to see that it is the
    same bundle. Raises NotAcceptedError or UnreadableError.
    """
    with open_bundle(file, components) as source:
        report, read, _ = pipeline.examine(source, CheckRequest(trust=trust), scope="head")
        failed = {finding.rule for finding in report.findings if finding.severity == "error"}
        if report.verdict != "accept" and not (failed and failed <= EXPIRY):
            raise not_accepted(report)
        _refuse_test_trust(report)
        yield OpenBundle(source, folder, read)


def _refuse_test_trust(report: Report) -> None:
    if report.test_trust:
        raise NotAcceptedError(
            "The bundle is signed with test keys (TEST TRUST), so it cannot be used for an update.",
            report,
            next_step="Sign with keys that are not marked as test keys. "
            "`bundlekit explain tour-update` shows how to make one with OpenSSL, and to pin it.",
        )


def claimed_id(file: str | Path) -> str | None:
    """The bundle id of ``file``, nothing of it verified; None if its head cannot be read."""
    with FileSource(file) as source:
        return reader.read(source).id
