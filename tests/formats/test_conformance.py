"""What holds for every format, without a word in its own tests: these run for each one that is registered."""

import json
import random

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bundlekit
from bundlekit import formats
from bundlekit.checks.layout import NO_MANIFEST
from bundlekit.integrity.decoding import decoded
from bundlekit.layout import foreign
from bundlekit.model.bundle import ArchiveClaim
from bundlekit.schemas import schema
from bundlekit.source import BytesSource
from fixtures import format_reports, make_keys
from tests.formats.complete import COMPLETE, SPOILED_RULES
from tests.formats.conformance import (
    AT,
    FOLDER,
    LINE_ENDS,
    NAMES,
    SAMPLES,
    SPOILED,
    check,
    good,
    sample_of,
    spoiled_files,
)
from tests.turning import Turning

pytestmark = pytest.mark.usefixtures("_toys")
each = pytest.mark.parametrize(("name", "sample"), SAMPLES)
each_format = pytest.mark.parametrize("name", NAMES)
each_of_ours = pytest.mark.parametrize("name", COMPLETE)
MASKS = (0x01, 0x80)
PARTS = 16


def faults(report):
    return [(one.rule, one.where) for one in report.findings]


def free(report):
    """The bytes of a bundle that can be others: those that mean nothing, and the text of Intel HEX."""
    spans = [one.span for one in report.coverage.map if one.by in {"framing", "decoded"} and not one.span.stream]
    return {at for span in spans for at in range(span.start, span.stop)}


def decodes_alike(old, new):
    """Whether two bundles of one size differ only in how a compressed archive is coded, such as in its unused bits."""
    archives = [one for one in formats.read(BytesSource(old)).claims if isinstance(one, ArchiveClaim)]
    same = {one.span: b"".join(decoded(old[one.span.start : one.span.stop], one.compression)) for one in archives}
    for one in archives:
        start, stop = one.span.start, one.span.stop
        if b"".join(decoded(new[start:stop], one.compression)) != same[one.span]:
            return False
        new = new[:start] + old[start:stop] + new[stop:]
    return new == old


def claims(report):
    """What a report states of the bundle, except what its free bytes state, such as the state of a slot."""
    release = report.release
    return report.id, release.product, release.version, release.models, release.counter, release.parts


# --- good samples ---


@each
def test_a_sample_is_accepted_and_every_byte_is_covered(name, sample):
    data = good(name)[sample]
    report = check(name, data, strict=True)
    assert (report.verdict, report.findings, report.format) == ("accept", (), name)
    covered = {at for one in report.coverage.map if not one.span.stream for at in range(one.span.start, one.span.stop)}
    assert covered == set(range(len(data)))
    assert {one.standing for one in report.signatures} == {"counted"}


@each
def test_a_rule_about_the_manifest_has_that_aspect(name, sample):
    """Without ``aspect="manifest"`` it applies to formats that have none, and is not run for a reason that is none."""
    report = check(name, good(name)[sample])
    assert [one.rule for one in report.rules if one.reason == NO_MANIFEST.reason] == [], "give these rules an aspect"


@each
def test_without_trust_nothing_is_accepted(name, sample):
    report = bundlekit.check(BytesSource(good(name)[sample]), at=AT)
    assert report.verdict == "incomplete"
    assert {one.standing for one in report.signatures} == {"not-checked"}


@each_of_ours
def test_a_key_counts_only_for_the_formats_of_its_signer(name, tmp_path):
    text = (FOLDER / name / "trust.toml").read_text().replace("../../keys", str(make_keys.KEYS))
    (tmp_path / "trust.toml").write_text(text.replace(f'"{name}"', '"rauc"' if name != "rauc" else '"esp"'))
    store = bundlekit.load_trust([tmp_path / "trust.toml"])
    for data in good(name).values():
        assert {rule for rule, _ in faults(check(name, data, store))} == {"out-of-scope"}


REPORTS = [sample_of(name, file.name) for name in COMPLETE for file in format_reports.reported(name)]


@pytest.mark.parametrize(("name", "sample"), REPORTS)
def test_the_report_about_a_sample_is_the_golden_one(name, sample):
    sample = FOLDER / name / sample
    stored = json.loads(sample.with_name(f"{sample.name}.json").read_bytes())
    made = json.loads(format_reports.report(sample))
    advice = f"look at what `python -m fixtures.format_reports {name}` changes in git"
    assert rules(made) == rules(stored), f"rules differ; {advice}"
    assert made == stored, advice
    jsonschema.validate(stored, schema("report"))


def rules(report):
    """The outcome of each rule, which shows at once what a change of the rules did."""
    return {one["rule"]: (one["outcome"], one.get("reason", "")) for one in report["rules"]}


@each_of_ours
def test_a_format_has_golden_samples(name):
    assert good(name)


