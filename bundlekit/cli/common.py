"""What commands share: what their options load, colours, and where output goes."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec.structs import replace

from bundlekit import config
from bundlekit.cli import destination, parameters
from bundlekit.cli.project import used_project
from bundlekit.errors import BundlekitError, ConfigError, SigningError
from bundlekit.files import whole_file
from bundlekit.model.appliance import Appliance
from bundlekit.model.decision import Policy
from bundlekit.report.document import BundleResult
from bundlekit.report.escape import escape, guarded
from bundlekit.report.model import NotChecked, Report
from bundlekit.request import CheckRequest
from bundlekit.trust import load_trust
from bundlekit.trust.load import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.model.advisory import Advice
    from bundlekit.model.finding import Verdict
    from bundlekit.model.manifest import Manifest
    from bundlekit.report import text as as_text
    from bundlekit.trust import TrustStore

EXIT: Final[dict[Verdict, int]] = {"accept": 0, "reject": 1, "incomplete": 3}
TONES: Final = {"good": "green", "bad": "red", "doubtful": "yellow", "muted": "bright_black"}

PASSPHRASE: Final = "BUNDLEKIT_PASSPHRASE"  # noqa: S105 - its name, no secret
"""The environment variable with the passphrase of private keys, for calls without an operator."""

_READ_IN_FOLDERS: Final = (*SUFFIXES, ".bin", ".head", ".toml")
"""What the files in a folder end with that are read because the folder was given: keys, bundles, heads, matrices."""


def ask_passphrase(path: Path) -> bytes:
    """The passphrase of a private key that has one: from the environment, or asked for on a terminal."""
    if (given := os.environ.get(PASSPHRASE)) is not None:
        return os.fsencode(given)  # which need not be UTF-8
    if sys.stdin is None or not sys.stdin.isatty():
        raise SigningError(
            f"{path}: the key is encrypted, and no terminal is available to ask for the passphrase",
            next_step=f"Put the passphrase into the environment variable {PASSPHRASE}.",
        )
    passphrase: str = click.prompt(f"Passphrase of {escape(str(path))}", hide_input=True, err=True)
    return passphrase.encode()


def ask_pin(token: str) -> str:
    """The PIN of a token, asked for on a terminal. No option takes it, because other users see the command line."""
    if sys.stdin is None or not sys.stdin.isatty():
        from bundlekit.authoring.signers import no_pin

        return no_pin(token)
    pin: str = click.prompt(f"PIN of {escape(token)}", hide_input=True, err=True)
    return pin


def load_trusted(paths: Sequence[Path], *, reported: bool = False) -> TrustStore | None:
    """The trust of ``--trust``, or None where the option is not given: nothing is trusted by default.

    The content of a folder is listed here, or in the report of a command that has one (``reported``).
    """
    trust = load_trust(paths) if paths else None
    for folder in trust.folders if trust and not reported else ():
        files = ", ".join(dict.fromkeys(escape(entry.file) for entry in folder.entries)) or "no file"
        click.echo(f"trust: folder {escape(folder.folder)}: {files}", err=True)
    return trust


def check_request(options: dict[str, Any]) -> CheckRequest:
    """What ``check`` and ``preflight`` are asked by the options of ``check_options``."""
    trust, states = (
        load_trusted(options.pop("trusted"), reported=True),
        load_appliances(options.pop("appliance"), partly=True),
    )
    project = used_project()
    beyond, sources = policy_arguments(options, trust), tuple(options.pop("sources"))
    matrices = load_matrices(options.pop("matrices"))
    made = CheckRequest(trust=trust, sources=sources, appliances=states, matrices=matrices, **beyond, **options)
    return replace(made, rules=project.rules, config=project.use) if project else made


def load_matrices(paths: Sequence[Path]) -> tuple[OperatorMatrix, ...]:
    """The matrices of ``--matrix``."""
    if not paths:
        return ()
    from bundlekit.matrix import operator

    return operator.load_matrices(paths)


def policy_arguments(options: dict[str, Any], trust: TrustStore | None) -> dict[str, Any]:
    """Policy and advisories of ``policy_options``, as arguments; they are taken out of ``options``."""
    policy = Policy(
        allow_same_version=options.pop("allow_same_version"),
        allow_reinstall=options.pop("allow_reinstall"),
        allow_downgrade=options.pop("allow_downgrade"),
        accepted_risks=options.pop("accepted_risks"),
    )
    advice = load_advice(options.pop("advisories"), trust, options.get("at"), options.pop("serial_at_least"))
    return {"policy": policy, "advice": advice}


def load_advice(path: Path | None, trust: TrustStore | None, at: dt.datetime | None, at_least: int) -> Advice | None:
    """The advisories of ``--advisories``, which must have at least this serial; None where the option is not given."""
    if path is None:
        return None
    from bundlekit.advisories import load_advisory

    return load_advisory(path, trust=trust, at=at, serial_at_least=at_least)


_LINES_LEFT_OUT: Final = "bundlekit.lines-left-out"


def load_appliances(path: Path | None, *, partly: bool = False) -> tuple[Appliance, ...]:
    """The states in the file of ``--appliance``: one, or one on each line.

    ``partly``: lines that are not states are reported on standard error, and the other states are returned. The reports
    then list those lines, and their verdict is at best *incomplete*. A file with one line only raises ConfigError.
    """
    if path is None:
        return ()
    wrong: list[str] | None = [] if partly else None
    values = config.load_json_lines(path, wrong=wrong)
    several = len(values) + len(wrong or ()) > 1
    states = []
    for number, value in values:
        try:
            where = f"{path}: line {number}" if several else str(path)
            states.append(config.convert(value, Appliance, where=where))
        except ConfigError as error:
            if wrong is None or not several:
                raise
            wrong.append(str(error))
    if wrong and not states:
        raise ConfigError(wrong[0])
    for one in wrong or ():
        click.echo(f"bundlekit: {escape(one)}; the other lines are validated", err=True)
    if wrong:
        click.get_current_context().meta[_LINES_LEFT_OUT] = tuple(wrong)
    seen: set[str] = set()
    for state in states:
        if state.pair in seen:
            raise ConfigError(f"{path}: duplicate pair {state.pair}")
        seen.add(state.pair)
    return tuple(states)


def operators_matrix(path: Path) -> OperatorMatrix | None:
    """The matrix that ``--matrix`` takes, if that is what the file contains; None for a bundle and a SPEC.toml."""
    if path.suffix != ".toml":
        return None
    data = config.load_toml(path)
    if "spec" in data or isinstance(data.get("matrix", ""), str):  # a SPEC names its matrix
        return None
    from bundlekit.matrix.operator import load_matrix

    return load_matrix(path)


def load_manifest(path: Path, trust: TrustStore | None) -> Manifest:
    """The manifest in a bundle, or the one that a SPEC.toml would give it, or one for a matrix of the operator.

    With ``trust`` the bundle must have a trusted signature. Without it, a line reports that no signature was checked.
    """
    from bundlekit import pipeline

    if operator := operators_matrix(path):
        from bundlekit.matrix.operator import manifest_alone

        return manifest_alone(operator)
    if path.suffix == ".toml":
        from bundlekit.authoring.spec import load_manifest

        return load_manifest(path)
    if trust is None:
        click.echo(f"NOT VERIFIED: the signatures of {escape(str(path))} were not checked (--trust)", err=True)
    return pipeline.read_manifest(path, trust=trust)


def load_release(
    path: Path, trust: TrustStore | None, at: dt.datetime
) -> tuple[Manifest, BundleSignatures | None, frozenset[str] | None]:
    """The manifest as `load_manifest` gives it; of a bundle also its signatures, and their names in a trust.toml."""
    from bundlekit import pipeline

    if path.suffix == ".toml":
        return load_manifest(path, trust), None, None
    if trust is None:
        click.echo(f"NOT VERIFIED: the signatures of {escape(str(path))} were not checked (--trust)", err=True)
    return pipeline.read_signed(path, trust=trust, at=at)


def load_matrix(
    path: Path, trust: TrustStore | None, change: Callable[[Manifest], Manifest] = lambda manifest: manifest
) -> ReadMatrix:
    """The matrix of a bundle, a SPEC.toml or the operator, after ``change``. ConfigError if it cannot be read."""
    from bundlekit.matrix.read import UnreadableMatrix, read_matrix

    read = read_matrix(change(load_manifest(path, trust)))
    if isinstance(read, UnreadableMatrix):
        message = f"{path}: {read.problems[0].message}"
        if operator := operators_matrix(path):
            from bundlekit.matrix import operator as of_operator

            message = of_operator.operator_fault(read.problems[0], operator)
        elif path.suffix == ".toml":
            from bundlekit.authoring.spec import placed

            message = placed(read.problems[0], path)
        raise ConfigError(message, next_step=f"bundlekit matrix lint {path}")
    return read


def refuse_to_overwrite(output: Path | None, *more: Path, in_place: str = "", option: str = "--output") -> None:
    """UsageError if the file to write is one of the files to read, under any name.

    The files to read are all paths of the command line except those to write, the files they lead to, and ``more``. A
    command with ``--output`` calls this first, so that the operator does not wait for an error. ``in_place`` is the
    parameter whose file the output can replace. ``option`` is the one that names the file to write.
    """
    if output is None or output == destination.STDOUT or not output.exists():
        return
    given = [path for name, path in parameters.given_paths() if name not in {"output", "vsa", in_place}]
    for path in (*(file for one in given for file in _read_with(one)), *more):
        if path.exists() and path.samefile(output):
            raise click.UsageError(f"{option} {output} is also an input; nothing was written")


def _read_with(path: Path) -> Iterator[Path]:
    """The files that are read where ``path`` is given: it, or what counts in the folder; what a trust.toml names."""
    if path.is_dir():
        from bundlekit.catalog_heads import INDEX, is_bundle

        yield from (
            one
            for one in path.iterdir()
            if one.suffix.lower() in _READ_IN_FOLDERS or one.name == INDEX or is_bundle(one)
        )
        return
    yield path
    if path.suffix == ".toml" and path.is_file() and isinstance((data := config.load_toml(path)).get("trust"), int):
        from bundlekit.trust import policy

        yield from policy.files(data, path)


def colours(stream: Any) -> bool:
    """Colours are for a terminal whose owner has not set NO_COLOR (no-color.org)."""
    return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")


def terminal_size(descriptor: int) -> tuple[int, int]:
    """Columns and rows now. The terminal itself is asked first, since variables do not change with its size."""
    with suppress(OSError, ValueError):
        size = os.get_terminal_size(descriptor)
        if size.columns and size.lines:
            return size.columns, size.lines
    fallback = shutil.get_terminal_size()
    return fallback.columns, fallback.lines


def checked(bundle: Path, check: Callable[[], BundleResult], *, quoted: bool) -> tuple[BundleResult, int]:
    """The result that ``check`` makes about a bundle, and the exit code for it.

    ``quoted``: a bundle that cannot be checked at all becomes a part of the output, for a program or among other
    bundles. Otherwise its error ends the command.
    """
    try:
        result = check()
    except BundlekitError as error:  # unreadable, or of another product than the advisories
        if not quoted:
            raise
        not_checked = NotChecked(file=str(bundle), error=str(error), next=error.next_step)
        return BundleResult(report=not_checked), EXIT["incomplete"]
    report = result.report
    assert isinstance(report, Report)  # noqa: S101 - what cannot be checked raises
    if skipped := click.get_current_context().meta.get(_LINES_LEFT_OUT):
        from bundlekit.report.build import partly

        report = partly(report, skipped)
    return replace(result, report=report), EXIT[report.verdict]


def styled(line: as_text.Line, *, coloured: bool) -> str:
    """A line in the colour of its tone."""
    return click.style(line.text, fg=TONES.get(line.tone)) if coloured else line.text


def write(content: str, output: Path | None) -> None:
    """To standard output, or to a file that is whole or not there."""
    if output is None or output == destination.STDOUT:
        click.echo(content, nl=False, color=True)
        return
    with whole_file(output) as file:
        file.write(guarded(content).encode())
