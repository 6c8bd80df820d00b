"""A release engineer's desk: a SPEC with its files, throw-away keys, and the command line in process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE
from bundlekit.cli import run


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys):
    """Run a verb; what it printed and its exit code come back."""

    def call(*args):
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def _desk(tmp_path_factory):
    desk = tmp_path_factory.mktemp("desk")
    (desk / "out").mkdir()
    for name, size in (("storage-3.4.0.img", 200_000), ("im100.img", 70_000), ("im200.img", 3_000_000)):
        (desk / "out" / name).write_bytes(bytes(byte % 251 for byte in range(1000)) * (size // 1000))
    (desk / "notes.md").write_text("# Notes\n")
    (desk / "eula.txt").write_text("You may.\n")
    (desk / "SPEC.toml").write_text(SPEC_EXAMPLE)
    (desk / "matrix.toml").write_text(MATRIX_EXAMPLE)
    assert run(["keygen", str(desk / "keys")]) == 0
    signer = ["--cert", str(desk / "keys/signer.pem"), "--key", str(desk / "keys/signer.key")]
    assert run(["build", str(desk / "SPEC.toml"), "-o", str(desk / "update.bin"), *signer]) == 0
    return desk


@pytest.fixture
def desk(_desk, tmp_path, monkeypatch) -> Path:
    """A copy of the desk of one's own, which is the current folder."""
    shutil.copytree(_desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


SPEC = """\
spec = 1
kind = "{kind}"
product = "{product}"
models = {models}
version = "{version}"
scheme = "dotted"
released = {released}
counter = {counter}
includes = {includes}
matrix = "{version}.matrix.toml"
{more}
[components.appliance]
version = "{version}"
file = "image"
{components}
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with an image and keys, in which ``ship`` builds small signed releases; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("image").write_bytes(b"image" * 1000)
    run(["keygen", "keys"])
    return tmp_path


UNSIGNED = {"update.bin": ["sign"], "release.bk": ["sign"], "adv.bin": ["advisory", "sign"]}
"""A small file of each kind that is signed, and the command that signs it."""

ADVISORY = """\
advisory = 1
product = "imager"
serial = 4
issued = 2026-11-01
until = 2027-03-01
[[block]]
id = "ADV-17"
into = "5.40.00"
versions = "5.30.02"
reason = "It may stop at 60 %."
"""


@pytest.fixture(scope="session")
def _unsigned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unsigned")
    fields = {"kind": "release", "product": "imager", "models": ["im-100"], "released": "2026-11-23", "counter": 7}
    impact = 'impact = { service = "rolling", reboot = true, minutes = 60 }'
    text = SPEC.format(version="5.40.00", components="", includes=[], more=impact, **fields)
    (folder / "SPEC.toml").write_text(text)
    matrix = 'matrix = 1\nreleases = ["5.30.02"]\n[[from]]\nid = "rolling"\nversions = "<5.40.00"\n'
    (folder / "5.40.00.matrix.toml").write_text(matrix)
    (folder / "image").write_bytes(b"image" * 1000)
    (folder / "ADVISORY.toml").write_text(ADVISORY)
    spec = str(folder / "SPEC.toml")
    assert run(["build", spec, "-o", str(folder / "update.bin")]) == 0
    assert run(["build", spec, "--detached", "-o", str(folder / "release.bk")]) == 0
    assert run(["advisory", "build", str(folder / "ADVISORY.toml"), "-o", str(folder / "adv.bin"), "--unsigned"]) == 0
    return folder


@pytest.fixture
def unsigned(_unsigned, tmp_path, monkeypatch):
    """A copy of the files of `UNSIGNED`, in the current folder."""
    shutil.copytree(_unsigned, tmp_path / "unsigned")
    monkeypatch.chdir(tmp_path / "unsigned")
    return UNSIGNED


@pytest.fixture
def ship(shop, cli):
    """Write SPEC and matrix of a release and build it, signed: ``ship("5.40.00", matrix)`` gives 5.40.00.bin."""

    def build(version, matrix, *, storage="", signer="keys/signer", **changes):
        fields = {
            "kind": "release",
            "product": "imager",
            "models": ["im-100"],
            "released": "2026-11-23",
            "counter": 7,
            "includes": [],
            "more": "",
        }
        fields |= changes
        components = f'[components.storage]\nversion = "{storage}"\nfile = "image"\n' if storage else ""
        Path(f"{version}.matrix.toml").write_text(f"matrix = 1\n{matrix}")
        Path(f"{version}.toml").write_text(SPEC.format(version=version, components=components, **fields))
        args = ["--cert", f"{signer}.pem", "--key", f"{signer}.key"]
        result = cli("build", f"{version}.toml", "-o", f"{version}.bin", *args)
        assert result.code == 0, result.err
        return f"{version}.bin"

    return build


@pytest.fixture
def state(shop):
    """Write a STATE.json: ``state("5.30.02", storage="3.3.0")`` gives the name of the file."""

    def write(version="5.30.02", *, pair="rack-7", storage="", name="STATE.json", **changes):
        member = {"version": version, "released": "2025-01-01"}
        value = {
            "schema": "bundlekit/state/1",
            "pair": pair,
            "product": "imager",
            "model": "im-100",
            "members": {"SN1": {"role": "active", **member}, "SN2": {"role": "standby", **member}},
            "components": {"storage": {"version": storage}} if storage else {},
            "counter": 6,
            "includes": [],
        } | changes
        Path(name).write_text(json.dumps({key: item for key, item in value.items() if item is not ...}))
        return name

    return write
