import time
from contextlib import contextmanager

import pytest


@pytest.fixture
def benchmark_seconds():
    """Fail if what is inside takes longer: loose enough for a busy machine, tight enough for anything quadratic."""

    @contextmanager
    def within(seconds):
        start = time.process_time()
        yield
        assert time.process_time() - start < seconds

    return within
