"""The states of all pairs, one after the other, from a file or from a command that prints them.

A line that is not a state does not end the reading. It is returned as a sentence, so that a plan can count it.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from bundlekit import config
from bundlekit.errors import ConfigError
from bundlekit.file_kind import kind_of, reason
from bundlekit.files import KIB
from bundlekit.fleet.fleet_file import MAX_PAIRS
from bundlekit.model.appliance import Appliance
from bundlekit.update.engine.plan import seconds
from bundlekit.update.targets.program import ensure_unchangeable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundlekit.fleet.fleet_file import FleetAt

MAX_STATE: Final = 256 * KIB
"""The most bytes of a line. The state of a pair has about one KiB."""

LAST_SECONDS: Final = 5.0
"""Seconds that an inventory command has to end after it has closed its output."""


class InventoryFault(NamedTuple):
    """A line that is not the state of a pair, and why."""

    line: int
    message: str


def read_inventory(fleet: FleetAt) -> Iterator[Appliance | InventoryFault]:
    """The states of the inventory, in its order. Memory is that of one line and the names.

    Raises ConfigError if the file or the command cannot be used, or if a pair has two states. A line of more than
    `MAX_STATE` bytes is such an error as well.
    """
    inventory = fleet.file.inventory
    if inventory.file is not None:
        path = fleet.resolved(inventory.file)
        yield from _states(_lines_of_file(path), str(path))
    else:
        argv = (os.path.abspath(fleet.resolved(inventory.command[0])), *inventory.command[1:])
        ensure_unchangeable(fleet.path, "fleet file")
        ensure_unchangeable(fleet.resolved(inventory.command[0]), "inventory command")
        yield from _states(_lines_of_command(argv, seconds(inventory.timeout)), argv[0])


def _states(lines: Iterator[bytes], where: str) -> Iterator[Appliance | InventoryFault]:
    seen = set[str]()
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_STATE:
            raise ConfigError(f"{where}: line {number}: it has more than {MAX_STATE:,} bytes")
        if number > MAX_PAIRS:
            raise ConfigError(f"{where}: has more than {MAX_PAIRS:,} lines", next_step="Split the fleet.")
        if not line.strip():
            continue
        try:
            state = config.convert(config.decode_json(line), Appliance, where=f"line {number}")
        except ConfigError as error:
            yield InventoryFault(number, str(error))
            continue
        except ValueError as error:
            yield InventoryFault(number, f"line {number}: it is not JSON: {error}")
            continue
        if state.pair in seen:
            raise ConfigError(
                f"{where}: line {number}: the pair {state.pair} has two states",
                next_step="Remove the older one: a plan cannot know which of them is true.",
            )
        seen.add(state.pair)
        yield state


def _bounded_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines. One that is too long is cut, and its reader stops there."""
    while line := stream.readline(MAX_STATE + 1):
        yield line


def _lines_of_file(path: Path) -> Iterator[bytes]:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{path}: cannot be read: it is {kind_of(mode)}")
        with path.open("rb") as stream:
            yield from _bounded_lines(stream)
    except (OSError, ValueError) as fault:
        raise ConfigError(f"{path}: cannot be read: {reason(fault, path)}") from fault


def _lines_of_command(argv: tuple[str, ...], timeout: int) -> Iterator[bytes]:
    """The lines that the command prints. It is killed with its children after ``timeout`` seconds."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the words of the operator; no shell
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
    except (OSError, ValueError) as fault:
        raise ConfigError(f"{argv[0]}: cannot be run: {reason(fault, argv[0])}") from fault
    late = threading.Event()

    def stop() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(timeout, stop)
    timer.daemon = True
    timer.start()
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe, see above
        with process.stdout:
            yield from _bounded_lines(process.stdout)
        with suppress(subprocess.TimeoutExpired):
            process.wait(LAST_SECONDS)
    finally:
        timer.cancel()
        ended = process.poll()
        _kill(process)
        process.wait()
    if late.is_set():
        raise ConfigError(
            f"{argv[0]}: did not end within {timeout} s, so the inventory is not complete",
            next_step="Correct the command, or set a longer timeout.",
        )
    if ended != 0:
        how = "did not end" if ended is None else f"ended with exit code {ended}"
        raise ConfigError(f"{argv[0]}: {how}, so the inventory is not complete")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
