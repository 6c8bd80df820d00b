"""The description inside a SWUpdate image (``sw-description``): its syntax, its links, and what it lists.

SWUpdate evaluates only the part for one board, one selection and one mode. A file that is shipped to all of them has to
be right for all. All parts are therefore read here, and an ambiguity between them is a fault.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.layout import strict_json
from bundlekit.layout.swupdate import libconfig
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.release import HardwareList

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DESCRIPTION, SIGNATURE = "sw-description", "sw-description.sig"
"""The names of the first two members of an image. They cannot be listed as files."""
ROOT: Final = "software"
SECTIONS: Final = frozenset({"images", "files", "scripts", "partitions", "bootenv", "uboot", "vars"})
"""The groups of entries (SWUpdate, ``parser/parser.c``)."""
WITHOUT_FILE: Final = ("bootenv", "uboot", "vars", "scripts", "partitions")
"""The sections whose entries need no file. SWUpdate ignores an entry without file in the other ones."""
VARIABLES: Final = ("bootenv", "uboot", "vars")
"""The sections whose entries are variables. SWUpdate ignores a file there."""
HANDLED: Final = frozenset({"type", "device", "volume", "hook"})
"""Keys of an image that select its handler. A hook can set the others on the device."""
VALUES: Final = frozenset({"version", "hardware-compatibility", "description", "name"})
"""The values that are looked up for a board, a selection and a mode, and that can be links."""
MAX_LEVELS: Final = 4
"""``software``, board, selection and mode: the deepest place where SWUpdate looks for a value."""
MAX_GROUPS: Final = 1024
"""Groups for boards, selections and modes, counted again where a link leads to them. Releases have a few dozen."""
MAX_LINKS: Final = 8
"""Links from link to link. SWUpdate follows one less than ten (``MAX_LINKS_DEPTH``)."""
MAX_ENTRIES: Final = 65_536
"""Entries of sections that are followed, counted again where a link leads to them. Releases have a few hundred."""
MAX_LISTED: Final = 32
"""Names in an annotation."""
MAX_TEXT: Final = 255
"""Bytes of a value. SWUpdate cuts longer ones off (``SWUPDATE_GENERAL_STRING_SIZE``)."""
MAX_JSON_SIZE: Final = 2**31 - 1
"""The largest ``size`` in JSON. SWUpdate reads larger ones as this one (``json_object_get_int``)."""

PATTERN: Final = "#RE:"
"""What a hardware revision begins with that is a regular expression (POSIX, extended)."""

COMPRESSIONS: Final = ("zlib", "xz", "zstd", "lz4")
_TEXTS: Final = (
    *("name", "version", "filename", "path", "volume", "device", "mtdname", "filesystem", "type", "data"),
    *("preinstall", "postinstall", "hook", "ivt", "aes-key"),
)
_FLAGS: Final = ("installed-directly", "preserve-attributes", "install-if-different", "install-if-higher")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What can be the name of a product. A sentence for people cannot."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

NodePath = tuple[str, ...]
"""The names that lead to a group or a value of the description."""


class ListedFile(NamedTuple):
    """A file that the description lists. ``digest`` is empty if it has none, and ``size`` None."""

    name: str
    digest: str
    size: int | None
    version: str | None


class DescribedGroup(NamedTuple):
    """A group where SWUpdate looks for values: the names that select it, its place after all links, and its values."""

    names: NodePath
    path: NodePath
    node: dict[str, Any]


class Description(NamedTuple):
    """What a description contains, as far as the release and the archive depend on it.

    ``product`` is the only board, or the name of the software; empty if neither identifies a product. ``revisions`` are
    all hardware revisions; empty if one of them is a regular expression. ``hardware`` are the lists of revisions with
    the board, the selection and the mode that each is for.
    """

    document: dict[str, Any]
    version: str
    product: str
    revisions: tuple[str, ...]
    hardware: tuple[HardwareList, ...]
    files: tuple[ListedFile, ...]
    annotations: dict[str, str]


def is_json(data: bytes) -> bool:
    """Whether the description is in JSON. No text in libconfig begins with a brace."""
    return data.lstrip(b" \t\r\n").startswith(b"{")


def decode(data: bytes, where: Span) -> dict[str, Any]:
    """The description as plain values. Raises LayoutError ``metadata-malformed`` with the position in the file."""
    try:
        document: dict[str, Any] = strict_json.decode(data) if is_json(data) else libconfig.decode(data)
    except (libconfig.LibconfigError, strict_json.StrictJsonError) as error:
        place = where
        if error.offset is not None and where.size:
            at = min(where.start + error.offset, where.stop - 1)
            place = Span(start=at, stop=at + 1)
        problem = Problem(rule="metadata-malformed", message=f"sw-description: {error}", where=place)
        raise LayoutError(problem) from error
    return document


def read_description(data: bytes, where: Span) -> Description:
    """What the description lists. Raises LayoutError ``metadata-malformed`` for a value that has several readings."""
    document = decode(data, where)
    try:
        return _DescriptionReader(document, is_json=is_json(data)).description()
    except _FaultError as fault:
        problem = Problem(rule="metadata-malformed", message=f"sw-description: {fault}", where=where)
        raise LayoutError(problem) from fault


class _FaultError(Exception):
    """A value of the description has a wrong type, or several readings."""


class _DescriptionReader:
    def __init__(self, document: dict[str, Any], *, is_json: bool) -> None:
        self._document = document
        self._is_json = is_json
        self._entries: list[tuple[NodePath, dict[str, Any]]] = []
        self._read = set[int]()
        self._installs = False
        self._seen = 0

    def description(self) -> Description:
        software = self._document.get(ROOT)
        if not isinstance(software, dict):
            raise _FaultError(f"it has no group {ROOT!r}")
        self._walk(software, (ROOT,))
        files = self._files()
        groups = list(islice(self._groups(software, (ROOT,), (ROOT,)), MAX_GROUPS + 1))
        if len(groups) > MAX_GROUPS:
            raise _FaultError(f"it has more than {MAX_GROUPS} groups for boards, selections and modes")
        self._sections(groups)
        if not files and not self._installs:
            raise _FaultError("it lists nothing to install")
        boards, modes = self._selections(groups)
        hardware = self._hardware(groups)
        name = self._text(software, "name")
        every = dict.fromkeys(one for listed in hardware for one in listed.revisions)
        plain = not any(one.startswith(PATTERN) for one in every)
        annotations = {
            "name": name,
            "description": self._text(software, "description"),
            "boards": _listed(boards),
            "modes": _listed(modes),
            "hardware": _listed(every),
            "embedded-script": "Lua functions that can change entries on the device"
            if self._has_script(groups)
            else "",
        }
        return Description(
            document=self._document,
            version=self._version(groups),
            product=boards[0] if len(boards) == 1 else name if _NAME.fullmatch(name) else "",
            revisions=tuple(every) if plain else (),
            hardware=tuple(hardware) if not plain or len({one.revisions for one in hardware}) > 1 else (),
            files=files,
            annotations={key: text for key, text in annotations.items() if text},
        )

    # Links.

    def _walk(self, node: object, path: NodePath) -> None:
        """Check each link, and collect each entry with a file. The elements of a list have the path of the list."""
        if isinstance(node, list):
            for one in node:
                self._walk(one, path)
        if not isinstance(node, dict):
            return
        if "ref" in node:
            if "filename" in node:
                raise _FaultError(f"an entry in {_spelled(path)} is both a file and a link")
            self._followed(node, path)
        if "filename" in node:
            self._entries.append((path, node))
        for key, value in node.items():
            if key != "properties":  # those are for the handler, and mean nothing here
                self._walk(value, (*path, key))

    def _sections(self, groups: list[DescribedGroup]) -> None:
        """Check the sections of all groups, and that SWUpdate reads each file there, or in a list they link to."""
        for _, path, group in groups:
            for section in sorted(SECTIONS & group.keys()):
                self._section(section, group[section], (*path, section))
            for _, place, other in (DescribedGroup((), path, group), groups[0]) if "uboot" in group else ():
                variables, _ = self._followed(other.get("bootenv"), (*place, "bootenv"))
                if variables not in (None, self._followed(group["uboot"], (*path, "uboot"))[0]):
                    raise _FaultError(f"{_spelled(path)} has another uboot than bootenv, and SWUpdate ignores uboot")
        for path, entry in self._entries:
            if id(entry) not in self._read:
                message = f"{entry['filename']!r} in {_spelled(path)} is in no section that SWUpdate reads"
                raise _FaultError(message)

    def _section(self, section: str, node: object, path: NodePath, links: int = 0) -> None:
        """Check the entries of a section, also those of the lists that entries link to.

        SWUpdate follows such links without limit, so it never ends with a circle of them.
        """
        node, path = self._followed(node, path)
        if not isinstance(node, list):
            raise _FaultError(f"{_spelled(path)} is not a list, so SWUpdate ignores it or ends there")
        for one in node:
            self._seen += 1
            if self._seen > MAX_ENTRIES:
                raise _FaultError(f"its sections have more than {MAX_ENTRIES} entries")
            if not isinstance(one, dict):
                raise _FaultError(f"{_spelled(path)} has an entry that is not a group, and SWUpdate ignores it")
            if "ref" in one:
                if links == MAX_LINKS:
                    raise _FaultError(f"{_spelled(path)} links in a circle, or by more than {MAX_LINKS} lists")
                target = self._target(one["ref"], path)
                self._section(section, self._at(target), target, links + 1)
            elif "filename" not in one or section in VARIABLES:
                self._check_entry(section, one, path)
            elif section == "images" and not HANDLED & one.keys():
                raise _FaultError(
                    f"{one['filename']!r} has no type, device or volume, so SWUpdate has no handler for it"
                )
            self._read.add(id(one))

    def _check_entry(self, section: str, entry: dict[str, Any], path: NodePath) -> None:
        """Check an entry without file: a variable, a script that only its handler knows, or a partition."""
        if (section in WITHOUT_FILE) is ("filename" in entry):
            what = "a variable with a filename" if section in VARIABLES else "an entry without filename"
            raise _FaultError(f"{_spelled(path)} has {what}, which SWUpdate ignores")
        if section in ("scripts", "partitions"):
            known = (one for key in ("name", "device", "type") if isinstance(one := entry.get(key), str) and one)
            self._common(entry, next(known, section))
            size = entry.get("size", 0)
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise _FaultError(f"the size of an entry in {section} is not a number of bytes")
        if section == "partitions" and not (
            entry.get("device") and (entry.get("name") or entry.get("type", "ubipartition") != "ubipartition")
        ):
            raise _FaultError("an entry in partitions has no device, or has no name and is a UBI volume")
        if section in VARIABLES:
            name = entry.get("name")
            if not isinstance(name, str) or not name:
                raise _FaultError(f"a variable in {section} has no name that is text")
            for key in ("name", "value"):
                self._typed(entry, key, str, name)
        self._installs = self._installs or section != "vars"

    def _followed(self, node: object, path: NodePath) -> tuple[object, NodePath]:
        """The node that ``node`` at ``path`` links to, and its path; itself if it is no link."""
        seen = 0
        while isinstance(node, dict) and "ref" in node:
            seen += 1
            if seen > MAX_LINKS:
                raise _FaultError(f"{_spelled(path)} is a link in a circle, or a chain of more than {MAX_LINKS} links")
            path = self._target(node["ref"], path)
            node = self._at(path)
        return node, path

    def _target(self, ref: object, path: NodePath) -> NodePath:
        """The path that ``ref`` means in the group or list at ``path``, as SWUpdate computes it."""
        if not isinstance(ref, str) or not re.fullmatch(r"#[^/].*", ref) or len(ref.encode()) > MAX_TEXT:
            raise _FaultError(f"{_spelled(path)} has a link that is not text like '#./common/images'")
        names = list(path[:-1])
        for number, token in enumerate(filter(None, ref[1:].split("/"))):
            if token == "..":  # noqa: S105 - a step up in a path
                if not names:
                    raise _FaultError(f"{_spelled(path)} has a link above the top of the description")
                names.pop()
            elif token != ".":  # noqa: S105
                names = [*names, token] if number else [token]
        if self._at(tuple(names)) is None:
            raise _FaultError(f"{_spelled(path)} has a link to {_spelled(names)}, which does not exist")
        return tuple(names)

    def _at(self, path: NodePath) -> object:
        node: object = self._document
        for name in path:
            if not isinstance(node, dict) or name not in node:
                return None
            node = node[name]
        return node

    # Files.

    def _files(self) -> tuple[ListedFile, ...]:
        """The listed files. An entry for each selection can list the same one."""
        found: dict[str, ListedFile] = {}
        for _, entry in self._entries:
            one = self._file(entry)
            known = found.setdefault(one.name, one)
            if (known.digest, known.size or one.size) != (one.digest, one.size or known.size):
                raise _FaultError(f"it lists {one.name!r} twice, with different digests or sizes")
            found[one.name] = known._replace(size=known.size or one.size, version=known.version or one.version)
        return tuple(found.values())

    def _file(self, entry: dict[str, Any]) -> ListedFile:
        name = entry["filename"]
        if not isinstance(name, str) or not name:
            raise _FaultError("the filename of an entry is not text")
        if name in (DESCRIPTION, SIGNATURE):
            raise _FaultError(f"it lists {name} as a file")
        self._common(entry, name)
        compressed, encrypted = entry.get("compressed", False), entry.get("encrypted", False)
        if not isinstance(compressed, bool) and compressed not in COMPRESSIONS:
            raise _FaultError(f"compressed of {name!r} is none of {', '.join(COMPRESSIONS)}")
        if not isinstance(encrypted, bool | str):
            raise _FaultError(f"encrypted of {name!r} is neither a cipher nor a boolean")
        size, digest = entry.get("size", 0), entry.get("sha256", "")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise _FaultError(f"the size of {name!r} is not a number of bytes, and SWUpdate would ignore it")
        if self._is_json and size > MAX_JSON_SIZE:
            raise _FaultError(f"the size of {name!r} is over {MAX_JSON_SIZE:,}, the most that SWUpdate reads in JSON")
        if not isinstance(digest, str) or (digest and not _SHA256.fullmatch(digest)):
            raise _FaultError(f"the sha256 of {name!r} is not 64 lower-case hexadecimal digits")
        proves = digest.strip("0")  # SWUpdate takes a digest of zeros for none
        return ListedFile(name, f"sha256:{digest}" if proves else "", size or None, entry.get("version"))

    def _common(self, entry: dict[str, Any], name: str) -> None:
        """Check the types of the values that every kind of entry can have."""
        for key in _TEXTS:
            self._typed(entry, key, str, name)
        for key in _FLAGS:
            self._typed(entry, key, bool, name)

    def _typed(self, entry: dict[str, Any], key: str, kind: type, name: str) -> None:
        value = entry.get(key)
        if value is None and key not in entry:
            return
        if not isinstance(value, kind):
            what = "text" if kind is str else "a boolean"
            raise _FaultError(f"{key} of {name!r} is not {what}, and SWUpdate would ignore it")
        if isinstance(value, str) and len(value.encode()) > MAX_TEXT:
            raise _FaultError(f"{key} of {name[:80]!r} has more than {MAX_TEXT} bytes, and SWUpdate would cut it off")

    # Boards, selections and modes.

    def _groups(self, group: dict[str, Any], names: NodePath, path: NodePath) -> Iterator[DescribedGroup]:
        """The groups in which SWUpdate looks for values: ``software``, and those for boards, selections and modes."""
        yield DescribedGroup(names, path, group)
        if len(names) == MAX_LEVELS:
            return
        for key, value in group.items():
            if key in SECTIONS or key in VALUES:
                continue
            node, place = self._followed(value, (*path, key))
            if isinstance(node, dict) and "filename" not in node:
                yield from self._groups(node, (*names, key), place)

    @staticmethod
    def _selections(groups: list[DescribedGroup]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of boards, and of selections with their modes. A group that only links lead to looks the same."""
        boards, modes = dict[str, None](), dict[str, None]()
        for (_, *names), _, group in groups:
            if not SECTIONS & group.keys():
                continue
            if len(names) in (1, 3):
                boards[names[0]] = None
            if len(names) in (2, 3):
                modes[".".join(names[-2:])] = None
        return tuple(boards), tuple(modes)

    def _version(self, groups: list[DescribedGroup]) -> str:
        found = dict[str, None]()
        for _, path, group in groups:
            if "version" in group:
                value, _ = self._followed(group["version"], (*path, "version"))
                if not isinstance(value, str) or not 0 < len(value.encode()) <= MAX_TEXT:
                    raise _FaultError(f"the version in {_spelled(path)} is not text of 1 to {MAX_TEXT} bytes")
                found[value] = None
        if len(found) != 1:
            raise _FaultError("it has no version" if not found else f"it has {len(found)} different versions")
        return next(iter(found))

    def _has_script(self, groups: list[DescribedGroup]) -> bool:
        return any("embedded-script" in group for _, _, group in groups)

    def _hardware(self, groups: list[DescribedGroup]) -> list[HardwareList]:
        """The lists of hardware revisions, with the names that SWUpdate looks for."""
        found: list[HardwareList] = []
        for (_, *names), path, group in groups:
            if "hardware-compatibility" not in group:
                continue
            value, _ = self._followed(group["hardware-compatibility"], (*path, "hardware-compatibility"))
            if not isinstance(value, list):
                raise _FaultError(f"hardware-compatibility in {_spelled(path)} is not a list")
            for one in value:
                if not isinstance(one, str) or one in ("", PATTERN) or len(one.encode()) > MAX_TEXT:
                    raise _FaultError(f"hardware-compatibility in {_spelled(path)} has a value that is not text")
            board = names[0] if len(names) in (1, 3) else ""
            selection, mode = names[-2:] if len(names) in (2, 3) else ("", "")
            found.append(HardwareList(board=board, selection=selection, mode=mode, revisions=tuple(value)))
        return found

    def _text(self, software: dict[str, Any], key: str) -> str:
        value, _ = self._followed(software.get(key), (ROOT, key))
        return value[:MAX_TEXT] if isinstance(value, str) else ""


def _listed(names: Iterable[str]) -> str:
    """The first names, and how many others there are."""
    every = list(names)
    more = f" and {len(every) - MAX_LISTED} more" if len(every) > MAX_LISTED else ""
    return ", ".join(every[:MAX_LISTED]) + more


def _spelled(path: NodePath | list[str]) -> str:
    return repr(".".join(path)[:MAX_TEXT] or "the top")
