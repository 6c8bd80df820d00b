"""Findings about the manifest point at the bytes they are about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.layout import canonical
from bundlekit.layout.places import Places
from bundlekit.model.bundle import Span

START = 32
VALUES = st.recursive(
    st.integers(0, 2**53 - 1) | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab0_-", min_size=1), inner, max_size=3),
    max_leaves=12,
)
DOCUMENT = {
    "components": [
        {"name": "a", "images": [{"size": 1}, {"size": 22}]},
        {"name": "a.b", "images": [{"size": 333}]},
    ],
    "matrix": {
        "releases": ["1", "2"],
        "sources": [{"id": "one", "versions": "*"}],
        "works-together": [{"id": "three", "components": {"id": ">2", "storage": "*"}, "reason": ""}],
        "stops": [{"id": "two", "versions": "<2", "via": "2"}, {"id": "one.more", "versions": "<3", "via": "3"}],
    },
    "requirements": {"facts": [{"fact": "ha.state", "test": "is", "value": "in sync"}]},
    "twice": [{"name": "", "a": 1}, {"name": "b", "a": 2}, {"name": "b", "a": 3}],
    "version": "Grün",
}
DATA = canonical.encode(DOCUMENT)


def places(document=DOCUMENT):
    size = len(canonical.encode(document))
    return Places(document, Span(start=START, stop=START + size))


def there(where, data=DATA):
    return data[where.start - START : where.stop - START].decode()


@pytest.mark.parametrize(
    ("path", "bytes_there"),
    [
        ("", DATA.decode()),
        ("version", '"version":"Grün"'),
        ("components[0].images[1].size", '"size":22'),
        ("components[0].images[1]", '{"size":22}'),
        ("components.a.images[0].size", '"size":1'),
        ("components.a.b.images[0].size", '"size":333'),
        ("components.a.version", '{"images":[{"size":1},{"size":22}],"name":"a"}'),
        ("components.c.version", there(places().at("components"))),
        ("requirements.facts.ha.state", '{"fact":"ha.state","test":"is","value":"in sync"}'),
        ("matrix.releases[1]", '"2"'),
        ("twice", '"twice":[{"a":1,"name":""},{"a":2,"name":"b"},{"a":3,"name":"b"}]'),
        ("twice.b", '"twice":[{"a":1,"name":""},{"a":2,"name":"b"},{"a":3,"name":"b"}]'),
        ("matrix.releases[2]", '"releases":["1","2"]'),
        ("nothing", DATA.decode()),
        ("version.deeper", '"version":"Grün"'),
        ("[0]", DATA.decode()),
    ],
)
def test_the_place_of_a_path(path, bytes_there):
    assert there(places().at(path)) == bytes_there


@pytest.mark.parametrize(
    ("name", "field", "bytes_there"),
    [
        ("one", "versions", '"versions":"*"'),
        ("three", "id", '"id":">2"'),
        ("three", "storage", '"storage":"*"'),
        ("one", "via", '{"id":"one","versions":"*"}'),
        ("two", "via", '"via":"2"'),
        ("one.more", "via", '"via":"3"'),
        ("", "releases", '"releases":["1","2"]'),
        ("", "aliases", there(places().at("matrix"))),
        ("four", "via", there(places().at("matrix"))),
    ],
)
def test_the_place_of_a_matrix_entry(name, field, bytes_there):
    assert there(places().entry(name, field)) == bytes_there


def paths(value, path=""):
    """Every path of a document, with what is there."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from paths(item, f"{path}[{number}]")


@given(VALUES)
def test_every_value_of_any_document_is_found(value):
    document = {"top": value}
    data = canonical.encode(document)
    found = places(document)
    for path, item in paths(document):
        key = path.rpartition(".")[2]
        of_a_key = f'"{key}":' if path and not path.endswith("]") else ""
        assert there(found.at(path), data) == of_a_key + canonical.encode(item).decode()
