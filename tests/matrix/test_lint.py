"""The lint: each rule speaks where it should, alone where it can, and says which entry to look at."""

import re
from typing import Any

import pytest
from msgspec.structs import replace

from bundlekit.matrix.decide import decide_from
from bundlekit.matrix.lint import LINTS, lint
from bundlekit.matrix.routes import Routes
from bundlekit.matrix.table import table
from bundlekit.matrix.toml import condition_from_toml
from bundlekit.model.manifest import Requirements
from tests.matrix.world import component, manifest, readable

AT = "2026-12-01"
APPLIANCE = (component("appliance", "5.40.00"),)
CLEAN: dict[str, Any] = {
    "releases": ["5.20.00", "5.20.03", "5.30.02", "5.32.00"],
    "from": [{"id": "rolling", "versions": ">=5.20.00, <5.40.00", "tested": "QA-1"}],
    "works-together": [],
}


def bundle(version="5.40.00", *, storage="", released="2026-11-23", **matrix):
    parts = (component("appliance", version),)
    parts += (component("storage", storage),) if storage else ()
    keys = {key.replace("_", "-").rstrip("-"): value for key, value in matrix.items()}
    fields: dict[str, Any] = {
        key: keys.pop(key) for key in ("kind", "expires", "models", "product", "counter", "includes") if key in keys
    }
    fields |= {"scheme": keys.pop("version-scheme")} if "version-scheme" in keys else {}
    fields = {"version": version, "components": parts, "released": released, "includes": ()} | fields
    return manifest(CLEAN | keys, **fields)


def said(*args, at=AT, **kwargs):
    return [(one.rule, one.severity, one.subject, one.entry) for one in lint(*args, at=at, **kwargs).findings]


def test_a_clean_matrix_has_nothing_to_say():
    assert said(bundle()) == []


