"""The project file as defaults of options, so that the command line overrides it key by key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from bundlekit import project
from bundlekit.cli.destination import STDOUT
from bundlekit.cli.parameters import remember_path
from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from bundlekit.model.waiver import Waivers
    from bundlekit.project import Project

_USED: Final = "bundlekit.project"
_EXCLUDED: Final = "bundlekit.no-project"
_TAKEN: Final = {
    "compare": {"trusted", "matrices"},
    "lint": {"trusted", "advisories", "strict"},
    "path": {"trusted", "matrices", "advisories"},
}
"""The values that a command takes from the file, for each command that does not take all of them."""

_BOTH: Final = "--config and --no-config are given; give one of them"


def used_project() -> Project | None:
    """The project file that this call uses."""
    found: Project | None = click.get_current_context().meta.get(_USED)
    return found


def read_project(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Use the project file of ``--config``, or the one that is found, unless ``--no-config`` is given.

    This is done before other options are read. What the file sets is the default of an option.
    """
    if context.resilient_parsing:  # completing a line that is not whole yet
        return
    if context.meta.get(_EXCLUDED):
        if path is not None:
            raise click.UsageError(_BOTH)
        return
    if path is None and (path := _found()) is None:
        return
    remember_path(context, "project", path)
    found = project.load(path)
    context.meta[_USED] = found
    context.default_map = {name: value for name, value in _defaults(found).items() if _takes(context, name)}
    _name_expired(found.waivers, path)


def _takes(context: click.Context, name: str) -> bool:
    """Whether the command uses this value of the file."""
    taken = _TAKEN.get(context.info_name or "")
    return taken is None or name in taken


def is_set_here(name: str) -> bool:
    """Whether the command line sets this parameter, and not the project file or a default."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT_MAP


def _found() -> Path | None:
    """The project file of the repository. A working folder that was removed has none."""
    try:
        folder = Path.cwd()
    except OSError:
        return None
    return project.find(folder)


def exclude_project(context: click.Context, _option: click.Parameter, value: bool) -> None:
    """Look for no project file."""
    if value and _USED in context.meta:
        raise click.UsageError(_BOTH)
    context.meta[_EXCLUDED] = value


def _defaults(found: Project) -> dict[str, object]:
    """The values of the file by the parameters of ``check``. What it does not set is left out."""
    file = found.file
    values: dict[str, object] = {
        "trusted": [str(found.resolved(name)) for name in file.trust],
        "sources": list(file.sources),
        "matrices": [str(found.resolved(name)) for name in file.matrix],
        "advisories": str(found.resolved(file.advisories)) if file.advisories else None,
        "strict": file.strict,
        "warn_within": file.warn_within,
        "require_evidence": file.require_evidence,
        "bundle_formats": list(file.bundle_formats),
        "style": file.format,
        "output": [str(STDOUT), *(str(found.resolved(name)) for name in file.outputs)] if file.outputs else [],
    }
    return {name: value for name, value in values.items() if value}


def _name_expired(waivers: Waivers | None, path: Path) -> None:
    """One line on standard error for each waiver that no longer counts."""
    for one in waivers.expired if waivers else ():
        line = f"the waiver of {one.rule} expired on {one.expires} and no longer counts"
        click.echo(f"bundlekit: {escape(str(path))}: {line}", err=True)


def read_waivers(context: click.Context, _option: click.Parameter, path: Path | None) -> Waivers | None:
    """The waivers of ``--waivers``, or those of the project file."""
    if path is None:
        used: Project | None = context.meta.get(_USED)
        return used.waivers if used else None
    from bundlekit.checks.waivers import load_waivers  # what reads the file is loaded only if there is one

    waivers = load_waivers(path)
    _name_expired(waivers, path)
    return waivers
