"""Mistakes in the files users write are named with their place, what is allowed there, and what is nearest."""

import datetime as dt
from typing import Any

import pytest

from bundlekit import config
from bundlekit.authoring.spec import Spec
from bundlekit.errors import ConfigError
from bundlekit.matrix.toml import matrix_from_toml
from bundlekit.model.appliance import Appliance
from bundlekit.model.manifest import Manifest

STATE: dict[str, Any] = {
    "schema": "bundlekit/state/1",
    "pair": "p",
    "product": "imager",
    "model": "im-100",
    "members": {"A": {"role": "active", "version": "1"}, "B": {"role": "standby", "version": "1"}},
}


def member(**changes):
    return STATE | {"members": STATE["members"] | {"B": STATE["members"]["B"] | changes}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (STATE | {"hodl": 1}, "S: unknown key 'hodl'; did you mean 'hold'?"),
        ({}, "S: the key 'schema' is missing"),
        (STATE | {"schema": "x"}, "S: at 'schema': 'x' is not one of bundlekit/state/1"),
        (member(verison="1"), "S: at 'members.B': unknown key 'verison'; did you mean 'version'?"),
        (member(role="passive"), "S: at 'members.B.role': 'passive' is not one of active, standby"),
        (member(free={"storage": "1 GiB"}), "S: at 'members.B.free.storage': expected int, got str"),
        (
            member(free={"Sto rage": 1}),
            "S: at 'members.B.free': the key 'Sto rage' must be 1 to 64 lower-case letters",
        ),
        (STATE | {"product": "im;ager"}, "S: at 'product': 'im;ager' must be 1 to 128 letters, digits, blanks"),
        (STATE | {"members": {}}, "S: at 'members': expected object of length >= 1"),
        (STATE | {"trusts": ["a", 1]}, "S: at 'trusts[1]': expected str, got int"),
        ([], "S: expected object, got array"),
        (STATE | {"includes": [], "a - at `$.includes[9]`": 1}, "S: unknown key 'a - at `$.includes[9]`'"),
        (STATE | {"a - at `$.members": 1}, "S: unknown key 'a - at `$.members'"),
        (STATE | {"schema": "x - at `$.includes[9]`"}, "S: at 'schema': 'x - at `$.includes[9]`' is not one of"),
        (STATE | {"a` - at `$.includes[9]": 1}, "S: at 'includes[9]': unknown key 'a'"),  # nobody can tell these apart
    ],
    ids=lambda value: value[3:40] if isinstance(value, str) else "",
)
def test_a_mistake_in_a_state(data, says):
    with pytest.raises(ConfigError) as caught:
        config.convert(data, Appliance, where="S")
    assert str(caught.value).startswith(says)


def test_a_mistake_deep_in_a_manifest():
    image = {"size": 1, "digest": "sha256:00", "index": "sha256:00"}
    data: dict[str, Any] = {
        "format": {"major": 1, "minor": 0},
        "kind": "release",
        "product": "p",
        "models": ["m"],
        "version": "1",
    }
    data |= {"scheme": "semver", "released": "2026-01-01", "counter": 0}
    data |= {"components": [{"name": "a", "version": "1", "images": [image]}]}
    with pytest.raises(ConfigError, match=r"at 'components\[0\]\.images\[0\]\.digest': 'sha256:00' must be algorithm"):
        config.convert(data, Manifest, where="M")


SPEC = {"spec": 1, "kind": "release", "product": "p", "models": ["m"], "version": "1", "scheme": "semver", "counter": 1}
SPEC |= {"released": dt.date(2026, 1, 1), "components": {"appliance": {"version": "1", "file": "x"}}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"released": "23.11.2026"}, "at 'released': '23.11.2026' is not a date, YYYY-MM-DD"),
        ({"released": 2026}, "at 'released': expected date, got int; write it as YYYY-MM-DD"),
        ({"requires": {"tool": 0.1}}, "at 'requires.tool': expected str, got float; write it in quotes"),
        ({"build": True}, "at 'build': expected str, got bool; write it in quotes"),
        ({"impact": {"minutes": "60"}}, "at 'impact.minutes': expected int, got str"),
        ({"documents": {"eula": 1}}, "at 'documents.eula': expected str | object, got int; write it in quotes"),
        ({"components": [1]}, "at 'components': expected object, got array"),
    ],
    ids=lambda value: value[4:40] if isinstance(value, str) else "",
)
def test_a_mistake_in_a_spec_is_said_in_the_words_of_toml(data, says):
    with pytest.raises(ConfigError) as caught:
        config.convert(SPEC | data, Spec, where="S", toml=True)
    assert str(caught.value) == f"S: {says}"


@pytest.mark.parametrize("table", ["from", "stop", "block", "withdrawn", "risk", "dead-end", "works-together", "skew"])
def test_one_bracket_where_there_have_to_be_two(table):
    with pytest.raises(ConfigError) as caught:
        matrix_from_toml({"matrix": 1, table: {"id": "x"}}, "M")
    assert (
        str(caught.value)
        == f"M: at '{table}': expected array, got object; write [[{table}]], because several are possible"
    )
    with pytest.raises(ConfigError, match=r"at 'releases': expected array, got object$"):
        matrix_from_toml({"matrix": 1, "releases": {}}, "M")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "invalid JSON"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is given twice"),
        ("[" * 10**6, "invalid JSON"),
    ],
)
def test_what_is_not_json(tmp_path, text, says):
    (tmp_path / "S").write_text(text)
    with pytest.raises(ConfigError, match=says):
        config.load_json(tmp_path / "S")
