"""A trust.toml as read: its files loaded, its names resolved, and all ambiguities rejected.

The module is loaded only for a trust.toml. `bundlekit.model.trust` defines the allowed content. Rules that a schema
cannot express are enforced here, when the file is read and not when a signature happens to need them.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundlekit import config
from bundlekit.errors import ConfigError, TrustError
from bundlekit.model.question import Limits
from bundlekit.model.trust import Require, TrustFile
from bundlekit.schema_errors import first_key, nearest
from bundlekit.trust import crl, distinct, pem, pem_blocks, sense
from bundlekit.trust.store import Anchors, Signer, TrustStore

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from typing import Any

ID: Final = re.compile(r"sha256:[0-9a-f]{64}")

LIKE_ID: Final = re.compile(
    r"sha-?[0-9]+\s*[:=]|(?:^|[^0-9a-f])(?:[0-9a-f]{40,}|(?:[0-9a-f]{2}:){31}[0-9a-f]{2})$", re.IGNORECASE
)
"""Text that looks like a mistyped id."""

EXAMPLE: Final = """\
# trust.toml: who can sign, how many must sign, and what is always rejected.
# Paths are relative to this file. Look at the result: bundlekit trust show trust.toml
trust   = 1                           # the version of this file format
name    = "imager production"
purpose = "code-signing"              # the required purpose of signers' certificates: code-signing | email-protection
time    = "now"                       # certificates are valid now, or on the signed release date: now | released
floor   = { rsa = 3072, hash = "sha256" }   # for every key and signature from the signer to the anchor
# ceiling       = { rsa = 4096 }
# other-signers = "ignore"            # an unknown signer's valid signature, next to the required ones: reject | ignore
# intermediates = "listed"            # CAs between signer and anchor come from the bundle, or from the files
# intermediate-files = ["issuing-ca.pem"]
# max-age       = "400 days"          # older releases are rejected
# allow-test-keys = true              # TEST TRUST: what it accepts is for tests only

# Keys and certificates that never count: files (PEM, or one sha256:… a line), or the ids themselves.
deny    = ["keys/known-test-keys.txt"]

# [crls]                              # revocation lists of the CAs, which you keep current
# files    = ["root.crl"]
# required = true                     # without a current list for each CA nothing is accepted
# max-age  = "30 days"

# [withdrawn]                         # withdrawn bundles, by bundle id
# "sha256:0000000000000000000000000000000000000000000000000000000000000000" = "wrong storage image"

# [floors.imager]                     # lower versions and counters are rejected, even if they are signed
# version = "5.30.00"
# counter = 6

[signers.release]                     # a name for reports: a person or an office, with all their keys
role    = "production"                # production | development: reports show which
anchor  = ["root-2019.pem", "root-2027.pem"]  # the CAs above their certificates
subject = ["CN=Imager Release Signing 2019", "CN=Imager Release Signing 2027"]  # and the certificates meant;
                                      # without it, every one under those CAs
key     = "release-pq.pub.pem"        # public keys, pinned
until   = { "root-2019.pem" = 2027-12-31 }    # the last day of a file; or one date, for all of them
# products = ["imager"]               # the products they can sign for; without it, every product
# formats  = ["rauc", "mcuboot"]      # and in which formats; without it, update.bin and advisories

[signers.anna]
role    = "production"
anchor  = "root-people.pem"
subject = "CN=Anna"

[[require]]                           # all requirements must be met; without any, one signer is sufficient
count   = 2                           # the number of different signers, not keys
of      = ["release", "anna"]

