"""Every path that a verb takes, and what can lie there: a documented exit code, one sentence, bounded memory.

The parameters are those that click knows, so that one that is added is tried as well.
"""

import ctypes
import os
import re
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import click
import pytest

from bundlekit import files
from bundlekit.authoring.advisory import ADVISORY_EXAMPLE
from bundlekit.cli import command, run
from fixtures.make_fleet import make_fleet
from fixtures.make_keys import KEYS
from tests.cli.test_inputs import state
from tests.update.test_plan import EXAMPLE as PLAN_EXAMPLE

MEMORY = 768 * 2**20
"""What a call can take in addition. The sparse file has 1 TiB."""

PATIENCE = 240
"""Seconds after which a call counts as hanging; none of them takes one without other load."""

CODES = {0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 30, 40, 75}
OUTPUTS = {"output", "export", "vsa"}

NO_SERVER = ["--state", "postgresql://127.0.0.1:1/fleet"]

OTHER_ARGUMENTS = {
    "fleet start": ["--by", "A", *NO_SERVER],
    "fleet worker": NO_SERVER,
    "fleet export": NO_SERVER,
    "extract": ["storage"],
    "path": ["--to", "5.40.00"],
    "schema": ["report"],
    "advisory attach": [],
    **{f"update {verb}": ["--pair", "rack"] for verb in ("cancel", "log", "repair", "resume")},
    **{f"update {verb}": ["--pair", "rack", "--by", "A", "--reason", "R"] for verb in ("clear", "revert")},
    "update state": ["--pair", "rack", "--product", "imager", "--model", "im-100"],
}
GOOD = {
    "bundle": "update.bin",
    "bundles": "update.bin",
    "spec": "SPEC.toml",
    "source": "ADVISORY.toml",
    "file": "adv.bin",
    "signature": "sig.der",
    "place": "cat",
    "directory": "new",
    "old": "SPEC.toml",
    "new": "update.bin",
    "graph": "graph.json",
    "release": "SPEC.toml",
    "trusted": "keys/root.pem",
    "keys": "keys/signer.key",
    "certs": str(KEYS / "rsa-signer.pem"),
    "signer": "true",
    "output": "out",
    "vsa": "vsa.json",
    "appliance": "STATE.json",
    "state_dir": "state",
    "fleet_path": "FLEET.toml",
    "folder": "new",
}
WITH = {
    ("build", "certs"): ["keys"],
    ("advisory build", "certs"): ["keys"],
    ("advisory sign", "certs"): ["keys"],
    ("sign", "certs"): ["keys"],
    ("sign", "bundle"): ["keys"],
    ("sign", "prepared"): ["certs"],
    ("sign", "trusted"): ["keys"],
    ("advisory sign", "trusted"): ["keys"],
    ("advisory sign", "prepared"): ["certs"],
    ("advisory sign", "file"): ["keys"],
    ("path", "appliance"): [],
    ("check", "advisories"): ["trusted"],
    ("preflight", "advisories"): ["trusted"],
}
"""The options that go with one that is not required."""

JOURNALLED = ("cancel", "clear", "log", "plan", "repair", "resume", "revert", "run", "status")

NOT_REACHED = {
    *((f"update {verb}", "state_dir") for verb in ("cancel", "clear", "log", "repair", "resume", "revert")),
    ("update repair", "bundle"),
    ("update log", "output"),
    ("update state", "output"),
    ("fleet start", "fleet_path"),
    ("fleet worker", "state_dir"),
    ("fleet export", "folder"),
    ("fleet export", "state_dir"),
}
"""What a call does not come to, as there was no run, the built-in plan has no hooks, or no server."""

ALWAYS = {
    "build": ["spec", "output"],
    "advisory build": ["source", "output", "keys"],
    "path": [],
    "catalog show": ["place"],
    "update state": ["appliance"],
    **{f"update {verb}": ["state_dir"] for verb in JOURNALLED},
}


def leaves(one=command, name=()):
    if isinstance(one, click.Group):
        context = click.Context(one)
        for verb in one.list_commands(context):
            yield from leaves(one.get_command(context, verb), (*name, verb))
    else:
        yield " ".join(name), one


VERBS = dict(leaves())
PLACES = [(verb, one.name) for verb, known in VERBS.items() for one in known.params if isinstance(one.type, click.Path)]


def given(one, value):
    return [one.opts[-1] if not isinstance(one, click.Argument) else "--", value][isinstance(one, click.Argument) :]


