"""A component that is itself a bundle: the rules of its format apply, and its faults are under its name."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import bundlekit
from bundlekit.authoring.build import build
from bundlekit.authoring.signers import load_signers
from bundlekit.authoring.spec import load
from bundlekit.layout import reader
from bundlekit.source import BytesSource
from fixtures import forge, make_rauc
from tests.formats import toy

pytestmark = pytest.mark.usefixtures("_toys")

AT = dt.datetime.fromisoformat(forge.AT)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PADDING = b"X" * 5000
SPEC = """
spec = 1
kind = "release"
product = "imager"
models = ["im-100"]
version = "5.40.00"
scheme = "dotted"
released = 2026-11-23
counter = 7

[components.appliance]
version = "5.40.00"
format = "toy"
file = "image.toy"
chunk-size = 65536
"""


@pytest.fixture
def trust(tmp_path):
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "toy.pem").write_bytes(pem)
    return bundlekit.load_trust([forge.KEYS / "trust" / "root.pem", tmp_path / "toy.pem"])


@pytest.fixture(params=[False, True], ids=["inside", "detached"])
def ship(request, tmp_path):
    """Build a bundle of this component."""

    def make(component: bytes) -> Path:
        (tmp_path / "image.toy").write_bytes(component)
        (tmp_path / "SPEC.toml").write_text(SPEC)
        signers = load_signers([forge.KEYS / "signer.key"], [forge.KEYS / "signer.pem"], ask=lambda _: b"")
        output = tmp_path / "release.bk"
        build(load(tmp_path / "SPEC.toml"), output, signers=signers, capacity=8192, detached=request.param)
        return output

    return make


def errors(report):
    return [(one.rule, one.subject, one.params.get("rule")) for one in report.findings if one.severity == "error"]


def test_a_good_component_is_accepted(ship, trust):
    report = bundlekit.check(ship(toy.write(sign=KEY.sign)), trust=trust, at=AT)
    assert (report.verdict, errors(report)) == ("accept", [])
    assert "component-invalid" in {one.rule for one in report.rules if one.outcome == "passed" and one.required}


@pytest.mark.parametrize(
    ("component", "rule"),
    [
        (lambda: toy.write(sign=KEY.sign)[:-1], "truncated"),
        (lambda: toy.write(sign=KEY.sign).replace(b"2.0.0", b"3.0.0"), "signature-wrong"),
        (lambda: toy.write(sign=Ed25519PrivateKey.generate().sign), "signature-wrong"),
        (lambda: forge.flip(toy.write(sign=KEY.sign), 5, 0x80), "structure-malformed"),
    ],
)
def test_the_faults_of_a_component_are_under_its_name(ship, trust, component, rule):
    report = bundlekit.check(ship(component()), trust=trust, at=AT)
    assert report.verdict == "reject"
    assert ("component-invalid", "appliance", rule) in errors(report)
    assert {one.rule for one in report.findings if one.severity == "error"} == {"component-invalid"}


def test_a_range_is_that_of_the_outer_file(ship, trust):
    data = toy.write(sign=KEY.sign)
    path = ship(data[:-1] + b"x")
    report = bundlekit.check(path, trust=trust, at=AT)
    (finding,) = (one for one in report.findings if one.params.get("rule") == "digest-mismatch")
    whole = path.read_bytes() if not finding.where.stream else (path.parent / "image.toy").read_bytes()
    assert whole[finding.where.start : finding.where.stop] == b"payloax"


def test_a_component_in_another_format_is_rejected(ship, trust):
    report = bundlekit.check(ship(PADDING), trust=trust, at=AT)
    assert errors(report) == [("component-invalid", "appliance", None)]


def test_the_key_of_a_component_has_to_be_trusted(ship):
    report = bundlekit.check(ship(toy.write(sign=KEY.sign)), trust=forge.trust(("keys/trust/root.pem",)), at=AT)
    assert report.verdict == "reject"
    assert {rule for _, _, rule in errors(report)} == {"signer-unknown"}


REQUIRED = """
trust = 1
allow-test-keys = true
[signers.release]
role = "production"
anchor = "root.pem"
subject = "CN=second-signer (TEST ONLY),O=TEST ONLY"
[signers.board]
role = "production"
anchor = "root.pem"
subject = "CN=signer (TEST ONLY),O=TEST ONLY"
formats = ["rauc"]
[[require]]
of = ["release"]
"""


@pytest.mark.parametrize(
    ("more", "verdict"), [("", "accept"), ('[[require]]\nof = ["board"]\nalgorithms = ["rsa"]\n', "reject")]
)
def test_a_requirement_for_the_bundle_is_none_for_its_component(tmp_path, more, verdict):
    """Who signs update.bin alone cannot sign a RAUC bundle in it, so that requirement is not for it."""
    (tmp_path / "image.toy").write_bytes((make_rauc.FOLDER / "verity.raucb").read_bytes())
    (tmp_path / "SPEC.toml").write_text(SPEC.replace('"toy"', '"rauc"'))
    (tmp_path / "root.pem").write_bytes((forge.KEYS / "trust" / "root.pem").read_bytes())
    (tmp_path / "trust.toml").write_text(REQUIRED + more)
    names = [forge.KEYS / f"second-signer.{end}" for end in ("key", "pem")]
    signers = load_signers([names[0]], [names[1]], ask=lambda _: b"")
    build(load(tmp_path / "SPEC.toml"), tmp_path / "release.bk", signers=signers, capacity=8192)
    report = bundlekit.check(tmp_path / "release.bk", trust=bundlekit.load_trust([tmp_path / "trust.toml"]), at=AT)
    assert report.verdict == verdict, report.findings
    assert [one.params["rule"] for one in report.findings if one.severity == "error"] == (
        ["too-few-signers"] if more else []
    )


def test_a_pre_flight_does_not_read_the_component(ship, trust):
    report = bundlekit.preflight(ship(toy.write()), trust=trust, at=AT)
    assert report.verdict == "accept"
    assert [one.required for one in report.rules if one.rule == "component-invalid"] == [False]


def test_a_manifest_of_the_first_format_has_no_such_key(ship):
    data = ship(toy.write()).read_bytes()
    old = data.replace(b'"format":{"major":1,"minor":1}', b'"format":{"major":1,"minor":0}')
    assert old != data
    problems = reader.read(BytesSource(old)).problems
    assert [one.rule for one in problems] == ["manifest-schema"]
    assert "which format 1.1 adds" in problems[0].message
