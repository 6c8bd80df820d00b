"""What ends a command (SIGTERM, SIGHUP, Ctrl-C) ends it with 128 + n, and leaves nothing that is half-written."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundlekit.__main__ import main
from bundlekit.authoring.advisory import ADVISORY_EXAMPLE
from bundlekit.cli import run
from tests.cli.test_inputs import state

SIGNER = "--cert keys/signer.pem --key keys/signer.key"
SECOND = "--cert second/signer.pem --key second/signer.key"
TRUST = "--trust keys/root.pem"

VERBS = {
    "build": f"build SPEC.toml -o new.bin {SIGNER}",
    "build, replacing": f"build SPEC.toml -o update.bin {SIGNER}",
    "sign": f"sign update.bin {SECOND}",
    "sign, removing": "sign update.bin --remove 0",
    "sign, attaching": "sign update.bin --replace 0 --attach sig.der",
    "extract": "extract update.bin storage -o new.img",
    "extract, the head": "extract update.bin --head -o head",
    "keygen": "keygen new/keys",
    "check": f"check update.bin {TRUST} -o report",
    "check, many": f"check update.bin update.bin {TRUST}",
    "preflight": f"preflight update.bin {TRUST} -o report --format json",
    "path": f"path update.bin --from 5.30.02 --to 5.40.00 {TRUST} -o way",
    "advisory build": f"advisory build ADVISORY.toml -o new.adv {SIGNER}",
    "advisory sign": f"advisory sign adv.bin {SECOND}",
    "catalog add": "catalog add new.cat update.bin",
    "catalog add, to another": "catalog add cat update.bin",
    "matrix export": "matrix export cat -o new.json",
    "matrix import": "matrix import graph.json -o new.toml",
    "matrix lint": "matrix lint SPEC.toml",
    "inspect": "inspect update.bin",
    "trust show": "trust show keys/root.pem",
    "rehearse": "rehearse",
}
NUMBERS = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


@pytest.fixture
def ready(desk, capfd):
    Path("ADVISORY.toml").write_text(ADVISORY_EXAMPLE)
    for words in (
        "keygen second",
        f"advisory build ADVISORY.toml -o adv.bin {SIGNER}",
        "extract update.bin --signature 0 -o sig.der",
        "catalog add cat update.bin",
        "matrix export cat -o graph.json",
    ):
        assert run(words.split()) == 0, capfd.readouterr()
    Path("STATE.json").write_text(state("rack"))
    return desk


def within(place):
    """What lies in a folder: the bytes of each file, by its path."""
    return {path.relative_to(place): path.read_bytes() if path.is_file() else None for path in place.rglob("*")}


class Ended:
    """How a command ended, which got the signal ``number`` at its ``at``-th access to a file of the current folder."""

    def __init__(self, words, number, at):
        place, out = Path.cwd(), Path("..", "out").resolve()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            _be_a_command(words, number, at, place, out, writer)
        os.close(writer)
        with open(reader, "rb") as counts:
            self.accesses = len(counts.read())
        self.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.text = out.read_text()


def _be_a_command(words, number, at, place, out, counts):
    """Become the command, in a process of its own."""
    try:
        for one in NUMBERS:
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - to the end
        seen = 0

        def heed(event, args):
            nonlocal seen
            if event not in ("open", "os.rename", "os.remove", "os.mkdir") or not isinstance(args[0], str | Path):
                return
            if not os.path.abspath(args[0]).startswith(str(place)):
                return
            seen += 1
            os.write(counts, b".")
            if seen == at:
                os.kill(os.getpid(), number)

        sys.addaudithook(heed)
        sys.argv = ["bundlekit", *words.split()]
        main()
    finally:
        os._exit(99)


def ends_clean(words, number, at, before, whole):
    """That the command ends as it should, if it is ended at that access; restores the folder."""
    ended = Ended(words, number, at)
    after = within(Path())
    if ended.accesses < at:
        assert ended.code == 0, ended.text
    else:
        assert ended.code == NUMBERS[number], ended.text
        assert ended.text.splitlines()[-1] == "interrupted"
    assert "Traceback" not in ended.text
    left = {path for path in after if path not in before and path not in whole}
    assert not left
    for path, data in after.items():  # nothing, or all of it
        assert (data is None) == (whole.get(path, before.get(path)) is None)
        assert path not in before or data == before[path] or len(data) == len(whole[path])
    restore(before)


def restore(before):
    for path in sorted(within(Path()), reverse=True):
        if path not in before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, data in before.items():
        if data is not None and path.read_bytes() != data:
            path.write_bytes(data)


def uninterrupted(words, before):
    """The number of accesses, and what lies in the folder at the end."""
    ended = Ended(words, signal.SIGTERM, 0)
    assert ended.code in (0, 1), ended.text
    whole = within(Path())
    restore(before)
    return ended.accesses, whole


@pytest.mark.exhaustive
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_ended_leaves_nothing_behind(ready, verb):
    """At the last access, where what is written has its temporary name, and at one before it."""
    before = within(ready)
    accesses, whole = uninterrupted(VERBS[verb], before)
    for at, number in ((accesses, signal.SIGTERM), (accesses - 1, signal.SIGHUP)):
        ends_clean(VERBS[verb], number, max(at, 1), before, whole)


@pytest.mark.parametrize("words", ["build SPEC.toml -o -", "extract update.bin storage -o -"])
def test_a_reader_of_bytes_that_goes_away_is_141(ready, words):
    before = within(ready)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "bundlekit", *words.split()], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, within(ready)) == (128 + signal.SIGPIPE, before)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", [f"check update.bin {TRUST}", "explain format", "trust show keys/root.pem"])
def test_a_reader_of_text_that_goes_away_changes_no_verdict(ready, words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "bundlekit", *words.split()], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.sweep
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_can_be_ended_at_each_access_to_a_file(ready, verb, number):
    before = within(ready)
    accesses, whole = uninterrupted(VERBS[verb], before)
    for at in range(1, accesses + 1):
        ends_clean(VERBS[verb], number, at, before, whole)
