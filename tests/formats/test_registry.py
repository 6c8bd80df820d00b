"""No format is without its page, its samples, its tests and its benchmark."""

import ast
import datetime as dt
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import bundlekit
from bundlekit import docs, formats
from bundlekit.checks import RULES
from bundlekit.layout import foreign
from bundlekit.model.bundle import Aspect
from bundlekit.model.trust import Format
from bundlekit.source import BytesSource
from fixtures import forge, spoiled
from tests.formats import toy

AT = dt.datetime.fromisoformat(forge.AT)
ROOT = Path(__file__).parents[2]


def test_the_formats_are_the_ones_that_a_trust_file_can_name():
    assert get_args(Format) == ("update.bin", "advisories", *formats.FORMATS)


def test_the_page_about_formats_lists_them():
    table = docs.page("formats").partition("\n    update.bin ")[2].partition("\n\n")[0]
    rows = re.findall(r"^ {4}([\w.-]+) .*: `bundlekit explain ([\w.-]+)`$", table, re.MULTILINE)
    assert sorted(rows) == sorted((name, name) for name in formats.FORMATS)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_has_all_that_belongs_to_it(name):
    """The page adding-a-format lists the same. The tests themselves are those of `test_conformance`."""
    assert name in foreign.KINDS
    assert name in docs.topics()
    folder = ROOT / "fixtures/formats" / name
    assert (folder / "trust.toml").is_file()
    samples = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in {".json", ".toml"}]
    assert len(samples) >= 2
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 400_000
    for file in (f"fixtures/make_{name}.py", f"fixtures/spoil_{name}.py", f"tests/benchmarks/{name}_speed.py"):
        assert (ROOT / file).is_file(), file
    assert len(re.findall(r"^def test_", (ROOT / f"tests/formats/test_{name}.py").read_text(), re.MULTILINE)) >= 3


def rules_of(name):
    """The rules that the reader of a format names where it reports a fault, and those of its spoiled files.

    Rules that it leaves out for a file stand in a tuple, and are not among them.
    """
    names = {rule.name for rule in RULES}
    found = {one.rule for one in spoiled.of(name)}
    layout = ROOT / "bundlekit/layout" / name
    for file in (ROOT / f"bundlekit/formats/{name}.py", *layout.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        listed = {id(item) for node in ast.walk(tree) if isinstance(node, ast.Tuple) for item in node.elts}
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in listed)
        found |= {node.value for node in texts if isinstance(node.value, str)}
    return found & names


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_page_names_each_rule_that_its_reader_can_report(name):
    found = rules_of(name)
    assert len(found) >= 5
    named = set(re.findall(r"[a-z]+(?:-[a-z]+)+|truncated|unsigned", docs.page(name)))
    assert not found - named


def test_the_page_about_adding_one_lists_these_files():
    page = docs.page("adding-a-format")
    for file in (
        "docs/toy.md",
        "formats/toy/",
        "make_toy.py",
        "spoil_toy.py",
        "test_toy.py",
        "toy_speed.py",
        "trust.toml",
    ):
        assert file in page


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_check_of_an_update_bin_loads_no_other_format(name):
    code = (
        "import sys, bundlekit; "
        f"bundlekit.check({str(ROOT / 'fixtures/demo/update.bin')!r}); "
        f"assert {formats.FORMATS[name]!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_aspect_has_a_rule_about_it():
    assert {rule.aspect for rule in RULES} - {None} == set(get_args(Aspect))


@pytest.mark.usefixtures("_toys")
def test_the_page_about_formats_describes_the_toy_format_as_it_is():
    """The page shows the layout; the module in the tests has the same one in its docstring."""
    page = docs.page("adding-a-format")
    shown = " ".join(page.replace('"', "``").split())
    layout = [
        " ".join(line.split()) for line in (toy.__doc__ or "").split("\n") if re.match("[0-9n]+ bytes|rest", line)
    ]
    assert len(layout) == 5
    assert [line for line in layout if line not in shown] == []
    for name in (*toy.ASPECTS, "need", "fault", "LayoutError"):
        assert name in page
    assert bundlekit.check(BytesSource(toy.write()), at=AT).format == "toy"
