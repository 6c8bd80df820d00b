"""A refusal on an unknown or unsupported version names the nearest known releases, and few of them."""

import json

import pytest

from bundlekit.matrix import nearby
from bundlekit.matrix.decide import decide_from
from tests.matrix.world import manifest, readable

TRUST = ("--trust", "keys/root.pem")
RELEASES = ["5.10.00", "5.20.03", "5.20.10", "5.30.02", "5.32.00", "5.36.01", "5.40.00"]
MATRIX = f"""
releases = {RELEASES}
[[from]]
id = "five"
versions = ">=5.20.10"
[[from]]
id = "im-200"
versions = "5.20.03"
models = ["im-200"]
"""
OLDER, NEWER = "5.32.00 (older), 5.30.02 (older)", "5.36.01 (newer) and 5.40.00 (newer)"


@pytest.fixture
def bundle(ship):
    return ship("5.40.00", MATRIX, models=["im-100", "im-200"])


def messages(result):
    report = json.loads(result.out)
    assert result.code == 1, result
    return {finding["rule"]: finding["message"] for finding in report["findings"]}


@pytest.mark.parametrize(
    ("version", "rule", "said"),
    [
        ("5.33.00", "unknown-version", f"The nearest known releases are {OLDER}, {NEWER}."),
        ("5.30.20", "unknown-version", "Did you mean 5.30.02? The nearest"),
        ("5.30.02x", "unreadable-version", "Did you mean 5.30.02?"),
        ("4.0.00", "unknown-version", "The nearest known releases are 5.10.00 (newer) and 5.20.03 (newer)."),
        ("5.10.00", "unsupported-source", "The nearest supported releases are 5.20.10 (newer) and 5.30.02 (newer)."),
    ],
)
def test_the_nearest_are_named(cli, bundle, version, rule, said):
    result = cli("check", bundle, *TRUST, "--from", version, "--format", "json")
    assert said in messages(result)[rule], result.out


def test_of_a_pair_its_model_counts(cli, bundle, state):
    path = state("5.10.00", model="im-200")
    result = cli("check", bundle, *TRUST, "--appliance", path, "--format", "json")
    assert (
        "nearest supported releases are 5.20.03 (newer) and 5.20.10 (newer)." in messages(result)["unsupported-source"]
    )


def test_a_version_without_a_place_in_the_order_has_similar_ones_only(cli, ship):
    matrix = 'order = "listed"\n' + MATRIX.replace('">=5.20.10"', '"5.20.10"')
    result = cli(
        "check", ship("5.40.00", matrix, models=["im-100", "im-200"]), *TRUST, "--from", "5.30.20", "--format", "json"
    )
    (message,) = messages(result).values()
    assert "Did you mean 5.30.02" in message
    assert "nearest" not in message


def test_they_are_few_however_many_releases_and_versions_there_are(monkeypatch):
    compared = set()
    monkeypatch.setattr(nearby, "alike", lambda one, text: compared.add(text))
    releases = [f"1.{number}.0" for number in range(900)]
    read = readable(manifest({"releases": releases, "from": [{"id": "one", "versions": "1.0.0"}]}))
    near = nearby.Neighbours(read, lambda _version, _model: True)
    decisions = [near.named(decide_from(read.manifest, f"1.{number}.5", matrix=read)) for number in range(200)]
    assert all(decision.kind == "unknown-version" for decision in decisions)
    assert len(compared) <= nearby.MAX_COMPARED
    assert max(decision.overall.message.count("er)") for decision in decisions) == 2 * nearby.EACH_SIDE


@pytest.mark.parametrize(
    ("known", "typed", "is_alike"),
    [
        ("5.30.02", "5.30.2", True),
        ("5.30.02", "5.30", True),
        ("5.30.02", "5.3.02", True),
        ("5.30.02", "5.330.02", True),
        ("5.30.02", "5.03.02", True),
        ("5.30.02", "5,30.02", True),
        ("5.30.02-RC1", "5.30.02-rc1", True),
        ("5.30.02", "5.31.02", False),
        ("5.30.02", "5", False),
        ("5.30.02", "6.1.0", False),
        ("5.30.02", "5.31.03", False),
    ],
)
def test_what_one_slip_makes_of_a_version_is_alike(known, typed, is_alike):
    assert (nearby.alike(known, typed), nearby.alike(typed, known)) == (is_alike, is_alike)


def test_a_blocked_release_is_not_a_supported_one(cli, ship):
    block = '[[block]]\nid = "power"\nversions = "5.20.10"\nreason = "It loses its power state."\n'
    bundle = ship("5.40.00", MATRIX + block, models=["im-100", "im-200"])
    result = cli("check", bundle, *TRUST, "--from", "5.10.00", "--format", "json")
    said = "The nearest supported releases are 5.30.02 (newer) and 5.32.00 (newer)."
    assert said in messages(result)["unsupported-source"]


def test_no_more_versions_are_decided_than_necessary(monkeypatch):
    releases = [f"1.{number}.0" for number in range(1, 60)]
    made = manifest({"releases": releases, "from": [{"id": "f", "versions": ">=1.5.0, <2.0.0"}]})
    decided = []
    near = nearby.Neighbours(readable(made), lambda version, _model: bool(decided.append(version)))
    monkeypatch.setattr(nearby, "MAX_DECIDED", 7)
    for version in ("1.1.0", "1.2.0"):
        assert "nearest supported" not in near.named(decide_from(made, version)).overall.message
    assert len(decided) == 7
