"""Catalogs and paths through the command line, over bundles that are really signed."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import msgspec
import pytest

from bundlekit.matrix.toml import matrix_from_toml
from bundlekit.model.manifest import Component, Image, Requirements
from bundlekit.schemas import schema
from fixtures import forge
from fixtures.make_keys import KEYS
from tests.matrix.graphs import shared

SIGN = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
TRUST = ("--trust", KEYS / "trust", "--at", forge.AT)


def put(name, version, matrix, *, component="appliance", sign=forge.BY_SIGNER, **fields):
    """A bundle file in the current folder."""
    part = Component(name=component, version=version, images=(Image(**forge.stored(forge.IMAGE)),))
    table = matrix_from_toml({"matrix": 1} | matrix, "matrix.toml")
    fields = {
        "requirements": Requirements(),
        "build": None,
        "version": version,
        "components": (part,),
        "matrix": table,
        **fields,
    }
    Path(name).write_bytes(forge.write(msgspec.structs.replace(forge.MANIFEST, **fields), sign=sign))


def state(**fields):
    member = {"version": "2.0", "released": "2024-01-01"}
    plain = {
        "schema": "bundlekit/state/1",
        "pair": "imager-0042",
        "product": "imager",
        "model": "im-100",
        "members": {"CZ3001": {"role": "active", **member}, "CZ3002": {"role": "standby", **member}},
        "components": {"drivers": {"version": "1.0", "released": "2024-01-01"}},
        "counter": 6,
        "includes": [],
    }
    Path("STATE.json").write_text(json.dumps(plain | fields))
    return "STATE.json"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three bundles: management 3.0 needs driver pack 3.1; management 2.0 is where everybody is."""
    monkeypatch.chdir(tmp_path)
    put("mc2.bin", "2.0", {"releases": ["1.0"], "from": [{"id": "mc1", "versions": "1.0", "minutes": 30}]})
    put(
        "mc3.bin",
        "3.0",
        {
            "releases": ["2.0"],
            "from": [{"id": "mc2", "versions": "2.0", "minutes": 40}],
            "works-together": [{"id": "mc3-sp3", "appliance": "3.0", "drivers": ">=3.0"}],
        },
    )
    put(
        "sp3.bin",
        "3.1",
        {
            "releases": ["1.0"],
            "from": [{"id": "sp1", "versions": "1.0", "minutes": 20}],
            "works-together": [{"id": "sp3", "drivers": "3.1", "appliance": ">=2.0, <4.0"}],
        },
        component="drivers",
    )
    return tmp_path


BUNDLES = ("mc2.bin", "mc3.bin", "sp3.bin")
TO_3 = ("--appliance", "STATE.json", "--to", "3.0")


def hops(result):
    return [(hop["component"], hop["from"], hop["to"]) for hop in json.loads(result.out)["hops"]]


DRIVERS_FIRST = [("drivers", "1.0", "3.1"), ("appliance", "2.0", "3.0")]


def test_the_driver_pack_goes_first(cli, folder):
    state()
    result = cli("path", *BUNDLES, *TRUST, *TO_3, "--format", "json")
    assert result.code == 0
    assert hops(result) == DRIVERS_FIRST
    way = json.loads(result.out)
    jsonschema.validate(way, schema("path"))
    assert (way["found"], way["verified"], way["minutes"]) == (True, True, 60)
    assert [hop["bundle"] for hop in way["hops"]] == ["sp3.bin", "mc3.bin"]
    assert all(hop["signers"] for hop in way["hops"])
    assert cli("preflight", "mc3.bin", *TRUST, "--appliance", "STATE.json").code == 1


def test_the_text_names_bundle_entry_and_signer(cli, folder):
    state()
    lines = cli("path", *BUNDLES, *TRUST, *TO_3).out.splitlines()
    assert lines[0] == "  1. 1.0 -> 3.1  sp3.bin, drivers, rolling, 20 min"
    assert lines[1] == "     part drivers: 1.0 -> 3.1 (matrix entry sp1)"
    assert any(line.startswith("     signed by CN=") for line in lines)
    assert lines[-1] == "PATH from 2.0 to 3.0: 2 updates, 60 min"


