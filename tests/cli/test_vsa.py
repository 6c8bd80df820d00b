"""The verification summary: as the specification has it, read by another reader, and PASSED only for a full accept."""

import base64
import datetime as dt
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary
from in_toto_attestation.v1 import resource_descriptor_pb2, statement_pb2
from in_toto_attestation.v1.statement import Statement
from msgspec.structs import replace

import bundlekit
from bundlekit import formats, pipeline, wall_clock
from bundlekit.checks import RULES
from bundlekit.cli import run
from bundlekit.errors import ChangedWhileReadError
from bundlekit.integrity import whole
from bundlekit.report import vsa
from bundlekit.report.build import partly
from bundlekit.request import CheckRequest
from bundlekit.source import BytesSource, FileSource
from fixtures import forge
from tests.formats.conformance import AT, SAMPLES, good, trust

DEMO = "fixtures/demo/update.bin"
TRUST = ["--trust", "fixtures/demo/root.pem"]

SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:."}


def only(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    properties = required | optional
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


DIGESTS = only({"sha256": SHA256})
DESCRIPTOR = only(
    {"uri": URI}, digest=DIGESTS, name={"type": "string"}, content={"type": "string"}, mediaType={"type": "string"}
)
RESULT = {"type": "string", "pattern": "^(SLSA_[A-Z]+_LEVEL_([0-9]|UNEVALUATED)|FAILED|(?!SLSA_).+)$"}
PREDICATE = only(
    {
        "verifier": only({"id": URI}, version={"type": "object", "additionalProperties": {"type": "string"}}),
        "resourceUri": URI,
        "policy": DESCRIPTOR,
        "verificationResult": {"enum": ["PASSED", "FAILED"]},
        "verifiedLevels": {"type": "array", "items": RESULT, "minItems": 1},
    },
    timeVerified={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
    inputAttestations={"type": "array", "items": DESCRIPTOR},
    dependencyLevels={"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    slsaVersion={"type": "string", "pattern": r"^1\.\d+$"},
)
SCHEMA = only(
    {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": only({"digest": DIGESTS}, name={"type": "string"})},
        "predicateType": {"const": "https://slsa.dev/verification_summary/v1"},
        "predicate": PREDICATE,
    }
)
"""Statement v1 and the verification summary of SLSA 1.1, with every field that the specifications have and no other."""


def judged(text: str) -> dict[str, Any]:
    """The statement, after the schema and a reader that others wrote have accepted it."""
    jsonschema.validate(value := json.loads(text), SCHEMA)
    read = Statement.copy_from_pb(json_format.Parse(text, statement_pb2.Statement()))
    read.validate()
    assert {one.digest["sha256"] for one in read.pb.subject} == {one["digest"]["sha256"] for one in value["subject"]}
    predicate = value["predicate"]
    rest = {key: one for key, one in predicate.items() if key != "verifiedLevels"}  # an array, but one text in 0.9.3
    known = json_format.ParseDict(rest, VerificationSummary(), ignore_unknown_fields=True)
    assert known.verification_result == predicate["verificationResult"]
    assert known.verifier.id == predicate["verifier"]["id"]
    described = json_format.ParseDict(predicate["policy"], resource_descriptor_pb2.ResourceDescriptor())
    assert hashlib.sha256(described.content).hexdigest() == described.digest["sha256"]
    assert known.policy.uri == described.uri
    assert known.time_verified.ToJsonString() == predicate["timeVerified"]
    return value


def policy_of(value: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(value["predicate"]["policy"]["content"]))


def made(path, *options: str) -> tuple[int, dict[str, Any]]:
    code = run(["check", *options, "-o", str(path / "report.json"), "--vsa", str(path / "vsa.json")])
    return code, judged((path / "vsa.json").read_text())


def test_an_accepted_bundle(tmp_path):
    code, value = made(tmp_path, DEMO, *TRUST, "--from", "5.30.02")
    report = json.loads((tmp_path / "report.json").read_text())
    assert code == 0
    assert value["subject"] == [
        {"name": "update.bin", "digest": {"sha256": hashlib.sha256(Path(DEMO).read_bytes()).hexdigest()}},
        {"name": "update.bin#head", "digest": {"sha256": report["id"].removeprefix("sha256:")}},
    ]
    predicate = value["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"] == ["SLSA_BUILD_LEVEL_UNEVALUATED"]
    assert predicate["verifier"]["version"] == {"bundlekit": bundlekit.__version__}
    assert predicate["timeVerified"] == report["request"]["at"]
    assert predicate["resourceUri"] == "pkg:generic/imager@5.40.00"
    assert policy_of(value)["request"]["trust"] == report["request"]["trust"]
    assert policy_of(value)["request"]["sources"] == ["5.30.02"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([DEMO, *TRUST, "--from", "5.20.00"], 1),  # rejected for that version
        (["fixtures/golden/chunk-digest-mismatch/bundle.bin", *TRUST], 1),
        (["fixtures/golden/not-a-bundle/bundle.bin", *TRUST], 1),
        ([DEMO], 3),  # no trust: incomplete
        (["fixtures/golden/signer-unknown/bundle.bin", *TRUST], 1),
    ],
)
def test_anything_that_is_not_accepted_has_failed(options, code, tmp_path):
    got, value = made(tmp_path, *options)
    assert got == code
    assert value["predicate"]["verificationResult"] == "FAILED"
    assert value["predicate"]["verifiedLevels"] == ["FAILED"]


def rendered(result):
    return vsa.render(result.report, result.digests)


@pytest.mark.parametrize(("name", "sample"), [one for one in SAMPLES if one.values[0] in formats.FORMATS])
def test_every_format(name, sample, tmp_path):
    file = tmp_path / sample
    file.write_bytes(good(name)[sample])
    result = pipeline.judge(file, CheckRequest(trust=trust(name), at=AT), digests=True)
    value = judged(rendered(result))
    assert value["predicate"]["verificationResult"] == "PASSED"
    assert value["subject"][0]["digest"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    unsigned = pipeline.judge(file, CheckRequest(at=AT), digests=True)
    assert judged(rendered(unsigned))["predicate"]["verificationResult"] == "FAILED"


def accepted(**how):
    report = bundlekit.check(BytesSource(forge.good()), trust=forge.trust(), **{"at": AT} | how)
    assert report.verdict == "accept"
    return report


def test_what_leaves_a_part_out_has_not_passed():
    assert vsa.is_passed(accepted())
    data = forge.good()
    assert not vsa.is_passed(bundlekit.preflight(data, size=len(data), trust=forge.trust(), at=AT))
    assert not vsa.is_passed(accepted(rules=RULES[:3]))
    assert not vsa.is_passed(partly(accepted(), ("line 2 is no state",)))
    for kind in ("reject", "incomplete"):
        assert not vsa.is_passed(replace(accepted(), verdict=kind))
    outcome = replace(accepted().rules[0], outcome="not-run", required=True)
    assert not vsa.is_passed(replace(accepted(), rules=(outcome, *accepted().rules[1:])))


def test_the_policy_changes_with_what_was_asked_and_not_with_the_bundle():
    def digest(report):
        return vsa.statement(report, [("a", "0" * 64)])["predicate"]["policy"]["digest"]["sha256"]

    plain = digest(accepted())
    assert digest(replace(accepted(), id="sha256:" + "1" * 64)) == plain
    assert digest(replace(accepted(), request=replace(accepted().request, file="other.bin"))) == plain
    asked = [accepted(strict=True), accepted(full=True), accepted(at=AT + dt.timedelta(days=1))]
    request = accepted().request
    asked += [replace(accepted(), request=replace(request, trust="sha256:" + "2" * 64))]
    asked += [replace(accepted(), rules=accepted().rules[1:])]
    asked += [
        replace(accepted(), request=replace(request, sources=tuple(map(str, range(count))))) for count in (1, 16, 17)
    ]
    assert len({plain, *map(digest, asked)}) == len(asked) + 1


def test_a_time_that_was_given_is_not_the_time_of_the_check():
    value = vsa.statement(accepted(), [("a", "0" * 64)])
    assert policy_of(value)["request"]["at"] == forge.AT
    assert dt.datetime.fromisoformat(value["predicate"]["timeVerified"]) == wall_clock.now()


def test_names_are_text_that_can_be_encoded_and_give_no_command(tmp_path):
    name = os.fsdecode(b"##vso[task.complete]\n::error::\xff.bin")
    shutil.copy(DEMO, tmp_path / name)
    code, value = made(tmp_path, str(tmp_path / name))
    assert code == 3
    assert value["subject"][0]["name"] == "##vso[task.complete]\n::error::?.bin"
    text = (tmp_path / "vsa.json").read_text()
    assert "##" not in text
    assert text.count("\n") == 1
    assert value["predicate"]["resourceUri"] == "pkg:generic/%23%23vso%5Btask.complete%5D%0A%3A%3Aerror%3A%3A%3F.bin"


def test_the_files_of_a_detached_head_are_subjects_too(desk, cli):
    signer = ["--cert", "keys/signer.pem", "--key", "keys/signer.key"]
    assert cli("build", "SPEC.toml", "--detached", "-o", "r.bk", *signer).code == 0
    files = [*Path("out").iterdir(), Path("notes.md"), Path("eula.txt")]
    for name in ("storage-3.4.0.img", "im200.img"):
        shutil.copy(f"out/{name}", ".")
    far = ["--component", "appliance/im-100=out/im100.img"]
    assert cli("check", "r.bk", "--trust", "keys/root.pem", *far, "--vsa", "v").code == 0
    value = judged(Path("v").read_text())
    assert value["predicate"]["verificationResult"] == "PASSED"
    found = {one["name"]: one["digest"]["sha256"] for one in value["subject"]}
    del found["r.bk#head"]
    assert found == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (Path("r.bk"), *files)}


def test_a_file_that_is_rewritten_between_check_and_digest_has_no_statement(tmp_path):
    """Also if its size and its modification time are as before."""
    file = tmp_path / "a"
    file.write_bytes(b"x" * 100)
    with FileSource(file) as source:
        files, before = whole.WholeFiles(source), file.stat()
        assert files.digests() == ((str(file), hashlib.sha256(b"x" * 100).hexdigest()),)
        for _ in range(100):  # ticks of the clock of the file system
            with file.open("r+b") as opened:
                opened.write(b"y")
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            if file.stat().st_ctime_ns != before.st_ctime_ns:
                break
        with pytest.raises(ChangedWhileReadError):
            files.digests()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([DEMO, DEMO, "--vsa", "{0}/v"], "--vsa is about one bundle"),
        ([DEMO, "--vsa", "-"], "--vsa - is also the output of the report"),
        ([DEMO, "--vsa", "{0}/v", "-o", "{0}/v"], "--vsa {0}/v is also the output of the report"),
        ([DEMO, "--vsa-resource", "https://example.com/"], "--vsa-resource requires --vsa"),
        ([DEMO, "--vsa", DEMO], f"--vsa {DEMO} is also an input; nothing was written"),
        ([DEMO, "--component", f"storage={DEMO}", "--vsa", DEMO], f"--vsa {DEMO} is also an input"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(options, message, tmp_path, capsys):
    before = Path(DEMO).read_bytes()
    assert run(["check", *(one.format(tmp_path) for one in options)]) == 2
    assert message.format(tmp_path) in capsys.readouterr().err
    assert Path(DEMO).read_bytes() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["update.bin", "HTTPS://example.com/x", "https://example.com/a b", "http://é"])
def test_a_resource_is_a_uri(uri, tmp_path, capsys):
    assert run(["check", DEMO, "--vsa", str(tmp_path / "v"), "--vsa-resource", uri]) == 3
    assert "is not a URI" in capsys.readouterr().err


def test_the_resource_is_the_given_one_and_standard_output_can_be_the_file(tmp_path, capsys):
    uri = "https://example.com/update.bin?x=%20#1"
    assert run(["check", DEMO, *TRUST, "--vsa", "-", "-o", str(tmp_path / "r.txt"), "--vsa-resource", uri]) == 0
    assert judged(capsys.readouterr().out)["predicate"]["resourceUri"] == uri


def test_an_old_statement_does_not_survive_and_another_file_is_not_removed(tmp_path, capsys):
    file = tmp_path / "v"
    assert run(["check", DEMO, *TRUST, "--vsa", str(file)]) == 0
    assert run(["check", str(tmp_path / "missing.bin"), *TRUST, "--vsa", str(file)]) == 3
    assert not file.exists()
    assert run(["check", DEMO, *TRUST, "--vsa", str(tmp_path / "target")]) == 0
    file.symlink_to("target")
    assert run(["check", str(tmp_path / "missing.bin"), *TRUST, "--vsa", str(file)]) == 3
    assert not file.exists()
    file.unlink()
    file.write_text("{}")
    assert run(["check", str(tmp_path / "missing.bin"), *TRUST, "--vsa", str(file)]) == 3
    assert file.read_text() == "{}"


def test_a_check_without_it_loads_nothing_of_it():
    code = "import sys; from bundlekit.cli import run; run(sys.argv[1:]); print('bundlekit.report.vsa' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "check", DEMO], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_policy_has_the_digest_of_a_project_file_and_not_its_place(desk, cli):
    Path("bundlekit.toml").write_text('config = 1\ntrust = ["keys/root.pem"]\n')
    assert cli("check", "update.bin", "--vsa", "v").code == 0
    asked = policy_of(judged(Path("v").read_text()))["request"]
    assert asked["config"] == f"sha256:{hashlib.sha256(Path('bundlekit.toml').read_bytes()).hexdigest()}"
    assert "bundlekit.toml" not in json.dumps(asked)
