"""Who may install a bundle: overrides and accepted risks, whole states, many states, what a failure leaves."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import bundlekit
from bundlekit import decisions, pipeline
from bundlekit.matrix.read import read_matrix
from bundlekit.schemas import schema

TRUST = ("--trust", "keys/root.pem")
MATRIX = """\
releases = ["5.20.00", "5.30.02", "5.32.00", "5.40.00", "5.50.00"]
[[from]]
id = "rolling"
versions = ">=5.20.00"
"""
RISK = '[[risk]]\nid = "OldDisk"\nwhen = { fact = "disk.firmware", below = "7.1" }\nreason = "Old disks stop."\n'
TOGETHER = '[[works-together]]\nid = "both"\nappliance = ">=5.30.02"\nstorage = ">=3.0.0"\n'


def judged(result):
    report = json.loads(result.out)
    jsonschema.validate(report, schema("report"))
    return report


@pytest.mark.exhaustive
@pytest.mark.parametrize("verb", ["check", "preflight"])
@pytest.mark.parametrize(
    ("installed", "flag", "kind"),
    [
        ({"version": "5.40.00", "build": "0500100"}, "--allow-same-version", "same-version-other-build"),
        ({"version": "5.40.00"}, "--allow-reinstall", "same-version"),
        ({"version": "5.50.00"}, "--allow-downgrade", "downgrade"),
    ],
    ids=["same version", "reinstall", "downgrade"],
)
def test_each_override_allows_its_own_case_and_no_other(cli, ship, state, verb, installed, flag, kind):
    bundle = ship("5.40.00", MATRIX, more='build = "0500212"')
    member = {"released": "2025-01-01"} | installed
    given = state(members={"SN1": {"role": "active", **member}, "SN2": {"role": "standby", **member}})
    ask = (verb, bundle, *TRUST, "--appliance", given, "--format", "json")
    report = judged(cli(*ask))
    assert (report["verdict"], report["causes"]) == ("reject", ["not-newer"])
    for other in {"--allow-same-version", "--allow-reinstall", "--allow-downgrade"} - {flag}:
        assert judged(cli(*ask, other))["verdict"] == "reject"
    report = judged(cli(*ask, flag))
    assert report["verdict"] == "accept"
    assert report["request"]["policy"][flag.removeprefix("--")] is True
    component_decisions = [
        one for one in report["decisions"][0]["component-decisions"] if one["component"] == "appliance"
    ]
    assert [(one["kind"], one["override"]) for one in component_decisions] == [(kind, flag.removeprefix("--"))] * 2
    assert f"Allowed by {flag}." in cli(*ask[:-2], flag).out


def test_a_lower_counter_is_overridden_by_nothing(cli, ship, state):
    bundle = ship("5.40.00", MATRIX)
    everything = ("--allow-same-version", "--allow-reinstall", "--allow-downgrade", "--accept-risk", "counter-too-low")
    result = cli("check", bundle, *TRUST, "--appliance", state(counter=8), *everything)
    assert result.code == 1
    assert "counter-too-low" in result.out
    assert "next: Get a release with a counter of at least 8. There is no override." in result.out


def test_there_is_no_one_flag_that_forces_everything(cli):
    assert "--force" not in cli("check", "--help").out
    assert cli("check", "x.bin", "--force").code == 2


def test_a_risk_is_accepted_by_name_for_this_entry_and_this_bundle(cli, ship, state):
    bundle = ship("5.40.00", MATRIX + RISK)
    ask = ("check", bundle, *TRUST, "--appliance", state(facts={"disk.firmware": "7.0"}), "--format", "json")
    report = judged(cli(*ask))
    assert report["verdict"] == "reject"
    assert (report["findings"][0]["rule"], report["findings"][0]["entry"]) == ("risk", "OldDisk")
    report = judged(cli(*ask, "--accept-risk", "OldDisk"))
    assert report["verdict"] == "accept"
    (accepted,) = report["decisions"][0]["accepted"]
    assert (accepted["risk"], accepted["bundle"]) == ("OldDisk", report["id"])
    named = f"OldDisk@{accepted['digest']}"
    assert judged(cli(*ask, "--accept-risk", named))["verdict"] == "accept"
    assert f"--accept-risk {named}" in cli(*ask[:-2], "--accept-risk", named).out

    reworded = ship("5.40.00", MATRIX + RISK.replace("stop.", "stop for good."))
    report = judged(cli(*ask, "--accept-risk", named))
    assert (reworded, report["verdict"]) == (bundle, "reject")
    assert "The accepted risk with this id was worded differently." in report["findings"][0]["message"]


def test_a_recorded_acceptance_holds_for_its_bundle_only(cli, ship, state):
    bundle = ship("5.40.00", MATRIX + RISK)
    text = Path(state(facts={"disk.firmware": "7.0"})).read_bytes()
    appliance = msgspec.json.decode(text, type=bundlekit.Appliance)
    trust = bundlekit.load_trust([Path("keys/root.pem")])

    def judge(*accepted):
        policy = bundlekit.Policy(accepted_risks=accepted)
        return pipeline.check(bundle, trust=trust, appliance=appliance, policy=policy)

    recorded = judge(bundlekit.Acceptance(risk="OldDisk")).decisions[0].accepted
    assert judge(*recorded).verdict == "accept"
    ship("5.40.00", MATRIX + RISK, counter=8)
    assert judge(bundlekit.Acceptance(risk="OldDisk", digest=recorded[0].digest)).verdict == "accept"
    assert judge(*recorded).verdict == "reject"


@pytest.mark.parametrize("value", ["@", "@sha256:00", "OldDisk@", "OldDisk@md5:00", "OldDisk@sha256:ABC"])
def test_an_acceptance_that_cannot_be_read_is_a_mistake(cli, shop, value):
    result = cli("check", "x.bin", "--accept-risk", value)
    assert result.code == 2
    assert "is not a risk" in result.err


def test_many_states_are_one_decision_each(cli, ship, state):
    bundle = ship("5.40.00", MATRIX)
    lines = [Path(state(version, pair=f"p{n}")).read_text() for n, version in enumerate(["5.20.00", "5.40.00"] * 20)]
    Path("fleet.jsonl").write_text("\n\n".join(lines) + "\n")
    ask = ("check", bundle, *TRUST, "--appliance", "fleet.jsonl")
    report = judged(cli(*ask, "--format", "json"))
    kinds = [decision["overall"]["kind"] for decision in report["decisions"]]
    assert kinds == ["upgrade", "same-version"] * 20
    assert report["verdict"] == "reject"
    refused = {f"p{n} {serial} appliance" for n in range(1, 40, 2) for serial in ("SN1", "SN2")}
    assert {finding["subject"] for finding in report["findings"]} == refused
    Path("fleet.jsonl").write_text("\n".join(lines[::2]))
    assert "is accepted for 20 pairs" in cli(*ask).out
    one = judged(cli("check", bundle, *TRUST, "--appliance", state(pair="p0"), "--format", "json"))
    assert one["request"]["appliance"] != judged(cli(*ask, "--format", "json"))["request"]["appliance"]


def test_the_matrix_is_read_once_for_all_states(ship, state, monkeypatch):
    bundle = ship("5.40.00", MATRIX)
    one = msgspec.json.decode(Path(state()).read_bytes(), type=bundlekit.Appliance)
    calls = []
    monkeypatch.setattr(decisions, "read_matrix", lambda *given: calls.append(1) or read_matrix(*given))
    monkeypatch.setattr(sys.modules["bundlekit.matrix.decide"], "read_matrix", None)
    fleet = [msgspec.structs.replace(one, pair=f"p{n}") for n in range(50)]
    assert len(pipeline.preflight(bundle, appliance=fleet).decisions) == 50
    assert calls == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1}\n{"schema"', "line 2 is not JSON"),
        ('{\n"schema": 1,\n', "invalid JSON"),
        ("", "invalid JSON"),
        ('{"schema": 1}\n[]\n', "fleet.jsonl: line 1: at 'schema'"),
        ("STATE\nSTATE\n", "duplicate pair rack-7"),
    ],
    ids=["broken line", "broken value", "empty", "not a state", "twice"],
)
def test_states_that_cannot_be_read_are_named(cli, ship, state, text, message):
    Path("fleet.jsonl").write_text(text.replace("STATE", Path(state()).read_text()))
    result = cli("check", ship("5.40.00", MATRIX), *TRUST, "--appliance", "fleet.jsonl")
    assert result.code == 3
    assert message in result.err


@pytest.mark.parametrize("verb", ["check", "preflight"])
def test_what_a_failure_leaves_is_said_before_the_start(cli, ship, state, verb):
    bundle = ship("5.40.00", MATRIX + TOGETHER, storage="3.4.0")
    for version, works, kept in (("5.30.02", True, "stays new"), ("5.20.00", False, "is reverted too")):
        ask = (verb, bundle, *TRUST, "--appliance", state(version, storage="3.3.0"))
        text = cli(*ask).out
        report = judged(cli(*ask, "--format", "json"))
        assert report["verdict"] == "accept"
        active, storage, standby = report["decisions"][0]["partial-failures"]
        assert (active["failure"], active["works"], active["outcome"]) == ("active", works, "reverted")
        assert active["components"] == {"appliance": version, "storage": "3.4.0"}
        assert active["keeps"] == (["storage"] if works else [])
        assert active["reverts"] == (["appliance"] if works else ["appliance", "storage"])
        assert (storage["failure"], storage["reverts"], storage["hold"]) == ("storage", ["appliance", "storage"], True)
        assert (standby["failure"], standby["outcome"], standby["reverts"]) == ("standby", "degraded", [])
        assert standby["components"] == {"appliance": "5.40.00", "storage": "3.4.0"}
        for partial_failure in report["decisions"][0]["partial-failures"]:
            assert partial_failure["message"] in text
        assert kept in active["message"]


REQUIRES = (
    '[requires]\ntool = "0.1"\nfree = { storage = "1 KiB" }\nfacts = { "ha.state" = "ok", "backup.age" = "< 24 h" }'
)
KNOWN = {"tool": "0.1", "facts": {"ha.state": "ok", "backup.age": "5 h"}}


def _members(free):
    member = {"version": "5.30.02", "released": "2025-01-01", "free": {"storage": free}}
    return {"SN1": {"role": "active", **member}, "SN2": {"role": "standby", **member}}


@pytest.mark.parametrize(
    ("changes", "verdict", "says"),
    [
        ({}, "accept", ""),
        ({"tool": ...}, "incomplete", "but its version is unknown"),
        ({"tool": "0.0.9"}, "reject", "Update the tool to 0.1 first."),
        ({"members": _members(1023)}, "reject", "Free 1 byte more for storage on SN1."),
        ({"facts": {"ha.state": "ok"}}, "incomplete", "the update requires that backup.age is below 24 h"),
        ({"facts": {"ha.state": "ok", "backup.age": "3h"}}, "incomplete", "s, min, h or d: '3 h'"),
        ({"facts": {"ha.state": "ok", "backup.age": "25 h"}}, "reject", "it is 25 h"),
        ({"facts": {"ha.state": "split", "backup.age": "1 h"}}, "reject", "Meet this condition"),
        ({"hold": "storage failed on 2026-11-20"}, "reject", "clear the hold"),
        ({"update": "run 17"}, "reject", "First resume or cancel that update"),
        ({"counter": ...}, "incomplete", "unknown does not count as zero"),
        ({"includes": ...}, "incomplete", "Give the included fixes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_the_update_needs(cli, ship, state, changes, verdict, says):
    bundle = ship("5.40.00", MATRIX, more=REQUIRES)
    fields = {"members": _members(1024)} | KNOWN | changes
    report = judged(cli("preflight", bundle, *TRUST, "--appliance", state(**fields), "--format", "json"))
    assert report["verdict"] == verdict
    said = [
        f"{component_decision['message']} {component_decision['next']}"
        for component_decision in report["decisions"][0]["component-decisions"]
    ]
    assert says.lower() in " ".join(said).lower()
    for component_decision in report["decisions"][0]["component-decisions"]:
        assert component_decision["next"] or component_decision["kind"] == "upgrade"


def test_the_state_in_the_readme_is_accepted(cli, ship, shop):
    readme = (Path(bundlekit.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name in ("SPEC.toml", "matrix.toml", "STATE.json"):
        text = re.search(rf"cat > {name} <<'END'\n(.*?)\n +END\n", readme, re.DOTALL)[1]
        Path(name).write_text(re.sub(r'"/usr/share/[^"]*"', '"image"', text))
    sign = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
    assert cli("build", "SPEC.toml", "-o", "update.bin", *sign).code == 0
    result = cli("preflight", "update.bin", *TRUST, "--appliance", "STATE.json")
    assert result.code == 0, result
    assert "is accepted for pair rack-7" in result.out


FLEET: dict[str, dict[str, Any]] = {"rack-7": {}, "rack-8": {"version": "5.50.00"}, "rack-9": {"counter": ...}}


def test_of_several_pairs_each_is_named(cli, ship, state):
    bundle = ship("5.40.00", MATRIX)
    Path("fleet.jsonl").write_text("\n".join(Path(state(pair=name, **how)).read_text() for name, how in FLEET.items()))
    ask = ("check", bundle, *TRUST, "--appliance", "fleet.jsonl")
    report = judged(cli(*ask, "--format", "json"))
    assert [(one["pair"], one["overall"]["kind"]) for one in report["decisions"]] == [
        ("rack-7", "upgrade"),
        ("rack-8", "downgrade"),
        ("rack-9", "undecided"),
    ]
    assert {(one["subject"], one["params"]["pair"]) for one in report["findings"]} == {
        ("rack-8 SN1 appliance", "rack-8"),
        ("rack-8 SN2 appliance", "rack-8"),
    }
    (outcome,) = (rule for rule in report["rules"] if rule["rule"] == "undecided")
    assert outcome["reason"].startswith("rack-9: The security counter")
    lines = cli(*ask).out.splitlines()
    assert [line.split(".")[0] for line in lines if line.startswith("  pair ")] == [
        "  pair       rack-7: upgrade",
        "  pair       rack-8: downgrade",
        "  pair       rack-9: undecided",
    ]


def test_of_several_pairs_each_line_about_a_failure_or_a_risk_names_its_pair(cli, ship, state):
    bundle = ship("5.40.00", MATRIX + RISK + TOGETHER, storage="3.4.0")
    facts = {"disk.firmware": "7.0"}
    states = {name: Path(state(pair=name, storage="3.3.0", facts=facts)).read_text() for name in ("rack-7", "rack-8")}
    Path("fleet.jsonl").write_text("\n".join(states.values()))
    ask = ("check", bundle, *TRUST, "--accept-risk", "OldDisk")
    lines = cli(*ask, "--appliance", "fleet.jsonl").out.splitlines()
    for pair in states:
        about = [line.split(".")[0] for line in lines if f" {pair}: " in line]
        assert sum(line.startswith("  on failure") for line in about) == 3
        assert sum(line.startswith("  accepted") for line in about) == 1
    assert "  on failure rack-8: If the update of storage fails, appliance and storage revert" in "\n".join(lines)
    Path("one.json").write_text(states["rack-7"])
    assert "  on failure If the update of storage fails" in cli(*ask, "--appliance", "one.json").out


def test_a_version_that_trusts_none_of_the_signers_is_refused(cli, ship, state):
    """The mistake that strands fleets at key rotation, asked for one version and for one pair."""
    keys = 'trusted-keys = { "5.20.00" = ["old"], "5.32.00" = ["old", "new"] }\n'
    bundle = ship("5.40.00", keys + MATRIX)
    Path("trust.toml").write_text(
        'trust = 1\nallow-test-keys = true\n[signers.new]\nrole = "production"\nanchor = "keys/root.pem"\n'
    )
    for ask in (["--from", "5.30.02"], ["--appliance", state(trusts=["old"])]):
        for verb in ("check", "preflight"):
            report = judged(cli(verb, bundle, "--trust", "trust.toml", *ask, "--format", "json"))
            assert (report["verdict"], report["causes"]) == ("reject", ["unsupported-source"])
            assert {finding["rule"] for finding in report["findings"]} == {"cannot-verify"}
            open_ = cli(verb, bundle, *TRUST, *ask)  # without names it is open, and said to be
            assert (open_.code, "whether 5.30.02 trusts a key that signs the bundle" in open_.out) == (0, True)
        way = cli("path", bundle, "--trust", "trust.toml", *ask, "--to", "5.40.00")
        assert (way.code, "It would reject the bundle" in way.out) == (1, True), way.out
    assert cli("check", bundle, "--trust", "trust.toml", "--from", "5.32.00").code == 0
