"""The tasks of a developer: ``nox -f .config/noxfile.py -l`` lists them, ``-s NAME`` runs one.

Each session has a virtual environment of its own under ``.config/.nox``. ``--no-venv`` uses the environment that nox
runs in, which is faster where ``pip install -e '.[test,dev]'`` has been done. ``-P 3.13`` chooses another Python.
What follows ``--`` is passed to the tool of the session, such as ``-s tests -- tests/matrix``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parents[1]
CODE = ("bundlekit", "fixtures", "tests", ".config")

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]


def prepare(session: nox.Session, *packages: str) -> None:
    """Go to the top level of the project and install what a session needs there."""
    session.chdir(ROOT)
    if session.virtualenv.is_sandboxed:
        session.install(*(packages or ("-e", ".[test]")))
    else:  # the tools beside nox, whether or not that environment is activated
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on two cores."""
    prepare(session)
    session.run("pytest", "-q", "-n", "2", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, the direction of imports, and the language of texts."""
    prepare(session)
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    session.run("lint-imports")
    session.run("pytest", "-q", "tests/test_language.py")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, the fixtures and the tests."""
    prepare(session)
    session.run("mypy", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Flip every byte of every sample, and cut each at every length; takes minutes."""
    prepare(session)
    session.run("pytest", "-q", "-n", "2", "-m", "sweep", *session.posargs)


@nox.session
def namespaces(session: nox.Session) -> None:
    """Update a real pair in network namespaces, and print how long its address was away; needs root and keepalived."""
    prepare(session)
    session.run("pytest", "-q", "-rP", "-m", "netns", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory: all benchmarks, or those named after ``--``, such as ``-- check_speed``."""
    prepare(session)
    folder = ROOT / "tests" / "benchmarks"
    every = sorted(one.stem for one in folder.glob("*.py") if one.stem != "harness")
    for name in session.posargs or every:
        session.run("python", folder / f"{name}.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Check that the pages, the README and the recipes for contributors are true."""
    prepare(session)
    session.run("pytest", "-q", *DOCS, *session.posargs)


DOCS = (
    "tests/test_contributing.py",
    "tests/test_api_reference.py",
    "tests/test_docs.py",
    "tests/test_language.py",
    "tests/test_readme.py",
    "tests/update/test_docs.py",
)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests, count the lines and branches that they reach, and hold the floor of ``pyproject.toml``."""
    prepare(session)
    part = ["--cov-fail-under=0", *session.posargs] if session.posargs else []  # the floor is for all tests
    session.run("pytest", "-q", "-n", "2", "--cov", "--cov-report=term-missing:skip-covered", *part)


@nox.session
def release(session: nox.Session) -> None:
    """Check that HEAD can be released: versions, reproducible builds, contents, and the demo in a new environment."""
    prepare(session, "build>=1.2", "hatchling>=1.26", "twine>=6")
    session.run("python", ".config/release.py", *session.posargs, env={"PYTHONWARNINGS": "default"})


if __name__ == "__main__":
    sys.exit("run it with nox: nox -f .config/noxfile.py")
