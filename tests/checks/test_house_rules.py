"""The house rule over the upgrade matrix knows who signed, where a trust file gives signers names."""

import pytest
from msgspec.structs import replace

from bundlekit.checks.house import matrix_lint
from bundlekit.checks.rule import Case
from bundlekit.layout import reader
from bundlekit.model.evidence import Evidence, SignatureEvidence
from bundlekit.model.matrix import Matrix, Source, TrustedKeys
from bundlekit.model.question import Question
from bundlekit.source import BytesSource
from fixtures import forge

MATRIX = Matrix(
    releases=("5.20.00", "5.30.02"),
    sources=(Source(id="rolling", versions=">=5.20.00, <5.40.00", tested="QA-1"),),
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
        ((), set()),
    ],
)
def test_a_source_that_trusts_none_of_the_signers_is_named(names, stranded):
    bundle = reader.read(BytesSource(forge.good()))
    bundle = replace(bundle, manifest=replace(bundle.manifest, matrix=MATRIX))
    where = next(claim.blob for claim in bundle.claims if hasattr(claim, "blob"))
    signatures = tuple(
        SignatureEvidence(index=index, where=where, intact=True, trusted=True, standing="counted", name=name)
        for index, name in enumerate(names or ("",))
    )
    faults = matrix_lint.run(
        Case(bundle=bundle, evidence=Evidence(signatures=signatures), question=Question(at=forge.AT))
    )
    said = [fault for fault in faults if fault.params["lint"] == "source-cannot-verify"]
    assert {version for fault in said for version in ("5.20.00", "5.30.02") if version in fault.subject} == stranded
