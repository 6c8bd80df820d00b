r"""The primitive types of the format: restricted strings and integers, from which all other values are made.

Patterns are valid for Python and ECMA-262 alike, so that the published JSON Schemas agree with the reader. They end in
``(?![\s\S])`` because Python's ``$`` also matches before a final newline.
"""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

END: Final = r"(?![\s\S])"

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader represents exactly (RFC 8259 section 6)."""

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}" + END,
        description="1 to 64 letters, digits, dots, underscores, hyphens; starts with a letter or digit.",
    ),
]
"""Names of products, models, members, entries and keys. They reach hooks, so they have no shell or path character."""

FILE_NAME: Final = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._+~@ ()-]{0,127}" + END)
FileName = Annotated[
    str,
    Meta(
        pattern=FILE_NAME.pattern,
        description="1 to 128 letters, digits and . _ + ~ @ ( ) - and blanks; no folder, and no dot at the start.",
    ),
]
"""The name of a file next to a detached head. It is never a path, so it cannot leave the folder."""

KeyName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}" + END,
        description="1 to 64 lower-case letters, digits, underscores, hyphens; the keys of JSON objects.",
    ),
]
"""Names that serve as keys of a JSON object: components, documents, annotations, extensions, features."""

FactName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}" + END,
        description="Dotted lower-case name of a fact about an appliance, such as ha.state.",
    ),
]

VersionText = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~!()_-]{0,63}" + END,
        description="1 to 64 letters, digits and . + ~ ! ( ) _ -; starts with a letter or digit.",
    ),
]
"""A version as written. Parentheses are allowed for vendors such as Cisco, ``~`` for Debian-like schemes."""

RangeText = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9.+~!()_<>=*, -]{1,256}" + END,
        description="Comparators joined by commas, all must hold: '>=5.30.02, <5.40.00'; '*' is any version.",
    ),
]

Text = Annotated[
    str,
    Meta(
        max_length=1024,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]*" + END,
        description="At most 1024 characters of text without control characters.",
    ),
]
"""A sentence for people. Renderers escape bidirectional characters; control characters are never allowed."""

Label = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._,:+-]{0,127}" + END,
        description="1 to 128 letters, digits, blanks and . _ , : + -; starts with a letter or digit.",
    ),
]
"""The name of a product or model that an appliance has. Bundles of other formats have names with blanks."""

Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Size = Annotated[int, Meta(ge=1, le=MAX_INTEGER, description="Bytes.")]
Minutes = Annotated[int, Meta(ge=0, le=525600, description="Minutes, at most a year.")]

Date = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])" + END,
        description="A calendar date, YYYY-MM-DD, in UTC (RFC 3339 full-date).",
    ),
]

DIGEST: Final = re.compile(r"^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})" + END)
DigestText = Annotated[
    str,
    Meta(
        pattern=DIGEST.pattern,
        description="Algorithm (FIPS 180-4) and lower-case hex digest, joined by a colon.",
    ),
]
"""Algorithm and value in one string, so that neither can be absent, empty or of another length."""

BundleId = Annotated[
    str,
    Meta(
        pattern=r"^sha256:[0-9a-f]{64}" + END,
        description="A bundle id, sha256: and 64 lower-case hex digits; bundles have no id of another kind.",
    ),
]
"""The id of a bundle. An id of another algorithm, as `DigestText` allows it, would never match."""


class Frozen(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The base class of every value: immutable, keyword-only, all fields written with kebab-case keys."""


class Strict(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value that is read from a file: unknown keys are rejected, and absent keys are not written."""
