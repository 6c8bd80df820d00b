"""The next step of a faulty signature is one that fits the format of the bundle."""

from pathlib import Path

import pytest

import bundlekit
from bundlekit.checks import apply_rules
from bundlekit.checks.authenticity import RULES
from bundlekit.checks.rule import RuleContext
from bundlekit.model.bundle import Bundle, Problem, SignatureClaim, Span
from bundlekit.model.evidence import DemandEvidence, Evidence, SignatureEvidence
from bundlekit.model.question import Question

AT = Span(start=0, stop=10)
CLAIM = SignatureClaim(index=0, signed=(AT,), blob=AT, entry=AT, form="raw", value=b"")
OWN, OTHER = frozenset({"area", "container"}), frozenset({"members"})


def finding(rule, aspects, *, params=None, signed=True):
    problem = Problem(rule=rule, message="a fault", params=params or {})
    evidence = Evidence(
        signatures=(SignatureEvidence(index=0, where=AT, standing="rejected", problems=(problem,)),) if signed else (),
        demands=(DemandEvidence(count=1, of=("anna",)),),
    )
    bundle = Bundle(format="toy", aspects=aspects, size=20, document={}, signatures=(CLAIM,) if signed else ())
    context = RuleContext(bundle=bundle, evidence=evidence, question=Question(at="2026-11-23T00:00:00Z", trust=True))
    (found,) = apply_rules(context, [one for one in RULES if one.name == rule]).findings
    return found


CASES = {
    "no signature": ("unsigned", {}, False, "bundlekit sign", "the tool of its format"),
    "malformed": ("signature-malformed", {}, True, "bundlekit sign", "the tool of its format"),
    "surplus": ("signature-malformed", {"surplus": "CN=x"}, True, "bundlekit sign", "the tool of its format"),
    "pinned": ("signature-malformed", {"pinned": "key.pem"}, True, "bundlekit sign", "Also trust the CA"),
    "unknown": ("signer-unknown", {}, True, "intermediate certificates", "anchors and keys"),
    "too few": ("too-few-signers", {}, True, "bundlekit sign", "all required signers"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_next_step(case):
    rule, params, signed, own, other = CASES[case]
    for aspects, text, others in ((OWN, own, other), (OTHER, other, own)):
        step = finding(rule, aspects, params=params, signed=signed).next
        assert text in step
        assert others not in step
        assert "{" not in step  # a parameter without its name


@pytest.mark.parametrize(
    ("params", "wanted", "unwanted"),
    [
        ({"size": 2**24 + 1}, "RSA or ECDSA", ["certificate", "pin the"]),
        ({"library": "cryptography"}, "Update the library cryptography", ["certificate", "pin the"]),
        ({"salt": 20}, "certificate", ["Update the library"]),
        ({}, "or pin the public key of the signer (", ["Update the library"]),
    ],
)
def test_the_next_step_of_what_cannot_be_checked_here(params, wanted, unwanted):
    """A bare key that is pinned has no certificate, and cannot be pinned once more."""
    step = finding("chain-unsupported", OTHER, params=params).next
    assert wanted in step
    assert [text for text in [*unwanted, "{"] if text in step] == []


def test_the_next_step_for_a_bare_signature_over_much_content(monkeypatch):
    monkeypatch.setattr("bundlekit.integrity.content.MAX_WHOLE", 8)
    folder = Path(__file__).parents[2] / "fixtures/formats/mcuboot"
    report = bundlekit.check(folder / "ed25519-pure.bin", trust=bundlekit.load_trust([folder / "trust.toml"]))
    (found,) = report.findings
    assert (found.rule, found.cause, report.verdict) == ("chain-unsupported", "unauthentic", "reject")
    assert "up to 16 MiB" in found.message
    assert found.next.startswith("Have it signed with RSA or ECDSA.")


@pytest.mark.parametrize(("params", "cause"), [({}, "corrupted"), ({"surplus": "x"}, "unauthentic")])
@pytest.mark.parametrize("aspects", [OWN, OTHER])
def test_a_certificate_too_many_is_no_damage(params, cause, aspects):
    assert finding("signature-malformed", aspects, params=params).cause == cause
