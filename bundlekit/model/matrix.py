"""The upgrade matrix: the installed versions that can be updated to this release, and the paths between them.

Every entry has an ``id`` that reports cite when the entry decides. Only the target's own matrix (``sources``) allows an
update; everything else restricts. People write it as TOML (``bundlekit build`` prints an example). The TOML becomes
these classes one to one, except for maps, which become lists of entries.
"""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from typing import Annotated, Literal

from msgspec import Meta, field

from bundlekit.model.primitives import (
    DIGEST,
    END,
    FactName,
    KeyName,
    Minutes,
    Name,
    RangeText,
    Strict,
    Text,
    VersionText,
)

FormText = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9.+~!()_#%@*-]{1,64}" + END,
        description="One spelling of a version: # a number, % a hexadecimal number, @ letters, * the build.",
    ),
]

Mark = Annotated[
    str,
    Meta(
        pattern=r"^(?:[A-Za-z]{1,32}|[.+~!()_-])" + END,
        description="A word, or one punctuation mark, as part of versions.",
    ),
]


class DeclaredScheme(Strict, frozen=True, kw_only=True):
    """A version scheme as data: how versions are spelled, and which of their words come before a release.

    ``forms`` are tried in turn; a version that fits none is rejected. ``#`` stands for digits, ``%`` for hexadecimal
    digits, and ``@`` for letters. A final ``*`` stands for the rest (the build), and every other character for itself:
    ``#.#(#)@#(#)`` is Cisco's ``7.0(3)I7(9)``.

    Numbers and words are compared from left to right: ``pre_releases`` (in their order) < no further piece < a word < a
    number. Punctuation only separates versions that are otherwise equal, except that ``~`` makes the following piece
    older. ``0x%`` is compared with decimal numbers by value. ``ignored`` words (a leading ``v``) do not count. The
    build counts, in order and equality, only if ``build`` is ``compared``.
    """

    forms: Annotated[tuple[FormText, ...], Meta(min_length=1, max_length=32)]
    pre_releases: Annotated[tuple[Mark, ...], Meta(max_length=32)] = ()
    ignored: Annotated[tuple[Mark, ...], Meta(max_length=32)] = ()
    build: Literal["ignored", "compared"] = "ignored"


class Condition(Strict, frozen=True, kw_only=True):
    """A test of one fact about the appliance. An unknown fact never satisfies a requirement.

    ``below`` and ``at-least`` compare durations (``24 h``), sizes (``12 GiB``) or dotted numbers. Both sides must be of
    the same kind.
    """

    fact: FactName
    test: Literal["is", "is-not", "below", "at-least"]
    value: Text


class MatrixEntry(Strict, frozen=True, kw_only=True):
    """The common fields of every matrix entry: a name that reports cite, and the reason for the entry."""

    id: Name
    reason: Text = ""
    link: Text = ""


class MatrixSource(MatrixEntry, frozen=True, kw_only=True):
    """Versions that this release can be installed over: a range, or an edge if ``versions`` is one version.

    ``except`` are releases excluded from the range. ``unlisted`` lets a range include versions that the matrix does not
    list. ``by_release`` compares an installed pre-release by its release number (1.8.0-beta.1 as 1.8.0). ``keys`` are
    names of keys that the source must already trust. ``tested`` is the name of the test record. ``@`` and the digest of
    a document in the bundle can follow. If an update is not ``reversible``, the decision that allows it reports that.
    """

    versions: RangeText
    except_: Annotated[tuple[VersionText, ...], Meta(max_length=256)] = field(default=(), name="except")
    models: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    unlisted: bool = False
    by_release: bool = False
    method: Literal["rolling", "offline", "reimage"] = "rolling"
    reversible: bool = True
    minutes: Minutes | None = None
    tested: Text = ""
    keys: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()

    @property
    def record(self) -> tuple[str, str]:
        """The name of the test record, and the digest of its document; empty for a record without one."""
        name, _, digest = self.tested.rpartition("@")
        return (name, digest) if DIGEST.match(digest) else (self.tested, "")


class Stop(MatrixEntry, frozen=True, kw_only=True):
    """A release that ``versions`` must pass through first (a barrier, a milestone), optionally only ``when``.

    ``latest`` makes ``via`` the latest known release that begins with it (``via = "17.3"``).
    """

    versions: RangeText
    via: VersionText
    latest: bool = False
    when: Condition | None = None


