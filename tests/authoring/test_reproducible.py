"""The same inputs give the same bundle, wherever and whenever it is built; signatures differ by their scheme."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundlekit.cli import run
from fixtures.forge import section

ROOT = Path(__file__).parents[2]
SPEC = """\
spec = 1
kind = "release"
product = "imager"
models = ["im-200", "im-100"]
version = "5.40.00"
scheme = "dotted"
released = 2026-11-23
counter = 7
matrix = "matrix.toml"
[components.appliance]
version = "5.40.00"
file = "image"
[documents]
notes = "notes.md"
[annotations]
zulu = "z"
alpha = "a"
"""
MATRIX = 'matrix = 1\nreleases = ["5.30.02"]\n[[from]]\nid = "rolling"\nversions = "<5.40.00"\n'
PLACES = {
    "here": {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
    "there/deeper": {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "2"},
}


def built(folder, environment, *signer):
    """The bundle that another process builds in a folder of its own, from files with times of their own."""
    folder.mkdir(parents=True)
    for name, text in {
        "SPEC.toml": SPEC,
        "matrix.toml": MATRIX,
        "notes.md": "# Notes\n",
        "image": "image" * 50_000,
    }.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (1_000_000_000 + len(str(folder)), 1_500_000_000 + len(str(folder))))
    for file in signer:
        if isinstance(file, Path):
            shutil.copy(file, folder)
    names = [one.name if isinstance(one, Path) else one for one in signer]
    done = subprocess.run(
        [sys.executable, "-m", "bundlekit", "build", "SPEC.toml", "-o", "update.bin", *names],
        cwd=folder,
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (folder / "update.bin").read_bytes()


@pytest.mark.parametrize("options", [(), ("--detached",)], ids=["whole", "detached"])
def test_two_builds_in_different_places_are_the_same(tmp_path, options):
    one, other = (built(tmp_path / place, environment, *options) for place, environment in PLACES.items())
    assert one == other


@pytest.mark.parametrize(
    ("algorithm", "options", "deterministic"),
    [
        ("rsa-3072", (), True),
        ("ecdsa-p384", (), True),
        ("ed25519", (), True),
        ("rsa-3072", ("--pss",), False),
        ("ml-dsa-65", (), False),
    ],
)
def test_the_signature_is_the_same_by_deterministic_schemes_and_the_rest_by_all(
    tmp_path, algorithm, options, deterministic
):
    assert run(["keygen", str(tmp_path / "keys"), "--algorithm", algorithm]) == 0
    files = {"--cert": tmp_path / "keys" / "signer.pem", "--key": tmp_path / "keys" / "signer.key"}
    signer = [
        word for option, file in files.items() if file.exists() for word in (option, file)
    ]  # a bare key is pinned
    one, other = (built(tmp_path / place, environment, *signer, *options) for place, environment in PLACES.items())
    area = section(one, "signatures")
    assert one[: area.start] + one[area.stop :] == other[: area.start] + other[area.stop :]
    assert (one == other) is deterministic
