"""Whatever keys, certificates and options are given: a check accepts what was signed, or one sentence refuses."""

import datetime as dt
import functools
from itertools import combinations, product

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundlekit import load_trust, pipeline
from bundlekit.authoring.sign import load_signers, opened
from bundlekit.errors import BundlekitError, SigningError, TrustError
from bundlekit.trust import keygen, load_private_key, load_signing_key
from bundlekit.trust.keys import ML_DSA_CHAINS
from fixtures import by_hand

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
ALGORITHMS = ("ecdsa-p384", "rsa-3072", "ed25519", "ml-dsa-65")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ALGORITHMS:
        keygen(folder / name, name, now=NOW, name=name)
        public = load_private_key(folder / name / "signer.key").public_key()
        (folder / f"{name}.pub").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return folder


@pytest.fixture(autouse=True)
def _each_key_is_read_once(monkeypatch):
    """OpenSSL proves that the primes of an RSA key are prime whenever it is read, which takes a tenth of a second."""
    once = functools.cache(load_signing_key)
    monkeypatch.setattr("bundlekit.authoring.signers.load_signing_key", lambda path, _ask: once(path))


def signed(bundle, keys, certificates, **options):
    """The bundle with these signatures; or the one sentence that refuses."""
    try:
        signers = load_signers(keys, certificates, ask=lambda _: b"", **options)
        with opened(bundle, at=NOW) as signing:
            for signer in signers:
                signing.sign(signer)
    except (SigningError, TrustError) as error:
        return error.message
    return ""


CERTIFICATES = ("signer", "root", "other")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_combination_is_refused_or_accepted(desk, tmp_path, algorithm):
    """Certificates in any order and number, of the key, of its CA, of another key; with the flags that go along."""
    other = next(one for one in ALGORITHMS if one != algorithm and (desk / one / "signer.pem").exists())
    files = {
        "signer": desk / algorithm / "signer.pem",
        "root": desk / algorithm / "root.pem",
        "other": desk / other / "signer.pem",
    }
    given = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    bundle, chain = tmp_path / "u.bin", tmp_path / "chain.pem"
    accepted = refused = 0
    for length in range(3):
        for names in product(given, repeat=length):
            for pss, purpose in product((False, True), ("code-signing", "email-protection")):
                bundle.write_bytes(by_hand.bundle(capacity=32768))
                chain.write_bytes(b"".join(given[name] for name in names))
                certificates = [chain] if names else []
                options = {"pss": pss, "purpose": purpose}
                if why := signed(bundle, [desk / algorithm / "signer.key"], certificates, **options):
                    assert bundle.read_bytes() == by_hand.bundle(capacity=32768), why
                    assert "\n" not in why
                    refused += 1
                    continue
                trust = desk / algorithm / "root.pem" if names else desk / f"{algorithm}.pub"
                report = pipeline.check(bundle, trust=load_trust(trust), at=NOW)
                unsupported = names and algorithm == "ml-dsa-65" and not ML_DSA_CHAINS
                assert report.verdict == ("reject" if unsupported else "accept"), (names, options, report.findings)
                accepted += 1
    assert accepted
    assert refused


def test_any_number_of_signers_is_refused_or_accepted(desk, tmp_path):
    bundle = tmp_path / "u.bin"
    for capacity, count in product((4096, 16384), range(1, len(ALGORITHMS) + 1)):
        for names in combinations(ALGORITHMS, count):
            bundle.write_bytes(by_hand.bundle(capacity=capacity))
            why = signed(bundle, [desk / name / "signer.key" for name in names], [])
            if why:
                assert "the signature area has" in why
                continue
            report = pipeline.check(bundle, trust=load_trust([desk / f"{name}.pub" for name in names]), at=NOW)
            assert report.verdict == "accept"


def test_no_more_signatures_than_a_check_takes(desk, tmp_path):
    """The seventeenth is rejected, and the sixteen stay."""
    bundle = tmp_path / "u.bin"
    bundle.write_bytes(by_hand.bundle(capacity=65536))
    for number in range(17):
        keygen(tmp_path / f"k{number}", "ed25519", now=NOW, name=f"k{number}")
        (signer,) = load_signers([tmp_path / f"k{number}" / "signer.key"], [], ask=lambda _: b"")
        with opened(bundle, at=NOW) as signing:
            if number < 16:
                signing.sign(signer)
                continue
            with pytest.raises(BundlekitError, match="17 signatures are too many; the maximum is 16"):
                signing.sign(signer)
    trust = load_trust([tmp_path / f"k{number}" / "signer.pub.pem" for number in range(16)])
    assert pipeline.check(bundle, trust=trust, at=NOW).verdict == "accept"
