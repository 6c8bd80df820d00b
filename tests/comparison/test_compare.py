"""Two bundles side by side: what is named, and what the verdict is."""

from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

import bundlekit
from bundlekit.errors import ConfigError
from bundlekit.model.manifest import Impact, Requirements
from bundlekit.model.matrix import Matrix, MatrixSource
from bundlekit.report.json import render
from bundlekit.schemas import schema
from bundlekit.source import BytesSource, FileSource
from fixtures import forge
from tests.comparison.samples import (
    AT,
    CHUNK,
    OFFICES,
    UNSIGNED,
    VERITY,
    chunked,
    compared,
    mcuboot,
    obstacles,
    rauc,
    regions,
    spans,
)

FORMATS = Path(forge.__file__).parent / "formats"
SAMPLES = sorted(
    path
    for path in FORMATS.rglob("*")
    if path.suffix in {".raucb", ".mender", ".swu", ".bin", ".hex"} and path.name not in {"v1.bin", "big-endian.bin"}
)
ZEROS, ONES, TWOS = bytes(CHUNK), b"\1" * CHUNK, b"\2" * CHUNK
RAUC_TRUST = bundlekit.load_trust([FORMATS / "rauc" / "trust.toml"])
MCUBOOT_TRUST = bundlekit.load_trust([FORMATS / "mcuboot" / "trust.toml"])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_bundle_is_the_same_as_itself_in_every_format(path):
    for ignored in (False, True):
        found = bundlekit.compare(path, path, at=AT, ignore_signatures=ignored)
        assert (found.verdict, found.regions, found.facts) == ("same", (), ())
        assert {one.continuity for one in found.signers} <= {"same"}
        assert {one.change for one in found.parts} <= {"same"}


def test_the_samples_are_found():
    assert len(SAMPLES) > 30
    assert {path.parent.name for path in SAMPLES} == {"rauc", "mender", "swupdate", "mcuboot", "esp"}


PAIRS = {
    "update.bin": (forge.good(), forge.changed(counter=8)),
    "update.bin unsigned": (forge.good(), UNSIGNED),
    "update.bin damaged": (forge.good(), forge.flip(forge.good(), 0x3010)),
    "chunks": (chunked(ZEROS, ONES), chunked(ZEROS, TWOS, ONES)),
    "mcuboot": (mcuboot(), mcuboot("rsa-3072")),
    "rauc": (rauc(), rauc(signer="mail")),
    "two formats": (rauc(), mcuboot()),
    "no bundle": (forge.good(), b"hello"),
}
TURNED = {"added": "removed", "removed": "added", "changed": "changed", "same": "same"}


@pytest.mark.parametrize("name", PAIRS)
def test_the_other_way_round_the_same_differs(name):
    old, new = PAIRS[name]
    one, other = compared(old, new), compared(new, old)
    assert one.verdict == other.verdict != "same"
    assert sorted((r.region, TURNED[r.change], r.differing, r.kind) for r in one.regions) == sorted(
        (r.region, r.change, r.differing, r.kind) for r in other.regions
    )
    assert {(f.fact, repr(f.old), repr(f.new)) for f in one.facts} == {
        (f.fact, repr(f.new), repr(f.old)) for f in other.facts
    }
    assert sorted((p.label, TURNED[p.change], p.content) for p in one.parts) == sorted(
        (p.label, p.change, p.content) for p in other.parts
    )


# --- contents ---


@pytest.mark.parametrize(
    ("old", "new", "changed", "delta", "runs"),
    [
        ([ZEROS, ONES, b"end"], [ZEROS, TWOS, b"end"], 1, CHUNK, [(1, 2)]),
        ([ZEROS, ONES, b"end"], [ZEROS, ONES, b"END"], 1, 3, [(2, 3)]),
        ([ONES, TWOS, b"end"], [ZEROS, ONES, TWOS, b"end"], 4, CHUNK, [(0, 4)]),
        ([ZEROS, b"end"], [ONES, ONES, ONES, b"end"], 4, CHUNK, [(0, 4)]),
        ([ZEROS, ONES, TWOS], [ZEROS, ONES], 0, 0, [(2, 3)]),
        ([ZEROS, ONES, ZEROS, ONES], [TWOS, ONES, TWOS, ONES], 2, CHUNK, [(0, 1), (2, 3)]),
    ],
    ids=["one chunk", "the last", "inserted", "one content three times", "cut", "two runs"],
)
def test_the_chunks_that_differ_are_named_and_what_a_delta_needs(old, new, changed, delta, runs):
    found = compared(chunked(*old), chunked(*new), trust=OFFICES)
    (part,) = found.parts
    assert (found.verdict, found.payload_read, part.content) == ("differs", False, "differs")
    assert (part.chunks.changed, part.chunks.delta_bytes) == (changed, delta)
    assert [(one.start, one.stop) for one in part.chunks.runs] == runs


