"""The reference of the Python API, made from the signatures and docstrings of the public names.

Signatures are shown as they are written in the source, because evaluated annotations expand every alias.
"""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from itertools import pairwise
from textwrap import dedent, indent
from types import UnionType
from typing import TYPE_CHECKING, Final, Literal, get_args, get_origin

from bundlekit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC: Final = "api"
TITLE: Final = "The Python API"
WIDTH: Final = 100
"""Columns of a signature that is shown on one line."""

_ERROR: Final = re.compile(r"\b[A-Z]\w*Error\b")


MODULES: Final = ("bundlekit.update", "bundlekit")
"""The modules with public names. A name that both have is shown as the last one has it."""


def topics() -> dict[str, str]:
    """Each public name as a topic, ``api.NAME``, with the module to import it from."""
    # imported in the function, because the face of the package imports every layer
    public = {module: import_module(module).__all__ for module in MODULES}
    return {f"{TOPIC}.{name}": module for module, names in public.items() for name in names if not name.startswith("_")}


def page(topic: str) -> str:
    """The overview for ``api``, or the reference of one name for ``api.NAME``; KeyError for any other topic."""
    if topic == TOPIC:
        return _overview()
    return "\n\n".join([f"# {topic}", *_reference(topics()[topic], topic.removeprefix(f"{TOPIC}."))]) + "\n"


def named_errors(text: str) -> dict[str, type[BaseException]]:
    """The exceptions of bundlekit that a docstring names."""
    known = {one.__name__: one for one in _subclasses(errors.BundlekitError)}
    return {name: known[name] for name in dict.fromkeys(_ERROR.findall(text)) if name in known}


def _overview() -> str:
    groups: dict[str, list[tuple[str, str]]] = {"Functions": [], "Classes": [], "Exceptions": [], "Others": []}
    updates: list[tuple[str, str]] = []
    for topic, module in topics().items():
        name = topic.removeprefix(f"{TOPIC}.")
        first = _plain(_described(module, name)).partition("\n\n")[0].replace("\n", " ")
        listed = groups[_group(getattr(import_module(module), name))] if module == "bundlekit" else updates
        listed.append((name, first))
    groups["More in `bundlekit.update`, which has the names of an update from above too"] = updates
    width = max(len(name) for entries in groups.values() for name, _ in entries)
    lines = [
        f"# {TITLE}",
        "",
        "`import bundlekit` loads nothing until a name is used. `bundlekit explain api.NAME` shows the signature,",
        "the description and the exceptions of a name. Names that are not listed here can change in any release.",
    ]
    for group, entries in groups.items():
        if entries:
            lines += ["", f"{group}:", "", *(f"    {name:<{width}}  {first}" for name, first in sorted(entries))]
    return "\n".join(lines) + "\n"


def _group(value: object) -> str:
    if inspect.isclass(value):
        return "Exceptions" if issubclass(value, BaseException) else "Classes"
    return "Functions" if inspect.isfunction(value) else "Others"


def _reference(module: str, name: str) -> Iterator[str]:
    """The paragraphs about one name."""
    value, doc = getattr(import_module(module), name), _described(module, name)
    if inspect.isfunction(value):
        yield _code(_signature(_source(value), f"{module}.{name}"))
        yield _plain(doc)
    elif inspect.isclass(value):
        yield _code(f"class {module}.{name}({', '.join(base.__name__ for base in value.__bases__)})")
        yield _plain(doc)
        yield from _members(value)
    else:
        yield _code(f"{module}.{name}")
        yield _plain(doc)
        if of := _alternatives(value):
            yield "One of:"
            yield _code("\n".join(of))
    if found := named_errors(doc):
        width = max(map(len, found))
        yield "Exceptions:"
        yield _code("\n".join(f"{one:<{width}}  {_summary(kind)}" for one, kind in found.items()))


def _alternatives(value: object) -> list[str]:
    """The values of a type that lists them, or the names of the types that it unites."""
    if get_origin(value) is Literal:
        return [repr(one) for one in get_args(value)]
    return [one.__name__ for one in get_args(value) if inspect.isclass(one)] if isinstance(value, UnionType) else []


