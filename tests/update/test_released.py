"""The release date and build that a component reports of itself: checked, written, and given to commands."""

import msgspec
import pytest

from bundlekit.model.appliance import InstalledComponent
from bundlekit.update.engine.hooks import REPORTED, Request
from bundlekit.update.engine.records import Answer
from bundlekit.update.inventory import _installed
from bundlekit.update.targets.command import environment, facts_of
from tests.update.target import job_for

KNOWN = InstalledComponent(version="5.40.00", build="1", released="2026-01-02")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, ("1", "2026-01-02")),
        ({"released": "2026-02-03"}, ("1", "2026-02-03")),
        ({"build": "1"}, ("1", "2026-01-02")),
        ({"build": "2"}, ("2", None)),
        ({"build": "2", "released": "2026-02-03"}, ("2", "2026-02-03")),
        ({"version": "5.41.00"}, (None, None)),
    ],
)
def test_the_older_state_counts_only_for_the_same_version_and_build(answer, expected):
    found = _installed(Answer(kind="ok", **{"version": "5.40.00", **answer}), KNOWN)
    assert (found["build"], found["released"]) == expected


@pytest.mark.parametrize("released", ["yesterday", "2026-13-01", "2026-11-32", "2026-11-23T00:00", ""])
def test_what_is_no_date_is_none(released):
    assert not REPORTED["released"].fullmatch(released)


def test_a_command_is_told_what_it_can_remember():
    target = msgspec.structs.replace(job_for().targets["active"], released="2026-11-23", build="0500212")
    request = Request(
        verb="apply", pair="p", step="active", run="r", fence=1, attempt=1, deadline=9, bundle_id="b", target=target
    )
    facts = facts_of(request)
    assert (facts["released"], facts["build"]) == ("2026-11-23", "0500212")
    assert environment(facts)["BUNDLEKIT_RELEASED"] == "2026-11-23"
