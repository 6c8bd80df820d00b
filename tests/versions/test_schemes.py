"""What each scheme makes of versions that real vendors use, and what it refuses."""

import itertools
import json
import os
import re
from pathlib import Path

import pytest

from bundlekit.errors import VersionError
from bundlekit.model.matrix import DeclaredScheme
from bundlekit.versions import in_listed_order, parse_range, release_prefix, scheme_named
from tests.versions.schemes import DECLARED, SCHEMES

SHARED = Path(os.environ.get("BUNDLEKIT_SHARED", Path(__file__).parents[3] / "shared"))
PAIRS = SHARED / "data" / "upgrade-paths" / "version-order-pairs.jsonl"

# The names in the shared file, and the scheme that such a vendor would declare.
VENDORS = {
    "cisco-aci": "cisco-aci",
    "fwupd-unknown": "fwupd",
    "fwupd-hex": "fwupd-hex",
    "dotted": "dotted",
    "dotted-v": "dotted",
    "plain": "dell",
    "hpe-oneview (suffix is a build id)": "dotted",
    "balena": "balena",
    "rke2 (build suffix numeric)": "rke2",
}


@pytest.mark.parametrize(
    ("scheme", "rising"),
    [
        ("dotted", "5.2 5.2.0 5.9 5.10 5.10.50.00 6"),
        ("dotted", "6.3 6.3.0 6.30.00"),
        ("semver", "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0"),
        ("pep440", "1.0.dev1 1.0a1 1.0rc1 1.0 1.0.post1 1!0.1"),
        ("cisco-nxos", "7.0(2)I9(9) 7.0(3) 7.0(3)I4(8) 7.0(3)I7(9) 7.0(3)I7(10) 9.2(1)"),
        ("cisco-aci", "5.2(1f) 5.2(7e) 5.2(7f) 5.2(7.90a) 5.2(7.123) 5.2(7.123a) 15.2(7f)"),
        ("palo-alto", "10.1.9 10.1.9-h1 10.1.9-h3 10.1.10 10.2.0"),
        ("juniper", "12.3R9 12.3R12 12.3R12-S2 12.3R12-S15 20.5R1"),
        ("balena", "2.88.4 2.88.4+rev1 2.88.4+rev10 2.88.5"),
        ("openshift", "4.12.0-ec.5 4.12.0-fc.0 4.12.0-rc.1 4.12.0 4.12.1-rc.0"),
        ("rke2", "1.21.3+rke2r2 v1.21.3+rke2r10 v1.22.0+rke2r1"),
        ("dell", "47RA906H 47RA906J 47RB100A"),
        ("oneview, build compared", "9.20.00 9.20.00-0500184 9.20.00-0500200 9.20.01"),
        ("fwupd", "alpha beta 1.2.3~rc1 1.2.3 1.2.3a 1.2.3b 1.2.3.1 1.2.4"),
    ],
)
def test_versions_rise(scheme, rising):
    versions = [SCHEMES[scheme].parse(text) for text in rising.split()]
    assert all(a < b for a, b in itertools.pairwise(versions)), versions


@pytest.mark.parametrize(
    ("scheme", "one", "other"),
    [
        ("dotted", "5.02.000", "5.2.0"),
        ("dotted", "v1.5.0", "1.5.0"),
        ("dotted", "9.20.00", "9.20.00-0500184"),
        ("semver", "1.0.0+a", "1.0.0+b"),
        ("pep440", "1.0", "1.0.0"),
        ("rke2", "v1.21.3+rke2r10", "1.21.3+rke2r10"),
        ("oneview", "9.20.00", "9.20.00-0500184"),
        ("fwupd-hex", "0x00000002", "0x2"),
        ("cisco-aci", "5.2(7f)", "05.2(07f)"),
    ],
)
def test_versions_are_equal(scheme, one, other):
    a, b = SCHEMES[scheme].parse(one), SCHEMES[scheme].parse(other)
    assert a == b
    assert hash(a) == hash(b)
    assert (str(a), str(b)) == (one, other)


