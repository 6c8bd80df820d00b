"""No format is without its page, its samples, its tests and its benchmark."""

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
from fixtures import forge
from tests.formats import toy

AT = dt.datetime.fromisoformat(forge.AT)
ROOT = Path(__file__).parents[2]


def test_the_formats_are_the_ones_that_a_trust_file_can_name():
    assert set(get_args(Format)) == {"update.bin", "advisories", *formats.FORMATS}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_has_all_that_belongs_to_it(name):
    assert name in foreign.KINDS
    assert name in docs.topics()
    samples = [file for file in (ROOT / "fixtures/formats" / name).rglob("*") if file.is_file()]
    assert samples
    assert sum(file.stat().st_size for file in samples) < 400_000
    for file in (f"fixtures/make_{name}.py", f"tests/formats/test_{name}.py", f"tests/benchmarks/{name}_speed.py"):
        assert (ROOT / file).is_file(), file
    page = docs.page(name)
    assert f"bundlekit explain {name}" in docs.page("formats")
    assert len([rule for rule in RULES if f"`{rule.name}`" in page or f" {rule.name}" in page]) >= 5


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
    assert bundlekit.check(BytesSource(toy.write()), at=AT).format == "toy"
