"""The tasks, hooks and workflows of developers name what exists, and the release check finds what is wrong."""

import ast
import importlib.util
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOXFILE = ast.parse((ROOT / ".config" / "noxfile.py").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def sessions() -> dict[str, ast.FunctionDef]:
    """The functions of the noxfile that are sessions; nox itself is not needed to know them."""
    return {
        node.name: node
        for node in NOXFILE.body
        if isinstance(node, ast.FunctionDef) and "nox.session" in map(ast.unparse, node.decorator_list)
    }


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".config" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sessions_are_the_ones_that_developers_expect():
    assert set(sessions()) == {"tests", "lint", "types", "sweep", "namespaces", "bench", "docs", "coverage", "release"}
    assert all(ast.get_docstring(one) for one in sessions().values())


def test_the_files_that_sessions_name_exist():
    words = [node.value for node in ast.walk(NOXFILE) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    named = [word for word in words if word.startswith(("tests/", ".config/")) and " " not in word]
    assert len(named) > 4
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_runs_a_tool_of_the_test_environment(hook):
    """`language: system` takes the tool from the environment, so that pre-commit downloads nothing."""
    assert hook["language"] == "system"
    program, *arguments = shlex.split(hook["entry"])
    assert (Path(sys.executable).parent / program).is_file()
    assert [one for one in arguments if one.startswith("tests/") and not (ROOT / one).is_file()] == []


def test_the_hooks_are_those_of_the_house():
    assert [hook["id"] for hook in HOOKS] == ["ruff-check", "ruff-format", "mypy", "import-linter", "language"]


def test_ci_runs_the_command_of_the_readme_under_each_supported_python():
    job = WORKFLOW["jobs"]["test"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert job["strategy"]["matrix"]["python"][0] == oldest
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    runs = [step["run"] for one in WORKFLOW["jobs"].values() for step in one["steps"] if "run" in step]
    named = [word for run in runs if run.startswith("nox") for word in run.partition(" -s ")[2].split()]
    assert named
    assert set(named) <= set(sessions())


def test_ci_needs_no_secret_and_can_write_nothing():
    assert "${{ secrets." not in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert WORKFLOW["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("CHANGELOG.md", "# Changelog\n\n## 1.2.2, 2026-01-01\n", "CHANGELOG.md: the newest version is 1.2.2"),
        ("CHANGELOG.md", "# Changelog\n", "CHANGELOG.md: the newest version is None"),
        ("README.md", "pip install bundlekit==1.2.2\n", "README.md: it names version 1.2.2"),
        ("bundlekit/_version.py", "", "no version found"),
    ],
)
def test_versions_that_disagree_are_not_released(release, tmp_path, file, text, fault):
    (tmp_path / "bundlekit").mkdir()
    (tmp_path / "bundlekit" / "_version.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3, 2026-01-01\n\n## 1.2.2, 2025-01-01\n")
    (tmp_path / "README.md").write_text("bundlekit 1.2.3\n")
    assert release.version_of(tmp_path) == "1.2.3"
    (tmp_path / file).write_text(text)
    with pytest.raises(release.NotReadyError, match=fault):
        release.version_of(tmp_path)


def test_the_release_check_can_read_this_project(release):
    import bundlekit

    assert release.version_of(ROOT) == bundlekit.__version__
    assert release.demo_of(ROOT)[:2] == ["check", "fixtures/demo/update.bin"]


TRACKED = ["bundlekit/__init__.py", "bundlekit/py.typed", "bundlekit/docs/format.md", "tests/test_x.py", "README.md"]
WHEEL = [*TRACKED[:3], "bundlekit-1.2.3.dist-info/licenses/LICENSE", "bundlekit-1.2.3.dist-info/METADATA"]


@pytest.mark.parametrize(
    ("lacks", "has", "fault"),
    [
        ("bundlekit/py.typed", "", "lacks bundlekit/py.typed"),
        ("bundlekit/docs/format.md", "", "lacks bundlekit/docs/format.md"),
        ("bundlekit-1.2.3.dist-info/licenses/LICENSE", "", "lacks the licence"),
        ("", "tests/test_x.py", "has tests/test_x.py, which is not under version control"),
    ],
)
def test_a_wheel_holds_the_package_and_no_tests(release, lacks, has, fault):
    assert release.faults_of_wheel(WHEEL, TRACKED, "1.2.3") == []
    names = [name for name in [*WHEEL, has] if name and name != lacks]
    (found,) = release.faults_of_wheel(names, TRACKED, "1.2.3")
    assert found.startswith(fault.partition(",")[0])


def test_a_source_archive_holds_all_that_is_tracked(release):
    names = [f"bundlekit-1.2.3/{name}" for name in [*TRACKED, "PKG-INFO"]]
    assert release.faults_of_sdist(names, TRACKED, "1.2.3") == []
    assert release.faults_of_sdist(names[1:], TRACKED, "1.2.3") == ["lacks bundlekit-1.2.3/bundlekit/__init__.py"]
    (extra,) = release.faults_of_sdist([*names, "bundlekit-1.2.3/notes"], TRACKED, "1.2.3")
    assert extra.startswith("has bundlekit-1.2.3/notes")


def test_builds_that_differ_are_not_released(release, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "ROOT", tmp_path)
    builds = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.whl").write_text(name)
        builds.append([tmp_path / name / "a.whl"])
    release.compare(builds[0], builds[0])
    with pytest.raises(release.NotReadyError, match=r"two builds differ.*a\.whl"):
        release.compare(*builds)
    assert (tmp_path / "dist" / "build-2" / "a.whl").read_text() == "other"
