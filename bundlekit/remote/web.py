"""A bundle on a web server, read by ranges (RFC 9110 section 14) with the standard library.

Each thread has a connection of its own. The bytes go from the socket into the buffer of the caller, without more copies
than from a file. A range is requested when it is announced, and its answer arrives while other threads work.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin, urlsplit

from bundlekit._version import __version__
from bundlekit.errors import ConfigError
from bundlekit.remote import source
from bundlekit.remote.connections import connection_to, login_of
from bundlekit.remote.faults import (
    CUT,
    ENCODED,
    IGNORED,
    MOVED_AROUND,
    MOVED_NOWHERE,
    MOVED_UNSAFELY,
    NO_RANGE,
    OTHER_RANGE,
    changed_object,
    failed_connection,
    failed_status,
    passing,
    server_error,
)
from bundlekit.remote.source import SKIPPED, START, ObjectVersion, RemoteSource
from bundlekit.remote.url import RemoteUrl

if TYPE_CHECKING:
    import ssl

    from bundlekit.remote.connections import WatchfulConnection

REDIRECTS: Final = 10
"""Redirects that are followed for one request."""

PROGRESS: Final = 1024 * 1024
"""Bytes after which a connection that fails is no longer counted as a repetition."""

_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_OVERLOADED: Final = frozenset({429, 500, 502, 503, 504})
_EXPIRED: Final = frozenset({401, 403, 404, 410})
"""What the target of a redirect answers if it was signed for a short time."""

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.IGNORECASE)
_UNQUOTED: Final = "%/:=&?~#+!$,;'@()*[]"
"""Characters of a URL that are sent as they are."""


class WebSource(RemoteSource):
    """An object on a web server. Raises UnreadableError if it cannot be reached, denies access, or has no ranges."""

    def __init__(self, url: RemoteUrl) -> None:
        self.url = url
        self.target = url
        """Where redirects led to. The next requests begin there."""
        self._tls: ssl.SSLContext | None = None
        self._own = threading.local()
        self._lines: list[WebConnection] = []
        self._guard = threading.Lock()
        self._shared = WebConnection(self)
        self.closed = False
        try:
            super().__init__(url)
        except BaseException:
            self.close()
            raise

    def first(self) -> tuple[ObjectVersion, memoryview]:
        """The first bytes, and the version that their answer states."""
        answer = self._shared.answered(0, START, None)
        version = answer.version
        data = bytearray(min(START, version.size))
        WebReading(self, self._shared, 0, len(data), version, answer).take(0, memoryview(data))
        return version, memoryview(data)

    def get(self, start: int, stop: int) -> memoryview:
        """The bytes of a small range."""
        data = memoryview(bytearray(stop - start))
        with self._guard:
            WebReading(self, self._shared, start, stop, self.version).take(start, data)
        return data

    def reading(self, start: int, stop: int) -> WebReading:
        """Request a range on the connection of this thread."""
        line: WebConnection | None = getattr(self._own, "line", None)
        if line is None:
            line = self._own.line = WebConnection(self)
            with self._guard:
                self._lines.append(line)
        return WebReading(self, line, start, stop, self.version)

    def tls(self) -> ssl.SSLContext:
        """What the certificates of servers are verified with: the system's, or those that SSL_CERT_FILE names."""
        import ssl

        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def close(self) -> None:
        """Close all connections, also while other threads read from them."""
        self.closed = True
        for line in (self._shared, *self._lines):
            line.close()


class WebAnswer:
    """The answer to a request for a range: headers that fit, and a body that is read later."""

    def __init__(self, response: http.client.HTTPResponse, version: ObjectVersion) -> None:
        self.response, self.version = response, version