MODELS = ("im-100", "im-200")
BLOCK_LAST = {"id": "KB-1", "versions": "5.32.00", "reason": "Bad."}
SCHEME = {"forms": ["#.#", "#.#@", "#.#.#"]}
DECLARED = {"version_scheme": "declared", "aliases": {}, "scheme": SCHEME, "from_": [{"id": "all", "versions": "*"}]}
WHEN = {"fact": "disk", "is": "old"}
ROWS: dict[str, Any] = {
    "uncovered, nothing later": (
        {"from_": [{"id": "old", "versions": "<5.32.00", "tested": "Q"}]},
        [("stranded-version", "error", "5.32.00", "")],
    ),
    "blocked with reason, nothing later": ({"block": [BLOCK_LAST]}, [("left-behind", "info", "", "KB-1")]),
    "blocked without reason, nothing later": (
        {"block": [{"id": "KB-1", "versions": "5.32.00"}]},
        [("stranded-version", "error", "5.32.00", "KB-1"), ("reason-missing", "warning", "", "KB-1")],
    ),
    "blocked with reason, and every version is": (
        {"block": [{"id": "KB-1", "versions": "*", "reason": "Bad."}]},
        [
            ("no-update-to", "error", "", ""),
            ("unused-entry", "warning", "", "rolling"),
            ("left-behind", "info", "", "KB-1"),
        ],
    ),
    "blocked, something later": (
        {"block": [{"id": "KB-2", "versions": "5.30.02", "reason": "Bad."}]},
        [("detour-unknown", "warning", "5.30.02", "KB-2")],
    ),
    "blocked, and a stop leads round it": (
        {
            "block": [{"id": "KB-2", "versions": "5.30.02", "reason": "Bad."}],
            "stop": [{"id": "round", "versions": "5.30.02", "via": "5.32.00"}],
        },
        [],
    ),
    "dead end without reason": (
        {"dead_end": [{"id": "end", "versions": "5.20.00"}]},
        [("stranded-version", "error", "5.20.00", "end"), ("reason-missing", "warning", "", "end")],
    ),
    "dead end with reason": (
        {"dead_end": [{"id": "end", "versions": "5.20.00", "reason": "Old boot loader."}]},
        [("left-behind", "info", "", "end")],
    ),
    "dead end without reason, whatever stop there is": (
        {
            "dead_end": [{"id": "end", "versions": "5.20.00"}],
            "stop": [{"id": "via", "versions": "<=5.20.03", "via": "5.32.00"}],
        },
        [("stranded-version", "error", "5.20.00", "end"), ("reason-missing", "warning", "", "end")],
    ),
    "no source": (
        {"from_": []},
        [("stranded-version", "error", version, "") for version in CLEAN["releases"]]
        + [("no-update-to", "error", "", "")],
    ),
    "stop leads nowhere": (
        {"stop": [{"id": "via", "versions": "5.30.02", "via": "5.32.00"}], "block": [BLOCK_LAST]},
        [
            ("stranded-version", "error", "5.30.02", "via"),
            ("stop-blocked", "error", "5.32.00", "via"),
            ("left-behind", "info", "", "KB-1"),
        ],
    ),
    "source that a stop always beats": (
        {
            "from_": [
                {"id": "new", "versions": ">=5.30.02", "tested": "Q"},
                {"id": "old", "versions": "<5.30.02", "tested": "Q"},
            ],
            "stop": [{"id": "via", "versions": "<5.30.02", "via": "5.30.02"}],
        },
        [("unused-entry", "warning", "", "old")],
    ),
    "stop behind every source": (
        {"stop": [{"id": "via", "versions": "5.20.00", "via": "5.40.00"}]},
        [("unused-entry", "warning", "", "via")],
    ),
    "overlapping sources": (
        {
            "from_": [
                {"id": "one", "versions": "<=5.30.02", "tested": "Q"},
                {"id": "two", "versions": ">=5.30.02", "tested": "Q"},
            ]
        },
        [("overlapping-ranges", "warning", "", "two")],
    ),
    "sources for two models are no overlap": (
        {"from_": [{"id": f"for-{model}", "versions": "*", "models": [model], "tested": "Q"} for model in MODELS]},
        [],
    ),
    "a re-image is no overlap": (
        {"from_": [*CLEAN["from"], {"id": "image", "versions": ">=5.20.00", "method": "reimage", "tested": "Q"}]},
        [("unused-entry", "warning", "", "image")],
    ),
    "an edge within a range is no overlap": (
        {
            "from_": [
                {"id": "one", "versions": "<5.40.00", "tested": "Q"},
                {"id": "two", "versions": "5.30.02", "method": "offline", "tested": "Q"},
            ]
        },
        [],
    ),
    "alias that begins another release": (
        {
            "releases": ["5.3.1", *CLEAN["releases"]],
            "aliases": {"5.3": "5.30.02"},
            "from_": [{"id": "all", "versions": "*", "tested": "Q"}],
        },
        [("ambiguous-alias", "warning", "5.3", "")],
    ),
    "aliases that differ in case": (
        {"aliases": {"LTS": "5.30.02", "lts": "5.32.00"}},
        [("ambiguous-alias", "warning", "lts", "")],
    ),
    "own version withdrawn": (
        {"withdrawn": [{"id": "gone", "versions": "5.40.00", "reason": "Bad."}]},
        [("stranded-version", "error", version, "gone") for version in CLEAN["releases"]]
        + [
            ("no-update-to", "error", "", ""),
            ("own-version-contradicted", "error", "5.40.00", "gone"),
            ("unused-entry", "warning", "", "rolling"),
        ],
    ),
    "own version a dead end": (
        {
            "dead_end": [{"id": "end", "versions": ">=5.40.00", "reason": "Last."}],
            "releases": [*CLEAN["releases"], "5.41.00"],
        },
        [
            ("own-version-contradicted", "error", "5.40.00", "end"),
            ("unused-entry", "warning", "", "end"),
        ],
    ),
    "source not older than the bundle": (
        {
            "from_": [*CLEAN["from"], {"id": "later", "versions": ">=5.40.00", "tested": "Q"}],
            "releases": [*CLEAN["releases"], "5.41.00"],
        },
        [("own-version-contradicted", "error", "5.40.00", "later"), ("unused-entry", "warning", "", "later")],
    ),
    "components that do not work together": (
        {"storage": "3.4.0", "works_together": [{"id": "both", "appliance": "*", "storage": "<3.4.0"}]},
        [("no-compatible-partner", "error", "", "")],
    ),
    "a pair of ranges without a version": (
        {
            "storage": "3.4.0",
            "works_together": [
                {"id": "both", "appliance": "*", "storage": "*"},
                {"id": "none", "appliance": "<5.20.00", "storage": "*"},
            ],
        },
        [("no-compatible-partner", "error", "", "none")],
    ),
    "nothing said about what a failure leaves": ({"storage": "3.4.0"}, [("partial-failure-unknown", "info", "", "")]),
    "no test record": ({"from_": [{"id": "rolling", "versions": "*"}]}, [("untested-source", "info", "", "rolling")]),
    "a quantity that is not compared": (
        {
            "risk": [{"id": "Backup", "when": {"fact": "backup.age", "is-not": "24 hours"}, "reason": "R."}],
            "stop": [{"id": "via", "versions": "<5.30.02", "via": "5.30.02", "when": {"fact": "disk", "is": "12GiB"}}],
        },
        [("quantity-as-text", "warning", "disk", "via"), ("quantity-as-text", "warning", "backup.age", "Backup")],
    ),
    "facts that are no quantities, and one that is compared": (
        {
            "risk": [
                {"id": "State", "when": {"fact": "ha.state", "is": "2 of 3"}, "reason": "R."},
                {"id": "Model", "when": {"fact": "board", "is": "3d"}, "reason": "R."},
                {"id": "Nodes", "when": {"fact": "nodes", "is": "5 nodes"}, "reason": "R."},
                {"id": "Age", "when": {"fact": "backup.age", "at-least": "24 h"}, "reason": "R."},
            ]
        },
        [],
    ),
    "a word of a pre-release that the scheme does not list": (
        DECLARED | {"releases": ["4.0", "5.0", "5.0rc", "5.1hotfix", "5.2b"]},
        [("word-unlisted", "warning", "5.0rc", ""), ("untested-source", "info", "", "all")],
    ),
    "the same word, listed": (
        DECLARED | {"scheme": SCHEME | {"pre-releases": ["rc"]}, "releases": ["4.0", "5.0", "5.0rc"]},
        [("untested-source", "info", "", "all")],
    ),
    "any version": (
        {"from_": [{"id": "rolling", "versions": "*", "unlisted": True, "tested": "Q"}]},
        [("unlisted-source", "info", "", "rolling")],
    ),
    "any version, none of them known": (
        {"releases": [], "from_": [{"id": "any", "versions": "*", "unlisted": True, "tested": "Q"}]},
        [("unlisted-source", "info", "", "any")],
    ),
    "an empty range of what works together": (
        {"works_together": [{"id": "none", "appliance": "<5.20.00, >5.30.00", "storage": "*"}]},
        [("manifest-inconsistent", "error", "", "none")],
    ),
    "empty range": (
        {"block": [{"id": "KB", "versions": ">5.32.00, <5.20.00", "reason": "Bad."}]},
        [("manifest-inconsistent", "error", "", "KB"), ("unused-entry", "warning", "", "KB")],
    ),
    "a matrix that cannot be read": (
        {"block": [{"id": "KB", "versions": "oh no", "reason": "Bad."}]},
        [("manifest-inconsistent", "error", "", "KB")],
    ),
    "a hotfix of a line that is not listed": (
        {"kind": "hotfix", "block": [BLOCK_LAST]},
        [("base-unknown", "warning", "5.40.00", ""), ("left-behind", "info", "", "KB-1")],
    ),
    "a re-image strands no version": (
        {"kind": "reimage"},
        [("unused-entry", "warning", "", "rolling"), ("exempted-version", "info", "", "")],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_rule(row):
    changes, expected = ROWS[row]
    report = lint(bundle(**changes), at=AT)
    assert [(one.rule, one.severity, one.subject, one.entry) for one in report.findings] == expected
    severe = any(one.severity == "error" for one in report.findings)
    assert report.verdict == ("reject" if severe else "accept")
    assert all(one.next.endswith(".") and one.message for one in report.findings)
    assert bool(report.not_run) == (row == "a matrix that cannot be read")


def test_strict_refuses_for_a_warning_and_not_for_an_info():
    warned, informed = bundle(**ROWS["overlapping sources"][0]), bundle(**ROWS["any version"][0])
    assert lint(warned, at=AT, strict=True).verdict == "reject"
    assert lint(informed, at=AT, strict=True).verdict == "accept"


def test_every_rule_is_told_to_people_and_tried_here():
    tried = {rule for _, expected in ROWS.values() for rule, *_ in expected}
    elsewhere = {"trust-contradicted", "source-cannot-verify", "unknown-key", "risk-reworded", "appliance-misspelt"}
    elsewhere |= {"no-member-component"}
    assert {rule.name for rule in LINTS} <= tried | elsewhere
    assert len({rule.name for rule in LINTS}) == len(LINTS)
    for rule in LINTS:
        assert rule.page[0].isupper()
        assert rule.remedy.endswith(".")


def test_a_requirement_that_forgot_its_sign_is_named():
    facts = (condition_from_toml("backup.age", "24 hours", "S"), condition_from_toml("ha.state", "synchronised", "S"))
    made = bundle()
    (finding,) = lint(replace(made, requirements=Requirements(facts=facts)), at=AT).findings
    assert (finding.rule, finding.subject) == ("quantity-as-text", "backup.age")
    assert finding.message == "A requirement compares a quantity as text: backup.age is 24 hours."
    assert finding.next.startswith(
        "Compare it with < or >= (below and at-least in a condition of the matrix); the unit"
    )


@pytest.mark.parametrize("name", ["aplliance", "applaince", "appliances", "apliance"])
def test_a_component_that_is_nearly_the_appliance_is_named(name):
    made = replace(bundle(), components=(component(name, "5.40.00"),))
    assert ("appliance-misspelt", "warning", name, "") in said(made)
    both = replace(bundle(), components=(*made.components, *bundle().components))
    assert "appliance-misspelt" not in {rule for rule, *_ in said(both)}


@pytest.mark.parametrize("name", ["storage", "appliance-drivers", "compliance", "app"])
def test_a_component_of_another_name_is_no_slip_of_the_pen(name):
    made = replace(bundle(), components=(component(name, "5.40.00"),))
    assert "appliance-misspelt" not in {rule for rule, *_ in said(made)}
    assert ("no-member-component", "info", name, "") in said(made)
    open_ = "the members, which the bundle does not update: no component is named 'appliance', and the versions are "
    open_ += f"those of {name}"
    assert open_ in decide_from(made, "5.32.00").not_checked
    assert open_ not in decide_from(bundle(), "5.32.00").not_checked


KEYS = {"trusted_keys": {"5.20.00": ["release-2019"], "5.30.02": ["release-2019", "release-2027"]}}


@pytest.mark.parametrize(
    ("signers", "expected"),
    [
        (["release-2027"], ["5.20.00", "5.20.03"]),
        (["release-2019"], []),
        (["release-2019", "release-2027"], []),
        (["stranger"], CLEAN["releases"]),
    ],
    ids=" ".join,
)
def test_who_cannot_verify_the_signature_is_named(signers, expected):
    report = lint(bundle(**KEYS), at=AT, signers=signers)
    assert [(one.rule, one.subject, one.entry) for one in report.findings if one.rule != "unknown-key"] == [
        ("source-cannot-verify", version, "rolling") for version in expected
    ]
    if len(expected) == 2:
        assert "add a [[stop]] via 5.30.02" in report.findings[0].next


def test_a_bridge_release_as_a_stop_lets_everybody_verify():
    stop = {"stop": [{"id": "key-2027", "versions": "<5.30.02", "via": "5.30.02"}]}
    assert said(bundle(**KEYS, **stop), signers=["release-2027"]) == []


def test_who_signs_is_asked_for_only_where_it_matters():
    assert "source-cannot-verify" in lint(bundle(**KEYS), at=AT).not_run
    assert lint(bundle(), at=AT).not_run == {}
    assert "trusted-keys" in lint(bundle(), at=AT, signers=["release-2027"]).not_run["source-cannot-verify"]
    assert lint(bundle(**KEYS), at=AT, signers=["release-2027"]).not_run == {}


KNOWN = "; known are release-2019, release-2027."


@pytest.mark.parametrize(
    ("signers", "expected"),
    [
        (["release-2072"], {"release-2072": "; did you mean 'release-2027'?"}),
        (["release-2027", "neu"], {"neu": KNOWN}),
        (["b", "a"], {"a": KNOWN, "b": KNOWN}),
        (["release-2019", "release-2027"], {}),
    ],
    ids=str,
)
def test_a_signer_whom_no_release_trusts_is_probably_a_slip_of_the_pen(signers, expected):
    found = [one for one in lint(bundle(**KEYS), at=AT, signers=signers).findings if one.rule == "unknown-key"]
    assert [(one.severity, one.subject, one.message) for one in found] == [
        ("warning", name, f"No release trusts a key named {name!r}{end}") for name, end in expected.items()
    ]


@pytest.mark.parametrize("method", ["rolling", "offline"])
def test_a_source_that_is_for_other_models_is_named_with_what_would_help(method):
    source = {"id": "rolling", "versions": "*", "models": ["im-100"], "tested": "Q", "method": method}
    findings = lint(bundle(models=MODELS, from_=[source]), at=AT).findings
    assert [(one.rule, one.subject) for one in findings] == [
        ("stranded-version", f"{version} on im-200") for version in CLEAN["releases"]
    ]
    assert findings[0].message.endswith("to 5.40.00. The entry rolling allows it only on im-100.")
    assert findings[0].next.startswith("Add im-200 to `models` of rolling; ")
    assert said(bundle(models=MODELS, from_=[source | {"models": list(MODELS)}])) == []


# --- against other bundles ---

BRIDGE = {"releases": ["5.20.00"], "from_": [{"id": "up", "versions": "5.20.00", "tested": "Q"}]}
LATE = {"from_": [{"id": "rolling", "versions": ">=5.20.03", "tested": "Q"}]}


def test_another_bundle_shows_the_way_or_that_there_is_none():
    bridge = bundle("5.20.03", released="2024-01-01", **BRIDGE)
    assert said(bundle(**LATE)) == [("detour-unknown", "warning", "5.20.00", "")]
    assert said(bundle(**LATE), [bridge]) == []
    closed = [bundle(version, released="2024-01-01", releases=[], from_=[]) for version in CLEAN["releases"][1:]]
    assert said(bundle(**LATE), closed) == [("stranded-version", "error", "5.20.00", "")]


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"expires": "2026-11-30"}, AT),
        ({"released": "2026-06-01"}, "2026-01-01"),
        ({"withdrawn": [{"id": "gone", "versions": "5.20.03", "reason": "Bad."}]}, AT),
        ({"kind": "reimage"}, AT),
        ({"product": "other"}, AT),
    ],
    ids=["expired", "not out yet", "withdrawn", "re-image", "other product"],
)
def test_a_bundle_that_is_no_way_is_not_taken_for_one(changes, at):
    fields = {"released": "2024-01-01"} | BRIDGE | changes
    assert "5.20.00" in {subject for _, _, subject, _ in said(bundle(**LATE), [bundle("5.20.03", **fields)], at=at)}


