"""One sentence for each way in which a server can fail to give the bytes of an object.

Errors of the library for buckets contain the whole URL, and what the server sent. Both can hold secrets, so nothing of
their text is repeated. They are recognised by the names of their parts, which it prints after "Debug source".
"""

from __future__ import annotations

import re
import socket
from typing import Final, NamedTuple

from bundlekit.errors import ChangedWhileReadError, NoSuchObjectError, UnreadableError

ACCESS: Final = "Check the credentials and the permissions of the object. A signed URL has possibly expired."
NETWORK: Final = "Check the address, the network and the proxy, then run again."
LATER: Final = "Run again later."
DOWNLOAD: Final = "Download the bundle with another program, and give the file."


class ServerFault(NamedTuple):
    """What is wrong, and what to do about it."""

    what: str
    next: str


STATUS: Final = {
    400: ServerFault("the server does not accept the request (400)", ACCESS),
    401: ServerFault("the server requires other credentials (401)", ACCESS),
    403: ServerFault("the server denies access (403)", ACCESS),
    404: ServerFault("the server has no such object (404)", "Check the name of the object, and its bucket."),
    410: ServerFault("the server no longer has the object (410)", "Ask its owner for the new place."),
    416: ServerFault("the object is empty, or the server has no ranges of it (416)", DOWNLOAD),
    429: ServerFault("the server is overloaded (429)", LATER),
    503: ServerFault("the server is overloaded (503)", LATER),
}

_CERTIFICATES: Final = {
    "UnknownIssuer": "its issuer is unknown",
    "CaUsedAsEndEntity": "it is the certificate of a CA",
    "Expired": "it has expired",
    "NotValidYet": "it is not valid yet",
    "NotValidForName": "it is for another host",
    "Revoked": "it is revoked",
}

_VERIFY_CODES: Final = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its issuer is unknown",
    20: "its issuer is unknown",
    21: "its issuer is unknown",
    23: "it is revoked",
    62: "it is for another host",
    64: "it is for another host",
}
"""Errors of OpenSSL's ``X509_verify_cert`` (x509_vfy.h)."""

_TLS: Final = "Correct the certificate of the server. A private CA is trusted if SSL_CERT_FILE names its certificates."

IGNORED: Final = ServerFault("the server ignores ranges: it sent a whole answer where a part was requested", DOWNLOAD)
OTHER_RANGE: Final = ServerFault("the server sent another range than the one requested", DOWNLOAD)
NO_RANGE: Final = ServerFault("the server does not state which range it sent", DOWNLOAD)
UNVERSIONED: Final = ServerFault(
    "the server states too little of ETag and Last-Modified to notice a change of the object between two ranges",
    DOWNLOAD,
)
ENCODED: Final = ServerFault("the server sends the bundle in another encoding, such as gzip", DOWNLOAD)
MOVED_AROUND: Final = ServerFault("the server redirects in a circle, or more than ten times", NETWORK)
MOVED_NOWHERE: Final = ServerFault(
    "the server redirects to nowhere", "Check the address. For S3, check that AWS_REGION is the region of the bucket."
)
MOVED_UNSAFELY: Final = ServerFault("the server redirects to a URL without TLS, or of another kind", DOWNLOAD)
SILENT: Final = ServerFault("the server does not answer in time", NETWORK)
NAMELESS: Final = ServerFault("the name of the server has no address", NETWORK)
CLOSED: Final = ServerFault("the server does not accept connections", NETWORK)
NO_TLS: Final = ServerFault("the server does not use TLS as expected", NETWORK)
UNREACHABLE: Final = ServerFault("the server cannot be reached", NETWORK)
NO_PROXY: Final = ServerFault("the proxy is not given as http://HOST:PORT", "Correct the variable https_proxy.")
CUT: Final = ServerFault("the connection was cut", LATER)
NO_HTTP: Final = ServerFault("the server does not use HTTP as expected", NETWORK)
NO_ACCOUNT: Final = ServerFault("no storage account is given", "Set AZURE_STORAGE_ACCOUNT_NAME.")
NO_CREDENTIALS: Final = ServerFault(
    "no credentials were found", "Set the environment variables that `bundlekit explain remote` lists."
)
UNKNOWN: Final = ServerFault("the server cannot be read, for an unknown reason", DOWNLOAD)

