"""A trust.toml, read: its files loaded, its names resolved, and nothing in it left ambiguous.

Loaded only where a trust.toml is given. `bundlekit.model.trust` says what the file may hold; what a schema
cannot say is refused here, when the file is read and not when a signature happens to meet it.
"""

from __future__ import annotations

import hashlib
import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from bundlekit import config
from bundlekit.errors import ConfigError, TrustError
from bundlekit.mistakes import nearest
from bundlekit.model.primitives import Frozen
from bundlekit.model.question import Limits
from bundlekit.model.trust import Ceiling, Floor, Require, TrustFile
from bundlekit.trust import crl, store
from bundlekit.trust.certificates import Certificate
from bundlekit.trust.chain import MAX_INTERMEDIATES, issued

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from bundlekit.trust.store import TrustStore

ID: Final = re.compile(r"sha256:[0-9a-f]{64}")

EXAMPLE: Final = """\
# trust.toml: who may sign, how many of them must, and what is refused all the same.
# Paths are relative to this file. Look at the result: bundlekit trust show trust.toml
trust   = 1                           # the version of this file's shape
name    = "imager production"
purpose = "code-signing"              # what signers' certificates must be for: code-signing | email-protection
time    = "now"                       # certificates are valid now, or on the signed release date: now | released
floor   = { rsa = 3072, hash = "sha256" }   # for every key and signature from the signer to the anchor
# ceiling       = { rsa = 4096 }
# other-signers = "ignore"            # a stranger's valid signature beside the demanded ones: refuse | ignore
# intermediates = "listed"            # CAs between signer and anchor come from the bundle, or from the files
# intermediate-files = ["issuing-ca.pem"]
# max-age       = "400 days"          # older releases are refused
# allow-test-keys = true              # TEST TRUST: what it accepts is for trying out only

# Keys and certificates that never count: files (PEM, or one sha256:… a line), or the ids themselves.
deny    = ["keys/known-test-keys.txt"]

# [crls]                              # revocation lists of the CAs, kept current by you
# files    = ["root.crl"]
# required = true                     # without a current list for each CA nothing is accepted
# max-age  = "30 days"

# [withdrawn]                         # bundles called back, by bundle id
# "sha256:0000000000000000000000000000000000000000000000000000000000000000" = "wrong storage image"

# [floors.imager]                     # nothing below is taken, however well it is signed
# version = "5.30.00"
# counter = 6

[signers.release-2019]                # a name that reports use: a person or an office, with all their keys
role    = "production"                # production | development: reports say which
anchor  = "root-2019.pem"             # the CA above their certificate
subject = "CN=Imager Release Signing 2019"  # and the certificate meant; without it, every one under that CA
until   = 2027-12-31                  # the last day on which they count
# products = ["imager"]               # what they may sign for; without it, every product
# formats  = ["advisories"]           # and what; without it, update.bin and advisories, which only restrict

[signers.release-2027]
role    = "production"
anchor  = "root-2027.pem"

[signers.pq-2027]
role    = "production"
key     = "pq-2027.pub.pem"           # a public key, pinned

[[require]]                           # all demands must hold; without any, one signer is enough
count   = 1                           # so many different signers, not keys
of      = ["release-2019", "release-2027"]

[[require]]
count   = 1
of      = ["pq-2027"]
algorithms = ["post-quantum"]         # every key from the signer to the anchor
"""


class Signer(Frozen, frozen=True, kw_only=True):
    """A named signer: what leads to them, and what bounds them. ``subject`` is RFC 4514 text, or empty."""

    name: str
    role: str
    trust: TrustStore
    subject: str
    until: dt.date | None
    purpose: str
    products: tuple[str, ...]
    formats: tuple[str, ...]


class Policy(Frozen, frozen=True, kw_only=True):
    """What a trust.toml comes to.

    ``denied`` are SHA-256 ids, in hex, of keys (their SubjectPublicKeyInfo) and of certificates (their DER).
    ``listed`` are the only intermediates that may be used, None where those in the bundle may.
    """

    name: str
    signers: tuple[Signer, ...]
    demands: tuple[Require, ...]
    limits: Limits
    by_release_date: bool
    ignore_others: bool
    allow_test_keys: bool
    floor: Floor
    ceiling: Ceiling
    listed: tuple[Certificate, ...] | None
    denied: frozenset[str]
    crls: crl.Crls
    digest: str


def read(path: Path) -> TrustStore:
    """The trust store of a trust.toml. Raises ConfigError and TrustError."""
    return parse(config.load_toml(path), path)


