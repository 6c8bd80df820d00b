"""The decision, rule by rule: its kind, its cause, the entry that decided, and the way on."""

import msgspec
import pytest

from bundlekit.matrix import decide, decide_from, entry_digest, read_matrix
from bundlekit.matrix.nearby import Neighbours
from bundlekit.model.decision import CAUSES, PRECEDENCE, Acceptance, Policy
from tests.matrix.world import component, manifest, readable, state

STOP = {"stop": [{"id": "key-2027", "versions": "<5.30.02", "via": "5.30.02", "reason": "They lack the 2027 key."}]}
BLOCK = {"block": [{"id": "KB-1423", "versions": "5.32.00", "reason": "Path loss; go to 5.32.01 first."}]}
RISK = {"risk": [{"id": "OldDisk", "when": {"fact": "disk.firmware", "below": "7.1"}, "reason": "It may hang."}]}
DEAD_END = {"dead-end": [{"id": "old-layout", "versions": "<5.20.03", "reason": "The disk layout is another."}]}
WIDE = {"from": [{"id": "all", "versions": ">=5.20.00, <5.40.00"}]}
LISTED = {"order": "listed", "aliases": {}, "works-together": []}
SEMVER = {"aliases": {}, "works-together": []}
UNLISTED = {"releases": [], "aliases": {}, "from": [{"id": "any", "versions": ">=5, <5.40.00", "unlisted": True}]}


def outcome(decision):
    return decision.kind, decision.overall.cause, decision.overall.entry


def kinds(decision):
    return {component_decision.subject: component_decision.kind for component_decision in decision.component_decisions}


