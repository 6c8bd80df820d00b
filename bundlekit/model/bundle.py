"""A bundle in any container format: sections, and claims about spans of bytes.

Byte coverage and integrity are computed from the claims alone, without knowledge of a format. Another vendor's
container therefore needs only a layout reader that returns its claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Literal

from msgspec.structs import replace

from bundlekit.model.manifest import Manifest
from bundlekit.model.primitives import Frozen
from bundlekit.model.release import Release

OtherFormat = Literal["rauc", "swupdate", "mender", "mcuboot", "esp"]
BundleFormat = Literal["update.bin", OtherFormat]
"""The formats with a reader of their own, ``bundlekit.formats.NAME``, besides update.bin."""


class Span(Frozen, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """The half-open byte range ``[start, stop)`` of the bundle file, or of a stream that is decoded from it.

    ``stream`` is empty for the file itself. Otherwise it names the decoded part, such as ``header.tar.gz``.
    """

    start: int
    stop: int
    stream: str = ""

    @property
    def size(self) -> int:
        """Bytes in the span."""
        return self.stop - self.start

    def __str__(self) -> str:
        return f"0x{self.start:x}..0x{self.stop:x}" + (f" of {self.stream}" if self.stream else "")


class Section(Frozen, frozen=True, kw_only=True):
    """A named part of the file, for the map of the file that reports show."""

    name: str
    span: Span


class Problem(Frozen, frozen=True, kw_only=True):
    """A fault found while reading, kept as data until the rule of that name reports it.

    ``rule`` is the rule that fails. ``where`` is the span to look at; None if no byte is at fault. ``subject`` is the
    component, signature or entry concerned. ``params`` are the facts in the message, for translators.
    """

    rule: str
    message: str
    where: Span | None = None
    subject: str = ""
    params: dict[str, str | int] = {}


SignatureForm = Literal["cms-strict", "cms-detached", "cms-enclosing", "raw"]
"""How a signature is stored: in the strict CMS profile of update.bin, in any CMS in DER, or as a bare value."""

RawAlgorithm = Literal[
    "rsa-pkcs1v15-sha256",
    "rsa-pkcs1v15-sha384",
    "rsa-pkcs1v15-sha512",
    "rsa-pss-sha256",
    "rsa-pss-sha384",
    "rsa-pss-sha512",
    "ecdsa-sha256",
    "ecdsa-sha384",
    "ecdsa-sha512",
    "ecdsa-p1363-sha256",
    "ed25519",
]
"""The algorithm of a bare value. The size of the key is not part of it.

With ``ecdsa-p1363-sha256`` the value is r and s, each as long as the order of the curve (IEEE P1363). A format that has
both this form and Ed25519 cannot convert the value without the key: with P-256 both have 64 bytes.
"""


class SignatureClaim(Frozen, frozen=True, kw_only=True):
    """The claim that ``value`` signs the bytes of ``signed``, one span after another. Claims are numbered from 0.

    ``blob`` is the span of the signature as stored. ``entry`` is the span that it accounts for: the blob with its
    length or its other framing. ``value`` is the CMS object in DER, or the bare value: RSA big-endian (RFC 8017), ECDSA
    in DER (RFC 3279), Ed25519 in 64 bytes (RFC 8032). With ``cms-enclosing`` the CMS object contains the signed bytes,
    and ``signed`` is empty.

    The other fields are for a bare value. ``candidates`` are the algorithms that it can have; a format that does not
    store the algorithm has several. ``of_digest``: what is signed is the digest of the bytes, as a message of its own
    (Ed25519 in MCUboot). ``digest`` is the hash for that. ``key`` is the public key that the bundle contains
    (SubjectPublicKeyInfo in DER, RFC 5280). ``key_id`` names the key instead. It is the SHA-256, SHA-384 or SHA-512, in
    hex, of its SubjectPublicKeyInfo or, for RSA, of its RSAPublicKey (RFC 8017) in DER. ``exact_salt``: the salt of
    RSA-PSS has to be as long as the hash, because the device knows no other. ``device_key`` is the digest of the key as
    the device stores it (``algorithm:hex``), if that is another than the key id.
    """

    index: int
    signed: tuple[Span, ...]
    blob: Span
    entry: Span
    form: SignatureForm
    value: bytes
    candidates: tuple[RawAlgorithm, ...] = ()
    of_digest: bool = False
    digest: Literal["sha256", "sha384", "sha512"] = "sha256"
    key: bytes = b""
    key_id: str = ""
    exact_salt: bool = False
    device_key: str = ""


DigestOf = Literal["index", "content", "checksum"]
"""What a digest is over: a chunk index, or content such as an image, a member or a part of the metadata.

