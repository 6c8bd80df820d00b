"""The pages say what is true: versions compare as they say, and each rule of the lint is listed with its severity."""

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

import bundlekit
from bundlekit.layout import advisory, damage
from bundlekit.matrix.lint import LINTS
from bundlekit.model.manifest import SchemeName
from bundlekit.model.matrix import DeclaredScheme
from bundlekit.versions import _READERS, scheme_named
from tests.versions.schemes import SCHEMES

DOCS = Path(bundlekit.__file__).parent / "docs"
VERSIONS = (DOCS / "versions.md").read_text(encoding="utf-8")
VENDORS = re.findall(r"^### (.+)\n\n((?: {4}.+\n)+)\n {4}(.+)$", VERSIONS, re.MULTILINE)

FIXED = [
    (name, rising.rstrip(".;,"))
    for name, text in re.findall(rf"^ {{4}}({'|'.join(_READERS)}) ((?:.+\n)(?: {{8,}}.+\n)*)", VERSIONS, re.MULTILINE)
    for rising in re.findall(r"\S+(?: < \S+)+", text)
]


def test_what_is_shown_is_found():
    assert [name for name, _ in FIXED] == list(_READERS)
    assert [vendor for vendor, *_ in VENDORS] == ["Cisco", "Palo Alto", "Juniper", "balena"]


@pytest.mark.parametrize(("vendor", "declaration", "rising"), VENDORS, ids=[vendor for vendor, *_ in VENDORS])
def test_versions_compare_as_the_page_says(vendor, declaration, rising):
    fields = tomllib.loads(declaration.replace("    ", ""))
    arguments: dict[str, Any] = {key.replace("-", "_"): tuple(value) for key, value in fields.items()}
    declared = DeclaredScheme(**arguments)
    scheme = scheme_named("declared", declared)
    versions = [scheme.parse(text) for text in rising.split(" < ")]
    assert len(versions) > 3
    assert all(one < other for one, other in itertools.pairwise(versions))


@pytest.mark.parametrize(("name", "rising"), FIXED, ids=[name for name, _ in FIXED])
def test_versions_of_the_fixed_schemes_compare_as_the_page_says(name, rising):
    versions = [scheme_named(name).parse(text) for text in rising.split(" < ")]
    assert all(one < other for one, other in itertools.pairwise(versions))


def test_a_manifest_can_name_every_scheme():
    assert set(get_args(SchemeName)) == {*_READERS, "declared"}
    assert set(SCHEMES) >= set(_READERS), "the laws of versions are tried with each scheme"


def test_every_rule_of_the_lint_is_listed():
    page = (DOCS / "matrix.md").read_text(encoding="utf-8")
    assert re.findall(r"^ {4}(\S+) +(error|warning|info) ", page, re.MULTILINE) == [
        (rule.name, rule.severity) for rule in LINTS
    ]


def test_what_text_mode_makes_of_the_magic_is_listed():
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    section = page.partition("what happened\n")[2].partition("\n\n")[0]
    listed = [re.match(r" {4}((?:[0-9A-F]{2} )+) *(\S.*)", line).groups() for line in section.splitlines()]
    assert [bytes.fromhex(magic) for magic, _ in listed] == [changed for changed, _ in damage.TEXT_MODE]


def test_the_advisories_page_has_the_magic():
    page = (DOCS / "advisories.md").read_text(encoding="utf-8")
    assert " ".join(f"{byte:02x}" for byte in advisory.MAGIC) in page
