"""A format for tests, as the page adding-a-format describes one: a head, a signature by a bare key, and a payload.

4 bytes   magic, ``TOY1``
4 bytes   size of the description, big-endian
n bytes   description: JSON with product, version, models, counter, sha256 of the payload
64 bytes  Ed25519 signature over all bytes before it
rest      payload
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from bundlekit.layout.foreign import ForeignKind
from bundlekit.model.bundle import Bundle, DigestClaim, Problem, Section, SignatureClaim, Span
from bundlekit.model.release import Part, Release
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from bundlekit.model.bundle import Aspect
    from bundlekit.source import Source

ASPECTS: frozenset[Aspect] = frozenset({"structure", "metadata", "content"})
MAX_DESCRIPTION = 64 * 1024
KIND = ForeignKind("toy", "a toy bundle", "Use a real one.", lambda seen: seen.at(0, b"TOY1"))


def read(source: Source) -> Bundle:
    """The bundle that ``source`` claims to be."""
    bundle = Bundle(format="toy", aspects=ASPECTS, size=source.size)
    start = read_span(source, Span(start=0, stop=min(source.size, 8)))
    size = int.from_bytes(start[4:8], "big")
    head = Span(start=0, stop=8 + size)
    if size > MAX_DESCRIPTION or head.stop + 64 > source.size:
        where = Span(start=4, stop=8)
        return with_problem(bundle, Problem(rule="structure-malformed", message="the size is wrong", where=where))
    head_bytes = read_span(source, head)
    blob = Span(start=head.stop, stop=head.stop + 64)
    payload = Span(start=blob.stop, stop=source.size)
    try:
        said = json.loads(head_bytes[8:])
        release = Release(
            product=said["product"],
            version=said["version"],
            models=tuple(said["models"]),
            counter=said["counter"],
            parts=(Part(label="payload", size=payload.size, digest=f"sha256:{said['sha256']}"),),
        )
    except (ValueError, KeyError, TypeError) as error:
        where = Span(start=8, stop=head.stop)
        return with_problem(bundle, Problem(rule="metadata-malformed", message=str(error), where=where))
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
        declared_size=source.size,
        head=head,
        head_bytes=head_bytes,
        signatures=(signature,),
        document=said,
        release=release,
        complete=True,
        sections=(Section(name="head", span=head), Section(name="payload", span=payload)),
        claims=(DigestClaim(subject="payload", span=payload, expected=f"sha256:{said['sha256']}"),),
    )


def with_problem(bundle: Bundle, problem: Problem) -> Bundle:
    """The bundle, with what is wrong with it."""
    return Bundle(format=bundle.format, aspects=bundle.aspects, size=bundle.size, problems=(problem,))


def write(payload: bytes = b"payload", *, sign: object = None, **changes: object) -> bytes:
    """A bundle; ``sign`` makes the signature of the head."""
    said = {"product": "toy", "version": "2.0.0", "models": ["t-1"], "counter": 3}
    said |= {"sha256": hashlib.sha256(payload).hexdigest()} | changes
    text = json.dumps(said).encode()
    head = b"TOY1" + len(text).to_bytes(4, "big") + text
    return head + (sign(head) if callable(sign) else bytes(64)) + payload
