"""A release in between is a way only for versions that can verify its bundle."""

import pytest

from bundlekit.matrix.lint import lint
from bundlekit.matrix.path import find_path
from bundlekit.matrix.shipped import SignedBy, SignedManifest
from tests.matrix.candidates import candidate
from tests.matrix.world import component, manifest

AT = "2026-12-01"
KEYS = {"5.20.00": ["k19"], "5.30.00": ["k19", "k27"]}
TARGET = {"from": [{"id": "new", "versions": "5.30.00", "tested": "Q"}], "trusted-keys": KEYS}
BETWEEN = {"from": [{"id": "up", "versions": "5.20.00", "tested": "Q"}], "trusted-keys": KEYS}
STOP = {"stop": [{"id": "key", "versions": "<5.30.00", "via": "5.30.00", "reason": "The key."}]}


def bundle(version, matrix, *, released="2026-11-23"):
    keys = {"releases": ["5.20.00", "5.30.00"], "aliases": {}, "works-together": []} | matrix
    return manifest(
        keys, version=version, components=(component("appliance", version),), released=released, includes=()
    )


def between(signers, matrix=BETWEEN):
    signers = None if signers is None else frozenset(signers)
    return SignedManifest(manifest=bundle("5.30.00", matrix, released="2026-01-01"), by=SignedBy(signers=signers))


def errors(report):
    return [(one.rule, one.subject) for one in report.findings if one.severity == "error"]


@pytest.mark.parametrize("matrix", [TARGET, TARGET | STOP], ids=["by a bundle", "by a stop"])
def test_a_version_that_cannot_verify_the_release_in_between_is_stranded(matrix):
    target = bundle("5.40.00", matrix)
    assert errors(lint(target, [between(["k19"])], at=AT, signers=["k27"], strict=True)) == []
    report = lint(target, [between(["k27"])], at=AT, signers=["k27"])
    assert errors(report) == [("stranded-version", "5.20.00")]
    assert (
        "The bundle of 5.30.00 cannot be verified there: 5.20.00 trusts k19, but the bundle is signed by k27"
        in report.findings[0].message
    )
    assert "Sign the bundle of 5.30.00" in report.findings[0].next


@pytest.mark.parametrize("of", ["target", "between"])
def test_one_matrix_that_states_the_keys_is_enough(of):
    silent = {"trusted-keys": {}}
    target = bundle("5.40.00", TARGET | (silent if of == "between" else {}))
    middle = between(["k27"], BETWEEN | (silent if of == "target" else {}))
    assert errors(lint(target, [middle], at=AT, signers=["k27"])) == [("stranded-version", "5.20.00")]


def test_a_strict_lint_is_incomplete_where_the_signers_in_between_are_not_known():
    target = bundle("5.40.00", TARGET)
    for others in ([between(None)], [between(None).manifest]):
        report = lint(target, others, at=AT, signers=["k27"], strict=True)
        assert report.verdict == "incomplete"
        assert "which keys sign this bundle" in report.not_run["stranded-version, through 5.30.00"]
    borrowed = lint(target, [between(None, BETWEEN | {"trusted-keys": {}})], at=AT, signers=["k27"], strict=True)
    assert (borrowed.verdict, list(borrowed.not_run)) == ("accept", ["stranded-version, through 5.30.00"])
    assert lint(target, [between(["k19"])], at=AT, signers=["k27"], strict=True).verdict == "accept"


def test_a_pair_that_the_bundle_in_between_leaves_cannot_verify_either():
    """A state after a failure is decided as a whole pair, and by the same keys."""
    storage = {"works-together": [{"id": "w", "appliance": "*", "storage": "*"}]}
    parts = (component("appliance", "5.30.00"), component("storage", "3.3.0"))
    middle = manifest(
        {"releases": ["5.20.00"], "aliases": {}} | BETWEEN | storage,
        version="5.30.00",
        components=parts,
        released="2026-01-01",
        includes=(),
    )
    oldest = manifest(
        {"releases": ["5.10.00"], "aliases": {}, "from": [{"id": "o", "versions": "5.10.00"}]} | storage,
        version="5.20.00",
        components=(component("appliance", "5.20.00"), component("storage", "3.2.0")),
        released="2025-01-01",
        includes=(),
    )
    target = bundle("5.40.00", TARGET)
    for signers, expected in ((["k19"], []), (["k27"], [("stranded-version", "5.20.00")])):
        others = [oldest, SignedManifest(manifest=middle, by=SignedBy(signers=frozenset(signers)))]
        assert errors(lint(target, others, at=AT, signers=["k27"])) == expected


@pytest.mark.parametrize("of", ["5.40.00", "5.30.00", "both"])
def test_a_path_does_not_lead_through_a_release_that_cannot_be_verified(of):
    def candidates(signed_by):
        for version, matrix in (("5.30.00", BETWEEN), ("5.40.00", TARGET)):
            keys = matrix if of in (version, "both") else matrix | {"trusted-keys": {}}
            signers = signed_by if version == "5.30.00" else ("k27",)
            yield candidate(version, {"releases": ["5.20.00", "5.30.00"]} | keys, signed_by=signers)

    assert [hop.to for hop in find_path(list(candidates(("k19",))), "5.20.00", "5.40.00").hops] == [
        "5.30.00",
        "5.40.00",
    ]
    refused = find_path(list(candidates(("k27",))), "5.20.00", "5.40.00")
    assert not refused.found
    assert "cannot-verify" in {one.kind for one in refused.obstacles}
