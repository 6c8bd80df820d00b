"""The upgrade matrix: from which installed versions, by which way, this release may be reached.

Every entry has an ``id`` that reports cite when the entry decides. An allow comes only from the target's
own matrix (``sources``); everything else restricts. The shape people write is TOML (``bundlekit build``
prints an example); it becomes these classes one to one, but for maps, which become lists of entries.
"""

# Without `from __future__ import annotations`, so that msgspec need not compile each of them at the first use.

from typing import Annotated, Literal

from msgspec import Meta, field

from bundlekit.model.primitives import (
    END,
    FactName,
    Key,
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

    ``forms`` are tried in turn; a version that fits none is refused. ``#`` stands for digits, ``%`` for
    hexadecimal digits, ``@`` for letters, a final ``*`` for all that remains (the build); every other
    character stands for itself: ``#.#(#)@#(#)`` is Cisco's ``7.0(3)I7(9)``. Numbers and words are compared
    from left to right: ``pre_releases`` (in their order) < nothing more < a word < a number; punctuation only
    tells apart what is equal otherwise, but ``~`` makes what follows it older. ``0x%`` is compared with decimal numbers
    by value. ``ignored`` words (a leading ``v``) do not count. The build counts,
    in order and equality, only where ``build`` is ``compared``.
    """

    forms: Annotated[tuple[FormText, ...], Meta(min_length=1, max_length=32)]
    pre_releases: Annotated[tuple[Mark, ...], Meta(max_length=32)] = ()
    ignored: Annotated[tuple[Mark, ...], Meta(max_length=32)] = ()
    build: Literal["ignored", "compared"] = "ignored"


class Condition(Strict, frozen=True, kw_only=True):
    """A test of one fact about the appliance. A fact that is not known never satisfies a need.

    ``below`` and ``at-least`` compare durations (``24 h``), sizes (``12 GiB``) or dotted numbers; both sides
    must be of the same kind.
    """

    fact: FactName
    test: Literal["is", "is-not", "below", "at-least"]
    value: Text


class Entry(Strict, frozen=True, kw_only=True):
    """What every entry of the matrix has: a name that reports cite, and why it is there."""

    id: Name
    reason: Text = ""
    link: Text = ""


class Source(Entry, frozen=True, kw_only=True):
    """Versions this release may be installed over: a range, or an edge where ``versions`` is one version.

    ``except`` are releases denied within the range; ``unlisted`` lets a range reach versions that the matrix
    does not list; ``by_release`` compares an installed pre-release by its release number (1.8.0-beta.1 as
    1.8.0); ``keys`` are key names the source must already trust; ``tested`` names the test record. Where an
    update is not ``reversible``, the decision that allows it says so.
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


class Stop(Entry, frozen=True, kw_only=True):
    """A release that ``versions`` must pass through first (a barrier, a milestone), perhaps only ``when``.

    ``latest`` makes ``via`` mean the latest known release that begins with it (``via = "17.3"``).
    """

    versions: RangeText
    via: VersionText
    latest: bool = False
    when: Condition | None = None


class Block(Entry, frozen=True, kw_only=True):
    """Versions that must not go into this release, for a reason found by testing or in the field."""

    versions: RangeText
    models: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()


class Withdrawn(Entry, frozen=True, kw_only=True):
    """Releases that nobody should go to any more, in whatever way."""

    versions: RangeText


class Risk(Entry, frozen=True, kw_only=True):
    """A danger for ``versions`` where ``when`` holds, or may hold; can be accepted by name."""

    versions: RangeText = "*"
    when: Condition


class DeadEnd(Entry, frozen=True, kw_only=True):
    """Versions out of which only re-imaging leads."""

    versions: RangeText


class WorksTogether(Entry, frozen=True, kw_only=True):
    """Component versions that work with one another: a state is good if it fits at least one such entry.

    ``components`` maps component names to ranges; ``appliance`` is the software of active and standby.
    """

    components: Annotated[dict[Key, RangeText], Meta(min_length=2, max_length=16)]


class Skew(Entry, frozen=True, kw_only=True):
    """Versions the two members of a pair may have at once while one is updated and the other is not yet."""

    old: RangeText
    new: RangeText


class Alias(Strict, frozen=True, kw_only=True):
    """A label people use for a release: ``9.2`` means ``9.20.00`` only where an alias says so."""

    alias: VersionText
    version: VersionText


class TrustedKeys(Strict, frozen=True, kw_only=True):
    """The key names that releases from ``since`` on trust, until an entry with a later ``since``."""

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
    """A file that a trust file names: the name as it stands there, and the content."""

    name: Text
    text: TrustText


class ShippedTrust(Strict, frozen=True, kw_only=True):
    """The trust file that releases from ``since`` on ship, until an entry with a later ``since``.

    ``file`` is the content of the trust.toml, ``files`` are those that it names.
    """

    since: VersionText
    file: TrustText
    files: Annotated[tuple[ShippedFile, ...], Meta(max_length=64)] = ()


class Matrix(Strict, frozen=True, kw_only=True):
    """The upgrade matrix of one release.

    ``scheme`` spells out the version scheme where the manifest says ``declared``. ``releases`` are the known
    ones; without the list every source has to say ``unlisted``. ``order`` says whether releases follow one
    another by version or as listed (a 37 that came out after a 38); a version that is not listed, but for the
    bundle's own, then has no place in the order.
    """

    scheme: DeclaredScheme | None = None
    order: Literal["version", "listed"] = "version"
    releases: Annotated[tuple[VersionText, ...], Meta(max_length=8192)] = ()
    aliases: Annotated[tuple[Alias, ...], Meta(max_length=8192)] = ()
    trusted_keys: Annotated[tuple[TrustedKeys, ...], Meta(max_length=256)] = ()
    trust_of: Annotated[tuple[ShippedTrust, ...], Meta(max_length=64)] = ()
    sources: Annotated[tuple[Source, ...], Meta(max_length=8192)] = ()
    stops: Annotated[tuple[Stop, ...], Meta(max_length=8192)] = ()
    blocks: Annotated[tuple[Block, ...], Meta(max_length=8192)] = ()
    withdrawn: Annotated[tuple[Withdrawn, ...], Meta(max_length=8192)] = ()
    risks: Annotated[tuple[Risk, ...], Meta(max_length=8192)] = ()
    dead_ends: Annotated[tuple[DeadEnd, ...], Meta(max_length=8192)] = ()
    works_together: Annotated[tuple[WorksTogether, ...], Meta(max_length=8192)] = ()
    skews: Annotated[tuple[Skew, ...], Meta(max_length=8192)] = ()