def test_a_byte_in_a_chunk_is_named_by_index_and_when_the_payload_is_read_to_the_byte():
    old, new = chunked(ZEROS, ZEROS, b"end"), chunked(ZEROS, b"\0" * 77 + b"\1" + b"\0" * (CHUNK - 78), b"end")
    start = forge.section(new, "appliance").start
    by_index, by_bytes = compared(old, new, trust=OFFICES), compared(old, new, trust=OFFICES, full=True)
    for found in (by_index, by_bytes):
        (run,) = found.parts[0].chunks.runs
        assert (run.start, run.new.start, run.new.stop) == (1, start + CHUNK, start + 2 * CHUNK)
    assert "appliance" not in regions(by_index)
    assert spans(regions(by_bytes)["appliance"]) == [(start + CHUNK + 77, start + CHUNK + 78)]


def test_the_payload_of_two_authentic_bundles_is_not_read(tmp_path, monkeypatch):
    read = []
    reading = FileSource.readinto

    def readinto(source, offset, buffer):
        read.append((offset, offset + len(buffer)))
        reading(source, offset, buffer)

    monkeypatch.setattr(FileSource, "readinto", readinto)
    for name, data in {"old": chunked(ZEROS, ONES), "new": chunked(ZEROS, TWOS)}.items():
        (tmp_path / name).write_bytes(data)
    start = forge.section((tmp_path / "new").read_bytes(), "appliance").start
    found = bundlekit.compare(tmp_path / "old", tmp_path / "new", trust=OFFICES, at=AT)
    assert found.authenticated
    assert found.parts[0].chunks.changed == 1
    assert max(stop for _, stop in read) <= start
    read.clear()
    bundlekit.compare(tmp_path / "old", tmp_path / "new", trust=OFFICES, at=AT, full=True)
    assert max(stop for _, stop in read) == start + 2 * CHUNK


@pytest.mark.parametrize("side", [0, 1], ids=["old", "new"])
def test_a_damaged_payload_is_an_obstacle_and_its_byte_is_named(side):
    files = [forge.good(), forge.good()]
    files[side] = forge.flip(forge.good(), 0x3010)
    found = compared(*files)
    assert found.verdict == "incomplete"
    assert obstacles(found) == [("damaged", ["old", "new"][side])]
    assert spans(regions(found)["appliance"]) == [(0x3010, 0x3011)]


def test_damage_is_noticed_if_the_payload_is_read_and_the_result_says_whether_it_was():
    damaged = forge.flip(forge.good(), 0x3010)
    found = compared(forge.good(), damaged, trust=OFFICES)
    assert (found.verdict, found.payload_read) == ("same", False)
    found = compared(forge.good(), damaged, trust=OFFICES, full=True)
    assert (found.verdict, found.payload_read, obstacles(found)) == ("incomplete", True, [("damaged", "new")])


def test_an_index_that_is_not_the_signed_one_is_an_obstacle():
    new = chunked(ZEROS, TWOS)
    at = forge.section(new, "appliance (chunk index)").start
    found = compared(chunked(ZEROS, ONES), forge.flip(new, at), trust=OFFICES)
    assert obstacles(found) == [("index-damaged", "appliance")]
    assert found.verdict == "incomplete"


def test_what_the_description_states_is_compared():
    new = forge.changed(
        counter=8,
        includes=("HF-118", "HF-140"),
        impact=Impact(service="outage", reboot=True, minutes=95),
        requirements=Requirements(tool="0.2"),
    )
    found = compared(forge.good(), new, trust=OFFICES)
    assert {(one.group, one.fact): (one.old, one.new) for one in found.facts} == {
        ("release", "counter"): (7, 8),
        ("release", "includes"): (("HF-118", "HF-131"), ("HF-118", "HF-140")),
        ("release", "impact.service"): ("rolling", "outage"),
        ("description", "requirements.free.system"): (4 * 2**30, None),
        ("description", "requirements.tool"): (None, "0.2"),
    }
    assert found.newer is None


# --- signatures and trust ---


