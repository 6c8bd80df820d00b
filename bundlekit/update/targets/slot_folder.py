"""What a slots target keeps on disk: the records of components and of the pair, and the folders they lie in.

``bundlekit explain slots`` has the layout. Every record is replaced by one rename; every name is looked up in a
folder that is held open; no link is followed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Literal, Self, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from bundlekit.model.primitives import Count, Date, DigestText, KeyName, Name, Size, Strict, VersionText
from bundlekit.update.engine.hooks import Request
from bundlekit.update.engine.job import Target
from bundlekit.update.engine.records import Instant
from bundlekit.update.state import private_files
from bundlekit.update.targets.slot_file import SlotError, SlotFile

Letter = Literal["a", "b"]
OTHER: Final[dict[Letter, Letter]] = {"a": "b", "b": "a"}

SHARED: Final = "shared"
"""The folder of what the pair shares, in the place of a member's serial."""

PATIENCE: Final = 5.0
"""Seconds that a change waits for a reader. Another change is not over in that time."""

MAX_RECORD: Final = 64 * 1024
"""The maximum bytes of a record or pair file. A larger file is a foreign one."""

S = TypeVar("S", bound=msgspec.Struct)


class Slot(Strict, frozen=True, kw_only=True):
    """The content of a slot. It is set only while all of the slot's bytes are known to be good.

    ``build`` and ``released`` are those of the bundle that it came from; None: not known.
    """

    version: VersionText
    size: Size
    digest: DigestText
    build: VersionText | None = None
    released: Date | None = None

    def holds(self, other: Slot) -> bool:
        """Whether the bytes are the same; a record of an older version has no build and no date."""
        return (self.version, self.size, self.digest) == (other.version, other.size, other.digest)


class SlotRecord(Strict, frozen=True, kw_only=True):
    """``record.json``: all that a component records about itself.

    ``active`` is the pointer. ``previous`` is where ``revert`` goes, None once committed. ``a`` and ``b`` are None
    while the slot contains no complete image. ``devices`` names block devices to be used in place of the files ``a``
    and ``b``. ``fence`` is the highest fence seen, and ``owner`` is the claim of that fence. ``run`` is the run in
    progress, empty once it has cleaned up. ``committed`` is the run whose commit point the component has passed.
    """

    schema: Literal["bundlekit/slots/1"]
    identity: Name
    component: KeyName
    role: Literal["active", "standby", "shared"]
    active: Letter = "a"
    previous: Letter | None = None
    a: Slot | None = None
    b: Slot | None = None
    devices: dict[Letter, Annotated[str, Meta(pattern="^/dev/")]] = {}
    fence: Count = 0
    owner: str = ""
    run: str = ""
    committed: str = ""
    hold: str = ""

    @property
    def inactive(self) -> Letter:
        """The slot that can be written to."""
        return OTHER[self.active]

    @property
    def running(self) -> Slot | None:
        """What is in the active slot."""
        return self.slot(self.active)

    def slot(self, letter: Letter) -> Slot | None:
        """What is in the slot ``letter``."""
        return self.a if letter == "a" else self.b

    def refuses(self, request: Request) -> str:
        """Why the component belongs to another controller than the one that asks; empty if it does not."""
        if request.fence < self.fence:
            return f"fence {request.fence} is below {self.fence}: another controller has claimed it"
        if request.fence == self.fence and self.owner not in {"", request.owner or request.run}:
            return f"fence {request.fence} is another controller's: it was claimed twice"
        seen = self.fence if request.fence_seen is None else request.fence_seen
        if request.fence > self.fence > seen and self.run != request.run:
            return f"fence {self.fence} came since the last probe, which saw {seen}: another controller was here"
        return ""

    def marked(self, request: Request) -> SlotRecord:
        """The record with the marks of the controller that asks."""
        return replace(self, fence=request.fence, owner=request.owner or request.run, run=request.run)

    def holding(self, letter: Letter, slot: Slot | None) -> SlotRecord:
        """The record with ``slot`` in ``letter``. If ``previous`` was that slot, no revert is possible any more."""
        previous = None if self.previous == letter else self.previous
        return replace(self, previous=previous, **{letter: slot})


class PairRecord(Strict, frozen=True, kw_only=True):
    """``pair.json``. ``synchronise`` is the time in seconds from a change until HA is formed again."""

    schema: Literal["bundlekit/slots-pair/1"]
    pair: Name
    product: Name
    model: Name
    counter: Count | None = None
    synchronise: Count = 0
    changed: Instant | None = None
    sandbox: bool = False


