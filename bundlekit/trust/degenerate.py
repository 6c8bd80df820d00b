"""Public keys that allow signatures without a private key, or that allow none at all.

``cryptography`` and OpenSSL load them like others, so they are rejected here. Such a signature proves nothing.
"""

from __future__ import annotations

import math
from typing import Final

P: Final = 2**255 - 19
"""The field of edwards25519 (RFC 8032 section 5.1)."""

D: Final = -121665 * pow(121666, -1, P) % P
"""The constant of the curve, -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032 section 5.1)."""

SMALL_PRIMES: Final = math.prod(
    number for number in range(2, 752) if all(number % small for small in range(2, math.isqrt(number) + 1))
)
"""An RSA modulus must have no factor among these (NIST SP 800-89 section 5.3.3)."""

RHO: Final = 32
"""Bytes of the seed at the beginning of an ML-DSA key; the vector t1 follows (FIPS 204 algorithm 22)."""


def edwards_point(encoded: bytes) -> str:
    """Why 32 bytes are not a trustworthy Ed25519 key; empty if they are one.

    Under a point whose order divides 8, some signatures fit any message. A y that is not reduced is a second encoding
    of a key. No signature fits a point that is not on the curve (RFC 8032 section 5.1.3).
    """
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    if y >= P:
        return "it is not encoded as RFC 8032 requires"
    over, under = (y * y - 1) % P, (D * y * y + 1) % P
    square = over * pow(under, -1, P) % P  # -1/d has no root, so there is no division by zero
    x = _root(square)
    if x is None or (x == 0 and encoded[31] >> 7):
        return "it is not a point on the curve"
    return "its point has a small order, so signatures for it need no private key" if _order_divides_8(x, y) else ""


def _root(square: int) -> int | None:
    """A square root modulo P (RFC 8032 section 5.1.3), None if there is none."""
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == square else None


def _order_divides_8(x: int, y: int) -> bool:
    """Whether the point, doubled three times, is the neutral one, (0, 1)."""
    for _ in range(3):
        product = D * x * x * y * y % P
        x, y = 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P
    return (x, y) == (0, 1)


def modulus(number: int) -> bool:
    """Whether an RSA modulus has a small factor, such as 2, or is a square. Its factors are then known."""
    return math.gcd(number, SMALL_PRIMES) != 1 or math.isqrt(number) ** 2 == number


def lattice_key(encoded: bytes) -> str:
    """Why an ML-DSA key cannot be trusted. With t1 = 0 it has no secret: any short vector signs."""
    return "" if any(encoded[RHO:]) else "its vector t1 is zero, so signatures for it need no private key"
