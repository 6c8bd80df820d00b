"""The oldest libraries that work: one list in two places, and one sentence where an older one is installed."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bundlekit
import bundlekit.trust
import bundlekit.update
from bundlekit import cli, dependencies

ROOT = Path(__file__).parents[1]


def declared():
    """The floors of pyproject.toml for every Python, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(one.split(">=") for one in project["dependencies"] if ";" not in one)


def test_the_floors_are_those_of_the_project_file():
    assert declared() == dependencies.FLOORS


def test_every_floor_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for name, floor in dependencies.FLOORS.items():
        assert [line for line in lines if re.match(rf'  "{name}>={floor}", +# ..', line)], name


def test_what_is_installed_here_is_enough():
    assert dependencies.unmet() == ""


@pytest.fixture
def installed(monkeypatch):
    """A function that makes libraries appear in other versions, None for one that is not installed."""

    def pretend(**versions):
        real = importlib.metadata.version

        def version(name):
            found = versions[name] if name in versions else real(name)
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(importlib.metadata, "version", version)

    return pretend


@pytest.mark.parametrize(
    ("found", "enough"),
    [
        *((one, True) for one in ("49.0.0", "49", "49.0.1", "50.0.2", "100.0")),
        *((one, False) for one in ("48.0.1", "48.99.9", "9.0", "4.9", "unknown")),
    ],
)
def test_versions_compare_by_their_numbers(installed, found, enough):
    installed(cryptography=found)
    message = f"bundlekit needs cryptography 49 or later, and version {found} is installed."
    assert dependencies.unmet() == ("" if enough else message)


FAULTS = [ImportError("no name"), AttributeError("none"), TypeError("not subscriptable"), NotImplementedError("TLV")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ("7.1.2", "bundlekit needs click 8.1.5 or later, and version 7.1.2 is installed."),
        (None, "bundlekit needs click 8.1.5 or later, which is not installed."),
    ],
)
def test_a_verb_that_fails_for_an_old_library_reports_it_in_one_sentence(
    monkeypatch, capsys, installed, fault, found, sentence
):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(cli.command, "main", fail)
    monkeypatch.delenv("BUNDLEKIT_DEBUG", raising=False)
    installed(click=found)
    assert cli.run(["check", "update.bin"]) == 3
    assert capsys.readouterr().err == f"bundlekit: {sentence}\nnext: {dependencies.REMEDY}\n"


def test_with_libraries_that_are_new_enough_it_stays_an_internal_error(monkeypatch, capsys):
    def fail(*_, **__):
        raise FAULTS[0]

    monkeypatch.setattr(cli.command, "main", fail)
    monkeypatch.delenv("BUNDLEKIT_DEBUG", raising=False)
    assert cli.run(["check", "update.bin"]) == 70
    assert "internal error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "name"), [(bundlekit, "check"), (bundlekit.update, "Controller"), (bundlekit.trust, "load_trust")]
)
def test_the_library_names_what_is_too_old(monkeypatch, installed, package, name):
    monkeypatch.setitem(package._HOMES, name, "no_such_module")
    monkeypatch.delitem(vars(package), name, raising=False)
    installed(msgspec="0.15.0")
    with pytest.raises(
        ImportError, match=r"^bundlekit needs msgspec 0\.19 or later, and version 0\.15\.0 is installed"
    ):
        getattr(package, name)


@pytest.mark.parametrize(("version", "code"), [("8.0.4", 3), (None, 70)])
def test_a_process_whose_modules_do_not_load_never_ends_with_the_code_of_a_refusal(tmp_path, version, code):
    """click as a module that has nothing, beside the metadata of a version, or with those of the real one."""
    (tmp_path / "click.py").write_text("")
    if version:
        metadata = tmp_path / f"click-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: click\nVersion: {version}\n")
    code_ = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; from bundlekit.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code_], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    sentence = f"bundlekit: bundlekit needs click 8.1.5 or later, and version {version} is installed.\n"
    assert done.stderr.startswith(sentence if version else "bundlekit: internal error, please report it: ")
