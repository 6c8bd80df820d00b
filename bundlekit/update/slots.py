"""Hooks over A/B slots: an appliance pair with its storage that exists as folders.

The layout, in full in ``bundlekit explain slots``:

    ROOT/PAIR/pair.json                     what the pair shares: counter, last change, how long HA takes
    ROOT/PAIR/SERIAL/COMPONENT/record.json  the pointer, what is in which slot, fence, commit mark, hold
    ROOT/PAIR/SERIAL/COMPONENT/a, b         the slots; for what the pair shares, SERIAL is ``shared``

``prepare`` writes the inactive slot, ``apply`` switches by replacing the record, ``revert`` switches back as
long as ``commit`` has not dropped the way back. One rename of one small file changes pointer and marks
together, so there is no moment at which they disagree.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
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

from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.model.appliance import Appliance, InstalledComponent, Member
from bundlekit.model.primitives import Count, DigestText, Key, Name, Size, Strict, VersionText
from bundlekit.update.clock import Clock, SystemClock
from bundlekit.update.hooks import Hooks, Request
from bundlekit.update.job import Target
from bundlekit.update.records import Answer, Instant
from bundlekit.update.slotfile import SlotError, SlotFile

Letter = Literal["a", "b"]
OTHER: Final[dict[Letter, Letter]] = {"a": "b", "b": "a"}

SHARED: Final = "shared"
"""The folder of what the pair shares, in the place of a member's serial."""

PATIENCE: Final = 5.0
"""Seconds that a change waits for somebody who only looks; another change is not over in that time."""

MAX_RECORD: Final = 64 * 1024
"""Bytes of a record or pair file; a larger one is none of ours."""

S = TypeVar("S", bound=msgspec.Struct)


class Slot(Strict, frozen=True, kw_only=True):
    """What is in a slot. It is there only while all of the slot's bytes are known to be good."""

    version: VersionText
    size: Size
    digest: DigestText


class SlotRecord(Strict, frozen=True, kw_only=True):
    """``record.json``: all that a component knows of itself.

    ``active`` is the pointer; ``previous`` is where ``revert`` goes, None once committed. ``a`` and ``b`` are
    None while the slot holds nothing whole. ``devices`` names block devices to be used in place of the files
    ``a`` and ``b``. ``committed`` is the run whose commit point the component has passed.
    """

    schema: Literal["bundlekit/slots/1"]
    identity: Name
    component: Key
    role: Literal["active", "standby", "shared"]
    active: Letter = "a"
    previous: Letter | None = None
    a: Slot | None = None
    b: Slot | None = None
    devices: dict[Letter, Annotated[str, Meta(pattern="^/dev/")]] = {}
    fence: Count = 0
    committed: str = ""
    hold: str = ""

    @property
    def inactive(self) -> Letter:
        """The slot that may be written to."""
        return OTHER[self.active]

    @property
    def running(self) -> Slot | None:
        """What is in the active slot."""
        return self.slot(self.active)

    def slot(self, letter: Letter) -> Slot | None:
        """What is in the slot ``letter``."""
        return self.a if letter == "a" else self.b

    def holding(self, letter: Letter, slot: Slot | None) -> SlotRecord:
        """The record with ``slot`` in ``letter``; a way back that led there is gone."""
        previous = None if self.previous == letter else self.previous
        return replace(self, previous=previous, **{letter: slot})