def load_inlined(data: bytes, files: Mapping[str, bytes], where: str = "trust.toml") -> TrustStore:
    """The trust store of the bytes of a trust.toml and of the files that it names, by the names it uses.

    The disk is not read: a name that ``files`` lacks is a TrustError. ``where`` is what messages call the file.
    """
    return parse(config.parse_toml(data, where=where), Path(where), files)


def inlined(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """What `load_inlined` takes: the bytes of a trust.toml, and of the files that it names."""
    data = config.read_file(path)
    values = config.parse_toml(data, where=str(path))
    return data, {name: store.read_pem(path.parent / name, crl.MAX_FILE) for name in names(values, path)}


def parse(data: Mapping[str, Any], path: Path, files: Mapping[str, bytes] | None = None) -> TrustStore:
    """The trust store of the values of a trust.toml; ``path`` is the file, for messages and relative paths.

    ``files`` are the bytes of the files that it names; without them they are read.
    """
    where = str(path)
    if data.get("trust") != 1:
        found = f"trust = {data['trust']!r}" if "trust" in data else "no 'trust' key"
        raise ConfigError(f"{where}: has {found}; a trust file begins with trust = 1")
    file = config.convert(data, TrustFile, where=where, toml=True)
    reader = _Reader(path, files)
    signers = tuple(reader.signer(name, file) for name in file.signers)
    for demand in file.require:
        for name in demand.of:
            if name not in file.signers:
                raise ConfigError(f"{where}: a demand names the signer {name!r}{nearest(name, set(file.signers))}")
    if file.intermediate_files and file.intermediates != "listed":
        raise ConfigError(f'{where}: intermediate-files are used with intermediates = "listed" only')
    listed = [one for text in file.intermediate_files for one in store.certificates(*reader.open(text))]
    _demand_distinct(signers, listed, where)
    policy = Policy(
        name=file.name,
        signers=signers,
        demands=file.require or (Require(of=tuple(file.signers)),),
        limits=_limits(file, where),
        by_release_date=file.time == "released",
        ignore_others=file.other_signers == "ignore",
        allow_test_keys=file.allow_test_keys,
        floor=file.floor,
        ceiling=file.ceiling,
        listed=tuple(listed) if file.intermediates == "listed" else None,
        denied=frozenset().union(*map(reader.denied, file.deny)),
        crls=reader.crls(file),
        digest=reader.digest(data),
    )
    anchors = {one.der: one for signer in signers for one in signer.trust.anchors}
    pinned = {one.key.id: one for signer in signers for one in signer.trust.pinned}
    return store.TrustStore(anchors=tuple(anchors.values()), pinned=tuple(pinned.values()), policy=policy)


def files(data: Mapping[str, Any], path: Path) -> list[Path]:
    """The files that the values of a trust.toml at ``path`` name, so that nobody writes over one of them."""
    return [path.parent / text for text in names(data, path)]


def names(data: Mapping[str, Any], path: Path) -> list[str]:
    """The files that the values of a trust.toml name, as they name them."""
    file = config.convert(data, TrustFile, where=str(path), toml=True)
    named = [*file.intermediate_files, *(entry for entry in file.deny if not ID.fullmatch(entry))]
    named += file.crls.files if file.crls else ()
    for signer in file.signers.values():
        named += [text for one in (signer.anchor, signer.key) for text in _each(one)]
    return named


def _each(named: str | tuple[str, ...]) -> tuple[str, ...]:
    return named if isinstance(named, tuple) else (named,)


class _Reader:
    """Reads the files that a trust.toml names, and keeps account of what was in them."""

    def __init__(self, path: Path, files: Mapping[str, bytes] | None) -> None:
        self._where = str(path)
        self._files = files
        self._folder = path.parent
        self._read: dict[str, bytes] = {}

    def open(self, text: str) -> tuple[Path, bytes]:
        """A file that the trust file names, and its bytes; they are read once."""
        path = self._folder / text
        if text not in self._read:
            if self._files is None:
                self._read[text] = store.read_pem(path, crl.MAX_FILE)
            elif text in self._files:
                self._read[text] = self._files[text]
            else:
                msg = f"{self._where} names the file {text!r}, which does not come with it."
                raise TrustError(msg)
        return path, self._read[text]

    def digest(self, data: object) -> str:
        """SHA-256 over the values of the file and the bytes of each file it names."""
        found = hashlib.sha256(repr(data).encode())
        for name in sorted(self._read):
            found.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(self._read[name]).digest())
        return f"sha256:{found.hexdigest()}"

    def signer(self, name: str, file: TrustFile) -> Signer:
        entry = file.signers[name]
        at = f"{self._where}: signer {name!r}"
        anchors, keys = _each(entry.anchor), _each(entry.key)
        if not anchors and not keys:
            raise ConfigError(f"{at} has neither an anchor nor a key")
        if entry.subject and not anchors:
            raise ConfigError(f"{at} has a subject but no anchor above it")
        anchored, pinned = (store.from_pem(map(self.open, one)) for one in (anchors, keys))
        if anchored.pinned:
            raise ConfigError(f"{at}: an anchor is the certificate of a CA; give public keys as 'key'")
        if pinned.anchors:
            raise ConfigError(f"{at}: a key is a public key (PEM); give certificates of CAs as 'anchor'")
        return Signer(
            name=name,
            role=entry.role,
            trust=store.TrustStore(anchors=anchored.anchors, pinned=pinned.pinned),
            subject=_subject(entry.subject, at) if entry.subject else "",
            until=entry.until,
            purpose=entry.purpose or file.purpose,
            products=entry.products,
            formats=entry.formats,
        )

    def denied(self, entry: str) -> set[str]:
        """The ids that one entry of ``deny`` stands for."""
        if ID.fullmatch(entry):
            return {entry.removeprefix("sha256:")}
        path, data = self.open(entry)
        if b"-----BEGIN " in data:
            return store.ids(path, data)
        found = set()
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if text and not ID.fullmatch(text):
                raise ConfigError(f"{path}: line {number} is not sha256: and 64 hex digits: {text!r}")
            found.add(text.removeprefix("sha256:"))
        return found - {""}

    def crls(self, file: TrustFile) -> crl.Crls:
        if file.crls is None:
            return crl.Crls()
        age = file.crls.max_age
        return crl.Crls(
            lists=tuple(crl.read(*self.open(text)) for text in file.crls.files),
            required=file.crls.required,
            max_age=None if age is None else config.parse_duration(age, where=f"{self._where}: crls.max-age"),
        )