def test_a_folder_of_bundles_and_a_catalog_give_the_same(cli, folder):
    state()
    added = cli("catalog", "add", "cat", *BUNDLES, "--supported-until", "2028-06-30")
    assert added.code == 0
    assert added.out.count("sha256:") == 3
    from_files = json.loads(cli("path", *BUNDLES, *TRUST, *TO_3, "--format", "json").out)
    from_folder = json.loads(cli("path", ".", *TRUST, *TO_3, "--format", "json").out)
    from_catalog = json.loads(cli("path", "--catalog", "cat", *TRUST, *TO_3, "--format", "json").out)
    assert {hop["supported-until"] for hop in from_catalog["hops"]} == {"2028-06-30"}
    for way in (from_files, from_folder, from_catalog):
        for hop in way["hops"]:
            hop["supported-until"] = hop["bundle"] = ""
    assert from_files == from_folder == from_catalog


def test_without_trust_the_path_is_no_yes(cli, folder):
    state()
    result = cli("path", *BUNDLES, *TO_3)
    assert result.code == 3
    assert "NOT VERIFIED" in result.out.splitlines()[-1]
    way = json.loads(cli("path", *BUNDLES, *TO_3, "--format", "json").out)
    assert way["verified"] is False
    assert [hop["signers"] for hop in way["hops"]] == [[], []]


def test_a_bundle_nobody_trusted_vouches_for_never_enters_a_path(cli, folder):
    state()
    data = bytearray(Path("sp3.bin").read_bytes())
    manifest = data.index(b'"imager"')
    data[manifest + 1] ^= 1
    Path("sp3.bin").write_bytes(data)
    result = cli("path", *BUNDLES, *TRUST, *TO_3, "--format", "json")
    assert result.code == 1
    way = json.loads(result.out)
    assert way["nearest"] == "2.0"
    assert [(one["subject"], one["kind"]) for one in way["skipped"]] == [("sp3.bin", "signature-wrong")]
    assert way["obstacles"][0]["kind"] == "incompatible"
    # It does not even get in without trust, as its signature is wrong whoever is trusted.
    assert cli("path", *BUNDLES, *TO_3).code == 1


def test_a_stranger_is_left_out(cli, folder):
    state()
    put("mc3.bin", "3.0", {"releases": ["2.0"], "from": [{"id": "x", "versions": "*"}]}, sign=forge.by("stranger"))
    way = json.loads(cli("path", *BUNDLES, *TRUST, *TO_3, "--format", "json").out)
    assert [(one["subject"], one["kind"]) for one in way["skipped"]] == [("mc3.bin", "signer-unknown")]
    assert way["obstacles"][0]["kind"] == "not-available"


def test_from_a_version(cli, folder):
    result = cli("path", *BUNDLES, *TRUST, "--from", "1.0", "--to", "2.0")
    assert result.code == 0
    assert "1. 1.0 -> 2.0  mc2.bin, appliance, rolling, 30 min" in result.out
    assert "not checked" in result.out


# --- what was learnt since, and a new key ---

TRUST_2 = ("--trust", "keys/root.pem", "--at", "2026-12-05")
OLD = 'releases = ["5.20.00", "5.30.00", "5.32.00"]\n'
ADVISORY = """\
advisory = 1
product = "imager"
serial = 4
issued = 2026-12-01
until = 2027-03-01
[[withdrawn]]
id = "ADV-18"
versions = "5.30.00"
reason = "It loses data."
"""


def test_advisories_take_a_release_out_of_the_path(cli, ship):
    ship("5.30.00", OLD + '[[from]]\nid = "a"\nversions = "5.20.00"\nminutes = 1\n')
    ship("5.32.00", OLD + '[[from]]\nid = "a"\nversions = "5.20.00"\nminutes = 9\n')
    ship("5.40.00", OLD + '[[from]]\nid = "a"\nversions = ">=5.30.00"\n')
    Path("ADVISORY.toml").write_text(ADVISORY)
    assert cli("advisory", "build", "ADVISORY.toml", "-o", "adv", *SIGN).code == 0
    asked = ("path", "5.30.00.bin", "5.32.00.bin", "5.40.00.bin", *TRUST_2, "--from", "5.20.00", "--to", "5.40.00")
    plain, advised = cli(*asked), cli(*asked, "--advisories", "adv")
    assert (plain.code, advised.code) == (0, 0)
    assert "  1. 5.20.00 -> 5.30.00" in plain.out
    assert "advisories none" in plain.out
    assert "  1. 5.20.00 -> 5.32.00" in advised.out
    assert "advisories serial 4 of 2026-12-01" in advised.out
    way = json.loads(cli(*asked, "--advisories", "adv", "--format", "json").out)
    assert way["advisories"]["serial"] == 4
    refused = (*asked[:-1], "5.30.00", "--advisories", "adv")
    obstacles = json.loads(cli(*refused, "--format", "json").out)["obstacles"]
    assert [one["origin"] for one in obstacles] == ["advisory"]
    assert f"(advisory entry {obstacles[0]['entry']})" in cli(*refused).out
    assert "matrix entry" not in cli(*refused).out