def test_a_release_that_another_matrix_has_withdrawn_is_no_way():
    bridge = bundle("5.20.03", released="2024-01-01", **BRIDGE)
    closed = [bundle(version, released="2024-01-01", releases=[], from_=[]) for version in CLEAN["releases"][2:]]
    gone = {"withdrawn": [{"id": "gone", "versions": "5.20.03", "reason": "Bad."}]}
    assert said(bundle(**LATE), [bridge, *closed]) == []
    assert said(bundle(**LATE, **gone), [bridge, *closed]) == [("stranded-version", "error", "5.20.00", "")]


def test_a_version_that_another_matrix_calls_a_dead_end_goes_nowhere():
    other = bundle(
        "5.20.03", released="2024-01-01", **BRIDGE, dead_end=[{"id": "end", "versions": "5.20.00", "reason": "Old."}]
    )
    closed = [bundle(version, released="2024-01-01", releases=[], from_=[]) for version in CLEAN["releases"][2:]]
    assert said(bundle(), [other, *closed]) == [("stranded-version", "error", "5.20.00", "rolling")]
    (finding,) = lint(bundle(), [other, *closed], at=AT).findings
    assert finding.message == "5.20.00 is stranded: 5.20.00 is a dead end, according to 5.20.03."


def test_a_stop_whose_bundle_refuses_is_no_way():
    stop = {"stop": [{"id": "via", "versions": "5.20.00", "via": "5.20.03"}]}
    closed = [bundle(version, released="2024-01-01", releases=[], from_=[]) for version in CLEAN["releases"][1:]]
    assert said(bundle(**stop)) == []
    assert said(bundle(**stop), closed) == [("stranded-version", "error", "5.20.00", "via")]


