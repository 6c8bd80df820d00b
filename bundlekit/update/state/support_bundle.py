"""The support bundle: what the vendor needs to see of a run, in one ZIP, and no secret in it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bundlekit.errors import BundlekitError
from bundlekit.escape import escape, guarded
from bundlekit.files import whole_file
from bundlekit.report import json as as_json
from bundlekit.update.engine.errors import JournalDamagedError
from bundlekit.update.engine.executor import latest
from bundlekit.update.engine.journal import Journal
from bundlekit.update.engine.plan import Plan
from bundlekit.update.engine.records import Outcome, Record, encode
from bundlekit.update.state import private_files
from bundlekit.update.state.sqlite_journal import has_private_folder
from bundlekit.update.state.update_state import FolderState, UpdateState
from bundlekit.wording import command

MAX_LOG: Final = 256 * 1024
"""Bytes of one log that go in: its end, where the reason is."""

MAX_LOGS: Final = 256
"""Logs that go in: the latest ones."""

INPUTS: Final = ("state.json", "report.json")
"""The kept inputs of the latest decision that go in."""

LOGS: Final = "logs"
"""The folder of the hooks' logs in the state folder; a log's name begins with its pair."""


def export(
    kept_in: UpdateState, pair: str, output: Path | BinaryIO, wording: Callable[[Outcome, Plan], str]
) -> tuple[str, ...]:
    """Write the support bundle of ``pair`` to ``output``. Returns the names of what is in it.

    ``wording`` puts an outcome into words, for ``README.txt``.

    The journal goes in record by record, even if it is damaged, which ``README.txt`` then reports. Arguments of hooks
    are left out, because they can contain passwords. Each line of a log has ``| `` in front, and nothing in it acts.
    """
    has_private_folder(kept_in.folder)
    rows = [(seq, public_text(body), digest) for seq, body, digest in kept_in.rows(pair)]
    if not rows:
        raise BundlekitError(
            f"No data was found about pair {pair} in {kept_in.name}.",
            next_step=f"{command('update status')} lists the pairs.",
        )
    with kept_in.reading() as journal:
        parts = {"README.txt": _readme(journal, pair, wording)}
    if not isinstance(kept_in, FolderState):
        parts["README.txt"] += f"The logs are those on host {os.uname().nodename}. Other hosts keep their own.\n"
    parts["journal.jsonl"] = "".join(f"{body}\n" for _, body, _ in rows)
    parts["chain.txt"] = "".join(f"{seq} {digest}\n" for seq, _, digest in rows)
    with whole_file(output) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, guarded(content))
        for suffix in INPUTS:
            if (kept := kept_in.kept(pair, suffix)) is not None:
                archive.writestr(f"{pair}.{suffix}", kept)
        for path in _logs(kept_in.folder, pair):
            if (end := private_files.end_of(path.parent, path.name, MAX_LOG)) is not None:
                archive.writestr(str(path.relative_to(kept_in.folder)), _quoted(end))
        return tuple(archive.namelist())


def _quoted(log: bytes) -> str:
    """The output of a hook with a mark before each line: it is shown by whatever the vendor opens the file with."""
    lines = log.decode(errors="backslashreplace").removesuffix("\n").split("\n")
    return "".join(f"| {escape(line.rstrip(chr(13)).expandtabs())}\n" for line in lines)


def _logs(folder: Path, pair: str) -> Iterator[Path]:
    if (folder / LOGS).is_symlink():
        return
    logs = sorted((folder / LOGS).glob(f"{pair}-*.log"), key=lambda path: path.lstat().st_mtime)
    yield from logs[-MAX_LOGS:]


def _readme(journal: Journal, pair: str, wording: Callable[[Outcome, Plan], str]) -> str:
    try:
        last = latest(journal, pair)
    except JournalDamagedError as error:
        return f"The journal of pair {pair} is damaged: {error.message}\n"
    if last is None:
        return f"No run of pair {pair} has begun: the check rejected each.\n"
    if last.ended is None:
        return f"The latest run of pair {pair} has not ended.\n"
    return wording(last.ended, last.job.plan)


def public(record: Record) -> str:
    """A record as one line of JSON, without what could be secret."""
    return public_text(encode(record).decode())


def public_text(body: str) -> str:
    """A line of JSON without the arguments of hooks; text that is no JSON is left out altogether."""
    try:
        value: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return '{"record":"unreadable"}'
    _strip(value)
    return as_json.render(value)


def _strip(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Leave the program of each ``hook`` and take its arguments out."""
    if isinstance(value, list):
        for item in value:
            _strip(item)
    elif isinstance(value, dict):
        hook = value.get("hook")
        if isinstance(hook, list) and len(hook) > 1:
            value["hook"] = [hook[0], f"({len(hook) - 1} arguments omitted)"]
        for item in value.values():
            _strip(item)
