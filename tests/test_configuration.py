"""Any bytes in any configuration file, up to its schema and what is behind it: values, or one bounded sentence."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundlekit.authoring import advisory, spec
from bundlekit.authoring.advisory import ADVISORY_EXAMPLE
from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE
from bundlekit.checks.waivers import load_waivers
from bundlekit.cli.common import load_appliances
from bundlekit.errors import BundlekitError, ConfigError, TrustError
from bundlekit.fleet.fleet_file import load_fleet
from bundlekit.matrix.graph.cincinnati import load_graph
from bundlekit.trust import load_trust
from bundlekit.trust.policy import EXAMPLE as TRUST_EXAMPLE
from bundlekit.update.engine.plan import load_plan
from tests.fleet.test_fleet_file import FLEET_EXAMPLE
from tests.update.test_plan import EXAMPLE as PLAN_EXAMPLE

WAIVERS_EXAMPLE = """\
waivers = 1
[[waive]]
rule   = "no-expiry"
reason = "KB-1"
until  = 2027-01-01
"""
STATE_EXAMPLE = json.dumps(
    {
        "schema": "bundlekit/state/1",
        "pair": "one",
        "product": "imager",
        "model": "im-100",
        "members": {"A": {"role": "active", "version": "5.30.02", "released": "2025-01-01"}},
        "components": {"storage": {"version": "3.3.0", "free": {"storage": 5}}},
        "facts": {"a.b": {"value": "x", "at": "2026-01-01T00:00:00Z", "by": "x"}},
        "counter": 6,
    }
)
GRAPH_EXAMPLE = json.dumps(
    {
        "version": 1,
        "nodes": [{"version": "1.0.0", "payload": "p"}, {"version": "1.1.0", "payload": "q", "metadata": {"a": "b"}}],
        "edges": [[0, 1]],
        "conditionalEdges": [
            {"edges": [{"from": "1.0.0", "to": "1.1.0"}], "risks": [{"url": "u", "name": "R", "message": "m"}]}
        ],
    }
)


def matrix(path):
    path.with_name("SPEC.toml").write_text(re.sub("(?m)^matrix .*", f'matrix = "{path.name}"', SPEC_EXAMPLE))
    return spec.load_manifest(path.with_name("SPEC.toml"))


FILES = {
    "spec": (SPEC_EXAMPLE, spec.load),
    "spec without images": (SPEC_EXAMPLE, spec.load_manifest),
    "matrix": (MATRIX_EXAMPLE, matrix),
    "trust.toml": (TRUST_EXAMPLE, load_trust),
    "plan": (PLAN_EXAMPLE, load_plan),
    "fleet": (FLEET_EXAMPLE, load_fleet),
    "waivers": (WAIVERS_EXAMPLE, load_waivers),
    "advisory": (ADVISORY_EXAMPLE, advisory.load),
    "state": (STATE_EXAMPLE, load_appliances),
    "states": (f"{STATE_EXAMPLE}\n{STATE_EXAMPLE.replace('one', 'two')}\n", load_appliances),
    "graph": (GRAPH_EXAMPLE, load_graph),
}
LONGEST = 6000
"""Characters of an error. A value of a file is repeated in part."""

HUGE = "x" * 200_000
PIECES = [
    b'"""', b"'''", b"[", b"]", b"{", b"}", b"\\", b"\x00", b"\xff", b"=", b"#", b"\n", b'"', b"1" * 99,
    b"-1", b"1e400", b"nan",
    b"inf", b"true", b'""', b"[]", b"{}", b"null", b"1979-05-27", b"9223372036854775808", b'"\\u0000"',
    b'"/dev/zero"', b'"."', b'".."',
    b'"\\ud800"', b"[[[[]]]]", b'"99999999999 days"', b'">=1, <2, !3"', HUGE.encode(), f'"{HUGE}"'.encode(),
    b"[" + b'"x", ' * 20_000 + b"]", b"0x7fffffffffffffffffff",
]  # fmt: skip


def total(load, path):
    try:
        load(path)
    except BundlekitError as error:
        caught = error
    else:
        return
    assert isinstance(caught, ConfigError | TrustError), repr(caught)[:500]
    assert 0 < len(str(caught)) <= LONGEST, (len(str(caught)), str(caught)[:300])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("files")
    (made / "out").mkdir()
    for name in ("notes.md", "eula.txt", "out/storage-3.4.0.img", "out/im100.img", "out/im200.img"):
        (made / name).write_bytes(b"x")
    (made / "matrix.toml").write_text(MATRIX_EXAMPLE)
    return made


def place(folder, name):
    return folder / {"trust.toml": "trust.toml"}.get(name, f"{name.replace(' ', '-')}.toml")


VALUE = re.compile(rb"(?<=[=:] )(\"[^\"\n]*\"|[\w.-]+|\[[^\]\n]*\]|\{[^}\n]*\})")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FILES)
def test_each_value_replaced_by_each_odd_one(folder, name):
    """The same places and pieces in each run: every value of the example, with a part of the odd ones each."""
    example, load = FILES[name]
    data, path = example.encode(), place(folder, name)
    for number, found in enumerate(VALUE.finditer(data)):
        for piece in PIECES[number % 3 :: 3]:
            path.write_bytes(data[: found.start()] + piece + data[found.end() :])
            total(load, path)


@pytest.mark.parametrize("name", FILES)
@given(
    at=st.integers(0, 3000),
    length=st.integers(0, 60),
    put=st.one_of(st.binary(max_size=12), st.sampled_from(PIECES)),
    whole=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_values_or_one_sentence(folder, name, at, length, put, whole):
    example, load = FILES[name]
    data = example.encode()
    at %= len(data)
    path = place(folder, name)
    path.write_bytes(put if whole else data[:at] + put + data[at + length :])
    total(load, path)