@pytest.mark.parametrize(
    "changes", [{"includes": ["HF-9"]}, {"counter": 8}, {"released": "2026-11-24"}], ids=["fix", "counter", "later"]
)
def test_what_a_bundle_that_is_installed_brought_is_not_lost(changes):
    last = {"released": "2025-01-01", "releases": [], "from_": []}
    assert said(bundle(), [bundle("5.32.00", **last)]) == []
    assert said(bundle(), [bundle("5.32.00", **last | changes)]) == [
        ("stranded-version", "error", "5.32.00", "rolling")
    ]
    (finding,) = lint(bundle(), [bundle("5.32.00", **last | changes)], at=AT).findings
    assert re.fullmatch(r"5\.32\.00 is stranded: .*(HF-9|counter|after).*", finding.message)


def test_a_later_release_is_nobody_who_has_to_get_here():
    assert said(bundle(), [bundle("5.50.00", releases=[], from_=[])]) == []


def test_a_bundle_that_has_no_place_in_the_order_is_not_used():
    listed = {"order": "listed", "from_": [{"id": "all", "versions": "*", "tested": "Q"}]}
    storage = manifest(
        {"releases": [], "from": [], "works-together": [], "aliases": {}},
        version="3.4.0",
        components=(component("storage", "3.4.0"),),
    )
    report = lint(bundle(**listed), [bundle("5.31.00", released="2024-01-01"), storage], at=AT)
    assert set(report.not_run) == {"5.31.00", "3.4.0"}
    assert report.against == ()


