"""The pages for contributors are true: each file, symbol, task and page that they name exists."""

import ast
import re
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from bundlekit.layout import reader
from bundlekit.source import BytesSource
from bundlekit.update.engine.hooks import ANSWERS
from fixtures import forge

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github"
GUIDE = (FOLDER / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = sorted(FOLDER.rglob("*.md"))
DECISIONS = sorted((FOLDER / "decisions").glob("[0-9]*.md"))
TOP = {path.name for path in ROOT.iterdir()}


def links(page):
    """The files that a page links to, relative to itself."""
    return [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))]


def spans(page):
    """What a page has in backticks, and the words of its indented blocks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ {4}(.+)$", text, re.MULTILINE)
    return [*re.findall(r"`([^`\n]+)`", text), *(word for line in blocks for word in line.split())]


def paths(page):
    """The paths of this repository that a page names: each begins with something that lies at the top level."""
    found = {span.rstrip(".,:") for span in spans(page) if re.fullmatch(r"[\w./*-]+", span)}
    return sorted(
        one for one in found if "/" in one and one.partition("/")[0] in TOP and one.partition("/")[0] != ".git"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page):
    assert [str(one) for one in links(page) if not one.exists()] == []
    assert [one for one in paths(page) if not list(ROOT.glob(one))] == []


def test_paths_are_found():
    assert "bundlekit/docs/not-protected.md" in paths(FOLDER / "SECURITY.md")
    assert "bundlekit/layout/json_syntax.py" in paths(FOLDER / "decisions" / "0006-msgspec.md")


def test_the_decisions_are_listed_in_their_order():
    listed = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+?) \| accepted \|$", read("decisions/README.md"), re.MULTILINE)
    assert [name for _, name, _ in listed] == [path.name for path in DECISIONS]
    assert [int(number) for number, *_ in listed] == list(range(1, len(DECISIONS) + 1))
    for number, name, title in listed:
        assert read(f"decisions/{name}").startswith(f"# {number}. {title}\n\nStatus: accepted.\n")
        assert name.startswith(f"{number:0>4}-")


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts(decision):
    text = decision.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Alternatives"]
    assert len(re.findall(r"^- \*\*.+?\*\*.*: ", text.partition("## Alternatives")[2], re.MULTILINE)) >= 3


def test_no_page_names_an_address():
    """Reports go through the forge: an address that nobody reads would lose them."""
    for page in PAGES:
        assert not re.search(r"[\w.]+@[\w-]+\.\w+|https?://\w", page.read_text(encoding="utf-8")), page


EXAMPLES = re.findall(r"^( *)```python\n((?:.*\n)*?)\1```", GUIDE, re.MULTILINE)


def items():
    """Each file of a recipe with the Python names that its item mentions, but for those that an example defines."""
    new = set(re.findall(r"\bdef (\w+)", "".join(code for _, code in EXAMPLES))) | {"Title", "NAME"}
    for item in re.findall(r"^ {3}- (`.+(?:\n {5}[\w`].+)*)", GUIDE, re.MULTILINE):
        path, *names = re.findall(r"`([^`]+)`", item)
        yield path, [name for name in names if re.fullmatch(r"[A-Za-z_]\w+", name) and name not in new]


def test_the_recipes_are_those_that_people_ask_for():
    assert re.findall(r"^### Add an? (.+)$", GUIDE, re.MULTILINE) == [
        "rule",
        "lint rule",
        "verb of the command line",
        "verb of the hooks",
        "version scheme",
        "page",
        "hostile case and a golden",
        "format",
    ]
    assert len(FILES) > 40


FILES = list(items())


@pytest.mark.parametrize(("path", "names"), FILES)
def test_a_recipe_names_what_exists(path, names):
    files = [ROOT / path] if (ROOT / path).is_file() else sorted((ROOT / path).rglob("*"))
    assert files, path
    if (ROOT / path).is_file():
        text = (ROOT / path).read_text(encoding="utf-8")
        assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def lists_of_verbs(path):
    """The lines on which a module lists three verbs of hooks or more."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            listed = node.keys
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            listed = node.elts
        else:
            continue
        words = {one.value for one in listed if isinstance(one, ast.Constant)}
        if len(words & set(ANSWERS)) >= 3:
            yield node.lineno


def test_the_recipe_for_a_verb_of_the_hooks_names_each_module_that_lists_verbs():
    recipe = GUIDE.partition("### Add a verb of the hooks\n")[2].partition("\n### ")[0]
    modules = [path for top in ("bundlekit", "fixtures") for path in (ROOT / top).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): lines for path in modules if (lines := list(lists_of_verbs(path)))}
    assert "bundlekit/update/engine/plan.py" in found
    assert {path: lines for path, lines in found.items() if f"`{path}`" not in recipe} == {}


@pytest.mark.parametrize("code", [dedent(code) for _, code in EXAMPLES], ids=lambda code: code.split("\n")[0])
def test_an_example_runs(code):
    exec(compile(code, "CONTRIBUTING.md", "exec"), {})  # noqa: S102 - it is ours


def test_an_example_of_a_rule_finds_what_its_golden_has():
    """The rule and the recipe of its golden, from the page, belong together."""
    names = {}
    for _, code in EXAMPLES[:2]:
        exec(compile(dedent(code).replace("Recipe(\n", "RECIPE = Recipe(\n"), "CONTRIBUTING.md", "exec"), names)  # noqa: S102
    rule = names["expires_too_late"]
    assert rule.aspect == "manifest", "bundles in other formats have no manifest"
    for data, count in ((names["RECIPE"].make(), 1), (forge.good(), 0)):
        bundle = reader.read(BytesSource(data))
        case = SimpleNamespace(bundle=bundle)
        assert len(rule.run(case)) == count


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")
