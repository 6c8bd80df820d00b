"""Documents in a bundle: those that other tools wrote, those that are about another build, and hostile ones."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.v1 import statement_pb2

import bundlekit
from bundlekit.evidence import budget, kinds, measure
from bundlekit.evidence.artifact import MalformedDocumentError
from bundlekit.evidence.comparison import MAX_DIFFERENCES
from bundlekit.model.manifest import Component, Document, Image
from bundlekit.report.model import ReadDocument
from fixtures import forge, make_documents
from fixtures.forge import IMAGE, MANIFEST, documented, stored

FOLDER = make_documents.FOLDER
CDX, SPDX, SPDX3 = "application/vnd.cyclonedx+json", "application/spdx+json", "application/spdx3+json"
INTOTO, LINES, JSON = "application/vnd.in-toto+json", "application/vnd.in-toto.bundle", "application/json"
SHA256, OTHER = hashlib.sha256(IMAGE).hexdigest(), hashlib.sha256(b"another build").hexdigest()

SAMPLES = {
    "appliance-1.6.cdx.json": (CDX, "CycloneDX 1.6", 1),
    "appliance-1.7.cdx.json": (f"{CDX}; version=1.7", "CycloneDX 1.7", 1),
    "appliance.spdx.json": (SPDX, "SPDX 2.3", 2),
    "appliance.spdx3.json": (SPDX3, "SPDX 3.0.1", 1),
    "provenance.json": (INTOTO, "in-toto (https://slsa.dev/provenance/v1)", 1),
    "provenance.dsse.json": ("application/vnd.in-toto.provenance+dsse", "in-toto (https://slsa.dev/provenance/v1)", 1),
    "all.intoto.jsonl": (LINES, "in-toto bundle", 1),
    "openvex.json": (JSON, "OpenVEX", 1),
}


def judge(data: bytes, media_type: str = JSON, **how: Any):
    return forge.judge(documented(data, media_type), forge.Ask(**how))


def outcome(report, rule="document-mismatch"):
    return next(one for one in report.rules if one.rule == rule)


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def text(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def test_the_samples_are_listed_and_those_made_by_hand_are_what_their_script_makes():
    assert {file.name for file in FOLDER.iterdir()} == set(SAMPLES)
    for name, content in make_documents.by_hand().items():
        assert text(name) == content.encode()


def test_another_reader_reads_the_statement():
    read = json_format.Parse(text("provenance.json"), statement_pb2.Statement())
    assert [one.digest["sha256"] for one in read.subject] == [SHA256]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_document_about_the_bundle_is_compared(name):
    media_type, form, count = SAMPLES[name]
    report = judge(text(name), media_type, strict=True)
    assert (report.verdict, report.findings) == ("accept", ())
    assert outcome(report).reason == ""
    assert report.documents == (ReadDocument(name="sbom", format=form, compared=count, result="agrees"),)
    assert kinds.read(media_type, text(name)).format == form
    found = [one for one in kinds.read(media_type, text(name)).artifacts if one.digests.get("sha256") == SHA256]
    assert len(found) == count


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "openvex.json"])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_document_about_another_build_is_a_warning_and_a_strict_check_rejects(name, as_json):
    data = text(name)
    if b'"payload"' in data:
        inner = base64.b64encode(dump(make_documents.statement()).replace(SHA256.encode(), OTHER.encode())).decode()
        data = b"\n".join(
            dump({**json.loads(one), "payload": inner}) for one in data.splitlines()[:1] * (name[0] == "a")
        )
        data = data or dump({**make_documents.envelope(), "payload": inner})
    data = data.replace(SHA256.encode(), OTHER.encode())
    media_type = SAMPLES[name][0] if not as_json or name.endswith("l") else JSON
    report = judge(data, media_type)
    assert report.verdict == "accept"
    assert {one.rule for one in report.findings} == {"document-mismatch"}
    assert OTHER in report.findings[0].message
    assert report.findings[0].params["stated"] == f"sha256:{OTHER}"
    assert [one.result for one in report.documents] == ["differs"]
    strict = judge(data, media_type, strict=True)
    assert (strict.verdict, strict.causes) == ("reject", ("best-practice",))


def cdx(main: Any = None, *components: Any) -> bytes:
    metadata = {} if main is None else {"metadata": {"component": main}}
    return dump({"bomFormat": "CycloneDX", "specVersion": "1.6", **metadata, "components": list(components)})


def named(
    name: str, version: str = "", digest: str = "", kind: str = "firmware", alg: str = "SHA-256"
) -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "name": name}
    if version:
        found["version"] = version
    if digest:
        found["hashes"] = [{"alg": alg, "content": digest}]
    return found


ROWS = {
    # what the SBOM states, and what differs
    "same digest and version": (cdx(named("appliance", "5.40.00", SHA256)), []),
    "same digest under any name": (cdx(named("fw.bin", "5.40.00", SHA256)), []),
    "same digest and another version": (cdx(named("fw.bin", "5.40.01", SHA256)), ["version"]),
    "a version that is equal by the scheme": (cdx(named("appliance", "v5.40.0")), []),
    "a version that the scheme does not know": (cdx(named("appliance", "5.40-final!")), ["version"]),
    "another digest": (cdx(named("appliance", "5.40.00", OTHER)), ["digest"]),
    "both others": (cdx(named("appliance", "5.39.00", OTHER)), ["digest", "version"]),
    "a digest in capitals": (cdx(named("appliance", digest=SHA256.upper())), []),
    "a digest of another algorithm": (cdx(named("appliance", "5.40.00", "0" * 128, alg="SHA-512")), []),
    "a digest as a version": (cdx(named("appliance", f"sha256:{SHA256}")), []),
    "another digest as a version": (cdx(named("appliance", f"sha256:{OTHER}")), ["digest"]),
    "the product": (cdx(named("imager", "5.40.00")), []),
    "another version of the product": (cdx(named("imager", "5.40.01")), ["version"]),
    "the product with a digest of its own": (cdx(named("imager", "5.40.00", OTHER)), ["subject"]),
    "something else with a digest": (cdx(named("other", "1", OTHER)), ["subject"]),
    "something else": (cdx(named("other", "1")), []),
    "a listed component": (cdx(None, named("appliance", "5.39.00", OTHER)), ["digest", "version"]),
    "a library of that name": (cdx(None, named("appliance", "5.39.00", OTHER, kind="library")), []),
    "a library with that digest": (cdx(None, named("x", "5.39.00", SHA256, kind="library")), ["version"]),
    "a nested component": (cdx(named("imager") | {"components": [named("appliance", "5")]}), ["version"]),
    "a listed one beside the subject": (cdx(named("other", "1", OTHER), named("appliance", "", SHA256)), ["subject"]),
    "nothing": (cdx(), []),
}


@pytest.mark.parametrize(("data", "differs"), ROWS.values(), ids=ROWS)
def test_what_differs(data, differs):
    report = judge(data, CDX)
    assert [one.params["what"] for one in report.findings] == differs
    assert {one.rule for one in report.findings} <= {"document-mismatch"}


@pytest.mark.parametrize("row", ["something else", "nothing", "a library of that name"])
def test_a_document_that_names_nothing_in_the_bundle_is_left_open(row):
    report = judge(ROWS[row][0], CDX, strict=True)
    assert report.verdict == "accept"
    assert outcome(report).reason == "sbom: it names nothing in the bundle"
    assert [(one.result, one.compared) for one in report.documents] == [("names-nothing", 0)]


def test_an_image_for_a_model_and_a_document_have_names_and_digests():
    image, notes = b"im200" * 100, b"notes"
    component = Component(
        name="appliance",
        version="5.40.00",
        images=(Image(models=("im-100",), **stored(IMAGE)), Image(models=("im-200",), **stored(image))),
    )
    about = [
        (
            {"name": "appliance/im-200", "digest": {"sha256": SHA256}},
            [],
        ),  # the digest of the other one is in the bundle
        ({"name": "appliance/im-200", "digest": {"sha256": OTHER}}, ["digest"]),
        ({"name": "appliance", "digest": {"sha256": hashlib.sha256(image).hexdigest()}}, []),
        ({"name": "anything", "digest": {"sha256": hashlib.sha256(notes).hexdigest()}}, []),
        ({"name": "notes", "digest": {"sha256": OTHER}}, ["subject"]),  # the name of a document is no name of a file
    ]
    for subject, differs in about:
        data = dump(make_documents.statement() | {"subject": [subject]})
        documents = (
            Document(name="provenance", media_type=INTOTO, **stored(data)),
            Document(name="notes", media_type="text/plain", **stored(notes)),
        )
        manifest = forge.replace(MANIFEST, models=("im-100", "im-200"), components=(component,), documents=documents)
        report = forge.judge(forge.write(manifest, contents=(IMAGE, image, data, notes)))
        assert [one.params["what"] for one in report.findings if one.rule == "document-mismatch"] == differs


def test_the_digest_of_another_component_is_named():
    storage = b"storage" * 100
    components = (
        Component(name="appliance", version="5.40.00", images=(Image(**stored(IMAGE)),)),
        Component(name="storage", version="2.1", images=(Image(**stored(storage)),)),
    )
    digest = stored(storage)["digest"].partition(":")[2]
    for version, differs in (("5.40.00", ["digest"]), ("2.1", ["digest", "version"])):
        data = cdx(None, named("appliance", version, digest))
        document = Document(name="sbom", media_type=CDX, **stored(data))
        manifest = forge.replace(MANIFEST, components=components, documents=(document,))
        report = forge.judge(forge.write(manifest, contents=(IMAGE, storage, data)))
        found = [one for one in report.findings if one.rule == "document-mismatch"]
        assert [one.params["what"] for one in found] == differs
        assert "the digest that it states for 'appliance' is that of storage" in found[0].message


def spdx_2(*packages: Any, **more: Any) -> bytes:
    return dump({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": list(packages), **more})


@pytest.mark.parametrize("purpose", ["OPERATING_SYSTEM", "OPERATING-SYSTEM", "FIRMWARE", "FILE", "INSTALL", "ARCHIVE"])
def test_a_package_of_spdx_that_can_be_an_image(purpose):
    package = {"SPDXID": "a", "name": "appliance", "versionInfo": "5.39.00", "primaryPackagePurpose": purpose}
    assert [one.params["what"] for one in judge(spdx_2(package), SPDX).findings] == ["version"]
    package["primaryPackagePurpose"] = "LIBRARY"
    assert judge(spdx_2(package), SPDX).findings == ()


@pytest.mark.parametrize(
    "more",
    [
        {"documentDescribes": ["a"]},
        {"relationships": [{"spdxElementId": "a", "relatedSpdxElement": "d", "relationshipType": "DESCRIBED_BY"}]},
        {"relationships": [{"spdxElementId": "d", "relatedSpdxElement": "a", "relationshipType": "DESCRIBES"}]},
        {"relationships": [{"spdxElementId": "d", "relatedSpdxElement": "a", "relationshipType": "CONTAINS"}]},
    ],
)
def test_what_spdx_describes_is_what_it_is_about(more):
    package = {"SPDXID": "a", "name": "x", "checksums": [{"algorithm": "SHA256", "checksumValue": OTHER}]}
    found = [one.params["what"] for one in judge(spdx_2(package, **more), SPDX).findings]
    assert found == ([] if "CONTAINS" in str(more) else ["subject"])


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        ("https://cyclonedx.org/bom", json.loads(cdx(named("appliance", "5.39.00")))),
        ("https://cyclonedx.org/bom/v1.6", json.loads(cdx(named("appliance", "5.39.00")))),
        ("https://spdx.dev/Document", json.loads(text("appliance.spdx.json").replace(b'"5.40.00"', b'"5.39.00"'))),
        ("https://spdx.dev/Document/v3", json.loads(text("appliance.spdx3.json").replace(b'"5.40.00"', b'"5.39.00"'))),
    ],
)
def test_an_attested_sbom_is_read(kind, predicate):
    report = judge(dump(make_documents.statement() | {"predicateType": kind, "predicate": predicate}), INTOTO)
    assert [one.params["what"] for one in report.findings] == ["version"]


WRONG = {
    "no JSON": (b"<bom/>", "not JSON"),
    "cut": (cdx()[:-1], "not JSON"),
    "not UTF-8": (cdx() + b"\xff", "not UTF-8"),
    "a key twice": (b'{"bomFormat": "CycloneDX", "bomFormat": "x"}', "the key 'bomFormat' is given twice"),
    "deep": (b'{"a":' * 40 + b"1" + b"}" * 40, "nested deeper than 32 levels"),
    "NaN": (b'{"a": NaN}', "NaN is not a number"),
    "a huge number": (b'{"a": 1' + b"0" * 500 + b"}", "does not fit"),
    "half a pair": (b'{"a": "\\ud800"}', "half of a surrogate pair"),
    "another format": (text("provenance.json"), "declared as CycloneDX, but it is in-toto"),
    "an unknown format": (b"{}", "declared as CycloneDX, but it is another format"),
    "a list": (b"[]", "declared as CycloneDX, but it is another format"),
    "an unknown version": (b'{"bomFormat": "CycloneDX", "specVersion": "2.0"}', "version of CycloneDX is '2.0'"),
    "a version that is no text": (b'{"bomFormat": "CycloneDX", "specVersion": 1.6}', "'specVersion' is not text"),
    "components that are none": (b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": {}}', "not a list"),
    "a component that is none": (cdx(None, 7), "a value that is not an object"),
    "no name": (cdx(None, {"type": "file"}), "a component has no name"),
    "a short digest": (cdx(None, named("a", digest="00")), "the sha256 of 'a' is not 64 hex digits"),
    "a digest that is no text": (cdx(None, {"name": "a", "hashes": [{"alg": "SHA-256", "content": 7}]}), "not text"),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_a_document_that_cannot_be_read_is_a_finding(data, message):
    report = judge(data, CDX)
    assert report.verdict == "accept"
    assert [one.rule for one in report.findings] == ["document-malformed"]
    assert message in report.findings[0].message
    assert outcome(report).reason == "sbom: it cannot be read"
    assert [one.result for one in report.documents] == ["malformed"]
    assert judge(data, CDX, strict=True).verdict == "reject"


OTHERS = [
    (SPDX, {"spdxVersion": "SPDX-9"}, "version of SPDX"),
    (SPDX, {"spdxVersion": "SPDX-2.3", "packages": [{}]}, "has no name"),
    (SPDX, {"spdxVersion": "SPDX-2.3", "relationships": [[]]}, "not an object"),
    (SPDX3, {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": 1}, "not a list"),
    (INTOTO, {"_type": "https://in-toto.io/Statement/v9", "predicateType": "x"}, "type of the statement"),
    (INTOTO, make_documents.statement() | {"subject": []}, "no subject"),
    (INTOTO, make_documents.statement() | {"subject": [{"digest": 7}]}, "not an object"),
    (INTOTO, make_documents.statement() | {"predicateType": ""}, "no type of a predicate"),
    (INTOTO, make_documents.envelope() | {"payload": "*"}, "not base64"),
    (INTOTO, make_documents.envelope() | {"payload": "e30"}, "type of the statement"),
    (INTOTO, make_documents.envelope() | {"payload": "W10="}, "not a statement"),
    (INTOTO, make_documents.envelope() | {"payload": base64.b64encode(b'{"a":1,"a":2}').decode()}, "twice"),
    (INTOTO, make_documents.envelope() | {"payloadType": "text/plain"}, "another format"),
    (JSON, {"dsseEnvelope": 1}, "not an object"),
    (JSON, {"@context": "https://openvex.dev/ns/v0.2.0"}, "'statements' is missing"),
    (JSON, {"@context": "https://openvex.dev/ns", "statements": [{}]}, "no status"),
]


@pytest.mark.parametrize(("media_type", "value", "message"), OTHERS)
def test_so_is_one_in_another_format(media_type, value, message):
    report = judge(dump(value), media_type)
    assert [one.rule for one in report.findings] == ["document-malformed"]
    assert message in report.findings[0].message


def test_a_finding_has_the_byte():
    data = cdx().replace(b'"specVersion"', b"'specVersion'")
    report = judge(data, CDX)
    span = forge.section(documented(data, CDX), "sbom")
    at = span.start + data.index(b"'")
    assert (report.findings[0].where.start, report.findings[0].where.stop) == (at, at + 1)
    lines = text("all.intoto.jsonl") + b"{\n"
    report = judge(lines, LINES)
    span = forge.section(documented(lines, LINES), "sbom")
    assert report.findings[0].where.start == span.stop - 1


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (ROWS["same digest and version"][0], "sbom (CycloneDX 1.6) agrees with the bundle (1 artifact compared)"),
        (ROWS["another digest"][0], "sbom (CycloneDX 1.6) differs from the bundle (1 artifact compared)"),
        (ROWS["nothing"][0], "sbom (CycloneDX 1.6) names nothing in the bundle"),
        (b"{", "sbom cannot be read"),
    ],
)
def test_a_report_lists_the_documents(data, line):
    report = judge(data, CDX)
    for style in ("text", "markdown", "html"):
        assert line in bundlekit.render(report, style).replace("\\(", "(").replace("\\)", ")").replace("\\.", ".")
    assert "document " not in bundlekit.render(judge(data, "text/plain"))


@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream", "application/xml", "application/pdf"])
def test_a_document_of_another_kind_is_carried(media_type):
    report = judge(b"{", media_type, strict=True)
    assert (report.verdict, report.findings, outcome(report).reason) == ("accept", (), "")


@pytest.mark.parametrize("value", [{}, [], 7, {"bomFormat": "other"}, {"dsseEnvelope": {"payloadType": "x"}}])
def test_json_of_another_kind_is_carried(value):
    report = judge(dump(value), JSON, strict=True)
    assert (report.verdict, report.findings, outcome(report).reason) == ("accept", (), "")


LIMITS = [(measure, "MAX_DOCUMENT"), (measure, "MAX_ALL"), (budget, "MAX_NODES"), (budget, "MAX_VALUES")]


@pytest.mark.parametrize(("module", "limit"), LIMITS, ids=[limit for _, limit in LIMITS])
def test_a_document_beyond_a_limit_is_not_read_and_leaves_a_strict_check_incomplete(module, limit, monkeypatch):
    data = ROWS["both others"][0]
    monkeypatch.setattr(module, limit, 1)
    report = judge(data, CDX)
    assert (report.verdict, report.findings, outcome(report).outcome) == ("accept", (), "not-run")
    assert outcome(report).reason.startswith("sbom: it has ")
    assert [one.result for one in report.documents] == ["not-read"]
    assert judge(data, CDX, strict=True).verdict == "incomplete"


def test_what_an_envelope_contains_counts_for_the_same_limit(monkeypatch):
    many = dump(make_documents.statement() | {"more": [[]] * 200})
    envelope = make_documents.envelope() | {"payload": base64.b64encode(many).decode()}
    monkeypatch.setattr(budget, "MAX_NODES", 220)
    assert judge(dump(envelope), INTOTO).documents[0].result == "agrees"
    monkeypatch.setattr(budget, "MAX_NODES", 200)
    assert judge(dump(envelope), INTOTO).documents[0].result == "not-read"
    monkeypatch.setattr(budget, "MAX_NODES", 500)
    lines = b"\n".join([dump(envelope)] * 3)
    assert judge(lines, LINES).documents[0].result == "not-read"


def test_documents_are_read_only_in_a_full_check_of_an_authentic_bundle():
    data = documented(ROWS["both others"][0], CDX)
    for report in (
        bundlekit.preflight(data, size=len(data), trust=forge.trust(), at=forge.dt.datetime.fromisoformat(forge.AT)),
        forge.judge(data, forge.Ask(trust=("keys/trust/pinned.pub.pem",))),
        forge.judge(forge.flip(data, forge.section(data, "sbom").start)),
    ):
        assert "document-mismatch" not in {one.rule for one in report.findings}
    assert outcome(forge.judge(data, forge.Ask(trust=()))).outcome == "failed"  # shown as a claim


def test_many_differences_are_bounded():
    report = judge(cdx(None, *(named("appliance", str(number)) for number in range(1000))), CDX)
    assert len(report.findings) == MAX_DIFFERENCES


def test_a_text_of_a_document_is_quoted_and_short():
    report = judge(cdx(named("appliance", "\x1b[2J" * 1000)), CDX)
    assert len(report.findings[0].message) < 300
    assert "\x1b" not in report.findings[0].message


KEYS = st.sampled_from(
    [
        "name",
        "hashes",
        "alg",
        "content",
        "components",
        "component",
        "metadata",
        "packages",
        "files",
        "checksums",
        "type",
        "@graph",
        "verifiedUsing",
        "rootElement",
        "subject",
        "digest",
        "sha256",
        "statements",
        "products",
        "predicate",
        "relationships",
        "documentDescribes",
        "versionInfo",
        "fileName",
        "status",
        "payload",
        "algorithm",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "appliance", SHA256, "SHA-256", "Hash"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
BASES = st.sampled_from(
    [
        {"bomFormat": "CycloneDX", "specVersion": "1.6"},
        {"spdxVersion": "SPDX-2.3"},
        {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"},
        {"@context": "https://openvex.dev/ns"},
        {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://cyclonedx.org/bom"},
        {"payloadType": "application/vnd.in-toto+json"},
    ]
)


@given(BASES, st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_document_is_read_or_malformed(base, more):
    try:
        found = kinds.read(JSON, dump(base | more))
        assert all(len(one.digests) <= 3 for one in found.artifacts) if found else True
    except MalformedDocumentError:
        pass


@given(st.binary(max_size=60))
def test_so_are_any_bytes(data):
    for media_type in (JSON, CDX, LINES):
        try:
            found = kinds.read(media_type, data)
            list(found.artifacts if found else ())
        except MalformedDocumentError:
            pass


def test_every_media_type_of_the_page_is_read():
    page = (Path(bundlekit.__file__).parent / "docs" / "documents.md").read_text(encoding="utf-8")
    table = page.partition("end of the name\n")[2].partition("\n\n")[0]
    types = [line.split()[0] for line in table.splitlines()]
    assert len(types) == 8
    assert all(kinds.is_read(one.replace("TYPE", "provenance").replace("...", ".v0.3+json")) for one in types)
