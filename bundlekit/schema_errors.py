"""Explain a value that does not fit its type: its path, the allowed values and the nearest one.

msgspec finds the error, but its messages are for programmers. This module follows the path of the error through the
types and the data again, and makes a sentence for users.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SHOWN: Final = 64
"""Characters of a wrong value that a message repeats."""

_SEGMENT: Final = r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]"


class _Place(NamedTuple):
    """A place in a document: its path as people write it, the expected type, and the actual value."""

    path: str
    kind: Any
    data: Any


def explain(error: msgspec.ValidationError, kind: type, data: object = None, *, toml: bool = False) -> str:
    """A sentence about a value that does not fit ``kind``. ``data`` is the whole document, if it is available.

    ``toml``: the document was written as TOML, which has no null. Its tables and lists are easily confused.
    """
    text, at = _taken_apart(error)
    place = _follow(at, kind, data)
    where = f"at {place.path!r}: " if place.path else ""
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
        return f"{where}unknown key {_shown(match[1])}{nearest(match[1], _keys(place.kind))}"
    if match := re.fullmatch(r"Object missing required field `(.*)`", text):
        return f"{where}the key {match[1]!r} is missing"
    if match := re.fullmatch(r"Invalid enum value (.*)", text, re.DOTALL):
        allowed = ", ".join(str(value) for value in _literals(place.kind))
        found = _shown(match[1].removeprefix("'").removesuffix("'"))
        return f"{where}{found} is not one of {allowed}"
    if "matching regex" in text:
        what = f"the key {_shown(_odd_key(place))}" if _is_about_a_key(at) else _quoted(place.data)
        description = _description(place.kind) or "of another form"
        return f"{where}{what} must be {description[:1].lower()}{description[1:].rstrip('.')}"
    if text == "Invalid RFC3339 encoded date":
        return f"{where}{_quoted(place.data)} is not a date, YYYY-MM-DD"
    what = f"the key {_shown(_odd_key(place))}" if _is_about_a_key(at) else "it"
    return f"{where}{_plain(text, what, toml=toml)}{_in_toml(text, place) if toml else ''}"


_WORDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "date": "a date",
    "datetime": "a time",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "an object",
    "str": "text",
    "time": "a time of day",
}
"""What the types of msgspec are called."""

_PARTS: Final = {"array": "item", "bytes": "byte", "object": "key", "str": "character"}
"""What the length of a value is counted in."""

_BOUNDS: Final = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def _plain(text: str, what: str, *, toml: bool) -> str:
    """The fault in plain words. ``what`` is the subject of the sentence."""

    def word(name: str) -> str:
        return "a table" if toml and name == "object" else _WORDS.get(name, name)

    if match := re.fullmatch(r"Expected `(.+)`, got `(.+)`", text):
        kinds = [word(name) for name in match[1].split(" | ") if name != "null" or not toml]
        return f"{what} must be {_one_of(kinds)}, not {word(match[2])}"
    if match := re.fullmatch(r"Expected `(.+)` of length (>=|<=) (\d+)", text):
        kind = next((kind for kind in match[1].split(" | ") if kind in _PARTS), "array")
        return f"{what} must have {_BOUNDS[match[2]]} {count(int(match[3]), _PARTS[kind])}"
    if match := re.fullmatch(r"Expected `array` of length (\d+), got (\d+)", text):
        return f"{what} must have {count(int(match[1]), 'item')}, not {match[2]}"
    if match := re.fullmatch(r"Expected `.+` (>=|<=|>|<) (\S+)", text):
        return f"{what} must be {_BOUNDS[match[1]]} {match[2]}"
    if text in {"Integer value out of range", "Number out of range"}:
        return f"{what} is too large"
    return f"{text[:1].lower()}{text[1:]}".replace("`", "")


def _one_of(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _in_toml(text: str, place: _Place) -> str:
    """How to write the value in TOML, as the end of a sentence; empty if that is not the fault."""
    match = re.fullmatch(r"Expected `(.+)`, got `(.+)`", text)
    expected, got = (set(match[1].split(" | ")), match[2]) if match else (set(), "")
    if "array" in expected and got == "object" and _fields(_arguments(place.kind)[0]):
        return f"; write [[{place.path}]], because several are possible"
    if "str" in expected and got in ("int", "float", "bool", "date", "datetime", "time"):
        return "; write it in quotes"
    return "; write it as YYYY-MM-DD" if "date" in expected else ""


def place_of(error: msgspec.ValidationError, kind: type, data: object) -> str:
    """The path of the faulty value, as people write it: ``components[0].images[1].digest``.

    For a missing key it is the path of the object that lacks it.
    """
    text, at = _taken_apart(error)
    place = _follow(at, kind, data)
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
        return f"{place.path}.{match[1]}"
    return f"{place.path}.{_odd_key(place)}" if _is_about_a_key(at) else place.path


def first_key(data: Mapping[str, Any], key: str) -> str:
    """The key that names the kind of a file, as the file has it: ``spec = 2``, or a text that it is missing."""
    return f"{key} = {shortened(repr(data[key]))}" if key in data else f"no {key!r} key"


def shortened(text: str) -> str:
    """``text``, shortened to the part of a value that fits in a message."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def nearest(key: str, known: set[str], *, cutoff: float = 0.6) -> str:
    """The end of a sentence: the nearest known key that is similar enough, or all known keys if there are few."""
    import difflib  # needed only for an error message

    if near := difflib.get_close_matches(key, known, n=1, cutoff=cutoff):
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(sorted(known))}" if 0 < len(known) <= 24 else ""


