"""CycloneDX in JSON, versions 1.2 to 1.7 (ECMA-424): the components with their versions and hashes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bundlekit.evidence.artifact import MalformedDocumentError, artifact, object_of, objects_of, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.evidence.artifact import Artifact, JsonObject

WHOLE: Final = frozenset({"application", "container", "device", "file", "firmware", "operating-system"})
"""The types of a component that can be an image. A library or a driver is a part of one."""


def identify(document: JsonObject) -> str:
    """The name of the format with its version."""
    version = text_of(document, "specVersion")
    if not re.fullmatch(r"1\.[0-9]{1,2}", version):
        raise MalformedDocumentError(f"the version of CycloneDX is {shown(version)}, and not 1.2 to 1.7")
    return f"CycloneDX {version}"


def artifacts(document: JsonObject) -> Iterator[Artifact]:
    """The components, nested ones as well. The document is about ``metadata.component``."""
    metadata = object_of(document, "metadata")
    if "component" in metadata:
        yield from _component(object_of(metadata, "component"), main=True)
    for component in objects_of(document, "components"):
        yield from _component(component)


def _component(component: JsonObject, *, main: bool = False) -> Iterator[Artifact]:
    name = text_of(component, "name")
    if not name:
        raise MalformedDocumentError("a component has no name")
    hashes = [(text_of(one, "alg"), text_of(one, "content")) for one in objects_of(component, "hashes")]
    by_name = text_of(component, "type") in WHOLE
    yield artifact(name, text_of(component, "version"), hashes, main=main, by_name=by_name)
    for inside in objects_of(component, "components"):
        yield from _component(inside)
