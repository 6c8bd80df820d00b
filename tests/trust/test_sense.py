"""What cannot match or mean anything is rejected when a trust file is read."""

import re
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dh, ec, ed25519, mldsa, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundlekit.errors import ConfigError, TrustError
from bundlekit.trust import degenerate, load_trust
from bundlekit.trust.keys import describe
from tests.trust import pki, world
from tests.trust.pki import key
from tests.trust.world import bundle, by, check, demand, rules, trust

ANNA = '[signers.anna]\nrole = "production"\nanchor = "root.pem"\n'
CARL = '[signers.carl]\nrole = "production"\nkey = "carl.pub.pem"\n'

SENSELESS = {
    "withdrawn by SHA-512": (
        f'withdrawn = {{ "sha512:{"0" * 128}" = "x" }}',
        CARL,
        "",
        "bundles have no id of another",
    ),
    "withdrawn by SHA-384": (f'withdrawn = {{ "sha384:{"0" * 96}" = "x" }}', CARL, "", "bundles have no id of another"),
    "withdrawn in capitals": (f'withdrawn = {{ "sha256:{"A" * 64}" = "x" }}', CARL, "", "lower-case hex digits"),
    "floor above ceiling": (
        "floor = { rsa = 4096 }\nceiling = { rsa = 3072 }",
        CARL,
        "",
        "the floor of 4096 bits for RSA is above the ceiling of 3072",
    ),
    "max-age of nothing": ('max-age = "0 days"', CARL, "", "'0 days' is zero, so nothing"),
    "max-age below nothing": ('max-age = "-3 days"', CARL, "", "'-3 days' is not a number"),
    "age of lists of nothing": ('crls = { files = ["0.crl"], max-age = "0 h" }', CARL, "", "'0 h' is zero, so nothing"),
    "an unknown purpose": ('purpose = "server-auth"', CARL, "", "'server-auth' is not one of"),
    "a purpose without a certificate": ("", CARL + 'purpose = "code-signing"\n', "", "has a purpose but no anchor"),
    "an unknown format": ("", CARL + 'formats = ["update"]\n', "", "'update' is not one of update.bin, advisories"),
    "a signer twice in a demand": ("", ANNA + CARL, demand(2, "anna", "anna"), "lists the signer 'anna' twice"),
    "a floor of nothing": ("[floors.imager]\n", CARL, "", "has neither a version nor a counter"),
    "a floor of a product that no signer may sign for": (
        "[floors.imagr]\ncounter = 1\n",
        CARL + 'products = ["imager"]\n',
        "",
        "a floor for 'imagr', which no signer is allowed to sign for; did you mean 'imager'?",
    ),
    "a last day of another file": (
        "",
        ANNA + 'until = { "rooot.pem" = 2027-01-01 }\n',
        "",
        "a last day for 'rooot.pem'; did you mean 'root.pem'?",
    ),
    "one key pinned by one and of the CA of another": (
        "",
        ANNA + '[signers.x]\nrole = "production"\nkey = "root.pub.pem"\n',
        "",
        "have one key; a key belongs to one signer",
    ),
}


@pytest.fixture
def place(tmp_path):
    world.write(tmp_path)
    (tmp_path / "root.pub.pem").write_bytes(pki.pem(key("p256", "Root").public_key()))
    from tests.trust.test_crl import make

    (tmp_path / "0.crl").write_bytes(pki.pem(make()))
    return tmp_path


@pytest.mark.parametrize(("more", "signers", "end", "words"), SENSELESS.values(), ids=SENSELESS)
def test_what_cannot_match_is_refused(place, more, signers, end, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        trust(place, f"{more}\n", end, signers)


# --- subjects ---


def long_name(last):
    units = [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, f"{number:060}") for number in range(9)]
    return x509.Name([*units, x509.NameAttribute(x509.NameOID.COMMON_NAME, last)])


def certificate(subject, serial=7):
    built = pki.signer(common="Anna", serial=serial)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(built.issuer)
        .public_key(built.public_key())
        .serial_number(serial)
        .not_valid_before(built.not_valid_before_utc)
        .not_valid_after(built.not_valid_after_utc)
    )
    for extension in built.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key("p256", "Root"), pki.HASHES["p384"])


def test_long_subjects_are_compared_in_full(desk):
    mine = long_name("Anna")
    text = mine.rfc4514_string()
    assert len(text) > 512
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Anne"), *list(mine)[1:]])
    store = trust(desk, signers=f'{ANNA}subject = "{text}"\n')
    assert check(store, bundle(by(common="Anna", leaf=certificate(mine)))).verdict == "accept"
    assert rules(check(store, bundle(by(common="Anna", leaf=certificate(other))))) == [
        "signer-unknown",
        "too-few-signers",
    ]
    # That begins with the same 512 characters.
    assert other.rfc4514_string()[:512] == text[:512]


def test_several_subjects_are_those_of_one_person(desk):
    anna = f'{ANNA}subject = ["CN=Anna,O=TEST ONLY", "CN=Bert,O=TEST ONLY"]\n'
    store = trust(desk, end=demand(1, "anna"), signers=anna)
    for one in (world.ANNA, world.BERT):
        assert check(store, bundle(one)).signatures[0].name == "anna"
    assert rules(check(store, bundle(by(common="Zoe")))) == ["signer-unknown", "too-few-signers"]


# --- keys without a secret ---