def most_likely(name: str, meant: str) -> bool:
    """Whether a name, which can be correct, is most likely a misspelling of another one."""
    import difflib  # rarely needed

    return bool(difflib.get_close_matches(name, [meant], n=1, cutoff=0.8))


def _taken_apart(error: msgspec.ValidationError) -> tuple[str, str]:
    """The fault and its path. The first can quote any text of the document, so the path is taken from the end."""
    message = str(error)
    text, _, at = message.rpartition(" - at ")
    is_place = re.fullmatch(r"`\$[^`]*`|`key[^`]*` in `\$[^`]*`|`key[^`]*`", at)
    return (text, at) if text and is_place and text.count("`") % 2 == 0 else (message, "")


def _is_about_a_key(at: str) -> bool:
    return at.startswith("`key`")


def _odd_key(place: _Place) -> str:
    """The first key of a map that does not fit."""
    kinds = [get_args(one)[0] for one in _choices(place.kind) if get_origin(one) is dict]
    return next((key for key, _ in _items(place.data) if not all(_fits(key, kind) for kind in kinds)), "")


def _quoted(data: object) -> str:
    return _shown(data) if isinstance(data, str) else "it"


def _shown(text: str) -> str:
    """A text of the document in quotes, shortened to fit in a message."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")


def _follow(at: str, kind: Any, data: Any) -> _Place:  # noqa: ANN401 - a type, and any data
    """The place that msgspec describes by ``at``, such as ```$.members[...].role```.

    For a map, msgspec does not name the key. This function takes the first key whose value does not fit.
    """
    place = _Place("", kind, data)
    for name, index in re.findall(_SEGMENT, at.rpartition("`$")[2].rstrip("`")):
        if name:
            inner = {field.encode_name: field.type for field in _fields(place.kind)}.get(name)
            value = place.data.get(name) if isinstance(place.data, dict) else None
            place = _Place(f"{place.path}.{name}".lstrip("."), inner, value)
        elif index == "...":
            inner = _arguments(place.kind)[-1]
            key = next((key for key, value in _items(place.data) if not _fits(value, inner)), "…")
            value = dict(_items(place.data)).get(key)
            place = _Place(f"{place.path}.{key}".lstrip("."), inner, value)
        else:
            inner, number = _arguments(place.kind)[0], int(index)
            items = place.data if isinstance(place.data, list | tuple) else ()
            value = items[number] if number < len(items) else None
            place = _Place(f"{place.path}[{index}]", inner, value)
    return place


def _items(data: object) -> list[tuple[str, Any]]:
    return list(data.items()) if isinstance(data, dict) else []


def _fits(value: object, kind: object) -> bool:
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _choices(kind: object) -> list[Any]:
    """The alternatives of a type, with annotations and unions taken apart."""
    if get_origin(kind) is Annotated:
        return [kind, *_choices(get_args(kind)[0])]
    if type(None) in get_args(kind):
        return [choice for one in get_args(kind) for choice in _choices(one)]
    return [kind]


def _fields(kind: object) -> list[Any]:
    structs = (one for one in _choices(kind) if isinstance(one, type) and issubclass(one, msgspec.Struct))
    return [field for struct in structs for field in msgspec.structs.fields(struct)]


def _keys(kind: object) -> set[str]:
    return {field.encode_name for field in _fields(kind)}


def _arguments(kind: object) -> tuple[Any, ...]:
    """The types of the items of a list, tuple or map."""
    return next((get_args(one) for one in _choices(kind) if get_origin(one) in (list, tuple, dict)), (None,))


def _literals(kind: object) -> tuple[Any, ...]:
    return next((get_args(one) for one in _choices(kind) if get_origin(one) is Literal), ())


def _description(kind: object) -> str:
    """The description in the annotation of a type; for a map, the one of its keys."""
    for one in _choices(kind):
        metas = get_args(one)[1:] if get_origin(one) is Annotated else ()
        for meta in metas:
            if meta.description:
                return str(meta.description)
        if get_origin(one) is dict:
            return _description(get_args(one)[0])
    return ""