def call(verb, name, value):
    """The arguments of ``verb`` with ``value`` for the parameter ``name``, and what else it needs."""
    known = {one.name: one for one in VERBS[verb].params}
    needed = [one.name for one in known.values() if one.required and isinstance(one.type, click.Path)]
    if verb == "path" and name not in {"graph", "catalogs"}:
        needed.append("bundles")
    needed += [*ALWAYS.get(verb, ()), *WITH.get((verb, name), ())]
    if name == "public_key":  # it is of a command that signs in place of a key
        needed = [one for one in needed if one != "keys"] + ["signer"]
    wanted = {one: GOOD[one] for one in dict.fromkeys(needed)} | {name: value}
    options = [
        word for one in wanted for word in given(known[one], wanted[one]) if known[one].param_type_name == "option"
    ]
    arguments = [wanted[one] for one in known if one in wanted and known[one].param_type_name == "argument"]
    other = OTHER_ARGUMENTS.get(verb, [])
    if verb == "path" and name != "appliance":
        other = [*other, "--from", "5.30.02"]
    positional = [word for word in other if verb == "extract"]
    return [*verb.split(), *options, *([] if positional else other), *arguments, *positional]


def lay(kind):
    """Something called ``odd`` in the current folder, or the name of what cannot exist."""
    odd = Path("odd")
    match kind:
        case "sparse":
            with odd.open("wb") as file:
                file.truncate(2**40)
        case "device":
            return "/dev/zero"
        case "pipe":
            os.mkfifo(odd)
        case "folder":
            odd.mkdir()
        case "dangling":
            odd.symlink_to("nowhere")
        case "loop":
            odd.symlink_to("loop")
            Path("loop").symlink_to("odd")
        case "unreadable":
            odd.write_bytes(b"x")
            odd.chmod(0)
        case "empty":
            odd.touch()
        case "long":
            return "x" * 300
        case "nul":
            return "a\0b"
    return "odd"


KINDS = ("sparse", "device", "pipe", "folder", "dangling", "loop", "unreadable", "empty", "long", "nul")


@pytest.fixture
def ready(desk, capsys):
    signer = ["--cert", "keys/signer.pem", "--key", "keys/signer.key"]
    Path("ADVISORY.toml").write_text(ADVISORY_EXAMPLE)
    assert run(["advisory", "build", "ADVISORY.toml", "-o", "adv.bin", *signer]) == 0
    assert run(["extract", "adv.bin", "--signature", "0", "-o", "sig.der"]) == 0
    assert run(["catalog", "add", "cat", "update.bin"]) == 0
    assert run(["matrix", "export", "cat", "-o", "graph.json"]) == 0
    Path("STATE.json").write_text(state("rack"))
    Path("PLAN.toml").write_text(PLAN_EXAMPLE)
    Path("state").mkdir(mode=0o700)
    make_fleet(Path())
    return desk


class Capabilities(ctypes.Structure):
    """One of the two halves of what capget(2) and capset(2) take."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2
"""The capabilities by which root reads what nobody may read: capabilities(7)."""


@pytest.fixture
def ordinary():
    """Permissions hold here, for root as well: it keeps its files, and loses the right to pass over their modes."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, halves = (ctypes.c_uint32 * 2)(0x20080522, 0), (Capabilities * 2)()
    assert libc.capget(header, halves) == 0
    before = halves[0].effective
    halves[0].effective &= ~(DAC_OVERRIDE | DAC_READ_SEARCH)
    assert libc.capset(header, halves) == 0
    yield
    halves[0].effective = before
    assert libc.capset(header, halves) == 0


@pytest.fixture
def bounded(monkeypatch):
    """A call here takes no more than `MEMORY`, and is ended after `PATIENCE`."""
    monkeypatch.setattr(files, "FOR_A_READER", 0)
    used = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))

    def hangs(*_):
        os._exit(99)

    handler = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_what_is_unreadable_is_so_for_root_too(ready, ordinary):
    with pytest.raises(PermissionError):
        Path(lay("unreadable")).read_bytes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of the process is read from /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_lies_there_is_answered(ready, bounded, ordinary, cli, kind):
    wrong: list[tuple[Any, ...]] = []
    for verb, name in PLACES:
        odd = lay(kind)
        shown = odd.replace("\0", "\\u0000")
        result = cli(*call(verb, name, odd))
        said = [line for line in result.err.splitlines() if line.startswith(("bundlekit: ", "Error: "))]
        if result.code not in CODES:
            wrong.append((verb, name, result.code, result.err[-300:]))
        if said and (verb, name) not in NOT_REACHED and shown not in " ".join(said):
            wrong.append((verb, name, "is not named", result.err[-300:], result.out[-200:]))
        for path in (Path("odd"), Path("loop"), Path("nowhere")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    assert not wrong, "\n".join(map(str, wrong))
