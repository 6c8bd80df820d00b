"""A source on a web server: the right bytes or one sentence, whatever the server does."""

import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.errors import ChangedWhileReadError, UnreadableError
from bundlekit.remote import source
from bundlekit.remote.url import RemoteUrl
from bundlekit.remote.web import WebSource
from tests.remote.server import FileServer, Handler

CHANGED = "changed while it was read"
IGNORED = "ignores ranges"
OTHER = "another range than the one requested"
UNSTATED = "does not state which range"
SILENT = "does not answer in time"
CUT = "the connection was cut"
NO_HTTP = "does not use HTTP as expected"

GOOD = {"cut-once", "dated", "moved", "503-once", "weak", "moved-for-a-while"}
"""What is no fault in the end."""

FAULTS = {
    "204": IGNORED,
    "401": "requires other credentials (401)",
    "403": "denies access (403)",
    "404": "has no such object (404)",
    "410": "no longer has the object (410)",
    "416": "is empty, or the server has no ranges of it (416)",
    "429": "is overloaded (429)",
    "500": "an error of its own (500)",
    "around": "redirects in a circle",
    "changes": CHANGED,
    "changes-late": CHANGED,
    "changes-quietly": CHANGED,
    "cut": CUT,
    "dropped": CUT,
    "encoded": "another encoding",
    "endless-header": NO_HTTP,
    "garbage": NO_HTTP,
    "grows": CHANGED,
    "ignore-range": IGNORED,
    "longer": OTHER,
    "moved-elsewhere": "redirects to a URL without TLS",
    "nameless": "too little of ETag and Last-Modified",
    "no-range": UNSTATED,
    "no-total": UNSTATED,
    "nowhere": "redirects to nowhere",
    "short-body": OTHER,
    "shorter-range": OTHER,
    "silent": SILENT,
    "slow-header": SILENT,
    "stalled": SILENT,
    "stalled-later": SILENT,
    "strange-range": UNSTATED,
    "touched": CHANGED,
    "trickle": SILENT,
    "wrong-range": OTHER,
}


def all_bytes(url):
    """Everything, in pieces that a check would read."""
    with WebSource(RemoteUrl(url)) as web:
        data = bytearray(web.size)
        web.will_read(0, web.size)
        for at in range(0, web.size, 100_000):
            web.readinto(at, memoryview(data)[at : at + 100_000])
        web.ensure_unchanged()
        return bytes(data)


def test_each_fault_of_the_server_has_its_sentence():
    faults = {name.removeprefix("answer_").replace("_", "-") for name in dir(Handler) if name.startswith("answer_")}
    assert faults == GOOD | set(FAULTS) | {"page"}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", sorted({"good", *GOOD}))
def test_the_bytes_are_those_of_the_file(served, fault):
    assert all_bytes(served.url(fault) + "?once") == (served.folder / "update.bin").read_bytes()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_bad_server_is_one_sentence_without_secrets(served, fault):
    with pytest.raises(UnreadableError) as caught:
        all_bytes(served.url(fault) + "?X-Amz-Signature=SECRET")
    error = caught.value
    assert FAULTS[fault] in error.message
    assert error.message.startswith(served.url(fault) + ": ")
    assert error.next_step
    assert "SECRET" not in f"{error!r} {error.next_step} {error.__context__!r} {error.__cause__!r}"
    assert isinstance(error, ChangedWhileReadError) == (FAULTS[fault] == CHANGED)
    assert error.exit_code == 3


def test_a_small_object_needs_no_ranges(served):
    """A server may send all of an object. A page to log in at is then what was received, and it is no bundle."""
    assert all_bytes(served.url("page")) == b"<html>Please log in</html>"


def test_an_empty_object_is_empty(served):
    (served.folder / "empty.bin").write_bytes(b"")
    with pytest.raises(UnreadableError, match="is empty"):
        all_bytes(served.url("good", "empty.bin"))
    assert all_bytes(served.url("ignore-range", "empty.bin")) == b""


def test_a_connection_is_used_again(served):
    before = len(served.seen)
    with WebSource(RemoteUrl(served.url("good"))) as web:
        for _ in range(3):
            web.ensure_unchanged()
    ports = {one.port for one in served.seen[before:]}
    assert (len(served.seen) - before, len(ports)) == (4, 1)


def test_a_request_asks_for_a_range_of_one_version(served):
    before = len(served.seen)
    all_bytes(served.url("good"))
    first, second, last = (one.headers for one in served.seen[before:])
    assert (first["Range"], first.get("If-Match")) == ("bytes=0-131071", None)
    assert (second["Range"], second["If-Match"]) == ("bytes=131072-462847", '"one"')
    assert (last["Range"], last["If-Match"]) == ("bytes=0-0", '"one"')
    assert first["Accept-Encoding"] == "identity"
    assert first["User-Agent"].startswith("bundlekit/")


def test_user_and_password_are_sent_and_not_shown(served):
    url = RemoteUrl(served.url("good").replace("//", "//job:p%40ss@"))
    with WebSource(url) as web:
        assert "p%40ss" not in web.name
    assert served.seen[-1].headers["Authorization"] == "Basic am9iOnBAc3M="  # job:p@ss


