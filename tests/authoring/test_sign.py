"""Signing in place: nothing but the signature area changes, and a crash in the middle loses nothing."""

import datetime as dt
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from bundlekit import load_trust, pipeline
from bundlekit.authoring.inplace import InPlace, InplaceRecord
from bundlekit.authoring.sign import attach, load_signers, remove, sign
from bundlekit.errors import SigningError
from bundlekit.layout import reader
from bundlekit.source import BytesSource
from bundlekit.trust import keygen
from bundlekit.trust.keys import ML_DSA_CHAINS
from fixtures import by_hand
from fixtures.make_keys import KEYS

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)

WITH_PQ = "accept" if ML_DSA_CHAINS else "reject"
"""Of a bundle whose signature leads to an ML-DSA root: older releases of cryptography cannot verify that chain."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name, algorithm in (("one", "ecdsa-p384"), ("two", "ed25519"), ("rsa", "rsa-3072"), ("pq", "ml-dsa-65")):
        keygen(folder / name, algorithm, now=NOW, name=name)
    return folder


def signer(keys, name, *, pss=False):
    certificates = [keys / name / "signer.pem"] if (keys / name / "signer.pem").exists() else []
    (one,) = load_signers([keys / name / "signer.key"], certificates, ask=lambda path: b"", pss=pss)
    return one


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "update.bin"
    path.write_bytes(by_hand.bundle(capacity=65536))
    return path


def verdict(path, keys, *names):
    trust = [keys / name / ("signer.pub.pem" if name == "two" else "root.pem") for name in names]
    return pipeline.check(path, trust=load_trust(trust), at=NOW).verdict


def test_signatures_add_up_and_the_rest_stays(bundle, keys):
    before = bundle.read_bytes()
    for name in ("one", "two", "rsa", "pq"):
        added = sign(bundle, signer(keys, name), at=NOW)
        assert added.intact or name == "two"  # whose key nobody has pinned yet
    after = bundle.read_bytes()
    head = len(by_hand.head(capacity=65536))
    assert before[:head] == after[:head]
    assert before[head + 65536 :] == after[head + 65536 :]
    assert verdict(bundle, keys, "one", "two", "rsa", "pq") == WITH_PQ
    assert verdict(bundle, keys, "one", "two", "rsa") == "reject"  # a stranger's signature beside good ones


@pytest.mark.parametrize("pss", [False, True], ids=["pkcs1", "pss"])
def test_openssl_verifies_ours_and_we_take_openssls(bundle, keys, tmp_path, pss):
    head, ours, theirs = tmp_path / "head", tmp_path / "ours", tmp_path / "theirs"
    head.write_bytes(by_hand.head(capacity=65536))
    sign(bundle, signer(keys, "rsa", pss=pss), at=NOW)
    ours.write_bytes(reader.read(BytesSource(bundle.read_bytes())).blobs[0])
    verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", ours, "-content", head]
    trusted = ["-CAfile", keys / "rsa" / "root.pem", "-purpose", "any", "-attime", f"{NOW.timestamp():.0f}"]
    subprocess.run([*verify, *trusted, "-out", os.devnull], check=True, capture_output=True)

    padding = ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"] if pss else []
    pair = ["-signer", keys / "rsa" / "signer.pem", "-inkey", keys / "rsa" / "signer.key"]
    command = ["openssl", "cms", "-sign", "-binary", "-in", head, *pair, *padding, "-outform", "DER", "-out", theirs]
    subprocess.run(command, check=True, capture_output=True)
    bundle.write_bytes(by_hand.bundle(capacity=65536))
    attach(bundle, theirs.read_bytes(), at=NOW)
    assert verdict(bundle, keys, "rsa") == "accept"


def refused(bundle, action, message):
    before = bundle.read_bytes()
    with pytest.raises(SigningError, match=message):
        action()
    assert bundle.read_bytes() == before


def test_what_does_not_fit_is_not_attached(bundle, keys, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(by_hand.bundle(capacity=8192))
    sign(other, signer(keys, "one"), at=NOW)
    foreign = reader.read(BytesSource(other.read_bytes())).blobs[0]
    refused(bundle, lambda: attach(bundle, foreign, at=NOW), "not for this head")
    refused(bundle, lambda: attach(bundle, b"not DER", at=NOW), "not a CMS SignedData")
    sign(bundle, signer(keys, "one"), at=NOW)
    refused(bundle, lambda: sign(bundle, signer(keys, "one"), at=NOW), "has already signed this bundle")


def test_the_message_about_a_key_that_has_signed_names_the_signature_in_the_file(bundle, keys):
    """And not the certificate of the new signature, under which the key has not signed."""
    sign(bundle, signer(keys, "rsa"), at=NOW)
    by = sign(bundle, signer(keys, "one"), at=NOW).signer
    (bare,) = load_signers([keys / "one" / "signer.key"], [], ask=lambda path: b"")
    expected = f"this key has already signed this bundle (signature 1, {by}), and a key counts once"
    with pytest.raises(SigningError) as caught:
        sign(bundle, bare, at=NOW)
    assert expected in str(caught.value)
    assert "1" in caught.value.next_step


def test_a_full_area_and_a_damaged_bundle_are_not_signed(tmp_path, keys):
    small = tmp_path / "small.bin"
    small.write_bytes(by_hand.bundle(capacity=4096))
    refused(small, lambda: sign(small, signer(keys, "pq"), at=NOW), "the signature area has 4096")
    small.write_bytes(by_hand.bundle(capacity=4096)[:-1])
    refused(small, lambda: sign(small, signer(keys, "one"), at=NOW), "is incomplete.*truncated")


def test_keys_find_their_certificates_in_any_order(keys):
    certificates = [keys / "rsa" / "signer.pem", keys / "one" / "signer.pem"]
    order = [keys / "one" / "signer.key", keys / "two" / "signer.key", keys / "rsa" / "signer.key"]
    signers = load_signers(order, certificates, ask=lambda path: b"")
    assert ["rsa" in str(one.certificates) for one in signers] == [False, False, True]
    assert signers[1].certificates == ()
    with pytest.raises(SigningError, match="none of the given keys belongs to this certificate"):
        load_signers(order[:1], certificates, ask=lambda path: b"")


class Crash(BaseException):
    """The power fails."""


@pytest.mark.parametrize("moment", ["before the record", "in the record", "in the area", "after the area"])
def test_a_crash_at_any_moment_is_finished_by_the_next_signing(bundle, keys, monkeypatch, moment):
    sign(bundle, signer(keys, "one"), at=NOW)
    good = bundle.read_bytes()
    overwrite = InPlace.overwrite
    record = bundle.with_name("update.bin.signing")

    def crash(file, place, area=b""):
        if moment == "in the record":
            record.write_bytes(record.read_bytes()[:100])
        if moment == "in the area":
            overwrite(file, place, area[:1100] + bytes(len(area) - 1100))
        if moment == "after the area":
            overwrite(file, place, area)
        raise Crash

    if moment == "before the record":
        monkeypatch.setattr(InplaceRecord, "write", crash)
    else:
        monkeypatch.setattr(InPlace, "overwrite", crash)
    with pytest.raises(Crash):
        sign(bundle, signer(keys, "two"), at=NOW)
    monkeypatch.undo()
    if moment in ("before the record", "in the record"):
        assert bundle.read_bytes() == good
    if moment == "in the area":
        assert verdict(bundle, keys, "one", "two") == "reject"

    sign(bundle, signer(keys, "rsa"), at=NOW)
    assert not record.exists()
    names = {signature.algorithm for signature in pipeline.inspect(bundle).signatures}
    written = moment in ("in the area", "after the area")
    assert names == {"ecdsa-p384-sha384", "rsa-3072-pkcs1v15-sha256"} | ({"ed25519"} if written else set())
    assert verdict(bundle, keys, "one", "two", "rsa") == "accept"


def test_a_record_of_another_bundle_is_not_applied(bundle, keys, tmp_path):
    record = Path(f"{bundle}.signing")
    content = b"sha256:" + b"0" * 64 + b"\n" + bytes(65536)
    record.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    refused(bundle, lambda: sign(bundle, signer(keys, "one"), at=NOW), "left over from signing another bundle")


def signers(path):
    return [signature.algorithm for signature in pipeline.inspect(path).signatures]


def test_a_signature_is_replaced_and_removed(bundle, keys):
    for name in ("one", "rsa", "pq"):
        sign(bundle, signer(keys, name), at=NOW)
    before = signers(bundle)
    assert sign(bundle, signer(keys, "rsa", pss=True), at=NOW, replace=1).algorithm == "rsa-3072-pss-sha256"
    assert signers(bundle) == [before[0], "rsa-3072-pss-sha256", before[2]]
    assert verdict(bundle, keys, "one", "rsa", "pq") == WITH_PQ
    assert remove(bundle, 0, at=NOW).algorithm == before[0]
    assert signers(bundle) == ["rsa-3072-pss-sha256", before[2]]
    assert verdict(bundle, keys, "rsa", "pq") == WITH_PQ
    remove(bundle, 1, at=NOW)
    remove(bundle, 0, at=NOW)
    assert bundle.read_bytes() == by_hand.bundle(capacity=65536)


def test_replacing_is_not_a_way_to_sign_twice(bundle, keys):
    sign(bundle, signer(keys, "one"), at=NOW)
    sign(bundle, signer(keys, "rsa"), at=NOW)
    refused(bundle, lambda: sign(bundle, signer(keys, "one"), at=NOW, replace=1), "has already signed this bundle")
    assert sign(bundle, signer(keys, "one"), at=NOW, replace=0).signer


@pytest.mark.parametrize("index", [-1, 1, 7])
def test_what_is_not_there_is_neither_replaced_nor_removed(bundle, keys, index):
    refused(bundle, lambda: remove(bundle, 0, at=NOW), "there is no signature 0; the bundle has none")
    sign(bundle, signer(keys, "one"), at=NOW)
    words = f"there is no signature {index}; the bundle has 1, counted from 0"
    refused(bundle, lambda: remove(bundle, index, at=NOW), words)
    refused(bundle, lambda: sign(bundle, signer(keys, "rsa"), at=NOW, replace=index), words)


def test_a_certificate_for_another_purpose_signs_where_that_is_said(bundle, keys, tmp_path):
    """As RAUC's users have them: certificates for e-mail."""
    mail = load_signers([KEYS / "mail.key"], [KEYS / "mail.pem"], ask=lambda path: b"", purpose="email-protection")[0]
    refused(bundle, lambda: sign(bundle, replace(mail, purpose="code-signing"), at=NOW), "is not for code-signing")
    sign(bundle, mail, at=NOW)
    (blob,) = reader.read(BytesSource(bundle.read_bytes())).blobs
    remove(bundle, 0, at=NOW)
    refused(bundle, lambda: attach(bundle, blob, at=NOW), "not for code-signing")
    attach(bundle, blob, at=NOW, purpose="email-protection")
    trust = tmp_path / "trust.toml"
    trust.write_text(
        'trust = 1\nallow-test-keys = true\npurpose = "email-protection"\n'
        f'[signers.mail]\nrole = "production"\nanchor = "{KEYS}/trust/root.pem"\n'
    )
    assert pipeline.check(bundle, trust=load_trust([trust]), at=NOW).verdict == "accept"


def test_no_signature_is_added_beside_one_that_is_wrong(bundle, keys):
    """The bundle would be refused all the same, and whoever signed last would be asked why."""
    first = sign(bundle, signer(keys, "one"), at=NOW)
    data = bytearray(bundle.read_bytes())
    data[first.where.stop - 1] ^= 1
    bundle.write_bytes(data)
    refused(bundle, lambda: sign(bundle, signer(keys, "rsa"), at=NOW), "signature 0 would reject the bundle")
    sign(bundle, signer(keys, "rsa"), at=NOW, replace=0)
    assert verdict(bundle, keys, "rsa") == "accept"


@pytest.mark.parametrize(
    ("offset", "rule"),
    [(-1, "nonzero-padding"), (-8192 + 5, "chunk-digest-mismatch"), (12288 + 5, "index-digest-mismatch")],
    ids=["padding", "payload", "chunk index"],
)
def test_what_is_damaged_anywhere_is_not_signed(bundle, keys, offset, rule):
    data = bytearray(by_hand.bundle(capacity=8192))
    data[offset] ^= 1
    bundle.write_bytes(data)
    refused(bundle, lambda: sign(bundle, signer(keys, "one"), at=NOW), f"is incomplete.*{rule}")
