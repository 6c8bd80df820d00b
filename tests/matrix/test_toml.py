"""matrix.toml: the pleasant shape becomes the matrix; a mistake is named with the key and its mend."""

import tomllib

import pytest

from bundlekit.errors import ConfigError
from bundlekit.matrix.toml import condition_from_toml, matrix_from_toml
from bundlekit.model.matrix import (
    Alias,
    Block,
    Condition,
    DeadEnd,
    DeclaredScheme,
    Matrix,
    MatrixSource,
    Risk,
    Skew,
    Stop,
    TrustedKeys,
    Withdrawn,
    WorksTogether,
)

RISK = "matrix = 1\n[[risk]]\nid = 'a'\n"

WHOLE = """
matrix   = 1
order    = "listed"
releases = ["5.20.00", "5.30.02"]
aliases  = { "5.2" = "5.20.00" }
trusted-keys = { "5.20.00" = ["release-2019"] }
[scheme]
forms = ["#.#.#"]
pre-releases = ["rc"]
[[from]]
id = "rolling"
versions = ">=5.20.00"
except = ["5.30.02"]
by-release = true
[[stop]]
id = "key"
versions = "*"
via = "5.30"
latest = true
when = { fact = "ha.state", is-not = "off" }
[[block]]
id = "KB"
versions = "5.30.02"
reason = "Why"
[[withdrawn]]
id = "W"
versions = "5.30.02"
[[risk]]
id = "Old"
when = { fact = "disk.firmware", below = "7.1" }
[[dead-end]]
id = "D"
versions = "5.20.00"
[[works-together]]
appliance = "*"
storage = ">=3.2.0"
[[works-together]]
id = "named"
reason = "Tried"
appliance = "*"
storage = ">=3.3.0"
[[skew]]
old = "*"
new = "*"
"""


def test_the_whole_shape():
    assert matrix_from_toml(tomllib.loads(WHOLE), "matrix.toml") == Matrix(
        order="listed",
        releases=("5.20.00", "5.30.02"),
        aliases=(Alias(alias="5.2", version="5.20.00"),),
        trusted_keys=(TrustedKeys(since="5.20.00", keys=("release-2019",)),),
        scheme=DeclaredScheme(forms=("#.#.#",), pre_releases=("rc",)),
        sources=(MatrixSource(id="rolling", versions=">=5.20.00", except_=("5.30.02",), by_release=True),),
        stops=(
            Stop(
                id="key",
                versions="*",
                via="5.30",
                latest=True,
                when=Condition(fact="ha.state", test="is-not", value="off"),
            ),
        ),
        blocks=(Block(id="KB", versions="5.30.02", reason="Why"),),
        withdrawn=(Withdrawn(id="W", versions="5.30.02"),),
        risks=(Risk(id="Old", when=Condition(fact="disk.firmware", test="below", value="7.1")),),
        dead_ends=(DeadEnd(id="D", versions="5.20.00"),),
        works_together=(
            WorksTogether(id="works-together-1", components={"appliance": "*", "storage": ">=3.2.0"}),
            WorksTogether(id="named", reason="Tried", components={"appliance": "*", "storage": ">=3.3.0"}),
        ),
        skews=(Skew(id="skew-1", old="*", new="*"),),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no 'matrix' key; a matrix begins with matrix = 1"),
        ("matrix = 2", "has matrix = 2; a matrix begins with matrix = 1"),
        ("matrix = 1\n[[stpo]]", "unknown key 'stpo'; did you mean 'stop'?"),
        ("matrix = 1\n[stop]\nid = 'a'", "at 'stop': it must be a list, not a table"),
        ("matrix = 1\nstop = ['a']", "at 'stop[0]': it must be a table, not text"),
        ("matrix = 1\nreleases = [5.2]", "at 'releases[0]': it must be text, not a number"),
        ("matrix = 1\n[[from]]\nid = 'a'", "at 'from[0]': the key 'versions' is missing"),
        (
            "matrix = 1\n[[stop]]\nid = 'a'\nversion = '1'",
            "at 'stop[0]': unknown key 'version'; did you mean 'versions'?",
        ),
        (
            "matrix = 1\n[[risk]]\nid = 'a'\nwhen = { fact = 'x', belwo = '1' }",
            "risk[0].when: unknown key 'belwo'; did you mean 'below'?",
        ),
        (
            "matrix = 1\n[[risk]]\nid = 'a'\nwhen = { fact = 'x' }",
            "risk[0].when: needs exactly one of is, is-not, below, at-least, and has 0",
        ),
        (RISK + "when = { fact = 'x', is = 'a', below = '1' }", "and has 2"),
        (RISK + "when = { is = 'a' }", "at 'risk[0].when': the key 'fact' is missing"),
        (
            "matrix = 1\n[[risk]]\nid = 'a'\nwhen = { fact = 'x', below = 7.10 }",
            "risk[0].when: write 7.1 in quotes, or 7.10 would be 7.1",
        ),
        ("matrix = 1\n[[works-together]]\nappliance = '*'", "at 'works-together[0].components'"),
        ("matrix = 1\n[scheme]\nforms = []", "at 'scheme.forms'"),
    ],
)
def test_a_mistake_is_named(text, message):
    with pytest.raises(ConfigError) as caught:
        matrix_from_toml(tomllib.loads(text), "matrix.toml")
    assert str(caught.value).startswith("matrix.toml: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "test", "limit"),
    [
        ("synchronised", "is", "synchronised"),
        ("= 3", "is", "3"),
        ("== 3", "is", "3"),
        ("!= failed", "is-not", "failed"),
        ("< 24 h", "below", "24 h"),
        (">= 7.1", "at-least", "7.1"),
        (True, "is", "true"),
        (3, "is", "3"),
    ],
)
def test_a_condition_in_one_string(value, test, limit):
    assert condition_from_toml("a.b", value, "SPEC.toml") == Condition(fact="a.b", test=test, value=limit)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("> 7.1", "begins with a sign that is not one of >=, !=, ==, <, ="),
        ("<= 7.1", "begins with a sign that is not one of >=, !=, ==, <, ="),
        (7.1, "write 7.1 in quotes"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        condition_from_toml("a.b", value, "SPEC.toml")
