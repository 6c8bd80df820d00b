"""What a bundle claims to be, shown without any verification."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from bundlekit.model.bundle import Problem, Section
from bundlekit.model.evidence import SignatureEvidence
from bundlekit.model.primitives import Frozen
from bundlekit.model.release import Release
from bundlekit.report.escape import escape
from bundlekit.report.phrases import describe
from bundlekit.report.text import Line

if TYPE_CHECKING:
    from collections.abc import Iterator


class Inspection(Frozen, frozen=True, kw_only=True):
    """The unverified head of a bundle. ``verified`` is never true, because no trust was applied."""

    schema: Literal["bundlekit/inspection/1"] = "bundlekit/inspection/1"
    verified: Annotated[bool, Meta(extra_json_schema={"enum": [False]})] = False
    file: str
    size: int
    format: str
    id: str | None
    claims: Release | None
    manifest: dict[str, Any] | None
    signatures: tuple[SignatureEvidence, ...]
    sections: tuple[Section, ...]
    problems: tuple[Problem, ...]


def lines(inspection: Inspection) -> Iterator[Line]:
    """The inspection, line by line, every character of it safe for a terminal."""
    for line in _lines(inspection):
        yield Line(escape(line.text), line.tone)


def _lines(inspection: Inspection) -> Iterator[Line]:
    yield Line(
        "NOT VERIFIED: the following are claims of the file itself (`bundlekit check` verifies them)", "doubtful"
    )
    known = f", {inspection.format}" if inspection.sections else ""  # without a header it is of no format
    yield Line(f"file        {inspection.file}, {inspection.size:,} bytes{known}")
    if inspection.id:
        yield Line(f"id          {inspection.id}")
    for problem in inspection.problems:
        yield Line(f"problem     {problem.rule}: {problem.message}", "bad")
    if release := inspection.claims:
        yield Line(f"claims      {describe(release)}")
        if release.counter is not None:
            yield Line(f"counter     {release.counter}")
        for name, value in release.annotations.items():
            yield Line(f"annotation  {name}: {value}", "muted")
        for part in release.parts:
            if isinstance(part.media_type, str):
                yield Line(f"document    {part.label} ({part.media_type}), {part.size:,} bytes")
            else:
                version = f" {part.version}" if part.version else ""
                yield Line(f"contains    {part.label}{version}, {part.size:,} bytes")
            if part.digest:
                yield Line(f"            {part.digest}", "muted")
    for signature in inspection.signatures:
        who = signature.who
        yield Line(f"signature   {signature.index} claims to be by {who}, bytes {signature.where}")
    for section in inspection.sections:
        yield Line(f"section     {section.span!s:<24} {section.name}", "muted")
    if inspection.manifest is not None:
        yield Line("manifest")
        for line in json.dumps(inspection.manifest, indent=2, ensure_ascii=False).split("\n"):
            yield Line(f"  {line}", "muted")
