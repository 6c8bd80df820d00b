"""Two matrices side by side: who gains, who loses, and that nobody loses by what only adds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.matrix.diff import diff
from bundlekit.report.matrix import diff_lines
from tests.matrix.test_lint import CLEAN, bundle
from tests.matrix.world import readable

BLOCK = {"id": "KB-1", "versions": "5.30.02", "reason": "Bad."}
STOP = {"id": "via", "versions": "<5.30.02", "via": "5.30.02"}
NEWER: dict[str, Any] = {"releases": [*CLEAN["releases"], "5.40.00"], "from_": [{"id": "all", "versions": ">=5.20.00"}]}


def compared(old, new):
    found = diff(readable(old), readable(new))
    changes = [(one.change, one.source, one.model, one.old.decision, one.new.decision) for one in found.changes]
    return changes, found.a_version_loses


@pytest.mark.parametrize(
    ("old", "new", "changes", "loses"),
    [
        ({}, {}, [], False),
        ({}, {"block": [BLOCK]}, [("loses", "5.30.02", "", "upgrade", "blocked")], True),
        ({"block": [BLOCK]}, {}, [("gains", "5.30.02", "", "blocked", "upgrade")], False),
        (
            {},
            {"stop": [STOP]},
            [("loses", v, "", "upgrade", "needs-stop") for v in ("5.20.00", "5.20.03")],
            True,
        ),
        (
            {"from_": [{"id": "new", "versions": ">=5.30.02"}]},
            {"from_": [{"id": "new", "versions": ">=5.30.02"}], "stop": [STOP]},
            [("gains", v, "", "unsupported-source", "needs-stop") for v in ("5.20.00", "5.20.03")],
            False,
        ),
        (
            {},
            {"block": [BLOCK | {"models": ["im-200"]}]},
            [("loses", "5.30.02", "im-200", "upgrade", "blocked")],
            True,
        ),
        (
            {"block": [BLOCK]},
            {"block": [BLOCK], "dead_end": [{"id": "end", "versions": "5.30.02"}]},
            [("differs", "5.30.02", "", "blocked", "dead-end")],
            False,
        ),
    ],
    ids=["same", "block", "unblock", "stop where it was direct", "stop where was nothing", "model", "other refusal"],
)
def test_who_gains_and_who_loses(old, new, changes, loses):
    assert compared(bundle(**old), bundle(**new)) == (changes, loses)


def test_a_new_release_that_does_not_take_the_old_one_makes_it_lose():
    old = bundle()
    changes, loses = compared(old, bundle("5.41.00", **NEWER))
    assert not loses
    changes, loses = compared(old, bundle("5.41.00", **NEWER | {"block": [BLOCK | {"versions": "5.40.00"}]}))
    assert loses
    assert "5.41.00" not in {change[1] for change in changes}  # the new release itself gains nothing
    assert ("loses", "5.40.00", "", "same-version", "blocked") in changes


def test_the_old_release_can_be_the_stop_on_the_way():
    newer = NEWER | {"from_": [{"id": "new", "versions": ">=5.32.00"}]}
    found = diff(readable(bundle()), readable(bundle("5.41.00", **newer)))
    ways = {one.source: (one.change, one.new.path, one.new.via) for one in found.changes}
    assert ways["5.20.00"] == ("loses", "via-stops", "5.40.00")
    assert "  loses    5.20.00: upgrade by rolling -> unsupported-source, through 5.40.00" in [
        line.text for line in diff_lines(found)
    ]


def test_the_old_release_is_no_stop_if_the_new_one_does_not_take_it():
    newer = NEWER | {"from_": [{"id": "new", "versions": "5.32.00"}]}
    found = diff(readable(bundle()), readable(bundle("5.41.00", **newer)))
    assert {one.new.path for one in found.changes if one.source == "5.20.00"} == {"none"}


def test_changes_are_in_the_order_of_versions():
    older = {"releases": ["5.10.00", "5.9.00"], "from_": [{"id": "all", "versions": "*"}]}
    for old, new in ((bundle(**older), bundle()), (bundle(), bundle(**older))):
        assert [source for _, source, *_ in compared(old, new)[0]] == ["5.9.00", "5.10.00", *CLEAN["releases"]]


def test_who_has_another_build_of_the_old_release_is_there_too():
    newer = NEWER | {"releases": [*CLEAN["releases"], "5.40.00-7"]}
    changes, _ = compared(bundle(), bundle("5.41.00", **newer))
    assert ("differs", "5.40.00-7", "", "same-version-other-build", "upgrade") in changes


def test_what_has_no_place_in_the_other_s_listed_order_has_no_way_there():
    old = {"order": "listed", "releases": ["5.20.00", "5.20.03"], "from_": [{"id": "a", "versions": "5.20.00"}]}
    new = {**old, "releases": [*old["releases"], "5.30.02"]}
    changes, loses = compared(bundle(**old), bundle(**new))
    assert changes == [("differs", "5.30.02", "", "unknown-version", "unsupported-source")]
    assert not loses


@given(st.sets(st.sampled_from(CLEAN["releases"])), st.sets(st.sampled_from(CLEAN["releases"])))
def test_more_blocks_never_gain_and_fewer_never_lose(some, others):
    def blocking(versions):
        return bundle(block=[{"id": f"KB-{version}", "versions": version, "reason": "Bad."} for version in versions])

    fewer, more = blocking(some), blocking(some | others)
    assert not compared(more, fewer)[1]
    assert all(change == "loses" for change, *_ in compared(fewer, more)[0])
