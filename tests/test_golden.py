"""The golden folders: what is committed is what the forge makes, and each rule objects alone where it should."""

import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest
from cryptography import x509

from bundlekit.cli import run
from bundlekit.report import json as as_json
from bundlekit.report import text as as_text
from bundlekit.schemas import schema
from bundlekit.trust.keys import describe
from bundlekit.trust.testkeys import TEST_KEYS
from fixtures import forge, make_demo, make_golden, make_keys
from fixtures.make_golden import GOLDEN

RECIPES = make_golden.recipes()
REPORT = schema("report")
NEVER_REJECT = {"tool-too-old", "crl-unusable", "undecided"}
"""Rules that say why nothing can be said: they do not fail, they are needed and not run."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_golden_report_has_the_values_that_its_schema_lists(name):
    jsonschema.validate(json.loads((GOLDEN / name / "report.json").read_bytes()), REPORT)


@pytest.mark.parametrize("name", RECIPES)
def test_golden_folder_is_what_the_forge_makes(name):
    committed = {file.name: file.read_bytes() for file in (GOLDEN / name).iterdir()}
    assert committed == make_golden.files(RECIPES[name])


def test_there_are_no_golden_folders_but_those_of_the_table():
    assert {str(file.parent.relative_to(GOLDEN)) for file in GOLDEN.rglob("bundle.bin")} == set(RECIPES)


@pytest.mark.parametrize("rule", [name for name in forge.SPOILS if name not in NEVER_REJECT])
def test_each_rule_fails_alone_in_its_folder(rule):
    report = json.loads((GOLDEN / rule / "report.json").read_bytes())
    assert {finding["rule"] for finding in report["findings"]} == {rule}
    assert [outcome["rule"] for outcome in report["rules"] if outcome["outcome"] == "failed"] == [rule]
    severe = any(finding["severity"] == "error" for finding in report["findings"])
    assert report["verdict"] == ("reject" if severe else "accept")


@pytest.mark.parametrize("name", RECIPES)
def test_a_message_and_its_next_step_have_no_sentence_in_common(name):
    for finding in json.loads((GOLDEN / name / "report.json").read_bytes())["findings"]:
        parts = [part for part in re.split(r"[.;:] ?", finding["next"]) if part.count(" ") > 1]
        assert not [part for part in parts if part in finding["message"]]


@pytest.mark.parametrize("rule", sorted(NEVER_REJECT))
def test_what_cannot_be_judged_is_neither_refused_nor_accepted(rule):
    report = json.loads((GOLDEN / rule / "report.json").read_bytes())
    assert report["findings"] == []
    assert report["verdict"] == "incomplete"
    (outcome,) = (outcome for outcome in report["rules"] if outcome["rule"] == rule)
    assert (outcome["outcome"], outcome["required"]) == ("not-run", True)


@pytest.mark.parametrize("name", forge.ACCEPTED)
def test_good_bundles_are_accepted_without_a_word(name):
    recipe = forge.ACCEPTED[name]
    data = recipe.make()
    report = forge.judge(data, recipe.ask)
    assert (report.verdict, report.findings, report.coverage.covered) == ("accept", (), len(data))


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_inputs_give_the_same_bytes(name):
    recipe = RECIPES[name]
    one, other = (forge.judge(recipe.make(), recipe.ask) for _ in range(2))
    assert as_json.render(one) == as_json.render(other)
    assert list(as_text.lines(one)) == list(as_text.lines(other))


def test_a_warning_refuses_if_asked_to_be_strict():
    spoiled = forge.spoil("extension-not-understood")
    report = forge.judge(spoiled.data, forge.Ask(strict=True))
    assert (report.verdict, report.causes) == ("reject", ("best-practice",))


@pytest.mark.parametrize("name", forge.SPOILS)
def test_without_trust_nothing_is_accepted(name):
    spoiled = forge.spoil(name)
    assert forge.judge(spoiled.data, forge.Ask(trust=())).verdict != "accept"
    assert forge.judge(forge.good(), forge.Ask(trust=())).verdict == "incomplete"


@pytest.mark.parametrize("signer", ["signer", "pinned"])
def test_the_forge_seals_as_the_product_signs(signer):
    from bundlekit import trust

    head = b"any head"
    file = make_keys.KEYS / f"{signer}.pem"
    certificates = trust.read_certificates(file) if file.exists() else ()
    key = trust.load_private_key(make_keys.KEYS / f"{signer}.key")
    assert forge.seal(signer, head) == trust.sign(head, key, certificates)


def test_the_keys_are_what_their_script_makes():
    committed = {p.relative_to(make_keys.KEYS): p.read_bytes() for p in make_keys.KEYS.rglob("*") if p.is_file()}
    assert committed == make_keys.files()


@pytest.mark.parametrize("path", sorted(make_keys.KEYS.rglob("*.[kp]e[my]")), ids=lambda path: path.name)
def test_every_key_and_certificate_says_that_it_is_for_tests(path: Path):
    if path.suffix == ".key" or path.name.endswith(".pub.pem"):
        assert path.read_text().startswith("TEST ONLY")
    else:
        for certificate in x509.load_pem_x509_certificates(path.read_bytes()):
            assert "TEST ONLY" in certificate.subject.rfc4514_string()


def test_the_product_knows_all_keys_of_the_fixtures():
    known = {describe(make_keys.key_of(name).public_key()).id for name in make_keys.ENTITIES}
    known.add(describe(make_keys.private_key("pinned", None).public_key()).id)
    known |= {describe(make_keys.bare_key(name).public_key()).id for name in make_keys.BARE}
    assert known == TEST_KEYS


def test_the_demo_bundle_is_what_its_spec_builds(tmp_path):
    demo = tmp_path / "demo"
    shutil.copytree(make_demo.DEMO, demo, ignore=shutil.ignore_patterns("out", "update.bin"))
    assert make_demo.make(demo).read_bytes() == (make_demo.DEMO / "update.bin").read_bytes()
    assert (demo / "root.pem").read_bytes() == (make_demo.DEMO / "root.pem").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "rule"),
    [
        (["--from", "5.30.02", "--from", "5.32.01"], 0, ""),
        (["--appliance", str(make_demo.DEMO / "STATE.json"), "--full"], 0, ""),
        (["--from", "5.10.00"], 1, "dead-end"),
        (["--from", "5.32.00"], 1, "blocked"),
        (["--from", "5.2"], 1, "needs-stop"),
    ],
)
def test_the_demo_answers_as_its_matrix_says(arguments, code, rule, capsys):
    trust = ["--trust", str(make_demo.DEMO / "root.pem")]
    assert run(["check", str(make_demo.DEMO / "update.bin"), *trust, "--at", forge.AT, *arguments]) == code
    assert rule in capsys.readouterr().out


def test_what_a_damaged_index_covers_was_not_compared():
    outcomes = {one.rule: one for one in forge.judge(forge.spoil("index-digest-mismatch").data).rules}
    assert outcomes["chunk-digest-mismatch"].outcome == "not-run"
    assert "index is damaged" in outcomes["chunk-digest-mismatch"].reason