FROM_VERSION = {
    "upgrade": ("5.30.02", {}, ("upgrade", None, "rolling-530")),
    "upgrade, denied": (
        "5.32.00",
        {"from": [{"id": "r", "versions": ">=5.30.02", "except": ["5.32.00"]}]},
        ("unsupported-source", "unsupported-source", ""),
    ),
    "alias": ("5.2", STOP, ("needs-stop", "unsupported-source", "key-2027")),
    "alias is not guessed": ("5.3", WIDE, ("unknown-version", "unsupported-source", "")),
    "same": ("5.40.00", {}, ("same-version", "not-newer", "")),
    "same, zeros": ("5.40.0", {}, ("same-version", "not-newer", "")),
    "same, build": ("5.40.00-0500212", {}, ("same-version", "not-newer", "")),
    "same, other build": ("5.40.00-0500213", {}, ("same-version-other-build", "not-newer", "")),
    "later": ("5.50.00", {}, ("downgrade", "not-newer", "")),
    "unknown": ("5.33.00", {}, ("unknown-version", "unsupported-source", "")),
    "unreadable": ("5.33.x", {}, ("unreadable-version", "unsupported-source", "")),
    "unreadable, empty": ("", {}, ("unreadable-version", "unsupported-source", "")),
    "outside every source": ("5.20.03", {}, ("unsupported-source", "unsupported-source", "")),
    "dead end": ("5.20.00", WIDE | DEAD_END, ("dead-end", "unsupported-source", "old-layout")),
    "block": ("5.32.00", BLOCK, ("blocked", "unsupported-source", "KB-1423")),
    "beside a block": ("5.32.01", BLOCK, ("upgrade", None, "rolling-530")),
    "stop": ("5.20.03", STOP | WIDE, ("needs-stop", "unsupported-source", "key-2027")),
    "at the stop": ("5.30.02", STOP | WIDE, ("upgrade", None, "all")),
    "withdrawn": (
        "5.30.02",
        {"withdrawn": [{"id": "W-1", "versions": "5.40.00"}]},
        ("withdrawn", "unsupported-source", "W-1"),
    ),
    "another is withdrawn": (
        "5.30.02",
        {"withdrawn": [{"id": "W-1", "versions": "5.32.00"}]},
        ("upgrade", None, "rolling-530"),
    ),
    "re-image edge": (
        "5.20.03",
        {"from": [{"id": "all", "versions": ">=5.20.00", "method": "reimage"}]},
        ("reimage-only", "unsupported-source", "all"),
    ),
    "an explicit edge before a range": (
        "5.20.03",
        {"from": [{"id": "all", "versions": "*"}, {"id": "one", "versions": "5.20.03", "method": "reimage"}]},
        ("reimage-only", "unsupported-source", "one"),
    ),
    "unlisted": ("5.31.07", UNLISTED, ("upgrade", None, "any")),
    "unlisted, but not said": (
        "5.31.07",
        UNLISTED | {"from": [{"id": "any", "versions": "*"}]},
        ("unsupported-source", "unsupported-source", ""),
    ),
    "no skew": (
        "5.30.02",
        {"skew": [{"old": ">=5.32.00", "new": "5.40.00"}]},
        ("incompatible", "unsupported-source", ""),
    ),
    "skew": ("5.32.00", {"skew": [{"old": ">=5.32.00", "new": "5.40.00"}]}, ("upgrade", None, "rolling-530")),
    "skew does not matter offline": (
        "5.30.02",
        {"skew": [{"old": "5.32.00", "new": "*"}], "from": [{"id": "off", "versions": "*", "method": "offline"}]},
        ("upgrade", None, "off"),
    ),
    "keys": (
        "5.30.02",
        {
            "trusted-keys": {"5.20.00": ["k19"], "5.32.00": ["k19", "k27"]},
            "from": [{"id": "r", "versions": "*", "keys": ["k27"]}],
        },
        ("cannot-verify", "unsupported-source", "r"),
    ),
    "keys, later": (
        "5.32.01",
        {
            "trusted-keys": {"5.32.00": ["k19", "k27"], "5.20.00": ["k19"]},
            "from": [{"id": "r", "versions": "*", "keys": ["k27"]}],
        },
        ("upgrade", None, "r"),
    ),
    "keys since this version": (
        "5.32.00",
        {"trusted-keys": {"5.32.00": ["k19"]}, "from": [{"id": "r", "versions": "*", "keys": ["k27"]}]},
        ("cannot-verify", "unsupported-source", "r"),
    ),
    "as listed, lower number but later": (
        "5.30.02",
        LISTED | {"releases": ["5.20.00", "5.32.01", "5.30.02"], "from": [{"id": "r", "versions": ">=5.32.01"}]},
        ("upgrade", None, "r"),
    ),
    "as listed, not after": (
        "5.32.01",
        LISTED | {"releases": ["5.20.00", "5.32.01", "5.30.02"], "from": [{"id": "r", "versions": ">5.32.01"}]},
        ("unsupported-source", "unsupported-source", ""),
    ),
    "as listed, higher number but earlier": (
        "5.50.00",
        LISTED | {"releases": ["5.20.00", "5.50.00"], "from": [{"id": "r", "versions": "*"}]},
        ("upgrade", None, "r"),
    ),
    "as listed, not listed": (
        "5.31.00",
        LISTED | {"releases": ["5.20.00"], "from": [{"id": "r", "versions": "*"}]},
        ("unknown-version", "unsupported-source", ""),
    ),
}


@pytest.mark.parametrize(("version", "matrix", "expected"), FROM_VERSION.values(), ids=FROM_VERSION)
def test_from_a_version(version, matrix, expected):
    decision = decide_from(manifest(matrix), version)
    assert outcome(decision) == expected
    assert decision.allowed is (expected[0] == "upgrade")
    assert decision.allowed or decision.overall.next
    assert decision.overall.message.endswith(".")


@pytest.mark.parametrize(
    ("version", "matrix", "step"),
    [
        ("5.20.03", STOP, "Update to 5.30.02 first."),
        ("5.20.03", {}, "Update to 5.30.02 first; from there the bundle can be installed."),
        (
            "5.20.00",
            {"from": [{"id": "a", "versions": "5.32.01"}, {"id": "b", "versions": ">=5.32.00, <5.32.01"}]},
            "Update to 5.32.00 or 5.32.01 first; from there the bundle can be installed.",
        ),
        ("5.50.00", {}, "Use a version newer than 5.50.00. To go back to 5.40.00, re-image the appliance."),
        ("5.20.00", DEAD_END, "Re-image with 5.40.00."),
        (
            "5.32.01",
            {"from": [{"id": "a", "versions": "<5.30"}]},
            "Ask the vendor for an upgrade path. No known later release leads to this bundle.",
        ),
        (
            "5.32.00",
            {"releases": [], "from": [{"id": "a", "versions": ">=5.20, <5.30", "unlisted": True}]},
            "Ask the vendor for an upgrade path. The matrix lists no releases, so no release can be named.",
        ),
    ],
)
def test_the_next_step_is_named(version, matrix, step):
    assert decide_from(manifest(matrix), version).overall.next == step


