"""Bare signature values. OpenSSL makes them and is the second judge (`openssl dgst`, `openssl pkeyutl`)."""

import hashlib
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.integrity.content import SignedContent
from bundlekit.model.bundle import SignatureClaim, Span
from bundlekit.source import BytesSource
from bundlekit.trust import Signed, load_trust, verify_claims
from bundlekit.trust.keys import describe
from tests.trust import pki
from tests.trust.pki import NOW, key

CONTENT = b"0123456789abcdef  header.tar.gz\n" * 3
WHERE = Span(start=900, stop=1400)
MENDER = Signed(format="mender", product="box")


def claim(value, *candidates, **fields):
    span = (Span(start=0, stop=len(CONTENT)),)
    return SignatureClaim(
        index=0, signed=span, blob=WHERE, entry=WHERE, form="raw", value=value, candidates=candidates, **fields
    )


def judge(one, store, *, content=CONTENT, known=True, signed=MENDER):
    content = SignedContent(BytesSource(content), (Span(start=0, stop=len(content)),), known=content if known else None)
    (found,) = verify_claims([one], [content], store, NOW, signed)
    return found


def rules(found):
    return [problem.rule for problem in found.problems]


def info(kind, *owner):
    return key(kind, *owner).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "digest").write_bytes(hashlib.sha256(CONTENT).digest())
    for kind in ("rsa-2048", "p256", "p384", "p521", "ed25519"):
        (tmp_path / f"{kind}.key").write_bytes(pki.pem(key(kind)))
        (tmp_path / f"{kind}.pem").write_bytes(pki.pem(key(kind).public_key()))
    return tmp_path


def openssl(*arguments, cwd):
    return subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, check=False, timeout=30)


def made(place, kind, *options, digest="sha256"):
    if kind == "ed25519":
        how = ["pkeyutl", "-sign", "-rawin", "-inkey", f"{kind}.key", "-in", "content"]
    else:
        how = ["dgst", f"-{digest}", *options, "-sign", f"{kind}.key", "content"]
    done = openssl(*how, cwd=place)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def openssl_accepts(place, kind, value, *options, digest="sha256"):
    (place / "value").write_bytes(value)
    if kind == "ed25519":
        how = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{kind}.pem", "-in", "content", "-sigfile", "value"]
    else:
        how = ["dgst", f"-{digest}", *options, "-verify", f"{kind}.pem", "-signature", "value", "content"]
    return openssl(*how, cwd=place).returncode == 0


PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt")
GOOD = {
    "RSA": ("rsa-2048", "rsa-pkcs1v15-sha256", (), "rsa-2048-pkcs1v15-sha256"),
    "RSA sha512": ("rsa-2048", "rsa-pkcs1v15-sha512", (), "rsa-2048-pkcs1v15-sha512"),
    "PSS as MCUboot": ("rsa-2048", "rsa-pss-sha256", (*PSS, "rsa_pss_saltlen:digest"), "rsa-2048-pss-sha256"),
    "PSS as SWUpdate": ("rsa-2048", "rsa-pss-sha256", (*PSS, "rsa_pss_saltlen:max"), "rsa-2048-pss-sha256"),
    "P-256": ("p256", "ecdsa-sha256", (), "ecdsa-p256-sha256"),
    "P-384": ("p384", "ecdsa-sha384", (), "ecdsa-p384-sha384"),
    "P-521": ("p521", "ecdsa-sha512", (), "ecdsa-p521-sha512"),
    "Ed25519": ("ed25519", "ed25519", (), "ed25519"),
}


