"""The slots target: what is on the disk after every row of the vendor's table, and what never gets there."""

import fcntl
import io
import os
import resource
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from bundlekit.errors import ConfigError
from bundlekit.update.engine.records import Answer, Window
from bundlekit.update.rehearsal.rehearse import Sandbox, rehearse
from bundlekit.update.targets.slot_file import PIECE, SlotFile
from bundlekit.update.targets.slot_folder import PATIENCE, Place, read_pair
from bundlekit.update.targets.slots import SlotHooks, create_slot_pair, install_slot, slot_pair_state
from tests.update.target import ALL_NEW, ALL_OLD, IMAGES, NEW, OLD, SlotWorld, digest_of, job_for, make_pair
from tests.update.world import Overridden


@pytest.fixture
def world(memory_folder):
    made = []

    def make(folder=memory_folder, **options):
        made.append(SlotWorld(folder, **options))
        return made[0]

    yield make
    for one in made:
        one.close()


def before(verb, step, act):
    """Hooks before which ``act`` is done to the world, once, when ``verb`` is about to be asked of ``step``."""

    def hooks(behind, world):
        todo = [act]

        def ask(hooks, request):
            if request.step == step and todo:
                todo.pop()(world)
            return getattr(hooks, request.verb)(request)

        return Overridden(behind, **{verb: ask})

    return hooks


def image(step):
    return IMAGES["storage" if step == "storage" else "appliance"]


def flip(step):
    """Damage what is prepared, behind everybody's back."""

    def act(world):
        record = world.record(step)
        slot = record.devices.get(record.inactive, world.folder(step) / record.inactive)
        with open(slot, "r+b") as file:
            file.seek(5000)
            file.write(b"!")

    return act


def unhealthy(step):
    def act(world):
        (world.folder(step) / f"{world.record(step).active}.unhealthy").write_text("it does not start\n")

    return act


def left_by_failure(world, step):
    """What is left of the new version in a component that went back: nothing that counts as an image."""
    record = world.record(step)
    slot = world.folder(step) / record.inactive
    return record.slot(record.inactive), slot.read_bytes()


# --- the vendor's table, on disk ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_all_succeed(world, where, tmp_path):
    w = world(tmp_path) if where == "disk" else world()
    outcome = w.run()
    assert (outcome.kind, outcome.ha, outcome.hold) == ("succeeded", "formed", False)
    assert w.versions() == ALL_NEW
    assert w.clock.passed >= 2700
    assert w.counter == 7
    for step in w.job.targets:
        record = w.record(step)
        assert w.bytes(step) == image(step)
        assert (record.previous, record.committed, record.fence) == (None, outcome.run, 1)
        assert record.slot(record.inactive) is None, "no revert is possible any more"


@pytest.mark.parametrize("cause", ["corrupted", "not-newer", "unsupported-source"])
def test_a_validation_error_touches_nothing(world, cause):
    rejects = Answer(kind="rejected", reason=cause)
    w = world(hooks=lambda slots, _world: Overridden(slots, validate=lambda _hooks, _request: rejects))
    was = {step: w.bytes(step) for step in w.job.targets}
    outcome = w.run()
    assert outcome.kind == "rejected"
    assert cause in outcome.reason
    assert w.versions() == ALL_OLD
    assert {step: w.bytes(step) for step in w.job.targets} == was
    assert all(w.record(step).slot("b") is None for step in w.job.targets)


@pytest.mark.parametrize(
    ("verb", "fault"), [("apply", flip("active")), ("verify", unhealthy("active"))], ids=["damaged", "unhealthy"]
)
def test_active_fails_and_reverts_and_the_new_storage_is_kept(world, verb, fault):
    w = world(hooks=before(verb, "active", fault))
    was = w.bytes("active")
    outcome = w.run()
    assert (outcome.kind, outcome.ha, outcome.hold) == ("reverted", "formed", False)
    assert outcome.states == {"storage": "kept-new", "active": "old", "standby": "old"}
    assert w.versions() == (ALL_NEW[0], OLD, OLD)
    assert w.bytes("active") == was
    assert w.bytes("storage") == IMAGES["storage"]
    assert left_by_failure(w, "active") == (None, b"")
    assert left_by_failure(w, "standby") == (None, b""), "what was prepared is gone"
    assert w.counter == 6
    assert w.run_again().kind == "succeeded"
    assert w.versions() == ALL_NEW