class PairRecord(Strict, frozen=True, kw_only=True):
    """``pair.json``. ``synchronise`` is how many seconds after a change HA is there again."""

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
        _write(self.folder, "record.json", record)
        return record

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes the component meanwhile, on this host; SlotError if somebody does now."""
        until = time.monotonic() + PATIENCE
        while not self._lock(fcntl.LOCK_EX):
            if time.monotonic() >= until:
                raise SlotError(f"{self.path} is being changed by somebody else")
            time.sleep(0.02)
        try:
            yield
        finally:
            fcntl.flock(self.folder, fcntl.LOCK_UN)

    def quiet(self) -> bool:
        """Whether nobody is changing the component now."""
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
                    raise SlotError(f"slots a and b of {self.path} are one and the same")
            undo.pop_all()
        return slot

    def _open(self, record: SlotRecord, letter: Letter, *, write: bool = False) -> SlotFile:
        name = record.devices.get(letter, letter)
        return SlotFile(name, folder=self.folder, device=letter in record.devices, write=write)

    @contextmanager
    def whole(self, record: SlotRecord, letter: Letter) -> Iterator[SlotFile]:
        """The slot ``letter``, after all that the record says is in it was read back; SlotError otherwise."""
        said = record.slot(letter)
        if said is None:
            raise SlotError(f"slot {letter} of {self.path} holds nothing whole")
        with self.open(record, letter) as slot:
            slot.ensure(said.digest, said.size)
            yield slot

    def empty(self, record: SlotRecord) -> SlotRecord:
        """Forget what is in the inactive slot, then make it unusable."""
        record = self.write(record.holding(record.inactive, None))
        with self.open(record, record.inactive, write=True) as slot:
            slot.invalidate()
        return record

    def health(self, letter: Letter) -> str:
        """What the software in a slot says is wrong with it, in the file ``a.unhealthy`` or ``b.unhealthy``."""
        try:
            return _read_bytes(self.folder, f"{letter}.unhealthy").decode(errors="replace").strip() or "unhealthy"
        except FileNotFoundError:
            return ""

    def forget_health(self, letter: Letter) -> None:
        """What the software before said is not said of the one that comes."""
        with suppress(FileNotFoundError):
            os.unlink(f"{letter}.unhealthy", dir_fd=self.folder)


class SlotHooks(Hooks):
    """Hooks over the pairs in ``root``; ``clock`` counts the time until HA is there again."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self.root = root
        self.clock = clock or SystemClock()

    def describe(self, request: Request) -> Answer:
        """Identity, version, counter and free space, as they are now."""
        try:
            pair = read_pair(self.root, request.pair)
            with self._place(request) as place:
                record = place.read()
                with place.open(record, record.inactive) as slot:
                    free = slot.space() or slot.size() + _free(place.folder)
                return Answer(
                    kind="ok",
                    identity=record.identity,
                    version=_version(record),
                    reverts=True,
                    counter=pair.counter,
                    free={record.component: free},
                    fence=record.fence,
                    sandbox=pair.sandbox,
                )
        except (BundlekitError, OSError) as error:
            return Answer(kind="rejected", reason=_reason(error))

    def prepare(self, request: Request) -> Answer:
        """Write the component to the inactive slot and read it back."""
        return self._change(request, _write_slot, refusal="rejected")

    def apply(self, request: Request) -> Answer:
        """Read the inactive slot back once more, then switch to it."""
        return self._change(request, self._switch)

    def probe(self, request: Request) -> Answer:
        """What the pointer points to, and the marks; the bytes are for ``verify`` to read."""
        try:
            with self._place(request) as place:
                if not place.quiet():
                    return Answer(kind="busy", reason="somebody is changing it")
                record = place.read()
                return Answer(
                    kind=_state(place, record, _target(request)),
                    version=_version(record),
                    fence=record.fence,
                    committed=record.committed or None,
                    hold=record.hold or None,
                )
        except (BundlekitError, OSError) as error:
            return Answer(kind="unknown", reason=_reason(error))

    def verify(self, request: Request) -> Answer:
        """Read the whole active slot from the medium and ask the software in it for its health."""
        try:
            with self._place(request) as place:
                record = place.read()
                with place.whole(record, record.active):
                    if reason := place.health(record.active):
                        raise SlotError(f"it says of itself: {reason}")
                    return Answer(kind="ok", version=_version(record))
        except (BundlekitError, OSError) as error:
            return Answer(kind="failed", reason=_reason(error))

    def commit(self, request: Request) -> Answer:
        """Drop the way back, leave the run as commit mark, then raise the security counter."""
        return self._change(request, self._commit)

    def revert(self, request: Request) -> Answer:
        """Switch back, after the old bytes were read back; a no-op where the old version still is."""
        return self._change(request, self._switch_back)

    def gate(self, request: Request) -> Answer:
        """Ready when both members are whole and run one version, and storage had the time to synchronise."""
        try:
            pair = read_pair(self.root, request.pair)
            versions: dict[str, str] = {}
            for path in component_folders(self.root, request.pair):
                with Place(path) as place:
                    record = place.read()
                    if not place.quiet() or record.running is None or place.health(record.active):
                        return Answer(kind="not-yet", reason=f"{record.component} of {record.identity} is not whole")
                    if record.role != "shared":
                        first = versions.setdefault(record.component, record.running.version)
                        if first != record.running.version:
                            return Answer(kind="not-yet", reason="the members run different versions")
            left = pair.synchronise - pair.changed.until(self.clock.now()) if pair.changed else 0
        except (BundlekitError, OSError) as error:
            return Answer(kind="not-yet", reason=_reason(error))
        if left > 0:
            return Answer(kind="not-yet", reason=f"storage synchronises, {left:.0f} s to go")
        return Answer(kind="ready")

    def cleanup(self, request: Request) -> Answer:
        """Empty the inactive slot unless it is the way back; leave or lift the hold."""
        return self._change(request, _clean)

    def reimage(self, request: Request) -> Answer:
        """Put a sandbox onto a version and forget all marks; in a rehearsal only."""
        try:
            if not read_pair(self.root, request.pair).sandbox:
                raise SlotError(f"{request.pair} is no sandbox")
            target = _target(request)
            folder = _folder_of(self.root, request.pair, target)
            install(folder, target.new, f"{target.component} {target.new}\n".encode())
            with Place(folder) as place, place.alone():
                record = place.empty(place.read())
                place.write(replace(record, fence=0, committed="", hold=""))
            _update_pair(folder.parents[1], lambda pair: replace(pair, counter=request.counter))
        except (BundlekitError, OSError) as error:
            return Answer(kind="failed", reason=_reason(error))
        return Answer(kind="ok")

    def _place(self, request: Request) -> Place:
        return Place(_folder_of(self.root, request.pair, _target(request)))

    def _change(
        self,
        request: Request,
        act: Callable[[Place, SlotRecord, Request], SlotRecord],
        *,
        refusal: Literal["rejected", "failed"] = "failed",
    ) -> Answer:
        """Do ``act`` alone and behind the fence; whatever stands against it becomes the answer."""
        try:
            with self._place(request) as place, place.alone():
                record = place.read()
                if request.fence < record.fence:
                    raise SlotError(f"fence {request.fence} is below {record.fence}: another controller was here")
                if request.fence > record.fence:
                    record = place.write(replace(record, fence=request.fence))
                return Answer(kind="ok", version=_version(act(place, record, request)))
        except (BundlekitError, OSError) as error:
            return Answer(kind=refusal, reason=_reason(error))

    def _switch(self, place: Place, record: SlotRecord, request: Request) -> SlotRecord:
        wanted = _wanted(request)
        if record.running == wanted:
            return record
        if record.slot(record.inactive) != wanted:
            raise SlotError(f"{wanted.version} is not prepared in slot {record.inactive}")
        return self._turn(place, record, record.active)

    def _switch_back(self, place: Place, record: SlotRecord, request: Request) -> SlotRecord:
        old = _target(request).old
        if _version(record) != old:
            if record.previous is None:
                raise SlotError(f"the way back to {old} was dropped")
            record = self._turn(place, record, None)
            if _version(record) != old:
                raise SlotError(f"the way back leads to {_version(record)}, not to {old}")
        return record if record.slot(record.inactive) is None else place.empty(record)

    def _turn(self, place: Place, record: SlotRecord, previous: Letter | None) -> SlotRecord:
        """Make the inactive slot the active one, if its bytes are what the record says."""
        with place.whole(record, record.inactive) as slot:
            _update_pair(place.path.parents[1], lambda pair: replace(pair, changed=self.clock.now()))
            slot.still_named()
            return place.write(replace(record, active=record.inactive, previous=previous))

    def _commit(self, place: Place, record: SlotRecord, request: Request) -> SlotRecord:
        new = _target(request).new
        if _version(record) != new:
            raise SlotError(f"it runs {_version(record)}, not {new}")
        if record.slot(record.inactive) is not None:
            record = place.empty(record)
        record = place.write(replace(record, previous=None, committed=request.run))
        _update_pair(place.path.parents[1], lambda pair: replace(pair, counter=max(pair.counter or 0, request.counter)))
        return record


