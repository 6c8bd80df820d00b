"""Paths and catalogs of bundles in formats without a matrix: with the operator's matrices, and with detached heads."""

import datetime as dt
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import bundlekit
from bundlekit import catalog, catalog_heads, config
from bundlekit.authoring.build import build
from bundlekit.authoring.signers import load_signers
from bundlekit.authoring.spec import load
from bundlekit.cli import run
from bundlekit.errors import ConfigError
from bundlekit.matrix.operator import load_matrices
from bundlekit.model.appliance import Appliance
from fixtures import forge, make_keys, make_mcuboot, make_rauc, make_swupdate, mender_artifact
from tests.formats import toy

NOW = dt.datetime.fromisoformat(forge.AT)
VERSIONS = ("1.0.0", "2.0.0", "3.0.0")
STEPS = dict(zip(VERSIONS[1:], VERSIONS, strict=False))
"""For each version the one before it."""

pytestmark = pytest.mark.usefixtures("_toys")


def matrix(version, sources, *, release="", scheme="semver"):
    return f"""
matrix = 1
releases = {json.dumps(VERSIONS)}

[release]
version = "{version}"
scheme = "{scheme}"
{release}

[[from]]
id = "to-{version}"
versions = "{sources}"
minutes = 10
"""


@pytest.fixture
def trust(tmp_path):
    key = make_keys.private_key("pinned", None)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)
    return bundlekit.load_trust([tmp_path / "key.pem"])


@pytest.fixture
def folder(tmp_path):
    """Three bundles, the matrices of two of them, and files that are neither."""
    place = tmp_path / "releases"
    place.mkdir()
    key = make_keys.private_key("pinned", None)
    for version in VERSIONS:
        (place / f"toy-{version}.img").write_bytes(toy.write(version=version, sign=key.sign))
    for version, before in STEPS.items():
        (place / f"toy-{version}.toml").write_text(matrix(version, before))
    (place / "trust.toml").write_text("trust = 1\n")
    (place / "SHA256SUMS").write_text("0\n")
    (place / "old").mkdir()
    return place


def path(folder, trust=None, start="1.0.0", goal="3.0.0", *, matrices=None, **more):
    given = load_matrices([folder] if matrices is None else matrices)
    return catalog.find_path([folder], start, goal, trust=trust, at=NOW, matrices=given, **more)


def test_a_folder_of_bundles_and_their_matrices_gives_a_path(folder, trust):
    found = path(folder, trust)
    assert (found.found, found.verified, found.minutes) == (True, True, 20)
    assert [(hop.from_, hop.to, hop.entry) for hop in found.hops] == [
        ("1.0.0", "2.0.0", "to-2.0.0"),
        ("2.0.0", "3.0.0", "to-3.0.0"),
    ]
    given = {one.file: one.digest for one in load_matrices([folder])}
    for hop in found.hops:
        assert hop.matrix_file == str(folder / f"toy-{hop.to}.toml")
        assert hop.matrix_digest == given[hop.matrix_file]
        assert hop.signers
    assert [(one.kind, one.subject) for one in found.skipped] == [("no-matrix", str(folder / "toy-1.0.0.img"))]


def test_one_matrix_for_all_releases_gives_a_path(folder, trust, tmp_path):
    (tmp_path / "all.toml").write_text(matrix("x", "*").replace('version = "x"\n', 'product = "toy"\n'))
    found = path(folder, trust, matrices=[tmp_path / "all.toml"])
    assert [(hop.from_, hop.to) for hop in found.hops] == [("1.0.0", "3.0.0")]
    assert found.skipped == ()


def test_a_matrix_that_no_bundle_uses_is_named(folder, trust, tmp_path):
    (tmp_path / "typo.toml").write_text(matrix("30.0.0", "*"))
    found = path(folder, trust, matrices=[folder, tmp_path / "typo.toml"])
    (one,) = (one for one in found.skipped if one.kind == "unused-matrix")
    assert (one.subject, found.found) == (str(tmp_path / "typo.toml"), True)
    assert "typo.toml is for 30.0.0" in one.message


def test_two_matrices_for_one_bundle_end_the_search(folder, trust, tmp_path):
    (tmp_path / "other.toml").write_text(matrix("3.0.0", "1.0.0"))
    with pytest.raises(ConfigError, match=r"toy-3\.0\.0\.toml and .*other\.toml are all for toy 3\.0\.0"):
        path(folder, trust, matrices=[folder, tmp_path / "other.toml"])


