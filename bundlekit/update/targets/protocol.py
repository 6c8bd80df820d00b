"""What goes between bundlekit and a hook command, as JSON: the request on its input, lines on its output."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import field

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.plan import GateMoment, Verb
from bundlekit.update.engine.records import Answer


class HookRequest(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """The line on standard input. A gate has no target, so neither identity, role, versions, size nor digest."""

    schema_: Literal["bundlekit/hook/1"] = field(name="schema")
    verb: Verb
    pair: str
    step: str
    component: str
    run: str
    fence: int
    owner: str
    attempt: int
    deadline: int
    bundle_id: str
    counter: int
    hold: str
    fence_seen: int | None = None
    after: GateMoment | None = None
    identity: str | None = None
    role: str | None = None
    old: str | None = None
    new: str | None = None
    size: int | None = None
    digest: str | None = None
    released: str | None = None
    build: str | None = None
    image: str | None = None


class HookProgress(Frozen, frozen=True, kw_only=True):
    """A line on standard output: how far the hook is, in percent. Nothing follows from it."""

    progress: int | None = None
    message: str = ""


def schema() -> dict[str, Any]:
    """The JSON Schema of the protocol: ``$defs`` has the request and each kind of line; a document is one of them."""
    kinds = (HookRequest, HookProgress, Answer)
    _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    answer = components.pop("Answer")
    properties = {"result": answer["properties"].pop("kind"), **answer["properties"]}
    for internal in ("diagnostic",):  # which only the executor fills in
        properties.pop(internal, None)
    words = [
        "ok",
        "failed",
        "rejected",
        "retry",
        "old",
        "new",
        "partial",
        "busy",
        "unknown",
        "ready",
        "not-yet",
        "fenced",
    ]
    properties["result"] = {"enum": words}
    components["HookResult"] = {
        "title": "HookResult",
        "description": "The last line on standard output: the answer. It counts together with the exit code.",
        "type": "object",
        "properties": properties,
        "required": ["result"],
    }
    components["HookProgress"]["not"] = {"anyOf": [{"required": ["result"]}, {"required": ["schema"]}]}
    return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in components], "$defs": components}
