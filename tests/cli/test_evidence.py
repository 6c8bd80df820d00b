"""Documents and records of tests on the command line: built, listed, extracted, compared, required."""

import hashlib
import json
from pathlib import Path

import pytest

from bundlekit import check, load_trust, pipeline
from bundlekit.cli import run
from fixtures import forge, make_documents
from fixtures.format_reports import FOLDER as FORMATS

KEYS = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
TRUST = ("--trust", "keys/root.pem")
MORE = """
[documents]
sbom = "SBOM.CDX.JSON"
spdx = "a.spdx.json"
spdx3 = "a.spdx3.json"
attestations = "a.intoto.jsonl"
qa-8812 = "qa.pdf"
other = { file = "qa.pdf", media-type = "text/plain" }
"""


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def papers(shop):
    """The documents of ``MORE``."""
    Path("SBOM.CDX.JSON").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    for name in ("a.spdx.json", "a.spdx3.json"):
        Path(name).write_bytes((make_documents.FOLDER / name.replace("a.", "appliance.")).read_bytes())
    Path("a.intoto.jsonl").write_text("{}\n")
    Path("qa.pdf").write_bytes(b"%PDF passed")


def matrix(tested):
    return f'releases = ["5.30.02"]\n[[from]]\nid = "rolling"\nversions = ">=5.30.02, <5.40.00"\ntested = "{tested}"\n'


def test_documents_are_listed_with_their_media_types_and_extracted(papers, ship, cli):
    bundle = ship("5.40.00", matrix("QA-8812"), more=MORE)
    lines = [line for line in cli("inspect", bundle).out.splitlines() if line.startswith("document")]
    assert lines == [
        "document    sbom (application/vnd.cyclonedx+json), 48 bytes",
        f"document    spdx (application/spdx+json), {Path('a.spdx.json').stat().st_size:,} bytes",
        f"document    spdx3 (application/spdx3+json), {Path('a.spdx3.json').stat().st_size:,} bytes",
        "document    attestations (application/vnd.in-toto.bundle), 3 bytes",
        "document    qa-8812 (application/pdf), 11 bytes",
        "document    other (text/plain), 11 bytes",
    ]
    parts = json.loads(cli("inspect", bundle, "--format", "json").out)["claims"]["parts"]
    assert [one.get("media-type") for one in parts][:2] == [None, "application/vnd.cyclonedx+json"]
    assert cli("extract", bundle, "spdx", "-o", "out", *TRUST).code == 0
    assert Path("out").read_bytes() == Path("a.spdx.json").read_bytes()


@pytest.mark.parametrize("detached", [False, True])
def test_build_adds_the_digest_of_the_record(papers, ship, cli, detached):
    bundle = ship("5.40.00", matrix("QA-8812"), more=MORE.partition("other")[0])
    if detached:
        assert cli("build", "5.40.00.toml", "--detached", "-o", bundle, *KEYS).code == 0
    (source,) = pipeline.read_manifest(bundle).matrix.sources
    assert source.tested == f"QA-8812@{digest(b'%PDF passed')}"
    assert source.record == ("QA-8812", digest(b"%PDF passed"))
    for verb in ("check", "preflight"):
        assert cli(verb, bundle, *TRUST, "--require-evidence").code == 0
    (row,) = [
        one for one in json.loads(cli("matrix", "show", bundle, "--format", "json").out)["rows"] if one["allowed"]
    ]
    assert row["tested"] == "QA-8812"


@pytest.mark.parametrize(
    ("tested", "message"),
    [
        ("", "rolling allows an update without the record of a test"),
        ("QA-9", "rolling names the test record 'QA-9', which is not a document of the bundle"),
        (f"QA-8812@{digest(b'other')}", "'QA-8812' with a digest that no document of the bundle has"),
    ],
)
def test_a_release_without_evidence_is_rejected_on_request_only(papers, ship, cli, tested, message):
    bundle = ship("5.40.00", matrix(tested), more=MORE)
    assert cli("check", bundle, *TRUST).code == 0
    for verb in ("check", "preflight"):
        report = cli(verb, bundle, *TRUST, "--require-evidence", "--format", "json")
        value = json.loads(report.out)
        assert (report.code, value["causes"], value["request"]["require-evidence"]) == (1, ["best-practice"], True)
        (finding,) = (one for one in value["findings"] if one["severity"] == "error")
        assert (finding["rule"], finding["entry"]) == ("evidence-missing", "rolling")
        assert message in finding["message"]


def test_a_source_that_allows_no_update_needs_no_record(papers, ship, cli):
    more = '[[from]]\nid = "old"\nversions = "<5.30.02"\nunlisted = true\nmethod = "reimage"\n'
    bundle = ship("5.40.00", matrix("QA-8812") + more, more=MORE)
    assert cli("preflight", bundle, *TRUST, "--require-evidence").code == 0


def test_a_digest_in_the_matrix_is_the_name_of_a_document_too(papers, ship, cli):
    bundle = ship("5.40.00", matrix(f"QA 8812, again@{digest(b'%PDF passed')}"), more=MORE)
    assert cli("check", bundle, *TRUST, "--require-evidence").code == 0


TEST = "https://in-toto.io/attestation/test-result/v0.1"
VSA = "https://slsa.dev/verification_summary/v1"


