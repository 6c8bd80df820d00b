"""A strict reader and a writer of DER (X.690 section 10), for structures that are declared as classes.

A class that is decorated with `sequence` is a SEQUENCE. Its annotations are the fields in order: ``bool``, ``int``,
``bytes`` (OCTET STRING), `OID`, `Null`, `BitString`, `TLV` (any one element), ``list[…]`` (SEQUENCE OF), `SetOf`, or
another such class. ``X | None`` is OPTIONAL, ``X | Y`` is a CHOICE. ``Annotated`` adds `Implicit` and `Explicit` tags
and a `Default`.

The reader accepts some encodings that are not DER, such as a SET OF out of order. `decode` encodes the result again and
rejects any input that differs from it, so the writer alone defines the only accepted encoding. The input cannot deepen
the recursion of the reader: a declaration has a fixed depth, and the contents of a `TLV` are not read.

No released library is suitable. ``cryptography.hazmat.asn1`` has this vocabulary, but only version 50 and later can
write a TLV. asn1crypto and pyasn1 read BER.
"""

from __future__ import annotations

import typing
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

BOOLEAN: Final = 0x01  # the identifier octets of X.690 section 8.1.2, with the constructed bit if DER has it
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONSTRUCTED: Final = 0x20
CONTEXT: Final = 0x80
TAG_NUMBER: Final = 0x1F

MAX_LENGTH_BYTES: Final = 4
"""Bytes of a length in the long form; no file that is read here reaches 4 GiB."""

MAX_OID: Final = 63
"""Bytes of an object identifier, the limit of cryptography too."""

MAX_ARC: Final = 2**128 - 1
"""The largest number in an object identifier, the limit of cryptography too."""

MAX_INTEGER: Final = 1024
"""Bytes of an INTEGER. Serial numbers have at most 20 (RFC 5280 section 4.1.2.2). Python prints no huge number."""


class NotDerError(ValueError):
    """Bytes that are not the DER encoding of the expected structure."""


UNREADABLE: Final = "it cannot be read as one"
NOT_DISTINGUISHED: Final = "it is not in the distinguished encoding of its value"


class TLV(msgspec.Struct, frozen=True):
    """Any one element, as its bytes: ``der`` is all of it, and ``contents`` follow tag and length."""

    tag: int
    contents: bytes
    der: bytes


class OID(msgspec.Struct, frozen=True):
    """OBJECT IDENTIFIER, as its numbers with dots between them.

    The class of cryptography is in ``cryptography.x509``. That takes 20 ms to load, and a check of a signature without
    a certificate needs nothing else of it.
    """

    dotted_string: str


class Null(msgspec.Struct, frozen=True):
    """NULL."""


class BitString(msgspec.Struct, frozen=True):
    """BIT STRING, with the number of unused bits in its last byte."""

    data: bytes
    unused: int = 0

    def padding_bits(self) -> int:
        """The number of unused bits."""
        return self.unused


class SetOf(Generic[T]):
    """SET OF. The values are in the order in which they were read or given; the writer sorts their encodings."""

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[T]) -> None:
        self._values = list(values)

    def as_list(self) -> list[T]:
        """The values."""
        return self._values


class Implicit(msgspec.Struct, frozen=True):
    """A context-specific tag in place of the element's own."""

    number: int


class Explicit(msgspec.Struct, frozen=True):
    """A context-specific tag around the element."""

    number: int


class Default(msgspec.Struct, frozen=True):
    """The value of an absent field. DER never writes it."""

    value: Any


class _Form(msgspec.Struct, frozen=True):
    """One encoding of a value. ``tag`` is None for any element. ``explicit`` is the tag around it."""

    tag: int | None
    read: Callable[[TLV], Any]
    explicit: int | None = None

    @property
    def outer(self) -> int | None:
        """The first identifier octet."""
        return self.tag if self.explicit is None else self.explicit


class _Field(msgspec.Struct, frozen=True):
    """A field of a SEQUENCE: a form for each possible type of its value."""

    name: str
    forms: dict[Any, _Form]
    optional: bool
    default: Any


_SEQUENCES: Final[dict[type, tuple[_Field, ...]]] = {}


