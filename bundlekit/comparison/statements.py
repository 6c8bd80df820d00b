"""What two bundles state about themselves: the facts of the release, and the rest of the description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from bundlekit.errors import VersionError
from bundlekit.matrix.read import ReadMatrix
from bundlekit.report.comparison import FactChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.release import Release

_APART: Final = {"components", "documents", "matrix", "impact", "annotations"}
"""Fields of a manifest that are compared as parts, as a matrix, or by their own fields."""


def fact_changes(old: Bundle, new: Bundle) -> Iterator[FactChange]:
    """The values that differ, those that every format has first."""
    before, after = _release(old.release), _release(new.release)
    yield from _changes("release", {"format": old.format} | before, {"format": new.format} | after)
    if old.document is not None and new.document is not None:
        known = {name.partition(".")[0] for name in (*before, *after)} | _APART
        yield from _changes("description", _described(old, known), _described(new, known))


def is_newer(old: ReadMatrix | UnreadableMatrix | None, new: ReadMatrix | UnreadableMatrix | None) -> bool | None:
    """Whether the version of the new release is higher than the old one. None: they are equal, or have no order."""
    if not (isinstance(old, ReadMatrix) and isinstance(new, ReadMatrix)):
        return None
    try:
        before = new.parse(new.primary_component, old.own.text)
    except VersionError:
        return None
    return None if before == new.own else before < new.own


def _release(release: Release | None) -> dict[str, Any]:
    """The fields of a release by their names, such as ``impact.minutes``. Parts are compared apart."""
    if release is None:
        return {}
    fields: dict[str, Any] = msgspec.to_builtins(release)
    del fields["parts"]
    found: dict[str, Any] = {}
    for name, value in fields.items():
        found |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _described(bundle: Bundle, known: set[str]) -> dict[str, Any]:
    """The leaves of a description. A manifest has only the fields here that are not compared elsewhere."""
    document = bundle.document or {}
    if bundle.manifest is not None:
        document = {name: value for name, value in document.items() if name not in known and name != "format"}
        document |= {"format-version": (bundle.document or {}).get("format")}
    return dict(_leaves(document, "", lists=bundle.manifest is None))


def _leaves(value: object, path: str, *, lists: bool) -> Iterator[tuple[str, object]]:
    """The values by their paths. ``lists``: each item has a path of its own, as the order has a meaning."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name), lists=lists)
    elif lists and isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]", lists=lists)
    else:
        yield path, value


def _changes(group: Any, old: dict[str, Any], new: dict[str, Any]) -> Iterator[FactChange]:  # noqa: ANN401 - a literal
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before != after or type(before) is not type(after):
            yield FactChange(group=group, fact=name, old=before, new=after)
