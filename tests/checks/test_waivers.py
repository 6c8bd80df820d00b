"""Waivers: best-practice rules alone, by name, for one bundle, until a day, from a file that the operator names."""

import datetime as dt
import json
from pathlib import Path

import jsonschema
import pytest

from bundlekit import pipeline
from bundlekit.checks import RULES, waivers
from bundlekit.checks.waivers import load_waivers
from bundlekit.cli import run
from bundlekit.errors import ConfigError
from bundlekit.layout import reader
from bundlekit.report import text as as_text
from bundlekit.schemas import schema
from bundlekit.source import BytesSource
from fixtures import forge

DATA = forge.changed(extensions={"battery": {"minimum-charge": 30}})
ID = reader.read(BytesSource(DATA)).id
GOOD = {
    "rule": "extension-not-understood",
    "reason": "CAB-77: the portal reads it, the appliance does not",
    "expires": "2027-01-31",
    "product": "imager",
    "bundle": ID,
}


def file(folder, *entries, version="1"):
    lines = [f"waivers = {version}"]
    for entry in entries:
        lines.append("[[waive]]")
        lines += [f"{key} = {value if key == 'expires' else json.dumps(value)}" for key, value in entry.items()]
    path = folder / "waivers.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Set the day on which these tests are run."""

    def stand(day):
        monkeypatch.setattr(waivers, "_today", lambda: dt.date.fromisoformat(day))

    stand("2026-12-01")
    return stand


def judge(given, *, data=DATA, strict=True, at=forge.AT):
    return pipeline.check(
        BytesSource(data, name="bundle.bin"),
        trust=forge.trust(),
        at=dt.datetime.fromisoformat(at),
        strict=strict,
        waivers=given,
    )


def test_a_waived_finding_is_shown_and_does_not_refuse(tmp_path):
    given = load_waivers(file(tmp_path, GOOD))
    assert judge(None).verdict == "reject"
    report = judge(given)
    assert (report.verdict, report.causes) == ("accept", ())
    assert report.findings[0].waived == "CAB-77: the portal reads it, the appliance does not (until 2027-01-31)"
    assert report.request.waivers == given.digest
    shown = [line.text for line in as_text.lines(report)]
    assert "  waived     extension-not-understood [battery]: the extension 'battery' is not understood" in shown
    jsonschema.validate(json.loads(pipeline_json(report)), schema("report"))


def pipeline_json(report):
    from bundlekit.report import json as as_json

    return as_json.render(report)


OTHERS = {
    "another rule": {"rule": "impact-not-said"},
    "another product": {"product": "toaster"},
    "another bundle": {"bundle": "sha256:" + "0" * 64},
    "past": {"expires": "2026-11-30"},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_waiver_is_for_one_rule_of_one_bundle_until_a_day(tmp_path, change):
    report = judge(load_waivers(file(tmp_path, GOOD | change)))
    assert report.verdict == "reject"
    assert not report.findings[0].waived


def test_its_last_day_is_part_of_it(tmp_path):
    given = load_waivers(file(tmp_path, GOOD | {"expires": "2026-12-01"}))
    assert judge(given).verdict == "accept"
    assert judge(given, at="2026-12-02T00:00:00Z").verdict == "reject"


def test_a_time_that_is_given_does_not_revive_a_waiver(tmp_path, clock):
    clock("2027-02-01")
    assert load_waivers(file(tmp_path, GOOD)).current == ()


def test_errors_stay_errors(tmp_path):
    report = judge(load_waivers(file(tmp_path, GOOD)), data=forge.flip(DATA, len(DATA) - 1))
    assert report.verdict == "reject"
    assert report.causes == ("corrupted",)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.rule_class != "best-practice"], ids=lambda rule: rule.name
)
def test_no_other_rule_can_be_waived(tmp_path, rule):
    with pytest.raises(ConfigError, match=f"{rule.name} is a rule of class {rule.rule_class}, which cannot be waived"):
        load_waivers(file(tmp_path, GOOD | {"rule": rule.name}))


WRONG = {
    "version": (["2", GOOD], "a waivers file begins with waivers = 1"),
    "an unknown rule": (
        ["1", GOOD | {"rule": "impact-not-sad"}],
        "unknown rule 'impact-not-sad'; did you mean 'impact-not-said'",
    ),
    "no reason": (["1", {k: v for k, v in GOOD.items() if k != "reason"}], "'reason' is missing"),
    "an empty reason": (["1", GOOD | {"reason": " "}], "waive.*reason"),
    "no end": (["1", {k: v for k, v in GOOD.items() if k != "expires"}], "'expires' is missing"),
    "no bundle": (["1", {k: v for k, v in GOOD.items() if k != "bundle"}], "'bundle' is missing"),
    "an id that no bundle has": (["1", GOOD | {"bundle": f"sha512:{'0' * 128}"}], "bundles have no id of another kind"),
    "an unknown key": (["1", GOOD | {"because": "x"}], "unknown key 'because'"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(tmp_path, content, words):
    with pytest.raises(ConfigError, match=words):
        load_waivers(file(tmp_path, *content[1:], version=content[0]))


def test_none_is_looked_for_in_the_current_folder(tmp_path, monkeypatch, capsys):
    file(tmp_path, GOOD)
    (tmp_path / "bundle.bin").write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    trust = str(forge.KEYS / "trust")
    asked = ["check", "bundle.bin", "--trust", trust, "--strict", "--at", forge.AT]
    assert run(asked) == 1
    assert run([*asked, "--waivers", "waivers.toml"]) == 0
    assert run([*asked, "--waivers", "missing.toml"]) == 3
    capsys.readouterr()


def test_a_bundle_brings_no_waivers(tmp_path):
    """What looks like one in a bundle is an extension like any other."""
    data = forge.changed(extensions={"waivers": {"rule": "extension-not-understood"}})
    assert judge(None, data=data).verdict == "reject"


def test_the_example_in_the_docs_is_read(tmp_path):
    from bundlekit.docs import page

    text = "\n".join(line[4:] for line in page("waivers").splitlines() if line.startswith("    "))
    (tmp_path / "w.toml").write_text(text)
    assert len(load_waivers(Path(tmp_path / "w.toml")).current) == 1
