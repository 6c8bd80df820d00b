"""trust.toml as an operator writes it: the allowed signers, how many must sign, and what is always rejected."""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

import datetime as dt
from typing import Annotated, Literal

from msgspec import Meta

from bundlekit.model.bundle import OtherFormat
from bundlekit.model.primitives import BundleId, Count, Name, Strict, Text, VersionText

FilePath = Annotated[str, Meta(min_length=1, max_length=1024, description="A file, relative to the trust file.")]
Paths = FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1, max_length=64)]
Subject = Annotated[str, Meta(min_length=1, max_length=1024, description="A distinguished name (RFC 4514).")]
Format = Literal["update.bin", "advisories", OtherFormat]
Purpose = Literal["code-signing", "email-protection"]
Role = Literal["production", "development"]
Hash = Literal["sha256", "sha384", "sha512"]
RsaBits = Annotated[int, Meta(ge=2048, le=8192, description="Bits of the modulus.")]

Algorithm = Literal["classical", "post-quantum", "rsa", "ecdsa", "ed25519", "ml-dsa-65", "ml-dsa-87"]
"""What a requirement can ask of a signature: a class, or the family of every key from the signer to the anchor."""


class Floor(Strict, frozen=True, kw_only=True):
    """The minimum strength of every key and hash from signer to anchor. The built-in minimum is lower."""

    rsa: RsaBits = 2048
    hash: Hash = "sha256"


class Ceiling(Strict, frozen=True, kw_only=True):
    """The maximum that is computed with."""

    rsa: RsaBits = 8192


class CrlSettings(Strict, frozen=True, kw_only=True):
    """Revocation lists. ``required``: without a current list for each CA no bundle is accepted."""

    files: Annotated[tuple[FilePath, ...], Meta(min_length=1, max_length=64)]
    required: bool = False
    max_age: Text | None = None


class NamedSigner(Strict, frozen=True, kw_only=True):
    """One person or office that signs: with certificates under anchors, with pinned keys, or with both.

    All keys of one person belong here, including those of different years, because two signers count as two.
    ``subject`` (RFC 4514) selects one certificate or several, if the same anchor has issued others. ``until`` is the
    last day on which the signer counts, or that of single files of ``anchor`` and ``key``. ``formats`` are the formats
    that the signer can sign.
    """

    role: Role
    anchor: Paths = ()
    subject: Subject | Annotated[tuple[Subject, ...], Meta(min_length=1, max_length=64)] | None = None
    key: Paths = ()
    until: dt.date | Annotated[dict[FilePath, dt.date], Meta(min_length=1, max_length=64)] | None = None
    purpose: Purpose | None = None
    products: Annotated[tuple[Name, ...], Meta(min_length=1)] = ()
    formats: Annotated[tuple[Format, ...], Meta(min_length=1)] = ("update.bin", "advisories")


class Require(Strict, frozen=True, kw_only=True):
    """A requirement: signatures of ``count`` of the named signers, each by ``algorithms`` if given.

    ``formats`` are those of the files that it is for. Without it, it is for the formats that one of the signers signs.
    """

    count: Annotated[int, Meta(ge=1, le=16)] = 1
    of: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ()
    formats: Annotated[tuple[Format, ...], Meta(min_length=1)] = ()


class ProductFloor(Strict, frozen=True, kw_only=True):
    """The lowest accepted version and security counter of a product."""

    version: VersionText | None = None
    counter: Count | None = None


class TrustFile(Strict, frozen=True, kw_only=True):
    """The whole of a trust.toml, version 1."""

    trust: Literal[1]
    name: Text = ""
    purpose: Purpose = "code-signing"
    time: Literal["now", "released"] = "now"
    other_signers: Literal["reject", "ignore"] = "reject"
    intermediates: Literal["bundle", "listed"] = "bundle"
    intermediate_files: Annotated[tuple[FilePath, ...], Meta(min_length=1, max_length=64)] = ()
    allow_test_keys: bool = False
    max_age: Text | None = None
    floor: Floor = Floor()
    ceiling: Ceiling = Ceiling()
    crls: CrlSettings | None = None
    deny: Annotated[tuple[FilePath, ...], Meta(min_length=1, max_length=256)] = ()
    withdrawn: dict[BundleId, Text] = {}
    floors: dict[Name, ProductFloor] = {}
    signers: Annotated[dict[Name, NamedSigner], Meta(min_length=1, max_length=64)]
    require: Annotated[tuple[Require, ...], Meta(min_length=1, max_length=16)] = ()