class Block(MatrixEntry, frozen=True, kw_only=True):
    """Versions that must not be updated to this release, for a reason found by testing or in the field."""

    versions: RangeText
    models: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()


class Withdrawn(MatrixEntry, frozen=True, kw_only=True):
    """Releases that must no longer be installed by any path."""

    versions: RangeText


class Risk(MatrixEntry, frozen=True, kw_only=True):
    """A danger for ``versions`` if ``when`` holds or its facts are unknown. It can be accepted by name."""

    versions: RangeText = "*"
    when: Condition


class DeadEnd(MatrixEntry, frozen=True, kw_only=True):
    """Versions that can be left only by re-imaging."""

    versions: RangeText


class WorksTogether(MatrixEntry, frozen=True, kw_only=True):
    """Component versions that work together. A state is good if it fits at least one such entry.

    ``components`` maps component names to ranges. ``appliance`` is the software of active and standby.
    """

    components: Annotated[dict[KeyName, RangeText], Meta(min_length=2, max_length=16)]


class Skew(MatrixEntry, frozen=True, kw_only=True):
    """Versions that the two members of a pair can have at once while only one of them is updated."""

    old: RangeText
    new: RangeText


class Alias(Strict, frozen=True, kw_only=True):
    """A label that people use for a release: ``9.2`` means ``9.20.00`` only if an alias defines it."""

    alias: VersionText
    version: VersionText


class TrustedKeys(Strict, frozen=True, kw_only=True):
    """The names of the keys that releases from ``since`` on trust, until an entry with a later ``since``."""

    since: VersionText
    keys: Annotated[tuple[Name, ...], Meta(max_length=64)]


TrustText = Annotated[
    str,
    Meta(
        max_length=65536,
        pattern=r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*" + END,
        description="The content of a text file of at most 65536 characters: a trust.toml, or PEM.",
    ),
]


class ShippedFile(Strict, frozen=True, kw_only=True):
    """A file that a trust file names: the name as written there, and the content."""

    name: Text
    text: TrustText


class ShippedTrust(Strict, frozen=True, kw_only=True):
    """The trust file that releases from ``since`` on ship, until an entry with a later ``since``.

    ``file`` is the content of the trust.toml. ``files`` are the files that it names.
    """

    since: VersionText
    file: TrustText
    files: Annotated[tuple[ShippedFile, ...], Meta(max_length=64)] = ()


class Matrix(Strict, frozen=True, kw_only=True):
    """The upgrade matrix of one release.

    ``scheme`` defines the version scheme if the manifest specifies ``declared``. ``releases`` are the known releases;
    without the list every source must set ``unlisted``. ``order`` specifies whether releases are ordered by version or
    as listed (a 37 that came out after a 38). With the latter, an unlisted version has no place in the order, except
    the bundle's own.
    """

    scheme: DeclaredScheme | None = None
    order: Literal["version", "listed"] = "version"
    releases: Annotated[tuple[VersionText, ...], Meta(max_length=8192)] = ()
    aliases: Annotated[tuple[Alias, ...], Meta(max_length=8192)] = ()
    trusted_keys: Annotated[tuple[TrustedKeys, ...], Meta(max_length=256)] = ()
    trust_of: Annotated[tuple[ShippedTrust, ...], Meta(max_length=64)] = ()
    sources: Annotated[tuple[MatrixSource, ...], Meta(max_length=8192)] = ()
    stops: Annotated[tuple[Stop, ...], Meta(max_length=8192)] = ()
    blocks: Annotated[tuple[Block, ...], Meta(max_length=8192)] = ()
    withdrawn: Annotated[tuple[Withdrawn, ...], Meta(max_length=8192)] = ()
    risks: Annotated[tuple[Risk, ...], Meta(max_length=8192)] = ()
    dead_ends: Annotated[tuple[DeadEnd, ...], Meta(max_length=8192)] = ()
    works_together: Annotated[tuple[WorksTogether, ...], Meta(max_length=8192)] = ()
    skews: Annotated[tuple[Skew, ...], Meta(max_length=8192)] = ()
