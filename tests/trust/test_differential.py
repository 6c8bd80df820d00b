"""Random PKIs, decided by bundlekit and by ``openssl cms -verify``: each difference has a reason that is listed."""

import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from bundlekit.trust import chain
from tests.trust import pki, random_pki
from tests.trust.random_pki import ANY
from tests.trust.shapes import openssl_accepts

OPENSSL_PURPOSE = {"email-protection": "smimesign", "code-signing": "any"}
"""What openssl calls a purpose. Before 3.2 it does not know code signing."""

ONLY_WE_ACCEPT = {
    "ed25519": "OpenSSL 3.0 verifies no Ed25519 signature in CMS (RFC 8419).",
    "any purpose": "A CA for any purpose (RFC 5280 section 4.2.1.12): openssl does not count it for S/MIME.",
    "path": "Several paths: openssl follows one certificate of a CA and does not come back for the others.",
    "equal names": "Two CAs of one name on the path: openssl takes the wrong one, and does not try the other.",
    "named beside the path": "The signer names a certificate that comes along and is not on the path. RFC 5035 "
    "section 3 limits the certificates that can be used; openssl wants all of them on the path.",
}

ONLY_WE_REJECT = {
    ("not-a-signer-certificate", "has no key usage digitalSignature"): "a signer's certificate states what it is for",
    ("not-a-signer-certificate", "is that of a"): "a CA does not sign bundles",
    ("wrong-purpose", ""): "the purpose is demanded of the signer, and of each CA that has any",
    ("weak-algorithm", ""): "the floors for keys, curves and hashes are ours",
    ("chain-unsupported", ""): "certificates by Ed25519, and RSA-PSS with a salt that the library does not take",
    ("signature-malformed", "self-signed certificate"): "anchors come from trust alone",
    ("signature-malformed", "of the certificates in the signature"): "a key identifier that several certificates have",
    ("signature-malformed", "not on the signer's path"): "each certificate that comes along has a place",
    ("signature-malformed", "no path to an anchor here uses"): "each certificate that comes along has a place",
    ("signature-malformed", "did not issue any certificate"): "each certificate that comes along has a place",
    ("signature-malformed", "not among those that the signer allows"): "RFC 5035 section 3",
}
"""Rules and words of their messages."""


def differs(place, seed):
    """Why bundlekit and openssl differ on a case, or what both decide. Fails if the reason is none of those above."""
    case = random_pki.make(seed)
    evidence = pki.judge(case.blob, pki.anchors(*case.trusted), purpose=case.purpose)
    cades = ["-cades"] if case.attributes else []
    accepted, words = openssl_accepts(place, case.blob, case.trusted, *cades, purpose=OPENSSL_PURPOSE[case.purpose])
    if evidence.counts == accepted:
        return "both accept" if accepted else "both reject"
    if accepted:
        told = [(one.rule, one.message) for one in evidence.problems]
        reasons = [each for each in ONLY_WE_REJECT for rule, text in told if rule == each[0] and each[1] in text]
        if not any(self_signed(one) for one in case.carried):
            reasons = [each for each in reasons if each[1] != "self-signed certificate"]
        assert reasons, f"seed {seed}: openssl accepts, and we reject: {told}"
        return reasons[0]
    reason = only_we_accept(place, case, words)
    assert reason in ONLY_WE_ACCEPT, f"seed {seed}: we accept by {evidence.chain}, and openssl refuses: {words}"
    return reason


def self_signed(one):
    try:
        one.verify_directly_issued_by(one)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def only_we_accept(place, case, words):
    """Which reason openssl has, proved by its verdict on the path that counts here and nothing else."""
    if isinstance(case.key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    line = pki.read(case.leaf, *case.carried)
    bound = lambda der: any(pki.der(one) == der for one in case.names)  # noqa: E731
    found = chain.best_chain(line, pki.read(*case.trusted), pki.NOW, case.purpose, bound=bound)
    first, *between, anchor = (one.parsed for one in found.certificates)
    purposes = [OPENSSL_PURPOSE[case.purpose]]
    if any(ANY.dotted_string in (one.purposes or ()) for one in found.certificates[1:]):
        purposes.append("any")
    blob = pki.forge(case.key, [first, *between])
    verdicts = [openssl_accepts(place, blob, [anchor], purpose=purpose)[0] for purpose in purposes]
    if not any(verdicts):
        subjects = [one.subject for one in (*between, anchor)]
        return "equal names" if len(set(subjects)) < len(subjects) else "refused by itself"
    if not verdicts[0]:
        return "any purpose"
    if re.search("ess cert id not found", words):
        beside = [one for one in case.names if one not in (first, *between, anchor)]
        return "named beside the path" if beside else "path"
    return "path" if len(case.carried) > len(between) or len(case.trusted) > 1 else "one path"


@pytest.mark.parametrize("start", range(0, 60, 10))
def test_openssl_and_we_differ_by_listed_reasons_alone(tmp_path, start):
    outcomes = {differs(tmp_path, seed) for seed in range(start, start + 10)}
    assert {"both reject", "both accept"} & outcomes


@pytest.mark.sweep
def test_two_thousand_random_pkis_meet_each_listed_reason(tmp_path):
    outcomes = {differs(tmp_path, seed) for seed in range(1000, 3000)}
    assert outcomes - {"ed25519"} == {"both reject", "both accept", *ONLY_WE_ACCEPT, *ONLY_WE_REJECT} - {"ed25519"}
