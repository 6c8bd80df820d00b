"""Open a bundle: an update.bin, a bundle in another format, or a detached head together with its components.

It is a file, or an object on a server, which is given as a URL.

A detached head names the files of its components, and they are next to it. An operator can name other files for them.
Everything is opened once, so that the bytes that are verified are the bytes that are used.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bundlekit import formats
from bundlekit.errors import ConfigError, NoSuchObjectError, UnreadableError
from bundlekit.layout import reader, update_bin
from bundlekit.model.bundle import Span
from bundlekit.model.manifest import labelled
from bundlekit.remote.url import WEB, remote_url
from bundlekit.schema_errors import nearest
from bundlekit.source import FileSource, NotAFileError, read
from bundlekit.wording import given as parameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundlekit.remote.source import RemoteSource
    from bundlekit.source import ReadOnce, Source


def open_source(place: str | Path) -> FileSource | RemoteSource:
    """The bytes at ``place``. UnreadableError if it cannot be opened, and ConfigError for a URL that cannot be used."""
    if (url := remote_url(place)) is None:
        return FileSource(place)
    if url.scheme in WEB:
        from bundlekit.remote.web import WebSource

        return WebSource(url)
    from bundlekit.remote.buckets import BucketSource

    return BucketSource(url)


@contextmanager
def open_bundle(path: str | Path, components: Mapping[str, str | Path] | None = None) -> Iterator[ReadOnce]:
    """The bundle at ``path``, with its description read once.

    ``components`` names files for components of a detached head, by label. The others are looked for next to the head.
    A file that is not there is left out, and so is a folder, pipe, socket or device of that name. A rule reports it.
    Raises UnreadableError if a file cannot be opened, and ConfigError for a label that the head does not have.
    """
    with open_source(path) as file, with_components(formats.once(file), path, components) as source:
        yield source


@contextmanager
def with_components(
    source: ReadOnce, path: str | Path, components: Mapping[str, str | Path] | None = None
) -> Iterator[ReadOnce]:
    """An open source at ``path``, joined with the files of its components if it is a detached head."""
    with ExitStack() as stack:
        files = _files(source)
        if unknown := sorted(set(components or ()) - set(files)):
            near = nearest(unknown[0], set(files))
            why = f"has no component {unknown[0]!r}{near}" if files else "is not a detached head"
            raise ConfigError(f"{source.name}: {why}", next_step="Name only components of a detached head.")
        streams: dict[str, Source] = {}
        absent: dict[str, str] = {}
        for label, name in files.items():
            given = (components or {}).get(label)
            if (found := _beside(path, name) if given is None else given) is None:
                continue
            try:
                opened = _component(label, found)
                stack.callback(opened.close)
                streams[label] = opened
            except NotAFileError as error:
                if given is not None:
                    raise
                absent[label] = error.kind
            except NoSuchObjectError:
                if given is not None:
                    raise
        yield source.joined(streams, absent) if files else source


def _component(label: str, file: str | Path) -> FileSource | RemoteSource:
    """The file of a component. UnreadableError with what to do about that component."""
    try:
        return open_source(file)
    except UnreadableError as error:
        names = parameter("component", f"{label}=FILE")
        error.message = f"component {label}: {error.message}"
        error.args = (error.message,)
        error.next_step = f"Put the file there, or name it ({names})."
        raise


def _files(source: Source) -> dict[str, str]:
    """The files that a detached head names, by the labels of the components; none for other bundles."""
    if not _is_detached(source):
        return {}
    if (manifest := reader.read(source).manifest) is None:
        return {}
    return {item.label: item.stored.file for item in labelled(manifest) if item.stored.file}


def _beside(head: str | Path, name: str) -> str | Path | None:
    """The file ``name`` next to ``head``, or the object there; None if there is none."""
    if (url := remote_url(head)) is not None:
        return url.sibling(name)
    beside = Path(head).parent / name
    return beside if _is_there(beside) else None


def _is_detached(source: Source) -> bool:
    start = read(source, Span(start=0, stop=min(source.held, update_bin.HEADER_SIZE)))
    if len(start) < update_bin.HEADER_SIZE or not start.startswith(update_bin.MAGIC):
        return False
    return update_bin.decode_header(start).version == update_bin.DETACHED_VERSION


def _is_there(file: Path) -> bool:
    """Whether anything has that name. What it is, opening it shows."""
    try:
        file.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UnreadableError(f"{file}: cannot be opened: {error.strerror}") from error
    return True
