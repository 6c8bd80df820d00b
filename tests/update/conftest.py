"""Fixtures that several tests of this folder share."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.update import shelf


@pytest.fixture(scope="session")
def _shelf(tmp_path_factory):
    return shelf.fill(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def bundle_folder(_shelf, tmp_path):
    """A copy of the shelf of one's own."""
    return shutil.copytree(_shelf, tmp_path / "shelf")


@pytest.fixture
def memory_folder(tmp_path):
    """A folder where fsync costs nothing, for tests that write thousands of records and kill no power."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)
