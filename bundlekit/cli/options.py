"""The options and arguments that several commands have: each is declared here once, with its type and its text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, get_args

import click

from bundlekit.cli import naming
from bundlekit.cli.parameters import AcceptedRisk, Time, TimeSpan, bundle_type, path_type, remember_path
from bundlekit.cli.project import exclude_project, read_project, read_waivers
from bundlekit.model.bundle import OtherFormat
from bundlekit.remote.url import remote_url

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class Decorator(Protocol):
    """What declares an option of the function of a command."""

    def __call__(self, function: _Function, /) -> _Function:
        """The function, with the option."""


def combined(*options: Decorator) -> Decorator:
    """One decorator for several options, which the help lists in this order."""

    def decorate(function: _Function, /) -> _Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


# What is read

bundle_argument: Final = click.argument("bundle", type=path_type)
bundles_argument: Final = click.argument("bundles", nargs=-1, required=True, type=path_type, metavar="BUNDLE...")
bundle_or_url_argument: Final = click.argument("bundle", type=bundle_type)
bundles_or_urls_argument: Final = click.argument(
    "bundles", nargs=-1, required=True, type=bundle_type, metavar="BUNDLE..."
)
release_argument: Final = click.argument("release", type=bundle_type, metavar="BUNDLE|SPEC.toml|MATRIX.toml")
catalog_argument: Final = click.argument("place", type=path_type, metavar="CATALOG")
advisories_argument: Final = click.argument("file", type=path_type, metavar="ADVISORIES")

trust_option: Final = click.option(
    "--trust",
    "trusted",
    type=path_type,
    multiple=True,
    help="Trust these signers: a trust.toml, PEM files of CA certificates or public keys, or a folder of them.",
)
catalog_option: Final = click.option(
    "--catalog", "catalogs", type=path_type, multiple=True, help="Use the bundles of this catalog."
)


def appliance_option(text: str, *, required: bool = False) -> Decorator:
    """The file with the installed state of a pair; ``text`` is what the command does with it."""
    return click.option("--appliance", type=path_type, required=required, metavar="STATE.json", help=text)


def pair_option(text: str = "Choose the pair by the name in its state.", *, required: bool = True) -> Decorator:
    """The name of a pair; ``text`` is what the command does with it."""
    return click.option("--pair", required=required, metavar="P", help=text)


def database_option(text: str, *, required: bool = False) -> Decorator:
    """The database that hosts share; ``text`` is what the command does with it."""
    return click.option(
        "--state",
        required=required,
        metavar="URL",
        envvar="BUNDLEKIT_STATE",
        show_envvar=True,
        callback=naming.remember_database,
        help=f"{text} (postgresql://...).",
    )


def from_option(name: str, text: str, *, multiple: bool = False) -> Decorator:
    """An installed version, as the parameter ``name``; ``text`` is what the command does with it."""
    return click.option("--from", name, multiple=multiple, metavar="VERSION", help=text)


def _components(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Path | str]:
    """The files and URLs by label. A usage error for a value without a name or a file, and for a name given twice."""
    found: dict[str, Path | str] = {}
    for value in values:
        name, _, file = value.partition("=")
        if not name or not file:
            raise click.BadParameter(f"{value!r} is not NAME=FILE.", context, option)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice.", context, option)
        found[name] = url = remote_url(file) or Path(file)
        if isinstance(url, Path):
            remember_path(context, str(option.name), url)
    return found


component_option: Final = click.option(
    "--component",
    "components",
    multiple=True,
    metavar="NAME=FILE",
    callback=_components,
    help="Use this file for a component of a detached head, instead of the one next to it.",
)
components_of_two_options: Final = combined(
    click.option(
        "--old-component",
        "old_components",
        multiple=True,
        metavar="NAME=FILE",
        callback=_components,
        help="Use this file for a component of the detached head OLD, instead of the one next to it.",
    ),
    click.option(
        "--new-component",
        "new_components",
        multiple=True,
        metavar="NAME=FILE",
        callback=_components,
        help="Use this file for a component of the detached head NEW, instead of the one next to it.",
    ),
)

matrices_option: Final = click.option(
    "--matrix",
    "matrices",
    type=path_type,
    multiple=True,
    metavar="FILE",
    help="Use this upgrade matrix, or those in this folder, for bundles whose format has none.",
)

# What is allowed

accept_risk_option: Final = click.option(
    "--accept-risk",
    "accepted_risks",
    type=AcceptedRisk(),
    multiple=True,
    help="Accept this risk of the matrix; with a digest, only while its text is unchanged.",
)
advisories_option: Final = click.option(
    "--advisories", type=path_type, help="Apply these signed advisories, which only restrict. They need --trust."
)
serial_option: Final = click.option(
    "--advisory-serial-at-least",
    "serial_at_least",
    type=click.IntRange(0),
    default=0,
    help="Reject advisories with a serial lower than this, the last one that was used.",
)
policy_options: Final = combined(
    click.option("--allow-same-version", is_flag=True, help="Allow another build of the installed version."),
    click.option("--allow-reinstall", is_flag=True, help="Allow the installed version and build again."),
    click.option(
        "--allow-downgrade",
        is_flag=True,
        help="Allow an older version if the matrix names the installed one as a source.",
    ),
    accept_risk_option,
    advisories_option,
    serial_option,
)
"""What is allowed beyond the matrix, and forbidden since; :func:`bundlekit.cli.common.policy_arguments` takes them."""

at_option: Final = click.option("--at", type=Time(), metavar="TIME", help="Use this time instead of now.")
evidence_option: Final = click.option(
    "--require-evidence",
    is_flag=True,
    help="Reject a release with a source of its matrix that names no test record in the bundle.",
)
strict_option: Final = click.option("--strict", is_flag=True, help="Treat warnings as errors.")


# What is written


def format_option(*more: str) -> Decorator:
    """The form of the output: text, JSON, or one of ``more``."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["text", "json", *more]),
        default="text",
        show_default=True,
        help="Set the output format.",
    )


