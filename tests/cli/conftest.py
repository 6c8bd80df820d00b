"""A release engineer's desk: a SPEC with its files, throw-away keys, and the command line in process."""

from __future__ import annotations

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
