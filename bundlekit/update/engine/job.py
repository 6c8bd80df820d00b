"""The job: a plan bound to one pair and one verified bundle. The first record of every run holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from bundlekit.model.matrix import Condition
from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.plan import Plan


class Payload(Protocol):
    """What hooks get the component from: an open bundle (``verified``), or a stand-in in a test."""

    @property
    def bundle_id(self) -> str:
        """The bundle id: ``sha256:`` and the digest of the head, in hex."""

    def stage(self, label: str) -> AbstractContextManager[BinaryIO]:
        """A staged copy of what is stored under ``label``, verified chunk by chunk as it was copied.

        The copy is sealed or unlinked and at its first byte; it is gone when the context ends. Raises
        BundlekitError if the bundle no longer is what was checked: then no byte has been handed over.
        """

    def chunks(self, label: str) -> Iterator[memoryview]:
        """What is stored under ``label``, chunk by chunk, each verified before it is handed over.

        A view is valid until the next one is asked for. Raises BundlekitError at the first chunk that no
        longer is what was checked.
        """


class Target(Frozen, frozen=True, kw_only=True):
    """What one step is about: which part of the bundle, on whom, from which version to which.

    ``identity`` is the serial of the member, or the pair's name for what the pair shares. ``size`` is in
    bytes, ``digest`` is ``algorithm:hex``. ``released`` (YYYY-MM-DD) and ``build`` are those of the bundle, for the
    component whose version is the bundle's; empty for others.
    """

    component: str
    label: str
    identity: str
    role: str
    old: str
    new: str
    size: int
    digest: str
    released: str = ""
    build: str = ""


class Job(Frozen, frozen=True, kw_only=True):
    """One update of one pair.

    ``targets`` are the steps whose component the bundle carries, in the order of the plan's groups; the other
    components stay. ``incompatible`` maps a failing step to components that the plan would keep on their new version.
    The bundle's matrix does not allow these with the reverted components.

    ``counter`` is the bundle's security counter, and ``counter_before`` is that of the pair, according to the state.
    ``product`` and ``model`` are the pair's, according to the state (empty in the journal of an older version).
    ``free`` is the space that must be free, in bytes by place. ``facts`` are the conditions that the bundle sets.

    ``minutes`` and ``revert_minutes`` are the vendor's estimates of the update and its revert. ``hold`` is why the
    state contains a hold. ``repair`` lets a run start on hold, and on a half-written step after the commit point.
    Such a run starts from the versions that the components report, not from those in ``targets``.
    """

    plan: Plan
    pair: str
    bundle_id: str
    path: str
    version: str
    targets: dict[str, Target]
    product: str = ""
    model: str = ""
    incompatible: dict[str, tuple[str, ...]] = {}
    counter: int = 0
    counter_before: int | None = None
    free: dict[str, int] = {}
    facts: tuple[Condition, ...] = ()
    minutes: int | None = None
    revert_minutes: int | None = None
    hold: str = ""
    repair: bool = False

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The steps of each group that have something to do. The first group can be empty."""
        return tuple(tuple(step for step in group.steps if step in self.targets) for group in self.plan.groups)
