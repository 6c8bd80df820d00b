"""SPDX in JSON: version 2 (ISO/IEC 5962), and version 3 as a graph of elements (JSON-LD)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bundlekit.evidence.artifact import MalformedDocumentError, artifact, list_of, objects_of, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.evidence.artifact import Artifact, JsonObject

WHOLE: Final = frozenset(
    {"application", "archive", "container", "device", "diskimage", "file", "filesystemimage", "firmware", "install"}
    | {"operatingsystem"}
)
"""The purposes of a package that can be an image. Only their letters count: OPERATING_SYSTEM and operatingSystem."""

CONTEXT: Final = re.compile(r"https://spdx\.org/rdf/(3\.[0-9]+(?:\.[0-9]+)?)/spdx-context\.jsonld")
"""The JSON-LD context of version 3."""


def identify_2(document: JsonObject) -> str:
    """The name of the format with its version."""
    version = text_of(document, "spdxVersion")
    if not re.fullmatch(r"SPDX-2\.[0-9]", version):
        raise MalformedDocumentError(f"the version of SPDX is {shown(version)}, and not SPDX-2.2 or SPDX-2.3")
    return version.replace("-", " ")


def artifacts_2(document: JsonObject) -> Iterator[Artifact]:
    """The packages and files. The document is about those that it describes."""
    described = {one for one in list_of(document, "documentDescribes") if isinstance(one, str)}
    for relation in objects_of(document, "relationships"):
        ends = (text_of(relation, "spdxElementId"), text_of(relation, "relatedSpdxElement"))
        match text_of(relation, "relationshipType"):
            case "DESCRIBES":
                described.add(ends[1])
            case "DESCRIBED_BY":
                described.add(ends[0])
    for package in objects_of(document, "packages"):
        yield artifact(
            _named(package, "name"),
            text_of(package, "versionInfo"),
            _checksums(package),
            main=text_of(package, "SPDXID") in described,
            by_name=_is_whole(text_of(package, "primaryPackagePurpose")),
        )
    for file in objects_of(document, "files"):
        name = _named(file, "fileName").removeprefix("./")
        yield artifact(name, "", _checksums(file), main=text_of(file, "SPDXID") in described, by_name=True)


def _is_whole(purpose: str) -> bool:
    return re.sub("[^a-z]", "", purpose.lower()) in WHOLE


def _named(node: JsonObject, key: str) -> str:
    if not (name := text_of(node, key)):
        raise MalformedDocumentError("a package or a file has no name")
    return name


def _checksums(node: JsonObject) -> list[tuple[str, str]]:
    return [(text_of(one, "algorithm"), text_of(one, "checksumValue")) for one in objects_of(node, "checksums")]


def version_3(document: JsonObject) -> str:
    """The version of SPDX 3 in the context of the document; empty for another context."""
    contexts = document.get("@context")
    for one in contexts if isinstance(contexts, list) else [contexts]:
        if isinstance(one, str) and (found := CONTEXT.fullmatch(one)):
            return found[1]
    return ""


def artifacts_3(document: JsonObject) -> Iterator[Artifact]:
    """The packages and files. The document is about the root elements of its collections."""
    elements = objects_of(document, "@graph") if "@graph" in document else [document]
    roots = {root for one in elements for root in list_of(one, "rootElement") if isinstance(root, str)}
    for one in elements:
        kind = one.get("type", one.get("@type"))
        if kind not in ("software_Package", "software_File"):
            continue
        yield artifact(
            text_of(one, "name").removeprefix("./"),
            text_of(one, "software_packageVersion"),
            list(_hashes(one)),
            main=one.get("spdxId", one.get("@id")) in roots,
            by_name=kind == "software_File" or _is_whole(text_of(one, "software_primaryPurpose")),
        )


def _hashes(element: JsonObject) -> Iterator[tuple[str, str]]:
    """The hashes of an element. A method of another type, or one that is only referred to, is not compared."""
    for method in list_of(element, "verifiedUsing"):
        if isinstance(method, dict) and method.get("type", method.get("@type")) == "Hash":
            yield text_of(method, "algorithm"), text_of(method, "hashValue")
