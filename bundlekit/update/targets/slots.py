"""Hooks over A/B slots: an appliance pair with its storage that exists as folders.

The layout, in full in ``bundlekit explain slots``:

    ROOT/PAIR/pair.json                     what the pair shares: counter, last change, how long HA takes
    ROOT/PAIR/SERIAL/COMPONENT/record.json  the pointer, what is in which slot, fence, commit mark, hold
    ROOT/PAIR/SERIAL/COMPONENT/a, b         the slots; for what the pair shares, SERIAL is ``shared``

``prepare`` writes the inactive slot. ``apply`` switches by replacing the record. ``revert`` switches back, until
``commit`` has dropped the previous slot. One rename of one small file changes pointer and marks together, so they never
disagree.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from bundlekit._version import __version__
from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.model.appliance import Appliance, InstalledComponent, Member
from bundlekit.update.engine.clock import Clock, SystemClock
from bundlekit.update.engine.hooks import Hooks, Request
from bundlekit.update.engine.job import Target
from bundlekit.update.engine.records import Answer
from bundlekit.update.targets.slot_file import SlotError
from bundlekit.update.targets.slot_folder import (
    SHARED,
    Letter,
    PairRecord,
    Place,
    Slot,
    SlotRecord,
    component_folder,
    component_folders,
    free_bytes,
    held,
    read_pair,
    replace_file,
    update_pair,
)


class SlotHooks(Hooks):
    """Hooks over the pairs in ``root``. ``clock`` counts the time until HA is formed again."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self.root = root
        self.clock = clock or SystemClock()

    def describe(self, request: Request) -> Answer:
        """What it is, version, counter and free space, as they are now."""
        try:
            pair = read_pair(self.root, request.pair)
            with self._place(request) as place:
                record = place.read()
                with place.open(record, record.inactive) as slot:
                    free = slot.space() or slot.size() + free_bytes(place.folder)
                return Answer(
                    kind="ok",
                    identity=record.identity,
                    version=_version(record),
                    build=record.running.build if record.running else None,
                    released=record.running.released if record.running else None,
                    product=pair.product,
                    model=pair.model,
                    role=record.role,
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
        """Read the inactive slot back again, then switch to it."""
        return self._change(request, self._switch)

    def probe(self, request: Request) -> Answer:
        """What the pointer points to, and the marks; the bytes are for ``verify`` to read."""
        try:
            with self._place(request) as place:
                if not place.quiet():
                    return Answer(kind="busy", reason="another process is changing it")
                record = place.read()
                return Answer(
                    kind=_state(place, record, _target(request)),
                    version=_version(record),
                    fence=record.fence,
                    owner=record.owner,
                    run=record.run,
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
                        raise SlotError(f"its software reports: {reason}")
                    return Answer(kind="ok", version=_version(record))
        except (BundlekitError, OSError) as error:
            return Answer(kind="failed", reason=_reason(error))

    def commit(self, request: Request) -> Answer:
        """Give up the previous slot, leave the run as commit mark, then raise the security counter."""
        return self._change(request, self._commit)

    def revert(self, request: Request) -> Answer:
        """Switch back, after the old bytes were read back; a no-op where the old version still is."""
        return self._change(request, self._switch_back)

    def gate(self, request: Request) -> Answer:
        """Ready when both members are whole and run one version, and storage had the time to synchronise.

        Between groups the members run two versions.
        """
        try:
            pair = read_pair(self.root, request.pair)
            versions: dict[str, str] = {}
            for path in component_folders(self.root, request.pair):
                with Place(path) as place:
                    record = place.read()
                    if not place.quiet() or record.running is None or place.health(record.active):
                        return Answer(kind="not-yet", reason=f"{record.component} of {record.identity} is not complete")
                    if record.role != "shared":
                        first = versions.setdefault(record.component, record.running.version)
                        if first != record.running.version and request.after != "group":
                            return Answer(kind="not-yet", reason="the members run different versions")
            left = pair.synchronise - pair.changed.until(self.clock.now()) if pair.changed else 0
        except (BundlekitError, OSError) as error:
            return Answer(kind="not-yet", reason=_reason(error))
        if left > 0:
            return Answer(kind="not-yet", reason=f"storage synchronises, {left:.0f} s remaining")
        return Answer(kind="ready")

    def cleanup(self, request: Request) -> Answer:
        """Empty the inactive slot unless a revert needs it; leave or lift the hold."""
        return self._change(request, _clean)

    def reimage(self, request: Request) -> Answer:
        """Set a sandbox to a version and forget all marks. Only rehearsals call it."""
        try:
            if not read_pair(self.root, request.pair).sandbox:
                raise SlotError(f"{request.pair} is not a sandbox")
            target = _target(request)
            folder = component_folder(self.root, request.pair, target)
            install_slot(folder, target.new, f"{target.component} {target.new}\n".encode())
            with Place(folder) as place, place.alone():
                record = place.empty(place.read())
                place.write(replace(record, fence=0, owner="", run="", committed="", hold=""))
            update_pair(folder.parents[1], lambda pair: replace(pair, counter=request.counter))
        except (BundlekitError, OSError) as error:
            return Answer(kind="failed", reason=_reason(error))
        return Answer(kind="ok")

    def _place(self, request: Request) -> Place:
        return Place(component_folder(self.root, request.pair, _target(request)))

    def _change(
        self,
        request: Request,
        act: Callable[[Place, SlotRecord, Request], SlotRecord],
        *,
        refusal: Literal["rejected", "failed"] = "failed",
    ) -> Answer:
        """Do ``act`` alone and with the fence checked. An obstacle becomes the answer."""
        try:
            with self._place(request) as place, place.alone():
                record = place.read()
                if why := record.refuses(request):
                    return Answer(kind="fenced", reason=why)
                if (marked := record.marked(request)) != record:
                    record = place.write(marked)
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
                raise SlotError(f"a revert to {old} is no longer possible")
            record = self._turn(place, record, None)
            if _version(record) != old:
                raise SlotError(f"the previous version is {_version(record)}, not {old}")
        return record if record.slot(record.inactive) is None else place.empty(record)

    def _turn(self, place: Place, record: SlotRecord, previous: Letter | None) -> SlotRecord:
        """Make the inactive slot the active one, if its bytes are those of the record."""
        with place.whole(record, record.inactive) as slot:
            update_pair(place.path.parents[1], lambda pair: replace(pair, changed=self.clock.now()))
            slot.still_named()
            return place.write(replace(record, active=record.inactive, previous=previous))

    def _commit(self, place: Place, record: SlotRecord, request: Request) -> SlotRecord:
        new = _target(request).new
        if _version(record) != new:
            raise SlotError(f"it runs {_version(record)}, not {new}")
        if record.slot(record.inactive) is not None:
            record = place.empty(record)
        record = place.write(replace(record, previous=None, committed=request.run))
        update_pair(place.path.parents[1], lambda pair: replace(pair, counter=max(pair.counter or 0, request.counter)))
        return record


def _write_slot(place: Place, record: SlotRecord, request: Request) -> SlotRecord:
    """Fill the inactive slot. Until all of it was read back, no record lists content for it.

    A slot that is recorded to hold the component already is read back, never trusted.
    """
    wanted, letter = _wanted(request), record.inactive
    if record.running is not None and record.running.holds(wanted):
        return record
    staged = record.slot(letter)
    if staged is not None and staged.holds(wanted):
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
    return place.write(replace(record, hold=request.hold, run=""))


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
    more = {"build": target.build or None, "released": target.released or None}
    return Slot(version=target.new, size=target.size, digest=target.digest, **more)


def _installed(slot: Slot) -> dict[str, Any]:
    return {"version": slot.version, "build": slot.build, "released": slot.released}


def _version(record: SlotRecord) -> str | None:
    return record.running.version if record.running else None


def _reason(error: BundlekitError | OSError) -> str:
    return error.message if isinstance(error, BundlekitError) else error.strerror or str(error)


# --- making and looking at a target -------------------------------------------------------------------------


def create_slot_pair(
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

    ``members`` are the serials of active and standby. The installed content is a line of text; updates write real
    bytes. Returns the pair's folder. Raises ConfigError if it exists already.
    """
    path = root / pair
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise ConfigError(f"{path} already exists", next_step="Name another pair, or remove the folder.") from error
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
        install_slot(folder, runs, f"{component} {runs}\n".encode())
    with held(path) as descriptor:
        replace_file(descriptor, "pair.json", shared)
    return path


def install_slot(folder: Path, version: str, image: bytes) -> None:
    """Write ``image`` into the active slot of the component in ``folder``, as a manual re-image does."""
    digest = f"sha256:{hashlib.sha256(image).hexdigest()}"
    with Place(folder) as place, place.alone():
        record = place.read()
        with place.open(record, record.active, write=True) as slot:
            slot.write(io.BytesIO(image), len(image))
        place.forget_health(record.active)
        installed = Slot(version=version, size=len(image), digest=digest)
        place.write(replace(record.holding(record.active, installed), previous=None))


def slot_pair_state(root: Path, pair: str, *, includes: Sequence[str] = ()) -> Appliance:
    """The pair as a STATE.json would describe it, read from the folders. Raises SlotError.

    ``includes`` are the fixes that the pair has, which no folder remembers.
    """
    shared = read_pair(root, pair)
    members: dict[str, Member] = {}
    components: dict[str, InstalledComponent] = {}
    holds = []
    for path in component_folders(root, pair):
        with Place(path) as place:
            record = place.read()
            free = {record.component: free_bytes(place.folder)}
        if record.running is None:
            raise SlotError(f"{path}: the active slot contains no complete image")
        holds += [record.hold] if record.hold else []
        if record.role == "shared":
            components[record.component] = InstalledComponent(free=free, **_installed(record.running))
        else:
            members[record.identity] = Member(role=record.role, free=free, **_installed(record.running))
    return Appliance(
        schema="bundlekit/state/1",
        pair=shared.pair,
        product=shared.product,
        model=shared.model,
        members=members,
        components=components,
        counter=shared.counter,
        tool=__version__,
        includes=tuple(includes),
        hold=holds[0] if holds else None,
    )
