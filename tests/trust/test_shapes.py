"""Which of several paths counts, over a table of PKIs, with openssl as a second opinion."""

from itertools import permutations

import pytest

from bundlekit.cli import run
from bundlekit.layout import reader
from bundlekit.trust import chain, paths, unbound
from bundlekit.trust.signing import sign
from tests.trust import pki, world
from tests.trust.pki import HEAD, NOW, forge, judge, key
from tests.trust.shapes import (
    ENDED,
    ISSUING,
    LEAF,
    NEW,
    NEW_BY_OLD,
    OLD,
    ORDER,
    RENEWED,
    SHAPES,
    ca,
    leaf,
    openssl_accepts,
)


@pytest.mark.parametrize("one", SHAPES.values(), ids=SHAPES)
def test_any_path_that_holds_counts(tmp_path, one):
    blob = forge(key("p256", "Signer"), [one.signer, *one.carried])
    evidence = judge(blob, pki.anchors(*one.trusted))
    assert evidence.counts is one.accepted, evidence.problems
    assert one.words in "".join(problem.message for problem in evidence.problems)
    assert all(problem.rule != "signature-wrong" for problem in evidence.problems)
    decided, words = openssl_accepts(tmp_path, blob, one.trusted)
    assert one.openssl in (ORDER, decided), words
    if one.accepted:
        assert openssl_accepts_the_path(tmp_path, one)


@pytest.mark.parametrize("name", [name for name, one in SHAPES.items() if not one.accepted])
def test_a_question_of_the_chain_is_never_damage(name):
    one = SHAPES[name]
    report = world.check(pki.anchors(*one.trusted), world.bundle(world.by(leaf=one.signer, above=one.carried)))
    assert report.verdict == "reject"
    assert {finding.cause for finding in report.findings} == {"unauthentic"}
    assert not any("Get the file again" in (finding.next or "") for finding in report.findings)


def openssl_accepts_the_path(place, one):
    """Whether openssl accepts the chain that counts, when no other certificate leads it astray."""
    found = chain.best_chain(pki.read(one.signer, *one.carried), pki.read(*one.trusted), NOW, "code-signing")
    first, *between, anchor = (each.parsed for each in found.certificates)
    return openssl_accepts(place, forge(key("p256", "Signer"), [first, *between]), [anchor])[0]


@pytest.mark.parametrize(
    "name", ["cross-signed, both roots", "both ways, the new root", "renewed, expired first", "bridge, both sides"]
)
def test_no_order_decides(name):
    one = SHAPES[name]
    for carried in permutations(pki.read(*one.carried)):
        for anchors in permutations(pki.read(*one.trusted)):
            found = chain.best_chain((*pki.read(one.signer), *carried), anchors, NOW, "code-signing")
            assert found.refusals == ()


@pytest.mark.parametrize("trusted", [[OLD], [NEW], [OLD, NEW], [ISSUING]], ids=["old", "new", "both", "issuing"])
def test_what_the_signer_signed_along_is_no_surplus(trusted):
    """So that one file suits appliances with the old root, and those with the new one."""
    blob = sign(HEAD, key("p256", "Signer"), pki.read(LEAF, ISSUING, NEW_BY_OLD))
    assert judge(blob, pki.anchors(*trusted)).counts


@pytest.mark.parametrize(
    ("carried", "warned"), [([], ""), ([ISSUING], ""), ([ISSUING, NEW_BY_OLD], "did not sign the certificate 'CN=New")]
)
def test_a_cross_certificate_that_is_not_signed_along_is_warned_of(tmp_path, capsys, carried, warned):
    """Who trusts the new root alone refuses it."""
    path, blob = tmp_path / "u.bin", tmp_path / "sig.der"
    path.write_bytes(world.bundle())
    head = reader.read(world.BytesSource(path.read_bytes())).head_bytes
    blob.write_bytes(forge(key("p256", "Signer"), [LEAF, *carried], head=head))
    assert run(["sign", str(path), "--attach", str(blob)]) == 0
    assert ("did not sign the certificate" in capsys.readouterr().err) is bool(warned)
    assert bool(unbound(blob.read_bytes())) is bool(warned)
    assert not unbound(sign(HEAD, key("p256", "Signer"), pki.read(LEAF, *carried)))


def test_no_byte_of_a_certificate_that_no_path_uses_can_be_changed():
    """The cross certificate is under the signature; the path does not use it where the new root is trusted."""
    blob = sign(HEAD, key("p256", "Signer"), pki.read(LEAF, ISSUING, NEW_BY_OLD))
    start = blob.index(pki.der(NEW_BY_OLD))
    for place in range(start, start + len(pki.der(NEW_BY_OLD)), 7):
        changed = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        assert not judge(changed, pki.anchors(NEW)).counts


def test_no_byte_of_a_certificate_of_another_path_can_be_changed():
    """Both certificates of the CA are signed by the anchor, so neither has to be under the signature."""
    blob = forge(key("p256", "Signer"), [LEAF, ENDED, RENEWED])
    start = blob.index(pki.der(ENDED))
    for place in range(start, start + len(pki.der(ENDED)), 7):
        changed = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        assert not judge(changed, pki.anchors(NEW)).counts


def test_a_certificate_beside_the_path_is_refused_although_it_is_signed_along():
    blob = sign(HEAD, key("p256", "Signer"), pki.read(LEAF, ISSUING))
    stray = pki.read(ca("Stray", "New"))[0]
    with pytest.raises(paths.SignatureFault, match="is not on the signer's path"):
        paths.connected(pki.read(LEAF)[0], [*pki.read(ISSUING), stray])
    assert judge(blob, pki.anchors(NEW)).counts


def crowd(count, levels):
    """CAs of one name at each level, with keys of their own, which all certify all those of the level below."""
    found = []
    for level in range(levels):
        above = f"L{level + 1}" if level + 1 < levels else "Top"
        found += [
            ca(f"L{level}", above, owner=f"L{level}", by_owner=above, serial=1000 * level + n + 1) for n in range(count)
        ]
    return found


@pytest.mark.parametrize(("count", "levels"), [(2, 8), (15, 1), (5, 3)])
def test_the_search_is_bounded_for_what_a_signature_can_carry(monkeypatch, count, levels):
    spent = []
    real = paths.issued
    monkeypatch.setattr(paths, "issued", lambda child, issuer: spent.append(1) or real(child, issuer))
    found = chain.best_chain(pki.read(leaf("L0"), *crowd(count, levels)), pki.read(ca("Top")), NOW, "code-signing")
    assert found.refusals == ()
    assert len(spent) <= 2 + count * levels  # and the anchor by itself
    assert len(found.alternatives) < chain.MAX_CHAINS


def test_a_search_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(paths, "MAX_VERIFIED", 5)
    found = chain.best_chain(pki.read(leaf("L0"), *crowd(2, 8)), pki.read(ca("Top")), NOW, "code-signing")
    assert [one.rule for one in found.refusals] == ["chain-invalid"]
    assert "More paths lead from the certificate 'CN=Signer,O=TEST ONLY' than are followed" in found.refusals[0].message