@pytest.mark.parametrize(
    ("version", "via"),
    [
        ("5.20.00", "5.30.02"),  # the first of two
        ("5.30.02", "5.32.01"),  # the latest 5.32 that is known
        ("5.32.00", None),  # any 5.32 will do
        ("5.32.01", None),
    ],
)
def test_stops_come_in_their_order_and_the_latest_of_a_minor_is_meant(version, via):
    stops = [
        {"id": "later", "versions": "<5.33", "via": "5.32", "latest": True},
        {"id": "first", "versions": "<5.30.02", "via": "5.30.02"},
    ]
    decision = decide_from(manifest(WIDE | {"stop": stops}), version)
    assert decision.overall.next == (f"Update to {via} first." if via else "")


@pytest.mark.parametrize(
    ("images", "model", "says", "step"),
    [
        ((), "im-300", "is for im-100, im-200, but the pair is the model im-300.", "Get a bundle for im-300."),
        (
            (),
            "im200",
            "is for im-100, im-200, but the pair is the model im200.",
            "Get a bundle for im200. If the appliance is the model im-200, correct `model` in its state.",
        ),
        (
            ("im-100",),
            "im-200",
            "names the model im-200, but its images of appliance are only for im-100.",
            "Ask the vendor for a bundle with an image of appliance for im-200.",
        ),
    ],
    ids=["another model", "misspelt", "no image"],
)
def test_of_a_wrong_model_the_message_says_which_models_there_are(images, model, says, step):
    parts = (component("appliance", "5.40.00", models=images), component("storage", "3.4.0"))
    whole = decide(manifest(components=parts), state(model=model)).overall
    assert whole.kind == "wrong-model"
    assert whole.message.endswith(says)
    assert whole.next == step


def test_a_source_for_other_models_only_is_named():
    sources = [{"id": "one", "versions": "5.30.02", "models": ["im-100"]}]
    whole = decide(manifest({"from": sources}), state()).overall
    assert whole.kind == "unsupported-source"
    assert whole.next == "Ask the vendor for a bundle that supports im-200; one is only for im-100."
    assert decide_from(manifest({"from": sources}), "5.30.02", model="im-100").kind == "upgrade"
    near = Neighbours(readable(manifest({"from": sources})), lambda _version, _model: True)
    named = near.named(decide(manifest({"from": sources}), state()))
    assert "to 5.40.00. The entry one allows it only on im-100." in named.overall.message


def test_a_release_candidate_has_not_reached_the_stop_and_a_bundle_at_the_stop_needs_none():
    releases = ["9.5.0", "10.0.0-rc.1", "10.0.0", "10.0.1-rc.1"]
    stops = [{"id": "ten", "versions": "*", "via": "10.0", "latest": True}]
    matrix = {"releases": releases, "from": [{"id": "r", "versions": "*"}], "stop": stops}
    for version, source, kind in [
        ("10.1.0", "10.0.0-rc.1", "needs-stop"),
        ("10.1.0", "10.0.0", "upgrade"),
        ("10.0.5", "9.5.0", "upgrade"),
        ("10.1.0", "10.0.1-rc.1", "upgrade"),
    ]:
        parts = (component("appliance", version),)
        bundle = manifest(SEMVER | matrix, version=version, scheme="semver", components=parts)
        decision = decide_from(bundle, source)
        assert decision.kind == kind
        assert decision.overall.next == ("Update to 10.0.0 first." if kind == "needs-stop" else "")


def test_pre_releases_can_be_compared_by_their_release_number():
    releases = ["1.7.0-beta.1", "1.6.9"]
    matrix = {"releases": releases, "from": [{"id": "r", "versions": ">=1.7.0", "by-release": True}]}
    parts = (component("appliance", "1.8.0"),)
    bundle = manifest(SEMVER | matrix, version="1.8.0", scheme="semver", components=parts)
    assert decide_from(bundle, "1.7.0-beta.1").kind == "upgrade"
    assert decide_from(bundle, "1.6.9").kind == "unsupported-source"


