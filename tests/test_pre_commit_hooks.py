"""The hooks for repositories that use bundlekit: each entry is run as pre-commit does, on a good and on a bad file."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE

ROOT = Path(__file__).parents[1]
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
NAMES = {"bundlekit-spec": "SPEC", "bundlekit-matrix": "matrix", "bundlekit-trust": "trust", "bundlekit-plan": "PLAN"}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, as the hooks do")

TRUST = "trust = 1\nallow-test-keys = true\n"
OPERATORS = """\
matrix = 1
releases = ["1.0", "1.1"]
[release]
scheme = "dotted"
version = "1.1"
product = "camera"
[[from]]
id = "all"
versions = ">=1.0, <1.1"
"""


@pytest.fixture
def folder(tmp_path):
    """Files of each kind, in a folder whose name a shell must not read."""
    place = tmp_path / "-a $(touch owned) 'b"
    (place / "operator").mkdir(parents=True)
    (place / "SPEC.toml").write_text(re.sub(r'^file = ".*"$', "", SPEC_EXAMPLE))
    (place / "matrix.toml").write_text(MATRIX_EXAMPLE)
    (place / "operator/matrix.toml").write_text(OPERATORS)
    shutil.copy(ROOT / "fixtures/demo/root.pem", place / "root.pem")
    (place / "trust.toml").write_text(
        'trust = 1\nallow-test-keys = true\n[signers.a]\nrole = "production"\nanchor = "root.pem"\n'
    )
    page = (ROOT / "bundlekit/docs/executor.md").read_text(encoding="utf-8")
    plan = re.search(r"^    plan = 1\n(?:    .+\n)+", page, re.MULTILINE)[0]
    (place / "PLAN.toml").write_text(plan.replace("    ", ""))
    return place


def run(hook, *files, cwd):
    """As pre-commit does: the entry is split like a command line, and the files follow."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    words = [*shlex.split(HOOKS[hook]["entry"]), *map(str, files)]
    done = subprocess.run(words, cwd=cwd, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert not list(cwd.rglob("owned"))
    return done


def test_there_is_a_hook_for_each_kind_of_file():
    assert list(HOOKS) == list(NAMES)
    for hook, name in NAMES.items():
        assert re.search(HOOKS[hook]["files"], f"a/{name}.toml")
        assert not re.search(HOOKS[hook]["files"], f"a/x{name}.toml")
        assert HOOKS[hook]["language"] == "python"
    page = (ROOT / "bundlekit/docs/pre-commit.md").read_text(encoding="utf-8")
    assert re.findall(r"- id: (\S+)", page) == list(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_accepts_good_files_and_fails_for_a_bad_one(folder, hook):
    files = sorted(folder.rglob(f"{NAMES[hook]}.toml"))
    relative = [file.relative_to(folder.parent) for file in files]
    good = run(hook, *relative, cwd=folder.parent)
    assert good.returncode == 0, good
    with files[0].open("a") as file:
        file.write("\n[surprise]\nx = 1\n")
    bad = run(hook, *relative, cwd=folder.parent)
    assert bad.returncode != 0, bad
    assert "surprise" in bad.stderr
