"""Declared schemes whose versions could compare wrongly without a word: in the right order, or refused."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.errors import VersionError
from bundlekit.matrix.decide import decide_from
from bundlekit.model.matrix import DeclaredScheme
from bundlekit.versions import scheme_named
from tests.versions.schemes import BUILDS, HEXADECIMAL, PADDED, WORDS


def declared(*forms, **more):
    return scheme_named("declared", DeclaredScheme(forms=forms, **more))


@pytest.mark.parametrize(
    ("scheme", "rising"),
    [
        (declared("0x%", "#"), "5 0x6 7 0xff 256 0x101"),
        (declared("0X%", "0x%", "#"), "9 0X0a 0xB 12"),
        (declared("v#.0x%", "v#.#"), "v1.9 v1.0xa v1.11 v2.0x0"),
        (declared("0x%.#", "#.#"), "9.1 0xa.0 10.1"),
        (declared("#.%"), "1.9 1.a 1.10 1.1f 1.20 2.0"),
        (declared("%", "0x%"), "9 a 0xb 10 0x11"),
        (declared("A%", "B#"), "A10 A1f B9 B10"),
        (declared("#.#", "#.#~#"), "1.1 1.2~1 1.2~2 1.2~10 1.2 1.3~1"),
        (declared("#.#", "#.#~#.#"), "1.2~1.9 1.2~1.10 1.2"),
        (declared("#.#", "#.#~#", "#.#~@#", pre_releases=("beta", "rc")), "1.2~9 1.2~beta1 1.2~rc1 1.2"),
        (declared("#.#", "#.#~v#", ignored=("v",)), "1.2~v1 1.2~v2 1.2"),
        (declared("#.#", "#.#~@", "#.#~*", pre_releases=("~",)), "1.2~a 1.2~B 1.2"),
        (declared("#@#"), "1a1 1B1 1b1 1C1"),
        (declared("#.#-*", "#.#", build="compared"), "1.2 1.2-9 1.2-0xa 1.2-11 1.2-0xff 1.2-256"),
        (declared("#!#.#"), "0!9.9 1!0.1"),
    ],
)
def test_versions_rise(scheme, rising):
    versions = [scheme.parse(text) for text in rising.split()]
    assert all(a < b and a != b for a, b in itertools.combinations(versions, 2)), versions


@pytest.mark.parametrize(
    ("scheme", "one", "other"),
    [
        (declared("0x%", "#"), "0x10", "16"),
        (declared("0x%", "#"), "0x000F", "015"),
        (declared("0x%", "0X%"), "0xaB", "0XAb"),
        (declared("#.#~#"), "1.2~01", "1.02~1"),
    ],
)
def test_versions_are_equal(scheme, one, other):
    a, b = scheme.parse(one), scheme.parse(other)
    assert a == b
    assert hash(a) == hash(b)


@pytest.mark.parametrize(
    ("forms", "more", "reason"),
    [
        (("#", "%"), {}, "The forms '#' and '%' have a decimal and a hexadecimal number at the same place"),
        (("%.#", "#.#"), {}, "The forms '%.#' and '#.#' have a decimal and a hexadecimal number at the same place"),
        (("#.#(%)", "#.#.#"), {}, "decimal and a hexadecimal"),
        (("%", "10"), {}, "decimal and a hexadecimal"),
        (("v%", "#"), {"ignored": ("v",)}, "decimal and a hexadecimal"),
        (("@.%", "#"), {"ignored": ("v",)}, "decimal and a hexadecimal"),
        (("#x%", "#"), {}, "reads 0x1f as the number 0 and the number 1f"),
        (("#.#~*", "#.#"), {}, "'~' makes what follows older, and '*' has no position in that order"),
        (("#.#~beta#",), {}, "'~' makes what follows older, and 'beta' has no position in that order"),
        (("#.#~foo",), {}, "'~' makes what follows older, and 'foo' has no position in that order"),
        (("#.#~",), {}, "'~' makes what follows older, and nothing follows"),
        (("#.#~#",), {"ignored": ("~",)}, "ignores '~', which makes what follows it older"),
        (("#.#-rc#",), {}, "has 'rc', which pre-releases does not list, so it would be newer"),
        (("#.#beta",), {"pre_releases": ("rc",)}, "has 'beta', which pre-releases does not list"),
        (("#.#-RC#",), {"pre_releases": ("rc",)}, "has 'RC', and the scheme lists 'rc'"),
        (("V#.#",), {"ignored": ("v",)}, "has 'V', and the scheme lists 'v'"),
        (("#!#.#", "#.#"), {}, "The form '#.#' has no epoch"),
    ],
)
def test_a_declaration_that_would_compare_wrongly_is_refused(forms, more, reason):
    with pytest.raises(VersionError) as caught:
        declared(*forms, **more)
    assert reason in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("scheme", "text", "reason"),
    [
        (declared("#.#~@#", pre_releases=("rc",)), "1.2~foo1", "its word 'foo' follows '~', and pre-releases does not"),
        (
            declared("#.#-@#", pre_releases=("rc",)),
            "1.2-RC1",
            "its word 'RC' differs from 'rc' of the scheme only in case",
        ),
        (declared("@#.#", ignored=("v",)), "V1.2", "its word 'V' differs from 'v' of the scheme only in case"),
        (declared("#.#-*", build="compared"), "1.2-5~rc1", "its build has '~', and builds are compared"),
    ],
)
def test_a_version_whose_place_would_be_a_guess_is_refused(scheme, text, reason):
    with pytest.raises(VersionError) as caught:
        scheme.parse(text)
    assert reason in str(caught.value)


def test_a_hexadecimal_version_is_no_older_than_a_smaller_decimal_one(manifest):
    built = manifest(version="5", scheme="declared", forms=("0x%", "#"))
    assert decide_from(built, "0xff").kind == "downgrade"
    assert decide_from(built, "0x4").kind == "upgrade"


def test_what_follows_a_tilde_is_no_upgrade(manifest):
    built = manifest(version="1.2~1", scheme="declared", forms=("#.#", "#.#~#"))
    assert decide_from(built, "1.2").kind == "downgrade"


@pytest.mark.parametrize("forms", [("#", "%"), ("#.#~foo", "5"), ("#-rc#", "5")])
def test_a_matrix_with_such_a_scheme_decides_nothing(manifest, forms):
    assert decide_from(manifest(version="5", scheme="declared", forms=forms), "4").kind == "undecided"


@pytest.fixture
def manifest():
    from bundlekit.model.manifest import Component, FormatVersion, Image, Manifest
    from bundlekit.model.matrix import Matrix, MatrixSource

    def build(*, version, scheme, forms):
        digest = "sha256:" + "0" * 64
        image = Image(size=0, chunk_size=2**20, index=digest, digest=digest)
        return Manifest(
            format=FormatVersion(major=1, minor=0),
            kind="release",
            product="p",
            models=("m",),
            version=version,
            scheme=scheme,
            released="2026-01-01",
            counter=0,
            components=(Component(name="appliance", version=version, images=(image,)),),
            matrix=Matrix(
                scheme=DeclaredScheme(forms=forms),
                sources=(MatrixSource(id="any", versions="*", unlisted=True),),
            ),
        )

    return build


FORM = st.lists(st.sampled_from(["#", "%", "@", ".", "-", "~", "!", "rc", "v", "0x%", "x"]), min_size=1, max_size=5)
PIECES = {"#": PADDED, "%": HEXADECIMAL, "@": WORDS, "*": BUILDS, "0x%": HEXADECIMAL.map("0x".__add__)}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_declaration_that_is_taken_orders_its_versions(data):
    """Of any declaration: refused, or a total order in which numbers with 0x are what they are."""
    forms = data.draw(st.lists(FORM, min_size=1, max_size=3))
    marks = st.lists(st.sampled_from(["rc", "v", "~", "a"]), max_size=2, unique=True)
    try:
        scheme = declared(*map("".join, forms), pre_releases=tuple(data.draw(marks)), ignored=tuple(data.draw(marks)))
    except VersionError:
        return
    versions = []
    for _ in range(3):
        form = data.draw(st.sampled_from(forms))
        text = "".join(data.draw(PIECES.get(piece, st.just(piece))) for piece in form)
        try:
            versions.append(scheme.parse(text))
        except VersionError:
            return
    a, b, c = versions
    assert [a < b, a == b, a > b].count(True) == 1
    assert (a < b) == (b > a)
    assert not (a <= b <= c) or a <= c
    assert a != b or hash(a) == hash(b)
    assert scheme.parse(str(a)) == a
    for one in versions:
        if "~" in str(one) and "~" not in scheme.basis.ignored:
            assert one.is_prerelease or one.key[0][0][0] == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_numbers_compare_by_value_however_they_are_written(one, other):
    scheme = declared("0x%", "#")
    a, b = scheme.parse(hex(one)), scheme.parse(str(other))
    assert ((a < b), (a == b)) == ((one < other), (one == other))
    assert a.numbers == (one,)
