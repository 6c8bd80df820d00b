"""Laws that hold for any bytes: a report comes out, it can be shown safely, and only the good bundle is accepted."""

import json
import re
from functools import cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bundlekit import pipeline
from bundlekit.errors import UnreadableError
from bundlekit.layout import canonical
from bundlekit.model.appliance import Appliance
from bundlekit.report import json as as_json
from bundlekit.report import text as as_text
from bundlekit.schemas import schema
from fixtures import forge

GOOD = forge.good()
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
DOCUMENT = msgspec.to_builtins(forge.MANIFEST)


@cache
def report_schema():
    return Draft202012Validator(schema("report"))


def judged(data, ask=None):
    """The report about ``data``, after everything that has to hold for any report was asserted."""
    report = forge.judge(data, ask)
    rendered = as_json.render(report)
    report_schema().validate(json.loads(rendered))
    assert rendered.isascii()
    assert not CONTROL.search(rendered)
    assert not [line for line in as_text.lines(report) if CONTROL.search(line.text)]
    assert (report.verdict == "reject") == any(finding.severity == "error" for finding in report.findings)
    assert report.coverage.covered <= report.coverage.size == len(data)
    assert sum(item.span.size for item in report.coverage.map) == len(data)
    return report


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    assert judged(data).verdict == "reject"


@given(st.binary(max_size=64), st.integers(0, 40))
def test_any_bytes_behind_a_good_beginning_are_not_accepted(data, kept):
    assert judged(GOOD[:kept] + data).verdict != "accept"


PLACE = st.integers(0, len(GOOD))
EDITS = st.one_of(
    st.tuples(st.just("put"), PLACE, st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("delete"), PLACE, PLACE),
    st.tuples(st.just("copy"), PLACE, PLACE),
)


def edit(data, kind, at, what):
    match kind:
        case "put":
            return data[:at] + what + data[at + len(what) :]
        case "insert":
            return data[:at] + what + data[at:]
        case "delete":
            return data[: min(at, what)] + data[max(at, what) :]
        case _:  # some bytes of the bundle over some others
            return forge.put(data, at, GOOD[what : what + 512])


@pytest.mark.exhaustive
@settings(max_examples=150)
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_whatever_is_done_to_a_bundle_it_is_accepted_only_if_nothing_was(edits):
    data = GOOD
    for one in edits:
        data = edit(data, *one)
    assert (judged(data).verdict == "accept") == (data == GOOD)


TEXTS = st.text(max_size=20) | st.sampled_from(["*", ">=5.0, <6.0", "5.30.02", "dotted", "declared", "5.40.00", ">="])
VALUES = st.recursive(
    st.integers(0, 2**53 - 1) | st.booleans() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdefgm-", min_size=1), inner, max_size=3),
    max_leaves=6,
)


def places(value, at=()):
    """The path to each value in a document."""
    yield at
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*at, key))


def with_value(document, at, value):
    """A copy of ``document`` with another value in one place."""
    if not at:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[at[0]] = with_value(copy[at[0]], at[1:], value)
    return copy


@pytest.mark.exhaustive
@settings(max_examples=150)
@given(
    st.sampled_from(list(places(DOCUMENT))[1:]),
    VALUES,
    st.lists(TEXTS, max_size=2).map(tuple),
)
def test_whatever_is_signed_a_report_comes_of_it(at, value, sources):
    data = forge.write(text=canonical.encode(with_value(DOCUMENT, at, value)))
    judged(data, forge.Ask(sources=sources))


VERSIONS = st.sampled_from(["5.20.00", "5.32.00", "5.40.00", "5.41.00", "4.1", "5.30.02-7", "v5.2", "1!2", "x"])
COUNTERS = st.none() | st.sampled_from([0, 6, 7, 8, 2**53 - 1])


@st.composite
def states(draw):
    members = {
        name: {"role": role, "version": draw(VERSIONS), "counter": draw(COUNTERS)}
        for name, role in (("SN1", "active"), ("SN2", "standby"))[: draw(st.integers(1, 2))]
    }
    state = {
        "schema": "bundlekit/state/1",
        "pair": "rack-7",
        "product": draw(st.sampled_from(["imager", "other"])),
        "model": draw(st.sampled_from(["im-100", "im-200"])),
        "members": members,
        "components": {"storage": {"version": draw(VERSIONS)}} if draw(st.booleans()) else {},
        "counter": draw(COUNTERS),
        "hold": draw(st.none() | st.just("storage failed")),
    }
    return msgspec.convert(state, Appliance)


@pytest.mark.exhaustive
@settings(max_examples=100)
@given(states())
def test_whatever_is_installed_a_report_comes_of_it(state):
    report = judged(GOOD, forge.Ask(appliance=state))
    assert report.verdict != "accept" or state.product == "imager"
    assert judged(GOOD, forge.Ask(appliance=state)) == report


@given(st.integers(0, len(GOOD)), st.integers(0, 2**53))
def test_a_head_of_any_length_is_judged_or_too_short(held, size):
    try:
        report = pipeline.preflight(GOOD[:held], size=size, trust=forge.trust())
    except UnreadableError as error:
        assert held < forge.section(GOOD, "signatures").stop
        assert error.next_step  # noqa: PT017 - it is only raised sometimes
    else:
        assert report.verdict != "accept" or size == len(GOOD)