def test_what_brings_no_appliance_leaves_nothing_to_fit():
    matrix = {
        "releases": ["3.3.0"],
        "from": [{"id": "all", "versions": "*", "tested": "Q"}],
        "works-together": [],
        "aliases": {},
    }
    parts = (component("storage", "3.4.0"), component("disk", "1.0"))
    found = said(manifest(matrix, version="3.4.0", components=parts, includes=()))
    assert found == [("no-member-component", "info", "storage", "")]


def test_only_supported_versions_count_as_stranded():
    stranding, leaving = bundle(**ROWS["uncovered, nothing later"][0]), bundle(block=[BLOCK_LAST])
    assert said(stranding, supported=["5.30.02"]) == said(leaving, supported=["5.30.02"]) == []
    assert said(stranding, supported=["5.32.00"]) == [("stranded-version", "error", "5.32.00", "")]
    assert said(leaving, supported=["5.32.00"]) == [("left-behind", "info", "", "KB-1")]


def test_a_state_that_a_failure_leaves_can_be_stranded_too():
    """A release brought a newer storage than this one has, failed on the active member, and its storage stayed."""
    both = [{"id": "both", "appliance": "*", "storage": "*"}]
    lts = bundle("5.32.00", storage="3.2.0", released="2025-01-01", releases=[], from_=[])
    hasty = bundle(
        "5.39.00",
        storage="3.9.0",
        released="2026-06-01",
        releases=["5.32.00"],
        from_=[{"id": "hasty", "versions": "5.32.00", "tested": "Q"}],
        works_together=both,
    )
    this = {"storage": "3.4.0", "works_together": both, "releases": ["5.32.00"]}
    source = {"from_": [{"id": "rolling", "versions": "5.32.00", "tested": "Q"}]}
    report = lint(bundle(**this, **source), [lts, hasty], at=AT)
    stranded = [one for one in report.findings if one.rule == "stranded-version"]
    assert [one.subject for one in stranded][:1] == ["5.32.00"]
    assert "there is no upgrade path from 5.32.00 with storage 3.9.0" in stranded[0].message


