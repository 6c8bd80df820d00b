"""Fixtures that several tests of this folder share."""

import shutil

import pytest

from tests.update import shelf


@pytest.fixture(scope="session")
def _shelf(tmp_path_factory):
    return shelf.fill(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def bundle_folder(_shelf, tmp_path):
    """A copy of the shelf of one's own."""
    return shutil.copytree(_shelf, tmp_path / "shelf")
