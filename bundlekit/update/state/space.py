"""Free space: which folder needs how much, and on which device it is, before a disk is full in the middle of a run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from bundlekit.errors import BundlekitError
from bundlekit.files import MIB
from bundlekit.update.engine.job import Job
from bundlekit.wording import given

JOURNAL: Final = 16 * MIB
"""Bytes for the records and logs of a run: 4 MiB of records, and logs of which each is cut at 1 MiB."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def require(folder: Path, job: Job) -> None:
    """Raise BundlekitError unless ``folder`` has room for the journal and a copy of the largest component.

    Hooks get one component at a time, as a file without a name in this folder; see ``staging``.
    """
    step, largest = max(((step, target.size) for step, target in job.targets.items()), key=lambda pair: pair[1])
    needed = JOURNAL + largest
    free = free_in(folder)
    if free < needed:
        raise BundlekitError(
            f"{device_of(folder)}, which holds the state folder {folder}, has {free} bytes free; the update needs "
            f"{needed} there: {largest} for a copy of the component of {step}, {JOURNAL} for journal and logs.",
            next_step="Free that space, or name a folder on a larger disk with "
            f"{given('state_dir')}. Nothing was started.",
        )


def free_in(folder: Path) -> int:
    """Bytes that this user can still write to the file system of ``folder``."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def device_of(path: Path) -> str:
    """The device that holds ``path``, with where it is mounted; its numbers where the system does not list it."""
    try:
        number = os.stat(path).st_dev
        name = f"{os.major(number)}:{os.minor(number)}"
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "the device"
    at, source = "", ""
    for line in mounts:
        words, _, rest = line.partition(" - ")
        fields = words.split(" ")
        mount = _unescaped(fields[4])
        inside = Path(os.path.abspath(path)).is_relative_to(mount)
        if fields[2] == name and inside and len(mount) >= len(at):
            at, source = mount, _unescaped(rest.split(" ")[1])
    return f"the device {source} (mounted at {at})" if at else f"the device {name}"


def _unescaped(word: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), word)
