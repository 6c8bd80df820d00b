"""Where a worker finds the bundles of a rollout: files as they are, and objects on servers as copies in a folder.

A bundle is found by its id among the places that the FLEET.toml names. Nothing is believed about it: each update checks
the whole file again.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bundlekit.errors import BundlekitError, ConfigError, UnreadableError
from bundlekit.files import MIB, whole_file
from bundlekit.layout import reader
from bundlekit.model.bundle import Span
from bundlekit.opening import open_source
from bundlekit.remote.url import remote_url
from bundlekit.source import read as read_span
from bundlekit.update.bundle import claimed_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bundlekit.fleet.fleet_file import FleetAt
    from bundlekit.remote.url import RemoteUrl

PART: Final = MIB
"""Bytes that are copied at once."""

SHOWN_FAULTS: Final = 3
"""The most places that could not be read that a message repeats."""


class BundleShelf:
    """The bundles of ``fleet`` by their ids. ``folder`` keeps the copies of those on servers. For several threads."""

    def __init__(self, fleet: FleetAt, folder: Path | None = None) -> None:
        self._fleet = fleet
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, Path | RemoteUrl] | None = None
        self._faults = list[str]()

    def require(self, bundles: Mapping[str, str]) -> None:
        """ConfigError if one of these bundles, by id, with their names, is not at the places of the fleet."""
        for identity, name in bundles.items():
            if self._place(identity) is None:
                raise ConfigError(
                    f"{self._fleet.path}: the bundle {name} ({identity}) is needed, and `bundles` names only its head",
                    next_step="Add the bundle itself, or its folder or URL, to `bundles`: a catalog keeps heads only.",
                )

    def file(self, identity: str, name: str) -> Path:
        """The file of a bundle. One on a server is copied first, if no whole copy exists.

        Raises BundlekitError if the bundle is at no place that the fleet names, or if it cannot be copied.
        """
        place = self._place(identity)
        if place is None:
            faults = "".join(f" {fault}." for fault in self._faults[:SHOWN_FAULTS])
            raise BundlekitError(
                f"The bundle {name} ({identity}) is at none of the places that {self._fleet.path} names.{faults}",
                next_step="Put it there on this host as well.",
            )
        if (url := remote_url(place)) is None:
            return place  # type: ignore[return-value]  # a place that is no URL is a path
        if self._folder is None:
            raise BundlekitError(f"The bundle {name} is on a server, and no folder for copies is given.")
        copy = self._folder / f"{identity.removeprefix('sha256:')}.bin"
        with self._lock:
            if not _is_still(copy, identity):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _copy(url, copy)
                if not _is_still(copy, identity):
                    self._known = None
                    raise BundlekitError(
                        f"{url} is no longer the bundle {name} ({identity}).",
                        next_step="Put that bundle back there, or name another place in `bundles`.",
                    )
        return copy

    def _place(self, identity: str) -> Path | RemoteUrl | None:
        with self._lock:
            if self._known is None or not _is_still(self._known.get(identity), identity):
                self._known, self._faults = {}, []
                for place in self._places():
                    try:
                        found = _id_at(place)
                    except UnreadableError as error:
                        self._faults.append(error.message.rstrip("."))
                        continue
                    if found is not None:
                        self._known.setdefault(found, place)
            return self._known.get(identity)

    def _places(self) -> Iterator[Path | RemoteUrl]:
        for place in self._fleet.bundles:
            if (url := remote_url(place)) is not None:
                yield url
            elif place.is_dir():
                yield from sorted(one for one in place.iterdir() if one.is_file())
            else:
                yield place


def _is_still(place: Path | RemoteUrl | None, identity: str) -> bool:
    """Whether the bundle is still at its place. What is on a server is read once."""
    with suppress(UnreadableError):
        return place is not None and (remote_url(place) is not None or _id_at(place) == identity)
    return False


def _id_at(place: Path | RemoteUrl) -> str | None:
    if (url := remote_url(place)) is None:
        return claimed_id(place)
    with open_source(url) as source:
        return reader.read(source).id


def _copy(url: RemoteUrl, copy: Path) -> None:
    with open_source(url) as source, whole_file(copy) as file:
        for start in range(0, source.size, PART):
            file.write(read_span(source, Span(start=start, stop=min(start + PART, source.size))))