def test_active_fails_and_storage_that_does_not_suit_it_is_reverted_too(world):
    w = world(hooks=before("apply", "active", flip("active")), compatible=False)
    assert w.run().kind == "reverted"
    assert w.versions() == ALL_OLD
    assert left_by_failure(w, "storage") == (None, b"")
    assert w.run_again().kind == "succeeded"


@pytest.mark.parametrize(
    ("verb", "fault"), [("apply", flip("storage")), ("verify", unhealthy("storage"))], ids=["damaged", "unhealthy"]
)
def test_storage_fails_both_revert_and_the_pair_is_on_hold(world, verb, fault):
    w = world(hooks=before(verb, "storage", fault))
    was = w.bytes("storage")
    outcome = w.run()
    assert (outcome.kind, outcome.ha, outcome.hold) == ("reverted", "formed", True)
    assert w.versions() == ALL_OLD
    assert w.bytes("storage") == was
    assert all(w.record(step).hold == outcome.reason for step in w.job.targets), "the target knows of the hold"
    assert slot_pair_state(w.root, "pair-0").hold == outcome.reason
    assert w.run_again().kind == "on-hold"
    assert w.clear().by == "Ada"
    assert not any(w.record(step).hold for step in w.job.targets)
    assert w.run_again().kind == "succeeded"
    assert w.versions() == ALL_NEW


@pytest.mark.parametrize(
    ("verb", "fault", "version"),
    [("apply", flip("standby"), OLD), ("verify", unhealthy("standby"), NEW)],
    ids=["damaged", "unhealthy"],
)
def test_standby_fails_nothing_is_reverted_and_repair_leads_out(world, verb, fault, version):
    w = world(hooks=before(verb, "standby", fault))
    outcome = w.run()
    assert (outcome.kind, outcome.ha, outcome.hold) == ("degraded", "not-formed", True)
    assert w.versions() == (*ALL_NEW[:2], version)
    assert w.run_again().kind == "on-hold"
    (w.folder("standby") / "b.unhealthy").unlink(missing_ok=True)
    assert w.run_again(repair=True).kind == "succeeded"
    assert w.versions() == ALL_NEW
    assert not w.record("standby").hold


@pytest.mark.exhaustive
def test_a_single_fault_at_every_call_and_every_recovery(memory_folder):
    made = []

    class Slots(SlotHooks):
        def reimage(self, request):
            install_slot(world.folder(request.step), request.target.new, image(request.step))
            return Answer(kind="ok")

    def sandbox(clock):
        nonlocal world
        world = SlotWorld(memory_folder / str(len(made)), hooks=lambda slots, _: Slots(slots.root, clock=clock))
        made.append(world)
        return Sandbox(job=world.job, hooks=world.hooks, bundle=world.bundle)

    world = None
    found = rehearse(sandbox)
    for one in made:
        one.close()
    assert found.broken == ()
    assert len(found.runs) > 100


# --- what must not get into a slot, or stay there ---------------------------------------------------------------


def request(w, verb, step="storage", **said):
    from bundlekit.update.engine.hooks import Request

    return Request(
        verb=verb, pair="pair-0", step=step, run="r1", fence=said.pop("fence", 1), attempt=1, deadline=60,
        bundle_id=w.bundle.bundle_id, target=w.job.targets[step], counter=7,
        bundle=w.bundle if verb == "prepare" else None, **said,
    )  # fmt: skip


def test_a_bundle_changed_in_place_between_check_and_use_reaches_no_slot(world):
    w = world(hooks=before("prepare", "storage", lambda w: w.bundle.damage("storage")))
    outcome = w.run()
    assert outcome.kind == "rejected"
    assert "damaged" in outcome.reason
    assert w.versions() == ALL_OLD
    assert left_by_failure(w, "storage") == (None, b"")


