"""Settings for all tests, and what tests of several folders share."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A time limit per example says more about the machine's other work than about the code.
settings.register_profile("bundlekit", deadline=None)
settings.load_profile("bundlekit")


@pytest.fixture
def memory_folder(tmp_path):
    """A folder where fsync costs nothing, for tests that write thousands of records and kill no power."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)
