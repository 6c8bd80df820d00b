"""Mistakes in the files users write are named with their place, what is allowed there, and what is nearest."""

import datetime as dt
from typing import Annotated, Any

import msgspec
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
        (member(free={"storage": "1 GiB"}), "S: at 'members.B.free.storage': it must be a whole number, not text"),
        (
            member(free={"Sto rage": 1}),
            "S: at 'members.B.free': the key 'Sto rage' must be 1 to 64 lower-case letters",
        ),
        (STATE | {"product": "im;ager"}, "S: at 'product': 'im;ager' must be 1 to 128 letters, digits, blanks"),
        (STATE | {"members": {}}, "S: at 'members': it must have at least 1 key"),
        (STATE | {"trusts": ["a", 1]}, "S: at 'trusts[1]': it must be text, not a whole number"),
        ([], "S: it must be an object, not a list"),
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
        ({"released": 2026}, "at 'released': it must be a date, not a whole number; write it as YYYY-MM-DD"),
        ({"requires": {"tool": 0.1}}, "at 'requires.tool': it must be text, not a number; write it in quotes"),
        ({"build": True}, "at 'build': it must be text, not true or false; write it in quotes"),
        ({"impact": {"minutes": "60"}}, "at 'impact.minutes': it must be a whole number, not text"),
        (
            {"documents": {"eula": 1}},
            "at 'documents.eula': it must be text or a table, not a whole number; write it in quotes",
        ),
        ({"components": [1]}, "at 'components': it must be a table, not a list"),
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
        == f"M: at '{table}': it must be a list, not a table; write [[{table}]], because several are possible"
    )
    with pytest.raises(ConfigError, match=r"at 'releases': it must be a list, not a table$"):
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


class Everything(msgspec.Struct):
    """A field of each kind that a file of ours has."""

    whole: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    number: Annotated[float, msgspec.Meta(gt=0, lt=9)] = 1
    text: Annotated[str, msgspec.Meta(min_length=2, max_length=3)] = "ab"
    named: Annotated[str, msgspec.Meta(pattern="^a$")] = "a"
    flag: bool = False
    day: dt.date | None = None
    some: Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)] = []
    table: Annotated[dict[str, int], msgspec.Meta(min_length=1, max_length=1)] = {}
    keys: dict[Annotated[str, msgspec.Meta(max_length=1)], int] = {}
    pair: tuple[int, int] = (1, 2)
    either: int | str = 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"whole": 0}, "it must be at least 1"),
        ({"whole": 10}, "it must be at most 9"),
        ({"whole": 1.5}, "it must be a whole number, not a number"),
        ({"number": 0}, "it must be more than 0.0"),
        ({"number": 9}, "it must be less than 9.0"),
        ({"text": "a"}, "it must have at least 2 characters"),
        ({"text": "abcd"}, "it must have at most 3 characters"),
        ({"named": "b"}, "'b' must be of another form"),
        ({"flag": "yes"}, "it must be true or false, not text"),
        ({"day": 1}, "it must be a date or null, not a whole number"),
        ({"some": []}, "it must have at least 1 item"),
        ({"some": [1, 2, 3]}, "it must have at most 2 items"),
        ({"some": None}, "it must be a list, not null"),
        ({"table": {}}, "it must have at least 1 key"),
        ({"keys": {"ab": 1}}, "the key 'ab' must have at most 1 character"),
        ({"pair": [1]}, "it must have 2 items, not 1"),
        ({"either": []}, "it must be a whole number or text, not a list"),
    ],
)
def test_what_the_library_reports_is_said_in_plain_words(data, words):
    with pytest.raises(ConfigError) as caught:
        config.convert(data, Everything, where="S")
    assert str(caught.value) == f"S: at {next(iter(data))!r}: {words}"


@pytest.mark.parametrize("load", [config.load_json, config.load_toml])
@pytest.mark.parametrize(
    ("data", "words"), [(b"\n\xff", "not UTF-8 (byte 0xff at"), (b"a=" + b"[" * 9999, "nested too deeply|brackets")]
)
def test_bytes_that_are_no_file_are_described_in_plain_words(tmp_path, load, data, words):
    (tmp_path / "S").write_bytes(data if load is config.load_toml else data.removeprefix(b"a="))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "S")
    assert any(word in str(caught.value) for word in words.split("|")), caught.value
