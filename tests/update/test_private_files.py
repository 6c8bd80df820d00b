"""No link in the state folder is followed, whatever its name."""

import json
import os
import stat

import pytest

from bundlekit.errors import BundlekitError
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.state import private_files
from bundlekit.update.state.cancel import CancelRequest
from bundlekit.update.state.lock import PairLock, at_work
from bundlekit.update.state.sqlite_journal import SqliteJournal

NAMES = ["journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal"]


@pytest.fixture
def folder(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (tmp_path / "victim").write_bytes(b"precious")
    yield state
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize("target", ["../victim", "../none"])
def test_a_written_file_takes_the_place_of_a_link(folder, tmp_path, target):
    (folder / "rack-7.report.json").symlink_to(target)
    private_files.write(folder, "rack-7.report.json", b"{}")
    assert [one.name for one in folder.iterdir()] == ["rack-7.report.json"]
    written = (folder / "rack-7.report.json").lstat()
    assert (stat.S_ISREG(written.st_mode), stat.S_IMODE(written.st_mode)) == (True, 0o600)
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_a_link_is_not_written_to(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(BundlekitError, match="cannot be written: Not a directory"):
        private_files.write(tmp_path / "link", "x", b"")
    with pytest.raises(OSError, match="Not a directory"):
        private_files.new_file(tmp_path / "link", "x")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_journal_is_a_file(folder, name, kind):
    if kind == "link":
        (folder / name).symlink_to("../victim")
    elif kind == "fifo":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    with pytest.raises(JournalError, match=rf"{name} is a .*; a journal is a file"):
        SqliteJournal(folder)


@pytest.mark.parametrize("name", ["p.lock", "p.hooks.lock"])
def test_a_lock_is_no_link(folder, name):
    (folder / name).symlink_to("../victim")
    with pytest.raises(JournalError, match=f"The lock file .*{name} cannot be opened"), PairLock(folder, "p", "me"):
        pass
    assert at_work(folder, "p") == ""


def test_a_request_to_cancel_takes_the_place_of_a_link(folder):
    (folder / "p.cancel").symlink_to("../victim")
    assert CancelRequest(folder, "p").asked() == ""
    CancelRequest(folder, "p").ask("run-1")
    assert CancelRequest(folder, "p").asked() == "run-1"


def test_a_pipe_in_the_folder_is_not_waited_for(folder):
    for name in ("p.cancel", "p.lock", "log"):
        os.mkfifo(folder / name)
    assert CancelRequest(folder, "p").asked() == ""
    assert at_work(folder, "p") == ""
    assert private_files.end_of(folder, "log", 10) is None


def test_only_the_end_of_a_file_is_exported_and_no_link(folder):
    (folder / "log").write_bytes(b"0123456789")
    (folder / "link").symlink_to("../victim")
    assert private_files.end_of(folder, "log", 4) == b"6789"
    assert private_files.end_of(folder, "link", 4) is None
    assert private_files.end_of(folder, "none", 4) is None


def test_a_file_system_without_locks_is_named(folder, monkeypatch):
    import errno
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JournalError) as caught, PairLock(folder, "p", "me"):
        pass
    assert str(caught.value) == (
        f"The lock file {folder / 'p.lock'} cannot be locked: the file system does not support locks, as with NFS "
        "(No locks available)."
    )
    assert caught.value.next_step == "Use a folder on a local disk, or mount the file system with locks."


def test_a_system_without_proc_is_told_what_is_missing(monkeypatch):
    def missing(*_):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "open", missing)
    with pytest.raises(BundlekitError, match=r"^/proc is not mounted, and an update needs it"):
        private_files.opened_again(0, os.O_RDONLY)


def test_a_record_of_a_slot_is_written_beside_what_has_a_fixed_name(tmp_path):
    """A link at the former temporary name led the write elsewhere, or ended it."""
    from bundlekit.update.targets.slot_folder import PairRecord, replace_file

    (tmp_path / ".pair.json.new").symlink_to("elsewhere")
    with private_files.held(tmp_path) as at:
        replace_file(
            at, "pair.json", PairRecord(schema="bundlekit/slots-pair/1", pair="p", product="imager", model="im-100")
        )
    assert json.loads((tmp_path / "pair.json").read_text())["product"] == "imager"
    assert sorted(one.name for one in tmp_path.iterdir()) == [".pair.json.new", "pair.json"]
