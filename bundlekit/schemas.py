"""The published JSON Schemas, made from the very classes that read and write."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from bundlekit.fleet.fleet_file import FleetFile
from bundlekit.fleet.fleet_report import FleetPlan, FleetRehearsal
from bundlekit.fleet.rollout_status import FleetStatus
from bundlekit.matrix.diff import Diff
from bundlekit.matrix.lint import LintReport
from bundlekit.matrix.table import Table
from bundlekit.model.appliance import Appliance
from bundlekit.model.manifest import Manifest
from bundlekit.model.path import UpgradePath
from bundlekit.model.project import ProjectFile
from bundlekit.model.trust import TrustFile
from bundlekit.model.waiver import WaiverFile
from bundlekit.report.comparison import Comparison
from bundlekit.report.inspection import Inspection
from bundlekit.report.model import NotChecked, Report
from bundlekit.report.signing import SigningResult
from bundlekit.trust.overview import Overview
from bundlekit.update.engine.plan import Plan
from bundlekit.update.engine.records import Outcome, Record
from bundlekit.update.state.status import Status
from bundlekit.update.targets import protocol

FILES: Final = {
    "manifest": Manifest,
    "state": Appliance,
    "trust": TrustFile,
    "waivers": WaiverFile,
    "project": ProjectFile,
    "plan": Annotated[Plan, Meta(extra_json_schema={"required": ["plan"]})],  # as load_plan demands of a file
    "fleet": FleetFile,
}
OUTPUTS: Final = {
    "check": None,  # a line of `check` and `preflight`: one of the next two
    "report": Report,
    "not-checked": NotChecked,
    "inspection": Inspection,
    "comparison": Comparison,
    "lint": LintReport,
    "matrix-table": Table,
    "matrix-diff": Diff,
    "path": UpgradePath,
    "fleet-plan": FleetPlan,
    "fleet-rehearsal": FleetRehearsal,
    "fleet-status": FleetStatus,
    "trust-show": Overview,
    "signing": SigningResult,
    "status": Status,
    "record": Record,
    "outcome": Outcome,
    "hook": None,  # two directions; the module of the protocol makes one schema of them
}
SCHEMAS: Final = FILES | OUTPUTS


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) called ``name``. Raises KeyError for an unknown name.

    Python has None for a key that a file leaves out, so null is removed from the schemas of files: TOML has no null,
    and a manifest must not contain one. Programs write a state as JSON, where null means the same as a missing key.
    """
    import msgspec

    kind = SCHEMAS[name]
    made_here = {"hook": protocol.schema, "check": _line_of_check}
    shape = made_here[name]() if name in made_here else msgspec.json.schema(kind)
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **shape}
    return made if name in OUTPUTS or name == "state" else _without_null(made)


def _line_of_check() -> dict[str, Any]:
    """One line of the JSON of ``check``: a report, or what prevented one. The key ``schema`` states which."""
    import msgspec

    choices, definitions = msgspec.json.schema_components([Report, NotChecked], ref_template="#/$defs/{name}")
    text = "JSON Lines: one object for each bundle, in the order of the command line. `schema` states its kind."
    return {"description": text, "anyOf": list(choices), "$defs": definitions}


def _without_null(node: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _without_null(item) for key, item in node.items() if not (key == "default" and item is None)}
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        rest = {key: item for key, item in node.items() if key != "anyOf"}
        return {**choices[0], **rest} if len(choices) == 1 else {**rest, "anyOf": choices}
    return node
