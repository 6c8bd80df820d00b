"""SPEC.toml: what a release engineer writes, and the manifest it becomes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from bundlekit import config
from bundlekit.errors import ConfigError
from bundlekit.matrix.toml import condition_from_toml, matrix_from_toml
from bundlekit.model.manifest import (
    DEFAULT_CHUNK,
    Component,
    Document,
    Image,
    Impact,
    Kind,
    Manifest,
    Requirements,
    Scheme,
)
from bundlekit.model.matrix import Matrix
from bundlekit.model.primitives import Count, Frozen, Key, Name, Strict, Text, VersionText

PLACEHOLDER: Final = "sha256:" + 64 * "0"
"""Stands for digests until the files are read; of the same length, so that the layout is known before."""

MEDIA_TYPES: Final = {
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".json": "application/json",
    ".xml": "application/xml",
}


class SpecComponent(Strict, frozen=True, kw_only=True):
    """``[components.NAME]``: one file for all models, or a file per model."""

    version: VersionText
    scheme: Scheme | None = None
    file: str | dict[Name, str]
    chunk_size: Text | int | None = None


class SpecDocument(Strict, frozen=True, kw_only=True):
    """A document with its media type spelled out."""

    file: str
    media_type: Text


class SpecRequires(Strict, frozen=True, kw_only=True):
    """``requires``: the oldest bundlekit, free space per place, facts."""

    tool: VersionText | None = None
    free: dict[Key, Text | int] = {}
    facts: dict[str, Any] = {}


class Spec(Strict, frozen=True, kw_only=True):
    """SPEC.toml, version 1, as written."""

    spec: Literal[1]
    kind: Kind
    product: Name
    models: Annotated[tuple[Name, ...], Meta(min_length=1)]
    version: VersionText
    scheme: Scheme
    build: VersionText | None = None
    released: dt.date
    expires: dt.date | None = None
    counter: Count
    includes: tuple[Name, ...] = ()
    matrix: str | None = None
    impact: Impact = Impact()
    requires: SpecRequires = SpecRequires()
    documents: dict[Key, str | SpecDocument] = {}
    components: Annotated[dict[Key, SpecComponent], Meta(min_length=1)]
    annotations: dict[Key, Text] = {}
    extensions: dict[Key, Any] = {}


class Draft(Frozen, frozen=True, kw_only=True):
    """A manifest whose digests are placeholders, and the file behind each stored thing, in stored order."""

    manifest: Manifest
    files: tuple[Path, ...]


def load(path: Path) -> Draft:
    """Read SPEC.toml and what it points to (but for the images' bytes); ConfigError says what is wrong."""
    where = str(path)
    data = config.load_toml(path)
    if data.get("spec") != 1:
        found = f"spec = {data['spec']!r}" if "spec" in data else "no 'spec' key"
        raise ConfigError(f"{where}: has {found}; a SPEC begins with spec = 1")
    spec = config.convert(data, Spec, where=where)
    folder = path.parent
    files: list[Path] = []
    components = []
    for name, component in spec.components.items():
        by_file: dict[str, list[str]] = {}
        if isinstance(component.file, str):
            by_file[component.file] = []
        else:
            for model, file in component.file.items():
                by_file.setdefault(file, []).append(model)
        chunk_size = DEFAULT_CHUNK
        if component.chunk_size is not None:
            chunk_size = config.parse_size(component.chunk_size, where=f"{where}: components.{name}.chunk-size")
        images = []
        for file, models in by_file.items():
            files.append(folder / file)
            images.append(
                Image(
                    models=tuple(models),
                    size=_size(files[-1], f"{where}: components.{name}"),
                    digest=PLACEHOLDER,
                    index=PLACEHOLDER,
                    chunk_size=chunk_size,
                )
            )
        components.append(
            Component(name=name, version=component.version, scheme=component.scheme, images=tuple(images))
        )
    documents = []
    for name, document in spec.documents.items():
        file = document if isinstance(document, str) else document.file
        files.append(folder / file)
        media_type = (
            MEDIA_TYPES.get(files[-1].suffix, "application/octet-stream")
            if isinstance(document, str)
            else document.media_type
        )
        documents.append(
            Document(
                name=name,
                media_type=media_type,
                size=_size(files[-1], f"{where}: documents.{name}"),
                digest=PLACEHOLDER,
                index=PLACEHOLDER,
            )
        )
    matrix = Matrix()
    if spec.matrix is not None:
        matrix_path = folder / spec.matrix
        matrix = matrix_from_toml(config.load_toml(matrix_path), where=str(matrix_path))
    fields = {
        "format": {"major": 1, "minor": 0},
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
        "components": tuple(components),
        "documents": tuple(documents),
        "requirements": Requirements(
            tool=spec.requires.tool,
            free={
                place: config.parse_size(size, where=f"{where}: requires.free.{place}")
                for place, size in spec.requires.free.items()
            },
            facts=tuple(
                condition_from_toml(fact, value, where=f"{where}: requires.facts.{fact}")
                for fact, value in spec.requires.facts.items()
            ),
        ),
        "matrix": matrix,
    }
    # Through plain values, so that what the manifest's schema refuses is refused here, with the key's name.
    plain = msgspec.to_builtins({key: value for key, value in fields.items() if value is not None})
    return Draft(manifest=config.convert(plain, Manifest, where=where), files=tuple(files))


def _size(path: Path, where: str) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigError(f"{where}: {path}: {error.strerror}") from error
    if not path.is_file() or size == 0:
        raise ConfigError(f"{where}: {path} is not a file with at least one byte")
    return size
