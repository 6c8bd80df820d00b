"""A format for tests, as the page adding-a-format describes one: a head, a signature by a bare key, and a payload.

4 bytes   magic, ``TOY1``
4 bytes   size of the description, big-endian
n bytes   description: JSON with product, version, models, counter, and of the payload size and sha256
64 bytes  Ed25519 signature over all bytes before it
rest      payload
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from bundlekit.errors import LayoutError
from bundlekit.layout import strict_json
from bundlekit.layout.foreign import ForeignKind
from bundlekit.model.bundle import Bundle, DigestClaim, Problem, Section, SignatureClaim, Span
from bundlekit.model.release import Part, Release
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.model.bundle import Aspect
    from bundlekit.source import Source

ASPECTS: Final[frozenset[Aspect]] = frozenset({"structure", "metadata", "content"})
MAX_DESCRIPTION: Final = 64 * 1024
START: Final = 8
SIGNATURE: Final = 64
KIND: Final = ForeignKind("toy", "a toy bundle", "Use a real one.", lambda seen: seen.at(0, b"TOY1"))

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def _is_name(value: object) -> bool:
    return type(value) is str and _NAME.fullmatch(value) is not None


_FIELDS: Final[dict[str, Callable[[Any], bool]]] = {
    "product": _is_name,
    "version": _is_name,
    "models": lambda value: type(value) is list and all(map(_is_name, value)) and len(set(value)) == len(value),
    "counter": lambda value: type(value) is int and 0 <= value < 2**32,  # True is an int as well
    "size": lambda value: type(value) is int and 0 < value < 2**53,
    "sha256": lambda value: type(value) is str and _DIGEST.fullmatch(value) is not None,
}
"""The fields of the description, and the values that they can have."""


def read(source: Source) -> Bundle:
    """The bundle that ``source`` claims to be. Raises LayoutError at the first fault."""
    need(source, START, "its header")
    size = int.from_bytes(read_span(source, Span(start=4, stop=START)), "big")
    if size > MAX_DESCRIPTION:
        raise fault("structure-malformed", f"the description has {size} bytes", Span(start=4, stop=START))
    head, blob = Span(start=0, stop=START + size), Span(start=START + size, stop=START + size + SIGNATURE)
    need(source, blob.stop, "the description or its signature")
    head_bytes = read_span(source, head)
    found = description(head_bytes[START:], Span(start=START, stop=head.stop))
    payload = Span(start=blob.stop, stop=blob.stop + found["size"])
    need(source, payload.stop, "the payload")
    if source.size > payload.stop:
        message = f"{source.size - payload.stop} bytes follow the payload"
        raise fault("trailing-data", message, Span(start=payload.stop, stop=source.size))
    digest = f"sha256:{found['sha256']}"
    signature = SignatureClaim(
        index=0,
        signed=(head,),
        blob=blob,
        entry=blob,
        form="raw",
        value=read_span(source, blob),
        candidates=("ed25519",),
    )
    return Bundle(
        format="toy",
        aspects=ASPECTS,
        size=source.size,
        declared_size=payload.stop,
        head=head,
        head_bytes=head_bytes,
        signatures=(signature,),
        document=found,
        release=Release(
            product=found["product"],
            version=found["version"],
            models=tuple(found["models"]),
            counter=found["counter"],
            parts=(Part(label="payload", size=payload.size, digest=digest),),
        ),
        complete=True,
        sections=(
            Section(name="head", span=head),
            Section(name="signature", span=blob),
            Section(name="payload", span=payload),
        ),
        claims=(DigestClaim(subject="payload", span=payload, expected=digest),),
    )


def need(source: Source, stop: int, what: str) -> None:
    """Raise LayoutError if the file ends before ``stop``. Its size counts, also if only its first bytes can be read."""
    if source.size < stop:
        message = f"the file ends after {source.size} bytes, within {what}"
        raise fault("truncated", message, Span(start=source.size, stop=stop))


def description(data: bytes, where: Span) -> dict[str, Any]:
    """The description, each field of it once and with a value that is possible. Raises LayoutError."""
    try:
        found = strict_json.decode(data)
    except strict_json.StrictJsonError as error:
        raise fault("metadata-malformed", f"the description is {error}", where) from error
    if type(found) is not dict or found.keys() != _FIELDS.keys():
        raise fault("metadata-malformed", f"the description must have the fields {', '.join(_FIELDS)}", where)
    for name, is_possible in _FIELDS.items():
        if not is_possible(found[name]):
            raise fault("metadata-malformed", f"the field {name} has a value that is not allowed", where)
    return found


def fault(rule: str, message: str, where: Span) -> LayoutError:
    """The exception for a fault at ``where``."""
    return LayoutError(Problem(rule=rule, message=message, where=where))


def write(payload: bytes = b"payload", *, sign: object = None, **changes: object) -> bytes:
    """A bundle; ``sign`` makes the signature of the head."""
    values = {"product": "toy", "version": "2.0.0", "models": ["t-1"], "counter": 3, "size": len(payload)}
    text = json.dumps(values | {"sha256": hashlib.sha256(payload).hexdigest()} | changes).encode()
    head = b"TOY1" + len(text).to_bytes(4, "big") + text
    return head + (sign(head) if callable(sign) else bytes(SIGNATURE)) + payload
