"""The project file: what ``check`` and ``preflight`` use in a repository unless the command line overrides it."""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from typing import Annotated, Final, Literal

from msgspec import Meta, field

from bundlekit.model.bundle import BundleFormat
from bundlekit.model.primitives import KeyName, Strict, VersionText
from bundlekit.model.waiver import ProjectWaiver

ProjectPath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]*\S",
        description="The path of a file, relative to the folder of the project file.",
    ),
]
ProjectDuration = Annotated[
    str, Meta(pattern=r"^[0-9]{1,12} (?:s|min|h|d|day|days)$", description='A time span, such as "90 days".')
]
MAX_ITEMS: Final = 256
ProjectPaths = Annotated[tuple[ProjectPath, ...], Meta(max_length=MAX_ITEMS)]


class ProjectFile(Strict, frozen=True, kw_only=True):
    """The whole of a project file, version 1: ``bundlekit.toml``, or ``[tool.bundlekit]`` of a ``pyproject.toml``.

    Paths are relative to the folder of the file. ``from`` has installed versions. ``outputs`` are written in addition
    to what is printed, in the format of their suffix. ``format`` is that of what is printed, and ``bundle_formats`` are
    those in which a bundle is accepted; without it, all of them. ``rules`` makes findings of a best-practice rule
    errors.
    """

    config: Literal[1]
    trust: ProjectPaths = ()
    sources: Annotated[tuple[VersionText, ...], Meta(max_length=MAX_ITEMS)] = field(name="from", default=())
    matrix: ProjectPaths = ()
    advisories: ProjectPath | None = None
    strict: bool = False
    warn_within: ProjectDuration | None = None
    require_evidence: bool = False
    bundle_formats: Annotated[tuple[BundleFormat, ...], Meta(min_length=1)] = ()
    format: Literal["text", "json", "markdown", "junit", "html"] | None = None
    outputs: ProjectPaths = ()
    rules: dict[KeyName, Literal["warning", "error"]] = {}
    waive: Annotated[tuple[ProjectWaiver, ...], Meta(max_length=MAX_ITEMS)] = ()