[[require]]
count   = 1
of      = ["release"]
algorithms = ["post-quantum"]         # every key from the signer to the anchor
# formats = ["update.bin"]            # without it, the formats that its signers sign
"""


def read(path: Path) -> TrustStore:
    """The trust store of a trust.toml. Raises ConfigError and TrustError."""
    return parse(config.load_toml(path), path)


def load_inlined(data: bytes, files: Mapping[str, bytes], where: str = "trust.toml") -> TrustStore:
    """The trust store from the bytes of a trust.toml and of the files that it names, by the names it uses.

    The disk is not read: a name that ``files`` lacks is a TrustError. ``where`` is the name of the file in messages.
    """
    return parse(config.parse_toml(data, where=where), Path(where), files)


def inlined(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """The parameters for `load_inlined`: the bytes of a trust.toml, and of the files that it names."""
    data = config.read_file(path)
    values = config.parse_toml(data, where=str(path))
    return data, {name: pem_blocks.read_pem(path.parent / name, crl.MAX_FILE) for name in names(values, path)}


def parse(data: Mapping[str, Any], path: Path, files: Mapping[str, bytes] | None = None) -> TrustStore:
    """The trust store from the values of a trust.toml. ``path`` is the file, for messages and relative paths.

    ``files`` are the bytes of the files that it names. Without them they are read.
    """
    where = str(path)
    if data.get("trust") != 1:
        found = first_key(data, "trust")
        raise ConfigError(f"{where}: has {found}; a trust file begins with trust = 1")
    file = config.convert(data, TrustFile, where=where, toml=True)
    reader = _Reader(path, files)
    signers = tuple(reader.signer(name, file) for name in file.signers)
    sense.demand_sense(file, where)
    listed = [one for text in file.intermediate_files for one in pem.intermediates(*reader.open(text))]
    distinct.demand_distinct(signers, listed, where)
    crls = reader.crls(file)
    anchors = {one.der: one for signer in signers for one in signer.trust.anchors}
    pinned = {one.key.id: one for signer in signers for one in signer.trust.pinned}
    return TrustStore(
        name=file.name,
        signers=signers,
        trusted=Anchors(anchors=tuple(anchors.values()), pinned=tuple(pinned.values())),
        demands=file.require or (Require(of=tuple(file.signers)),),
        limits=_limits(file, crls, where),
        by_release_date=file.time == "released",
        ignore_others=file.other_signers == "ignore",
        allow_test_keys=file.allow_test_keys,
        floor=file.floor,
        ceiling=file.ceiling,
        listed=tuple(listed) if file.intermediates == "listed" else None,
        denied=frozenset().union(*map(reader.denied, file.deny)),
        crls=crls,
        digest=reader.digest(data),
    )


def files(data: Mapping[str, Any], path: Path) -> list[Path]:
    """The files that the values of a trust.toml at ``path`` name, so that a command never overwrites one of them."""
    return [path.parent / text for text in names(data, path)]


def names(data: Mapping[str, Any], path: Path) -> list[str]:
    """The files that the values of a trust.toml name, as they name them."""
    file = config.convert(data, TrustFile, where=str(path), toml=True)
    named = [*file.intermediate_files, *(entry for entry in file.deny if not ID.fullmatch(entry))]
    named += file.crls.files if file.crls else ()
    for signer in file.signers.values():
        named += [text for one in (signer.anchor, signer.key) for text in each(one)]
    return named


def each(named: str | tuple[str, ...]) -> tuple[str, ...]:
    """The one or several values that a key has."""
    return named if isinstance(named, tuple) else (named,)


class _Reader:
    """Reads the files that a trust.toml names, and records their contents."""

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
                self._read[text] = pem_blocks.read_pem(path, crl.MAX_FILE)
            elif text in self._files:
                self._read[text] = self._files[text]
            else:
                msg = f"{self._where} names the file {text!r}, which is not included."
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
        anchors, keys = each(entry.anchor), each(entry.key)
        if not anchors and not keys:
            raise ConfigError(f"{at} has neither an anchor nor a key")
        for key in ("subject", "purpose"):
            if getattr(entry, key) and not anchors:
                raise ConfigError(f"{at} has a {key} but no anchor above it")
        anchored, pinned = (pem.from_pem(map(self.open, one)) for one in (anchors, keys))
        if anchored.pinned:
            raise ConfigError(f"{at}: an anchor is the certificate of a CA; give public keys as 'key'")
        if pinned.anchors:
            raise ConfigError(f"{at}: a key is a public key (PEM); give certificates of CAs as 'anchor'")
        until = entry.until
        return Signer(
            name=name,
            role=entry.role,
            trust=Anchors(anchors=anchored.anchors, pinned=pinned.pinned),
            subjects=tuple(_subject(text, at) for text in each(entry.subject or ())),
            until=None if isinstance(until, dict) else until,
            ends=self._ends(until, {*anchors, *keys}, at) if isinstance(until, dict) else {},
            purpose=entry.purpose or file.purpose,
            products=entry.products,
            formats=entry.formats,
        )

    def _ends(self, until: dict[str, dt.date], named: set[str], at: str) -> dict[str, dt.date]:
        """The last days of single files of a signer, by the ids of their contents."""
        ends: dict[str, dt.date] = {}
        for text, day in until.items():
            if text not in named:
                raise ConfigError(f"{at} has a last day for {text!r}{nearest(text, named)}")
            found = pem.from_pem([self.open(text)])
            for id_ in (*(one.id for one in found.anchors), *(one.key.id for one in found.pinned)):
                ends[id_] = min(day, ends.get(id_, day))
        return ends

    def denied(self, entry: str) -> set[str]:
        """The ids for one entry of ``deny``. For a certificate these are its id and that of its key."""
        if ID.fullmatch(entry):
            return {entry.removeprefix("sha256:")}
        if LIKE_ID.search(entry):
            raise ConfigError(f"{self._where}: deny: {entry!r} is not sha256: and 64 lower-case hex digits")
        path, data = self.open(entry)
        found = pem.ids(path, data) if pem_blocks.BEGIN in data else set()
        text = pem_blocks.words(data) if found else data
        for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
            id_ = line.partition("#")[0].strip()
            if ID.fullmatch(id_):
                found.add(id_.removeprefix("sha256:"))
            elif id_ and (pem_blocks.BEGIN not in data or LIKE_ID.search(id_)):
                where = "" if pem_blocks.BEGIN in data else f"line {number} "
                raise ConfigError(f"{path}: {where}is not sha256: and 64 hex digits: {id_!r}")
        return found

    def crls(self, file: TrustFile) -> crl.Crls | None:
        if file.crls is None:
            return None
        return crl.Crls(
            lists=tuple(one for text in file.crls.files for one in crl.read(*self.open(text))),
            required=file.crls.required,
            max_age=_age(file.crls.max_age, f"{self._where}: crls.max-age"),
        )


def _age(text: str | None, where: str) -> int | None:
    if text is None:
        return None
    age = config.parse_duration(text, where=where)
    if age == 0:
        raise ConfigError(f"{where}: {text!r} is zero, so nothing would be recent enough")
    return age


def _subject(text: str, at: str) -> str:
    from cryptography import x509

    try:
        return x509.Name.from_rfc4514_string(text).rfc4514_string()
    except ValueError as error:
        raise ConfigError(f"{at}: the subject {text!r} is not a distinguished name (RFC 4514)") from error


def _limits(file: TrustFile, crls: crl.Crls | None, where: str) -> Limits:
    return Limits(
        withdrawn=file.withdrawn,
        floors={name: (floor.version, floor.counter) for name, floor in file.floors.items()},
        max_age=_age(file.max_age, f"{where}: max-age"),
        crls_required=crls is not None and (crls.required or any(one.fault for one in crls.lists)),
    )
