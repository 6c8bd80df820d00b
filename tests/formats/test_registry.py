"""No format is without its page, its samples, its tests and its benchmark."""

import ast
import datetime as dt
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import bundlekit
from bundlekit import docs, formats
from bundlekit.checks import RULES
from bundlekit.layout import foreign
from bundlekit.model.bundle import Aspect
from bundlekit.model.trust import Format
from bundlekit.source import BytesSource
from fixtures import forge, format_reports, make_keys, spoiled
from tests.formats import toy
from tests.formats.complete import (
    COMPLETE,
    LARGEST,
    LISTS,
    SAMPLES,
    SPOILED_RULES,
    TESTS,
    lacking,
    trust_lacks,
    unlisted,
)
from tests.formats.complete import RULES as RULES_OF_A_PAGE

AT = dt.datetime.fromisoformat(forge.AT)
ROOT = Path(__file__).parents[2]


def test_the_formats_are_the_ones_that_a_trust_file_can_name():
    assert get_args(Format) == ("update.bin", "advisories", *formats.FORMATS)


def test_the_page_about_formats_lists_no_others():
    """`unlisted` finds a format that it does not list."""
    table = docs.page("formats").partition("\n    update.bin ")[2].partition("\n\n")[0]
    rows = re.findall(r"^ {4}([\w.-]+) .*: `bundlekit explain ([\w.-]+)`$", table, re.MULTILINE)
    assert rows
    assert set(rows) <= {(name, name) for name in formats.FORMATS}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_has_all_that_belongs_to_it(name):
    """The page adding-a-format lists the same. The tests themselves are those of `test_conformance`."""
    if found := lacking(name):
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_lists_of_formats_have_it(name):
    if found := list(unlisted(name)):
        pytest.fail("\n".join(found), pytrace=False)