@pytest.mark.parametrize("named", ["nothing", "key", "id", "another id"])
@pytest.mark.parametrize("case", GOOD)
def test_what_openssl_makes_counts(place, case, named):
    kind, candidate, options, label = GOOD[case]
    digest = candidate.rpartition("-")[2]
    value = made(place, kind, *options, digest=digest)
    fields = {}
    if named == "key":
        fields = {"key": info(kind)}
    elif named == "id":
        fields = {"key_id": hashlib.sha256(info(kind)).hexdigest()}
    elif named == "another id":  # MCUboot hashes an RSA key in the form of PKCS #1, and uses the hash of the image
        form = PublicFormat.PKCS1 if kind == "rsa-2048" else PublicFormat.SubjectPublicKeyInfo
        encoded = key(kind).public_key().public_bytes(Encoding.DER, form)
        fields = {"key_id": hashlib.new("sha384", encoded).hexdigest()}
    store = load_trust([place / f"{kind}.pem"])
    for known in (True, False):
        found = judge(claim(value, candidate, **fields), store, known=known)
        assert found.counts, found.problems
        assert (found.algorithm, found.intact, found.trusted) == (label, True, True)
        assert found.signer == f"key {found.key_id}" == f"key {describe(key(kind).public_key()).id}"
        assert found.anchor == f"{kind}.pem"
    assert openssl_accepts(place, kind, value, *options, digest=digest)
    without = judge(claim(value, candidate, **fields), None)
    assert (without.standing, without.problems) == ("not-checked", ())
    assert without.intact is (True if named == "key" else None)


