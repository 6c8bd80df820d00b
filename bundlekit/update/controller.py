"""The controller: what ``bundlekit update`` does with a pair, from the lock to the outcome.

It puts the parts together, each time in the same order: the pair's lock, the journal, the bundle (checked, or
opened again), the hooks, the engine. It decides nothing that the planner decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec.structs import replace

from bundlekit._version import __version__
from bundlekit.errors import ConfigError, UnreadableError
from bundlekit.report import json as as_json
from bundlekit.request import STRICT, CheckRequest
from bundlekit.update.bundle import CheckedBundle, NotAcceptedError, OpenBundle, claimed_id, reopened, verified
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.errors import JournalError, UpdateError
from bundlekit.update.engine.executor import (
    WHOLE,
    BundleMissing,
    BundleRejected,
    Declined,
    Engine,
    HoldRelease,
    latest,
    refusal,
)
from bundlekit.update.engine.history import History
from bundlekit.update.engine.hooks import Hooks
from bundlekit.update.engine.invocation import UNKNOWN, InvocationPaths
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.journal import Journal
from bundlekit.update.engine.outcome import Again, outcome_of
from bundlekit.update.engine.plan import PAIR, Plan
from bundlekit.update.engine.records import Cleared, Outcome, Rejected, Window
from bundlekit.update.inventory import observe, utc
from bundlekit.update.observers import RecordObserver, Watched, undisturbed
from bundlekit.update.state.latest_run import instead, nothing_to_resume, same_bundle
from bundlekit.update.state.lock import holder
from bundlekit.update.state.space import device_of, require
from bundlekit.update.state.update_state import FolderState, UpdateState
from bundlekit.wording import command, given

if TYPE_CHECKING:
    from bundlekit.integrity import ReadProgress
    from bundlekit.model.advisory import Advice
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Policy
    from bundlekit.report.model import Report
    from bundlekit.trust import TrustStore

Ending = TypeVar("Ending", Outcome, Outcome | Declined)

HooksFactory = Callable[[Plan, int], Hooks]
"""Hooks for a plan, given the descriptor that each hook process has to inherit (see ``lock.PairLock``)."""


class Controller:
    """Updates pairs from one state folder, or from a database that many hosts share.

    ``folder`` is the path of the folder, or an ``UpdateState``, which the caller closes (see ``open_state``).

    ``hooks`` are the hooks, or a function that makes them for a plan. It is called with the plan and with a file
    descriptor. A child process that a hook starts has to inherit the descriptor (``pass_fds``), so that the pair stays
    locked while it runs. ``watch`` is called with each record as it becomes durable. ``known`` is called at a resume
    with the earlier records. ``progress`` is called with the bytes of the bundle that are checked. ``on_report`` is
    called with the report of each check of a whole bundle, accepted or not, before anything else is done. ``cancel`` is
    asked between actions, in addition to the requests that other processes leave (``CancelRequest``). ``paths`` are the
    files of this call as the operator named them. The journal keeps them, so that a later next step can be pasted.

    An exception in ``watch``, ``known``, ``progress`` or ``on_report`` is ignored, because a view that fails must not
    stop an update. One in ``cancel`` leaves the call, and the run can be resumed.

    ``run``, ``resume``, ``repair`` and ``revert`` return an outcome, even if the bundle is not accepted (*rejected*,
    *on-hold*). They also return one if another controller has the pair (*busy*). The same holds if the journal cannot
    be used (*waiting*) or is damaged (*needs-operator*). All methods raise StateFolderError if ``folder`` cannot be
    used, and ConfigError or UnreadableError for the caller's arguments. ``clear`` and ``state`` raise PairBusyError and
    JournalError as well.

    A controller keeps nothing between calls, so several threads can use one for several pairs. ``watch``, ``progress``
    and ``cancel`` are then about all of them. For a cancel and a view of each pair, make one controller for each, over
    the same folder. A call blocks until the run has ended or waits, so each pair needs a thread of its own. Inside
    asyncio use ``asyncio.to_thread``, or an executor of your own for more pairs than its pool has threads.
    """

    def __init__(
        self,
        folder: Path | str | UpdateState,
        hooks: Hooks | HooksFactory,
        *,
        clock: Clock | None = None,
        watch: RecordObserver = lambda _records: None,
        known: RecordObserver = lambda _records: None,
        progress: ReadProgress | None = None,
        cancel: Callable[[], bool] = lambda: False,
        detach: bool = False,
        paths: InvocationPaths = UNKNOWN,
        on_report: Callable[[Report], None] = lambda _report: None,
    ) -> None:
        self.kept_in: UpdateState = FolderState(folder) if isinstance(folder, Path | str) else folder
        self.clock = clock or self.kept_in.clock
        self._make_hooks = (lambda _plan, _lock: hooks) if isinstance(hooks, Hooks) else hooks
        self._watch = undisturbed(watch)
        self._known = undisturbed(known)
        self._progress = undisturbed(progress) if progress is not None else None
        self._cancel = cancel
        self._detach = detach
        self._paths = paths
        self._on_report = undisturbed(on_report)

    def run(
        self,
        file: Path | str,
        plan: Plan = PAIR,
        *,
        trust: TrustStore | None,
        appliance: Appliance,
        policy: Policy = STRICT,
        advice: Advice | None = None,
        window: Window = WHOLE,
        take_over: str = "",
        components: Mapping[str, Path] | None = None,
    ) -> Outcome:
        """Update the pair of ``appliance`` by ``plan``. A run of the same bundle that has begun continues.

        ``components`` names files for components of a detached head, by label. The journal keeps them for a resume.

        ``take_over`` names the run of another controller that this one replaces. The appliance remembers that run as
        under way: see ``Engine.run``.
        """
        request = CheckRequest(trust=trust, appliances=(appliance,), policy=policy, advice=advice)
        paths = self._paths.with_components(components)
        return self._ended(
            appliance.pair, "run", lambda: self._run(Path(file), plan, request, window, take_over, paths)
        )

    def _run(
        self,
        file: Path,
        plan: Plan,
        request: CheckRequest,
        window: Window,
        take_over: str,
        paths: InvocationPaths,
    ) -> Outcome:
        (appliance,) = request.appliances
        with self._at(appliance.pair) as (journal, hooks_fd):
            last = latest(journal, appliance.pair)
            if last is not None and last.ended is None and claimed_id(file) == last.job.bundle_id:
                return self._resume(journal, last, hooks_fd, file, request.trust, window, paths)
            if last is not None and (refused := refusal(last)):
                return refused
            with (
                self._journalled(journal, appliance.pair, last, file),
                self._verified(file, request, paths) as bundle,
            ):
                return self._start(journal, bundle.job(plan), bundle, hooks_fd, window, paths, take_over)

    def resume(
        self,
        pair: str,
        *,
        trust: TrustStore | None,
        file: Path | str | None = None,
        until: Literal["prepared", "end"] | None = None,
        not_after: float | None = None,
        run: str = "",
        components: Mapping[str, Path] | None = None,
    ) -> Outcome:
        """Continue the latest run of ``pair``. ``until`` and ``not_after`` keep their values unless given again.

        Without ``trust``, or without the file, everything is done except steps forward. If the latest run has ended, or
        is not ``run``, the outcome is *nothing-to-resume*, never that of an earlier run. A ``file`` that is not the
        bundle of the run raises ConfigError before anything is done. ``components`` are as for `run`, by default those
        that the run had.
        """
        path = None if file is None else Path(file)
        paths = self._paths.with_components(components)
        return self._ended(pair, "resume", lambda: self._resume_latest(pair, trust, path, until, not_after, run, paths))

    def _resume_latest(
        self,
        pair: str,
        trust: TrustStore | None,
        file: Path | None,
        until: Literal["prepared", "end"] | None,
        not_after: float | None,
        run: str,
        paths: InvocationPaths,
    ) -> Outcome:
        with self._at(pair) as (journal, hooks_fd):
            records = journal.read(pair)
            last = History.latest(records)
            if why := nothing_to_resume(records, last, run):
                return Outcome(kind="nothing-to-resume", pair=pair, run=run, reason=why)
            assert last is not None  # noqa: S101 - without a run there is nothing to resume
            if file is not None:
                same_bundle(claimed_id(file), last, "Resume")
            window = Window(
                until=until or last.window.until,
                not_after=last.window.not_after if not_after is None else not_after,
            )
            return self._resume(journal, last, hooks_fd, file or Path(last.job.path), trust, window, paths)

    def repair(
        self,
        pair: str,
        *,
        trust: TrustStore | None,
        file: Path | str | None = None,
        take_over: str = "",
        components: Mapping[str, Path] | None = None,
    ) -> Outcome | Declined:
        """Finish a degraded pair with the bundle of its latest run, whose check still counts.

        Declined if the pair needs no repair. The recovery then leads to the new version, unless the pair has it.
        ``components`` are as for `resume`.
        """
        path = None if file is None else Path(file)
        paths = self._paths.with_components(components)
        return self._ended(pair, "repair", lambda: self._repair(pair, trust, path, take_over, paths))

    def _repair(
        self, pair: str, trust: TrustStore | None, file: Path | None, take_over: str, paths: InvocationPaths
    ) -> Outcome | Declined:
        with self._at(pair) as (journal, hooks_fd):
            last = self._of_some_run(journal, pair)
            if refused := refusal(last, repair=True):
                return refused
            if not last.hold:
                ended = last.ended.kind if last.ended else ""
                return Declined(
                    reason=f"Pair {pair} needs no repair: its latest run ended {ended}.", recovery=instead(last)
                )
            path, paths = file or Path(last.job.path), paths.over(last.paths)
            with (
                self._journalled(journal, pair, last, path),
                self._verified(path, CheckRequest(trust=trust), paths) as bundle,
            ):
                same_bundle(bundle.bundle_id, last, "Repair")
                job = replace(last.job, path=bundle.path, hold="", repair=True, counter_before=None)
                return self._start(journal, job, bundle, hooks_fd, WHOLE, paths, take_over)

    def revert(self, pair: str, *, by: str, reason: str, take_over: str = "") -> Outcome | Declined:
        """Try the reverts of the latest run of ``pair`` again, by name; see ``Engine.revert``. Needs no bundle."""
        return self._ended(pair, "revert", lambda: self._revert(pair, by, reason, take_over))

    def _revert(self, pair: str, by: str, reason: str, take_over: str) -> Outcome | Declined:
        with self._at(pair) as (journal, hooks_fd):
            last = self._of_some_run(journal, pair)
            engine = self._engine(journal, pair, self._make_hooks(last.job.plan, hooks_fd), self._paths.absolute())
            return engine.revert(pair, by=by, reason=reason, take_over=take_over)

    def clear(self, pair: str, release: HoldRelease) -> Cleared | Declined:
        """Take ``pair`` off hold, by name; see ``Engine.clear``."""
        with self._at(pair) as (journal, hooks_fd):
            last = self._of_some_run(journal, pair)
            engine = self._engine(journal, pair, self._make_hooks(last.job.plan, hooks_fd))
            return engine.clear(pair, release)

    def state(
        self,
        plan: Plan = PAIR,
        *,
        before: Appliance | None = None,
        pair: str = "",
        product: str = "",
        model: str = "",
        includes: Sequence[str] | None = None,
    ) -> Appliance:
        """The state of a pair as the hooks report it now: the step *state* of a recovery, and what ``run`` needs.

        ``before`` is the older state. It gives the names that are not given, and values that no hook reports.
        ``includes`` are the fixes that the pair has. Raises BundlekitError if a component cannot be described, and
        ConfigError if a name is missing or contradicted by the pair. ``save_appliance`` writes the result to a file.
        """
        given_names = {"pair": pair, "product": product, "model": model}
        names = {name: text or getattr(before, name, "") for name, text in given_names.items()}
        if missing := [given(name) for name, text in names.items() if not text]:
            raise ConfigError(f"Without {given('before')}, these are required: {', '.join(missing)}.")
        with self._at(names["pair"]) as (_, hooks_fd):
            hooks, at = self._make_hooks(plan, hooks_fd), utc(self.clock.now().wall)
            return observe(plan, hooks, self.clock, **names, before=before, includes=includes, at=at)

    def _ended(self, pair: str, again: Again, act: Callable[[], Ending]) -> Ending | Outcome:
        """What ``act`` returns, or the outcome of what kept it from beginning or from going on."""
        try:
            return act()
        except UpdateError as error:
            return outcome_of(error, pair, again=again)

    @contextmanager
    def _journalled(self, journal: Journal, pair: str, last: History | None, file: Path) -> Iterator[None]:
        """Record a rejection by the check, so that ``status`` shows it. It stays even if recording fails."""
        try:
            yield
        except NotAcceptedError as error:
            self._on_report(error.report)
            record = Rejected(
                at=self.clock.now(),
                run=os.urandom(8).hex(),
                tool=__version__,
                path=os.path.abspath(file),
                reason=error.message,
                bundle_id=error.report.id or "",
                causes=error.report.causes,
            )
            with suppress(JournalError):
                fence = journal.claim(pair, holder(), at_least=last.fence if last else 0)
                journal.append(pair, fence, record)
                error.run = record.run
            raise

    def _of_some_run(self, journal: Journal, pair: str) -> History:
        last = latest(journal, pair)
        if last is None:
            raise ConfigError(
                f"No run exists for pair {pair} in {self.kept_in.name}.",
                next_step=f"{command('update status')} lists the pairs. "
                f"Give another {self.kept_in.noun} with {given(self.kept_in.parameter)}.",
            )
        return last

    def _start(
        self,
        journal: Journal,
        job: Job,
        bundle: CheckedBundle,
        hooks_fd: int,
        window: Window,
        paths: InvocationPaths,
        take_over: str,
    ) -> Outcome:
        self._on_report(bundle.report)
        hooks = self._make_hooks(job.plan, hooks_fd)
        require(self.kept_in.folder, job)
        self._keep(job.pair, bundle)
        engine = self._engine(journal, job.pair, hooks, replace(paths.absolute(), bundle=job.path))
        return self._to_its_end(job.pair, engine.run(job, bundle, window=window, take_over=take_over))

    def _resume(
        self,
        journal: Journal,
        last: History,
        hooks_fd: int,
        file: Path,
        trust: TrustStore | None,
        window: Window,
        paths: InvocationPaths,
    ) -> Outcome:
        pair = last.job.pair
        engine = self._engine(journal, pair, self._make_hooks(last.job.plan, hooks_fd), paths.absolute())
        self._known(journal.read(pair))
        with _again(file, trust, self.kept_in.folder, paths.over(last.paths).components) as bundle:
            return self._to_its_end(pair, engine.resume(pair, bundle, window=window))

    def _verified(
        self, file: Path, request: CheckRequest, paths: InvocationPaths
    ) -> AbstractContextManager[CheckedBundle]:
        return verified(file, request, folder=self.kept_in.folder, components=paths.components, progress=self._progress)

    def _to_its_end(self, pair: str, outcome: Outcome) -> Outcome:
        if outcome.kind not in {"waiting", "busy"}:
            with suppress(JournalError):  # it names this run only, so it can meet no other
                self.kept_in.cancel_request(pair).withdraw()
        return outcome

    def _engine(self, journal: Journal, pair: str, hooks: Hooks, paths: InvocationPaths = UNKNOWN) -> Engine:
        watched = Watched(hooks, self._watch)
        request = self.kept_in.cancel_request(pair)

        def cancel() -> bool:
            run = request.asked()
            return self._cancel() or (run != "" and run == History.of(journal.read(pair)).run)

        return Engine(
            journal=journal,
            hooks=watched,
            clock=self.clock,
            cancel=cancel,
            detach=self._detach,
            holder=holder(),
            paths=paths,
            is_ours=self.kept_in.is_ours,
        )

    def _keep(self, pair: str, bundle: CheckedBundle) -> None:
        """Keep the inputs of the run's decision next to the journal, for the support bundle."""
        for suffix, value in (("report.json", bundle.report), ("state.json", bundle.appliance)):
            if value is not None:
                self.kept_in.keep(pair, suffix, as_json.render(value).encode() + b"\n")

    @contextmanager
    def _at(self, pair: str) -> Iterator[tuple[Journal, int]]:
        """The pair's lock and the journal, for as long as the block runs."""
        with self.kept_in.held(pair) as held:
            try:
                yield held
            except OSError as error:
                where = error.filename or device_of(self.kept_in.folder)
                raise JournalError(
                    f"The update of pair {pair} stopped, because {where} cannot be used: {error.strerror}.",
                    next_step=f"See {command('update status')}, then resume.",
                ) from error


@contextmanager
def _again(
    file: Path, trust: TrustStore | None, folder: Path, components: Mapping[str, str]
) -> Iterator[OpenBundle | BundleRejected | BundleMissing | None]:
    """The bundle of a run that has begun; why it is rejected or missing; or None without trusted signers."""
    with ExitStack() as stack:
        bundle: OpenBundle | BundleRejected | BundleMissing | None = None
        if trust is not None:
            try:
                bundle = stack.enter_context(reopened(file, trust=trust, folder=folder, components=components))
            except NotAcceptedError as error:
                bundle = BundleRejected(reason=error.message)
            except UnreadableError as error:
                bundle = BundleMissing(reason=error.message)
        yield bundle