SMALL = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
POINTS = [bytes.fromhex(one)[:31] + bytes([bytes.fromhex(one)[31] | sign]) for one in SMALL for sign in (0, 0x80)]
"""All encodings of the eight points of small order, also those that RFC 8032 does not have."""


@pytest.mark.parametrize("point", POINTS, ids=bytes.hex)
def test_a_point_of_small_order_is_no_key(tmp_path, point):
    public = ed25519.Ed25519PublicKey.from_public_bytes(point)
    assert describe(public).weakness
    (tmp_path / "a.pem").write_bytes(pki.pem(public))
    with pytest.raises(TrustError, match="can never count: it"):
        load_trust(tmp_path / "a.pem")
    (tmp_path / "trust.toml").write_text('trust = 1\n[signers.x]\nrole = "production"\nkey = "a.pem"\n')
    with pytest.raises(TrustError, match="can never count"):
        load_trust(tmp_path / "trust.toml")


def test_a_certificate_with_such_a_key_is_weak():
    public = ed25519.Ed25519PublicKey.from_public_bytes(POINTS[2])
    holder = type("Holder", (), {"public_key": lambda self: public})()
    leaf = pki.certificate("Weak", holder, "Root", key("p256", "Root"), purposes=[pki.CODE_SIGNING])
    forged = pki.forge(key("ed25519"), [leaf], digest="sha512", algorithm={"algorithm": pki.OIDS["ed25519"]})
    found = pki.judge(forged, pki.anchors(pki.root()))
    assert "weak-algorithm" in pki.rules(found)
    assert not found.counts


def test_points_that_are_none_are_no_keys():
    off = next(
        bytes([y]) + bytes(31)
        for y in range(2, 99)
        if "not a point" in degenerate.edwards_point(bytes([y]) + bytes(31))
    )
    assert describe(ed25519.Ed25519PublicKey.from_public_bytes(off)).weakness == "it is not a point on the curve"
    assert "RFC 8032" in degenerate.edwards_point(b"\xf0" + b"\xff" * 30 + b"\x7f")
    for number in range(20):
        assert not describe(key("ed25519", f"good {number}").public_key()).weakness


@pytest.mark.parametrize(("kind", "size"), [(mldsa.MLDSA65PublicKey, 1952), (mldsa.MLDSA87PublicKey, 2592)])
def test_an_ml_dsa_key_without_a_secret(kind, size):
    assert "need no private key" in describe(kind.from_public_bytes(b"\7" * 32 + bytes(size - 32))).weakness
    assert not describe(kind.from_public_bytes(b"\7" * 32 + b"\1" + bytes(size - 33))).weakness


N = key("rsa-2048").public_key().public_numbers().n
RSA = {
    "an even exponent": (65538, N),
    "an exponent of one": (1, N),
    "three": (3, N),
    "a small factor": (65537, N // 3 * 3 if (N // 3 * 3) % 2 else N // 3 * 3 - 3),
    "a square": (65537, (2**1024 - 105) ** 2),
}


@pytest.mark.parametrize(("e", "n"), RSA.values(), ids=RSA)
def test_rsa_keys_that_are_none(tmp_path, e, n):
    try:
        public = rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError:  # the library itself refuses it
        return
    (tmp_path / "a.pem").write_bytes(pki.pem(public))
    with pytest.raises(TrustError, match=r"can never count|cannot be used"):
        load_trust(tmp_path / "a.pem")


OTHER = {
    "DH": lambda: dh.DHParameterNumbers(int(FFDHE, 16), 2).parameters().generate_private_key(),
    "X25519": x25519.X25519PrivateKey.generate,
    "secp256k1": lambda: key("secp256k1"),
    "ML-DSA-44": lambda: key("ml-dsa-44"),
    "RSA-1024": lambda: key("rsa-1024"),
}
FFDHE = """
FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FBCC939DCE249B3EF97D2FE363630C75D8
F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0856365553DED1AF3B557135E7F57C935984F0C70E0E68B77E2A689DAF3EFE872
1DF158A136ADE73530ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FBB96ADAB760D7F4681D4F42A3DE394DF4AE56EDE76372BB19
0B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F619172FE9CE98583FF8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005
C58EF1837D1683B2C6F34A26C1B2EFFA886B423861285C97FFFFFFFFFFFFFFFF
""".replace("\n", "")  # RFC 7919 appendix A.1


@pytest.mark.parametrize("make", OTHER.values(), ids=OTHER)
def test_keys_that_never_sign_bundles_are_not_pinned(tmp_path, make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pki.pem(make().public_key())
    (tmp_path / "a.pem").write_bytes(data)
    with pytest.raises(TrustError, match=r"can never count|cannot be used"):
        load_trust(tmp_path / "a.pem")


def test_an_even_modulus_is_refused():
    assert degenerate.modulus(N - 1)
    assert not degenerate.modulus(N)


def test_the_point_at_infinity_is_no_key(tmp_path):
    info = pki.key("p256").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    algorithm = info[2 : 2 + 2 + info[3]]
    inner = algorithm + b"\x03\x02\x00\x00"
    from base64 import b64encode

    for data in (b"\x30" + bytes([len(inner)]) + inner,):
        file = tmp_path / "a.pem"
        file.write_bytes(b"-----BEGIN PUBLIC KEY-----\n" + b64encode(data) + b"\n-----END PUBLIC KEY-----\n")
        with pytest.raises(TrustError, match="cannot be used"):
            load_trust(file)
    assert isinstance(key("p256"), ec.EllipticCurvePrivateKey)
