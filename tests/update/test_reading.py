"""Who only reads the journal changes nothing, on any disk and beside any controller."""

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundlekit.update.engine.errors import JournalDamagedError, JournalError
from bundlekit.update.engine.executor import latest
from bundlekit.update.engine.records import Window
from bundlekit.update.state import space
from bundlekit.update.state.read_only_journal import ReadOnlyJournal, journal_of
from bundlekit.update.state.sqlite_journal import MIGRATIONS, SqliteJournal
from tests.update.world import World
from tests.waiting import LIMIT

WRITER = """
import sys
from bundlekit.update.state.sqlite_journal import SqliteJournal
from pathlib import Path
from tests.update.world import World
World(journal=SqliteJournal(Path(sys.argv[1]))).run()
print("written", flush=True)
sys.stdin.read()
"""


def everything(folder):
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(folder.iterdir())
    }


@contextmanager
def writer(folder):
    """A controller in a process of its own that has written a run and has the journal open."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        yield process


@pytest.fixture(scope="module", params=["closed", "killed", "killed, no index"])
def written(request, tmp_path_factory):
    """A state folder whose controller has closed the journal, or was killed."""
    folder = tmp_path_factory.mktemp("state")
    folder.chmod(0o700)
    with writer(folder) as process:
        process.kill()
    if request.param == "closed":
        SqliteJournal(folder).close()
        assert len(list(folder.iterdir())) == 1
    elif request.param == "killed, no index":
        (folder / "journal.db-shm").unlink()
    return folder


def test_a_read_changes_no_file_and_makes_none(written):
    before = everything(written)
    journal = ReadOnlyJournal(written)
    assert journal.pairs() == ("pair-0",)
    assert latest(journal, "pair-0").ended.kind == "succeeded"
    assert len(journal.rows("pair-0")) == len(journal.read("pair-0"))
    assert everything(written) == before


def test_what_is_read_is_what_a_controller_reads(written, tmp_path):
    copy = shutil.copytree(written, tmp_path / "copy")
    copy.chmod(0o700)
    found = SqliteJournal(copy)
    records = found.read("pair-0")
    found.close()
    assert ReadOnlyJournal(written).read("pair-0") == records


def test_a_disk_that_is_mounted_read_only_is_read(written, tmp_path):
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    script = textwrap.dedent(f"""
        mount --bind {written} {mounted} && mount -o remount,bind,ro {mounted} || exit 99
        for verb in status "log --pair pair-0" "log --pair pair-0 --export {tmp_path}/case.zip"; do
            {sys.executable} -m bundlekit update $verb --state-dir {mounted} || exit
        done
    """)
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or done.returncode == 99:
        pytest.skip("no mount can be made here")
    assert (done.returncode, done.stderr) == (0, "")
    assert "has ended" in done.stdout
    assert "added journal.jsonl" in done.stdout


def test_a_run_is_followed_over_a_disk_that_is_mounted_read_only(tmp_path):
    """The follower sees the folder read-only, and the controller in another process writes to it meanwhile."""
    folder, mounted = tmp_path / "state", tmp_path / "mounted"
    folder.mkdir(mode=0o700)
    mounted.mkdir()
    world = World(journal=SqliteJournal(folder))
    assert world.run(window=Window(until="prepared")).kind == "waiting"
    script = textwrap.dedent(f"""
        mount --bind {folder} {mounted} && mount -o remount,bind,ro {mounted} || exit 99
        exec {sys.executable} -m bundlekit update status --follow --state-dir {mounted}
    """)
    command = ["unshare", "-rm", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        shown = process.stdout.readline()
        if not shown:
            error = process.stderr.read()
            if "unshare" in error or process.wait(LIMIT) == 99:
                pytest.skip("no mount can be made here")
            pytest.fail(error)
        assert shown.startswith("pair pair-0: run "), "what it is doing when the view begins"
        assert world.resume().kind == "succeeded"
        world.journal.close()
        out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, error
    assert "Z apply storage: ok" in error
    assert "has ended" in out


def test_a_controller_at_work_is_read_beside(tmp_path):
    tmp_path.chmod(0o700)
    with writer(tmp_path) as process:
        before = everything(tmp_path)
        assert {"journal.db-shm", "journal.db-wal"} < set(before)
        assert latest(ReadOnlyJournal(tmp_path), "pair-0").ended.kind == "succeeded"
        assert everything(tmp_path) == before
        process.communicate()


def test_a_file_that_changes_under_the_reader_is_read_again(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    world = World(journal=SqliteJournal(tmp_path))
    world.run()
    world.journal.close()
    once, looks = ReadOnlyJournal._once, []

    def torn(journal, *given):
        looks.append(1)
        if len(looks) == 1:
            os.utime(journal.path, ns=(1, 1))
            raise JournalDamagedError("torn")
        return once(journal, *given)

    monkeypatch.setattr(ReadOnlyJournal, "_once", torn)
    assert ReadOnlyJournal(tmp_path).read("pair-0") == ReadOnlyJournal(tmp_path).read("pair-0")
    assert len(looks) == 3


@pytest.mark.parametrize("steps", range(len(MIGRATIONS) + 1))
def test_an_older_schema_is_read_as_it_is(tmp_path, steps):
    tmp_path.chmod(0o700)
    with sqlite3.connect(tmp_path / "journal.db") as db:
        for statement in (statement for step in MIGRATIONS[:steps] for statement in step):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {steps}")
    db.close()
    before = everything(tmp_path)
    assert ReadOnlyJournal(tmp_path).pairs() == ()
    assert everything(tmp_path) == before


def test_a_newer_schema_is_refused(tmp_path):
    tmp_path.chmod(0o700)
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="has schema 99; this bundlekit knows"):
        ReadOnlyJournal(tmp_path)


def test_what_is_no_journal_is_damaged_and_a_link_is_refused(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "journal.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalDamagedError):
        ReadOnlyJournal(tmp_path)
    (tmp_path / "journal.db").unlink()
    (tmp_path / "journal.db").symlink_to("elsewhere")
    with pytest.raises(JournalError, match="is a symbolic link"):
        ReadOnlyJournal(tmp_path)


def test_a_reader_can_neither_claim_nor_append(tmp_path):
    tmp_path.chmod(0o700)
    world = World(journal=SqliteJournal(tmp_path))
    world.run()
    world.journal.close()
    with journal_of(tmp_path) as journal:
        with pytest.raises(JournalError, match="for reading only"):
            journal.claim("pair-0", "me")
        with pytest.raises(JournalError, match="for reading only"):
            journal.append("pair-0", 1, journal.read("pair-0")[0])


def test_the_device_of_a_folder_is_named(tmp_path):
    assert (
        space.device_of(Path("/dev/shm")) == "the device tmpfs (mounted at /dev/shm)" or not Path("/dev/shm").is_mount()
    )
    assert space.device_of(tmp_path).startswith("the device ")
    assert space.device_of(tmp_path / "missing") == "the device"