def test_of_an_update_that_cannot_be_reverted_the_decision_says_so():
    source = {"id": "r", "versions": "*", "method": "offline"}
    for reversible, says in (
        (True, "5.40.00, offline."),
        (False, "5.40.00, offline. This update cannot be reverted."),
    ):
        decision = decide_from(manifest({"from": [source | {"reversible": reversible}]}), "5.30.02")
        assert decision.overall.message == f"5.30.02 can be updated to {says}"


STOP_FOR_OLD = {"stop": [{"id": "s", "versions": "*", "via": "5.32.00", "when": {"fact": "age", "at-least": "3 h"}}]}


@pytest.mark.parametrize(
    ("matrix", "facts", "says", "advice"),
    [
        (RISK, {}, "disk.firmware is below 7.1, and that is not known", "Give the fact disk.firmware in `facts`"),
        (
            RISK,
            {"disk.firmware": "7 h"},
            "and '7 h', which was given, cannot be read as a dotted number",
            "'7.10'. Or ",
        ),
        (RISK, {}, "that is not known", "Or accept the risk OldDisk by name."),
        (
            STOP_FOR_OLD,
            {},
            "5.32.00 must be installed first if age is at least 3 h, and that is not known",
            "such as '3 h'",
        ),
        (STOP_FOR_OLD, {"age": "3 hours"}, "and '3 hours', which was given, cannot be read as a duration", "s, min, h"),
        (STOP_FOR_OLD, {"age": 3}, "and 3, which was given, cannot be read", "Or update to 5.32.00 first."),
    ],
)
def test_of_a_stop_or_a_risk_that_cannot_be_excluded_it_is_said_what_would_help(matrix, facts, says, advice):
    decision = decide(manifest(matrix), state(facts=facts))
    component_decision = decision.overall
    assert says in component_decision.message
    assert advice in component_decision.next


def test_of_a_mere_version_facts_are_left_open_and_named():
    matrix = RISK | {
        "from": [{"id": "r", "versions": "*", "keys": ["k27"], "unlisted": True}],
        "stop": [{"id": "s", "versions": "*", "via": "5.32.00", "when": {"fact": "ha.state", "is": "off"}}],
    }
    decision = decide_from(manifest(matrix), "5.31.00")
    assert decision.kind == "upgrade"
    assert decision.not_checked == (
        "whether 5.31.00 was released after the bundle",
        "the stop s, which applies if ha.state is off",
        "whether 5.31.00 trusts k27",
        "the risk OldDisk, which applies if disk.firmware is below 7.1",
        "product and model",
        "holds and pending updates",
        "the security counter",
        "fixes that the update loses",
        "the installed storage",
    )


def test_of_a_mere_version_requirements_are_left_open():
    requires = {"tool": "1.0", "free": {"storage": 1}, "facts": [{"fact": "ha.state", "test": "is", "value": "good"}]}
    requirements = msgspec.convert(requires, type(manifest().requirements))
    assert decide_from(manifest(requirements=requirements), "5.30.02").not_checked[-3:] == (
        "the required version of the tool (1.0)",
        "the required free space for storage",
        "the required condition that ha.state is good",
    )


def test_of_a_mere_version_each_model_is_told_apart_only_where_the_matrix_does():
    matrix = {"block": [{"id": "B", "versions": "5.32.00", "models": ["im-100"]}]}
    assert kinds(decide_from(manifest(matrix), "5.32.00")) == {
        "5.32.00 on im-100": "blocked",
        "5.32.00 on im-200": "upgrade",
    }
    assert decide_from(manifest(matrix), "5.32.00").kind == "blocked"
    assert kinds(decide_from(manifest(matrix), "5.32.00", model="im-200")) == {"5.32.00 on im-200": "upgrade"}
    assert kinds(decide_from(manifest(), "5.32.00")) == {"5.32.00": "upgrade"}