@pytest.mark.parametrize(
    ("scheme", "text", "reason"),
    [
        ("dotted", "", "it is empty"),
        ("dotted", "5.40.x", "its part 3, 'x', is not a number"),
        ("dotted", "5..1", "its part 2, '', is not a number"),
        ("dotted", "5.10.50.00A00", "its part 4, '00A00', is not a number"),
        ("dotted", "5.40.00-", "a build must follow '-'"),
        ("dotted", "1" * 65, "it has 65 characters, and 64 is the limit"),
        ("dotted", "1" * 300, "it has 300 characters, and 64 is the limit"),
        ("dotted", "5.40.00\n", "it has a character that is not allowed in versions"),
        ("dotted", "\N{ARABIC-INDIC DIGIT FIVE}.4", "it has a character that is not allowed in versions"),
        ("dotted", "-5", "it begins with punctuation"),
        ("semver", "1", "it has 1 part instead of major.minor.patch"),
        ("semver", "1.0", "it has 2 parts instead of major.minor.patch"),
        ("semver", "1.2.3.4", "it has 4 parts instead of major.minor.patch"),
        ("semver", "1.02.3", "its number '02' is padded with a zero"),
        ("semver", "1.2.3-01", "its number '01' is padded with a zero"),
        ("semver", "1.2.3-", "its identifier '' is empty or not of letters, digits and hyphens"),
        ("semver", "1.2.3-a..b", "its identifier '' is empty or not of letters, digits and hyphens"),
        ("semver", "1.2.3+", "its identifier '' is empty or not of letters, digits and hyphens"),
        ("semver", "v1.2.3", "its part 'v1' is not a number"),
        ("pep440", "7.0(3)I7(9)", "this form is not valid in PEP 440"),
        ("pep440", "47RA906J", "this form is not valid in PEP 440"),
        ("cisco-aci", "5.2(7f", "it matches none of the forms #.#(#@), #.#(#.#), #.#(#.#@)"),
        ("cisco-aci", "5.2(7f)x", "it matches none of the forms #.#(#@), #.#(#.#), #.#(#.#@)"),
        ("palo-alto", "10.1.9-c1", "it matches none of the forms #.#.#, #.#.#-h#"),
        ("fwupd-hex", "0xfg", "it matches none of the forms 0x%"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(scheme, text, reason):
    with pytest.raises(VersionError) as caught:
        SCHEMES[scheme].parse(text)
    assert str(caught.value).endswith(f"of the scheme {SCHEMES[scheme].name}: {reason}.")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (DeclaredScheme(forms=("##",)), "does not define where '#' ends and '#' begins"),
        (DeclaredScheme(forms=("#1",)), "does not define where '#' ends and '1' begins"),
        (DeclaredScheme(forms=("@R#",)), "does not define where '@' ends and 'R' begins"),
        (DeclaredScheme(forms=("%@",)), "does not define where '%' ends and '@' begins"),
        (DeclaredScheme(forms=("#-*.#",)), "does not define where '*' ends and '.' begins"),
        (DeclaredScheme(forms=("#",), pre_releases=("rc",), ignored=("rc",)), "both ignores and compares 'rc'"),
        (None, "does not declare one"),
    ],
)
def test_a_declaration_that_leaves_a_choice_is_refused(declared, reason):
    with pytest.raises(VersionError, match=re.escape(reason)):
        scheme_named("declared", declared)


def test_a_scheme_that_does_not_exist_is_refused():
    with pytest.raises(VersionError, match="There is no version scheme 'loose'"):
        scheme_named("loose")


def test_versions_of_two_schemes_are_unequal_and_have_no_order():
    a, b = SCHEMES["dotted"].parse("1.2.3"), SCHEMES["semver"].parse("1.2.3")
    assert a != b
    with pytest.raises(TypeError, match="follow different schemes"):
        assert a < b


def test_the_same_declaration_is_the_same_scheme():
    again = scheme_named("declared", DECLARED["juniper"])
    assert again.parse("12.3R12") == SCHEMES["juniper"].parse("12.3R12")


def test_punctuation_tells_apart_what_is_equal_otherwise():
    scheme = scheme_named("declared", DeclaredScheme(forms=("#.#.#", "#.#-#")))
    assert scheme.parse("1.2-3") != scheme.parse("1.2.3")


def test_releases_can_follow_one_another_as_listed():
    scheme = in_listed_order(SCHEMES["dotted"], ["36.1", "38.1", "37.2"])
    assert scheme.parse("38.1") < scheme.parse("37.2")
    assert scheme.parse("38.01") == scheme.parse("38.1")
    with pytest.raises(VersionError, match="this one is not listed"):
        scheme.parse("37.1")


def test_a_listed_release_candidate_is_one():
    scheme = in_listed_order(SCHEMES["semver"], ["9.0.0", "10.0.0-rc.1", "10.0.0"])
    assert [scheme.parse(text).begins_with((10,)) for text in ("10.0.0-rc.1", "10.0.0")] == [False, True]


@pytest.mark.parametrize(
    ("scheme", "text", "numbers", "reached"),
    [
        ("dotted", "17.3.7", (17, 3), True),
        ("dotted", "17.30", (17, 3), False),
        ("semver", "10.0.0-rc.1", (10, 0), False),
        ("pep440", "10.0rc1", (10, 0), False),
        ("openshift", "4.12.0-fc.0", (4, 12), False),
        ("openshift", "4.12.0", (4, 12), True),
    ],
)
def test_a_release_candidate_has_not_reached_its_release(scheme, text, numbers, reached):
    assert SCHEMES[scheme].parse(text).begins_with(numbers) is reached


@pytest.mark.parametrize("text", ["", "17.", "a", "17.3-1", "1" * 65])
def test_what_is_no_beginning_of_release_numbers_is_refused(text):
    with pytest.raises(VersionError, match="is not the beginning of release numbers"):
        release_prefix(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The range '' lacks a version at character 1."),
        (">=5.30.02, <", "The range '>=5.30.02, <' lacks a version at character 13."),
        (">=1,, <2", "The range '>=1,, <2' lacks a version at character 5."),
        (">=1.5 <3.0", "The range '>=1.5 <3.0' lacks a comma between two comparisons after character 3."),
        (">=1, <= x1", "The range '>=1, <= x1' is wrong at character 9: 'x1' is not a version"),
        ("*, !=2", "The range '*, !=2' is wrong at character 1: '*' is not a version"),
        ("=>1", "The range '=>1' is wrong at character 2: '>1' is not a version"),
        ("~1.2", "The range '~1.2' is wrong at character 1: '~1.2' is not a version"),
    ],
)
def test_a_wrong_range_is_refused_at_its_position(text, message):
    with pytest.raises(VersionError) as caught:
        parse_range(text, SCHEMES["dotted"].parse)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=5.30.02, <5.40.00", "5.30.02 5.39.99", "5.30.01 5.40.00"),
        ("5.32.00", "5.32.00 5.32.0-77", "5.32.01"),
        ("==5.32.00", "5.32.00", "5.32.01"),
        ("!=5.32.00", "5.32.01", "5.32.00"),
        ("*", "0 5.32.00", ""),
    ],
)
def test_ranges_contain(text, inside, outside):
    parse = SCHEMES["dotted"].parse
    versions = parse_range(text, parse)
    assert all(parse(version) in versions for version in inside.split())
    assert not any(parse(version) in versions for version in outside.split())


def test_a_range_of_one_version_says_which():
    parse = SCHEMES["dotted"].parse
    assert [parse_range(text, parse).exact for text in ("5.32.00", "=5.32", "*", "!=5", ">=5, <=5", "5, 6")] == [
        parse("5.32.00"),
        parse("5.32"),
        *[None] * 4,
    ]


@pytest.mark.parametrize(
    ("text", "empty"),
    [(">2, <1", True), (">1, <1", True), (">=1, <=1", False), (">=1, <=1, !=1", True), ("1, 2", True), (">1", False)],
)
def test_a_range_that_nothing_can_fit_is_empty(text, empty):
    assert parse_range(text, SCHEMES["dotted"].parse).is_empty is empty


@pytest.mark.skipif(not PAIRS.exists(), reason="the shared upgrade-path data are not here")
def test_pairs_of_real_versions_are_in_their_known_order():
    rows = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    assert rows
    for row in rows:
        parse = SCHEMES[VENDORS[row["scheme"]]].parse
        a, b = parse(row["a"]), parse(row["b"])
        assert {"<": a < b, "=": a == b, ">": a > b}[row["cmp"]], row
