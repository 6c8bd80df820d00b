"""A file server on loopback that counts what it sends, and that can be as bad as servers are.

The first part of a path names what the server does wrong: ``/cut/update.bin`` is the file ``update.bin``, and each
answer ends in the middle. ``/good/…`` is served as it should be.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

MODIFIED = "Sun, 29 Nov 2026 12:00:00 GMT"
LATER = "Sun, 29 Nov 2026 12:00:01 GMT"


class Seen(NamedTuple):
    """One request: its path as it came, its headers, the port of the client, and how many bytes of a body it got."""

    path: str
    headers: dict[str, str]
    port: int
    sent: int = 0


class FileServer(ThreadingHTTPServer):
    """Serves the files of ``folder``; a context manager. ``stall`` is how long, in seconds, a stalled answer lasts.

    Each answer waits ``delay`` seconds.
    """

    daemon_threads = False
    request_queue_size = 64

    def __init__(
        self, folder: Path, *, tls: ssl.SSLContext | None = None, stall: float = 30, delay: float = 0, moved_to=""
    ):
        self.moved_to = moved_to
        self.folder, self.stall, self.delay, self.seen = folder, stall, delay, list[Seen]()
        self.connections = set[socket.socket]()
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https" if tls else "http"

    def url(self, fault: str, file: str = "update.bin") -> str:
        """Where the file is, with that fault."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{fault}/{file}"

    @property
    def sent(self) -> int:
        """Bytes of bodies that were sent."""
        return sum(one.sent for one in self.seen)

    def handle_error(self, request, client_address):
        """A client that leaves is no error here."""

    def __enter__(self):
        self.serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.serving.start()
        return self

    def __exit__(self, *_):
        """Leave no thread, as other tests count them."""
        self.stopped.set()
        self.shutdown()
        self.serving.join()
        with self.lock:
            for one in self.connections:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as servers that are in use have it
    wbufsize = -1
    server: FileServer

    def setup(self):
        """Note the connection while it lasts."""
        super().setup()
        with self.server.lock:
            self.server.connections.add(self.connection)

    def finish(self):
        """Forget the connection."""
        with self.server.lock:
            self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_):
        """Say nothing."""

    def do_HEAD(self):
        """A HEAD request is refused, as by a URL that is signed for GET."""
        self.close_connection = True
        self.status(405)

    def do_GET(self):
        """Answer as the first part of the path wants it."""
        fault, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
        with self.server.lock:
            number = sum(one.path == self.path for one in self.server.seen)
            self.server.seen.append(Seen(self.path, dict(self.headers), self.client_address[1]))
            self.index = len(self.server.seen) - 1
        self.number = number
        if self.server.delay:
            time.sleep(self.server.delay)
        self.file = self.server.folder / unquote(name)
        others = {"good": self.send_file, "expiring": self.send_expiring, "moved-there": self.send_there}
        (others.get(fault) or getattr(self, f"answer_{fault.replace('-', '_')}"))()

    # what an answer is made of

    def count(self, sent: int) -> None:
        with self.server.lock:
            self.server.seen[self.index] = self.server.seen[self.index]._replace(
                sent=self.server.seen[self.index].sent + sent
            )

    def status(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.count(len(body))

    def asked(self, size: int) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return None if found is None else (int(found[1]), min(int(found[2] or size - 1) + 1, size))

    def send_file(self, *, etag='"one"', modified=MODIFIED, shown=None, total=None, until=None, ranges=True, **more):
        """A range of the file as RFC 9110 has it, but for what the arguments replace."""
        if not self.file.is_file():
            self.status(404, b"<Error>NoSuchKey</Error>")
            return
        size = self.file.stat().st_size
        wanted = self.headers.get("If-Match")
        if wanted and wanted != etag and not more.pop("ignores_match", False):
            self.status(412)
            return
        span = self.asked(size) if ranges else None
        if span and span[0] >= size:
            self.status(416, Content_Range=f"bytes */{size}")
            return
        start, stop = span or (0, size)
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", shown(start, stop, size) if shown else f"bytes {start}-{stop - 1}/{size}")
        if etag:
            self.send_header("ETag", etag)
        if modified:
            self.send_header("Last-Modified", modified)
        for key, value in more.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.flush()
        self.body(start, stop if until is None else until(start, stop))

    def body(self, start: int, stop: int) -> None:
        with self.file.open("rb") as file:
            at = start
            while at < stop:
                if self.server.scheme == "https":
                    file.seek(at)
                    sent = self.wfile.write(file.read(min(stop - at, 2**16)))
                else:
                    sent = os.sendfile(self.connection.fileno(), file.fileno(), at, stop - at)
                self.count(sent)
                at += sent
        self.wfile.flush()

    def leave(self) -> None:
        """Close the connection without another word."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def send_there(self):
        self.status(302, Location=self.server.moved_to)

    def send_expiring(self):
        """What is signed for two requests."""
        if self.number == 2:
            self.status(403)
        else:
            self.send_file()

    # what can go wrong

    def answer_ignore_range(self):
        self.send_file(ranges=False)

    def answer_wrong_range(self):
        self.send_file(shown=lambda start, stop, size: f"bytes {start + 1}-{stop}/{size}")

    def answer_no_range(self):
        self.send_file(shown=lambda *_: "")

    def answer_strange_range(self):
        self.send_file(shown=lambda *_: "bytes one-two/three")

    def answer_no_total(self):
        self.send_file(shown=lambda start, stop, _: f"bytes {start}-{stop - 1}/*")

    def answer_shorter_range(self):
        """A range that ends early, and says so."""
        size = self.file.stat().st_size
        start, stop = self.asked(size)
        stop = start + max((stop - start) // 2, 1)
        data = self.file.read_bytes()[start:stop]
        self.status(206, data, Content_Range=f"bytes {start}-{stop - 1}/{size}", ETag='"one"', Last_Modified=MODIFIED)

    def answer_grows(self):
        """The size changes from one answer to the next, and nothing else."""
        self.send_file(shown=lambda start, stop, size: f"bytes {start}-{stop - 1}/{size + self.number}")

    def answer_changes(self):
        """Another file after the first answer, and a server that knows If-Match."""
        self.send_file(etag='"one"' if self.number == 0 else '"two"')

    def answer_changes_quietly(self):
        """Another file after the first answer, and a server that does not know If-Match."""
        self.send_file(etag='"one"' if self.number == 0 else '"two"', ignores_match=True)

    def answer_changes_late(self):
        """Another file after two answers, which have all its bytes."""
        self.send_file(etag='"one"' if self.number < 2 else '"two"')

    def answer_touched(self):
        """No ETag, and a later date after the first answer."""
        self.send_file(etag="", modified=MODIFIED if self.number == 0 else LATER)

    def answer_dated(self):
        self.send_file(etag="")

    def answer_weak(self):
        """A weak ETag, which If-Match never matches."""
        self.send_file(etag='W/"one"')

    def answer_nameless(self):
        self.send_file(etag="", modified="")

    def answer_encoded(self):
        self.send_file(Content_Encoding="gzip")

    def answer_cut(self):
        self.send_file(until=lambda start, stop: start + (stop - start) // 2)
        self.leave()

    def answer_cut_once(self):
        """The second answer ends in the middle, the others are whole."""
        if self.number == 1:
            self.answer_cut()
        else:
            self.send_file()

    def answer_dropped(self):
        self.leave()

    def answer_silent(self):
        self.server.stopped.wait(self.server.stall)
        self.leave()

    def answer_stalled(self):
        """Headers and half of the body, and then nothing."""
        self.send_file(until=lambda start, stop: start + (stop - start) // 2)
        self.answer_silent()

    def answer_stalled_later(self):
        if self.number:
            self.answer_stalled()
        else:
            self.send_file()

    def answer_trickle(self):
        """A byte every twentieth of a second: never silent, never done."""
        self.send_file(until=lambda start, _: start)
        self.trickle()

    def answer_slow_header(self):
        self.wfile.write(b"HTTP/1.1 206 Partial Content\r\nX: ")
        self.trickle()

    def trickle(self):
        with suppress(OSError):
            for _ in range(round(self.server.stall / 0.05)):
                if self.server.stopped.wait(0.05):
                    break
                self.wfile.write(b"x")
                self.wfile.flush()
        self.leave()

    def answer_moved(self):
        self.status(302, Location=f"/good/{self.file.name}")

    def answer_moved_for_a_while(self):
        """To a URL that is signed for two requests."""
        self.status(307, Location=f"/expiring/{self.file.name}?{self.number}{self.path.partition('?')[2]}")

    def answer_moved_elsewhere(self):
        """To another host, without TLS."""
        self.status(302, Location="http://192.0.2.1/update.bin?X-Amz-Signature=SECRET")

    def answer_around(self):
        self.status(302, Location=self.path)

    def answer_nowhere(self):
        self.status(302)

    def answer_401(self):
        self.status(401, b"token SECRET expired", WWW_Authenticate="Bearer")

    def answer_403(self):
        self.status(403, b"<Error><Code>AccessDenied</Code><Signature>SECRET</Signature></Error>")

    def answer_404(self):
        self.status(404, b"<html>not here</html>")

    def answer_410(self):
        self.status(410)

    def answer_416(self):
        self.status(416, Content_Range=f"bytes */{self.file.stat().st_size}")

    def answer_429(self):
        self.status(429, Retry_After="3600")

    def answer_500(self):
        self.status(500, b"SECRET in a stack trace")

    def answer_503_once(self):
        if self.number == 0:
            self.status(503)
        else:
            self.send_file()

    def answer_204(self):
        self.send_response(204)
        self.end_headers()

    def answer_page(self):
        """A page to log in at, as a captive portal sends it."""
        self.status(200, b"<html>Please log in</html>", Content_Type="text/html", ETag='"p"')

    def answer_garbage(self):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n" * 3)
        self.wfile.flush()
        self.leave()

    def answer_endless_header(self):
        """Headers without an end."""
        try:
            self.wfile.write(b"HTTP/1.1 206 Partial Content\r\n")
            for number in range(200_000):
                self.wfile.write(b"X-%d: %s\r\n" % (number, b"y" * 200))
        except OSError:
            pass
        self.leave()

    def answer_longer(self):
        """More bytes than were asked for, and a Content-Range that says otherwise."""
        size = self.file.stat().st_size
        start, stop = self.asked(size)
        data = self.file.read_bytes()[start : stop + 100]
        self.status(206, data, Content_Range=f"bytes {start}-{stop - 1}/{size}", ETag='"one"', Last_Modified=MODIFIED)

    def answer_short_body(self):
        """Fewer bytes than Content-Range says, in a whole answer."""
        size = self.file.stat().st_size
        start, stop = self.asked(size)
        data = self.file.read_bytes()[start : start + (stop - start) // 2]
        self.status(206, data, Content_Range=f"bytes {start}-{stop - 1}/{size}", ETag='"one"', Last_Modified=MODIFIED)