def test_a_new_key_comes_by_a_bridge_release(cli, ship):
    keys = 'trusted-keys = { "5.20" = ["release-2019"], "5.30" = ["release-2019", "release-2027"] }\n'
    ship("5.30.00", OLD + keys + '[[from]]\nid = "a"\nversions = "5.20.00"\nkeys = ["release-2019"]\n')
    ship("5.40.00", OLD + keys + '[[from]]\nid = "a"\nversions = "<5.40"\nkeys = ["release-2027"]\n')
    asked = ("path", "5.30.00.bin", "5.40.00.bin", *TRUST_2, "--from", "5.20.00", "--to", "5.40.00", "--format", "json")
    assert [hop["to"] for hop in json.loads(cli(*asked).out)["hops"]] == ["5.30.00", "5.40.00"]
    without = json.loads(cli(asked[0], *asked[2:]).out)
    assert [obstacle["kind"] for obstacle in without["obstacles"]] == ["cannot-verify"]


# --- the catalog ---


def test_a_catalog_keeps_heads_and_no_payload(cli, folder):
    cli("catalog", "add", "cat", *BUNDLES)
    heads = sorted(Path("cat").glob("*.head"))
    assert len(heads) == 3
    assert forge.IMAGE[:64] in Path("mc3.bin").read_bytes()
    assert not any(forge.IMAGE[:64] in head.read_bytes() for head in heads)


def test_show(cli, folder):
    cli("catalog", "add", "cat", "mc2.bin", "mc3.bin")
    cli("catalog", "add", "cat", "mc2.bin", "--supported-until", "2027-01-31")
    shown = cli("catalog", "show", "cat", *TRUST)
    assert shown.code == 0
    assert shown.out.startswith("bundle imager 2.0, released 2026-11-23, supported until 2027-01-31, signed by CN=")
    rows = json.loads(cli("catalog", "show", "cat", *TRUST, "--format", "json").out)["bundles"]
    assert [(row["version"], row["supported-until"]) for row in rows] == [("2.0", "2027-01-31"), ("3.0", "")]
    unverified = cli("catalog", "show", "cat")
    assert unverified.code == 3
    assert "NOT VERIFIED" in unverified.out


def test_show_lists_versions_of_two_schemes_one_after_the_other(cli, folder):
    put("pep.bin", "4.0", {"releases": ["1.0"], "from": [{"id": "one", "versions": "1.0"}]}, scheme="pep440")
    cli("catalog", "add", "cat", "pep.bin", "mc2.bin", "mc3.bin")
    rows = json.loads(cli("catalog", "show", "cat", *TRUST, "--format", "json").out)["bundles"]
    assert [row["version"] for row in rows] == ["2.0", "3.0", "4.0"]


def test_a_date_once_given_stays(cli, folder):
    cli("catalog", "add", "cat", "mc2.bin", "--supported-until", "2027-01-31")
    cli("catalog", "add", "cat", "mc2.bin", "mc3.bin")
    rows = json.loads(cli("catalog", "show", "cat", *TRUST, "--format", "json").out)["bundles"]
    assert [row["supported-until"] for row in rows] == ["2027-01-31", ""]