@typing.dataclass_transform(kw_only_default=True, frozen_default=True)
def sequence(declared: type[T]) -> type[T]:
    """Declare a SEQUENCE. Returns a frozen class with the fields of ``declared``, which are given by keyword."""
    hints = declared.__annotations__
    made = msgspec.defstruct(
        declared.__name__,
        [(name, Any) for name in hints],
        frozen=True,
        kw_only=True,
        module=declared.__module__,
        namespace={"__doc__": declared.__doc__},
    )
    _SEQUENCES[made] = tuple(_field(name, hint) for name, hint in hints.items())
    return made  # type: ignore[return-value]  # has the fields of the class it was made from


def decode(kind: type[T], data: bytes) -> T:
    """Read ``data`` as the DER encoding of ``kind``.

    Raises NotDerError for any other input, such as BER or DER with bytes after it.
    """
    form = _form(kind)
    value: T = form.read(_matching(form, _only(data)))
    if encode(value) != data:
        raise NotDerError(NOT_DISTINGUISHED)
    return value


def encode(value: object) -> bytes:
    """Write a value of a declared structure, or of one of the types that its fields can have, as DER."""
    match value:
        case TLV():
            return value.der
        case bytes():
            return _element(OCTET_STRING, value)
        case bool():
            return _element(BOOLEAN, b"\xff" if value else b"\x00")
        case int():
            # The complement of a negative number has as many bits as the number needs in addition to its sign.
            size = (value if value >= 0 else ~value).bit_length() // 8 + 1
            return _element(INTEGER, value.to_bytes(size, signed=True))
        case OID():
            return _element(OBJECT_IDENTIFIER, _oid_contents(value))
        case SetOf():
            return _element(SET, b"".join(sorted(encode(one) for one in value.as_list())))
        case list():
            return _element(SEQUENCE, b"".join(encode(one) for one in value))
        case BitString():
            return _element(BIT_STRING, bytes([value.unused]) + value.data)
        case Null():
            return _element(NULL, b"")
        case _:
            fields = _SEQUENCES[type(value)]
            return _element(SEQUENCE, b"".join(_encode_field(one, getattr(value, one.name)) for one in fields))


def _encode_field(field: _Field, value: object) -> bytes:
    if value is None or (field.default is not None and value == field.default):
        return b""
    form, der = field.forms[type(value)], encode(value)
    if form.tag is not None and form.tag != der[0]:
        der = bytes([form.tag]) + der[1:]
    return der if form.explicit is None else _element(form.explicit, der)


