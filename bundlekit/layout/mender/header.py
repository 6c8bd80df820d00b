"""The header of a Mender artifact: which payload it has, what it provides, and what it depends on.

The header is a tar archive of JSON files: ``header-info``, state scripts, and ``type-info`` and ``meta-data`` of the
payload. The client on the device installs exactly one payload, so nothing else is accepted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.layout.strict_json import StrictJsonError, decode
from bundlekit.layout.tar import check_end, next_member, tar_fault
from bundlekit.model.bundle import Problem, Span

if TYPE_CHECKING:
    from bundlekit.layout.tar import TarInput, TarMember

MAX_DECODED: Final = 32 * 1024 * 1024
"""Bytes of the decoded header. It has JSON files and state scripts, and real ones have a few KiB."""

MAX_JSON: Final = 1024 * 1024
"""Bytes of one JSON file."""

MAX_TEXT: Final = 256
"""Bytes of a name. mender-artifact has no limit, but real names are far shorter."""

MAX_VALUE: Final = 4096
"""Bytes of a value that is provided or depended on, such as a list of packages. mender-artifact has no limit."""

INFO: Final = "header-info"
TYPE_INFO: Final = "headers/0000/type-info"
META_DATA: Final = "headers/0000/meta-data"

NAME: Final = "artifact_name"
GROUP: Final = "artifact_group"
DEVICE_TYPE: Final = "device_type"
CLEARS: Final = "clears_artifact_provides"

ROOTFS: Final = "rootfs-image"
"""The only type of payload that the client installs itself. Others need an update module of that name on the device."""

_SCRIPT: Final = (
    r"scripts/Artifact(?:Install|Reboot|Commit|Rollback|RollbackReboot|Failure)_(?:Enter|Leave|Error)_[0-9]{2}"
    r"(?:_[!-.0-\[\]-~]+)?"
)
"""Names of state scripts. The end is free text: here any visible ASCII character but ``/`` and a backslash."""
_STAGES: Final = {INFO: 0, TYPE_INFO: 2, META_DATA: 3}
_SCRIPTS: Final = 1


class MenderHeader(NamedTuple):
    """What the header states. ``payload`` is the type of the payload; None if it is empty (a bootstrap artifact).

    ``provides`` and ``depends`` are those of header-info and type-info together. ``clears`` are the patterns of values
    that the device provides no longer; None means all of them. ``documents`` are the JSON files.
    """

    name: str
    group: str
    device_types: tuple[str, ...]
    payload: str | None
    provides: dict[str, tuple[str, ...]]
    depends: dict[str, tuple[str, ...]]
    clears: tuple[str, ...] | None
    scripts: tuple[str, ...]
    documents: dict[str, Any]


def read_header(stream: TarInput, name: str) -> MenderHeader:
    """Read the decoded header. ``name`` is that of its archive, for spans. Raises LayoutError."""
    documents: dict[str, Any] = {}
    scripts: list[str] = []
    seen: set[str] = set()
    stage = -1
    while member := next_member(stream, name):
        if member.padding.stop > MAX_DECODED:
            where = member.header
            message = f"{name} becomes larger than {MAX_DECODED:,} bytes when decoded"
            raise tar_fault(message, where.start, where.stop, name)
        script = re.fullmatch(_SCRIPT, member.name) is not None
        stage = _placed(member, _SCRIPTS if script else _STAGES.get(member.name), stage, seen, name)
        seen.add(member.name)
        content = _content(member, stream, name)
        if script:
            scripts.append(member.name)
        elif member.name != META_DATA or content:  # empty meta-data is none
            documents[member.name] = read_object(member.name, content, member.content)
    check_end(stream, name)
    if not stream.ended():
        raise tar_fault(f"bytes follow the end of {name}", stream.at, stream.at + 1, name)
    whole = Span(start=0, stop=stream.at, stream=name)
    for required in (INFO, TYPE_INFO):
        if required not in documents:
            raise _wrong("member-missing", f"{name} has no {required}", whole)
    return _header(documents, tuple(scripts), whole)


def _placed(member: TarMember, stage: int | None, reached: int, seen: set[str], name: str) -> int:
    """The stage of a member, which follows those before. Raises LayoutError if it is out of order or unknown."""
    if member.name in seen:
        raise _wrong("member-duplicate", f"{member.name!r} exists twice in {name}", member.header)
    if stage is None:
        raise _wrong("member-unlisted", f"{name} must not have a member {member.name!r}", member.header)
    if stage < reached or (stage == reached != _SCRIPTS) or (reached < 0 < stage):
        raise _wrong("member-misplaced", f"{member.name!r} is out of order in {name}", member.header)
    return stage


def _content(member: TarMember, stream: TarInput, name: str) -> bytes:
    """The bytes of a member; empty for a script, which is only read through. Raises LayoutError."""
    script = member.name not in _STAGES
    if not script and member.content.size > MAX_JSON:
        raise _wrong("metadata-malformed", f"{member.name} has more than {MAX_JSON:,} bytes", member.header)
    kept = [b"" if script else bytes(piece) for piece in stream.take(member.content.size)]
    padding = b"".join(stream.take(member.padding.size))
    if stream.at < member.padding.stop:
        raise tar_fault(f"{name} ends within {member.name!r}", member.content.start, stream.at, name)
    if any(padding):
        where = member.padding
        raise tar_fault(f"the padding after {member.name!r} is not zero", where.start, where.stop, name)
    return b"".join(kept)


def read_object(name: str, content: bytes, where: Span) -> dict[str, Any]:
    """The JSON object in the file ``name``. ``where`` is its content. Raises LayoutError ``metadata-malformed``."""
    try:
        found = decode(content)
    except StrictJsonError as error:
        start = min(where.start + (error.offset or 0), where.stop - 1)
        at = where if error.offset is None else Span(start=start, stop=where.stop, stream=where.stream)
        raise _wrong("metadata-malformed", f"{name}: {error}", at) from error
    if not isinstance(found, dict):
        raise _wrong("metadata-malformed", f"{name} is not a JSON object", where)
    return found


def _header(documents: dict[str, Any], scripts: tuple[str, ...], whole: Span) -> MenderHeader:
    """The values of the JSON files. Raises LayoutError ``metadata-malformed``."""
    info = _Values(documents[INFO], INFO, whole)
    info.only("payloads", "artifact_provides", "artifact_depends")
    provides = info.inside("artifact_provides", required=True)
    provides.only(NAME, GROUP)
    depends = info.inside("artifact_depends", required=True)
    depends.only(NAME, GROUP, DEVICE_TYPE)
    device_types = depends.texts(DEVICE_TYPE, required=True)
    for key in (NAME, GROUP):
        depends.texts(key)
    payload = _payload_type(info)
    types = _Values(documents[TYPE_INFO], TYPE_INFO, whole)
    types.without_lists("artifact_provides", "artifact_depends")
    _demand_type(types, payload)
    if payload is None and META_DATA in documents:
        raise info.wrong("an empty payload has meta-data")
    return MenderHeader(
        name=provides.text(NAME, required=True),
        group=provides.text(GROUP),
        device_types=device_types,
        payload=payload,
        provides=_joined(provides, types.inside("artifact_provides")),
        depends=_joined(depends, types.inside("artifact_depends")),
        clears=types.texts(CLEARS) if CLEARS in types.values else None,
        scripts=scripts,
        documents=documents,
    )


def _payload_type(info: _Values) -> str | None:
    """The type of the only payload; None for an empty one. Raises LayoutError."""
    payloads = info.given("payloads")
    if not isinstance(payloads, list) or len(payloads) != 1:
        count = len(payloads) if isinstance(payloads, list) else "no list of"
        raise info.wrong(f"it has {count} payloads, but a device installs exactly one")
    payload = _Values(payloads[0], f"{INFO}: payloads", info.where)
    payload.only("type")
    if "type" in payload.values and payload.given("type") is None:
        return None
    name = payload.text("type", required=True)
    if "/" in name or name in (".", ".."):
        raise payload.wrong(f"the type {name!r} is a path, and an update module has a plain name")
    return name


def _demand_type(types: _Values, payload: str | None) -> None:
    """Enforce that type-info has the type of header-info. Raises LayoutError.

    mender-artifact before 4.3.1 left it empty for a file system image, and devices take that. They need the key.
    """
    found = types.given("type")
    if "type" not in types.values:
        raise types.wrong("type is missing")
    if found == payload or (payload == ROOTFS and found in ("", None)):
        return
    raise types.wrong(f"its type is {found!r}, but {INFO} has {payload!r}")


def _joined(general: _Values, special: _Values) -> dict[str, tuple[str, ...]]:
    """The values of header-info and of type-info. Raises LayoutError if a key is in both."""
    one, other = general.flat(), special.flat()
    if both := one.keys() & other.keys():
        raise special.wrong(f"{min(both)!r} is also in {INFO}")
    return one | other


class _Values:
    """An object of a JSON file, and what it is called in messages."""

    def __init__(self, values: object, name: str, where: Span) -> None:
        self.name, self.where = name, where
        if not isinstance(values, dict):
            raise self.wrong("it is not an object")
        self.values: dict[str, Any] = values

    def wrong(self, message: str) -> LayoutError:
        return _wrong("metadata-malformed", f"{self.name}: {message}", self.where)

    def only(self, *keys: str) -> None:
        """Reject any other key: another reader could act on it."""
        if unknown := [key for key in self.values if key not in keys]:
            raise self.wrong(f"the key {unknown[0][:80]!r} is unknown")

    def given(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        return self.values.get(key)

    def inside(self, key: str, *, required: bool = False) -> _Values:
        if key not in self.values and required:
            raise self.wrong(f"{key} is missing")
        return _Values(self.values.get(key, {}), f"{self.name}: {key}", self.where)

    def text(self, key: str, *, required: bool = False) -> str:
        value = self.values.get(key, "")
        if not _is_text(value) or (required and not value):
            raise self.wrong(f"{key} is not a text of 1 to {MAX_TEXT} printable bytes")
        return str(value)

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(_is_text(one) and one for one in value) or (required and not value):
            raise self.wrong(f"{key} is not a list of texts of 1 to {MAX_TEXT} printable bytes")
        return tuple(value)

    def without_lists(self, *keys: str) -> None:
        """Reject lists among the values of these objects: clients from version 4 on read texts alone."""
        for key in keys:
            inside = self.inside(key)
            if found := next((name for name, value in inside.values.items() if isinstance(value, list)), None):
                raise inside.wrong(f"{found[:80]!r} is a list, and clients read a text there")

    def flat(self) -> dict[str, tuple[str, ...]]:
        """All values as lists of texts. A single text is a list of one."""
        found: dict[str, tuple[str, ...]] = {}
        for key, value in self.values.items():
            items = value if isinstance(value, list) else [value]
            if not _is_text(key) or not all(_is_text(item, MAX_VALUE) for item in items):
                raise self.wrong(
                    f"{key[:80]!r} is not a text, or a list of texts, of at most {MAX_VALUE} printable bytes"
                )
            found[key] = tuple(items)
        return found


def _is_text(value: object, most: int = MAX_TEXT) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value.encode()) <= most


def _wrong(rule: str, message: str, where: Span) -> LayoutError:
    return LayoutError(Problem(rule=rule, message=message, where=where))
