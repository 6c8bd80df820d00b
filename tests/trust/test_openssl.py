"""A second judge: the openssl command line verifies what we sign, and we what it signs."""

import subprocess

import pytest

from bundlekit.trust.load import load_trust
from bundlekit.trust.pem import read_certificates
from bundlekit.trust.signing import load_private_key, sign
from bundlekit.trust.test_pki import keygen
from tests.trust import pki
from tests.trust.pki import HEAD, NOW, judge, key

KINDS = ["rsa-2048", "p256", "p384", "p521"]
PSS = ["-keyopt", "rsa_padding_mode:pss"]
SALTED = [*PSS, "-keyopt", "rsa_pss_saltlen:digest"]


def openssl(*arguments, cwd):
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def place(tmp_path):
    (tmp_path / "head").write_bytes(HEAD)
    (tmp_path / "root.pem").write_bytes(pki.pem(pki.root()))
    return tmp_path


def put_signer(place, kind, issuer="Root"):
    certificate = pki.signer(kind, issuer=issuer)
    (place / "signer.pem").write_bytes(pki.pem(certificate))
    (place / "signer.key").write_bytes(pki.pem(key(kind, "Signer")))
    return certificate


@pytest.mark.parametrize("with_intermediate", [False, True], ids=["root", "intermediate"])
@pytest.mark.parametrize(("kind", "pss"), [*((kind, False) for kind in KINDS), ("rsa-2048", True)])
def test_openssl_accepts_ours(place, kind, pss, with_intermediate):
    above = [pki.intermediate()] if with_intermediate else []
    certificates = pki.read(pki.signer(kind, issuer="Intermediate" if above else "Root"), *above)
    (place / "sig").write_bytes(sign(HEAD, key(kind, "Signer"), certificates, pss=pss))
    arguments = "cms -verify -binary -inform DER -in sig -content head -CAfile root.pem -purpose any"
    at = ["-attime", str(int(NOW.timestamp()))]
    assert openssl(*arguments.split(), *at, cwd=place) == HEAD
    (place / "head").write_bytes(HEAD + b"x")
    with pytest.raises(AssertionError, match="verification failure"):
        openssl(*arguments.split(), *at, cwd=place)


@pytest.mark.parametrize(
    "extra", [[], ["-nosmimecap"], ["-cades"], ["-keyid"]], ids=["plain", "short", "cades", "keyid"]
)
@pytest.mark.parametrize(
    ("kind", "options", "algorithm"),
    [
        ("rsa-2048", [], "rsa-2048-pkcs1v15-sha256"),
        ("rsa-2048", ["-md", "sha512"], "rsa-2048-pkcs1v15-sha512"),
        ("rsa-2048", PSS, "rsa-2048-pss-sha256"),
        ("rsa-2048", SALTED, "rsa-2048-pss-sha256"),
        ("p256", [], "ecdsa-p256-sha256"),
        ("p384", ["-md", "sha384"], "ecdsa-p384-sha384"),
        ("p521", ["-md", "sha512"], "ecdsa-p521-sha512"),
    ],
)
def test_we_accept_openssl(place, kind, options, algorithm, extra):
    put_signer(place, kind)
    arguments = "cms -sign -binary -outform DER -in head -signer signer.pem -inkey signer.key"
    blob = openssl(*arguments.split(), *options, *extra, cwd=place)
    evidence = judge(blob, load_trust([place / "root.pem"]))
    assert evidence.counts, evidence.problems
    assert evidence.algorithm == algorithm


def test_we_accept_openssl_with_intermediate(place):
    put_signer(place, "p256", issuer="Intermediate")
    (place / "intermediate.pem").write_bytes(pki.pem(pki.intermediate()))
    arguments = (
        "cms -sign -binary -outform DER -in head -signer signer.pem -inkey signer.key -certfile intermediate.pem"
    )
    evidence = judge(openssl(*arguments.split(), cwd=place), load_trust([place / "root.pem"]))
    assert evidence.counts, evidence.problems
    assert len(evidence.chain) == 3


