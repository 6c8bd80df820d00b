"""Schemes that tests share: each with a strategy that writes versions which fit it."""

from hypothesis import strategies as st

from bundlekit.model.matrix import DeclaredScheme
from bundlekit.versions import scheme_named

DECLARED = {
    "cisco-nxos": DeclaredScheme(forms=("#.#(#)", "#.#(#)@#(#)")),
    "cisco-aci": DeclaredScheme(forms=("#.#(#@)", "#.#(#.#)", "#.#(#.#@)")),
    "palo-alto": DeclaredScheme(forms=("#.#.#", "#.#.#-h#")),
    "juniper": DeclaredScheme(forms=("#.#@#", "#.#@#-S#", "#.#@#.#")),
    "balena": DeclaredScheme(forms=("#.#.#", "#.#.#+rev#")),
    "openshift": DeclaredScheme(forms=("#.#.#", "#.#.#-@.#"), pre_releases=("ec", "fc", "rc")),
    "rke2": DeclaredScheme(forms=("v#.#.#+rke2r#", "#.#.#+rke2r#"), ignored=("v",)),
    "dell": DeclaredScheme(forms=("#@#@",)),
    "oneview": DeclaredScheme(forms=("#.#.#", "#.#.#-*")),
    "oneview, build compared": DeclaredScheme(forms=("#.#.#", "#.#.#-*"), build="compared"),
    "fwupd": DeclaredScheme(
        forms=("#.#.#", "#.#.#.#", "#.#.#@", "#.#@.#", "#.#.#~rc#", "@"),
        pre_releases=("rc",),
    ),
    "fwupd-hex": DeclaredScheme(forms=("0x%",)),
}

SCHEMES = {name: scheme_named(name) for name in ("pep440", "semver", "dotted")} | {
    name: scheme_named("declared", declared) for name, declared in DECLARED.items()
}

NUMBERS = st.one_of(st.integers(0, 3), st.integers(0, 10**12)).map(str)
PADDED = st.builds(lambda zeros, number: "0" * zeros + number, st.integers(0, 2), NUMBERS)
WORDS = st.sampled_from(["a", "b", "R", "S", "ec", "fc", "rc", "rev", "alpha"])
HEXADECIMAL = st.text("0123456789abcdefABCDEF", min_size=1, max_size=8)
BUILDS = st.text("019ab.-", min_size=1, max_size=6)


def written_as(form):
    """Versions of a form of a declared scheme."""
    pieces = {"#": PADDED, "@": WORDS, "%": HEXADECIMAL, "*": BUILDS}
    return st.tuples(*(pieces.get(place, st.just(place)) for place in form)).map("".join)


def semver():
    core = st.lists(NUMBERS, min_size=3, max_size=3).map(".".join)
    identifiers = st.lists(st.one_of(NUMBERS, WORDS, st.just("x-1")), min_size=1, max_size=3).map(".".join)
    optional = st.one_of(st.just(""), identifiers)
    return st.builds(
        lambda core, pre, build: core + (f"-{pre}" if pre else "") + (f"+{build}" if build else ""),
        core,
        optional,
        optional,
    )


def dotted():
    numbers = st.lists(PADDED, min_size=1, max_size=4).map(".".join)
    return st.builds("{}{}{}".format, st.sampled_from(["", "v"]), numbers, st.sampled_from(["", "-1", "-0500184"]))


def pep440():
    numbers = st.lists(NUMBERS, min_size=1, max_size=3).map(".".join)
    return st.builds("{}{}".format, numbers, st.sampled_from(["", "a1", "rc2", ".post1", ".dev3", "+local.1"]))


WRITTEN = {"pep440": pep440(), "semver": semver(), "dotted": dotted()} | {
    name: st.one_of([written_as(form) for form in declared.forms]) for name, declared in DECLARED.items()
}
WRITTEN = {name: texts.filter(lambda text: len(text) <= 64) for name, texts in WRITTEN.items()}
