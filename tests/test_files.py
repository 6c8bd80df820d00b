"""Files that are whole or not there, and outputs that are no files."""

import os
import threading

import pytest

from bundlekit.errors import BundlekitError
from bundlekit.files import whole_file


def test_a_file_appears_when_the_block_ends_well(tmp_path):
    with whole_file(tmp_path / "out") as file:
        file.write(b"new")
        assert not (tmp_path / "out").exists()
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("out", b"new")]


def test_what_was_there_stays_when_it_does_not(tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "out") as file:
        file.write(b"new" * (1 // 0))
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("out", b"old")]


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
def test_a_link_stays_a_link(tmp_path, there):
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    link.symlink_to(target)
    with whole_file(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [one.name for one in target.parent.iterdir()] == ["target"]


def test_a_device_stays_a_device(tmp_path):
    """As a superuser, a renamed temporary file would take the place of /dev/null; here a link stands for it."""
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    with whole_file(null) as file:
        file.write(b"gone")
        file.seek(0)  # builders go back to the head
        file.write(b"gone")
    assert null.is_char_device()
    assert [one.name for one in tmp_path.iterdir()] == ["null"]


def test_a_pipe_gets_everything_at_the_end(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with whole_file(pipe) as file:
        file.write(b"?" * 100_000)
        file.seek(0)
        file.write(b"!")
    reader.join(10)
    assert got == [b"!" + b"?" * 99_999]
    assert pipe.is_fifo()


def test_a_pipe_gets_nothing_when_the_block_fails(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(ZeroDivisionError), whole_file(pipe) as file:
        file.write(b"new" * (1 // 0))
    assert os.read(end, 10) == b""
    os.close(end)


def test_a_full_device_says_so(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(BundlekitError, match="full: No space left on device"), whole_file(tmp_path / "full") as file:
        file.write(b"new")


def test_a_folder_is_not_written_to(tmp_path):
    with pytest.raises(BundlekitError, match="is a folder; name a file"), whole_file(tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "said"),
    [("none/out", "No such file or directory; nothing was written"), ("file/out", "Not a directory")],
)
def test_where_no_file_can_be_made(tmp_path, name, said):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundlekitError, match=said), whole_file(tmp_path / name) as file:
        file.write(b"new")


def test_two_containers_with_one_process_id_do_not_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with whole_file(tmp_path / "out") as one, whole_file(tmp_path / "out") as two:
        one.write(b"one")
        two.write(b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out", b"one")]


def test_only_the_own_temporary_file_is_removed(tmp_path):
    def fail():
        (other,) = tmp_path.iterdir()
        other.rename(tmp_path / "kept")
        other.with_name(".bundlekit-other.tmp").write_bytes(b"of another call")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "out"):
        fail()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bundlekit-other.tmp", "kept"]


@pytest.mark.parametrize("name", ["x" * 255, "\u00fc" * 127], ids=["ascii", "utf-8"])
def test_the_longest_name_can_be_written(tmp_path, name):
    with whole_file(tmp_path / name) as file:
        file.write(b"new")
    assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("name", ["x" * 256, "\u00fc" * 128], ids=["ascii", "utf-8"])
def test_a_name_that_is_too_long_is_named_itself(tmp_path, name):
    with pytest.raises(BundlekitError) as caught, whole_file(tmp_path / name):
        pass
    assert str(caught.value) == f"{tmp_path / name}: File name too long; nothing was written"