def _members(value: type) -> Iterator[str]:
    """The fields of a class, then its public methods and properties, without those of foreign bases."""
    nodes = dict[str, ast.stmt]()
    for base in reversed(value.__mro__):
        if base.__module__.startswith("bundlekit"):
            nodes |= {_named(node): node for node in _source(base).body if _named(node)}
    fields = [ast.unparse(node) for node in nodes.values() if isinstance(node, ast.AnnAssign)]
    if fields:
        yield "Fields:"
        yield _code("\n".join(fields))
    for name, node in nodes.items():
        if isinstance(node, ast.FunctionDef) and (name == "__init__" or not name.startswith("_")):
            shown = value.__name__ if name == "__init__" else f"{value.__name__}.{name}"
            is_property = any("property" in ast.unparse(one) for one in node.decorator_list)
            yield _code(f"{shown}: {_written(node.returns)}" if is_property else _signature(node, shown))
            if described := ast.get_docstring(node):
                yield _plain(described)


def _named(node: ast.stmt) -> str:
    """The name that a statement of a class body defines for users of the class; empty if there is none."""
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id if not node.target.id.startswith("_") else ""
    return ""


def _signature(node: ast.stmt, shown: str) -> str:
    """A call as it is written, without ``self``: on one line, or with a line for each parameter."""
    if not isinstance(node, ast.FunctionDef):
        return shown
    arguments = node.args
    if arguments.args and arguments.args[0].arg in {"self", "cls"}:
        arguments.args.pop(0)
    if arguments.posonlyargs and arguments.posonlyargs[0].arg in {"self", "cls"}:
        arguments.posonlyargs.pop(0)
    returns = "" if node.name == "__init__" else f" -> {_written(node.returns)}"
    parameters = list(_parameters(arguments))
    line = f"{shown}({', '.join(parameters)}){returns}"
    if len(line) <= WIDTH:
        return line
    return f"{shown}(\n" + "".join(f"    {one},\n" for one in parameters) + f"){returns}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    for one, default in zip(positional, defaults, strict=True):
        yield _parameter(one, default)
        if arguments.posonlyargs and one is arguments.posonlyargs[-1]:
            yield "/"
    if arguments.vararg or arguments.kwonlyargs:
        yield f"*{ast.unparse(arguments.vararg)}" if arguments.vararg else "*"
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(one, default)
    if arguments.kwarg:
        yield f"**{ast.unparse(arguments.kwarg)}"


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(one) + (f" = {ast.unparse(default)}" if default else "")


def _written(annotation: ast.expr | None) -> str:
    return "None" if annotation is None else ast.unparse(annotation)


def _source(value: object) -> ast.FunctionDef | ast.ClassDef:
    (node,) = ast.parse(dedent(inspect.getsource(value))).body  # type: ignore[arg-type]  # a function or a class
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)  # noqa: S101 - the source of what was asked for
    return node


def _doc(value: object) -> str:
    """The docstring as it is written; a class does not inherit that of its base."""
    return inspect.cleandoc(getattr(value, "__doc__", None) or "")


def _described(module: str, name: str) -> str:
    """The docstring of a public name; for a constant, the string below it in the source."""
    value = getattr(import_module(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return _doc(value)
    for node, below in pairwise(_tree(_home(module, name)).body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr) and _assigned(node) == name:
            return inspect.cleandoc(ast.literal_eval(below.value))
    return ""


def _home(module: str, name: str) -> str:
    """The module that defines ``name``, as ``module`` imports it for type checkers."""
    imports = (node for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom))
    return next(node.module or "" for node in imports if name in {one.name for one in node.names})


def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(import_module(module)))


def _assigned(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def _summary(kind: type) -> str:
    return _plain(_doc(kind)).partition("\n")[0]


def _plain(text: str) -> str:
    """A docstring as a page is written: roles of reStructuredText without their markup."""
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")


def _code(text: str) -> str:
    return indent(text, "    ")


def _subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _subclasses(one)
