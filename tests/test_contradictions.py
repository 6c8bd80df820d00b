"""What a schema cannot say of a manifest: components, models and documents that contradict one another."""

import json

import pytest
from msgspec.structs import replace

from bundlekit.checks.layout import manifest_inconsistent
from bundlekit.checks.rule import RuleContext
from bundlekit.layout import canonical, reader
from bundlekit.layout.manifest import encode
from bundlekit.model.bundle import Bundle, Span
from bundlekit.model.evidence import Evidence
from bundlekit.model.manifest import Component, Document, Image
from bundlekit.model.question import Question
from fixtures import forge

IMAGE = Image(**forge.stored(b"image"))
STORED = {name: getattr(IMAGE, name) for name in ("size", "digest", "chunk_size", "index")}
TWICE = "a model is listed twice, or two models differ only in case"
TWO_PARTS = "Manifest, components: two components are named 'appliance', so the name is ambiguous."


def image(*models):
    return replace(IMAGE, models=models)


def component(name, *images):
    return Component(name=name, version="5.40.00", images=images)


@pytest.mark.parametrize(
    ("changes", "message", "begins"),
    [
        ({"models": ("im-100", "im-100")}, TWICE, '"models":'),
        (
            {"models": ("im-100", "IM-100"), "components": (component("appliance", IMAGE),)},
            TWICE,
            '"models":["im-100","IM-100"]',
        ),
        ({"expires": "2026-11-22"}, "it expires on 2026-11-22, before its release on 2026-11-23", '"expires":'),
        (
            {"documents": (Document(name="appliance", **STORED),)},
            "another document or a component is named 'appliance'",
            '{"chunk-size":65536,',
        ),
        (
            {"documents": (Document(name="notes", **STORED), Document(name="notes", **STORED | {"size": 6}))},
            "another document or a component is named 'notes'",
            f'{{"chunk-size":65536,"digest":"{IMAGE.digest}","index":"{IMAGE.index}","name":"notes","size":6',
        ),
        (
            {"components": (component("appliance", IMAGE), component("appliance", IMAGE))},
            TWO_PARTS,
            '"components":[',
        ),
        (
            {"components": (component("appliance", image("im-100"), image("im-900")),)},
            "component 'appliance' has an image for 'im-900', which is not a model of the bundle",
            '{"images":[{',
        ),
        (
            {"components": (component("appliance", IMAGE, image("im-100")),)},
            "component 'appliance' has more than one image for 'im-100'",
            '{"images":[{',
        ),
        ({"models": ("im-100", "im-200")}, None, None),
        (
            {"models": ("im-100", "im-200"), "components": (component("appliance", image("im-100")),)},
            "component 'appliance' has no image for 'im-200'",
            '{"images":[{',
        ),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, str) else None,
)
def test_contradictions_are_named(changes, message, begins):
    document = json.loads(encode(replace(forge.MANIFEST, **changes)))
    data = canonical.encode(document)
    span = Span(start=32, stop=32 + len(data))
    bundle = Bundle(
        format="update.bin/1",
        aspects=reader.ASPECTS,
        size=0,
        head=Span(start=0, stop=span.stop),
        document=document,
        manifest=replace(forge.MANIFEST, **changes),
    )
    faults = manifest_inconsistent.run(RuleContext(bundle=bundle, evidence=Evidence(), question=Question(at=forge.AT)))
    assert [fault.message for fault in faults] == ([message] if message else [])
    assert all(data[fault.where.start - 32 : fault.where.stop - 32].startswith(begins.encode()) for fault in faults)