A ``checksum`` finds accidents. It proves nothing, so it covers no byte. Its algorithm is ``xor8``, the exclusive or of
all bytes, or ``sum32``, their sum modulo 2^32.
"""


class DigestClaim(Frozen, frozen=True, kw_only=True):
    """The claim that the digest of ``span`` is ``expected`` (``algorithm:hex``).

    ``serial`` marks a digest over a whole component. It cannot be computed in parallel and proves no more than the
    chunk index, so it is checked only on request. ``stored`` is the position of a checksum, if it is not in ``span``.
    """

    subject: str
    span: Span
    expected: str
    of: DigestOf = "content"
    serial: bool = False
    stored: Span | None = None


class ChunkClaim(Frozen, frozen=True, kw_only=True):
    """The claim that each ``chunk_size`` bytes of ``span`` have the digest at their position in ``index``."""

    subject: str
    span: Span
    index: Span
    chunk_size: int
    algorithm: str


class ZeroClaim(Frozen, frozen=True, kw_only=True):
    """The claim that every byte of ``span`` is zero: padding, and the unused part of the signature area.

    ``fill`` is another value of these bytes, such as 0xff in erased flash memory.
    """

    subject: str
    span: Span
    fill: int = 0


class TreeClaim(Frozen, frozen=True, kw_only=True):
    """The claim that ``tree`` is the hash tree over ``span``, and that its root is ``root`` (``algorithm:hex``).

    The tree is that of dm-verity (Linux kernel, admin-guide/device-mapper/verity, hash type 1). Blocks have
    ``block_size`` bytes, and ``salt`` precedes each block in its digest.
    """

    subject: str
    span: Span
    tree: Span
    root: str
    salt: bytes
    block_size: int = 4096


Compression = Literal["none", "gzip", "xz", "zstd"]
"""How an archive is compressed."""


class ArchiveClaim(Frozen, frozen=True, kw_only=True):
    """The claim that ``span``, decoded by ``compression``, is a tar archive of exactly these members.

    ``digests`` are the digests of the members by name (``algorithm:hex``). The archive is read once, as a stream.
    """

    subject: str
    span: Span
    compression: Compression
    digests: dict[str, str]


class FramingClaim(Frozen, frozen=True, kw_only=True):
    """The claim that ``span`` is framing that no signature covers, such as the header of an archive member.

    The reader has checked each field that has a meaning. A format page lists the fields that remain free, such as
    times. ``checked``: no field in ``span`` is free. Each byte has the only value that the format and the signed
    description allow.
    """

    subject: str
    span: Span
    checked: bool = False


class DecodedClaim(Frozen, frozen=True, kw_only=True):
    """The claim that ``span`` is the text or the coding of the stream ``stream``, which the reader has decoded.

    The bytes of the stream are in ``Bundle.streams``. Each of them must be covered by another claim.
    """

    subject: str
    span: Span
    stream: str


class PackedClaim(Frozen, frozen=True, kw_only=True):
    """The claim that the file ``name`` in the SquashFS image ``span`` has ``size`` bytes and the digest ``expected``.

    The image is covered by another claim, so this proves no more about its bytes. It is checked only on request.
    ``unread`` is the reason if the file cannot be compared. Without ``expected`` the file only has to exist.
    """

    subject: str
    span: Span
    name: str
    size: int
    expected: str
    unread: str = ""


ByteClaim = DigestClaim | ChunkClaim | ZeroClaim | TreeClaim | ArchiveClaim | FramingClaim | DecodedClaim

Aspect = Literal[
    "container",
    "manifest",
    "area",
    "chunks",
    "detached",
    "inner",
    "structure",
    "loader",
    "metadata",
    "members",
    "content",
    "tree",
    "images",
]
"""What a format has, so that the rules about it apply. A rule names one aspect, or applies to every format.

