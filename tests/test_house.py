"""The house rules that tools can hold: lint, format, types, and the direction in which imports point."""

import ast
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
OURS = ["bundlekit", "fixtures", "tests", ".config"]  # not what somebody tries out beside them


newest_types = pytest.mark.skipif(
    tuple(map(int, version("click").split(".")[:2])) < (8, 5), reason="click declares generic types from version 8.5 on"
)
"""The types are checked against the newest libraries: the annotations of one release contradict those of another."""


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", *OURS],
        ["ruff", "format", "--check", *OURS],
        pytest.param(["mypy"], marks=newest_types),
        ["lint-imports"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_tool_is_content(command):
    done = subprocess.run([TOOLS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


LONGEST_MODULE = 449
"""Lines of a module of the package."""
LONGEST_FUNCTION = 79
"""Lines of a function with its signature and docstring, without its decorators."""


def too_long(path):
    """The module if it is too long, and each of its functions that is."""
    source = path.read_text(encoding="utf-8")
    if (count := len(source.splitlines())) > LONGEST_MODULE:
        yield f"{path.name}: {count} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = node.end_lineno - node.lineno + 1
            if count > LONGEST_FUNCTION:
                yield f"{path.name}:{node.lineno}: {node.name} has {count} lines"


def test_modules_and_functions_are_short():
    modules = sorted((ROOT / "bundlekit").rglob("*.py"))
    assert len(modules) > 200
    found = [fault for module in modules for fault in too_long(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("x = 1\n" * 449, 0),
        ("x = 1\n" * 450, 1),
        ("def f():\n" + "    x = 1\n" * 78, 0),
        ("def f():\n" + "    x = 1\n" * 79, 1),
        ("class C:\n    async def f(self):\n" + "        x = 1\n" * 79, 1),
    ],
)
def test_a_long_module_or_function_is_found(tmp_path, text, count):
    path = tmp_path / "module.py"
    path.write_text(text)
    assert len(list(too_long(path))) == count


def test_importing_the_package_loads_none_of_its_libraries():
    code = "import sys, bundlekit; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"click", "construct", "cryptography", "msgspec", "packaging", "rich"} & set(done.stdout.split())


def test_every_public_name_is_there_and_listed():
    import bundlekit

    for name in bundlekit.__all__:
        assert getattr(bundlekit, name) is not None
    assert set(bundlekit.__all__) - {"__version__"} == set(bundlekit._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        bundlekit.chek  # noqa: B018


def test_nothing_of_this_machine_and_of_no_registry_is_named():
    folders = [ROOT / name for name in (*OURS[:3], ".ci", ".github", ".gitlab")]
    files = [file for folder in folders for file in folder.rglob("*")]
    files += [ROOT / name for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")]
    files += [ROOT / ".pre-commit-config.yaml", ROOT / ".pre-commit-hooks.yaml"]
    files += (ROOT / ".config").glob("*.py")  # and not the environments of nox there
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".sh", ".yml", ".yaml", ""}
    read = [file for file in files if file.is_file() and file.suffix in suffixes]
    assert len(read) > 300
    words = ["pypi" + ".org", "python" + "hosted", "deb." + "debian", "npm" + "js.org", "/" + "root/", "/" + "tmp/bash"]
    for file in read:
        text = file.read_text(encoding="utf-8", errors="replace")
        assert not [word for word in words if word in text], file


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"])
def test_children_of_tests_get_signals_that_the_tests_were_started_without(name):
    """As after `pytest &` in a script, or under nohup: a child would wait for ever for a signal it never gets."""
    code = f"""
import importlib, signal, subprocess, sys
signal.signal(signal.{name}, signal.SIG_IGN)
importlib.import_module("tests.conftest")
child = "import signal; print(signal.getsignal(signal.{name}) is signal.SIG_IGN)"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


QUALIFIED = (
    # a form of data, or a page, is named by its module: der.encode, manifest.decode, crl.read
    {
        "artifacts",
        "decode",
        "encode",
        "identify",
        "lines",
        "load",
        "page",
        "parse",
        "read",
        "render",
        "schema",
        "table",
        "topics",
        "write",
    }
    # the library and the layer on top do the same: pipeline and catalog, matrix and rule, parts of a file and the file
    | {"build", "decide", "find_path", "opened", "sign", "withdrawn"}
    # small helpers, of modules that do not meet
    | {"algorithm", "describe", "held", "named", "refusal", "span", "view"}
)
"""Functions that several modules have, since a reader sees the module where they are called."""


def test_no_type_has_the_name_of_another():
    """A class or alias means one thing. So does a function, but for those that are called by module and name."""
    types, functions = defaultdict(list), defaultdict(list)
    for file in sorted((ROOT / "bundlekit").rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                types[node.name].append(file.name)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                types[node.targets[0].id].append(file.name)
            elif isinstance(node, ast.FunctionDef) and "cli" not in file.parts:  # commands have names of verbs
                functions[node.name].append(file.name)
    shared = {
        name: files for name, files in types.items() if len(files) > 1 and name[0].isupper() and not name.isupper()
    }
    assert shared == {}
    assert {name for name, files in functions.items() if len(files) > 1 and name[0] != "_"} == QUALIFIED


def circles(imports):
    """Each group of modules that lead back to one another, after ``imports``: by module, what it imports."""
    order, low, open_, found = {}, {}, [], []

    def visit(module):
        order[module] = low[module] = len(order)
        open_.append(module)
        for other in imports[module]:
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in open_:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            place = open_.index(module)
            if len(open_) > place + 1:
                found.append(sorted(open_[place:]))
            del open_[place:]

    for module in sorted(imports):
        if module not in order:
            visit(module)
    return found


def test_no_module_leads_back_to_itself_not_even_by_an_import_for_types():
    """The contracts of lint-imports leave out what is imported for annotations only."""
    graph = grimp.build_graph("bundlekit", exclude_type_checking_imports=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 200
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert circles(imports) == []


def test_the_rooms_of_the_executor_are_few():
    graph = grimp.build_graph("bundlekit", exclude_type_checking_imports=False, cache_dir=None)
    package = "bundlekit.update"
    rooms = graph.find_children(package)
    for room in rooms:
        graph.squash_module(room)
    below = {room: {one for one in graph.find_modules_directly_imported_by(room) if one in rooms} for room in rooms}
    floors = {}
    while len(floors) < len(rooms):
        floors |= {
            room: 1 + max((floors[one] for one in below[room]), default=0)
            for room in rooms
            if room not in floors and below[room] <= set(floors)
        }
    assert len(rooms) + 1 <= 10, "with the face of the package"
    assert max(floors.values()) + 1 <= 5
