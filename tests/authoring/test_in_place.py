"""What is written in place goes into the file that was verified, whatever takes its name, at whatever moment."""

import datetime as dt
import os
from pathlib import Path

import pytest

from bundlekit.authoring import advisory
from bundlekit.authoring.sign import load_signers, remove, sign
from bundlekit.errors import BundlekitError, SigningError
from bundlekit.trust import keygen
from fixtures import by_hand

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
STEPS = ("open", "preadv", "pwrite", "fsync", "unlink", "lstat", "replace")
"""What the verbs do with files, each of them a moment at which a name can change."""

MOST_STEPS = 80
ADVISORY = 'advisory = 1\nproduct = "imager"\nserial = 4\nissued = 2026-11-01\nuntil = 2027-03-01\n'


@pytest.fixture(scope="module")
def signers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    made = []
    for name in ("one", "two"):
        keygen(folder / name, "ecdsa-p384", now=NOW, name=name)
        made += load_signers([folder / name / "signer.key"], [folder / name / "signer.pem"], ask=lambda _: b"")
    return made


class Meddler:
    """Does something once, after so many steps; the first is that the file is opened. What is opened then counts."""

    def __init__(self, monkeypatch):
        self.steps, self.at, self.act = 0, None, None
        for name in STEPS:
            monkeypatch.setattr(os, name, self.counted(getattr(os, name)))

    def counted(self, call):
        def step(*args, **options):
            result = call(*args, **options)
            self.steps += bool(self.steps) or call.__name__ == "open"
            if self.steps == self.at:
                self.at = None
                self.act()
            return result

        return step

    def run(self, at, act, work):
        self.steps, self.at, self.act = 0, at, act
        try:
            work()
        finally:
            self.at = None


def signed_bundle(path, signers):
    path.write_bytes(by_hand.bundle(capacity=8192))
    sign(path, signers[0], at=NOW)


def signed_advisories(path, signers):
    text = path.with_name("ADVISORY.toml")
    text.write_text(ADVISORY)
    advisory.build(advisory.load(text), path, signers[:1])


def add_to_advisories(path, signer):
    with advisory.opened(path, at=NOW) as signed:
        signed.sign(signer)


WORK = {
    "sign": (signed_bundle, lambda path, signers: sign(path, signers[1], at=NOW)),
    "replace": (signed_bundle, lambda path, signers: sign(path, signers[1], at=NOW, replace=0)),
    "remove": (signed_bundle, lambda path, _: remove(path, 0, at=NOW)),
    "advisory sign": (signed_advisories, lambda path, signers: add_to_advisories(path, signers[1])),
}


def another_file(path, victim):
    os.rename(victim, path)


def a_link(path, victim):
    path.unlink(missing_ok=True)
    path.symlink_to(victim)


@pytest.mark.parametrize("swap", [another_file, a_link], ids=["renamed", "link"])
@pytest.mark.parametrize("work", WORK)
def test_nothing_is_written_into_what_takes_the_name(tmp_path, signers, monkeypatch, work, swap):
    prepare, act = WORK[work]
    path, victim = tmp_path / "u.bin", tmp_path / "victim"
    content = by_hand.bundle(capacity=4096)  # another bundle, whose manifest lies where our signatures do
    meddler = Meddler(monkeypatch)
    prepare(path, signers)
    meddler.run(None, None, lambda: act(path, signers))
    steps, done = meddler.steps, path.read_bytes()
    assert 5 < steps < MOST_STEPS
    for at in range(1, steps + 1):
        path.unlink()
        prepare(path, signers)
        victim.write_bytes(content)
        try:
            meddler.run(at, lambda: swap(path, victim), lambda: act(path, signers))
        except BundlekitError:
            accepted = False
        else:
            accepted = True
        # A rename by the verb itself may come last: then its whole file has the name, and the other is behind no name.
        found = victim.read_bytes() if victim.exists() else path.read_bytes()
        assert found in {content, done if accepted else content}, f"{work}, {swap.__name__} after step {at} of {steps}"
        if victim.exists():
            assert victim.read_bytes() == content
        record = path.with_name("u.bin.signing")
        assert not record.exists(), f"{work}, after step {at}"


@pytest.mark.parametrize("work", ["sign", "replace", "remove"])
def test_a_bundle_that_is_rewritten_in_place_is_noticed(tmp_path, signers, monkeypatch, work):
    prepare, act = WORK[work]
    path = tmp_path / "u.bin"
    meddler = Meddler(monkeypatch)
    prepare(path, signers)
    before = path.read_bytes()
    meddler.run(None, None, lambda: act(path, signers))
    steps, done = meddler.steps, path.read_bytes()

    def rewrite():
        stat = path.stat()
        with open(path, "r+b") as file:
            file.write(bytes(32) + before[32:])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    for at in range(1, steps - 1):  # after the last look it is nobody's fault
        path.write_bytes(before)
        try:
            meddler.run(at, rewrite, lambda: act(path, signers))
        except BundlekitError:
            continue
        assert path.read_bytes()[32:] == done[32:]
        assert at >= steps - 6, f"not noticed after step {at} of {steps}"


def fifo(record, _victim):
    os.mkfifo(record)


def dangling(record, victim):
    record.symlink_to(victim.with_name("nowhere"))


def link(record, victim):
    record.symlink_to(victim)


def folder(record, _victim):
    record.mkdir()


@pytest.mark.parametrize("placed", [fifo, dangling, link, folder])
def test_what_lies_in_the_place_of_the_record_is_neither_waited_for_nor_followed(tmp_path, signers, placed):
    path, victim = tmp_path / "u.bin", tmp_path / "victim"
    path.write_bytes(by_hand.bundle(capacity=8192))
    victim.write_bytes(b"precious")
    record = Path(f"{path}.signing")
    placed(record, victim)
    with pytest.raises(SigningError, match=r"u\.bin\.signing: has the name of a signing record") as caught:
        sign(path, signers[0], at=NOW)
    assert caught.value.next_step
    assert victim.read_bytes() == b"precious"
    assert not victim.with_name("nowhere").exists()
    assert os.path.lexists(record)
    assert path.read_bytes() == by_hand.bundle(capacity=8192)


def test_a_record_has_a_limit(tmp_path, signers):
    path = tmp_path / "u.bin"
    path.write_bytes(by_hand.bundle(capacity=8192))
    with Path(f"{path}.signing").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SigningError, match="larger than any record"):
        sign(path, signers[0], at=NOW)


def test_through_a_link_the_file_behind_it_is_signed_and_the_link_stays(tmp_path, signers):
    real, alias = tmp_path / "5.40.00.bin", tmp_path / "latest.bin"
    real.write_bytes(by_hand.bundle(capacity=8192))
    alias.symlink_to(real)
    sign(alias, signers[0], at=NOW)
    assert alias.is_symlink()
    with pytest.raises(SigningError, match="has already signed this bundle"):
        sign(real, signers[0], at=NOW)


@pytest.mark.parametrize("kind", ["fifo", "folder", "missing"])
def test_what_is_no_file_is_refused_at_once(tmp_path, signers, kind):
    path = tmp_path / "u.bin"
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    with pytest.raises(BundlekitError, match=r"u\.bin"):
        sign(path, signers[0], at=NOW)
