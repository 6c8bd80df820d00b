"""Sweeps over a bundle of 16 KiB: no truncation and no flipped bit leaves the verdict at accept.

Each changed bundle is judged from the beginning, signatures and all; only the trust store is loaded once.
"""

import random

import pytest

from fixtures import forge

GOOD = forge.good()
AREA = forge.section(GOOD, "signatures")
SIGNED = forge.signature(GOOD)
SAMPLE = random.Random(20261123)  # noqa: S311 - the same sample in every run
PAYLOAD = sorted(SAMPLE.sample(range(AREA.stop, len(GOOD)), 160))
PARTS = 32  # so that a failure says roughly where, and workers can share the load
BOUNDS = {at for item in forge.judge(GOOD).coverage.map for at in (item.span.start, item.span.stop)}
EDGES = sorted({at + step for at in BOUNDS for step in (-2, -1, 0, 1)} & set(range(len(GOOD))))
"""The bytes on both sides of where each part of the file begins and ends: a mistake by one is most likely there."""


def accepted(changed):
    """Those of ``changed`` (what was done, the bytes) that are still accepted."""
    return [what for what, data in changed if forge.judge(data).verdict == "accept"]


def part(places, number):
    """One of the parts of ``places``, each a sample of all of them, and the same in every run."""
    mixed = list(places)
    random.Random(len(mixed)).shuffle(mixed)  # noqa: S311 - no secret
    return mixed[number::PARTS]


def parts(run):
    """Parts of every kind of change, ``run`` of them in each run of the tests, the others in a sweep."""
    numbers = [pytest.param(number, marks=pytest.mark.sweep if number >= run else ()) for number in range(PARTS)]
    return pytest.mark.parametrize("number", numbers)


def test_the_bundle_is_small_and_good():
    assert len(GOOD) <= 16 * 1024
    assert forge.judge(GOOD).verdict == "accept"


def test_no_change_at_the_edge_of_a_part_is_accepted():
    assert len(EDGES) > 30
    assert accepted((at, GOOD[:at]) for at in EDGES) == []
    assert accepted((at, forge.flip(GOOD, at)) for at in EDGES) == []


@pytest.mark.exhaustive
@parts(1)
def test_no_truncation_is_accepted(number):
    assert accepted((size, GOOD[:size]) for size in part(range(len(GOOD)), number)) == []


@parts(1)
def test_no_flipped_byte_of_head_and_signature_area_is_accepted(number):
    """One bit of each byte, another one in each row of eight."""
    places = part(range(AREA.stop), number)
    assert accepted((at, forge.flip(GOOD, at, 1 << (at * 5 + at // 8) % 8)) for at in places) == []


def test_no_flipped_byte_of_a_sample_of_the_payload_is_accepted():
    assert accepted((at, forge.flip(GOOD, at, SAMPLE.choice([1, 2, 4, 8, 16, 32, 64, 128]))) for at in PAYLOAD) == []


@parts(4)
def test_no_byte_of_the_signature_can_have_another_value(number):
    """All bits at once, which no single flip shows."""
    places = part(range(AREA.start, SIGNED.stop), number)
    assert accepted((at, forge.flip(GOOD, at, 0xFF)) for at in places) == []


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["signer", "pinned"])
@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_anywhere_is_accepted(name, bit):
    data = forge.good(name)
    assert accepted((at, forge.flip(data, at, 1 << bit)) for at in range(len(data))) == []


@parts(8)
def test_no_byte_taken_out_or_put_in_is_accepted(number):
    places = part(range(0, len(GOOD), 64), number)
    assert accepted((at, GOOD[:at] + GOOD[at + 1 :]) for at in places) == []
    assert accepted((at, GOOD[:at] + b"\0" + GOOD[at:]) for at in places) == []