ABOUT_A_PAIR = {
    "good": ({}, {}, {}, ("upgrade", None, "rolling-530")),
    "another product": ({}, {}, {"product": "printer"}, ("wrong-product", "wrong-product", "")),
    "another model": ({}, {}, {"model": "im-300"}, ("wrong-model", "wrong-product", "")),
    "no image for the model": (
        {},
        {"components": (component("appliance", "5.40.00", models=("im-100",)),)},
        {},
        ("wrong-model", "wrong-product", ""),
    ),
    "a re-image": ({}, {"kind": "reimage"}, {}, ("reimage-only", "unsupported-source", "")),
    "on hold": ({}, {}, {"hold": "storage failed"}, ("on-hold", "on-hold", "")),
    "an update pending": ({}, {}, {"update": "run 17"}, ("update-pending", "on-hold", "")),
    "the counter is equal": ({}, {}, {"counter": 7}, ("upgrade", None, "rolling-530")),
    "the counter falls": ({}, {}, {"counter": 8}, ("counter-too-low", "not-newer", "")),
    "the counter of one member is higher": (
        {},
        {},
        {"member": {"counter": 8}},
        ("counter-too-low", "not-newer", ""),
    ),
    "the counter is given by members only": (
        {},
        {},
        {"counter": None, "member": {"counter": 7}},
        ("upgrade", None, "rolling-530"),
    ),
    "the counter is missing": ({}, {}, {"counter": None}, ("undecided", None, "")),
    "the counter is huge": ({}, {}, {"counter": 2**53 - 1}, ("counter-too-low", "not-newer", "")),
    "installed later than released": (
        {},
        {},
        {"member": {"released": "2026-11-24"}},
        ("back-in-time", "not-newer", ""),
    ),
    "installed later, with an edge": (
        {"from": [{"id": "edge", "versions": "5.30.02"}]},
        {},
        {"member": {"released": "2026-11-24"}},
        ("upgrade", None, "edge"),
    ),
    "listed, release day not known": ({}, {}, {"member": {"released": None}}, ("upgrade", None, "rolling-530")),
    "unlisted, release day not known": (UNLISTED, {}, {"member": {"released": None}}, ("undecided", None, "")),
    "unlisted, released before": (UNLISTED, {}, {}, ("upgrade", None, "any")),
    "a fix gets lost": ({}, {}, {"includes": ["HF-118", "HF-140"]}, ("loses-fix", "requirements", "")),
    "fixes not known": ({}, {}, {"includes": None}, ("undecided", None, "")),
    "no fixes": ({}, {}, {"includes": []}, ("upgrade", None, "rolling-530")),
    "a fix gets lost, with an edge": (
        {"from": [{"id": "edge", "versions": "5.30.02"}]},
        {},
        {"includes": ["HF-140"]},
        ("upgrade", None, "edge"),
    ),
    "a risk applies": (RISK, {}, {}, ("risk", "requirements", "OldDisk")),
    "a risk does not apply": (RISK, {}, {"facts": {"disk.firmware": "7.10"}}, ("upgrade", None, "rolling-530")),
    "a risk cannot be excluded": (RISK, {}, {"facts": {}}, ("undecided", None, "OldDisk")),
    "a risk on a fact of another kind": (RISK, {}, {"facts": {"disk.firmware": "7 h"}}, ("undecided", None, "OldDisk")),
    "a stop where a fact holds": (
        {"stop": [{"id": "s", "versions": "*", "via": "5.32.00", "when": {"fact": "ha.state", "is-not": "off"}}]},
        {},
        {},
        ("needs-stop", "unsupported-source", "s"),
    ),
    "a stop where a fact does not hold": (
        {"stop": [{"id": "s", "versions": "*", "via": "5.32.00", "when": {"fact": "ha.state", "is": "off"}}]},
        {},
        {},
        ("upgrade", None, "rolling-530"),
    ),
    "a stop where a fact is not known": (
        {"stop": [{"id": "s", "versions": "*", "via": "5.32.00", "when": {"fact": "x", "is": "off"}}]},
        {},
        {},
        ("undecided", None, "s"),
    ),
    "trusted keys of the appliance count": (
        {"trusted-keys": {"5.20.00": ["k27"]}, "from": [{"id": "r", "versions": "*", "keys": ["k27"]}]},
        {},
        {},
        ("cannot-verify", "unsupported-source", "r"),
    ),
    "trusted keys not known": (
        {"from": [{"id": "r", "versions": "*", "keys": ["k27"]}]},
        {},
        {"trusts": None},
        ("undecided", None, "r"),
    ),
    "storage is newer": ({}, {}, {"components": {"storage": {"version": "3.5.0"}}}, ("downgrade", "not-newer", "")),
    "storage is not known": ({}, {}, {"components": {}}, ("undecided", None, "")),
    "storage is unreadable": (
        {},
        {},
        {"components": {"storage": {"version": "three"}}},
        ("unreadable-version", "unsupported-source", ""),
    ),
    "what stays does not work with what comes": (
        {},
        {"components": (component("appliance", "5.40.00"),)},
        {"components": {"storage": {"version": "3.1.0"}}},
        ("incompatible", "unsupported-source", ""),
    ),
    "what stays works with what comes": (
        {},
        {"components": (component("appliance", "5.40.00"),)},
        {},
        ("upgrade", None, "rolling-530"),
    ),
    "nobody says whether what stays works with what comes": (
        {"works-together": []},
        {"components": (component("appliance", "5.40.00"),)},
        {},
        ("undecided", None, ""),
    ),
    "what stays is unreadable": (
        {},
        {"components": (component("appliance", "5.40.00"),)},
        {"components": {"storage": {"version": "three"}}},
        ("unreadable-version", "unsupported-source", ""),
    ),
    "the matrix is unreadable": ({"block": [{"id": "B", "versions": "<x"}]}, {}, {}, ("undecided", None, "B")),
}