@pytest.mark.parametrize(
    ("extra", "rules"),
    [
        (["-nocerts", "-keyid"], []),
        (["-cades"], []),
        ([], ["signature-malformed"]),
        (["-nocerts"], ["signature-malformed"]),
    ],
    ids=["key alone", "certificate vouched for", "certificate nobody vouches for", "no key"],
)
def test_openssl_with_a_pinned_key(place, extra, rules):
    put_signer(place, "p256")
    (place / "pinned.pem").write_bytes(openssl("pkey", "-in", "signer.key", "-pubout", cwd=place))
    arguments = "cms -sign -binary -outform DER -in head -signer signer.pem -inkey signer.key"
    evidence = judge(openssl(*arguments.split(), *extra, cwd=place), load_trust([place / "pinned.pem"]))
    assert pki.rules(evidence) == rules
    assert evidence.counts is not bool(rules)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["-noattr"], "signature-malformed"),
        (["-nodetach"], "signature-malformed"),
        (["-md", "sha1"], "weak-algorithm"),
        (["-md", "md5"], "weak-algorithm"),
        ([*PSS, "-keyopt", "rsa_pss_saltlen:20"], "weak-algorithm"),
        ([*PSS, "-keyopt", "rsa_mgf1_md:sha512"], "signature-malformed"),
    ],
    ids=["no attributes", "attached", "sha1", "md5", "salt of 20", "another mgf hash"],
)
def test_we_refuse_what_openssl_takes(place, options, rule):
    put_signer(place, "rsa-2048")
    arguments = "cms -sign -binary -outform DER -in head -signer signer.pem -inkey signer.key"
    evidence = judge(openssl(*arguments.split(), *options, cwd=place), load_trust([place / "root.pem"]))
    assert pki.rules(evidence) == [rule]


def test_a_pki_made_by_openssl(place):
    """As a vendor makes one: root by `req -x509`, a signer by a certificate request."""
    lines = [
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=TEST-ONLY-Root -keyout ca.key -out ca.pem -days 9",
        "req -new -newkey rsa:2048 -nodes -subj /CN=TEST-ONLY-Signer -keyout signer.key -out signer.csr",
        "x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out signer.pem -days 9 -extfile ext",
        "cms -sign -binary -outform DER -in head -signer signer.pem -inkey signer.key -out sig",
    ]
    (place / "ext").write_text("keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n")
    for line in lines:
        openssl(*line.split(), cwd=place)
    at = read_certificates(place / "signer.pem")[0].not_before
    evidence = judge((place / "sig").read_bytes(), load_trust([place / "ca.pem"]), at=at)
    assert evidence.counts, evidence.problems


@pytest.mark.parametrize(
    ("options", "hash_"),
    [
        ("", "sha256"),
        ("rsa_pss_keygen_md:sha256 rsa_pss_keygen_mgf1_md:sha256 rsa_pss_keygen_saltlen:48", "sha256"),
        ("rsa_pss_keygen_md:sha512 rsa_pss_keygen_mgf1_md:sha512 rsa_pss_keygen_saltlen:64", "sha512"),
    ],
    ids=["free", "longer salt", "sha512"],
)
def test_a_key_for_pss_alone_made_by_openssl(place, options, hash_):
    """Ours and openssl's signatures keep what the certificate demands, and each is taken by the other."""
    made = " ".join(f"-pkeyopt {option}" for option in ["rsa_keygen_bits:2048", *options.split()])
    (place / "ext").write_text("keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n")
    for line in [
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=TEST-ONLY-Root -keyout ca.key -out ca.pem -days 9",
        f"req -new -newkey rsa-pss {made} -nodes -subj /CN=TEST-ONLY-Signer -keyout signer.key -out signer.csr",
        "x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out signer.pem -days 9 -extfile ext",
        f"cms -sign -binary -outform DER -in head -signer signer.pem -inkey signer.key -md {hash_} -out theirs",
    ]:
        openssl(*line.split(), *(PSS if "cms" in line else []), cwd=place)
    certificates = read_certificates(place / "signer.pem")
    ours = sign(HEAD, load_private_key(place / "signer.key"), certificates)
    (place / "ours").write_bytes(ours)
    arguments = "cms -verify -binary -inform DER -in ours -content head -CAfile ca.pem -purpose any"
    assert openssl(*arguments.split(), cwd=place) == HEAD
    for blob in (ours, (place / "theirs").read_bytes()):
        evidence = judge(blob, load_trust([place / "ca.pem"]), at=certificates[0].not_before)
        assert evidence.counts, evidence.problems
        assert evidence.algorithm == f"rsa-2048-pss-{hash_}"


@pytest.mark.parametrize("algorithm", ["ecdsa-p384", "rsa-3072"])
def test_openssl_accepts_what_keygen_makes(place, algorithm):
    keygen(place / "pki", algorithm, now=NOW)
    openssl(
        "verify",
        "-x509_strict",
        "-attime",
        str(int(NOW.timestamp())),
        "-CAfile",
        "pki/root.pem",
        "pki/signer.pem",
        cwd=place,
    )
