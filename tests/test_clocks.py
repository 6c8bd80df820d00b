"""No test passes or fails by a clock: machines are slow, and busy with other work."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
WAITING = "waiting.py"
"""The one module that looks at a clock, for the limit after which a test that hangs is ended."""

SHIFTED = "worker_process.py"
"""A process whose clocks are minutes away from those of others: it replaces them, and compares nothing with them."""

CLOCKS = {
    "time": {
        name + suffix
        for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
        for suffix in ("", "_ns")
    } | {"clock_gettime", "clock_gettime_ns"},
    "resource": {"getrusage"},
    "os": {"times"},
    "timeit": {"timeit", "repeat", "default_timer"},
}  # fmt: skip


def clocks_in(tree):
    """The clocks that a module looks at, by line; what its text gives to other processes is no look of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in CLOCKS.get(node.value.id, ()):
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                if name.name in CLOCKS.get(node.module, ()):
                    yield node.lineno, f"{node.module}.{name.name}"


MODULES = [
    path
    for path in sorted(TESTS.rglob("*.py"))
    if not {"benchmarks", "appliance"} & set(path.parts)  # an appliance polls by its clock
    and path.name not in {WAITING, SHIFTED}
]  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_looks_at_a_clock(path):
    assert list(clocks_in(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import time\nbegan = time.monotonic()", [(2, "time.monotonic")]),
        ("from time import perf_counter_ns as now", [(1, "time.perf_counter_ns")]),
        ("import os\nos.times()", [(2, "os.times")]),
        ("import time\ntime.sleep(1)", []),
        ("world.clock.monotonic()", []),
    ],
)
def test_a_clock_is_found(code, found):
    assert list(clocks_in(ast.parse(code))) == found


PACKAGE = ROOT / "bundlekit"
CALENDARS = {
    "wall_clock.py": {"now"},
    "update/engine/clock.py": {"time"},  # beside the ticks since the start of the machine
    "update/targets/command.py": {"time_ns"},  # for names of logs
}
"""The modules of the package that ask what time it is, and how."""


def calendars_in(tree):
    """The names of the functions of a module that tell the time, where they are called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, of = node.func.attr, ast.unparse(node.func.value)
            if name in {"now", "utcnow", "today"} and of.rpartition(".")[2] in {"datetime", "date"}:
                yield name
            if (of, name) in {("time", "time"), ("time", "time_ns"), ("time", "localtime")}:
                yield name


def test_the_package_asks_for_the_time_in_one_place():
    """So that tests can set it, and do not end with the certificates and advisories that they make."""
    found = {
        path.relative_to(PACKAGE).as_posix(): set(calendars_in(ast.parse(path.read_text())))
        for path in PACKAGE.rglob("*.py")
    }
    assert {path: names for path, names in found.items() if names} == CALENDARS