KEYS = {"trusted-keys": {"5.20.00": ["old"], "5.32.00": ["old", "new"]}, "from": [{"id": "r", "versions": "*"}]}
OPEN = "whether 5.20.03 trusts a key that signs the bundle (a trust.toml names them)"


@pytest.mark.parametrize(
    ("version", "signers", "kind", "not_checked"),
    [
        ("5.20.03", ["old"], "upgrade", False),
        ("5.20.03", ["new", "old"], "upgrade", False),
        ("5.20.03", ["new"], "cannot-verify", False),
        ("5.20.03", [], "cannot-verify", False),
        ("5.20.03", None, "upgrade", True),
        ("5.32.00", ["new"], "upgrade", False),
    ],
)
@pytest.mark.parametrize("trusts", [None, ["old"]], ids=["by the matrix", "by the appliance"])
def test_a_version_has_to_trust_one_of_the_keys_that_sign(version, signers, kind, not_checked, trusts):
    if trusts and version == "5.32.00":
        kind = "cannot-verify"  # what the appliance says counts before what the matrix says of its version
    decision = decide(manifest(KEYS), state(version=version, trusts=trusts), signers=signers)
    assert decision.kind == kind
    assert (OPEN in decision.not_checked) is not_checked
    if trusts is None:
        by_version = decide_from(manifest(KEYS), version, signers=signers)
        assert (by_version.kind, OPEN in by_version.not_checked) == (kind, not_checked)


def test_who_cannot_verify_is_told_which_keys_there_are():
    whole = decide_from(manifest(KEYS), "5.20.03", signers=["new"]).overall
    assert whole.message == "5.20.03 trusts old, but the bundle is signed by new. It would reject the bundle."
    assert "Update first to a release that trusts one of these" in whole.next


@pytest.mark.parametrize(("matrix", "bundle", "pair", "expected"), ABOUT_A_PAIR.values(), ids=ABOUT_A_PAIR)
def test_about_a_pair(matrix, bundle, pair, expected):
    decision = decide(manifest(matrix, **bundle), state(**pair), signers=["release-2019"])
    assert outcome(decision) == expected
    assert decision.allowed is (expected[0] == "upgrade")
    assert decision.allowed or decision.overall.next
    assert decision.not_checked == ()