def part(name, root):
    """The files of a format, and the pages that list it, in another folder."""
    for file in (
        *(f"bundlekit/formats/{name}.py", f"bundlekit/docs/{name}.md", f"tests/formats/test_{name}.py"),
        *(f"fixtures/make_{name}.py", f"fixtures/spoil_{name}.py", f"tests/benchmarks/{name}_speed.py"),
        *("CHANGELOG.md", "README.md", "bundlekit/docs/formats.md", "bundlekit/docs/remote.md", "pyproject.toml"),
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    for folder in (f"fixtures/formats/{name}", f"bundlekit/layout/{name}"):
        shutil.copytree(ROOT / folder, root / folder)


def only(root, pattern, *names):
    """Remove the other files of a pattern."""
    for file in root.glob(pattern):
        if file.name not in names:
            file.unlink()


TRUST = "fixtures/formats/esp/trust.toml"
WRITE = "python -m fixtures.format_reports esp"
MISSING = {
    "reader": (lambda root: only(root, "bundlekit/formats/*"), "bundlekit/formats/esp.py is missing"),
    "page": (lambda root: only(root, "bundlekit/docs/esp.md"), "bundlekit/docs/esp.md is missing"),
    "make": (lambda root: only(root, "fixtures/make_*"), "python -m fixtures.make_esp"),
    "spoil": (lambda root: only(root, "fixtures/spoil_*"), "fixtures/spoil_esp.py is missing"),
    "trust": (lambda root: only(root, TRUST), f"{TRUST} is missing"),
    "tests": (lambda root: only(root, "tests/formats/*"), "tests/formats/test_esp.py is missing"),
    "few-tests": (
        lambda root: (root / "tests/formats/test_esp.py").write_text("def test_one():\n"),
        "tests/formats/test_esp.py has 1 test functions; write at least 3",
    ),
    "benchmark": (lambda root: only(root, "tests/benchmarks/*"), "python tests/benchmarks/esp_speed.py"),
    "samples": (
        lambda root: only(root, "fixtures/formats/esp/*", "rsa.bin", "rsa.bin.json", "trust.toml"),
        "python -m fixtures.make_esp has to make at least 2",
    ),
    "size": (lambda root: (root / "fixtures/formats/esp/large.bin").write_bytes(bytes(400_000)), "smaller samples"),
    "no-report": (lambda root: only(root, "fixtures/formats/esp/*.json"), f"SAMPLE.json, then run {WRITE}"),
    "empty-report": (
        lambda root: (root / "fixtures/formats/esp/rsa.bin.json").write_text(""),
        f"fixtures/formats/esp/rsa.bin.json is empty: run {WRITE}",
    ),
    "rejected": (
        lambda root: (root / "fixtures/formats/esp/rsa.bin.json").write_text('{"verdict": "reject"}'),
        f"fixtures/formats/esp/rsa.bin.json states the verdict reject: run {WRITE}",
    ),
    "test-keys": (lambda root: without(root / TRUST, "allow-test-keys = true\n"), "write allow-test-keys = true"),
    "formats": (
        lambda root: without(root / TRUST, 'formats = ["esp"]\n'),
        'write formats = ["esp"] in [signers.release]',
    ),
}


def without(file, text):
    """Take a text out of a file, once."""
    old = file.read_text()
    assert text in old
    file.write_text(old.replace(text, "", 1))


@pytest.mark.parametrize("case", MISSING)
def test_a_message_names_what_a_format_lacks(case, tmp_path):
    remove, message = MISSING[case]
    part("esp", tmp_path)
    assert lacking("esp", tmp_path) == []
    remove(tmp_path)
    (found,) = lacking("esp", tmp_path)
    assert message in found


def test_a_format_that_is_not_recognised_lacks_its_row(monkeypatch):
    """And the files of all others are read."""
    monkeypatch.setitem(formats.FORMATS, "more", "bundlekit.formats.more")
    assert formats.read(BytesSource((ROOT / "fixtures/formats/mcuboot/p256.bin").read_bytes())).format == "mcuboot"
    assert formats.read(BytesSource(b"#!/bin/sh\n")).format == "update.bin/1"
    kinds = {name: kind for name, kind in foreign.KINDS.items() if name != "esp"}
    assert lacking("esp", kinds=kinds) == ["bundlekit/layout/foreign.py: add a row ForeignKind('esp', ...) to _ROWS"]


def test_golden_reports_that_are_all_incomplete_are_not_enough(tmp_path):
    part("esp", tmp_path)
    for file in (tmp_path / "fixtures/formats/esp").glob("*.json"):
        file.write_text('{"verdict": "incomplete"}')
    assert lacking("esp", tmp_path) == [
        f"fixtures/formats/esp: no golden report accepts its sample; run {WRITE}, and see what it prints"
    ]


def test_a_message_names_each_list_without_a_format(tmp_path):
    part("esp", tmp_path)
    assert list(unlisted("esp", tmp_path)) == []
    for file in (*LISTS, "pyproject.toml"):
        text = (tmp_path / file).read_text(encoding="utf-8")
        (tmp_path / file).write_text(re.sub(r"\besp\b", "other", text, flags=re.IGNORECASE), encoding="utf-8")
    found = list(unlisted("esp", tmp_path))
    assert [one.partition(":")[0] for one in found] == [
        *(file for file, lists in LISTS.items() for _ in lists),
        "pyproject.toml",
    ]


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


@pytest.mark.parametrize("name", COMPLETE)
def test_a_page_names_each_rule_that_its_reader_can_report(name):
    found = rules_of(name)
    assert len(found) >= RULES_OF_A_PAGE, f"bundlekit/docs/{name}.md and the reader: at least {RULES_OF_A_PAGE} rules"
    named = set(re.findall(r"[a-z]+(?:-[a-z]+)+|truncated|unsigned", docs.page(name)))
    assert not (left := found - named), f"bundlekit/docs/{name}.md does not name the rules {', '.join(sorted(left))}"


GUIDE = docs.page("adding-a-format")
KEY = make_keys.private_key("pinned", None)


def test_the_page_about_adding_one_names_what_exists():
    """The files of the example are those of a format that is to be made; all others are in the repository."""
    named = {one for one in re.findall(r"`([\w./-]+)`", GUIDE) if "/" in one}
    assert {"bundlekit/model/release.py", "fixtures/spoiled.py", "fixtures/make_keys.py"} <= named
    ours = {one for one in named if "toy" not in one or one == "tests/formats/toy.py"}
    assert [one for one in ours if not (ROOT / one).exists()] == []
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert (make_keys.KEYS / "trust/pinned.pub.pem").read_bytes().endswith(public)


def test_the_page_about_adding_one_states_what_is_tested():
    minimums = re.findall(r"at least (\d+)( samples| different rules| test functions|\.)", GUIDE)
    assert minimums == [
        (str(RULES_OF_A_PAGE), "."),
        (str(SAMPLES), " samples"),
        (str(SPOILED_RULES), " different rules"),
        (str(TESTS), " test functions"),
    ]
    assert f"less than {LARGEST // 1000} kB" in GUIDE
    assert [file for file in LISTS if f"`{file}`" not in GUIDE] == []


def block(beginning):
    """An indented block of the page, as TOML."""
    lines = GUIDE[GUIDE.index(f"    {beginning}") :].partition("\n\n")[0].splitlines()
    return "".join(f"{line.removeprefix('    ')}\n" for line in lines)


@pytest.mark.usefixtures("_toys")
def test_the_examples_of_the_page_about_adding_one_work(tmp_path):
    (tmp_path / "matrix.toml").write_text(block("matrix "))
    key = make_keys.KEYS / "trust/pinned.pub.pem"
    report = bundlekit.check(
        BytesSource(toy.write(sign=KEY.sign)),
        trust=bundlekit.load_trust([key]),
        matrix=bundlekit.load_matrix(tmp_path / "matrix.toml"),
        sources=["1.5.0"],
        at=AT,
    )
    assert (report.verdict, [one.kind for one in report.decisions]) == ("accept", ["upgrade"])
    text = block("trust ").replace("../../keys", str(make_keys.KEYS)).replace('"toy"', '"mcuboot"')
    (tmp_path / "trust.toml").write_text(text)
    sample = ROOT / "fixtures/formats/mcuboot/ed25519.bin"
    assert bundlekit.check(sample, trust=bundlekit.load_trust([tmp_path / "trust.toml"]), at=AT).verdict == "accept"
    assert not list(trust_lacks("toy", tomllib.loads(block("trust "))))


def test_the_page_about_adding_one_lists_these_files():
    page = GUIDE
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
    page = GUIDE
    shown = " ".join(page.replace('"', "``").split())
    layout = [
        " ".join(line.split()) for line in (toy.__doc__ or "").split("\n") if re.match("[0-9n]+ bytes|rest", line)
    ]
    assert len(layout) == 5
    assert [line for line in layout if line not in shown] == []
    for name in (*toy.ASPECTS, "need", "fault", "LayoutError"):
        assert name in page
    assert bundlekit.check(BytesSource(toy.write()), at=AT).format == "toy"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The samples of one format in another folder, where reports can be written."""
    shutil.copytree(ROOT / "fixtures/formats/esp", tmp_path / "formats/esp")
    (tmp_path / "keys").symlink_to(ROOT / "fixtures/keys")
    monkeypatch.setattr(format_reports, "FOLDER", tmp_path / "formats")
    monkeypatch.setattr(forge, "KEYS", tmp_path / "keys")
    forge.trust.cache_clear()
    yield tmp_path / "formats/esp"
    forge.trust.cache_clear()


def test_the_writer_of_golden_reports_prints_each_verdict(copied, capsys):
    (copied / "rsa.bin.json").write_text("")
    format_reports.write("esp")
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"esp/{sample.name}: accept" for sample in format_reports.reported("esp")]
    assert (copied / "rsa.bin.json").read_bytes() == (ROOT / "fixtures/formats/esp/rsa.bin.json").read_bytes()


def test_no_golden_report_rejects_its_sample(copied, capsys):
    """As if the trust file did not allow test keys: the samples get no report, and the finding is printed."""
    without(copied / "trust.toml", "allow-test-keys = true\n")
    (copied / "rsa.bin.json").write_text("")
    with pytest.raises(SystemExit, match="5 samples are rejected, and their reports were not written"):
        format_reports.write("esp")
    printed = capsys.readouterr().out
    assert "esp/rsa.bin: reject\n    test-key: " in printed
    assert "Next: Sign with a key of your own. For tests, set allow-test-keys" in printed
    assert (copied / "rsa.bin.json").read_text() == ""


def test_a_missing_trust_file_of_samples_is_named(copied):
    (copied / "trust.toml").unlink()
    with pytest.raises(SystemExit, match=r"fixtures/formats/esp/trust\.toml is missing"):
        format_reports.write("esp")