_PARTS: Final = (
    (r"NotPartial|RangeNotSupported", IGNORED),
    (r"UnexpectedRange", OTHER_RANGE),
    (r"(Parse|No)ContentRange", NO_RANGE),
    (r"MissingEtag|MissingLastModified", UNVERSIONED),
    (r"TooManyRedirects", MOVED_AROUND),
    (r"BareRedirect", MOVED_NOWHERE),
    (r"BadScheme|URL scheme is not allowed", MOVED_UNSAFELY),
    (r"TimedOut|kind: Timeout|deadline has elapsed", SILENT),
    (r"dns error", NAMELESS),
    (r"ConnectionRefused|connection refused", CLOSED),
    (r"UnexpectedMessage|InvalidContentType|CorruptMessage|AlertReceived", NO_TLS),
    (r"MissingAccount|Account must be specified", NO_ACCOUNT),
    (r"InstanceMetadata|[Cc]redential|ServiceAccount", NO_CREDENTIALS),
    (r"kind: Connect", UNREACHABLE),
    (r"IncompleteBody|IncompleteMessage|ConnectionReset|UnexpectedEof|BrokenPipe|kind: Interrupted", CUT),
    (r"\bParse\(", NO_HTTP),
)
"""What the library for buckets prints for each fault, in the order in which it is looked for."""

_METADATA: Final = "//169.254.169.254/"
"""Where virtual machines of all clouds get credentials, and which is asked last."""

_REFUSED: Final = re.compile(r"Tunnel connection failed: (\d{3})")
"""What http.client raises for a proxy that does not connect."""

_STATUS: Final = re.compile(r"inner: Status \{\s*status: (\d{3})")


def changed_object(name: str) -> ChangedWhileReadError:
    """The error for an object that was replaced between two ranges."""
    return ChangedWhileReadError(
        f"{name}: changed while it was read", next_step="Wait until the object is no longer replaced, then run again."
    )


def server_error(name: str, what: ServerFault) -> UnreadableError:
    """The error for a fault."""
    return UnreadableError(f"{name}: {what.what}", next_step=what.next)


def failed_status(name: str, status: int) -> UnreadableError:
    """The error for an answer with a status that is not success (RFC 9110 section 15)."""
    if status == 404:
        return NoSuchObjectError(f"{name}: {STATUS[404].what}", next_step=STATUS[404].next)
    if status in STATUS:
        return server_error(name, STATUS[status])
    if status >= 500:
        return server_error(name, ServerFault(f"the server has an error of its own ({status})", LATER))
    return server_error(name, ServerFault(f"the server answers with status {status}", NETWORK))


def failed_connection(name: str, error: Exception) -> UnreadableError:
    """The error for a connection of the standard library that failed."""
    import ssl

    if refused := _REFUSED.match(str(error)):
        refusal = f"the proxy refuses the connection ({refused[1]})"
        return server_error(name, ServerFault(refusal, "Check the proxy, its user and its password."))
    if isinstance(error, ssl.SSLCertVerificationError):
        return server_error(name, _untrusted(_VERIFY_CODES.get(error.verify_code, "it is not valid")))
    for kind, what in (
        (TimeoutError, SILENT),
        (ssl.SSLError, NO_TLS),
        (socket.gaierror, NAMELESS),
        (ConnectionRefusedError, CLOSED),
        (ConnectionError, CUT),
        (OSError, UNREACHABLE),
    ):
        if isinstance(error, kind):
            return server_error(name, what)
    return server_error(name, NO_HTTP)


def passing(error: Exception) -> bool:
    """Whether another attempt could end otherwise."""
    import ssl

    lasting = isinstance(error, ssl.SSLCertVerificationError | ConnectionRefusedError) or _REFUSED.match(str(error))
    return isinstance(error, OSError) and not lasting


def is_whole_answer(error: Exception) -> bool:
    """Whether the library for buckets was sent a whole object where it requested a range."""
    return "NotPartial" in str(error)


def explained(name: str, error: Exception, *, opened: bool) -> UnreadableError:
    """The error of the library for buckets in one sentence. ``opened``: the first request found the object."""
    kind, text = type(error).__name__, str(error)
    if _METADATA in text:
        return server_error(name, NO_CREDENTIALS)
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    if kind == "PreconditionError" or status == 412 or (opened and status == 416):
        return changed_object(name)
    if isinstance(error, TimeoutError):
        return server_error(name, SILENT)
    if status or isinstance(error, FileNotFoundError):
        return failed_status(name, status or 404)
    if "InvalidCertificate" in text or "invalid peer certificate" in text:
        why = next((why for word, why in _CERTIFICATES.items() if word in text), "it is not valid")
        return server_error(name, _untrusted(why))
    return server_error(name, next((what for part, what in _PARTS if re.search(part, text)), UNKNOWN))


def _untrusted(why: str) -> ServerFault:
    return ServerFault(f"the certificate of the server cannot be trusted: {why}", _TLS)