@pytest.mark.parametrize(
    ("requires", "pair", "kind", "says"),
    [
        ({"free": {"storage": 2**30}}, {}, "upgrade", ""),
        ({"free": {"storage": 40 * 2**30}}, {}, "upgrade", ""),
        (
            {"free": {"storage": 2**40}},
            {},
            "requirement-not-met",
            "CZ3001 needs 1 TiB free for storage, but has 40 GiB.",
        ),
        ({"free": {"logs": 1}}, {}, "undecided", "but its free space is unknown."),
        ({"tool": "1.0"}, {}, "upgrade", ""),
        ({"tool": "1.0.3"}, {}, "upgrade", ""),
        ({"tool": "1.0.10"}, {}, "requirement-not-met", "version 1.0.3 is used."),
        ({"tool": "1.0"}, {"tool": None}, "undecided", "but its version is unknown."),
        ({"tool": "1.0"}, {"tool": "new"}, "undecided", "but its version is unknown."),
        ({"facts": [{"fact": "backup.age", "test": "below", "value": "24 h"}]}, {}, "upgrade", ""),
        (
            {"facts": [{"fact": "backup.age", "test": "below", "value": "60 min"}]},
            {},
            "requirement-not-met",
            "backup.age is below 60 min, but it is 5 h.",
        ),
        (
            {"facts": [{"fact": "backup.age", "test": "below", "value": "24 h"}]},
            {"facts": {"backup.age": "3h"}},
            "undecided",
            "requires that backup.age is below 24 h, and '3h', which was given, cannot be read as a duration.",
        ),
        ({"facts": [{"fact": "clock", "test": "is", "value": "good"}]}, {}, "undecided", "that is not known."),
    ],
)
def test_requirements(requires, pair, kind, says):
    requirements = msgspec.convert(requires, type(manifest().requirements))
    decision = decide(manifest(requirements=requirements), state(**pair))
    assert decision.kind == kind
    assert decision.overall.message.endswith(says)
    assert decision.overall.cause == ("requirements" if decision.overall.rejected else None)


@pytest.mark.parametrize(
    ("need", "free", "remedy"),
    [
        (12 * 2**30, {"storage": 10 * 2**30}, "Free 2 GiB more for storage on CZ3001."),
        (1024, {"storage": 1023}, "Free 1 byte more for storage on CZ3001."),
        (
            12 * 2**30,
            {},
            'Add the number of free bytes to the appliance state: "free": {"storage": …} inside "CZ3001" of "members".',
        ),
    ],
)
def test_who_lacks_space_is_told_how_much_and_where_to_say_it(need, free, remedy):
    requirements = msgspec.convert({"free": {"storage": need}}, type(manifest().requirements))
    decision = decide(manifest(requirements=requirements), state(member={"free": free}))
    assert decision.overall.next == remedy


def test_a_part_that_has_the_version_is_no_fault_while_another_has_to_move():
    decision = decide(manifest(), state(components={"storage": {"version": "3.4.0"}}))
    assert kinds(decision) == {"CZ3001": "upgrade", "CZ3002": "upgrade", "storage": "already-installed"}
    assert decision.allowed

    decision = decide(manifest(), state(version="5.40.00"))
    assert kinds(decision) == {"CZ3001": "already-installed", "CZ3002": "already-installed", "storage": "upgrade"}
    assert decision.allowed

    decision = decide(manifest(), state(version="5.40.00", components={"storage": {"version": "3.4.0"}}))
    assert set(kinds(decision).values()) == {"same-version"}
    assert decision.overall.cause == "not-newer"


def test_what_does_not_move_loses_no_fix_and_leaves_nothing_behind():
    decision = decide(manifest(), state(version="5.40.00", includes=["HF-140"]))
    assert decision.kind == "upgrade"
    assert [partial_failure.failure for partial_failure in decision.partial_failures] == ["storage"]


def test_a_part_can_be_installed_once_more_while_another_moves():
    decision = decide(manifest(), state(version="5.40.00"), Policy(allow_reinstall=True))
    assert kinds(decision) == {"CZ3001": "same-version", "CZ3002": "same-version", "storage": "upgrade"}
    assert decision.allowed


def test_nothing_else_is_blamed_where_the_version_is_the_fault():
    pair = state(version="5.50.00", includes=["HF-140"], facts={}, components={"storage": {"version": "9"}})
    causes = {component_decision.cause for component_decision in decide(manifest(RISK), pair).component_decisions}
    assert causes == {"not-newer"}


def test_what_a_bundle_does_not_carry_stays():
    decision = decide(manifest(components=(component("appliance", "5.40.00"),)), state())
    assert kinds(decision) == {"CZ3001": "upgrade", "CZ3002": "upgrade", "storage": "not-included"}


def test_a_bundle_of_another_component_is_decided_by_that():
    matrix = {
        "releases": ["3.2.1"],
        "aliases": {},
        "from": [{"id": "r", "versions": "3.2.1"}],
        "works-together": [{"id": "w", "appliance": "5.30.02", "storage": "*"}],
    }
    bundle = manifest(matrix, version="3.4.0", components=(component("storage", "3.4.0"),))
    decision = decide(bundle, state())
    assert kinds(decision) == {"CZ3001": "not-included", "CZ3002": "not-included", "storage": "upgrade"}
    assert decide_from(bundle, "3.2.1").kind == "upgrade"
    assert decide(bundle, state(version="5.32.01")).kind == "incompatible"