The first six are those of update.bin. ``container``: its header. ``manifest``: a manifest with a matrix. ``area``: a
signature area of fixed size. ``chunks``: components with a chunk index. ``detached``: components in files of their own.
``inner``: components that are bundles in other formats. The others are those of other formats. ``structure``: a layout
of headers and blocks. ``loader``: a kind of device in the header, and bundlekit knows what its loader supports.
``metadata``: a description in the syntax of the format. ``members``: named members of an archive. ``content``: digests
over whole parts. ``tree``: a hash tree. ``images``: digests over files inside of an image.
"""


class Unread(Frozen, frozen=True, kw_only=True):
    """A part that this program, or this machine, cannot read. Rules that need it are *not run*, for this reason.

    ``rules`` are the names of these rules. ``unless_plain``: the part is perhaps encrypted, which only its digest and
    the signatures show. If one of them is right over the stored bytes, these are the plain text, and nothing is unread.
    """

    rules: tuple[str, ...]
    reason: str
    next: str = ""
    unless_plain: bool = False


class Bundle(Frozen, frozen=True, kw_only=True):
    """A bundle as the reader of its format understood it, up to the first fault.

    ``size`` is the real size of the file in bytes. ``declared_size`` is the size that it states or implies. ``aspects``
    are those of its format. ``head`` is the span of the signed description that pins all other bytes, and
    ``head_bytes`` are its bytes. ``signatures`` are in the order of the file. ``document`` is the description as plain
    JSON values. ``release`` is what the bundle claims to be. ``manifest`` is the description of an update.bin, as typed
    values. Each is None if reading ended before it; the ``problems`` give the reason.

    ``complete``: the claims are all there, so that every byte must be covered by one of them. ``streams`` are the bytes
    of small streams that the reader decoded, by the names that spans have for them. ``packed`` are claims about files
    inside of the payload, which are checked on request. ``files`` are the real sizes, in bytes, of the files of a
    detached head that were found, by the names that spans have for them.
    """

    format: str
    aspects: frozenset[Aspect]
    size: int
    declared_size: int | None = None
    head: Span | None = None
    head_bytes: bytes | None = None
    area: Span | None = None
    signatures: tuple[SignatureClaim, ...] | None = None
    document: dict[str, object] | None = None
    release: Release | None = None
    manifest: Manifest | None = None
    complete: bool = False
    sections: tuple[Section, ...] = ()
    claims: tuple[ByteClaim, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()
    streams: dict[str, bytes] = {}
    files: dict[str, int] = {}
    packed: tuple[PackedClaim, ...] = ()

    @property
    def id(self) -> str | None:
        """The id of the bundle in reports, journals and tickets: the SHA-256 of its head."""
        return None if self.head_bytes is None else f"sha256:{sha256(self.head_bytes).hexdigest()}"

    def plus(
        self,
        *,
        problems: Iterable[Problem] = (),
        sections: Iterable[Section] = (),
        claims: Iterable[ByteClaim] = (),
        **known: Any,  # noqa: ANN401 - fields that became known
    ) -> Bundle:
        """The bundle after more of it was read: more problems, sections and claims, and other fields as given."""
        return replace(
            self,
            problems=(*self.problems, *problems),
            sections=(*self.sections, *sections),
            claims=(*self.claims, *claims),
            **known,
        )

    @property
    def blobs(self) -> tuple[bytes, ...] | None:
        """The signatures as bytes, in the order of the file."""
        return None if self.signatures is None else tuple(one.value for one in self.signatures)
