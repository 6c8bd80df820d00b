"""The public keys of tokens, by the attributes of PKCS #11."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundlekit.errors import SigningError
from bundlekit.trust import token_key
from bundlekit.trust.keys import describe


def octets(point):
    """DER of an OCTET STRING."""
    size = len(point)
    return b"\x04" + (bytes([size]) if size < 128 else b"\x81" + bytes([size])) + point


@pytest.mark.parametrize("wrapped", [True, False], ids=["octet string", "raw"])
@pytest.mark.parametrize(
    ("kind", "private", "curve"),
    [
        ("ecdsa", ec.derive_private_key(7, ec.SECP256R1()), "06082a8648ce3d030107"),
        ("ecdsa", ec.derive_private_key(7, ec.SECP384R1()), "06052b81040022"),
        ("ecdsa", ec.derive_private_key(7, ec.SECP521R1()), "06052b81040023"),
        ("ed25519", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)), "06032b6570"),
    ],
)
def test_a_point_of_a_token_is_the_key(kind, private, curve, wrapped):
    public = private.public_key()
    uncompressed = (
        (Encoding.X962, PublicFormat.UncompressedPoint) if kind == "ecdsa" else (Encoding.Raw, PublicFormat.Raw)
    )
    point = public.public_bytes(*uncompressed)
    point = octets(point) if wrapped else point
    assert token_key({"kind": kind, "curve": curve, "point": point.hex()}).id == describe(public).id


@pytest.mark.parametrize("make", [mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey])
def test_an_ml_dsa_key_of_a_token_is_the_key(make):
    public = make.generate().public_key()
    assert token_key({"kind": "ml-dsa", "point": public.public_bytes_raw().hex()}).id == describe(public).id


@pytest.mark.parametrize(
    "numbers",
    [
        {"kind": "ecdsa", "curve": "06052b8104000a", "point": "04"},  # secp256k1
        {"kind": "ecdsa", "curve": "06082a8648ce3d030107", "point": "0404"},
        {"kind": "ecdsa", "curve": "06082a8648ce3d030107", "point": "04" + "00" * 64},
        {"kind": "ed25519", "curve": "", "point": "0400"},
        {"kind": "ml-dsa", "point": "00"},
        {"kind": "rsa", "modulus": "00", "exponent": "00"},
        {"kind": "dsa", "point": ""},
    ],
    ids=str,
)
def test_a_key_of_a_token_that_cannot_be_used_is_one_sentence(numbers):
    with pytest.raises(SigningError, match="The public key in the token cannot be used"):
        token_key(numbers)