@pytest.mark.parametrize("named", ["nothing", "key", "id"])
@pytest.mark.parametrize("case", GOOD)
def test_other_content_and_spoiled_values_are_rejected(place, case, named):
    kind, candidate, options, _ = GOOD[case]
    digest = candidate.rpartition("-")[2]
    value = made(place, kind, *options, digest=digest)
    fields = {
        "nothing": {},
        "key": {"key": info(kind)},
        "id": {"key_id": hashlib.sha256(info(kind)).hexdigest()},
    }[named]
    store = load_trust([place / f"{kind}.pem"])
    # PKCS #1 v1.5 alone shows which key made a value.
    traced = named != "nothing" or candidate.startswith("rsa-pkcs1v15")
    other = judge(claim(value, candidate, **fields), store, content=CONTENT + b"\n")
    assert rules(other) == ["signature-wrong"] + ["signer-unknown"] * (not traced)
    assert (other.intact, other.standing) == (False, "rejected")
    assert other.problems[0].where == WHERE
    for place_ in (0, len(value) // 2, len(value) - 1):
        spoiled = bytearray(value)
        spoiled[place_] ^= 1
        found = judge(claim(bytes(spoiled), candidate, **fields), store)
        assert rules(found) == ["signature-wrong"] + ["signer-unknown"] * (named == "nothing")
        assert not openssl_accepts(place, kind, bytes(spoiled), *options, digest=digest)
    for short in (b"", value[:-1], value + b"\0", bytes(len(value))):
        assert not judge(claim(short, candidate, **fields), store).counts


def test_the_pinned_keys_are_tried_with_each_algorithm(place):
    """Mender: an ECDSA value has as many bytes as one of Ed25519, and nothing says which it is."""
    store = load_trust([place / f"{kind}.pem" for kind in ("rsa-2048", "p256", "ed25519")])
    candidates = ("rsa-pkcs1v15-sha256", "ecdsa-p1363-sha256", "ed25519")
    r, s = utils.decode_dss_signature(made(place, "p256"))
    values = {
        "rsa-2048-pkcs1v15-sha256": made(place, "rsa-2048"),
        "ecdsa-p256-sha256": r.to_bytes(32) + s.to_bytes(32),
        "ed25519": made(place, "ed25519"),
    }
    for label, value in values.items():
        found = judge(claim(value, *candidates), store)
        assert (found.counts, found.algorithm) == (True, label)
    assert rules(judge(claim(values["ed25519"], "ecdsa-p1363-sha256"), store)) == ["signature-wrong", "signer-unknown"]


@pytest.mark.parametrize("size", [0, 63, 65, 96])
def test_two_numbers_have_the_size_of_the_curve(place, size):
    store = load_trust([place / "p256.pem"])
    assert not judge(claim(bytes(size), "ecdsa-p1363-sha256"), store).counts


def test_a_digest_signed_as_a_message(place):
    """Ed25519 in MCUboot signs the hash of the image, which its TLV names."""
    store = load_trust([place / "ed25519.pem"])
    for name in ("sha256", "sha384", "sha512"):
        value = key("ed25519").sign(hashlib.new(name, CONTENT).digest())
        assert judge(claim(value, "ed25519", of_digest=True, digest=name), store, known=False).counts
        assert not judge(claim(value, "ed25519"), store).counts
    assert not judge(claim(value, "ed25519", of_digest=True), store).counts


def test_content_that_is_too_large(place, monkeypatch):
    monkeypatch.setattr("bundlekit.integrity.content.MAX_WHOLE", 8)
    store = load_trust([place / "ed25519.pem"])
    for fields in ({}, {"key": info("ed25519")}):
        found = judge(claim(made(place, "ed25519"), "ed25519", **fields), store, known=False)
        assert (rules(found), found.intact) == (["chain-unsupported"], None)
        assert "96 bytes as a whole" in found.reason
        assert found.problems[0].params == {"size": 96}


@pytest.mark.parametrize("salt", [0, 20, 31, 33, 100])
@pytest.mark.parametrize("named", [False, True])
def test_other_salts(place, salt, named):
    value = key("rsa-2048").sign(CONTENT, padding.PSS(padding.MGF1(pki.DIGESTS["sha256"]), salt), pki.DIGESTS["sha256"])
    fields = {"key": info("rsa-2048")} if named else {}
    found = judge(claim(value, "rsa-pss-sha256", **fields), load_trust([place / "rsa-2048.pem"]))
    assert rules(found) == ["weak-algorithm"]
    assert openssl_accepts(place, "rsa-2048", value, *PSS, "rsa_pss_saltlen:auto")


@pytest.mark.parametrize("digest", ["sha1", "sha224"])
def test_weak_hashes_under_a_pinned_key_are_named(place, digest):
    found = judge(
        claim(made(place, "rsa-2048", digest=digest), "rsa-pkcs1v15-sha256"), load_trust([place / "rsa-2048.pem"])
    )
    assert rules(found) == ["weak-algorithm"]
    assert found.key_id == describe(key("rsa-2048").public_key()).id


def test_another_hash_than_the_format_has(place):
    store = load_trust([place / "rsa-2048.pem"])
    found = judge(claim(made(place, "rsa-2048", digest="sha512"), "rsa-pkcs1v15-sha256"), store)
    assert rules(found) == ["signature-malformed"]


@pytest.mark.parametrize("kind", ["rsa-1024", "rsa-e3", "secp256k1"])
@pytest.mark.parametrize("named", [False, True])
def test_weak_keys(kind, named):
    candidate = "ecdsa-sha256" if kind == "secp256k1" else "rsa-pkcs1v15-sha256"
    value = pki.raw_sign(key(kind), CONTENT)
    found = judge(claim(value, candidate, **({"key": info(kind)} if named else {})), pki.pins(key(kind)))
    assert rules(found) == ["weak-algorithm"]
    assert not found.counts


def test_strangers(place):
    store = load_trust([place / "p256.pem"])
    other = pki.raw_sign(key("p256", "other"), CONTENT)
    assert rules(judge(claim(other, "ecdsa-sha256"), store)) == ["signature-wrong", "signer-unknown"]
    found = judge(claim(other, "ecdsa-sha256", key=info("p256", "other")), store)
    assert (rules(found), found.intact, found.trusted) == (["signer-unknown"], True, False)
    id_ = hashlib.sha256(info("p256", "other")).hexdigest()
    found = judge(claim(other, "ecdsa-sha256", key_id=id_), store)
    assert (rules(found), found.intact, found.signer) == (["signer-unknown"], None, f"key {id_}")
    found = judge(claim(made(place, "rsa-2048"), "rsa-pkcs1v15-sha256"), store)
    assert (rules(found), found.intact) == (["signer-unknown"], None)
    # An anchor is no key.
    assert rules(judge(claim(other, "ecdsa-sha256"), pki.anchors(pki.root()))) == ["signer-unknown"]


def test_keys_that_the_bundle_names_wrongly(place):
    store = load_trust([place / "p256.pem", place / "rsa-2048.pem"])
    value = made(place, "p256")
    cases = [
        ({"key": b""}, []),
        ({"key": info("p256"), "key_id": "0" * 64}, ["signature-malformed"]),
        ({"key": b"\x30\x00"}, ["signature-malformed"]),
        ({"key": info("p256") + b"\0"}, ["signature-malformed"]),
        ({"key": info("rsa-2048")}, ["signature-malformed"]),
        ({"key_id": hashlib.sha256(info("rsa-2048")).hexdigest()}, ["signature-malformed"]),
        ({"key_id": "00"}, ["signer-unknown"]),
        ({"key_id": "0" * 40}, ["signer-unknown"]),
    ]
    for fields, expected in cases:
        assert rules(judge(claim(value, "ecdsa-sha256", **fields), store)) == expected, fields


SIGNER = """
trust = 1
allow-test-keys = true
{top}
[signers.release]
role = "production"
key = "p256.pem"
{more}
"""


def toml(place, more="", top=""):
    (place / "trust.toml").write_text(SIGNER.format(more=more, top=top))
    return load_trust(place / "trust.toml")


@pytest.mark.parametrize(
    ("more", "top", "expected"),
    [
        ('formats = ["mender"]', "", []),
        ('formats = ["update.bin", "mender"]', "", []),
        ("", "", ["out-of-scope"]),
        ('formats = ["rauc"]', "", ["out-of-scope"]),
        ('formats = ["mender"]\nproducts = ["crate"]', "", ["out-of-scope"]),
        ('formats = ["mender"]\nuntil = 2026-11-23', "", ["signer-expired"]),
        ('formats = ["mender"]\nuntil = { "p256.pem" = 2026-11-23 }', "", ["signer-expired"]),
        ('formats = ["mender"]\nuntil = { "p256.pem" = 2026-11-24 }', "", []),
        ('formats = ["mender"]', 'deny = ["p256.pem"]', ["signer-denied"]),
        ('formats = ["mender"]', 'floor = { hash = "sha512" }', ["weak-algorithm"]),
    ],
)
def test_a_trust_file_names_signer_and_format(place, more, top, expected):
    value = made(place, "p256")
    for fields in ({}, {"key": info("p256")}):
        found = judge(claim(value, "ecdsa-sha256", **fields), toml(place, more, top))
        assert rules(found) == expected
        assert (found.name, found.role, found.counts) == ("release", "production", not expected)


def test_a_key_for_pss_alone(place):
    algorithm = ["-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"]
    assert openssl("genpkey", *algorithm, "-out", "pss.key", cwd=place).returncode == 0
    assert openssl("pkey", "-in", "pss.key", "-pubout", "-out", "pss.pem", cwd=place).returncode == 0
    private = load_pem_private_key((place / "pss.key").read_bytes(), None)
    value = pki.raw_sign(private, CONTENT)
    assert rules(judge(claim(value, "rsa-pkcs1v15-sha256"), load_trust([place / "pss.pem"]))) == ["signature-malformed"]


CANDIDATES = [
    "rsa-pkcs1v15-sha256",
    "rsa-pss-sha256",
    "rsa-pss-sha512",
    "ecdsa-sha256",
    "ecdsa-p1363-sha256",
    "ed25519",
]


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300) | st.binary(min_size=256, max_size=256) | st.binary(min_size=64, max_size=64),
    st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=4, unique=True),
    st.sampled_from([b"", info("p256"), info("rsa-2048"), info("ed25519")]) | st.binary(max_size=100),
    st.sampled_from(["", "00" * 32, "zz", describe(key("p256").public_key()).id]),
    st.booleans(),
)
def test_any_bytes_are_evidence(value, candidates, key_, id_, of_digest):
    one = claim(value, *candidates, key=key_, key_id=id_, of_digest=of_digest)
    for store in (None, pki.pins(key("p256"), key("rsa-2048"), key("ed25519"), key("rsa-1024"))):
        found = judge(one, store)
        assert not found.counts
        assert found.standing == "not-checked" if store is None and not found.problems else found.problems