def test_a_bundle_replaced_by_another_file_is_not_what_is_used(world):
    def replaced(w):
        other = w.bundle.path.with_name("other")
        other.write_bytes(bytes(w.bundle.path.stat().st_size))
        other.replace(w.bundle.path)

    w = world(hooks=before("prepare", "active", replaced))
    assert w.run().kind == "succeeded"
    assert w.bytes("active") == IMAGES["appliance"]


def test_a_bundle_changed_after_everything_is_prepared_changes_nothing_any_more(world):
    w = world(hooks=before("apply", "storage", lambda w: w.bundle.damage("appliance")))
    assert w.run().kind == "succeeded"
    assert w.bytes("standby") == IMAGES["appliance"]


def to_active(folder):
    (folder / "b").unlink()
    (folder / "b").symlink_to("a")


def hard_link(folder):
    (folder / "b").unlink()
    (folder / "b").hardlink_to(folder / "a")


def fifo(folder):
    (folder / "b").unlink()
    os.mkfifo(folder / "b")


def gone(folder):
    (folder / "b").unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (to_active, "slot b cannot be opened: it is a symbolic link"),
        (hard_link, "slot b has 2 names"),
        (fifo, "slot b is not a regular file"),
        (gone, "slot b cannot be opened: No such file"),
    ],
)
@pytest.mark.parametrize("verb", ["describe", "prepare"])
def test_a_slot_that_is_not_one_is_refused_before_anything_is_written(world, verb, spoil, why):
    w = world()
    was = w.bytes("storage")
    spoil(w.folder("storage"))
    answer = getattr(w.slots, verb)(request(w, verb))
    assert answer.kind == "rejected"
    assert why in answer.reason
    assert w.bytes("storage") == was
    assert w.run().kind == "rejected"
    assert w.versions() == ALL_OLD


def test_both_names_one_device(world, monkeypatch):
    w = world()
    with Place(w.folder("storage")) as place:
        place.write(replace(place.read(), devices={"a": "/dev/null", "b": "/dev/null"}))
    monkeypatch.setattr("bundlekit.update.targets.slot_file.stat.S_ISBLK", lambda _mode: True)
    answer = w.slots.prepare(request(w, "prepare"))
    assert answer.kind == "rejected"
    assert "are the same file" in answer.reason


LOOP = os.geteuid() == 0 and os.path.exists("/dev/loop-control") and shutil.which("losetup") is not None
needs_loop = pytest.mark.skipif(not LOOP, reason="only root can make loop devices, with losetup")


@pytest.fixture
def devices(tmp_path):
    """Loop devices of 1 MiB; only root can make some."""
    made = []

    def make():
        backing = tmp_path / f"disk-{len(made)}"
        backing.write_bytes(bytes(2**20))
        made.append(subprocess.check_output(["losetup", "--find", "--show", backing], text=True).strip())
        return made[-1]

    yield make
    for device in made:
        subprocess.run(["losetup", "--detach", device], check=True)


@needs_loop
@pytest.mark.parametrize("fault", [None, flip("storage")], ids=["whole", "damaged"])
def test_slots_that_are_block_devices(world, devices, fault):
    w = world(hooks=before("apply", "storage", fault) if fault else None)
    with Place(w.folder("storage")) as place:
        place.write(replace(place.read(), devices={"a": devices(), "b": devices()}))
    install_slot(w.folder("storage"), ALL_OLD[0], b"the old storage")
    outcome = w.run()
    size = len(image("storage"))
    active, inactive = (Path(w.record("storage").devices[letter]).read_bytes()[:size] for letter in "ba")
    if fault:
        assert (outcome.kind, outcome.hold, w.versions()) == ("reverted", True, ALL_OLD)
        assert inactive.startswith(b"the old storage")
        assert active[:4096] == bytes(4096), "a failed slot has no head"
    else:
        assert (outcome.kind, w.versions()) == ("succeeded", ALL_NEW)
        assert active == image("storage")
        assert inactive[:4096] == bytes(4096), "no revert is possible any more"


