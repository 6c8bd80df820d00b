"""The parameter types of commands, and the local form of times in their output."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bundlekit.config import DURATIONS, parse_duration
from bundlekit.errors import ConfigError
from bundlekit.model.decision import Acceptance
from bundlekit.remote.url import RemoteUrl, looks_remote

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _TimeType = click.ParamType[dt.datetime]
    _DurationType = click.ParamType[int]
    _AcceptanceType = click.ParamType[Acceptance]
else:  # no generic class before click 8.5
    _TimeType = _DurationType = _AcceptanceType = click.ParamType


class Time(_TimeType):
    """A date (its first second in UTC) or an RFC 3339 time with its offset."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """The aware time that ``value`` spells."""
        if isinstance(value, dt.datetime):
            return value
        try:
            time = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither 2026-11-23 nor 2026-11-23T12:00:00Z", param, ctx)
        if time.tzinfo is None and len(value) > len("2026-11-23"):
            self.fail(f"{value!r} has no time zone; add Z for UTC", param, ctx)
        try:
            return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
        except OverflowError:
            self.fail(f"{value!r} is beyond the calendar in UTC", param, ctx)


class Deadline(Time):
    """A date (its last second, in the time zone of this machine) or an RFC 3339 time with its offset."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """The aware time that ``value`` spells."""
        time = super().convert(value, param, ctx)
        if not isinstance(value, str) or len(value) > len("2026-11-23"):
            return time
        try:
            return dt.datetime.combine(time.date(), dt.time(23, 59, 59)).astimezone()
        except (OverflowError, OSError, ValueError):
            self.fail(f"{value!r} is beyond the calendar of this machine", param, ctx)


class TimeSpan(_DurationType):
    """A time span as configuration files write it: ``90 days``, ``45 min``. It is given in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds that ``value`` spells, at least one."""
        if isinstance(value, int):
            return value
        try:
            seconds = parse_duration(value, where="duration")
        except ConfigError:
            self.fail(f"{value!r} is not a number, a space and one of {', '.join(DURATIONS)}", param, ctx)
        if not seconds:
            self.fail(f"{value!r} is no time at all", param, ctx)
        return seconds


def local_time(wall: float) -> str:
    """Seconds since 1970 as a person here reads them: weekday, date, time and offset of this machine's time zone."""
    try:
        return dt.datetime.fromtimestamp(wall, dt.UTC).astimezone().strftime("%a %Y-%m-%d %H:%M:%S %z")
    except (OverflowError, OSError, ValueError):
        return f"{wall:.0f} seconds after 1970"


class AcceptedRisk(_AcceptanceType):
    """The id of a risk, perhaps ``@`` and the digest of its entry: ``OldDiskFirmware@sha256:…``."""

    name = "ID[@DIGEST]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Acceptance:
        """The acceptance that ``value`` spells."""
        if isinstance(value, Acceptance):
            return value
        risk, at, digest = value.partition("@")
        if not risk or (at and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest)):
            self.fail(f"{value!r} is not a risk id, optionally followed by @sha256:…", param, ctx)
        return Acceptance(risk=risk, digest=digest)


_GIVEN: Final = "bundlekit.paths"


class _PathType(click.Path):
    """A path, remembered under the option it was given to, whatever becomes of it there.

    So `given_paths` has all that a command reads, also of options that are added one day.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path that ``value`` spells."""
        if isinstance(value, str) and looks_remote(value):  # it can contain a secret, so it is not printed
            self.fail("a file is required here, not a URL; download it first", param, ctx)
        if "\0" in os.fsdecode(value):
            self.fail(f"{os.fsdecode(value)} contains a NUL character", param, ctx)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path == Path():  # ".": the library takes that for an empty path, which was refused before
            path = Path.cwd()
        if param is not None and ctx is not None:
            remember_path(ctx, str(param.name), path)
        return path


class _BundleType(_PathType):
    """The path of a bundle, or the URL of one on a server."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path or the URL that ``value`` spells."""
        if not isinstance(value, str) or not looks_remote(value):
            return super().convert(value, param, ctx)
        try:
            return RemoteUrl(value)
        except ConfigError as error:
            self.fail(f"{str(error).removesuffix('.')}. {error.next_step}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Files, and nothing for a URL."""
        return [] if looks_remote(incomplete) else super().shell_complete(ctx, param, incomplete)


path_type: Final = _PathType(path_type=Path, readable=False)
bundle_type: Final = _BundleType(path_type=Path, readable=False)


class _KeyType(_PathType):
    """A path, or the address of a key in a token, which stays as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path or the address that ``value`` spells."""
        if isinstance(value, str) and value.lower().startswith("pkcs11:") and "\0" not in value:
            return value
        return super().convert(value, param, ctx)


key_type: Final = _KeyType(path_type=Path, readable=False)


def remember_path(context: click.Context, name: str, path: Path) -> None:
    """Let `given_paths` list a path that is read."""
    context.meta.setdefault(_GIVEN, []).append((name, path))


def given_paths() -> list[tuple[str, Path]]:
    """The paths of this call, each with the name of its parameter."""
    given: list[tuple[str, Path]] = click.get_current_context().meta.get(_GIVEN, [])
    return given
