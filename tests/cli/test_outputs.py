"""Several outputs of one run: the format is by the suffix, and each file is whole or not there."""

from __future__ import annotations

import json

import junitparser
import pytest

from bundlekit.cli import run

DEMO = ["fixtures/demo/update.bin", "--trust", "fixtures/demo/root.pem", "--from"]


def test_one_run_writes_every_format(tmp_path, capsys):
    names = ["report.txt", "report.json", "summary.md", "junit.xml", "page.html"]
    outputs = [part for name in names for part in ("-o", str(tmp_path / name))]
    assert run(["check", *DEMO, "5.20.00", *outputs]) == 1
    assert capsys.readouterr().out == ""
    text, report, markdown, junit, page = ((tmp_path / name).read_text() for name in names)
    assert text.splitlines()[-1].startswith("REJECT (unsupported-source)")
    assert json.loads(report)["verdict"] == "reject"
    assert markdown.startswith("## ❌ REJECT (unsupported-source)")
    assert junitparser.JUnitXml.fromstring(junit.encode()).failures == 2
    assert "Upgrade graph of imager 5.40.00" in page


def test_standard_output_is_one_of_the_outputs(tmp_path, capsys):
    assert run(["check", *DEMO, "5.30.02", "-o", "-", "-o", str(tmp_path / "junit.xml")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("ACCEPT")
    assert (tmp_path / "junit.xml").read_text().startswith("<?xml")


@pytest.mark.parametrize("style", ["markdown", "junit", "html"])
def test_a_document_is_printed_whole(style, capsys):
    assert run(["check", *DEMO, "5.30.02", "--format", style]) == 0
    printed = capsys.readouterr().out
    assert "ACCEPT" in printed
    assert "the bundle is accepted for version 5.30.02" in printed
    assert printed.endswith("\n")


def test_preflight_draws_the_graph_too(tmp_path):
    assert run(["preflight", *DEMO, "5.30.02", "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Upgrade graph of imager 5.40.00" in page
    assert "head and signatures only" in page


def test_a_matrix_that_nobody_trusted_has_signed_is_not_drawn(tmp_path):
    stranger = "fixtures/golden/signer-unknown"
    assert (
        run(["check", f"{stranger}/bundle.bin", "--trust", "fixtures/demo/root.pem", "-o", str(tmp_path / "p.html")])
        == 1
    )
    page = (tmp_path / "p.html").read_text()
    assert "It is not drawn: no trusted signature covers the matrix." in page
    assert "Upgrade graph of" not in page


def test_an_unknown_suffix_has_the_printed_format(tmp_path):
    assert run(["check", *DEMO, "5.30.02", "--format", "json", "-o", str(tmp_path / "report.log")]) == 0
    assert json.loads((tmp_path / "report.log").read_text())["verdict"] == "accept"


def test_a_name_without_a_suffix_has_the_printed_format(tmp_path):
    assert run(["check", *DEMO, "5.30.02", "-o", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report").read_text().splitlines()[-1].startswith("ACCEPT")


def test_compare_lists_the_suffixes_that_it_can_write(tmp_path, capsys):
    assert run(["compare", DEMO[0], DEMO[0], "-o", str(tmp_path / "a.pdf")]) == 2
    assert "no format here has the suffix .pdf; use one of .txt, .json, .md, or select" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--format", "json", "-o", "{0}/a.txt"],
            "no output is in the format json: the suffix of {0}/a.txt means text",
        ),
        (
            ["-o", "-", "-o", "{0}/a.pdf"],
            "--output {0}/a.pdf: no format here has the suffix .pdf; use one of .txt, .json, .md, .xml, .html, or sel",
        ),
        (["-o", "{0}/a.jsonx"], "no format here has the suffix .jsonx"),
        (["-o", "{0}/a.HTM"], "no format here has the suffix .HTM"),
        (["-o", "{0}/a.txt", "-o", "{0}/a.txt"], "--output {0}/a.txt is given twice"),
        (["-o", "{0}/a.html", "-o", "fixtures/demo/update.bin"], "--output fixtures/demo/update.bin is also an input"),
    ],
)
def test_outputs_that_contradict_each_other_are_usage_errors(options, message, tmp_path, capsys):
    assert run(["check", *DEMO, "5.30.02", *(one.format(tmp_path) for one in options)]) == 2
    assert message.format(tmp_path) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


PATH = ["path", DEMO[0], "--trust", "fixtures/demo/root.pem", "--from", "5.30.02", "--to", "5.40.00"]


@pytest.mark.parametrize(
    ("name", "options", "begin"),
    [
        ("path.txt", [], "  1. 5.30.02 -> 5.40.00"),
        ("path.json", [], '{"from": "5.30.02"'),
        ("path.SVG", [], "<svg"),
        ("path.mmd", [], "flowchart"),
        ("path", [], "  1. 5.30.02"),
        ("path", ["--format", "svg"], "<svg"),
        ("path.log", ["--format", "json"], '{"from"'),
        ("-", ["--format", "mermaid"], "flowchart"),
    ],
)
def test_one_output_has_the_format_of_its_suffix(name, options, begin, tmp_path, capsys):
    where = name if name == "-" else str(tmp_path / name)
    assert run([*PATH, *options, "-o", where]) == 0
    written = capsys.readouterr().out if name == "-" else (tmp_path / name).read_text()
    assert written.startswith(begin)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("path.html", [], "no format here has the suffix .html; use one of .txt, .json, .svg, .mmd, or select"),
        ("path.svg", ["--format", "json"], "no output is in the format json: the suffix of"),
    ],
)
def test_one_output_whose_suffix_has_another_format_is_a_usage_error(name, options, message, tmp_path, capsys):
    assert run([*PATH, *options, "-o", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_cannot_be_read_is_in_the_documents(tmp_path):
    outputs = ["-o", str(tmp_path / "junit.xml"), "-o", str(tmp_path / "page.html")]
    assert run(["check", str(tmp_path / "gone.bin"), *outputs]) == 3
    suites = junitparser.JUnitXml.fromstring((tmp_path / "junit.xml").read_bytes())
    assert (suites.errors, suites.failures) == (1, 0)
    assert "INCOMPLETE" in (tmp_path / "page.html").read_text()
