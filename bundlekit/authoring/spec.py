"""SPEC.toml: what a release engineer writes, and the manifest it becomes."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from bundlekit import config
from bundlekit.checks.layout import contradictions
from bundlekit.errors import ConfigError
from bundlekit.file_kind import kind_of, reason
from bundlekit.files import named
from bundlekit.matrix import consistency, inconsistencies
from bundlekit.matrix.toml import condition_from_toml, matrix_from_toml, trust_text
from bundlekit.model.manifest import (
    DEFAULT_CHUNK,
    Component,
    Document,
    FormatVersion,
    Image,
    Impact,
    Manifest,
    ReleaseKind,
    Requirements,
    SchemeName,
)
from bundlekit.model.matrix import Matrix
from bundlekit.model.primitives import Count, Frozen, KeyName, Name, Strict, Text, VersionText
from bundlekit.schema_errors import first_key
from bundlekit.source import NO_SIZE, sizeless

if TYPE_CHECKING:
    from bundlekit.model.bundle import Problem

PLACEHOLDER: Final = "sha256:" + 64 * "0"
"""A placeholder for digests until the files are read. It has the same length, so that the layout is known before."""

MEDIA_TYPES: Final = {
    ".cdx.json": "application/vnd.cyclonedx+json",
    ".spdx.json": "application/spdx+json",
    ".spdx3.json": "application/spdx3+json",
    ".intoto.jsonl": "application/vnd.in-toto.bundle",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".json": "application/json",
    ".xml": "application/xml",
}
"""The media type of a document by the end of its file name. A longer end is first.

