"""The first line of a report: which key signed the bundle, is every byte covered, and can this version take it."""

import datetime as dt
from pathlib import Path

import pytest

import bundlekit
from bundlekit.report import text
from bundlekit.report.answer import answer
from bundlekit.source import BytesSource
from fixtures import forge

NOW = dt.datetime.fromisoformat(forge.AT)
FORMATS = Path(__file__).parents[1] / "fixtures" / "formats"
MATRIX = """
matrix = 1
releases = ["2026.9", "2026.10"]
[release]
scheme = "pep440"
[[from]]
id = "since-2026.10"
versions = ">=2026.10, <2026.11.post1"
"""


def first(data, trust=None, **asked):
    """The lines of a report."""
    report = bundlekit.check(BytesSource(data), trust=trust, at=NOW, **asked)
    return [line.text for line in text.lines(report)]


def rauc(name="verity", *, trust=True, change=bytes, **asked):
    store = bundlekit.load_trust([FORMATS / "rauc" / "trust.toml"]) if trust else None
    data = (FORMATS / "rauc" / f"{name}.raucb").read_bytes()
    return first(change(data), store, **asked)


@pytest.fixture
def matrix(tmp_path):
    (tmp_path / "m.toml").write_text(MATRIX)
    return bundlekit.load_matrix(tmp_path / "m.toml")


def test_the_answer_names_the_signer_and_its_role():
    lines = rauc()
    assert lines[0] == "bundle <bytes>: signed by release [production]; every byte covered; no installed version given"
    assert lines[1] == "  contains   rauc: Test Board 2026.11-1 (build 20261123), release"
    assert rauc("mail")[0].startswith("bundle <bytes>: signed by office [development]; every byte covered")


def test_the_answer_names_each_version(matrix):
    line = rauc(matrix=matrix, sources=("2026.10", "2026.9"))[0]
    assert line.endswith("; 2026.10 can be updated, 2026.9 CANNOT be updated (unsupported-source)")
    assert rauc(sources="2026.10")[0].endswith("; no version decided")
    many = rauc(matrix=matrix, sources=("2026.10", "2026.9", "2026.10", "2026.9"))[0]
    assert many.endswith("; 2 of 4 can be updated")


def test_without_trust_nothing_is_certain(matrix):
    line = rauc(trust=False, matrix=matrix, sources="2026.10")[0]
    assert "signatures NOT VERIFIED (no `trust`)" in line
    assert line.endswith("; 2026.10 could be updated")


def test_a_damaged_bundle_must_not_be_installed(matrix):
    line = rauc(
        change=lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], matrix=matrix, sources="2026.10"
    )[0]
    assert "; NOT intact; must not be installed" in line


def test_an_unsigned_bundle_is_called_so():
    store = bundlekit.load_trust([FORMATS / "mcuboot" / "trust.toml"])
    lines = first((FORMATS / "mcuboot" / "unsigned.bin").read_bytes(), store)
    assert lines[0].startswith("bundle <bytes>: NOT signed; payload NOT read; ")
    (coverage,) = (line for line in lines if line.startswith("  coverage "))
    assert "the payload was not read, so its bytes are not checked; signatures and digests cover " in coverage


def test_bytes_of_framing_are_not_counted_as_covered():
    store = bundlekit.load_trust([FORMATS / "mender" / "trust.toml"])
    lines = first((FORMATS / "mender" / "plain.mender").read_bytes(), store)
    assert "; every byte covered but 540 of framing; " in lines[0]


def test_a_file_that_is_no_bundle_is_called_so():
    assert first(b"PK\3\4" + bytes(100))[0] == "bundle <bytes>: not a bundle that bundlekit can read"


def test_the_digest_of_a_key_is_that_of_the_device():
    store = bundlekit.load_trust([FORMATS / "esp" / "trust.toml"])
    data = (FORMATS / "esp" / "two.bin").read_bytes()
    report = bundlekit.check(BytesSource(data), trust=store, at=NOW)
    stored = [report.release.annotations[f"esp-key-digest-{number}"] for number in range(2)]
    assert [one.device_key for one in report.signatures] == [f"sha256:{digest}" for digest in stored]
    shown = [line.text for line in text.lines(report) if "as the device stores it" in line.text]
    assert shown == [f"             key digest sha256:{digest}, as the device stores it" for digest in stored]


@pytest.mark.parametrize(
    ("file", "trust", "read"),
    [
        ("rauc/plain.raucb", "rauc", True),
        ("rauc/plain.raucb", None, True),
        ("mcuboot/p256.bin", "mcuboot", True),
        ("mcuboot/slot.hex", "mcuboot", True),
        ("esp/p256.bin", "esp", True),
        ("mcuboot/p256.bin", None, False),  # without its key, no signature is compared
        ("mcuboot/unsigned.bin", "mcuboot", False),
        ("rauc/verity.raucb", "rauc", False),
        ("mender/plain.mender", "mender", False),
    ],
)
def test_a_pre_flight_states_truly_whether_the_payload_was_read(file, trust, read):
    folder = Path(forge.__file__).parent / "formats"
    store = bundlekit.load_trust([folder / trust / "trust.toml"]) if trust else None
    report = bundlekit.preflight(folder / file, trust=store)
    shown = "\n".join(bundlekit.render([report], style) for style in ("text", "html", "markdown", "json"))
    assert ("payload was not read" in shown or "payload not read" in shown) != read
    assert ("checked as far as signatures cover it" in report.summary) == read
    assert ("checked as far as signatures cover it" in answer(report)) == read
