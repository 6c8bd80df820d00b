"""The reference of the Python API has every public name, and each docstring holds what a caller has to know."""

import ast
import builtins
import importlib
import inspect
import re
from typing import get_args

import pytest

import bundlekit
import bundlekit.update
from bundlekit.cli import run
from bundlekit.docs import api, page, topics

NAMES = [name for name in bundlekit.__all__ if name != "__version__"]
UPDATE_NAMES = [name for name in bundlekit.update.__all__ if name not in NAMES]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(bundlekit, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(bundlekit, name))]
QUANTITIES = re.compile(r"size|deadline|timeout|interval|poll|seconds|age|limit|.*_bytes|.*_at_least")
UNITS = re.compile(r"\b(?:bytes?|seconds?|minutes?|days?|serial|number|count\w*)\b")


def documentation(name):
    """The docstring of a name, with those of the names that it refers to for its parameters."""
    text = getattr(bundlekit, name).__doc__
    others = re.findall(r"(?:as in :func:|a :class:)`(?:bundlekit\.)?(\w+)`", text)
    return text + "".join(documentation(other) for other in others)


def parameters(name):
    return list(inspect.signature(getattr(bundlekit, name)).parameters)


def test_the_overview_has_each_public_name_once():
    assert "api" in topics()
    listed = re.findall(r"^ {4}(\w+) +\S", page("api"), re.MULTILINE)
    assert sorted(listed) == sorted([*NAMES, *UPDATE_NAMES])


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_a_docstring_of_its_own(name):
    text = api._described("bundlekit", name)
    assert text
    assert text[0].isupper()
    assert text.partition("\n\n")[0].strip().endswith((".", ".)"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_names_its_parameters_and_errors(name):
    text = documentation(name)
    assert [one for one in parameters(name) if not re.search(rf"``{one}\b", text)] == []
    assert api.named_errors(text) or "raises nothing" in text.lower()
    for error in re.findall(r"\b[A-Z]\w*Error\b", text):
        assert error in api.named_errors(text) or hasattr(builtins, error), f"{error} is no exception"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_quantity_has_a_unit(name):
    for one in parameters(name):
        if QUANTITIES.fullmatch(one):
            sentences = [sentence for sentence in re.split(r"[.;]\s", documentation(name)) if f"``{one}``" in sentence]
            assert any(UNITS.search(sentence) for sentence in sentences), one


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_of_a_name_is_complete(name):
    text = page(f"api.{name}")
    assert text.startswith(f"# api.{name}\n")
    assert f"bundlekit.{name}" in text
    assert "``" not in text
    if name in FUNCTIONS:
        assert [one for one in parameters(name) if not re.search(rf"\b{one}\b(?: ?:|=|,|\))", text)] == []
        for error in api.named_errors(getattr(bundlekit, name).__doc__):
            assert re.search(rf"^ {{4}}{error} +[A-Z]", text, re.MULTILINE)


@pytest.mark.parametrize("name", UPDATE_NAMES)
def test_a_name_of_an_update_is_explained_with_its_module(name):
    heading, code, described, *_ = page(f"api.{name}").split("\n\n")
    assert heading == f"# api.{name}"
    assert f"bundlekit.update.{name}" in code
    assert described.strip()
    assert described[0].isupper()


@pytest.mark.parametrize("name", CLASSES)
def test_the_reference_of_a_class_has_its_fields_and_methods(name):
    kind = getattr(bundlekit, name)
    text = page(f"api.{name}")
    for field in getattr(kind, "__struct_fields__", ()):
        assert re.search(rf"^ {{4}}{field}: ", text, re.MULTILINE)
    for method, value in vars(kind).items():
        if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert f"    {name}.{method}" in text
            assert value.__doc__


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("def f(self, a: int, b: str = 'x', *, c=False) -> str: ...", "f(a: int, b: str = 'x', *, c = False) -> str"),
        ("def f(a, /, *more: int, **rest: str): ...", "f(a, /, *more: int, **rest: str) -> None"),
        ("def __init__(self, a: int): ...", "f(a: int)"),
    ],
)
def test_a_signature_is_shown_as_it_is_written(source, shown):
    assert api._signature(ast.parse(source).body[0], "f") == shown


def test_a_long_signature_has_a_line_for_each_parameter():
    long = "def f(" + ", ".join(f"parameter_{number}: int" for number in range(9)) + ", *, last: int = 1) -> int: ..."
    lines = api._signature(ast.parse(long).body[0], "f").splitlines()
    assert lines[:2] == ["f(", "    parameter_0: int,"]
    assert lines[-3:] == ["    *,", "    last: int = 1,", ") -> int"]


def test_explain_shows_a_name_and_the_nearest_one(capsys):
    assert run(["explain", "api.check"]) == 0
    assert capsys.readouterr().out.rstrip() == page("api.check").rstrip()
    assert run(["explain", "api.chek"]) == 2
    assert "did you mean 'api.check'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("StepState", [repr(one) for one in get_args(bundlekit.update.StepState)]),
        ("OutcomeKind", [repr(one) for one in get_args(bundlekit.update.OutcomeKind)]),
        ("Record", [one.__name__ for one in get_args(bundlekit.update.Record)]),
    ],
)
def test_a_name_of_several_lists_them(name, listed):
    assert len(listed) > 5
    assert page(f"api.{name}").endswith("One of:\n\n" + "".join(f"    {one}\n" for one in listed))


PACKAGES = ("bundlekit", "bundlekit.update")
PUBLIC = {name for package in PACKAGES for name in importlib.import_module(package).__all__}
INTERNAL = {"BundleSignatures", "ReadMatrix", "Rule", "UnreadableMatrix"}
"""What bundlekit passes to itself, so that a bundle is read once, and its own tests. Callers leave these out."""

ALPHABETS = {"Annotated", "Argv", "Duration", "KeyName", "Meta", "Name", "Text"}
"""Aliases of ``str`` and ``tuple`` with the rules that a file's values have to meet; a program gives plain ones."""


def of_bundlekit(module):
    """The names in a module that bundlekit defines, there or in another one."""
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bundlekit"):
            yield from (one.asname or one.name for one in node.names)
        elif isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))


def signatures(value):
    """The functions that a caller of a public function or class can call."""
    if inspect.isfunction(value):
        yield inspect.unwrap(value)
    for name, member in vars(value).items() if inspect.isclass(value) else ():
        if name == "__init__" or not name.startswith("_"):
            inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isfunction(inner):
                yield inspect.unwrap(inner)


def annotations(package, name):
    """The annotations of the calls that a public name offers; for a value of an update, also those of its fields."""
    value = getattr(importlib.import_module(package), name)
    for function in signatures(value):
        yield from ((function.__module__, text) for text in function.__annotations__.values())
    if inspect.isclass(value) and value.__module__.startswith("bundlekit.update"):
        yield from ((value.__module__, text) for text in inspect.get_annotations(value).values())


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]
)
def test_a_public_call_uses_public_types_only(package, name):
    """What a caller gives or gets can be imported from a module with a reference."""
    for module, annotation in annotations(package, name):
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert used & set(of_bundlekit(module)) <= PUBLIC | INTERNAL | ALPHABETS, (name, annotation)