def _subject(text: str, at: str) -> str:
    try:
        return x509.Name.from_rfc4514_string(text).rfc4514_string()
    except ValueError as error:
        raise ConfigError(f"{at}: the subject {text!r} is not a distinguished name (RFC 4514)") from error


def _limits(file: TrustFile, where: str) -> Limits:
    return Limits(
        withdrawn=file.withdrawn,
        floors={name: (floor.version, floor.counter) for name, floor in file.floors.items()},
        max_age=None if file.max_age is None else config.parse_duration(file.max_age, where=f"{where}: max-age"),
        crls_required=file.crls is not None and file.crls.required,
    )


def _demand_distinct(signers: Sequence[Signer], listed: Sequence[Certificate], where: str) -> None:
    """No signature may be that of two signers, or one person could be counted as two."""
    between = [*listed, *(anchor for signer in signers for anchor in signer.trust.anchors)]
    for one, other in combinations(signers, 2):
        both = f"{where}: the signers {one.name!r} and {other.name!r}"
        if {pin.key.id for pin in one.trust.pinned} & {pin.key.id for pin in other.trust.pinned}:
            raise ConfigError(f"{both} have one key; a key belongs to one signer")
        shared = _keys(one.trust.anchors) & _keys(other.trust.anchors)
        if shared and (not one.subject or not other.subject or one.subject == other.subject):
            raise ConfigError(f"{both} are under one anchor; give each a subject of its own, or make them one signer")
        for low, high in ((one, other), (other, one)):
            nested = any(
                _stands_under(child, anchor, between) for child in low.trust.anchors for anchor in high.trust.anchors
            )
            if nested and (not one.subject or not other.subject or one.subject == other.subject):
                raise ConfigError(
                    f"{both}: the anchor of {low.name!r} stands under that of {high.name!r}, so whose a signature is "
                    "would depend on what certificates come along; give each a subject of its own, or other anchors"
                )


def _stands_under(child: Certificate, anchor: Certificate, between: Sequence[Certificate]) -> bool:
    """Whether ``anchor`` certifies ``child``, perhaps through others that are known here."""
    line = [child]
    while len(line) <= MAX_INTERMEDIATES:
        if line[-1].issuer_der == anchor.subject_der and anchor not in line and issued(line[-1], anchor):
            return True
        above = (one for one in between if one.subject_der == line[-1].issuer_der and one not in line)
        following = next((one for one in above if issued(line[-1], one)), None)
        if following is None:
            return False
        line.append(following)
    return False


def _keys(anchors: Iterable[Certificate]) -> set[str]:
    return {one.key.id if one.key else one.der.hex() for one in anchors}
