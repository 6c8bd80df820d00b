"""Connections to web servers with http.client, also through a proxy. Their answers have to arrive in time."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from bundlekit.remote import source
from bundlekit.remote.faults import NO_PROXY, server_error
from bundlekit.remote.url import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import IO
    from urllib.parse import SplitResult

    from bundlekit.remote.url import RemoteUrl

WINDOW: Final = 60
"""Seconds of waiting in which at least `LEAST` bytes have to arrive."""

LEAST: Final = 64 * 1024


def connection_to(name: str, to: RemoteUrl, tls: Callable[[], ssl.SSLContext]) -> WatchfulConnection:
    """A connection to a server, through the proxy of the environment if there is one. It connects at the first request.

    ``name`` is for errors, and ``tls`` gives what certificates are verified with.
    """
    parts = urlsplit(to.full)
    host, port, proxy = to.host, parts.port, proxy_of(name, to)
    if proxy is not None:
        host, port = proxy.hostname or "", proxy.port or http.client.HTTP_PORT
    made: WatchfulConnection
    if to.scheme == "https":
        made = _TlsConnection(host, port, timeout=source.CONNECT, context=tls())
    else:
        made = _PlainConnection(host, port, timeout=source.CONNECT)
    if proxy is not None:
        headers = {"Proxy-Authorization": login} if (login := login_of(proxy)) else {}
        if to.scheme == "https":
            made.set_tunnel(to.host, parts.port, headers=headers)
        else:
            made.prefix, made.headers = f"http://{parts.netloc.rpartition('@')[2]}", headers
    return made


def proxy_of(name: str, to: RemoteUrl) -> SplitResult | None:
    """The proxy that https_proxy, http_proxy or all_proxy names; None for this machine, and what no_proxy names."""
    if is_loopback(to.host) or not any(one.lower().endswith("_proxy") for one in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    given = proxies.get(to.scheme) or proxies.get("all")
    if not given or proxy_bypass(to.host):
        return None
    parts = urlsplit(given if "://" in given else f"http://{given}")
    if parts.scheme != "http" or not parts.hostname:
        raise server_error(name, NO_PROXY)
    return parts


def login_of(parts: SplitResult) -> str:
    """User and password of a URL, as a header has them (RFC 7617); empty without a user."""
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


class WatchfulConnection(http.client.HTTPConnection):
    """A connection whose answers have to arrive in time."""

    watched: _WatchedSocket | None = None
    prefix = ""
    """What a proxy needs before the path."""
    headers: dict[str, str] = {}

    def connect(self) -> None:
        """Connect, and watch the socket."""
        super().connect()
        self.watched = self.sock = _WatchedSocket(self.sock)

    def abort(self) -> None:
        """Close the connection, also while an answer is read."""
        if self.watched is not None:
            self.watched.abort()
        self.close()


class _PlainConnection(WatchfulConnection):
    """Without TLS."""


class _TlsConnection(WatchfulConnection, http.client.HTTPSConnection):
    """With TLS."""


class _WatchedSocket:
    """A socket as http.client uses it: closed when the connection and the answers from it are."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._users = 1
        sock.settimeout(source.SILENCE)
        self.sendall = sock.sendall

    def makefile(self, _mode: str) -> IO[bytes]:
        """The answer, from its first byte on."""
        self._users += 1
        return io.BufferedReader(_Watched(self._sock, self.close))

    def close(self) -> None:
        """One user less."""
        self._users -= 1
        if not self._users:
            self._sock.close()

    def abort(self) -> None:
        """End the connection at once. A thread that reads from it gets no more bytes."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class _Watched(io.RawIOBase):
    """The bytes of one answer. Raises TimeoutError if none comes for `source.SILENCE`, or few within `WINDOW`."""

    def __init__(self, sock: socket.socket, closed: Callable[[], None]) -> None:
        self._sock, self._closed = sock, closed
        self._waited, self._count = 0.0, 0

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives it a memoryview
        """Read once."""
        begun = time.monotonic()
        count = self._sock.recv_into(buffer)
        self._waited += time.monotonic() - begun
        self._count += count
        if self._waited > WINDOW:
            if self._count < LEAST:
                raise TimeoutError
            self._waited, self._count = 0.0, 0
        return count

    def close(self) -> None:
        """The answer is not read on."""
        if not self.closed:
            self._closed()
        super().close()