Sources: the registry of IANA; for the bundle, in-toto Attestation Framework, Bundle v1.
"""


class SpecComponent(Strict, frozen=True, kw_only=True):
    """``[components.NAME]``: one file for all models, or a file per model."""

    version: VersionText
    scheme: SchemeName | None = None
    format: KeyName | None = None
    file: str | dict[Name, str]
    chunk_size: Text | int | None = None


class SpecDocument(Strict, frozen=True, kw_only=True):
    """A document with its media type spelled out."""

    file: str
    media_type: Text


class SpecRequires(Strict, frozen=True, kw_only=True):
    """``requires``: the oldest bundlekit, free space per place, facts."""

    tool: VersionText | None = None
    free: dict[KeyName, Text | int] = {}
    facts: dict[str, Any] = {}


class Spec(Strict, frozen=True, kw_only=True):
    """SPEC.toml, version 1, as written."""

    spec: Literal[1]
    kind: ReleaseKind
    product: Name
    models: Annotated[tuple[Name, ...], Meta(min_length=1)]
    version: VersionText
    scheme: SchemeName
    build: VersionText | None = None
    released: dt.date
    expires: dt.date | None = None
    counter: Count
    includes: tuple[Name, ...] = ()
    matrix: str | None = None
    impact: Impact = Impact()
    requires: SpecRequires = SpecRequires()
    documents: dict[KeyName, str | SpecDocument] = {}
    components: Annotated[dict[KeyName, SpecComponent], Meta(min_length=1)]
    annotations: dict[KeyName, Text] = {}
    extensions: dict[KeyName, Any] = {}


class Draft(Frozen, frozen=True, kw_only=True):
    """A manifest with placeholders for digests, and the file of each stored part, in stored order.

    ``texts`` are the files that the manifest was made of: SPEC.toml, and the matrix that it names.
    """

    manifest: Manifest
    files: tuple[Path, ...]
    texts: tuple[Path, ...]


def load_manifest(path: Path) -> Manifest:
    """The manifest of SPEC.toml before there are any images: they are not looked at, their sizes are 1."""
    return _load(path, None)


def load(path: Path) -> Draft:
    """Read SPEC.toml and the files it names, except the bytes of images. ConfigError names the fault."""
    files: list[Path] = []
    manifest = _load(path, files)
    # What `bundlekit check` would refuse in the bundle is refused here, while its author is at hand.
    wrong = [f"{path}: {message}" for _, message in contradictions(manifest)]
    wrong += [placed(problem, path) for problem in inconsistencies(manifest)]
    if wrong:
        raise ConfigError("; ".join(message.rstrip(".") for message in wrong))
    return Draft(manifest=manifest, files=tuple(files), texts=_texts(path))


def placed(problem: Problem, path: Path) -> str:
    """A problem of `inconsistencies` with the file and the key to fix. ``path`` is that of the SPEC.toml."""
    field = str(problem.params["field"])
    if "beside" in problem.params:
        key = re.sub("^requirements", "requires", field)
        return f"{path}: {key}{problem.message.removeprefix(f'Manifest, {field}')}"
    return consistency.fault_in_file(problem, str(_texts(path)[-1]))


def _texts(path: Path) -> tuple[Path, ...]:
    """The SPEC.toml at ``path``, and then the matrix.toml that it names, if it does."""
    matrix = config.load_toml(path).get("matrix")
    return (path, path.parent / matrix) if matrix else (path,)


def _load(path: Path, files: list[Path] | None) -> Manifest:
    where = str(path)
    data = config.load_toml(path)
    if data.get("spec") != 1:
        found = first_key(data, "spec")
        raise ConfigError(f"{where}: has {found}; a SPEC begins with spec = 1")
    spec = config.convert(data, Spec, where=where, toml=True)
    fields = {
        "format": FormatVersion(major=1, minor=1 if any(one.format for one in spec.components.values()) else 0),
        "kind": spec.kind,
        "product": spec.product,
        "models": spec.models,
        "version": spec.version,
        "scheme": spec.scheme,
        "build": spec.build,
        "released": spec.released.isoformat(),
        "expires": spec.expires.isoformat() if spec.expires else None,
        "counter": spec.counter,
        "includes": spec.includes,
        "impact": spec.impact,
        "annotations": spec.annotations,
        "extensions": spec.extensions,
        "components": [_component(name, spec, path, files) for name in spec.components],
        "documents": [_document(name, spec, path, files) for name in spec.documents],
        "requirements": _requirements(spec.requires, where),
        "matrix": _naming_records(_matrix(spec, path), spec),
    }
    # Through plain values, so that what the manifest's schema refuses is rejected here, with the key's name.
    plain = msgspec.to_builtins({key: value for key, value in fields.items() if value is not None})
    return config.convert(plain, Manifest, where=where)


def _component(name: str, spec: Spec, path: Path, files: list[Path] | None) -> Component:
    """A component with its images; models that share a file share an image. Adds to ``files``."""
    component = spec.components[name]
    by_file: dict[str, list[str]] = {}
    if isinstance(component.file, str):
        by_file[component.file] = []
    else:
        for model, file in component.file.items():
            by_file.setdefault(file, []).append(model)
    where = f"{path}: components.{name}"
    chunk_size = DEFAULT_CHUNK
    if component.chunk_size is not None:
        chunk_size = config.parse_size(component.chunk_size, where=f"{where}.chunk-size")
    images = []
    for file, models in by_file.items():
        size = _add_file(path.parent / file, where, files)
        images.append(
            Image(models=tuple(models), size=size, digest=PLACEHOLDER, index=PLACEHOLDER, chunk_size=chunk_size)
        )
    return Component(
        name=name, version=component.version, scheme=component.scheme, format=component.format, images=tuple(images)
    )


def _document(name: str, spec: Spec, path: Path, files: list[Path] | None) -> Document:
    """A document. Its media type is that of the file name if none is given. Adds to ``files``."""
    document = spec.documents[name]
    if isinstance(document, str):
        lower = Path(document).name.lower()
        media_type = next(
            (kind for end, kind in MEDIA_TYPES.items() if lower.endswith(end)), "application/octet-stream"
        )
        document = SpecDocument(file=document, media_type=media_type)
    size = _add_file(path.parent / document.file, f"{path}: documents.{name}", files)
    return Document(name=name, media_type=document.media_type, size=size, digest=PLACEHOLDER, index=PLACEHOLDER)


def _requirements(requires: SpecRequires, where: str) -> Requirements:
    return Requirements(
        tool=requires.tool,
        free={
            place: config.parse_size(size, where=f"{where}: requires.free.{place}")
            for place, size in requires.free.items()
        },
        facts=tuple(
            condition_from_toml(fact, value, where=f"{where}: requires.facts.{fact}")
            for fact, value in requires.facts.items()
        ),
    )


def _matrix(spec: Spec, path: Path) -> Matrix:
    if spec.matrix is None:
        return Matrix()
    matrix_path = path.parent / spec.matrix
    return matrix_from_toml(
        config.load_toml(matrix_path),
        where=str(matrix_path),
        read_trust=lambda name: trust_text(matrix_path.parent / name, f"{matrix_path}: trust-of"),
    )


def _naming_records(matrix: Matrix, spec: Spec) -> Matrix:
    """The matrix whose sources name a document of the SPEC with its digest, which is filled in later."""
    sources = (
        replace(one, tested=f"{one.tested}@{PLACEHOLDER}") if one.tested.lower() in spec.documents else one
        for one in matrix.sources
    )
    return replace(matrix, sources=tuple(sources))


def _add_file(file: Path, where: str, files: list[Path] | None) -> int:
    """Note a file to store, and return its size in bytes."""
    if files is None:
        return 1
    try:
        status = file.stat()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {named(file)}: {reason(error)}") from error
    if kind := kind_of(status.st_mode):
        raise ConfigError(f"{where}: {file}: cannot be read: it is {kind}")
    if status.st_size == 0:
        if sizeless(file):
            raise ConfigError(f"{where}: {file}: {NO_SIZE}")
        raise ConfigError(f"{where}: {file} is not a file with at least one byte")
    files.append(file)
    return status.st_size
