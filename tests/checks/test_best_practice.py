"""The best-practice rule over the upgrade matrix knows who signed, where a trust file gives signers names."""

import pytest
from msgspec.structs import replace

from bundlekit.checks.best_practice import matrix_lint, released_in_future
from bundlekit.checks.rule import RuleContext
from bundlekit.layout import reader
from bundlekit.model.evidence import Evidence, SignatureEvidence
from bundlekit.model.matrix import Matrix, MatrixSource, TrustedKeys
from bundlekit.model.question import Question
from bundlekit.source import BytesSource
from fixtures import forge

MATRIX = Matrix(
    releases=("5.20.00", "5.30.02"),
    sources=(MatrixSource(id="rolling", versions=">=5.20.00, <5.40.00", tested="QA-1"),),
    trusted_keys=(
        TrustedKeys(since="5.20.00", keys=("release-2019",)),
        TrustedKeys(since="5.30.02", keys=("release-2019", "release-2027")),
    ),
)


@pytest.mark.parametrize(
    ("names", "stranded"),
    [
        (("release-2027",), {"5.20.00"}),
        (("release-2019",), set()),
        (("release-2019", "release-2027"), set()),
        (("release-2027", "a second signer"), {"5.20.00"}),
        ((), set()),
    ],
)
def test_a_source_that_trusts_none_of_the_signers_is_named(names, stranded):
    bundle = reader.read(BytesSource(forge.good()))
    bundle = replace(bundle, manifest=replace(bundle.manifest, matrix=MATRIX))
    where = bundle.signatures[0].blob
    signatures = tuple(
        SignatureEvidence(index=index, where=where, intact=True, trusted=True, standing="counted", name=name)
        for index, name in enumerate(names or ("",))
    )
    faults = matrix_lint.run(
        RuleContext(bundle=bundle, evidence=Evidence(signatures=signatures), question=Question(at=forge.AT))
    )
    assert {fault.params["lint"] for fault in faults} <= {"source-cannot-verify"}
    said = [fault for fault in faults if fault.params["lint"] == "source-cannot-verify"]
    assert {version for fault in said for version in ("5.20.00", "5.30.02") if version in fault.subject} == stranded


@pytest.mark.parametrize(
    ("released", "at", "late"),
    [
        ("2062-11-23", forge.AT, True),
        ("2026-12-03", "2026-12-01T23:59:59Z", True),
        ("2026-12-02", "2026-12-01T00:00:00Z", False),  # somewhere that day has begun
        ("2026-11-23", forge.AT, False),
        ("2026-12-03", "2026-12-02T00:00:00Z", False),
        ("9999-12-31", "9999-12-31T12:00:00Z", False),
    ],
)
def test_a_release_of_a_day_that_is_to_come_is_named(released, at, late):
    bundle = reader.read(BytesSource(forge.good()))
    bundle = replace(bundle, manifest=replace(bundle.manifest, released=released))
    faults = released_in_future.run(RuleContext(bundle=bundle, evidence=Evidence(), question=Question(at=at)))
    assert len(faults) == late
    for fault in faults:
        assert f"release on {released}, and the time used is {at[:10]}" in fault.message
        assert fault.params == {"released": released, "at": at[:10]}