class Place:
    """The folder of one component, held open; all names are looked up in that very folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = _open_folder(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.folder)

    def read(self) -> SlotRecord:
        """The record; SlotError if there is none that can be read."""
        return _read(self.folder, "record.json", SlotRecord, self.path)

    def write(self, record: SlotRecord) -> SlotRecord:
        """Replace the record, durably and at once."""
        replace_file(self.folder, "record.json", record)
        return record

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process changes the component meanwhile, on this host. SlotError if one does now."""
        until = time.monotonic() + PATIENCE
        while not self._lock(fcntl.LOCK_EX):
            if time.monotonic() >= until:
                raise SlotError(f"{self.path} is being changed by another process")
            time.sleep(0.02)
        try:
            yield
        finally:
            fcntl.flock(self.folder, fcntl.LOCK_UN)

    def quiet(self) -> bool:
        """Whether no process is changing the component now."""
        if not self._lock(fcntl.LOCK_SH):
            return False
        fcntl.flock(self.folder, fcntl.LOCK_UN)
        return True

    def _lock(self, kind: int) -> bool:
        try:
            fcntl.flock(self.folder, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def open(self, record: SlotRecord, letter: Letter, *, write: bool = False) -> SlotFile:
        """The slot ``letter``, which is not the other one under another name; SlotError otherwise."""
        with ExitStack() as undo:
            slot = undo.enter_context(self._open(record, letter, write=write))
            with self._open(record, OTHER[letter]) as other:
                if other.identity == slot.identity:
                    raise SlotError(f"slots a and b of {self.path} are the same file")
            undo.pop_all()
        return slot

    def _open(self, record: SlotRecord, letter: Letter, *, write: bool = False) -> SlotFile:
        name = record.devices.get(letter, letter)
        return SlotFile(name, folder=self.folder, device=letter in record.devices, write=write)

    @contextmanager
    def whole(self, record: SlotRecord, letter: Letter) -> Iterator[SlotFile]:
        """The slot ``letter``, after all that its record lists was read back. SlotError otherwise."""
        recorded = record.slot(letter)
        if recorded is None:
            raise SlotError(f"slot {letter} of {self.path} contains no complete image")
        with self.open(record, letter) as slot:
            slot.ensure(recorded.digest, recorded.size)
            yield slot

    def empty(self, record: SlotRecord) -> SlotRecord:
        """Forget what is in the inactive slot, then make it unusable."""
        record = self.write(record.holding(record.inactive, None))
        with self.open(record, record.inactive, write=True) as slot:
            slot.invalidate()
        return record

    def health(self, letter: Letter) -> str:
        """The fault that the software in a slot reports, in the file ``a.unhealthy`` or ``b.unhealthy``."""
        try:
            return _read_bytes(self.folder, f"{letter}.unhealthy").decode(errors="replace").strip() or "unhealthy"
        except FileNotFoundError:
            return ""

    def forget_health(self, letter: Letter) -> None:
        """Remove the health report of the software before, because it is not about the next one."""
        with suppress(FileNotFoundError):
            os.unlink(f"{letter}.unhealthy", dir_fd=self.folder)


def component_folder(root: Path, pair: str, target: Target) -> Path:
    """Where a component is. A role in the place of the identity names the member that has it."""
    if target.role == "shared":
        return root / pair / SHARED / target.component
    if target.identity != target.role:
        return root / pair / target.identity / target.component
    for path in component_folders(root, pair):
        with Place(path) as place:
            record = place.read()
            if (record.component, record.role) == (target.component, target.role):
                return path
    raise SlotError(f"{root / pair} has no {target.role} with a component {target.component}")


def component_folders(root: Path, pair: str) -> list[Path]:
    """The folders of all components of the pair."""
    return sorted(path.parent for path in (root / pair).glob("*/*/record.json"))


def read_pair(root: Path, pair: str) -> PairRecord:
    """What the pair shares; SlotError if there is no such pair."""
    with held(root / pair) as folder:
        return _read(folder, "pair.json", PairRecord, root / pair)


def update_pair(path: Path, update: Callable[[PairRecord], PairRecord]) -> None:
    """Replace what the pair shares by what ``update`` makes of it; two who do so at once do not lose either."""
    with held(path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)  # held for the moment of one small write
        replace_file(folder, "pair.json", update(_read(folder, "pair.json", PairRecord, path)))


@contextmanager
def held(path: Path) -> Iterator[int]:
    """The folder at ``path``, held open; SlotError if it is a link or not there."""
    folder = _open_folder(path)
    try:
        yield folder
    finally:
        os.close(folder)


def _open_folder(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SlotError(f"{path} cannot be opened: {error.strerror}") from error


def _read_bytes(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    try:
        return os.read(descriptor, MAX_RECORD)
    finally:
        os.close(descriptor)


def _read(folder: int, name: str, kind: type[S], path: Path) -> S:
    try:
        return msgspec.json.decode(_read_bytes(folder, name), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SlotError(f"{path / name} cannot be read: {why}") from error


def replace_file(folder: int, name: str, record: msgspec.Struct) -> None:
    """Replace a small file, so that at any moment the old or the new one exists, whole and durable."""
    private_files.replace(folder, name, msgspec.json.format(msgspec.json.encode(record)) + b"\n")


def free_bytes(folder: int) -> int:
    """The bytes that can still be written to the file system of an open folder."""
    status = os.fstatvfs(folder)
    return status.f_bavail * status.f_frsize