# --- spoiled ones ---


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "case"), SPOILED)
def test_a_spoiled_file_is_rejected_by_the_right_rule(name, case):
    data = case.make()
    report = check(name, data)
    assert report.verdict == "reject"
    assert case.rule in {rule for rule, _ in faults(report)}
    assert case.where is None or (case.rule, case.where(data)) in faults(report)


@each_format
def test_the_spoiled_files_have_names_and_several_rules(name):
    cases = spoiled_files(name)
    file = f"fixtures/spoil_{name}.py"
    assert len({one.name for one in cases}) == len(cases), f"{file}: two spoiled files have the same name"
    assert len({one.rule for one in cases}) >= SPOILED_RULES, f"{file}: break at least {SPOILED_RULES} different rules"


# --- any change ---


def changed(data, at, mask=1):
    """The bytes with some other bits at one place."""
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def edges(data):
    """Where parts of a bundle begin and end."""
    sections = formats.read(BytesSource(data)).sections
    found = {edge for one in sections if not one.span.stream for edge in (one.span.start, one.span.stop)}
    return {at for edge in found for at in (edge - 1, edge, edge + 1) if 0 <= at < len(data)}


def some(data, count):
    """Some places, the same ones in every run, and all edges."""
    pick = random.Random(len(data))  # noqa: S311 - no secret
    return sorted(edges(data) | set(pick.sample(range(len(data)), min(count, len(data)))))


def accepted_cuts(name, sample, sizes):
    data = good(name)[sample]
    whole = range(len(data) - LINE_ENDS.get(sample, 0), len(data))
    return [size for size in sizes if size not in whole and check(name, data[:size]).verdict == "accept"]


@pytest.mark.exhaustive
@each
def test_no_truncation_of_a_sample_is_accepted(name, sample):
    data = good(name)[sample]
    assert accepted_cuts(name, sample, {0, 1, len(data) - 1, *some(data, 30)}) == []


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@each
def test_no_truncation_is_accepted(name, sample, part):
    assert accepted_cuts(name, sample, range(part, len(good(name)[sample]), PARTS)) == []


def accepted_flips(name, sample, places):
    """The flips that are accepted, except those of bytes that are free, and of bits that decode to the same."""
    data = good(name)[sample]
    others = sorted(set(places) - free(check(name, data)))
    flips = [(at, mask) for at in others for mask in MASKS]
    found = [flip for flip in flips if check(name, changed(data, *flip)).verdict == "accept"]
    return [flip for flip in found if not decodes_alike(data, changed(data, *flip))]


@pytest.mark.exhaustive
@each
def test_no_flipped_bit_of_some_bytes_is_accepted(name, sample):
    assert accepted_flips(name, sample, some(good(name)[sample], 30)) == []


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@each
def test_no_flipped_bit_is_accepted(name, sample, part):
    assert accepted_flips(name, sample, range(part, len(good(name)[sample]), PARTS)) == []


@each_format
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_change_of_a_sample_gives_a_report(name, data):
    """It is accepted only if what it states is the same, and only free bytes differ."""
    sample = data.draw(st.sampled_from(sorted(good(name))))
    old = good(name)[sample]
    start = data.draw(st.integers(0, len(old)))
    stop = min(start + data.draw(st.integers(0, 40)), len(old))
    new = data.draw(st.binary(max_size=40) | st.just(old[start:stop] * 2) | st.just(bytes(stop - start)))
    made = old[:start] + new + old[stop:]
    report = check(name, made)
    if made == old or report.verdict != "accept":
        return
    truth = check(name, old)
    assert claims(report) == claims(truth)
    if sample not in LINE_ENDS and not decodes_alike(old, made):
        assert {at for at in range(len(old)) if old[at] != made[at]} <= free(truth)
        assert len(made) == len(old)


@each_format
@given(start=st.integers(1, 200), data=st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_after_the_beginning_of_a_sample_give_a_report(name, start, data):
    first = next(iter(good(name).values()))
    assert check(name, first[:start] + data).verdict != "accept"


# --- files that change ---


def reads(data):
    """What is read of a file while it is parsed."""
    source = Turning(data, data, 0)
    formats.read(formats.once(source))
    return source.reads


@each
def test_what_was_parsed_is_what_is_verified(name, sample):
    """The file is rewritten during the check: after each read, with a change of some of the bytes that are read."""
    data = good(name)[sample]
    truth = check(name, data).release
    pick = random.Random(len(data))  # noqa: S311 - the same places in every run
    places = sorted({pick.randrange(at, at + size) for at, size in reads(data) if size})
    for at in pick.sample(places, min(len(places), 12)):
        other = changed(data, at)
        for first, then in ((data, other), (other, data)):
            for after in range(1, len(reads(first)) + 1):
                source = Turning(first, then, after)
                report = check(name, source)
                assert source.turned
                assert report.verdict != "accept" or report.release == truth, (at, after)


@each
def test_a_sample_is_recognised_as_its_format_alone(name, sample):
    seen = foreign.view(BytesSource(good(name)[sample]))
    assert [one for one in NAMES if foreign.KINDS[one].matches(seen)] == [name]
