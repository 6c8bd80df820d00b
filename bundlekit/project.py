"""The project file of a repository: ``bundlekit.toml``, or ``[tool.bundlekit]`` in a ``pyproject.toml``.

It is looked for in the working folder and in each folder above it, up to the root of the repository. Outside of a
repository only the working folder counts. A file that a program finds by itself decides whom a check trusts, so one
that another user has put there is an error.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from bundlekit import config, toml
from bundlekit.errors import ConfigError
from bundlekit.files import LIMITS
from bundlekit.model.origin import ConfigUse
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.checks.rule import Rule
    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.model.project import ProjectFile
    from bundlekit.model.waiver import Waivers
    from bundlekit.request import CheckRequest

NAME: Final = "bundlekit.toml"
PYPROJECT: Final = "pyproject.toml"
TABLE: Final = ("tool", "bundlekit")
REPOSITORY: Final = (".git", ".hg", ".svn", ".jj")
"""What the root of a repository contains. A worktree and a submodule of git have a file of that name."""

_PERHAPS: Final = rb"""(?mx) tool["']?[ \t]*\.[ \t]*["']?bundlekit | ^[ \t]*\[[ \t]*tool[ \t]*\] | ^[ \t]*tool[ \t]*="""
"""What each ``pyproject.toml`` contains that can have the table, however TOML lets it be written."""


class Project(NamedTuple):
    """A project file as read. ``path`` is the file, and ``use`` names it in reports."""

    path: Path
    file: ProjectFile
    use: ConfigUse
    waivers: Waivers | None
    rules: tuple[Rule, ...] | None

    def resolved(self, name: str) -> Path:
        """A path of the file, which is relative to its folder."""
        return self.path.parent / name

    def make_folders(self, outputs: Iterable[Path]) -> None:
        """Make the folders of the output files. ConfigError if a link leads out of the folder of the project file."""
        inside = Path(os.path.realpath(self.path.parent))
        for output in outputs:
            if not Path(os.path.realpath(output)).is_relative_to(inside):
                raise ConfigError(f"{self.path}: the output {output} leads out of its folder through a link")
            output.parent.mkdir(parents=True, exist_ok=True)


def find(start: Path) -> Path | None:
    """The project file for the working folder ``start``, relative to it, or None.

    Raises ConfigError if it is not safe to use the file.
    """
    for folder in _folders(start.absolute()):
        present = [file for file in (folder / NAME, folder / PYPROJECT) if _is_ours(file)]
        if len(present) == 2:
            raise ConfigError(
                f"{folder}: both {NAME} and [tool.bundlekit] of {PYPROJECT} exist",
                next_step="Remove one of them.",
            )
        if present:
            _demand_owner(present[0], start)
            return Path(os.path.relpath(present[0], start))
    return None


def load(path: Path) -> Project:
    """The project file at ``path``. Raises ConfigError, which names the key and its line."""
    data = config.read_file(path, limit=LIMITS["project"])
    values, prefix = config.parse_toml(data, where=str(path)), ""
    if path.name == PYPROJECT:
        for name in TABLE:
            values = values.get(name, {})
        prefix = ".".join(TABLE)
        if not values:
            raise ConfigError(f"{path}: has no [{prefix}]")
    return _Reading(path, data, prefix).project(values)


def request_of(found: Project) -> CheckRequest:
    """What the project file asks of a check. Raises the errors of what reads its trust, matrices and advisories."""
    from bundlekit.request import CheckRequest

    file = found.file
    trust = advice = None
    matrices: tuple[OperatorMatrix, ...] = ()
    if file.trust:
        from bundlekit.trust import load_trust

        trust = load_trust([found.resolved(name) for name in file.trust])
    if file.matrix:
        from bundlekit.matrix.operator import load_matrices

        matrices = load_matrices([found.resolved(name) for name in file.matrix])
    if file.advisories:
        from bundlekit.advisories import load_advisory

        advice = load_advisory(found.resolved(file.advisories), trust=trust)
    return CheckRequest(
        trust=trust,
        sources=file.sources,
        matrices=matrices,
        advice=advice,
        strict=file.strict,
        warn_within=config.parse_duration(file.warn_within, where="warn-within") if file.warn_within else None,
        require_evidence=file.require_evidence,
        bundle_formats=file.bundle_formats,
        waivers=found.waivers,
        rules=found.rules,
        config=found.use,
    )


def _folders(start: Path) -> tuple[Path, ...]:
    """The folders to look in, from the working folder upwards."""
    every = (start, *start.parents)
    for number, folder in enumerate(every):
        if any(os.path.lexists(folder / name) for name in REPOSITORY):
            return every[: number + 1]
    return (start,)


def _is_ours(file: Path) -> bool:
    """Whether the file is a project file. A ``pyproject.toml`` is one if it contains the table."""
    if file.name == NAME:
        return os.path.lexists(file)
    if not os.path.isfile(file):  # which is false as well for what cannot be reached
        return False
    data = config.read_file(file, limit=LIMITS["toml"])
    if not re.search(_PERHAPS, data):  # most files end here, and no parser is loaded
        return False
    table: Any = config.parse_toml(data, where=str(file))
    for name in TABLE:
        table = table.get(name, {}) if isinstance(table, dict) else {}
    return bool(table)


def _demand_owner(file: Path, start: Path) -> None:
    """ConfigError if another user has put the file there, as in a folder that all users share.

    The mode of the file states nothing about that: a runner of GitLab checks files out that every user can write.
    """
    if os.name == "posix" and file.stat().st_uid not in {0, os.geteuid(), start.stat().st_uid}:
        raise ConfigError(
            f"{file}: the project file belongs to another user",
            next_step=f"If you trust it, name it ({given('config', str(file))}).",
        )


class _Reading(NamedTuple):
    """A project file while it is read: its bytes, and the table of it that counts, as a prefix of keys."""

    path: Path
    data: bytes
    prefix: str

    def project(self, values: dict[str, Any]) -> Project:
        """The file with what it names."""
        from bundlekit.model.project import ProjectFile
        from bundlekit.schema_errors import explain, first_key, place_of

        if "config" not in values or values["config"] != 1:
            found = first_key(values, "config")
            raise ConfigError(f"{self.at('config')}: has {found}; a project file begins with config = 1")
        try:
            file = msgspec.convert(values, ProjectFile, strict=True)
        except msgspec.ValidationError as error:
            place = place_of(error, ProjectFile, values).lstrip(".")
            raise ConfigError(f"{self.at(place)}: {explain(error, ProjectFile, values, toml=True)}") from error
        for number, output in enumerate(file.outputs):
            self.demand_inside(output, f"outputs[{number}]")
        digest = f"sha256:{hashlib.sha256(self.data).hexdigest()}"
        return Project(
            path=self.path,
            file=file,
            use=ConfigUse(file=str(self.path), digest=digest),
            waivers=self.waivers(file, digest),
            rules=self.rules(file),
        )

    def at(self, key: str) -> str:
        """The file, and the line of a key or of the table that lacks it."""
        whole = f"{self.prefix}.{key}" if self.prefix and key else self.prefix or key
        line = toml.line_of(self.data, whole)
        return f"{self.path}: line {line}" if line else str(self.path)

    def demand_inside(self, name: str, key: str) -> None:
        """ConfigError for an output outside of the folder, where it could overwrite any file of the user."""
        parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
        absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
        if absolute or ".." in parts or PurePosixPath(name).name == "":
            raise ConfigError(f"{self.at(key)}: {key} = {name!r} is not inside of the folder of the project file")

    def waivers(self, file: ProjectFile, digest: str) -> Waivers | None:
        """The waivers of the file, which are for best-practice rules only; None if it has none."""
        if not file.waive:
            return None
        from bundlekit.checks.waivers import demand_best_practice, sorted_by_day

        for number, one in enumerate(file.waive):
            demand_best_practice(one.rule, self.at(f"waive[{number}].rule"))
        return sorted_by_day(file.waive, digest)

    def rules(self, file: ProjectFile) -> tuple[Rule, ...] | None:
        """All rules, with the severities of the file; None if it sets none."""
        if not file.rules:
            return None
        from bundlekit.checks import RULES
        from bundlekit.checks.waivers import demand_best_practice

        for name in file.rules:
            demand_best_practice(name, self.at(f"rules.{name}"), what="set")
        return tuple(replace(rule, severity=file.rules.get(rule.name, rule.severity)) for rule in RULES)
