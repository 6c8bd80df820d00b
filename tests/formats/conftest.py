"""A registry with a format for tests in it."""

import pytest

from bundlekit import formats
from bundlekit.layout import foreign
from tests.formats import toy


@pytest.fixture
def _toys(monkeypatch):
    monkeypatch.setitem(formats.FORMATS, "toy", "tests.formats.toy")
    monkeypatch.setitem(foreign.KINDS, "toy", toy.KIND)