@pytest.mark.parametrize(
    ("new", "options", "verdict", "rules"),
    [
        (forge.good(), {}, "same", []),
        (forge.good("second-signer"), {}, "differs", []),
        (forge.good("second-signer"), {"strict": True}, "incomplete", ["key-new"]),
        (forge.good("second-signer"), {"ignore_signatures": True}, "same", []),
        (forge.good("stranger"), {}, "incomplete", ["not-authentic"]),
        (forge.good("stranger"), {"ignore_signatures": True}, "same", []),
        (UNSIGNED, {}, "incomplete", ["not-authentic"]),
        (UNSIGNED, {"ignore_signatures": True}, "same", []),
        (UNSIGNED, {"trust": None}, "differs", []),
        (UNSIGNED, {"trust": None, "strict": True}, "incomplete", ["signer-gone"]),
        (forge.write(sign=forge.by("signer", "second-signer")), {"strict": True}, "incomplete", ["key-new"]),
        (forge.flip(forge.good(), forge.signature(forge.good()).stop - 1), {"trust": None}, "incomplete", ["damaged"]),
    ],
)
def test_signatures_of_an_equal_content(new, options, verdict, rules):
    found = compared(forge.good(), new, **({"trust": OFFICES} | options))
    assert (found.verdict, [one.rule for one in found.obstacles]) == (verdict, rules)
    assert {one.kind for one in found.regions} <= {"signature"}


def test_if_signatures_are_ignored_one_bundle_must_be_authentic():
    found = compared(forge.good("stranger"), UNSIGNED, trust=OFFICES, ignore_signatures=True)
    assert obstacles(found) == [("not-authentic", "old"), ("not-authentic", "new")]


def test_if_signatures_are_ignored_the_rest_is_named_to_the_byte():
    rebuilt = forge.write(sign=lambda _: [], contents=(forge.IMAGE[:-1] + b"!",))
    found = compared(forge.good(), rebuilt, trust=OFFICES, ignore_signatures=True)
    end = forge.section(rebuilt, "appliance").stop
    assert (found.verdict, obstacles(found)) == ("incomplete", [("damaged", "new")])
    assert spans(regions(found)["appliance"]) == [(end - 1, end)]
    assert set(regions(found, ignored=True)) == {"signatures"}


def test_without_trust_nothing_is_authenticated():
    found = compared(forge.good(), forge.good())
    assert (found.authenticated, found.old.authentic, found.request.trust) == (False, None, None)


def test_a_role_is_shown_for_each_key():
    trust = forge.policy(forge.offices(end='[signers.lab]\nrole = "development"\nanchor = "keys/stranger-root.pem"\n'))
    (one,) = compared(forge.good(), forge.good("stranger"), trust=trust).signers
    assert (one.continuity, one.old_role, one.new_role) == ("new", "production", "development")


# --- other formats ---


def test_two_mcuboot_images_a_key_a_byte_and_a_path(tmp_path):
    new = mcuboot("rsa-3072", minor=3, body=bytes([*range(255), 0]))
    matrices = write_matrices(tmp_path, "semver", {"1.2.3+45": "1.0.0", "1.3.3+45": "1.2.0"})
    found = compared(mcuboot(), new, trust=MCUBOOT_TRUST, matrix=matrices)
    (key,) = found.signers
    assert (found.verdict, found.authenticated) == ("differs", True)
    assert (key.continuity, key.name) == ("new", "release")
    assert ("version", "1.2.3+45", "1.3.3+45") in {(one.fact, one.old, one.new) for one in found.facts}
    assert spans(regions(found)["header"]) == [(21, 22)]
    assert spans(regions(found)["body"]) == [(0x20 + 255, 0x20 + 256)]
    assert lost(found) == ["1.0.0", "1.2.3+45"], "the new matrix does not list the old release"


def test_two_rauc_bundles_a_key_a_byte_and_a_path(tmp_path):
    payload = VERITY.payload[:5000] + bytes([VERITY.payload[5000] ^ 1]) + VERITY.payload[5001:]
    matrices = write_matrices(tmp_path, "dotted", {"2026.11-1": "1.0.0", "2026.12-1": "1.2.0"})
    new = rauc(payload, "mail", version="2026.12-1")
    found = compared(rauc(), new, trust=RAUC_TRUST, matrix=matrices)
    (key,) = found.signers
    assert (found.verdict, found.authenticated) == ("differs", True)
    assert (key.continuity, key.old_role, key.new_role) == ("new", "production", "development")
    assert {one.fact for one in found.facts if one.group == "release"} == {"version", "terms.demands"}
    assert spans(regions(found)["payload"]) == [(5000, 5001)]
    assert lost(found) == ["1.0.0", "2026.11-1"]