@pytest.mark.parametrize(
    ("storage", "works", "says"),
    [
        (">=3.2.0", True, "which are compatible, so storage stays new."),
        ("3.2.1", False, "which are not compatible, so storage is reverted too."),
        (None, None, "which are not known to be compatible, so storage is reverted too."),
    ],
)
def test_the_state_that_a_failure_of_the_active_leaves_is_foreseen(storage, works, says):
    old = [{"id": "old", "appliance": "<5.40.00", "storage": storage}] if storage else []
    new = [{"id": "new", "appliance": "5.40.00", "storage": "3.4.0"}] if storage else []
    decision = decide(manifest({"works-together": old + new}), state())
    assert decision.allowed
    partial_failure = next(one for one in decision.partial_failures if one.failure == "active")
    assert [one.failure for one in decision.partial_failures] == ["active", "storage", "standby"]
    assert partial_failure.components == {"appliance": "5.30.02", "storage": "3.4.0"}
    assert (partial_failure.works, partial_failure.entry) == (works, "old" if works else "")
    assert partial_failure.message.endswith(says)


@pytest.mark.parametrize(
    ("version", "matrix", "policy", "kind", "override"),
    [
        ("5.40.00", {}, Policy(allow_reinstall=True), "same-version", "allow-reinstall"),
        ("5.40.00", {}, Policy(allow_same_version=True, allow_downgrade=True), "same-version", ""),
        ("5.40.00-1", {}, Policy(allow_same_version=True), "same-version-other-build", "allow-same-version"),
        ("5.40.00-1", {}, Policy(allow_reinstall=True, allow_downgrade=True), "same-version-other-build", ""),
        ("5.50.00", {}, Policy(allow_reinstall=True, allow_same_version=True), "downgrade", ""),
        ("5.50.00", {}, Policy(allow_downgrade=True), "unknown-version", ""),
        (
            "5.50.00",
            {"releases": ["5.50.00"], "aliases": {}, "from": [{"id": "back", "versions": "5.50.00"}]},
            Policy(allow_downgrade=True),
            "downgrade",
            "allow-downgrade",
        ),
    ],
)
def test_each_override_allows_its_own_case_only(version, matrix, policy, kind, override):
    decision = decide_from(manifest(matrix), version, policy)
    assert (decision.kind, decision.overall.override) == (kind, override)
    assert decision.allowed is bool(override)


def test_no_override_reaches_the_counter_or_the_product():
    everything = Policy(allow_same_version=True, allow_reinstall=True, allow_downgrade=True)
    assert decide(manifest(), state(version="5.40.00", counter=8), everything).kind == "counter-too-low"
    assert decide(manifest(), state(version="5.40.00", product="x"), everything).kind == "wrong-product"


def test_a_risk_is_accepted_by_name_for_what_its_entry_says():
    bundle = manifest(RISK)
    digest = entry_digest(bundle.matrix.risks[0])
    for facts in (state().facts, {}):
        for given in ("", digest):
            policy = Policy(accepted_risks=(Acceptance(risk="OldDisk", digest=given),))
            decision = decide(bundle, state(facts=facts), policy)
            assert decision.kind == "upgrade"
            assert decision.accepted == (Acceptance(risk="OldDisk", digest=digest),)

    changed = Policy(accepted_risks=(Acceptance(risk="OldDisk", digest="sha256:" + 64 * "0"),))
    decision = decide(bundle, state(), changed)
    assert decision.kind == "risk"
    assert "The accepted risk with this id was worded differently." in decision.overall.message
    assert decide(bundle, state(), Policy(accepted_risks=(Acceptance(risk="Other"),))).kind == "risk"


def test_a_matrix_can_be_read_once_and_asked_often():
    bundle = manifest()
    read = read_matrix(bundle)
    assert decide(bundle, state(), matrix=read) == decide(bundle, state())
    assert decide_from(bundle, "5.20.03", matrix=read) == decide_from(bundle, "5.20.03")


def test_the_kinds_and_their_causes_are_one_list():
    import typing

    from bundlekit.model.decision import DecisionKind

    assert tuple(CAUSES) == typing.get_args(DecisionKind) == tuple(PRECEDENCE)