@needs_loop
@pytest.mark.parametrize("how", ["mounted", "too-small", "linked"])
def test_a_block_device_that_is_no_slot_is_refused(world, devices, memory_folder, how):
    w = world()
    a, b = devices(), devices()
    with Place(w.folder("storage")) as place:
        place.write(replace(place.read(), devices={"a": a, "b": b}))
    install_slot(w.folder("storage"), ALL_OLD[0], b"the old storage")
    if how == "linked":
        link = memory_folder / "link"  # below /dev, as the links of udev are
        link.symlink_to(b)
        with Place(w.folder("storage")) as place:
            place.write(replace(place.read(), devices={"a": a, "b": str(link)}))
    if how == "too-small":
        w.job = replace(w.job, targets={"storage": replace(w.job.targets["storage"], size=2**21)})
    held = os.open(b, os.O_RDONLY | os.O_EXCL) if how == "mounted" else None
    answer = w.slots.prepare(request(w, "prepare"))
    if held is not None:
        os.close(held)
    why = {"mounted": "Device or resource busy", "too-small": "has 1048576 bytes", "linked": "it is a symbolic link"}
    assert answer.kind == "rejected"
    assert why[how] in answer.reason
    assert Path(b).read_bytes() == bytes(2**20)


def test_a_slot_swapped_while_it_is_written_is_not_taken_for_prepared(world):
    def swap(w):
        slot = w.folder("storage") / "b"
        slot.rename(slot.with_name("aside"))
        slot.write_bytes(image("storage"))

    w = world()
    stage = w.bundle.stage

    def staged(label):
        swap(w)
        return stage(label)

    w.bundle.stage = staged
    answer = w.slots.prepare(request(w, "prepare"))
    assert (answer.kind, answer.reason) == ("rejected", "slot b was replaced while it was in use")
    assert w.record("storage").b is None


def test_a_slot_swapped_between_write_and_switch_is_not_switched_to(world):
    def swap(w):
        slot = w.folder("active") / "b"
        slot.unlink()
        slot.write_bytes(b"evil" + image("active")[4:])

    w = world(hooks=before("apply", "active", swap))
    outcome = w.run()
    assert outcome.kind == "reverted"
    assert "reads back as" in outcome.reason
    assert w.version("active") == OLD


def test_a_slot_swapped_while_it_is_switched_to_is_not_switched_to(world):
    w = world()
    w.slots.prepare(request(w, "prepare"))
    now = w.clock.now

    def swap():
        slot = w.folder("storage") / "b"
        slot.rename(slot.with_name("aside"))
        slot.write_bytes(b"evil")
        return now()

    w.clock.now = swap
    answer = w.slots.apply(request(w, "apply"))
    assert (answer.kind, answer.reason) == ("failed", "slot b was replaced while it was in use")
    assert w.version("storage") == ALL_OLD[0]