def _write_slot(place: Place, record: SlotRecord, request: Request) -> SlotRecord:
    """Fill the inactive slot; until all of it was read back nothing says that anything is in it.

    A slot that is said to hold the component already is read, never believed.
    """
    wanted, letter = _wanted(request), record.inactive
    if record.running == wanted:
        return record
    if record.slot(letter) == wanted:
        with suppress(SlotError), place.whole(record, letter):
            return record
    with place.open(record, letter, write=True) as slot:
        space = slot.space()
        if space is not None and space < wanted.size:
            raise SlotError(f"slot {letter} has {space} bytes, {wanted.size} are needed")
        record = place.write(record.holding(letter, None))
        place.forget_health(letter)
        try:
            with request.stage() as image:
                slot.write(image, wanted.size)
            slot.ensure(wanted.digest, wanted.size)
            slot.still_named()
        except BaseException:
            slot.invalidate()
            raise
    return place.write(record.holding(letter, wanted))


def _clean(place: Place, record: SlotRecord, request: Request) -> SlotRecord:
    if record.previous is None and record.slot(record.inactive) is not None:
        record = place.empty(record)
    return place.write(replace(record, hold=request.hold))


def _state(place: Place, record: SlotRecord, target: Target) -> Literal["old", "new", "partial", "unknown"]:
    running = record.running
    if running is None:
        return "partial"
    with place.open(record, record.active) as slot:
        if slot.size() < running.size:
            return "partial"
    return "new" if running.version == target.new else "old" if running.version == target.old else "unknown"