def test_a_bundle_that_is_not_authentic_is_no_hop(folder, trust):
    (folder / "toy-2.0.0.img").write_bytes(toy.write(version="2.0.0"))
    found = path(folder, trust)
    assert not found.found
    assert {one.subject.rpartition("/")[2]: one.kind for one in found.skipped}["toy-2.0.0.img"] != "no-matrix"


def test_without_trust_the_path_is_not_verified(folder):
    found = path(folder)
    assert (found.found, found.verified) == (True, False)


def test_the_state_of_a_pair_is_searched_too(folder, trust):
    fields = {
        "schema": "bundlekit/state/1",
        "pair": "p",
        "product": "toy",
        "model": "t-1",
        "counter": 3,
        "includes": [],
        "members": {"A": {"role": "active", "version": "1.0.0"}},
    }
    for model, expected in (("t-1", True), ("t-2", False)):
        pair = config.convert(fields | {"model": model}, Appliance, where="state")
        found = path(folder, trust, pair)
        assert found.found == expected
        assert {one.kind for one in found.obstacles} == (set() if expected else {"wrong-model"})


# --- what a hop changes counts for the next one ---


def test_what_an_artifact_provides_counts_for_the_next_one(tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir()

    def write(name, provides, depends):
        info = mender_artifact.info(
            artifact_provides={"artifact_name": name}, artifact_depends={"device_type": ["board-a"]}
        )
        types = mender_artifact.type_info(artifact_provides=provides, artifact_depends=depends)
        members = mender_artifact.header_members(info, types)
        (folder / f"{name}.mender").write_bytes(mender_artifact.artifact(header=members))
        (folder / f"{name}.toml").write_text(matrix(name, "*", release="released = 2026-11-01"))

    write("2.0.0", {"rootfs-image.version": "r2"}, {"rootfs-image.version": "r1"})
    write("3.0.0", {"rootfs-image.version": "r3"}, {"rootfs-image.version": "r2"})
    fields = {
        "schema": "bundlekit/state/1",
        "pair": "p",
        "product": "any",
        "model": "board-a",
        "counter": 0,
        "includes": [],
        "members": {"A": {"role": "active", "version": "1.0.0"}},
    }
    for provides, hops in (
        ({"rootfs-image.version": "r1"}, ["2.0.0", "3.0.0"]),
        ({"rootfs-image.version": "r2"}, ["3.0.0"]),
        ({"rootfs-image.version": "r9"}, []),
        (None, []),
    ):
        pair = config.convert(fields | {"provides": provides}, Appliance, where="state")
        found = path(folder, start=pair)
        assert ([hop.to for hop in found.hops], found.found) == (hops, bool(hops))
        if not hops:
            assert {one.kind for one in found.obstacles} == {"undecided" if provides is None else "requirement-not-met"}


# --- catalogs ---


def test_a_catalog_keeps_heads_of_other_formats(folder, trust, tmp_path):
    place = tmp_path / "c.cat"
    catalog.add(place, sorted(folder.glob("*.img")), supported_until="2028-01-01")
    found = catalog.find_path([place], "1.0.0", "3.0.0", trust=trust, at=NOW, matrices=load_matrices([folder]))
    assert [(hop.to, hop.supported_until) for hop in found.hops] == [("2.0.0", "2028-01-01"), ("3.0.0", "2028-01-01")]
    assert found.verified


@pytest.mark.parametrize(
    ("file", "store", "kept_whole"),
    [
        (make_rauc.FOLDER / "verity.raucb", make_rauc.FOLDER, False),
        (make_rauc.FOLDER / "plain.raucb", make_rauc.FOLDER, True),
        (make_swupdate.FOLDER / "crc-cms.swu", make_swupdate.FOLDER, False),
        (make_mcuboot.SAMPLES / "p256.bin", make_mcuboot.SAMPLES, True),
    ],
)
def test_the_report_about_a_kept_head_is_that_about_the_file(tmp_path, file, store, kept_whole):
    trust = bundlekit.load_trust([store / "trust.toml"])
    (identity,) = catalog.add(tmp_path / "c.cat", [file])
    entry = catalog_heads.read_index(tmp_path / "c.cat").bundles[identity]
    ((source_of, _),) = catalog_heads.bundle_sources([tmp_path / "c.cat"])
    with source_of as source:
        kept = bundlekit.preflight(source, trust=trust, at=NOW)
    whole = bundlekit.preflight(file, trust=trust, at=NOW)
    assert kept.request.file == file.name
    assert (kept.verdict, kept.id, kept.release) == (whole.verdict, whole.id, whole.release)
    assert (kept.signatures, kept.findings, kept.coverage) == (whole.signatures, whole.findings, whole.coverage)
    assert (entry.pieces == ((0, file.stat().st_size),)) or not kept_whole


def test_a_large_bundle_without_a_head_of_its_own_is_refused(tmp_path, monkeypatch):
    file = make_rauc.FOLDER / "plain.raucb"
    monkeypatch.setattr(catalog_heads, "MAX_PIECES", file.stat().st_size - 1)
    with pytest.raises(ConfigError, match="has no head apart from its payload") as refused:
        catalog.add(tmp_path / "c.cat", [file])
    assert "detached head" in refused.value.next_step
    assert not (tmp_path / "c.cat").exists()


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x"])
def test_a_damaged_head_is_an_error(folder, tmp_path, change):
    (identity,) = catalog.add(tmp_path / "c.cat", [folder / "toy-1.0.0.img"])
    head = tmp_path / "c.cat" / f"{identity}.head"
    head.write_bytes(change(head.read_bytes()))
    with pytest.raises(ConfigError, match="its size is not that of the pieces"):
        catalog.collect([tmp_path / "c.cat"])


def test_a_changed_head_is_not_authentic(folder, trust, tmp_path):
    (identity,) = catalog.add(tmp_path / "c.cat", [folder / "toy-1.0.0.img"])
    head = tmp_path / "c.cat" / f"{identity}.head"
    head.write_bytes(head.read_bytes().replace(b"1.0.0", b"1.0.1"))
    found = catalog.collect([tmp_path / "c.cat"], trust=trust)
    assert (found.candidates, found.without_matrix, len(found.skipped)) == ((), (), 1)


def test_bundles_without_a_matrix_are_listed(folder, tmp_path, capsys):
    place = str(tmp_path / "c.cat")
    assert run(["catalog", "add", place, *map(str, sorted(folder.glob("*.img")))]) == 0
    capsys.readouterr()
    assert run(["catalog", "show", place, "--trust", str(tmp_path / "none")]) == 3
    capsys.readouterr()
    assert run(["catalog", "show", place, "--format", "json"]) == 3
    shown = json.loads(capsys.readouterr().out)
    assert [one["version"] for one in shown["bundles"]] == list(VERSIONS)
    assert shown["skipped"] == []


def test_the_command_prints_whose_word_the_matrix_is(folder, capsys):
    asked = ["path", str(folder), "--matrix", str(folder), "--from", "1.0.0", "--to", "3.0.0", "--at", forge.AT]
    assert run(asked) == 3
    printed = capsys.readouterr().out
    assert f"matrix: the operator's, {folder / 'toy-2.0.0.toml'} (sha256:" in printed
    assert "no signature covers it" in printed
    assert "no-matrix" in printed


# --- detached heads ---


SPEC = """
spec = 1
kind = "release"
product = "imager"
models = ["im-100"]
version = "3.0.0"
scheme = "semver"
released = 2026-11-23
counter = 7
matrix = "own.toml"

[components.appliance]
version = "3.0.0"
file = "toy-3.0.0.img"
chunk-size = 65536
"""


def test_a_detached_head_brings_a_matrix_that_is_signed(folder, tmp_path):
    (folder / "SPEC.toml").write_text(SPEC)
    own = 'matrix = 1\nreleases = ["2.0.0"]\n\n[[from]]\nid = "own"\nversions = "2.0.0"\n'
    (folder / "own.toml").write_text(own)
    signers = load_signers([forge.KEYS / "signer.key"], [forge.KEYS / "signer.pem"], ask=lambda _: b"")
    build(load(folder / "SPEC.toml"), folder / "release.bk", signers=signers, detached=True)
    (folder / "toy-1.0.0.img").unlink()
    trust = bundlekit.load_trust([forge.KEYS / "trust"])
    found = catalog.find_path([folder], "2.0.0", "3.0.0", trust=trust, at=NOW)
    assert [(hop.entry, hop.bundle, hop.matrix_digest) for hop in found.hops] == [
        ("own", str(folder / "release.bk"), msgspec.UNSET)
    ]
    listed = catalog.collect([folder], at=NOW)
    # The image of 3.0.0 is part of the detached head, which has the matrix. That of 2.0.0 is part of none.
    assert [(one.kind, one.subject) for one in listed.skipped] == [("no-matrix", str(folder / "toy-2.0.0.img"))]
    catalog.add(tmp_path / "c.cat", [folder / "release.bk"])
    found = catalog.find_path([tmp_path / "c.cat"], "2.0.0", "3.0.0", trust=trust, at=NOW)
    assert [hop.entry for hop in found.hops] == ["own"]
