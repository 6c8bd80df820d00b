"""The pages for contributors are true: each file, symbol, task and page that they name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github"
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
        assert not re.search(r"[\w.]+@[\w-]+\.\w+|https?://(?!json-schema)", page.read_text(encoding="utf-8")), page


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")