def output_option(text: str, *, required: bool = False, multiple: bool = False) -> Decorator:
    """The file to write; ``text`` is what the command writes to it."""
    return click.option(
        "--output", "-o", type=path_type, required=required, multiple=multiple, metavar="FILE", help=text
    )


config_options: Final = combined(
    click.option(
        "--no-config",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=exclude_project,
        help="Use no project file.",
    ),
    click.option(
        "--config",
        "project",
        type=path_type,
        is_eager=True,
        expose_value=False,
        metavar="FILE",
        callback=read_project,
        help="Use this project file instead of the bundlekit.toml or pyproject.toml of the repository.",
    ),
)
"""The project file, whose values are the defaults of the other options of a command."""

check_options: Final = combined(
    config_options,
    trust_option,
    from_option("sources", "Validate the update from this version.", multiple=True),
    appliance_option("Validate the update of this pair, or of many (JSON, one state on each line)."),
    matrices_option,
    policy_options,
    at_option,
    strict_option,
    evidence_option,
    click.option(
        "--bundle-format",
        "bundle_formats",
        type=click.Choice(["update.bin", *get_args(OtherFormat)]),
        multiple=True,
        help="Reject bundles in other formats than this; can be repeated. A detached head is an update.bin.",
    ),
    click.option(
        "--warn-within",
        type=TimeSpan(),
        metavar="DURATION",
        help='Warn of signatures that end within this time, such as "90 days".',
    ),
    click.option(
        "--waivers",
        type=path_type,
        metavar="FILE",
        callback=read_waivers,
        help="Waive findings of best-practice rules (see `bundlekit explain waivers`).",
    ),
    format_option("markdown", "junit", "html"),
    output_option(
        "Write the report to this file instead; - is standard output. "
        "The format is that of the suffix: .txt, .json, .md, .xml (JUnit), or .html.",
        multiple=True,
    ),
)
"""The options of ``check`` and ``preflight``; :func:`bundlekit.cli.common.check_request` takes them."""
