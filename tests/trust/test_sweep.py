"""Every byte matters: each flip of a signature that counts makes one that does not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.trust.signing import sign
from tests.trust import pki
from tests.trust.pki import HEAD, judge, key

KINDS = ["p256", "p384", "p521", "rsa-2048", "ed25519", "ml-dsa-65", "ml-dsa-87"]


def chained(kind):
    """A signature with its chain of two certificates, and a store with the anchor."""
    issuer = pki.intermediate()
    blob = sign(HEAD, key(kind, "Signer"), pki.read(pki.signer(kind, issuer="Intermediate"), issuer))
    return blob, pki.anchors(pki.root())


def chained_pss():
    blob = sign(HEAD, key("rsa-2048", "Signer"), pki.read(pki.signer("rsa-2048")), pss=True)
    return blob, pki.anchors(pki.root())


def foreign(kind):
    """A chain, by a writer that does not put the certificates under the signature."""
    digest = "sha512" if kind.startswith(("ed", "ml")) else "sha256"
    blob = pki.forge(key(kind, "Signer"), [pki.signer(kind)], digest=digest)
    return blob, pki.anchors(pki.root())


def pinned(kind):
    return sign(HEAD, key(kind, "Signer")), pki.pins(key(kind, "Signer"))


def pinned_with_certificate(kind):
    return sign(HEAD, key(kind, "Signer"), pki.read(pki.signer(kind))), pki.pins(key(kind, "Signer"))


MAKERS = {
    **{f"chain {kind}": (chained, kind) for kind in KINDS},
    "chain rsa-2048 pss": (lambda _: chained_pss(), ""),
    **{f"foreign {kind}": (foreign, kind) for kind in KINDS},
    **{f"pinned {kind}": (pinned, kind) for kind in KINDS},
    **{f"pinned with certificate {kind}": (pinned_with_certificate, kind) for kind in KINDS},
}


def survivors(blob, store, bits):
    """The bits whose flip goes unnoticed."""
    for bit in bits:
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        if judge(bytes(changed), store).counts:
            yield bit


@pytest.mark.parametrize(("maker", "kind"), MAKERS.values(), ids=MAKERS)
def test_a_flip_is_noticed(maker, kind):
    blob, store = maker(kind)
    assert judge(blob, store).counts
    chosen = random.Random(len(blob)).sample(range(len(blob) * 8), 150)  # noqa: S311 - not a secret
    assert list(survivors(blob, store, chosen)) == []


@pytest.mark.sweep
@pytest.mark.parametrize(("maker", "kind"), MAKERS.values(), ids=MAKERS)
def test_each_bit_of_every_kind_is_noticed(maker, kind):
    blob, store = maker(kind)
    assert list(survivors(blob, store, range(len(blob) * 8))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_truncation_is_noticed(kind):
    blob, store = foreign(kind)
    for size in range(0, len(blob), max(1, len(blob) // 200)):
        assert not judge(blob[:size], store).counts


@pytest.mark.parametrize("kind", KINDS)
def test_without_trust_a_damaged_signature_is_told_from_a_good_one(kind):
    blob, _ = chained(kind)
    good = judge(blob, None)
    assert (good.intact, good.trusted, good.problems) == (True, None, ())
    for bit in random.Random(1).sample(range(len(blob) * 8), 100):  # noqa: S311 - not a secret
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        evidence = judge(bytes(changed), None)
        assert evidence.intact is not True or evidence.problems or bit_of_intermediate(blob, bit)


def bit_of_intermediate(blob, bit):
    """Only the signer's own certificate is under the signature's protection where there is no anchor."""
    der = next(one for one in pki.cms.ContentInfo.load(blob)["content"]["certificates"] if b"Signer" not in one.dump())
    start = blob.index(der.dump())
    return start <= bit // 8 < start + len(der.dump())


@given(st.binary(max_size=300))
def test_any_bytes_become_evidence(data):
    evidence = judge(data, pki.anchors(pki.root()))
    assert evidence.problems
    assert not evidence.counts


ONE = foreign("p256")


@given(st.data())
def test_any_change_of_certificates_becomes_evidence(data):
    blob, store = ONE
    changed = bytearray(blob)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    assert judge(bytes(changed), store).counts == (bytes(changed) == blob)
