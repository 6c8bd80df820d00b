"""A server for the bundles of the fixtures, and limits that a test can wait for."""

import shutil
import threading
from pathlib import Path

import pytest

from bundlekit.remote import connections, source
from tests.remote.server import FileServer

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "fixtures" / "demo"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _as_after_installation(monkeypatch):
    """No variable of the machine changes what is connected to."""
    for name in (*NAMES, *map(str.upper, NAMES), "BUNDLEKIT_ALLOW_HTTP", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="package", autouse=True)
def _no_thread_is_left():
    """Other tests count the threads of their process."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]


@pytest.fixture
def hasty(monkeypatch):
    """Limits of a third of a second, where an operator has minutes."""
    for name, value in {"CONNECT": 2, "SILENCE": 0.3, "PAUSE": 0.001, "RETRIES": 1}.items():
        monkeypatch.setattr(source, name, value)
    monkeypatch.setattr(connections, "WINDOW", 0.3)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with the demo bundle as ``update.bin``, larger than what is requested first."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(DEMO / "update.bin", folder / "update.bin")
    with FileServer(folder, stall=5) as server:
        yield server
