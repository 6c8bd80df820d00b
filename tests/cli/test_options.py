"""An option that several commands have is one declaration, with one type and one text."""

import ast
from collections import defaultdict
from pathlib import Path

import bundlekit.cli

FOLDER = Path(bundlekit.cli.__file__).parent

HOMONYMS = {
    "--example": {"advisory.py", "build.py", "trust.py"},  # of three files
    "--full": {"check.py", "compare.py"},  # digests too, or bytes instead of digests
    "--follow": {"log.py", "status.py"},  # records, or a view
    "--only": {"rehearse.py", "status.py"},  # verbs, or phases
    "--quiet": {"build.py", "check.py", "compare.py"},  # what is left out differs
    "--strict": {"compare.py", "options.py"},  # about keys, or about warnings
    "--to": {"matrix_graph.py", "path.py"},  # a release, or a target
}
"""Options of one name that mean different things, by the modules that declare them."""


def declarations(source):
    """The long name of each option that ``source`` declares, in order."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in {"click.option", "click.Option"}):
            continue
        names = [value for one in node.args if isinstance(one, ast.Constant) and "--" in (value := str(one.value))]
        assert len(names) == 1, ast.unparse(node)
        yield names[0]


def declared_again(sources):
    """By option, the modules of ``sources`` that declare it, for each option with several declarations."""
    places = defaultdict(list)
    for name, source in sources.items():
        for option in declarations(source):
            places[option].append(name)
    return {option: modules for option, modules in places.items() if len(modules) > 1}


def test_a_second_declaration_is_found():
    one, other = '@click.option("--at", help="A")\ndef f(): ...\n', 'at = click.option("--at", "-a", help="B")\n'
    assert declared_again({"a.py": one, "b.py": other}) == {"--at": ["a.py", "b.py"]}
    assert declared_again({"a.py": one + one}) == {"--at": ["a.py", "a.py"]}
    assert declared_again({"a.py": one, "b.py": other.replace("--at", "--by")}) == {}


def test_each_option_is_declared_once():
    modules = sorted(FOLDER.rglob("*.py"))
    again = declared_again({module.relative_to(FOLDER).as_posix(): module.read_text() for module in modules})
    names = {option: {Path(module).name for module in found} for option, found in again.items()}
    assert names == HOMONYMS
    assert all(len(found) == len(names[option]) for option, found in again.items())
