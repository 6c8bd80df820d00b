"""Would a trust file accept these signers: the answer is that of a check of a bundle that they have signed."""

import pytest

from bundlekit.errors import TrustError
from bundlekit.trust import acceptance, inlined, load_inlined, satisfied
from bundlekit.trust.acceptance import from_certificates, from_key, from_signature
from bundlekit.trust.keys import describe
from bundlekit.trust.store import Signed
from tests.trust import pki, world
from tests.trust.test_crl import make
from tests.trust.world import ANNA, ANNA_PQ, BERT, CARL, DORA_MIXED, DORA_PQ, EVE, FRED, demand, trust

SIGNERS = {
    "anna": ANNA,
    "bert": BERT,
    "carl": CARL,
    "anna pq": ANNA_PQ,
    "dora": DORA_PQ,
    "dora mixed": DORA_MIXED,
    "eve": EVE,
    "fred": FRED,
}
POLICIES = {
    "any one": ("", ""),
    "two of three": ("", demand(2, "anna", "bert", "carl")),
    "ignoring": ('other-signers = "ignore"', demand(1, "anna")),
    "post-quantum": ("", demand(1, "anna", "dora", algorithms=("post-quantum",))),
    "denied": ('deny = ["anna.pem"]', ""),
    "no certificates of the bundle": ('intermediates = "listed"', ""),
    "unknown revocation": ('crls = { files = ["root.crl"], required = true }', ""),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("pair", [("anna", "bert"), ("anna", "anna pq"), ("carl", "eve"), ("dora", "dora mixed")])
def test_the_answer_is_that_of_a_check(desk, tmp_path, policy, pair):
    world.write(tmp_path)
    (tmp_path / "root.crl").write_bytes(pki.der(make(issuer="Another Root")))
    store = trust(tmp_path, *POLICIES[policy])
    for names in ((pair[0],), (pair[1],), pair):
        signatures = [SIGNERS[one] for one in names]
        report = world.check(store, world.bundle(*signatures))
        found = satisfied(store, [from_signature(one(b"another head")) for one in signatures], pki.NOW)
        assert found.accepts == (report.verdict == "accept"), (names, found.reason)
        assert found.undecided == (report.verdict == "incomplete"), names
        assert bool(found.reason) != found.accepts


def test_signers_by_certificate_by_key_and_by_name(desk):
    store = trust(desk, "", demand(2, "anna", "bert", "carl"))
    anna = from_certificates(pki.read(world.ANNA_LEAF))
    carl = from_key(describe(pki.key("ed25519", "Carl").public_key()))
    assert satisfied(store, [anna, carl], pki.NOW).accepts
    assert satisfied(store, ["anna", carl], pki.NOW).accepts
    assert satisfied(store, ["anna", "bert"], pki.NOW).demands[0].signed == ("anna", "bert")
    assert satisfied(store, [anna], pki.NOW).reason == "2 of anna, bert, carl must sign; 1 would count"
    assert satisfied(store, [anna, "zoe"], pki.NOW).reason == "the signer zoe is not known to this trust"
    assert satisfied(store, [], pki.NOW).reason.startswith("2 of anna, bert, carl must sign")


def test_bounds_hold_for_names_too(desk):
    signers = world.SIGNERS + 'products = ["imager"]\nuntil = 2026-11-23\nformats = ["update.bin"]\n'
    store = trust(desk, "", "", signers)
    assert "until 2026-11-23" in satisfied(store, ["dora"], pki.NOW).reason
    earlier = pki.NOW.replace(day=20)
    assert satisfied(store, ["dora"], earlier, Signed(product="imager")).accepts
    assert "is allowed to sign for imager" in satisfied(store, ["dora"], earlier, Signed(product="scanner")).reason
    assert (
        "is allowed to sign only update.bin" in satisfied(store, ["dora"], earlier, Signed(format="advisories")).reason
    )


def test_pem_trust_answers_as_well():
    store = pki.anchors(pki.root())
    assert satisfied(store, [from_signature(ANNA(b"head"))], pki.NOW).accepts
    assert not satisfied(store, [from_signature(EVE(b"head"))], pki.NOW).accepts
    assert satisfied(store, ["anna"], pki.NOW).reason == "the signer anna is not known to this trust"
    assert satisfied(store, [], pki.NOW).reason == "no signature would count"


def test_a_trust_file_is_read_out_of_bytes(desk, tmp_path):
    text = world.HEAD + 'deny = ["anna.pem"]\n' + world.SIGNERS
    world.write(tmp_path)
    (tmp_path / "trust.toml").write_text(text)
    data, files = inlined(tmp_path / "trust.toml")
    assert set(files) == {"anna.pem", "root.pem", "anna-pq.pub.pem", "carl.pub.pem", "root-pq.pem", "root-rsa.pem"}
    assert load_inlined(data, files).digest == trust(tmp_path, 'deny = ["anna.pem"]').digest
    del files["carl.pub.pem"]
    with pytest.raises(TrustError, match=r"names the file 'carl.pub.pem', which is not included"):
        load_inlined(data, files)


def test_what_is_refused_in_a_signature_is_refused_before_it():
    with pytest.raises(acceptance.SignatureFault):
        from_signature(b"not a signature")