class WebReading:
    """A range that is read in order from one answer. If its connection fails, another request goes on from there."""

    def __init__(
        self,
        web: WebSource,
        line: WebConnection,
        start: int,
        stop: int,
        version: ObjectVersion,
        answer: WebAnswer | None = None,
    ) -> None:
        self._web, self._line, self._version = web, line, version
        self._at, self._stop = start, stop
        self._answer = answer
        if answer is None:
            line.ask(start, stop, version)

    def has(self, start: int, stop: int) -> bool:
        """Whether these bytes come next, or soon after bytes that the caller has in memory."""
        return self._at <= start <= self._at + SKIPPED and stop <= self._stop

    def take(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from the answer."""
        if start > self._at:
            self._fill(memoryview(bytearray(start - self._at)))
        self._fill(buffer)
        if self._at == self._stop:
            self._line.done()

    def _fill(self, buffer: memoryview) -> None:
        failed, since, done = 0, 0, 0
        while done < len(buffer):
            if self._answer is None:
                self._answer = self._line.answered(self._at, self._stop, self._version)
            try:
                count = self._answer.response.readinto(buffer[done:])
                error: Exception = ConnectionResetError()
            except (OSError, http.client.HTTPException) as raised:
                count, error = 0, raised
            done, self._at = done + count, self._at + count
            if done < len(buffer):  # the answer ended early
                failed, since = (failed + 1, since + count) if since + count < PROGRESS else (1, 0)
                self._answer = None
                self._line.close()
                if failed > source.RETRIES:
                    raise failed_connection(self._web.name, error) from None

    def drop(self) -> None:
        """Close the connection, if a part of the answer is still to come."""
        if self._at < self._stop:
            self._line.close()


class WebConnection:
    """A connection of one thread: one request at a time."""

    def __init__(self, web: WebSource) -> None:
        self._web = web
        self._connection: WatchfulConnection | None = None
        self._to = ("", "")
        self._asked: tuple[int, int, str] | None = None
        self._failed: Exception | None = None
        self._response: http.client.HTTPResponse | None = None

    def ask(self, start: int, stop: int, version: ObjectVersion | None) -> None:
        """Send a request. An error is kept until the answer is wanted."""
        if self._asked is not None:
            self.close()
        if self._web.closed:
            raise server_error(self._web.name, CUT)
        self._asked = (start, stop, self._web.target.full)
        try:
            self._send(self._web.target, start, stop, version)
        except (OSError, http.client.HTTPException) as error:
            self._failed = error

    def answered(self, start: int, stop: int, version: ObjectVersion | None) -> WebAnswer:
        """The answer to the request that was sent, or that is sent now, with redirects and repetitions."""
        begun, attempt = time.monotonic(), 0
        while True:
            if self._asked is None or self._asked[:2] != (start, stop):
                self.ask(start, stop, version)
            try:
                if self._failed:
                    raise self._failed
                response = self._followed(start, stop, version)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                failure, again = failed_connection(self._web.name, error), passing(error)
            else:
                if response.status not in _OVERLOADED:
                    return self._valid(response, start, stop, version)
                self.close()
                failure, again = failed_status(self._web.name, response.status), True
            if not again or attempt == source.RETRIES or time.monotonic() - begun > source.RETRIED:
                raise failure
            time.sleep(source.PAUSE * 8**attempt)
            attempt += 1

    def done(self) -> None:
        """The answer was read. A connection on which more could come is closed."""
        self._asked = None
        if self._response is not None and not self._response.isclosed():
            self.close()

    def close(self) -> None:
        """Close the connection. The next request makes another one."""
        self._asked = self._failed = self._response = None
        if self._connection is not None:
            self._connection.abort()
        self._connection = None

    def _followed(self, start: int, stop: int, version: ObjectVersion | None) -> http.client.HTTPResponse:
        """The answer after redirects."""
        at, renewed = self._web.target, False
        for _ in range(REDIRECTS + 1):
            assert self._connection is not None  # noqa: S101 - a request was sent on it
            response = self._response = self._connection.getresponse()
            if response.status in _EXPIRED and at.full != self._web.url.full and not renewed:
                at, renewed = self._web.url, True
            elif response.status in _MOVED:
                at = self._moved(at, response.headers.get("Location"))
            else:
                self._web.target = at
                return response
            response.close()
            if response.will_close:
                self.close()
            self._asked = (start, stop, at.full)
            self._send(at, start, stop, version)
        raise server_error(self._web.name, MOVED_AROUND)

    def _moved(self, at: RemoteUrl, location: str | None) -> RemoteUrl:
        """Where a redirect leads to. User and password stay with their host, and TLS is not given up."""
        if not location:
            raise server_error(self._web.name, MOVED_NOWHERE)
        try:
            to = RemoteUrl(quote(urljoin(at.full, location), safe=_UNQUOTED))
            if to.scheme in {"https", at.scheme}:
                return to
        except ConfigError:
            pass
        raise server_error(self._web.name, MOVED_UNSAFELY)

    def _send(self, to: RemoteUrl, start: int, stop: int, version: ObjectVersion | None) -> None:
        parts = urlsplit(to.full)
        if self._connection is None or self._to != (to.scheme, parts.netloc):
            if self._connection is not None:
                self._connection.abort()
            self._connection = connection_to(self._web.name, to, self._web.tls)
            self._to = (to.scheme, parts.netloc)
        headers = {
            "Range": f"bytes={start}-{stop - 1}",
            "Accept-Encoding": "identity",
            "User-Agent": f"bundlekit/{__version__}",
        }
        if login := login_of(parts):
            headers["Authorization"] = login
        if version is not None and version.condition:
            headers["If-Match"] = version.condition
        target = quote(parts._replace(scheme="", netloc="").geturl() or "/", safe=_UNQUOTED)
        connection = self._connection
        connection.request("GET", f"{connection.prefix}{target}", headers=headers | connection.headers)

    def _valid(
        self, response: http.client.HTTPResponse, start: int, stop: int, version: ObjectVersion | None
    ) -> WebAnswer:
        """The answer, if it is the range that was requested, of the version that was seen first.

        Some servers send all of an object instead of a range. That is an answer if the range is all of it.
        """
        name, headers = self._web.name, response.headers
        if response.status == 412 or (response.status == 416 and version is not None):
            raise changed_object(name)
        length = response.length  # None if it is not stated
        whole = response.status == 200 and start == 0 and length is not None and length <= stop
        if response.status in {200, 204} and not whole:
            raise server_error(name, IGNORED)
        if response.status not in {200, 206}:
            raise failed_status(name, response.status)
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if found is not None:
            first, last, size = map(int, found.groups())
        elif whole and length is not None:
            first, last, size = 0, length - 1, length
        else:
            raise server_error(name, NO_RANGE)
        seen = ObjectVersion(headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip(), size)
        if version is not None and seen != version:
            raise changed_object(name)
        stop = min(stop, size)
        if (first, last + 1) != (start, stop) or length not in {None, stop - start}:
            raise server_error(name, OTHER_RANGE)
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise server_error(name, ENCODED)
        return WebAnswer(response, seen)