def test_they_are_not_sent_to_another_host(served, tmp_path):
    with FileServer(tmp_path, moved_to=served.url("good").replace("127.0.0.1", "localhost")) as other:
        url = RemoteUrl(other.url("moved-there").replace("//", "//job:pass@"))
        with WebSource(url) as web:
            assert web.size == (served.folder / "update.bin").stat().st_size
        assert "Authorization" in other.seen[0].headers
        assert "Authorization" not in served.seen[-1].headers


def test_the_target_of_a_redirect_is_remembered_until_it_expires(served):
    before = len(served.seen)
    assert all_bytes(served.url("moved-for-a-while")) == (served.folder / "update.bin").read_bytes()
    asked = [one.path.split("/")[1].partition("?")[0] for one in served.seen[before:]]
    assert asked == ["moved-for-a-while", "expiring", "expiring", "expiring", "moved-for-a-while", "expiring"]


def test_a_path_is_sent_as_it_is_given(served):
    (served.folder / "a b%é.bin").write_bytes(b"x" * 70_000)
    for name in ("a%20b%25%C3%A9.bin", "a%20b%25é.bin"):
        assert all_bytes(served.url("good", name) + "?a=b%2Fc&d=é") == b"x" * 70_000
        assert served.seen[-1].path == "/good/a%20b%25%C3%A9.bin?a=b%2Fc&d=%C3%A9"


def test_a_read_after_the_end_is_an_error(served):
    with WebSource(RemoteUrl(served.url("good"))) as web, pytest.raises(UnreadableError, match="ends at byte 0x71000"):
        web.readinto(web.size - 1, memoryview(bytearray(2)))


def test_small_reads_are_few_requests(served):
    content = (served.folder / "update.bin").read_bytes()
    with WebSource(RemoteUrl(served.url("good"))) as web:
        before = len(served.seen)
        for at in range(190_000, 260_000, 512):
            data = bytearray(512)
            web.readinto(at, memoryview(data))
            assert data == content[at : at + 512]
        assert len(served.seen) - before == 2


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A server with 3 MiB, and the bytes."""
    folder = tmp_path_factory.mktemp("large")
    content = bytes(at * at % 251 for at in range(1000)) * 3146
    (folder / "update.bin").write_bytes(content)
    with FileServer(folder) as server:
        yield server, content


READ = st.tuples(st.sampled_from(["read", "announce"]), st.integers(0, 3_146_000), st.integers(0, 1_500_000))


@settings(max_examples=40, deadline=None)
@given(st.lists(READ, max_size=8))
def test_any_reads_in_any_order_give_the_bytes_of_the_file(large, reads):
    server, content = large
    with WebSource(RemoteUrl(server.url("good"))) as web:
        for what, first, size in reads:
            start, stop = first, min(first + size, len(content))
            if what == "announce":
                web.will_read(first, stop + size)
                start = min(first + size // 3, stop)
            data = bytearray(stop - start)
            web.readinto(start, memoryview(data))
            assert data == content[start:stop]


def test_threads_read_at_once(large):
    server, content = large
    found = {}
    with WebSource(RemoteUrl(server.url("good"))) as web:

        def read(at):
            data = bytearray(min(400_000, len(content) - at))
            web.will_read(at, at + len(data))
            for start in range(0, len(data), 100_000):
                web.readinto(at + start, memoryview(data)[start : start + 100_000])
            found[at] = bytes(data)

        threads = [threading.Thread(target=read, args=(at,)) for at in range(0, len(content), 400_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert b"".join(found[at] for at in sorted(found)) == content


def test_memory_does_not_grow_with_the_object(large):
    server, content = large
    with WebSource(RemoteUrl(server.url("good"))) as web:
        buffer = memoryview(bytearray(100_000))
        tracemalloc.start()
        web.will_read(0, len(content))
        for at in range(0, len(content) - len(buffer), len(buffer)):
            web.readinto(at, buffer)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < source.START


@pytest.mark.usefixtures("hasty")
def test_nobody_there(monkeypatch, served):
    port = served.server_port
    with FileServer(served.folder) as gone:
        port = gone.server_port
    with pytest.raises(UnreadableError, match="does not accept connections"):
        WebSource(RemoteUrl(f"http://127.0.0.1:{port}/x"))
    monkeypatch.setenv("BUNDLEKIT_ALLOW_HTTP", "1")
    with pytest.raises(UnreadableError, match="has no address"):
        WebSource(RemoteUrl("http://no-such-host.invalid/x"))


def test_a_source_that_is_closed_ends_a_read(served):
    """As after an interrupt: a thread that waits for a server gets an error at once."""
    with WebSource(RemoteUrl(served.url("good"))) as web:
        web.url = web.target = RemoteUrl(served.url("silent"))
        errors = []

        def read():
            try:
                web.readinto(200_000, memoryview(bytearray(100_000)))
            except UnreadableError as error:
                errors.append(error)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(0.05)
        web.close()
        thread.join(3)
        assert not thread.is_alive()
        assert errors
