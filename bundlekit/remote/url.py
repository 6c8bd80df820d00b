"""The place of a bundle that is not a file: the URL of an object on a server.

A URL can contain secrets: a password, or the signature of a signed URL. The text of a `RemoteUrl` has none of them, and
messages and reports have only that. Nothing is connected here (``bundlekit.remote`` does it).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from bundlekit.errors import ConfigError

if TYPE_CHECKING:
    from os import PathLike

WEB: Final = ("https", "http")
STORES: Final = ("s3", "gs", "az")
"""Amazon S3 and servers with its protocol, Google Cloud Storage, and Azure Blob Storage."""

ALLOW_HTTP: Final = "BUNDLEKIT_ALLOW_HTTP"
"""The environment variable that allows connections without TLS to other machines, if it is 1."""

_URL: Final = re.compile(rf"({'|'.join((*WEB, *STORES))})://", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


class RemoteUrl(str):
    """The URL of a bundle, without user, password, query and fragment. ``full`` has user, password and query, too.

    ``host`` is the server, or the bucket or container. ``key`` is the name of the object there, for `STORES`.
    """

    __slots__ = ("full", "has_query", "host", "key", "scheme")

    full: str
    has_query: bool
    host: str
    key: str
    scheme: str

    suffix = ""
    """A bundle is no TOML file, whatever its name is."""

    def __new__(cls, text: str) -> RemoteUrl:
        """Read a URL. ConfigError, without the text, if it cannot be used."""
        scheme = text.partition(":")[0].lower()
        if _UNPRINTABLE.search(text) or (scheme in WEB and " " in text):
            raise _wrong(scheme, "it contains a blank or a control character")
        return _of_store(cls, scheme, text) if scheme in STORES else _of_web(cls, scheme, text)

    def sibling(self, file: str) -> RemoteUrl | None:
        """The object ``file`` next to this one. None for a signed URL, which is for one object only."""
        from urllib.parse import quote

        if self.has_query:
            return None
        return RemoteUrl(f"{self.full.rpartition('/')[0]}/{file if self.scheme in STORES else quote(file)}")


def _of_store(kind: type[RemoteUrl], scheme: str, text: str) -> RemoteUrl:
    """A bucket can have letters that a host cannot, and a key is taken literally: nothing is percent-encoded."""
    bucket, _, key = text[len(scheme) + 3 :].partition("/")
    if not bucket or not key or re.search(r"[@:?#]", bucket) or re.search(r"[?#]", key):
        raise _wrong(scheme, f"its form is {scheme}://{_PLACES[scheme]}/NAME, without a query")
    url = str.__new__(kind, f"{scheme}://{bucket}/{key}")
    url.full, url.scheme, url.host, url.key, url.has_query = str(url), scheme, bucket, key, False
    return url


def _of_web(kind: type[RemoteUrl], scheme: str, text: str) -> RemoteUrl:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(f"{scheme}{text[len(scheme) :]}")
        host, port = parts.hostname or "", "" if parts.port is None else f":{parts.port}"
    except ValueError as error:
        raise _wrong(scheme, "its host or port is wrong") from error
    if not host:
        raise _wrong(scheme, "it names no host")
    url = str.__new__(kind, f"{scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}")
    url.full, url.scheme, url.host, url.key = parts._replace(fragment="").geturl(), scheme, host, ""
    url.has_query = bool(parts.query)
    if scheme == "http" and not (is_loopback(host) or http_allowed()):
        raise ConfigError(
            f"{url}: http:// is only for this machine, because anyone between the two can read and change the bytes",
            next_step=f"Use https://, or set {ALLOW_HTTP}=1 if the network is trusted.",
        )
    return url


_PLACES: Final = {"s3": "BUCKET", "gs": "BUCKET", "az": "CONTAINER"}


def remote_url(place: str | PathLike[str]) -> RemoteUrl | None:
    """The URL that ``place`` is; None for the path of a file. ConfigError for a URL that cannot be used.

    A file whose name looks like a URL is given with its folder, as in ``./https:``.
    """
    if isinstance(place, RemoteUrl):
        return place
    return RemoteUrl(place) if isinstance(place, str) and looks_remote(place) else None


def looks_remote(text: str) -> bool:
    """Whether ``text`` begins as the URL of an object."""
    return _URL.match(text) is not None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by its address or as ``localhost``."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def http_allowed() -> bool:
    """Whether the operator allows connections without TLS to other machines."""
    return os.environ.get(ALLOW_HTTP) == "1"


def _wrong(scheme: str, why: str) -> ConfigError:
    """The error for a URL that is not shown, because any part of it can be a secret."""
    return ConfigError(f"A URL with {scheme}:// cannot be used: {why}.", next_step="Correct the URL.")