def _target(request: Request) -> Target:
    if request.target is None:
        raise SlotError(f"{request.verb} names no component")
    return request.target


def _wanted(request: Request) -> Slot:
    target = _target(request)
    return Slot(version=target.new, size=target.size, digest=target.digest)


def _version(record: SlotRecord) -> str | None:
    return record.running.version if record.running else None


def _reason(error: BundlekitError | OSError) -> str:
    return error.message if isinstance(error, BundlekitError) else error.strerror or str(error)


# --- the folders --------------------------------------------------------------------------------------------


def _folder_of(root: Path, pair: str, target: Target) -> Path:
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
    with _held(root / pair) as folder:
        return _read(folder, "pair.json", PairRecord, root / pair)


def _update_pair(path: Path, update: Callable[[PairRecord], PairRecord]) -> None:
    with _held(path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)  # held for the moment of one small write
        _write(folder, "pair.json", update(_read(folder, "pair.json", PairRecord, path)))


@contextmanager
def _held(path: Path) -> Iterator[int]:
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


def _write(folder: int, name: str, record: msgspec.Struct) -> None:
    """Replace a small file, so that at any moment the old or the new one is there, whole and durable."""
    temporary = f".{name}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        os.write(descriptor, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _free(folder: int) -> int:
    status = os.fstatvfs(folder)
    return status.f_bavail * status.f_frsize


# --- making and looking at a target -------------------------------------------------------------------------


def init(
    root: Path,
    pair: str,
    *,
    product: str,
    model: str,
    version: str,
    storage: str,
    members: tuple[str, str] = ("SN-1", "SN-2"),
    counter: int | None = None,
    synchronise: int = 0,
    sandbox: bool = False,
) -> Path:
    """Make a pair that exists as folders: two appliances on ``version``, storage on ``storage``.

    ``members`` are the serials of active and standby. What is installed is a line of text; updates bring real
    bytes. Returns the pair's folder. Raises ConfigError if it is there already.
    """
    path = root / pair
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already", next_step="Name another pair, or remove the folder.") from error
    shared = PairRecord(
        schema="bundlekit/slots-pair/1",
        pair=pair,
        product=product,
        model=model,
        counter=counter,
        synchronise=synchronise,
        sandbox=sandbox,
    )
    for owner, role, component, runs in (
        (SHARED, "shared", "storage", storage),
        (members[0], "active", "appliance", version),
        (members[1], "standby", "appliance", version),
    ):
        folder = path / owner / component
        folder.mkdir(mode=0o700, parents=True)
        for letter in ("a", "b"):
            (folder / letter).touch(mode=0o600)
        identity = pair if owner == SHARED else owner
        record = SlotRecord(schema="bundlekit/slots/1", identity=identity, component=component, role=role)  # type: ignore[arg-type]
        with Place(folder) as place:
            place.write(record)
        install(folder, runs, f"{component} {runs}\n".encode())
    with _held(path) as descriptor:
        _write(descriptor, "pair.json", shared)
    return path


def install(folder: Path, version: str, image: bytes) -> None:
    """Put ``image`` into the active slot of the component in ``folder``: what a person does who re-images it."""
    digest = f"sha256:{hashlib.sha256(image).hexdigest()}"
    with Place(folder) as place, place.alone():
        record = place.read()
        with place.open(record, record.active, write=True) as slot:
            slot.write(io.BytesIO(image), len(image))
        place.forget_health(record.active)
        installed = Slot(version=version, size=len(image), digest=digest)
        place.write(replace(record.holding(record.active, installed), previous=None))


def state(root: Path, pair: str) -> Appliance:
    """The pair as a STATE.json would describe it, read from the folders. Raises SlotError."""
    shared = read_pair(root, pair)
    members: dict[str, Member] = {}
    components: dict[str, InstalledComponent] = {}
    holds = []
    for path in component_folders(root, pair):
        with Place(path) as place:
            record = place.read()
            free = {record.component: _free(place.folder)}
        if record.running is None:
            raise SlotError(f"{path}: the active slot holds nothing whole")
        holds += [record.hold] if record.hold else []
        if record.role == "shared":
            components[record.component] = InstalledComponent(version=record.running.version)
        else:
            members[record.identity] = Member(role=record.role, version=record.running.version, free=free)
    return Appliance(
        schema="bundlekit/state/1",
        pair=shared.pair,
        product=shared.product,
        model=shared.model,
        members=members,
        components=components,
        counter=shared.counter,
        hold=holds[0] if holds else None,
    )
