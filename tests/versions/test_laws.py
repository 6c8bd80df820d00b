"""The laws of versions, for every scheme: total order, equality as the hashes say, spelling kept."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.errors import VersionError
from bundlekit.versions import parse_range
from tests.versions.schemes import SCHEMES, WRITTEN


def every_scheme(law):
    return pytest.mark.parametrize("name", SCHEMES)(settings(max_examples=25, deadline=None)(law))


@every_scheme
@given(st.data())
def test_order_is_total(name, data):
    a, b, c = (SCHEMES[name].parse(data.draw(WRITTEN[name])) for _ in range(3))
    assert [a < b, a == b, a > b].count(True) == 1
    assert (a < b) == (b > a)
    assert (a <= b) == (a < b or a == b) == (not a > b)
    assert not (a <= b <= c) or a <= c
    assert (a == b) != (a != b)


@every_scheme
@given(st.data())
def test_equal_versions_have_equal_hashes_and_each_its_spelling(name, data):
    text = data.draw(WRITTEN[name])
    a, again, other = (SCHEMES[name].parse(spelled) for spelled in (text, text, data.draw(WRITTEN[name])))
    assert str(a) == text
    assert a == again
    assert hash(a) == hash(again)
    assert a != other or hash(a) == hash(other)


@pytest.mark.parametrize("scheme", ["dotted", "semver", "pep440"])
def test_nobody_can_write_versions_whose_hashes_collide(scheme):
    # Python hashes numbers modulo this; 1 and 1 + MODULUS are one hash.
    versions = [SCHEMES[scheme].parse(f"5.{1 + k * sys.hash_info.modulus}.0") for k in range(100)]
    assert len(set(map(hash, versions))) == 100


@every_scheme
@given(st.data())
def test_a_pre_release_comes_before_its_release_and_both_bear_its_numbers(name, data):
    a = SCHEMES[name].parse(data.draw(WRITTEN[name]))
    assert a.is_prerelease == (a < a.as_release)
    assert not a.as_release.is_prerelease
    assert a.begins_with(a.numbers) == (not a.is_prerelease)


@every_scheme
@given(st.data())
def test_releases_of_ordered_versions_are_ordered(name, data):
    a, b = sorted(SCHEMES[name].parse(data.draw(WRITTEN[name])) for _ in range(2))
    assert a.as_release <= b.as_release


@every_scheme
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_a_reason(name, text):
    try:
        version = SCHEMES[name].parse(text)
    except VersionError as error:
        said = error
    else:
        assert str(version) == text
        return
    assert f"of the scheme {SCHEMES[name].name}: " in str(said)
    assert str(said).isprintable()
    assert said.next_step


@every_scheme
@given(st.data())
def test_ranges_mean_what_their_signs_say(name, data):
    a, b = (SCHEMES[name].parse(data.draw(WRITTEN[name])) for _ in range(2))
    for sign, fits in {">=": a >= b, "<=": a <= b, ">": a > b, "<": a < b, "!=": a != b, "": a == b}.items():
        assert (a in parse_range(f"{sign}{b}", SCHEMES[name].parse)) == fits


@every_scheme
@given(st.data())
def test_the_first_of_a_range_is_what_a_plain_search_finds(name, data):
    parse = SCHEMES[name].parse
    rising = sorted({parse(text) for text in data.draw(st.lists(WRITTEN[name], max_size=8))})
    texts = [data.draw(WRITTEN[name]) for _ in range(2)]
    signs = data.draw(st.tuples(*[st.sampled_from([">=", "<=", ">", "<", "!=", "=="])] * 2))
    versions = parse_range(", ".join(map("".join, zip(signs, texts, strict=True))), parse)
    without = set(rising[::3])
    after = parse(texts[0]) if data.draw(st.booleans()) else None
    plain = (v for v in rising if v in versions and v not in without and (after is None or v > after))
    assert versions.first_of(rising, after=after, without=without) == next(plain, None)
    assert not versions.is_empty or not any(v in versions for v in rising)