def _element(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + contents


# --- reading ---


def tlv(data: bytes) -> TLV:
    """``data``, the DER of one element, as a part of a structure to write. Raises NotDerError."""
    return _only(data)


def _elements(data: bytes) -> Iterator[TLV]:
    """The elements of which ``data`` consists."""
    start, end = 0, len(data)
    while start < end:
        tag, place = data[start], start + 2
        # No structure that is read here has a tag number above 30; universal 0 ends contents of BER.
        if place > end or tag & TAG_NUMBER == TAG_NUMBER or tag == 0:
            raise NotDerError(UNREADABLE)
        size = data[place - 1]
        if size >= 0x80:
            long = size - 0x80
            size = int.from_bytes(data[place : place + long])
            # 0 is the indefinite length. The other case is a length with a shorter form.
            if not 1 <= long <= MAX_LENGTH_BYTES or size < 0x80 or size >> 8 * (long - 1) == 0:
                raise NotDerError(UNREADABLE)
            place += long
        if place + size > end:
            raise NotDerError(UNREADABLE)
        yield TLV(tag, data[place : place + size], data[start : place + size])
        start = place + size


def _only(data: bytes) -> TLV:
    found = list(_elements(data))
    if len(found) != 1:
        raise NotDerError(UNREADABLE)
    return found[0]


def _matching(form: _Form, element: TLV) -> TLV:
    """The element that ``form`` reads: ``element``, or the one in its explicit tag."""
    if form.explicit is not None:
        if element.tag != form.explicit:
            raise NotDerError(UNREADABLE)
        element = _only(element.contents)
    if form.tag is not None and element.tag != form.tag:
        raise NotDerError(UNREADABLE)
    return element


def _read_sequence(kind: type, element: TLV) -> object:
    values: dict[str, Any] = {}
    rest = _elements(element.contents)
    following = next(rest, None)
    for field in _SEQUENCES[kind]:
        for form in field.forms.values():
            if following is not None and form.outer in {None, following.tag}:
                values[field.name] = form.read(_matching(form, following))
                following = next(rest, None)
                break
        else:
            if not field.optional:
                raise NotDerError(UNREADABLE)
            values[field.name] = field.default
    if following is not None:
        raise NotDerError(UNREADABLE)
    return kind(**values)


def _read_boolean(element: TLV) -> bool:
    if len(element.contents) != 1:
        raise NotDerError(UNREADABLE)
    return element.contents != b"\x00"


def _read_integer(element: TLV) -> int:
    if not 1 <= len(element.contents) <= MAX_INTEGER:
        raise NotDerError(UNREADABLE)
    return int.from_bytes(element.contents, signed=True)


def _read_bit_string(element: TLV) -> BitString:
    unused, bits = element.contents[:1], element.contents[1:]
    if not unused or unused[0] > 7 or (unused[0] and not bits) or (bits and bits[-1] & ((1 << unused[0]) - 1)):
        raise NotDerError(UNREADABLE)
    return BitString(bits, unused[0])


def _read_null(element: TLV) -> Null:
    if element.contents:
        raise NotDerError(UNREADABLE)
    return Null()


def _read_oid(element: TLV) -> OID:
    """X.690 section 8.19: numbers in base 128, the first two in one."""
    contents = element.contents
    if not 1 <= len(contents) <= MAX_OID or contents[-1] & 0x80:
        raise NotDerError(UNREADABLE)
    arcs, arc = [], 0
    for byte in contents:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    if max(arcs) > MAX_ARC:
        raise NotDerError(UNREADABLE)
    first = min(arcs[0] // 40, 2)
    return OID(".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:]))))


def _oid_contents(oid: OID) -> bytes:
    first, second, *others = map(int, oid.dotted_string.split("."))
    contents = bytearray()
    for arc in (40 * first + second, *others):
        shifts = range((max(arc.bit_length(), 1) - 1) // 7 * 7, -1, -7)
        contents += bytes(arc >> shift & 0x7F | (0x80 if shift else 0) for shift in shifts)
    return bytes(contents)


# --- declarations ---

_PRIMITIVES: Final[dict[Any, _Form]] = {
    bool: _Form(BOOLEAN, _read_boolean),
    int: _Form(INTEGER, _read_integer),
    bytes: _Form(OCTET_STRING, lambda element: element.contents),
    OID: _Form(OBJECT_IDENTIFIER, _read_oid),
    Null: _Form(NULL, _read_null),
    BitString: _Form(BIT_STRING, _read_bit_string),
    TLV: _Form(None, lambda element: element),
}


def _form(kind: object) -> _Form:
    if (form := _PRIMITIVES.get(kind)) is not None:
        return form
    if kind in _SEQUENCES:
        return _Form(SEQUENCE, lambda element: _read_sequence(kind, element))
    collection: Any = typing.get_origin(kind)
    inner = _form(typing.get_args(kind)[0])
    return _Form(
        SET if collection is SetOf else SEQUENCE,
        lambda element: collection([inner.read(_matching(inner, one)) for one in _elements(element.contents)]),
    )


def _field(name: str, hint: object) -> _Field:
    """The declaration of an annotation: its alternatives by the Python type of each."""
    hint, marks = _split(hint)
    choices = typing.get_args(hint) if typing.get_origin(hint) in {UnionType, typing.Union} else (hint,)
    forms: dict[Any, _Form] = {}
    for choice in choices:
        if choice is not NoneType:
            kind, own = _split(choice)
            forms[typing.get_origin(kind) or kind] = _tagged(_form(kind), (*marks, *own))
    default = next((mark.value for mark in marks if isinstance(mark, Default)), None)
    return _Field(name, forms, optional=default is not None or NoneType in choices, default=default)


def _split(hint: object) -> tuple[object, tuple[object, ...]]:
    if typing.get_origin(hint) is Annotated:
        bare, *marks = typing.get_args(hint)
        return bare, tuple(marks)
    return hint, ()


def _tagged(form: _Form, marks: tuple[object, ...]) -> _Form:
    for mark in marks:
        if isinstance(mark, Explicit):
            return _Form(form.tag, form.read, CONTEXT | CONSTRUCTED | mark.number)
        if isinstance(mark, Implicit):
            assert form.tag is not None  # noqa: S101 - any element has the tag it comes with
            return _Form(CONTEXT | form.tag & CONSTRUCTED | mark.number, form.read)
    return form
