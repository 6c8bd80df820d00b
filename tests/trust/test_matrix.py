"""Every algorithm, pinned, under a root, under an intermediate: good, with a flipped signature, on a flipped head."""

import pytest

from bundlekit.trust.keys import ML_DSA_CHAINS
from tests.trust import pki, test_cms
from tests.trust.pki import HEAD, forge, intermediate, judge, key, root, rules, signer
from tests.trust.world import digest

KINDS = {
    "rsa-2048": "rsa-2048-pkcs1v15-sha256",
    "rsa-2048 PSS": "rsa-2048-pss-sha256",
    "p256": "ecdsa-p256-sha256",
    "p384": "ecdsa-p384-sha256",
    "p521": "ecdsa-p521-sha256",
    "ed25519": "ed25519",
    "ml-dsa-65": "ml-dsa-65",
    "ml-dsa-87": "ml-dsa-87",
}
"""Kinds of keys, and what reports call their signatures."""

ROADS = ["pinned", "chain", "intermediate"]


def issuer_of(kind):
    """The kind of CA above a key: its own, where keys of its kind can be CAs here."""
    return "p256" if kind == "ed25519" or (kind.startswith("ml-dsa") and not ML_DSA_CHAINS) else kind


def signed(kind, road):
    """A signature, and the trust that it leads to."""
    kind, _, padded = kind.partition(" ")
    options = {"digest": digest(kind)}
    if padded:
        options = {name: value for name, value in test_cms.pss().items() if name != "kind"}
    if road == "pinned":
        return forge(key(kind, "Signer"), [], **options), pki.pins(key(kind, "Signer"))
    ca = issuer_of(kind)
    if road == "chain":
        line = [signer(kind, issuer_kind=ca)]
    else:
        line = [signer(kind, "Intermediate", ca), intermediate(kind=ca, issuer_kind=ca)]
    return forge(key(kind, "Signer"), line, **options), pki.anchors(root(ca))


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", KINDS)
def test_good_flipped_signature_flipped_head(kind, road):
    blob, store = signed(kind, road)
    good = judge(blob, store)
    assert good.counts, good.problems
    assert good.algorithm == KINDS[kind]
    assert len(good.chain) == {"pinned": 1, "chain": 2, "intermediate": 3}[road]

    middle = len(blob) - 20  # the signature value ends the SignedData
    flipped = judge(blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :], store)
    assert (rules(flipped), flipped.intact, flipped.counts) == (["signature-wrong"], False, False)

    for place in (0, len(HEAD) // 2, len(HEAD) - 1):
        head = HEAD[:place] + bytes([HEAD[place] ^ 1]) + HEAD[place + 1 :]
        other = judge(blob, store, head=head)
        assert (rules(other), other.intact, other.counts) == (["signature-wrong"], False, False)


def test_a_certificate_of_any_length_is_written_as_it_is():
    """Of the lengths, those count whose last byte is 0x80: the forger's library takes them for indefinite ones."""
    kind, der = "ml-dsa-65", b""
    for size in range(700):
        extra = [(pki.x509.UnrecognizedExtension(pki.x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(size)), False)]
        line = [signer(kind, issuer_kind="rsa-2048", serial=1, extra=extra)]
        der = pki.der(line[0])
        if der[3] == 0x80:
            break
    assert der[3] == 0x80
    assert der in forge(key(kind, "Signer"), line, digest=digest(kind))