def test_two_update_bins_a_key_a_byte_and_a_path():
    matrix = replace(forge.MANIFEST.matrix, sources=forge.MANIFEST.matrix.sources[:1], stops=())
    changed = replace(forge.MANIFEST, matrix=matrix)
    new = chunked(ZEROS, TWOS, manifest=changed, sign=forge.by("second-signer"))
    found = compared(chunked(ZEROS, ONES), new, trust=OFFICES)
    assert [(one.continuity, one.old_role) for one in found.signers] == [("new", "production")]
    assert [(one.start, one.stop) for one in found.parts[0].chunks.runs] == [(1, 2)]
    assert "5.20.03" in lost(found)
    assert ("from", "offline-520", "removed") in {(one.table, one.id, one.change) for one in found.matrix.entries}


def write_matrices(folder, scheme, lowest):
    """A matrix for each version, which allows the update from the releases that are as new as the lowest."""
    for number, (version, low) in enumerate(lowest.items()):
        (folder / f"{number}.toml").write_text(
            'matrix = 1\nreleases = ["1.0.0", "1.2.0"]\n[release]\n'
            f'version = "{version}"\nscheme = "{scheme}"\nmodels = ["m"]\n[[from]]\nid = "all"\nversions = ">={low}"\n'
        )
    return bundlekit.load_matrices([folder])


def lost(found):
    return [one.source for one in found.matrix.diff.changes if one.change == "loses"]


def test_a_matrix_for_bundles_that_have_their_own_is_an_error(tmp_path):
    with pytest.raises(ConfigError):
        compared(forge.good(), forge.good(), matrix=write_matrices(tmp_path, "dotted", {"5.40.00": "1.0.0"}))


def test_without_a_matrix_for_one_of_them_no_paths_are_compared(tmp_path):
    matrices = write_matrices(tmp_path, "semver", {"1.3.3+45": "1.0.0"})
    found = compared(mcuboot(), mcuboot(minor=3), matrix=matrices)
    assert (found.matrix.diff, found.matrix.reason) == (None, "no upgrade matrix is known for the old bundle")
    assert (found.request.old_matrix, found.request.new_matrix) == (None, matrices[0].digest)


SIGNED_AND_NOT = [
    ("mcuboot/unsigned.bin", "mcuboot/rsa-3072.bin"),
    ("esp/unsigned.bin", "esp/rsa.bin"),
]


@pytest.mark.parametrize(("unsigned", "signed"), SIGNED_AND_NOT)
def test_a_signed_image_is_the_same_as_the_unsigned_one_apart_from_signatures(unsigned, signed):
    assert bundlekit.compare(FORMATS / unsigned, FORMATS / signed, at=AT).verdict == "differs"
    found = bundlekit.compare(FORMATS / signed, FORMATS / unsigned, at=AT, ignore_signatures=True)
    assert found.verdict == "same"
    data = bytearray((FORMATS / unsigned).read_bytes())
    data[0x30] ^= 1
    found = compared((FORMATS / signed).read_bytes(), bytes(data), ignore_signatures=True)
    assert [spans(one) for one in regions(found).values()] == [[(0x30, 0x31)]]
    assert obstacles(found) == [("damaged", "new")]


# --- limits and outputs ---


def test_a_large_bundle_without_a_trusted_signature_is_not_read_unasked(tmp_path):
    path = tmp_path / "sparse.bin"
    path.write_bytes(b"not a bundle")
    with path.open("r+b") as file:
        file.truncate(65 * 2**30)
    for new in (BytesSource(forge.good()), path):
        found = bundlekit.compare(path, new, at=AT, cancel=limited(1000))
        assert ("too-large", "old") in obstacles(found)
        assert (found.verdict, found.payload_read) == ("incomplete", False)


def limited(calls):
    """A ``cancel`` that ends the work after so many calls: a file of 65 GiB takes more of them."""
    asked = iter(range(calls))
    return lambda: next(asked, None) is None


def test_the_json_fits_the_schema_and_is_the_same_each_time():
    validator = Draft202012Validator(schema("comparison"))
    for name, (old, new) in PAIRS.items():
        found = compared(old, new)
        validator.validate(msgspec.json.decode(render(found)))
        assert render(found) == render(compared(old, new)), name


def test_a_matrix_of_another_product_is_not_compared_and_no_error():
    other = replace(
        forge.MANIFEST,
        product="other",
        matrix=Matrix(releases=("5.30.02",), sources=(MatrixSource(id="a", versions=">=5.30.02"),)),
    )
    found = compared(forge.good(), forge.write(other), trust=OFFICES)
    assert (found.verdict, found.matrix.diff) == ("differs", None)
    assert "cannot be compared" in found.matrix.reason
