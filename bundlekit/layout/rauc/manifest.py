"""The manifest of a RAUC bundle (``manifest.raucm``): groups and keys that RAUC knows, with the values it accepts.

The groups and keys are those of RAUC 1.16 (reference manual, section Manifest). RAUC refuses a manifest with any other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.layout.rauc import key_file
from bundlekit.model.bundle import PackedClaim, Problem, Span
from bundlekit.model.release import Demand, Part, Release, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bundlekit.layout.rauc.key_file import KeyFileGroup

Keys = frozenset[str]

KEYS: Final[dict[str, Keys]] = {
    "update": frozenset({"compatible", "version", "description", "build", "min-rauc-version"}),
    "bundle": frozenset({"format", "verity-hash", "verity-salt", "verity-size", "crypt-key"}),
    "hooks": frozenset({"filename", "hooks"}),
    "handler": frozenset({"filename", "args"}),
}
IMAGE_KEYS: Final[Keys] = frozenset(
    {
        *("sha256", "size", "filename", "type", "hooks", "adaptive", "convert", "converted"),
        *("version", "description", "build"),
    }
)
FREE: Final = ("rollout",)
"""Groups that RAUC does not interpret; their keys are free, as those of ``meta.`` groups are."""

BUNDLE_HOOKS: Final = frozenset({"install-check"})
IMAGE_HOOKS: Final = frozenset({"pre-install", "install", "post-install"})
LISTS: Final = frozenset({"hooks", "adaptive", "convert", "converted"})
TREE_KEYS: Final = ("verity-hash", "verity-salt", "verity-size")

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
"""RAUC compares the text of an image digest, so it has to be in lower case."""
INDEXES: Final = (".caibx", ".caidx")
OTHER_FORM: Final = "the bundle has it in another form (casync, or a conversion), which only the device restores"
TYPES: Final = frozenset(
    {
        *("raw", "ext4", "vfat", "squashfs", "ubifs", "tar", "emptyfs", "catar", "caidx"),
        *("raw-caibx", "ext4-caibx", "vfat-caibx", "squashfs-caibx", "ubifs-caibx"),
    }
)
"""The types of images. RAUC derives the type from the end of the name, if the manifest has none."""
ENDS: Final = re.compile(
    r".*(?:\.(?:ext4|vfat|ubifs|img|squashfs|squashfs-.*)(?:\.caibx)?|\.catar|\.caidx|\.tar.*|\.tgz)", re.DOTALL
)
VERSION: Final = re.compile(r"(?P<core>[0-9]{1,19}(?:\.[0-9]{1,19}){0,2})(?:-[^-+]*)?(?:\+[^+]*)?")
"""A version as RAUC reads one: up to three numbers."""
FIRST_MINIMUM: Final = (1, 13, 0)
"""``min-rauc-version`` is above this, because RAUC knows the key from 1.14 on, and refuses lower values."""
BYTES_32: Final = re.compile(r"[0-9a-fA-F]{64}")
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
LABEL: Final = re.compile(r"[A-Za-z0-9_-]+")
IMAGE: Final = re.compile(r"[^./]+(?:/[^./]+)?(?:\..+)?")


class HashTree(NamedTuple):
    """The root of the hash tree in hexadecimal, its salt, and its size in bytes."""

    root: str
    salt: bytes
    size: int


class RaucManifest(NamedTuple):
    """The values by group and key, without escapes, and the faults. ``where`` has the span of each value and group."""

    values: dict[str, dict[str, str]]
    where: dict[tuple[str, str], Span]
    problems: tuple[Problem, ...]

    def get(self, group: str, key: str) -> str:
        """A value; empty if it is absent."""
        return self.values.get(group, {}).get(key, "")

    @property
    def format(self) -> str:
        """The format of the bundle according to the manifest."""
        return self.get("bundle", "format") or "plain"

    @property
    def tree(self) -> HashTree | None:
        """The hash tree; None if one of its values is missing or wrong."""
        root, salt, size = (self.get("bundle", key) for key in TREE_KEYS)
        if BYTES_32.fullmatch(root) and BYTES_32.fullmatch(salt) and _is_tree_size(size):
            return HashTree(root.lower(), bytes.fromhex(salt), int(size))
        return None

    @property
    def images(self) -> dict[str, dict[str, str]]:
        """The values of each image, by the name of the image."""
        return {name.partition(".")[2]: found for name, found in self.values.items() if name.startswith("image.")}


def read(data: bytes, where: Span) -> RaucManifest:
    """Read the manifest ``data``, which is at ``where``. Raises LayoutError if it is no key file."""
    groups = key_file.read(data, where)
    places = {(name, ""): group.where for name, group in groups.items()}
    values: dict[str, dict[str, str]] = {}
    problems: list[Problem] = []
    for name, group in groups.items():
        places |= {(name, key): entry.where for key, entry in group.entries.items()}
        values[name] = {}
        problems += _read_group(name, group, values[name])
    manifest = RaucManifest(values, places, ())
    problems += _faults(manifest, where)
    return manifest._replace(problems=tuple(problems))


def release(manifest: RaucManifest) -> Release | None:
    """What the bundle claims to be; None without ``compatible``."""
    product = manifest.get("update", "compatible")
    if not product:
        return None
    return Release(
        product=product,
        version=manifest.get("update", "version"),
        build=manifest.get("update", "build") or None,
        parts=tuple(
            Part(label=name, size=int(size), digest=f"sha256:{image['sha256']}" if image.get("sha256") else "")
            for name, image in manifest.images.items()
            if NUMBER.fullmatch(size := image.get("size", "0"))
        ),
        annotations=dict(_annotations(manifest)),
        terms=_terms(manifest),
    )


def packed(manifest: RaucManifest, payload: Span) -> tuple[PackedClaim, ...]:
    """The claims about the files in the payload: images, and the programs for hooks and for everything.

    A file that is stored in another form cannot be compared. RAUC takes a size that is missing for zero.
    """
    images = tuple(
        PackedClaim(
            subject=name,
            span=payload,
            name=image["filename"],
            size=int(image.get("size", "0")),
            expected=f"sha256:{image['sha256']}",
            unread=OTHER_FORM if image.get("converted") or image["filename"].endswith(INDEXES) else "",
        )
        for name, image in manifest.images.items()
        if image.get("filename")
        and DIGEST.fullmatch(image.get("sha256", ""))
        and NUMBER.fullmatch(image.get("size", "0"))
    )
    programs = tuple(
        PackedClaim(subject=group, span=payload, name=name, size=0, expected="")
        for group in ("hooks", "handler")
        if (name := manifest.get(group, "filename"))
    )
    return images + programs


def _terms(manifest: RaucManifest) -> Terms:
    """The version of RAUC that the bundle needs, and the lowest version that the configuration of a device allows."""
    needed = manifest.get("update", "min-rauc-version")
    demands = (Demand(on="fact", key="rauc.version", at_least=needed),) if needed else ()
    limit = Demand(on="fact", key="rauc.min-bundle-version", at_most=manifest.get("update", "version"), own_limit=True)
    return Terms(demands=(*demands, limit))


def _annotations(manifest: RaucManifest) -> Iterator[tuple[str, str]]:
    """Everything else: description, hooks and handlers, which are programs that the device runs, and metadata."""
    shown = {("update", key) for key in ("compatible", "version", "build")} | {("bundle", key) for key in TREE_KEYS}
    for group, values in manifest.values.items():
        for key, value in values.items():
            of_part = group.startswith("image.") and key in {"sha256", "size"}
            if (group, key) not in shown and key != "crypt-key" and not of_part:
                yield f"{group}.{key}", value


def _read_group(name: str, group: KeyFileGroup, values: dict[str, str]) -> Iterator[Problem]:
    """Read the values of one group, and find the groups and keys that RAUC does not know."""
    free = name in FREE or name.startswith("meta.")
    known = IMAGE_KEYS if name.startswith("image.") else KEYS.get(name, frozenset())
    if not (free or known):
        yield _problem(f"RAUC has no group [{name}]", group.where)
    elif name.startswith("image.") and not IMAGE.fullmatch(name.removeprefix("image.")):
        yield _problem(f"[{name}] names no image as CLASS, CLASS.VARIANT or REPOSITORY/ARTIFACT", group.where)
    elif name.startswith("meta.") and not LABEL.fullmatch(name.removeprefix("meta.")):
        yield _problem(f"the label of [{name}] has other characters than letters, digits, - and _", group.where)
    for key, (raw, where) in group.entries.items():
        try:
            values[key] = "; ".join(key_file.strings(raw)) if key in LISTS and not free else key_file.string(raw)
        except key_file.MalformedValueError as error:
            yield _problem(f"{key} in [{name}]: {error}", where)
            continue
        if known and key not in known:
            yield _problem(f"RAUC has no key {key} in [{name}]", where)
        elif name.startswith("meta.") and not LABEL.fullmatch(key):
            yield _problem(f"the key {key} in [{name}] has other characters than letters, digits, - and _", where)
        elif not values[key] and key not in LISTS:
            yield _problem(f"{key} in [{name}] has no value", where)


def _faults(manifest: RaucManifest, where: Span) -> Iterator[Problem]:
    """What RAUC requires of the values."""
    report = _reporter(manifest, where)
    if not manifest.get("update", "compatible"):
        yield report("update", "compatible", "compatible in [update] is missing")
    if manifest.get("handler", "args") and not manifest.get("handler", "filename"):
        yield report("handler", "args", "args in [handler] are for a filename, which is missing")
    for group in ("hooks", "handler"):
        if ".." in manifest.get(group, "filename").split("/"):
            yield report(
                group, "filename", f"filename in [{group}] leads out of the image, and nothing covers that file"
            )
    if (needed := manifest.get("update", "min-rauc-version")) and not _is_minimum(needed):
        yield report("update", "min-rauc-version", "min-rauc-version in [update] is not a version above 1.13")
    yield from _bundle_faults(manifest, report)
    for name, image in manifest.images.items():
        yield from _image_faults(f"image.{name}", image, manifest.format, report)
        yield from _type_faults(f"image.{name}", image, manifest, report)
    hooks = {"hooks": BUNDLE_HOOKS, **{f"image.{name}": IMAGE_HOOKS for name in manifest.images}}
    for group, allowed in hooks.items():
        named = [one for one in manifest.get(group, "hooks").split("; ") if one]
        for one in named:
            if one not in allowed:
                yield report(group, "hooks", f"RAUC has no hook {one!r} in [{group}]")
        if named and not manifest.get("hooks", "filename"):
            yield report(group, "hooks", f"[{group}] has hooks, but filename in [hooks] is missing")


def _bundle_faults(manifest: RaucManifest, report: Callable[[str, str, str], Problem]) -> Iterator[Problem]:
    kind = manifest.format
    required = {"plain": (), "verity": TREE_KEYS, "crypt": (*TREE_KEYS, "crypt-key")}.get(kind)
    if required is None:
        yield report("bundle", "format", f"RAUC has no bundle format {kind!r}")
        return
    for key in (*TREE_KEYS, "crypt-key"):
        value = manifest.get("bundle", key)
        if value and key not in required:
            yield report("bundle", key, f"{key} in [bundle] is not for the format {kind}")
        elif not value and key in required:
            yield report("bundle", key, f"{key} in [bundle] is missing, which the format {kind} requires")
        elif value and key != "verity-size" and not BYTES_32.fullmatch(value):
            yield report("bundle", key, f"{key} in [bundle] is not 32 bytes in hexadecimal")
        elif value and key == "verity-size" and not _is_tree_size(value):
            yield report("bundle", key, "verity-size in [bundle] is not a multiple of 4096 above zero")


def _image_faults(
    group: str, image: Mapping[str, str], kind: str, report: Callable[[str, str, str], Problem]
) -> Iterator[Problem]:
    filename, install = image.get("filename", ""), "install" in image.get("hooks", "").split("; ")
    empty = image.get("type") == "emptyfs"
    if not filename and not (install or empty):
        yield report(group, "filename", f"filename in [{group}] is missing")
    if filename and empty:
        yield report(group, "filename", f"[{group}] has a filename, although its type is emptyfs")
    for key in ("filename", "converted"):
        if any(_is_path(one) for one in image.get(key, "").split("; ")):
            yield report(group, key, f"{key} in [{group}] is a path, but must be a name")
    if filename:
        if not DIGEST.fullmatch(image.get("sha256", "")):
            yield report(group, "sha256", f"sha256 in [{group}] is not 64 hexadecimal digits in lower case")
        if not NUMBER.fullmatch(image.get("size", "0" if install else "")):
            yield report(group, "size", f"size in [{group}] is not a number of bytes")
    else:
        for key in ("adaptive", "convert"):
            if image.get(key):
                yield report(group, key, f"{key} in [{group}] is for a filename, which is missing")
    if kind == "plain" and ("/" in group or image.get("convert") or image.get("converted")):
        yield report(group, "", f"[{group}] has an artifact or a conversion, which a plain bundle cannot have")
    outputs = [image.get(key, "").count("; ") for key in ("convert", "converted") if image.get(key)]
    if image.get("convert") and (len(outputs) < 2 or outputs[0] != outputs[1]):
        yield report(group, "converted", f"converted in [{group}] must have one name for each item of convert")


def _type_faults(
    group: str, image: Mapping[str, str], manifest: RaucManifest, report: Callable[[str, str, str], Problem]
) -> Iterator[Problem]:
    """The type of an image, or the end of its name, selects the program of RAUC that installs it.

    A hook or an artifact repository needs no type. Before RAUC 1.16 a handler for everything needs none either.
    """
    kind, filename = image.get("type", ""), image.get("filename", "")
    if "install" in image.get("hooks", "").split("; ") or "/" in group:
        return
    if kind and kind not in TYPES:
        yield report(group, "type", f"RAUC has no type of images {kind!r}, which [{group}] has")
    if filename and not kind and not ENDS.fullmatch(filename) and not manifest.get("handler", "filename"):
        yield report(group, "filename", f"RAUC knows no type of images for the end of {filename!r} in [{group}]")


def _is_minimum(text: str) -> bool:
    """Whether RAUC accepts a value of ``min-rauc-version``."""
    found = VERSION.fullmatch(text)
    return found is not None and (*map(int, found["core"].split(".")), 0, 0)[:3] > FIRST_MINIMUM


def _is_tree_size(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and int(text) > 0 and int(text) % 4096 == 0


def _is_path(name: str) -> bool:
    return "/" in name or name in {".", ".."}


def _reporter(manifest: RaucManifest, where: Span) -> Callable[[str, str, str], Problem]:
    """A function that makes a problem with the span of a value, of its group, or of the whole manifest."""

    def report(group: str, key: str, message: str) -> Problem:
        return _problem(message, manifest.where.get((group, key)) or manifest.where.get((group, "")) or where)

    return report


def _problem(message: str, where: Span) -> Problem:
    return Problem(rule="metadata-malformed", message=message, where=where)