def result(kind, image="5.40.00", **predicate):
    """An attestation about the image that ``ship`` uses, or about another one."""
    content = b"image" * 1000 if image else b"another"
    subject = [{"name": "image", "digest": {"sha256": hashlib.sha256(content).hexdigest()}}]
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": subject}
    return json.dumps(statement | {"predicateType": kind, "predicate": predicate})


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (result(TEST, result="PASSED"), ""),
        (result(TEST, result="WARNED"), ""),
        (result(TEST, result="FAILED"), "which states that the test failed"),
        (result(VSA, verificationResult="PASSED"), ""),
        (result(VSA, verificationResult="FAILED"), "which states that the test failed"),
        (result(TEST, result="SKIPPED"), "which cannot be read"),
        (result(TEST), "which cannot be read"),
        (result(TEST, image="", result="PASSED"), "which is about another build"),
        (result("https://example.com/test", result="FAILED"), ""),
        ("{}", ""),
        ("{", "which cannot be read"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_record_that_is_read_must_be_about_a_success_of_this_build(ship, cli, record, problem, lines):
    name = "a.intoto.jsonl" if lines else "a.json"
    Path(name).write_text(f"{{}}\n{record}\n" if lines else record)
    bundle = ship("5.40.00", matrix("QA-8812"), more=f'[documents]\nqa-8812 = "{name}"\n')
    assert cli("preflight", bundle, *TRUST, "--require-evidence").code == 0
    found = cli("check", bundle, *TRUST, "--require-evidence", "--format", "json")
    messages = [one["message"] for one in json.loads(found.out)["findings"] if one["severity"] == "error"]
    assert messages == ([f"rolling names the test record 'QA-8812', {problem}"] if problem else [])
    assert found.code == (1 if problem else 0)


def test_the_same_inputs_give_the_same_head(papers, ship):
    first = Path(ship("5.40.00", matrix("QA-8812"), more=MORE)).read_bytes()
    again = Path(ship("5.40.00", matrix("QA-8812"), more=MORE)).read_bytes()
    assert pipeline.inspect("5.40.00.bin").id == digest(first[: 32 + int.from_bytes(first[12:16])])
    assert first[:4096] == again[:4096]


@pytest.mark.parametrize("sample", ["rauc/verity.raucb", "mcuboot/p256.bin"])
def test_a_bundle_that_cannot_contain_documents_is_incomplete(sample):
    trust = load_trust([(FORMATS / sample).with_name("trust.toml")])
    report = check(FORMATS / sample, trust=trust, require_evidence=True)
    assert report.verdict == "incomplete"
    (outcome,) = (one for one in report.rules if one.required and one.outcome == "not-run")
    assert (outcome.rule, outcome.reason) == ("evidence-missing", "bundles of this format contain no documents")
    assert check(FORMATS / sample, trust=trust).verdict == "accept"


def test_the_next_step_names_the_option(capsys):
    assert run(["check", str(forge.KEYS.parent / "golden/evidence-missing/bundle.bin"), "--format", "json"]) == 3
    rules = {one["rule"]: one["reason"] for one in json.loads(capsys.readouterr().out)["rules"]}
    assert rules["evidence-missing"] == "records of tests are required on request (--require-evidence)"


@pytest.mark.parametrize(("value", "code"), [("true", 1), ("false", 0)])
def test_a_project_file_can_require_it(papers, ship, cli, value, code):
    bundle = ship("5.40.00", matrix("QA-9"), more=MORE)
    Path("bundlekit.toml").write_text(f'config = 1\ntrust = ["keys/root.pem"]\nrequire-evidence = {value}\n')
    assert cli("check", bundle).code == code
    assert cli("preflight", bundle).code == code


def test_a_summary_of_a_check_that_required_it_has_another_policy(papers, ship, cli):
    bundle = ship("5.40.00", matrix("QA-8812"), more=MORE)
    for more, name in (((), "a"), (("--require-evidence",), "b")):
        assert cli("check", bundle, *TRUST, *more, "--vsa", name).code == 0
    policies = [json.loads(Path(name).read_text())["predicate"]["policy"]["digest"] for name in "ab"]
    assert policies[0] != policies[1]


def test_a_document_of_several_chunks_is_read(ship, cli):
    image = {"type": "firmware", "name": "appliance", "version": "5.40.00"}
    libraries = [{"type": "library", "name": f"lib-{number}", "version": "1"} for number in range(25_000)]
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": image}, "components": libraries}
    Path("a.cdx.json").write_text(json.dumps(sbom))
    assert Path("a.cdx.json").stat().st_size > 2**20
    bundle = ship("5.40.00", matrix("QA"), more='[documents]\nsbom = "a.cdx.json"\n')
    result = cli("check", bundle, *TRUST)
    assert (result.code, result.err) == (0, "")
    assert "  document   sbom (CycloneDX 1.6) agrees with the bundle (1 artifact compared)" in result.out


@pytest.mark.parametrize(("detached", "differs"), [(True, ["digest"]), (False, ["subject"])])
def test_the_file_of_a_detached_head_has_its_name_in_an_sbom(ship, cli, detached, differs):
    hashes = [{"alg": "SHA-256", "content": "0" * 64}]
    main = {"type": "file", "name": "build/image", "version": "5.40.00", "hashes": hashes}
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": main}}
    Path("a.cdx.json").write_text(json.dumps(sbom))
    bundle = ship("5.40.00", matrix("QA"), more='[documents]\nsbom = "a.cdx.json"\n')
    if detached:
        assert cli("build", "5.40.00.toml", "--detached", "-o", bundle, *KEYS).code == 0
    report = json.loads(cli("check", bundle, *TRUST, "--format", "json").out)
    found = [one["params"]["what"] for one in report["findings"] if one["rule"] == "document-mismatch"]
    assert (report["verdict"], found) == ("accept", differs)
