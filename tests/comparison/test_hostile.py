"""A spoiled file on either side: an answer that is not *same*, or one sentence. Nothing from a bundle forges a line."""

import re

import pytest
from msgspec.structs import replace

import bundlekit
from bundlekit.cli import run
from bundlekit.report import comparison_markdown, comparison_text
from bundlekit.report.comparison import ComparisonObstacle, FactChange
from bundlekit.source import BytesSource
from fixtures import forge, hostile, spoil_esp, spoil_mcuboot, spoil_rauc
from fixtures.make_rauc import FOLDER
from tests.comparison.samples import OFFICES, compared, mcuboot, rauc

VERITY = (FOLDER / "verity.raucb").read_bytes()
HOSTILE = {case.name: case for case in hostile.cases()}
RAUC = {case.name: case for case in spoil_rauc.CASES}
OTHERS = {f"mcuboot {case.name}": case for case in spoil_mcuboot.spoils()} | {
    f"esp {case.name}": case for case in spoil_esp.spoils()
}


def both_ways(good, bad, **options):
    for old, new in ((good, bad), (bad, good)):
        found = compared(old, new, **options)
        assert found.verdict in {"differs", "incomplete"} or old == new
        for line in (*comparison_text.lines(found), *comparison_markdown.render(found).splitlines()):
            assert str(getattr(line, "text", line)).isprintable()
        yield found


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_update_bins(name):
    bad = HOSTILE[name].make()
    list(both_ways(forge.good(), bad, trust=OFFICES, full=True))


@pytest.mark.exhaustive
@pytest.mark.parametrize("rule", forge.SPOILS)
def test_spoiled_update_bins_without_trust(rule):
    list(both_ways(forge.good(), forge.spoil(rule).data))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RAUC)
def test_spoiled_rauc_bundles(name):
    bad = RAUC[name].change(spoil_rauc.opened(VERITY))
    list(both_ways(VERITY, bad))


@pytest.mark.parametrize("name", OTHERS)
def test_spoiled_images(name):
    list(both_ways(mcuboot(), OTHERS[name].make()))


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 100, 5000, 16383])
def test_truncated_files(cut):
    for found in both_ways(forge.good(), forge.good()[:cut], trust=OFFICES, full=True):
        assert found.verdict == "incomplete"


FORGED = "SAME: all bytes are the same"
NAMES = [
    f"a\n{FORGED}",
    "::error::no",
    "##vso[task.complete result=Succeeded]",
    "`| ## SAME |`",
    "<script>alert(1)</script>",
    "[x](javascript:1) @team",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_forges_no_line_and_no_command(name):
    found = bundlekit.compare(BytesSource(forge.good(), name=name), BytesSource(rauc(), name=name))
    text = [line.text for line in comparison_text.lines(found)]
    document = comparison_markdown.render(found)
    assert not any(line.startswith(("SAME", "::", "##")) for line in text)
    lines = document.splitlines()
    assert [line for line in lines if line.startswith("## ")] == lines[:1]
    assert not re.findall(r"<script|\[x\]|@|##vso|^::|`", document, re.MULTILINE)


def test_a_value_of_a_bundle_forges_nothing_in_a_table():
    old = forge.changed(annotations={"note": "a | b ` c\u202e"})
    new = forge.changed(annotations={"note": "`` | **x** |"})
    document = comparison_markdown.render(compared(old, new, trust=OFFICES))
    (row,) = [line for line in document.splitlines() if "annotations.note" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\u202e" not in document


def test_a_document_for_a_job_summary_is_never_too_large():
    found = compared(forge.good(), forge.changed(counter=8))
    many = tuple(FactChange(group="release", fact=f"f{n}", old="\u202e" * 200, new="x" * 3000) for n in range(3000))
    huge = ComparisonObstacle(rule="damaged", subject="new", message="m" * 3000, next="n" * 3000)
    document = comparison_markdown.render(replace(found, facts=many, obstacles=(huge,) * 3000))
    assert 100_000 < len(document.encode()) < 2**20
    assert document.count(" more are in the JSON output.") == 2


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, capsys, side):
    (tmp_path / "good.bin").write_bytes(forge.good())
    files = [str(tmp_path / "good.bin")] * 2
    files[side] = str(tmp_path / "none.bin")
    assert run(["compare", *files]) == 3
    assert capsys.readouterr().err.startswith(f"bundlekit: {files[side]}: cannot be opened")