def test_a_full_disk_is_met_before_a_byte_is_written(world, monkeypatch):
    """A limit on the size of files stands for the disk: it is met by the same call in the same place."""
    w = world()
    written = []
    put = SlotFile._put
    monkeypatch.setattr(SlotFile, "_put", lambda *args: (written.append(args), put(*args)))
    was = w.bytes("storage")
    w.bundle.stage = lambda label: io.BytesIO(IMAGES[label])  # its staged copy would meet the limit first
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        answer = w.slots.prepare(request(w, "prepare"))
        outcome = w.run(take_over="r1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (answer.kind, answer.reason, written) == ("rejected", "File too large", [])
    assert (outcome.kind, outcome.hold, w.versions()) == ("rejected", False, ALL_OLD)
    assert w.bytes("storage") == was
    assert left_by_failure(w, "storage") == (None, b"")
    assert w.run().kind == "succeeded", "there is room again"


def test_a_half_written_slot_has_no_head(world, monkeypatch):
    w = world()
    monkeypatch.setattr("bundlekit.update.targets.slot_file.os.posix_fallocate", lambda *_: None)
    seen = []
    fsync = os.fsync

    def looking(descriptor):
        seen.append((w.folder("storage") / "b").read_bytes())
        fsync(descriptor)

    monkeypatch.setattr("bundlekit.update.targets.slot_file.os.fsync", looking)
    assert w.slots.prepare(request(w, "prepare")).kind == "ok"
    whole, headless = image("storage"), bytes(4096) + image("storage")[4096:]
    assert set(seen) == {b"", headless, whole}
    assert seen.index(b"") < seen.index(headless) < seen.index(whole)


def test_a_slot_that_reads_back_wrong_is_not_prepared_and_holds_nothing(world, monkeypatch):
    w = world()
    preadv = os.preadv

    def other_bytes(descriptor, buffers, at):
        count = preadv(descriptor, buffers, at)
        if len(buffers[0]) == PIECE:  # the slot is read in pieces, the bundle in chunks
            buffers[0][7] ^= 1
        return count

    monkeypatch.setattr("bundlekit.update.targets.slot_file.os.preadv", other_bytes)
    answer = w.slots.prepare(request(w, "prepare"))
    assert answer.kind == "rejected"
    assert "reads back as" in answer.reason
    assert left_by_failure(w, "storage") == (None, b"")


def test_what_a_slot_held_before_is_forgotten_first(world, monkeypatch):
    w = world()
    w.slots.prepare(request(w, "prepare"))
    other = replace(w.job.targets["storage"], new="3.5.0", digest=digest_of(b"other"), size=5)

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SlotFile, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        w.slots.prepare(replace(request(w, "prepare"), target=other))
    assert left_by_failure(w, "storage") == (None, b"")


def test_what_is_prepared_is_read_again_and_not_written_again(world):
    w = world()
    assert w.slots.prepare(request(w, "prepare")).kind == "ok"
    written = (w.folder("storage") / "b").stat().st_mtime_ns
    assert w.slots.prepare(request(w, "prepare")).kind == "ok"
    assert (w.folder("storage") / "b").stat().st_mtime_ns == written
    flip("storage")(w)
    assert w.slots.prepare(request(w, "prepare")).kind == "ok"
    assert (w.folder("storage") / "b").read_bytes() == image("storage")


# --- fence, marks, locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["prepare", "apply", "commit", "revert", "cleanup"])
def test_a_lower_fence_is_refused_and_changes_nothing(world, verb):
    w = world()
    assert w.slots.prepare(request(w, "prepare", fence=5)).kind == "ok"
    was = w.record("storage")
    answer = getattr(w.slots, verb)(request(w, verb, fence=4))
    assert answer.kind == "fenced"
    assert "fence 4 is below 5" in answer.reason
    assert w.record("storage") == was


@pytest.mark.parametrize("verb", ["prepare", "apply", "commit", "revert", "cleanup"])
@pytest.mark.parametrize("other", [{"run": "r2"}, {"owner": "theirs"}], ids=["another-run", "another-claim"])
def test_a_fence_of_another_controller_is_refused_and_changes_nothing(world, verb, other):
    w = world()
    assert w.slots.prepare(request(w, "prepare", fence=5)).kind == "ok"
    was = w.record("storage")
    answer = getattr(w.slots, verb)(replace(request(w, verb, fence=5), **other))
    assert answer.kind == "fenced"
    assert "fence 5 is another controller's" in answer.reason
    assert w.record("storage") == was
    assert w.slots.cleanup(request(w, "cleanup", fence=5)).kind == "ok"
    assert w.record("storage").run == "", "no run is in progress once it has cleaned up"


@pytest.mark.parametrize("verb", ["prepare", "apply", "commit", "revert", "cleanup"])
def test_what_another_run_has_written_since_the_probe_is_not_overwritten(world, verb):
    w = world()
    assert w.slots.prepare(request(w, "prepare", fence=5)).kind == "ok"
    was = w.record("storage")
    answer = getattr(w.slots, verb)(replace(request(w, verb, fence=9), run="r2", fence_seen=4))
    assert answer.kind == "fenced"
    assert "fence 5 came since the last probe, which saw 4" in answer.reason
    assert w.record("storage") == was
    for fence, known in ((6, {"fence_seen": 4}), (7, {"run": "r2", "fence_seen": 6}), (8, {"run": "r3"})):
        assert w.slots.prepare(replace(request(w, "prepare", fence=fence), **known)).kind == "ok", known


def test_another_host_with_a_higher_fence_stops_this_controller(world):
    w = world(hooks=before("apply", "active", lambda w: w.slots.cleanup(request(w, "cleanup", "standby", fence=99))))
    outcome = w.run()
    assert (outcome.kind, outcome.hold) == ("superseded", False)
    assert "standby belongs to another controller: fence 1 is below 99" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["state", "run"]
    assert not {w.record(step).hold for step in w.job.targets} - {""}


def test_a_component_under_change_is_busy_and_no_second_change_begins(world, monkeypatch):
    waits, w = [], world()
    clock = SimpleNamespace(monotonic=lambda: sum(waits), sleep=waits.append)
    monkeypatch.setattr("bundlekit.update.targets.slot_folder.time", clock)
    with Place(w.folder("storage")) as other, other.alone():
        assert w.slots.probe(request(w, "probe")).kind == "busy"
        answer = w.slots.apply(request(w, "apply"))
        assert (answer.kind, "being changed by another process" in answer.reason) == ("failed", True)
        assert PATIENCE <= sum(waits) < PATIENCE + 0.1
    assert w.slots.probe(request(w, "probe")).kind == "old"


def test_somebody_who_only_looks_stops_no_change(world, monkeypatch):
    w, waits = world(), []
    folder = os.open(w.folder("storage"), os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            os.close(folder)

    monkeypatch.setattr(
        "bundlekit.update.targets.slot_folder.time", SimpleNamespace(monotonic=lambda: sum(waits), sleep=sleep)
    )
    assert w.slots.prepare(request(w, "prepare")).kind == "ok"
    assert len(waits) == 3


def test_marks_are_read_back(world):
    w = world()
    for verb in ("prepare", "apply", "commit"):
        assert getattr(w.slots, verb)(request(w, verb, fence=3)).kind == "ok"
    w.slots.cleanup(request(w, "cleanup", fence=4, hold="disk 3 is broken"))
    seen = w.slots.probe(request(w, "probe"))
    assert (seen.kind, seen.version, seen.fence, seen.committed, seen.hold) == (
        "new", ALL_NEW[0], 4, "r1", "disk 3 is broken",
    )  # fmt: skip
    assert w.counter == 7


def test_the_counter_never_falls(world):
    w = world()
    for verb in ("prepare", "apply", "commit"):
        getattr(w.slots, verb)(replace(request(w, verb), counter=5))
    assert w.record("storage").committed == "r1"
    assert w.counter == 6


def test_behind_the_commit_there_is_no_way_back(world):
    w = world()
    for verb in ("prepare", "apply", "commit"):
        getattr(w.slots, verb)(request(w, verb))
    answer = w.slots.revert(request(w, "revert"))
    assert (answer.kind, answer.reason) == ("failed", "a revert to 3.2.1 is no longer possible")
    assert w.version("storage") == ALL_NEW[0]


def test_a_way_back_that_was_damaged_is_not_taken(world):
    w = world()
    for verb in ("prepare", "apply"):
        getattr(w.slots, verb)(request(w, verb))
    (w.folder("storage") / "a").write_bytes(b"storage 3.2.X\n")
    answer = w.slots.revert(request(w, "revert"))
    assert answer.kind == "failed"
    assert "reads back as" in answer.reason
    assert w.version("storage") == ALL_NEW[0]


def test_switches_are_no_ops_when_done(world):
    w = world()
    for verb in ("revert", "prepare", "apply", "apply", "verify", "prepare", "revert", "revert"):
        assert getattr(w.slots, verb)(request(w, verb)).kind == "ok", verb
    assert w.version("storage") == ALL_OLD[0]
    assert w.record("storage").previous is None
    assert left_by_failure(w, "storage") == (None, b"")


def test_apply_needs_what_prepare_left(world):
    w = world()
    answer = w.slots.apply(request(w, "apply"))
    assert (answer.kind, answer.reason) == ("failed", "3.4.0 is not prepared in slot b")


def truncated(folder):
    os.truncate(folder / "a", 3)


def record_lost(folder):
    (folder / "record.json").unlink()


def record_broken(folder):
    (folder / "record.json").write_text("{")


def record_of_a_later_tool(folder):
    path = folder / "record.json"
    path.write_text(path.read_text().replace("slots/1", "slots/2"))


def folder_gone(folder):
    shutil.rmtree(folder)


def folder_linked(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (truncated, "partial"),
        (record_lost, "unknown"),
        (record_broken, "unknown"),
        (record_of_a_later_tool, "unknown"),
        (folder_gone, "unknown"),
        (folder_linked, "unknown"),
    ],
)
def test_probe_is_exact_or_says_unknown(world, spoil, kind):
    w = world()
    spoil(w.folder("storage"))
    assert w.slots.probe(request(w, "probe")).kind == kind
    assert w.run().kind == "rejected"


def test_prepared_on_friday_switched_on_saturday(world):
    w = world()
    assert w.run(window=Window(until="prepared")).kind == "waiting"
    assert w.versions() == ALL_OLD
    assert all(w.record(step).b is not None for step in w.job.targets)
    assert w.resume().kind == "succeeded"


def test_the_target_forgets_nothing_that_the_journal_lost(world):
    from bundlekit.update.engine.journal import MemoryJournal

    w = world(hooks=before("verify", "standby", unhealthy("standby")))
    degraded = w.run()
    w.journal = MemoryJournal()
    (w.folder("standby") / "b.unhealthy").unlink()
    w.hooks = w.slots
    outcome = w.run_again()
    assert outcome.kind == "rejected"
    assert degraded.reason in outcome.reason, "the appliance itself says that it is on hold"


# --- making and describing a pair -------------------------------------------------------------------------------


def test_init_makes_a_pair_once(tmp_path):
    make_pair(tmp_path)
    with pytest.raises(ConfigError, match="already exists"):
        make_pair(tmp_path)
    seen = slot_pair_state(tmp_path, "pair-0")
    assert {m.role: (serial, m.version) for serial, m in seen.members.items()} == {
        "active": ("SN-active", OLD),
        "standby": ("SN-standby", OLD),
    }
    assert (seen.pair, seen.product, seen.model, seen.counter, seen.hold) == ("pair-0", "imager", "im-200", 6, None)
    assert seen.components["storage"].version == ALL_OLD[0]


@pytest.mark.parametrize(
    ("step", "identity"), [("storage", "pair-0"), ("active", "SN-active"), ("standby", "SN-standby")]
)
def test_describe_finds_a_member_by_its_role(world, step, identity):
    w = world()
    target = w.job.targets[step]
    nameless = replace(request(w, "describe", step), target=replace(target, identity=target.role))
    answer = w.slots.describe(nameless)
    assert (answer.kind, answer.identity, answer.counter, answer.sandbox) == ("ok", identity, 6, True)
    assert answer.free[w.job.targets[step].component] > 0


def test_a_pair_of_another_name_is_not_found(tmp_path):
    create_slot_pair(tmp_path, "pair-1", product="imager", model="im-200", version=OLD, storage="1")
    w = job_for()
    assert read_pair(tmp_path, "pair-1").counter is None
    from bundlekit.update.engine.hooks import Request

    asked = Request(
        verb="describe", pair="pair-0", step="storage", run="", fence=0, attempt=1, deadline=1,
        bundle_id="", target=w.targets["storage"],
    )  # fmt: skip
    assert SlotHooks(tmp_path).describe(asked).kind == "rejected"