def test_a_failure_leaves_the_components_that_were_not_to_be_updated():
    lts = {"works_together": [], "storage": "3.2.0", "releases": [], "from_": [], "released": "2025-01-01"}
    disk = manifest(
        {"releases": [], "from": [], "works-together": [], "aliases": {}},
        version="5.32.00",
        components=(component("appliance", "5.32.00"), component("disk", "1.0")),
        includes=(),
    )
    both = {"works_together": [{"id": "all", "appliance": "*", "storage": "*", "disk": "*"}]}
    target = readable(bundle(storage="3.4.0", **both))
    routes = Routes(target, [readable(disk)], None)
    assert [str(state) for state in routes.after_failures("5.32.00")] == ["5.32.00 with disk 1.0 and storage 3.4.0"]
    assert list(Routes(target, [readable(bundle("5.32.00", **lts))], None).after_failures("5.30.02")) == []


def test_a_risk_that_reads_otherwise_elsewhere_is_named():
    risk = {"id": "OldDisk", "when": WHEN, "reason": "It stops."}
    other = bundle("5.32.00", released="2025-01-01", releases=["5.30.02"], risk=[risk | {"reason": "It burns."}])
    assert said(bundle(risk=[risk]), [other]) == [("risk-reworded", "warning", "5.32.00", "OldDisk")]
    assert said(bundle(risk=[risk | {"reason": "It burns."}]), [other]) == []


def test_models_are_told_apart_where_the_matrix_does():
    source = {"id": "for-100", "versions": "*", "models": ["im-100"], "tested": "Q"}
    assert said(bundle(from_=[source]), supported=["5.32.00"]) == [
        ("stranded-version", "error", "5.32.00 on im-200", "")
    ]


STOP = {"id": "two", "versions": "<5.30.02", "via": "5.30.02"}


def test_a_stop_whose_bundle_is_not_for_a_model_strands_that_model():
    stop = bundle("5.30.02", models=("im-100",), released="2025-01-01")
    known = CLEAN["releases"][:3]
    findings = lint(bundle(stop=[STOP], releases=known), [stop], at=AT).findings
    assert [(one.rule, one.subject, one.entry) for one in findings] == [
        ("stranded-version", "5.20.00 on im-200", "two"),
        ("stranded-version", "5.20.03 on im-200", "two"),
    ]
    assert findings[0].message.endswith("leads through 5.30.02. 5.30.02 is not for im-200, but for im-100.")
    assert said(bundle(stop=[STOP], models=("im-100",)), [stop]) == []
    assert said(bundle(stop=[STOP]), [bundle("5.30.02", released="2025-01-01")]) == []


def test_a_release_may_come_in_a_bundle_for_each_model():
    each = [bundle("5.30.02", models=(model,), released="2025-01-01") for model in MODELS]
    assert said(bundle(stop=[STOP]), each) == []


def test_nobody_has_a_release_that_is_not_for_the_model():
    older = bundle("5.32.00", models=("im-100",), released="2025-01-01")
    source = {"id": "old", "versions": "<5.32.00", "tested": "Q"}
    assert said(bundle(from_=[source]), [older]) == [("stranded-version", "error", "5.32.00 on im-100", "")]


# --- left behind intentionally ---

CLOSED = [bundle(version, released="2024-01-01", releases=[], from_=[]) for version in CLEAN["releases"][1:]]
BLOCK_EARLY = {"id": "KB-2", "versions": "5.30.02"}


def test_a_block_with_a_reason_and_no_way_round_says_who_is_left_behind_and_why():
    block = BLOCK_LAST | {"versions": ">=5.30.02", "link": "https://kb.example/1"}
    (finding,) = lint(bundle(block=[block]), at=AT, strict=True).findings
    assert finding.message == (
        "KB-1 blocks the update from 5.30.02, 5.32.00 to 5.40.00, and no other path is known: Bad. See https://kb.example/1"
    )


def test_who_is_left_behind_on_one_model_is_named_with_it():
    block = BLOCK_LAST | {"models": ["im-200"]}
    (finding,) = lint(bundle(block=[block]), at=AT).findings
    assert (finding.rule, "from 5.32.00 on im-200 to" in finding.message) == ("left-behind", True)
    (finding,) = lint(bundle(block=[block | {"models": list(MODELS)}]), at=AT).findings
    assert (finding.rule, "from 5.32.00 to" in finding.message) == ("left-behind", True)


def test_a_reason_says_not_directly_where_a_later_release_goes_on():
    """Only the way here is blocked then: that the way round is closed may be news to whoever wrote the reason."""
    with_reason = bundle(block=[BLOCK_EARLY | {"reason": "Bad."}])
    (finding,) = lint(with_reason, at=AT).findings
    assert (finding.rule, finding.subject, finding.entry) == ("detour-unknown", "5.30.02", "KB-2")
    assert "left behind intentionally, make KB-2 a [[dead-end]]" in finding.next
    (finding,) = lint(with_reason, CLOSED[2:], at=AT).findings
    assert (finding.rule, finding.subject, finding.entry) == ("stranded-version", "5.30.02", "KB-2")
    assert finding.next == (
        "Allow the update to 5.32.00, or declare an intermediate release in a [[stop]]; "
        "if it is left behind intentionally, make KB-2 a [[dead-end]] with a reason."
    )
    dead_end = bundle(dead_end=[BLOCK_EARLY | {"reason": "Bad."}])
    assert said(dead_end, CLOSED[2:]) == [("left-behind", "info", "", "KB-2")]


