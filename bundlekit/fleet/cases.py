"""Case files of a rollout: a support bundle of each pair that did not succeed, and what happened in the rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.errors import BundlekitError
from bundlekit.files import whole_file
from bundlekit.fleet.rollout_status import status_of_rollout
from bundlekit.report import json as as_json
from bundlekit.update.state.support_bundle import export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bundlekit.fleet.store import RolloutStore
    from bundlekit.update.engine.plan import Plan
    from bundlekit.update.engine.records import Outcome
    from bundlekit.update.state.update_state import UpdateState


def export_cases(
    store: RolloutStore,
    kept_in: UpdateState,
    name: str,
    folder: Path,
    wording: Callable[[Outcome, Plan], str],
    *,
    kinds: Sequence[str] = (),
) -> Iterator[tuple[str, str]]:
    """Write the case files of the rollout ``name`` into ``folder``, and return each pair with its fault, if any.

    ``PAIR.zip`` is the support bundle of a pair (`support_bundle.export`, which also explains ``wording``). Each pair
    that ended as one of ``kinds`` has one, by default each that did not succeed. The ends that a retry took back count
    as well. ``rollout.json`` is the status, and ``records.jsonl`` are the records of the rollout. Raises BundlekitError
    if the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BundlekitError(f"{folder} cannot be made: {error.strerror}.") from error
    with whole_file(folder / "rollout.json") as file:
        file.write(as_json.render(status_of_rollout(store, name)).encode() + b"\n")
    with whole_file(folder / "records.jsonl") as file:
        for (line,) in store.database.rows(
            "SELECT row_to_json(it)::text FROM bundlekit.rollout_record AS it WHERE rollout = %(name)s ORDER BY seq",
            {"name": name},
        ):
            file.write(f"{line}\n".encode())
    found = store.database.rows(
        """
        SELECT DISTINCT pair FROM bundlekit.rollout_record
        WHERE rollout = %(name)s AND kind = 'end' AND outcome <> 'succeeded'
            AND (outcome = ANY(%(kinds)s) OR cardinality(%(kinds)s::text[]) = 0) ORDER BY pair
        """,
        {"name": name, "kinds": list(kinds)},
    )
    for (pair,) in found:
        fault = ""
        try:
            export(kept_in, str(pair), folder / f"{pair}.zip", wording)
        except BundlekitError as error:  # the other pairs are exported
            fault = error.message
        yield str(pair), fault