@pytest.mark.parametrize("offset", [40, -1], ids=["head", "end of the signature area"])
def test_a_damaged_head_is_left_out(cli, folder, offset):
    cli("catalog", "add", "cat", "mc2.bin")
    (head,) = Path("cat").glob("*.head")
    data = bytearray(head.read_bytes())
    data[offset] ^= 1
    head.write_bytes(data)
    shown = cli("catalog", "show", "cat", *TRUST)
    assert shown.code == 1
    assert "skipped mc2.bin" in shown.out


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("{}", "the key 'schema' is missing"),
        ("[]", "must be an object"),
        ("{", "invalid JSON"),
        ('{"schema": "bundlekit/catalog/1", "bundels": {}}', "did you mean 'bundles'?"),
        ('{"schema": "bundlekit/catalog/1", "bundles": {"../x": {"file": "x", "size": 1}}}', "is not a bundle id"),
    ],
    ids=["no schema", "a list", "cut", "key", "path"],
)
def test_a_damaged_index_is_refused(cli, folder, index, says):
    Path("cat").mkdir()
    Path("cat/catalog.json").write_text(index)
    result = cli("path", "--catalog", "cat", *TRUST, "--from", "1.0", "--to", "2.0")
    assert result.code == 3
    assert says in result.err


def test_what_is_no_bundle_is_not_added(cli, folder):
    Path("junk.bin").write_bytes(b"junk" * 100)
    result = cli("catalog", "add", "cat", "mc2.bin", "junk.bin")
    assert result.code == 3
    assert "junk.bin: its head cannot be read" in result.err
    assert not Path("cat").exists()


# --- graphs ---


def test_a_path_through_a_real_graph(cli):
    graph = shared("openshift-stable-4.8.json")
    result = cli("path", "--graph", graph, "--from", "4.7.2", "--to", "4.8.32", "--format", "json")
    assert result.code == 0
    assert json.loads(result.out)["hops"][0]["from"] == "4.7.2"
    assert len(json.loads(result.out)["hops"]) == 2
    result = cli("path", "--graph", graph, "--from", "4.7.2", "--to", "4.8.3", "--format", "json")
    assert result.code == 1
    assert json.loads(result.out)["nearest"]


def test_matrix_import_and_export(cli, folder):
    result = cli("matrix", "export", "mc2.bin", "mc3.bin", *TRUST, "-o", "graph.json")
    assert result.code == 0
    graph = json.loads(Path("graph.json").read_text())
    assert [node["version"] for node in graph["nodes"]] == ["1.0", "2.0", "3.0"]
    assert graph["edges"] == [[0, 1], [1, 2]]
    assert cli("path", "--graph", "graph.json", "--from", "1.0", "--to", "3.0").code == 0
    assert cli("matrix", "import", "graph.json", "-o", "matrix.toml").code == 0
    text = Path("matrix.toml").read_text()
    assert text.startswith('# The matrix of 3.0, for a SPEC with scheme = "dotted"')
    assert '[[from]]\nid = "from-2.0"\nversions = "2.0"' in text


def test_export_of_a_stranger_is_refused(cli, folder):
    put("mc3.bin", "3.0", {}, sign=forge.by("stranger"))
    assert cli("matrix", "export", "mc3.bin", *TRUST).code == 1
    assert "NOT VERIFIED" in cli("matrix", "export", "mc3.bin").err


# --- drawings ---


@pytest.mark.parametrize("goal", ["2.0", "9.0"], ids=["found", "not found"])
def test_drawings(cli, folder, goal):
    Path("a <&\"'\u202e.bin").write_bytes(Path("mc2.bin").read_bytes())
    args = ("path", "a <&\"'\u202e.bin", *TRUST, "--from", "1.0", "--to", goal, "--format")
    svg = cli(*args, "svg")
    drawn = ET.fromstring(svg.out)  # noqa: S314 - our own
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "1.0"
    assert texts[1].startswith("a <&\"'\\u202e.bin") if goal == "2.0" else texts[-1] == "9.0"
    mermaid = cli(*args, "mermaid").out
    assert mermaid.startswith('flowchart LR\n  n0["1.0"]\n')
    assert ("-.->" in mermaid) == (goal == "9.0")
    assert "\u202e" not in svg.out + mermaid


@pytest.mark.parametrize(
    "args",
    [
        ("--from", "1", "--to", "2"),
        ("x.bin", "--to", "2"),
        ("x.bin", "--graph", "g", "--from", "1", "--to", "2"),
        ("--graph", "g", "--to", "2"),
        ("x.bin", "--from", "1", "--appliance", "S", "--to", "2"),
    ],
    ids=" ".join,
)
def test_usage(cli, args):
    assert cli("path", *args).code == 2