WITH_ANOTHER = {"releases": [*CLEAN["releases"][:3], "5.31.00", "5.32.00"]}
ADVICE = {
    "block": ({"block": [BLOCK_LAST | {"reason": ""}]}, "Give KB-1 a reason", {"block": [BLOCK_LAST]}),
    "block round which a stop leads": (
        {"block": [BLOCK_EARLY]},
        "in a [[stop]]",
        {"block": [BLOCK_EARLY | {"reason": "Bad."}], "stop": [{"id": "s", "versions": "5.30.02", "via": "5.31.00"}]},
    ),
    "dead end": (
        {"dead_end": [BLOCK_LAST | {"reason": ""}]},
        "Give KB-1 a reason",
        {"dead_end": [BLOCK_LAST]},
    ),
    "stop": (
        {"stop": [{"id": "s", "versions": "5.30.02", "via": "5.32.00"}]},
        "Choose another release in s",
        {"stop": [{"id": "s", "versions": "5.30.02", "via": "5.31.00"}]},
    ),
    "no source": (
        {"from_": [{"id": "old", "versions": "<5.32.00", "tested": "Q"}]},
        "Add a [[from]]",
        {},
    ),
    "withdrawn": (
        {"withdrawn": [{"id": "gone", "versions": "5.40.00", "reason": "Bad."}]},
        "Remove gone,",
        {},
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_the_advice_is_about_the_entry_that_decided_and_helps(name):
    changes, advice, mended = ADVICE[name]
    others = CLOSED[2:]
    stranded = [one for one in lint(bundle(**changes), others, at=AT).findings if one.rule == "stranded-version"]
    assert stranded
    assert all(advice in one.next for one in stranded)
    assert lint(bundle(**WITH_ANOTHER | mended), others, at=AT, strict=True).verdict == "accept"


# --- the table ---


def test_the_table_has_a_row_for_each_version_and_model():
    block = {"id": "KB-9", "versions": "5.32.00", "models": ["im-200"], "reason": "Bad."}
    rows = table(readable(bundle(block=[block]))).rows
    assert [(row.source, row.model) for row in rows] == [
        (version, model) for version in [*CLEAN["releases"], "5.40.00"] for model in ("im-100", "im-200")
    ]
    assert [row.decision for row in rows[-4:]] == ["upgrade", "blocked", "same-version", "same-version"]
    assert [row.tested for row in rows[-4:]] == ["QA-1", "", "", ""]


def test_the_table_says_what_only_a_state_could_answer_and_names_edges_that_are_not_listed():
    edge = {"id": "edge", "versions": "5.31.00", "unlisted": True}
    rows = table(readable(bundle(from_=[*CLEAN["from"], edge]))).rows
    assert [row.source for row in rows] == ["5.20.00", "5.20.03", "5.30.02", "5.31.00", "5.32.00", "5.40.00"]
    assert "the security counter" in rows[0].not_checked
    assert rows[-1].not_checked == ()


def test_without_a_list_the_table_has_every_version_that_is_named():
    source = {"id": "rolling", "versions": ">=5.20.00, <5.40.00", "unlisted": True}
    stop = {"id": "via", "versions": "<5.30.02", "via": "5.30.02"}
    rows = table(readable(bundle(releases=[], from_=[source], stop=[stop]))).rows
    assert [row.source for row in rows] == ["5.20.00", "5.30.02", "5.40.00"]


def test_a_rule_stops_when_it_has_said_enough(monkeypatch):
    monkeypatch.setattr("bundlekit.matrix.lint.MAX_FOUND", 3)
    versions = [f"5.{number}.00" for number in range(10, 20)]
    report = lint(manifest({"releases": versions, "from": [{"id": "a", "versions": "5.10.00"}]}), at="2026-12-01")
    assert [one.rule for one in report.findings].count("stranded-version") == 3
    assert report.not_run == {"stranded-version, after 3 findings": "further findings are not listed"}


def test_a_bundle_for_another_model_speaks_against_releases_all_the_same():
    other = bundle(
        "5.30.02",
        models=("im-200",),
        released="2025-01-01",
        dead_end=[{"id": "end", "versions": "5.20.00", "reason": "!"}],
    )
    closed = [one for one in CLOSED if one.version != "5.30.02"]
    found = lint(bundle(models=MODELS), [other, *closed], at=AT).findings
    stranded = {one.subject: one.message for one in found if one.rule == "stranded-version"}
    assert "5.20.00 is a dead end, according to 5.30.02." in stranded["5.20.00 on im-100"]


# --- releases, hotfixes and re-images ---

HOTFIX: dict[str, Any] = {"releases": ["5.20.00", "5.32.00", "5.32.01"]}
UP = {"id": "up", "versions": ">=5.32.00, <5.32.02", "tested": "Q"}
OLD_LINE = {"id": "old", "versions": "5.20.00", "reason": "Its line has a hotfix of its own."}
ON_HOTFIX: dict[str, Any] = {
    # what is wrong: changes, other bundles, and the errors of a hotfix; a release strands 5.20.00 as well
    "nothing": ({}, [], []),
    "the range was not bumped": ({"from_": [UP | {"versions": "<5.32.01"}]}, [], ["5.32.01"]),
    "the base is an exception": ({"from_": [UP | {"except": ["5.32.01"]}]}, [], ["5.32.01"]),
    "the base is not listed, and another bundle is it": (
        {"releases": ["5.20.00", "5.32.00"]},
        [{"version": "5.32.01"}],
        ["5.32.01"],
    ),
    "the base is not listed, and a range ends with it": (
        {"releases": ["5.20.00", "5.32.00"], "from_": [UP | {"versions": ">=5.32.00, <=5.32.01"}]},
        [],
        ["5.32.01"],
    ),
    "a fix gets lost": ({"includes": ["HF-2"]}, [{"version": "5.32.01", "includes": ["HF-1"]}], ["5.32.01"]),
    "the counter falls": ({}, [{"version": "5.32.01", "counter": 9}], ["5.32.01"]),
    "a version in the range is blocked without a reason": (
        {"block": [{"id": "KB", "versions": ">=5.32.00"}]},
        [],
        ["5.32.00", "5.32.01"],
    ),
    "the base is a dead end without a reason": ({"dead_end": [{"id": "KB", "versions": "5.32.01"}]}, [], ["5.32.01"]),
    "a stop leads to a release that cannot go on": (
        {
            "stop": [{"id": "s", "versions": "5.32.00", "via": "5.32.01"}],
            "block": [{"id": "KB", "versions": "5.32.01"}],
        },
        [],
        ["5.32.00", "5.32.01"],
    ),
}


@pytest.mark.parametrize("kind", ["release", "hotfix", "reimage"])
@pytest.mark.parametrize("case", ON_HOTFIX)
def test_who_is_stranded_by_each_kind_of_bundle(case, kind):
    changes, others, expected = ON_HOTFIX[case]
    made = bundle("5.32.02", kind=kind, **{"from_": [UP]} | HOTFIX | changes)
    given = [
        bundle(**{"released": "2025-01-01", "releases": [], "from_": [], "includes": [], "counter": 7} | other)
        for other in others
    ]
    report = lint(made, given, at=AT)
    stranded = [one.subject for one in report.findings if one.rule == "stranded-version"]
    exempted = [one for one in report.findings if one.rule == "exempted-version"]
    if kind == "reimage":
        assert stranded == []
        assert "for re-imaging, not for updates" in exempted[0].message
        return
    if kind == "hotfix":
        assert report.verdict == ("reject" if expected else "accept")
    if kind == "hotfix" or case != "the base is not listed, and a range ends with it":
        assert [one for one in stranded if one != "5.20.00"] == expected
    if kind == "hotfix":
        assert "5.20.00" not in stranded or case == "the range was not bumped"
        if changes.get("from_", [UP])[0]["versions"] != "<5.32.01":
            assert exempted[0].message.startswith("Upgrade paths from 5.20.00 were not evaluated")


def test_a_hotfix_asks_about_its_base_on_each_model():
    sources = [
        UP | {"id": f"for-{model}", "models": [model], "versions": versions}
        for model, versions in (("im-100", "5.32.01"), ("im-200", "5.32.00"))
    ]
    report = lint(bundle("5.32.02", kind="hotfix", models=MODELS, from_=sources, **HOTFIX), at=AT)
    stranded = [one.subject for one in report.findings if one.rule == "stranded-version"]
    assert stranded == ["5.32.01 on im-200"]


def test_what_a_hotfix_is_for_is_asked_after_where_its_line_is_not_listed():
    made = {"kind": "hotfix", "from_": [{"id": "up", "versions": "<5.40.01", "tested": "Q"}]}
    assert ("base-unknown", "warning", "5.40.01", "") in said(bundle("5.40.01", **made))
    assert "base-unknown" not in {rule for rule, *_ in said(bundle("5.32.01", **made))}


# --- what a strict lint needs ---


def test_a_strict_lint_is_incomplete_where_a_rule_that_refuses_was_not_run():
    assert lint(bundle(**KEYS), at=AT).verdict == "accept"
    assert lint(bundle(**KEYS), at=AT, strict=True).verdict == "incomplete"
    assert lint(bundle(**KEYS), at=AT, strict=True, signers=["release-2019"]).verdict == "accept"
    assert lint(bundle(), at=AT, strict=True, signers=["release-2019"]).verdict == "incomplete"
    assert lint(bundle(**KEYS, from_=[]), at=AT, strict=True).verdict == "reject"


def test_a_strict_lint_is_incomplete_where_another_matrix_cannot_be_read():
    broken = bundle("5.30.02", released="2024-01-01", block=[{"id": "KB", "versions": "oh no"}])
    assert lint(bundle(), [broken], at=AT).verdict == "accept"
    assert lint(bundle(), [broken], at=AT, strict=True).verdict == "incomplete"
    other = bundle("5.30.02", released="2024-01-01", product="other")
    assert lint(bundle(), [other], at=AT, strict=True).verdict == "accept"
