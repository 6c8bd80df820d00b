"""RAUC bundles (``.raucb``): a SquashFS image, its hash tree, a CMS signature, and the size of that.

``plain``: the signature is detached and covers the image. ``verity``: the signature encloses the manifest, which has
the root of a hash tree over the image. ``crypt``: the same, but encrypted, so only its form is known here.
``bundlekit explain rauc`` describes what is checked. Facts are from RAUC's reference manual, section Bundle Formats,
and from its behaviour.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from bundlekit.errors import LayoutError
from bundlekit.layout import squashfs
from bundlekit.layout.rauc import manifest as rauc_manifest
from bundlekit.layout.rauc.signature import (
    LOOK,
    MAX_SIGNATURE,
    SIZE,
    CmsHead,
    after_image,
    cms_head,
    encrypted_signature,
    is_stripped,
    signature_places,
    stated_place,
    tree_size,
)
from bundlekit.model.bundle import Aspect, Bundle, Problem, Section, SignatureClaim, Span, TreeClaim, Unread
from bundlekit.model.rule import SIGNATURE_RULES
from bundlekit.source import read as read_span
from bundlekit.trust import SignatureFault, cms
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.layout.rauc.manifest import RaucManifest
    from bundlekit.source import Source

NAME: Final = "rauc"
ASPECTS: Final[frozenset[Aspect]] = frozenset({"structure", "metadata", "images"})
WITH_TREE: Final[frozenset[Aspect]] = ASPECTS | {"tree"}

MAX_PLAIN: Final = 2**31 - 1
"""Bytes of a plain payload. RAUC before 1.15.2 signed only the first bytes of a larger one (CVE-2026-34155)."""
MAX_MANIFEST: Final = 64 * 1024
"""Bytes of the manifest in a plain bundle. One in a signature cannot be larger."""
MANIFEST: Final = "manifest.raucm"
PAYLOAD: Final = "payload"

ENCRYPTED: Final = "the signature of the bundle is encrypted (crypt), and the manifest is inside it"
DECRYPT: Final = "Check the bundle before it is encrypted, or use `rauc info` with the key of a recipient."
IN_MANIFEST: Final = ("metadata-malformed", "image-digest-mismatch")
"""Rules that need the manifest."""
INSIDE: Final = (
    *SIGNATURE_RULES,
    *("structure-malformed", *IN_MANIFEST, "metadata-unprotected", "hash-tree-mismatch", "uncovered-bytes"),
    *("bundle-expired", "too-old", "bundle-withdrawn", "below-floor", "nonzero-padding"),
)
"""Rules that need what is inside an encrypted signature."""


class Frame(NamedTuple):
    """The place of the signature, and where the bundle ends. ``declared`` are the bytes that the size states.

    ``problems`` are faults that do not prevent reading the signature.
    """

    signature: Span
    end: int
    head: CmsHead
    problems: tuple[Problem, ...] = ()


def read(source: Source) -> Bundle:
    """Read the signature and the manifest: at most 128 KiB, and one file of a plain image through ``unsquashfs``."""
    start = read_span(source, Span(start=0, stop=min(source.size, squashfs.SUPERBLOCK)))
    bundle = Bundle(format=NAME, aspects=ASPECTS, size=source.size)
    block = squashfs.superblock(start)
    if block and is_stripped(partial(_look, source), block, source.size):
        where = Span(start=source.size - SIZE, stop=source.size)
        message = f"the last {SIZE} bytes state a signature of 0 bytes, so the bundle is not signed"
        return bundle.plus(problems=[Problem(rule="header-out-of-bounds", message=message, where=where)])
    try:
        frame = _frame(source, block)
    except LayoutError as error:
        return bundle.plus(problems=[error.problem])
    bundle = bundle.plus(problems=frame.problems, declared_size=frame.end)
    sections = [Section(name="signature", span=frame.signature)]
    if frame.end <= source.size:
        sections.append(Section(name="signature size", span=Span(start=frame.end - SIZE, stop=frame.end)))
    bundle = bundle.plus(sections=tuple(sections))
    if frame.signature.stop > source.size:
        return bundle
    if frame.head.enveloped:
        return _crypt(bundle, frame.signature.start)
    if frame.signature.size > MAX_SIGNATURE:
        message = f"the signature has {frame.signature.size} bytes, and RAUC accepts at most {MAX_SIGNATURE}"
        where = Span(start=frame.end - SIZE, stop=frame.end)
        return bundle.plus(problems=[Problem(rule="header-out-of-bounds", message=message, where=where)])
    try:
        return _signed(source, bundle, frame, block)
    except LayoutError as error:
        return bundle.plus(problems=[error.problem])


# --- the frame: payload, signature, size ---


def _frame(source: Source, block: squashfs.Superblock | None) -> Frame:
    """The place of the signature. ``block`` is the superblock of the payload if it has one. Raises LayoutError."""
    size = source.size
    found = after_image(partial(_look, source), block) if block else None
    if frame := _by_size(source, block if found is None else None):
        problems = list(frame.problems)
        if found and found[0] < frame.signature.start:
            where = Span(start=found[0], stop=frame.signature.start)
            message = f"a signature at {where} precedes the one at the end, so {where.size} bytes were inserted"
            problems.append(_malformed(message, where))
        return frame._replace(problems=tuple(problems))
    if not block:
        found = encrypted_signature(partial(_look, source), size)
    if found:
        return _by_image(source, *found)
    if block and size < block.padded + LOOK:
        message = f"the file ends after {size} bytes, in its SquashFS image of {block.size} bytes or soon after it"
        raise LayoutError(Problem(rule="truncated", message=message, where=Span(start=size, stop=block.padded)))
    if size < squashfs.SUPERBLOCK:
        message = f"the file ends after {size} bytes, within its header"
        raise LayoutError(Problem(rule="truncated", message=message, where=Span(start=size, stop=squashfs.SUPERBLOCK)))
    if block and size < (end := block.padded + tree_size(block.padded) + LOOK):
        message = f"the file ends after {size} bytes, in the hash tree of its SquashFS image"
        raise LayoutError(Problem(rule="truncated", message=message, where=Span(start=size, stop=end)))
    where = Span(start=size - SIZE, stop=size)
    message = f"the last {SIZE} bytes state a signature of {_stated(source, size)} bytes, but no signature begins there"
    raise LayoutError(Problem(rule="header-out-of-bounds", message=message, where=where))


def _look(source: Source, at: int) -> bytes:
    return read_span(source, Span(start=min(at, source.size), stop=min(at + LOOK, source.size)))


def _stated(source: Source, end: int) -> int:
    return int.from_bytes(read_span(source, Span(start=end - SIZE, stop=end)), "big")


def _by_size(source: Source, block: squashfs.Superblock | None) -> Frame | None:
    """The signature where the size at the end of the file states it, as RAUC finds it; None if there is none.

    With a superblock ``block`` it can also be a damaged one, if it is where the image or its hash tree ends.
    """
    at, stop = stated_place(partial(_look, source), source.size), source.size - SIZE
    if at is None:
        return None
    head = cms_head(_look(source, at))
    if head is None and block and at in signature_places(block):
        head = CmsHead(enveloped=False, size=None)
    if head is None or (head.size or 0) > stop - at:
        return None
    signature = Span(start=at, stop=at + (head.size or stop - at))
    if signature.stop == stop:
        return Frame(signature, source.size, head)
    where = Span(start=signature.stop, stop=stop)
    problem = _malformed(f"{count(where.size, 'byte')} after the signature, within its stated size", where)
    return Frame(signature, source.size, head, (problem,))


def _by_image(source: Source, at: int, head: CmsHead) -> Frame:
    """The signature after the image or its tree, for a file whose last bytes do not lead to it."""
    size = source.size
    stop = at + head.size if head.size else max(size - SIZE, at)
    signature, end = Span(start=at, stop=stop), stop + SIZE
    if size < end:
        message = f"the file ends after {size} of {end} bytes, within its signature or the signature size"
        problem = Problem(rule="truncated", message=message, where=Span(start=size, stop=end))
        return Frame(signature, end, head, (problem,))
    problems = []
    if (stated := _stated(source, end)) != signature.size:
        message = f"the signature has {signature.size} bytes, but its stated size is {stated}"
        where = Span(start=stop, stop=end)
        problems.append(Problem(rule="header-out-of-bounds", message=message, where=where))
    if size > end:
        message = f"{count(size - end, 'byte')} after the signature size, which is the end of the bundle"
        problems.append(Problem(rule="trailing-data", message=message, where=Span(start=end, stop=size)))
    return Frame(signature, end, head, tuple(problems))


# --- the three formats ---


def _crypt(bundle: Bundle, payload: int) -> Bundle:
    """A bundle with an encrypted signature. Only whole blocks can have a hash tree."""
    problems = _unaligned(payload)
    bundle = _with_sections(bundle, Span(start=0, stop=payload))
    unread = Unread(rules=INSIDE, reason=ENCRYPTED, next=DECRYPT)
    return bundle.plus(problems=problems, aspects=WITH_TREE, unread=() if problems else (unread,))


def _signed(source: Source, bundle: Bundle, frame: Frame, block: squashfs.Superblock | None) -> Bundle:
    """A bundle whose signature can be read. Whether it encloses a manifest shows which format it is."""
    value = read_span(source, frame.signature)
    try:
        signed = cms.read_signed_data(value)
    except SignatureFault:  # the signature rules report it
        return bundle.plus(signatures=(_signature(frame, value, ()),))
    if signed.content is not None:
        bundle = bundle.plus(aspects=WITH_TREE, signatures=(_signature(frame, value, ()),))
        return _verity(bundle, frame, block, value, signed.content)
    payload = Span(start=0, stop=frame.signature.start)
    if payload.size > MAX_PLAIN:
        message = (
            f"the payload of a plain bundle has {payload.size} bytes, and RAUC verifies at most {MAX_PLAIN}. Before "
            "version 1.15.2 it signed only the first bytes of a larger one (CVE-2026-34155)"
        )
        raise LayoutError(_malformed(message, Span(start=MAX_PLAIN, stop=payload.stop)))
    digest = signed.signatures[0].message_digest or value
    bundle = _with_sections(bundle, payload).plus(
        problems=_image_problems(block, payload),
        signatures=(_signature(frame, value, (payload,)),),
        head=_place(frame.signature, value, digest),
        head_bytes=digest,
    )
    if any(problem.rule == "structure-malformed" for problem in bundle.problems):
        return bundle
    return _plain(source, bundle.plus(complete=True), payload)


def _signature(frame: Frame, value: bytes, signed: tuple[Span, ...]) -> SignatureClaim:
    adjacent = frame.end == frame.signature.stop + SIZE
    return SignatureClaim(
        index=0,
        signed=signed,
        blob=frame.signature,
        entry=Span(start=frame.signature.start, stop=frame.end if adjacent else frame.signature.stop),
        form="cms-detached" if signed else "cms-enclosing",
        value=value,
    )


def _plain(source: Source, bundle: Bundle, payload: Span) -> Bundle:
    """Read the manifest, a file of the image. The signature covers it with all the rest."""
    from bundlekit.layout import unsquashfs

    data = unsquashfs.read_member(source, payload.size, MANIFEST, MAX_MANIFEST)
    if isinstance(data, unsquashfs.MemberFault):
        if data.damaged:
            return bundle.plus(problems=[Problem(rule="metadata-malformed", message=data.reason, where=payload)])
        return bundle.plus(unread=(Unread(rules=IN_MANIFEST, reason=data.reason, next=data.next),))
    bundle, manifest = _with_manifest(bundle, data, Span(start=0, stop=len(data), stream=MANIFEST), "plain")
    return bundle.plus(packed=rauc_manifest.packed(manifest, payload) if manifest else ())


def _with_manifest(bundle: Bundle, data: bytes, where: Span, kind: str) -> tuple[Bundle, RaucManifest | None]:
    """Read the manifest, which has to be for bundles of this ``kind``; None if it is no key file.

    The bundle keeps its signature in any case: it shows whether the signer wrote these bytes.
    """
    try:
        manifest = rauc_manifest.read(data, where)
    except LayoutError as error:
        return bundle.plus(problems=[error.problem]), None
    problems = list(manifest.problems)
    if manifest.format != kind:
        message = f"the manifest is for the format {manifest.format}, but the signature is that of a {kind} bundle"
        place = manifest.where.get(("bundle", "format"), where)
        problems.append(Problem(rule="metadata-malformed", message=message, where=place))
    document: dict[str, object] = dict(manifest.values)
    return bundle.plus(problems=problems, document=document, release=rauc_manifest.release(manifest)), manifest


def _verity(bundle: Bundle, frame: Frame, block: squashfs.Superblock | None, value: bytes, content: bytes) -> Bundle:
    """Read the manifest in the signature, and claim the hash tree that it describes."""
    head = _place(frame.signature, value, content)
    bundle, manifest = _with_manifest(bundle.plus(head=head, head_bytes=content), content, head, "verity")
    payload = frame.signature.start
    if manifest is None or manifest.format != "verity" or (tree := manifest.tree) is None:
        return _with_sections(bundle, Span(start=0, stop=payload))
    problems, data = _unaligned(payload), payload - tree.size
    if not problems and (data <= 0 or tree_size(data) != tree.size):
        message = f"verity-size is {tree.size} bytes, but that is not the hash tree of {max(data, 0)} bytes"
        problems = [_malformed(message, manifest.where["bundle", "verity-size"])]
    if problems:
        return _with_sections(bundle.plus(problems=problems), Span(start=0, stop=payload))
    claim = TreeClaim(
        subject=PAYLOAD,
        span=Span(start=0, stop=data),
        tree=Span(start=data, stop=payload),
        root=f"sha256:{tree.root}",
        salt=tree.salt,
        block_size=squashfs.BLOCK,
    )
    bundle = _with_sections(bundle, claim.span, Section(name="hash tree", span=claim.tree))
    packed = rauc_manifest.packed(manifest, claim.span)
    return bundle.plus(problems=_image_problems(block, claim.span), claims=(claim,), packed=packed, complete=True)


def _with_sections(bundle: Bundle, payload: Span, *others: Section) -> Bundle:
    first = (Section(name=PAYLOAD, span=payload),) if payload.size else ()
    return replace(bundle, sections=(*first, *others, *bundle.sections))


def _image_problems(block: squashfs.Superblock | None, data: Span) -> list[Problem]:
    """The faults of the payload as an image: what no device could mount."""
    if block is None or block.version != squashfs.VERSION:
        where = Span(start=0, stop=min(squashfs.SUPERBLOCK, data.stop))
        return [_malformed("the payload is not a SquashFS image of version 4.0", where)]
    if block.size > data.size:
        message = f"the SquashFS image states {block.size} bytes, and the payload has {data.size}"
        return [_malformed(message, Span(start=40, stop=48))]
    return []


def _unaligned(payload: int) -> list[Problem]:
    if not (rest := payload % squashfs.BLOCK):
        return []
    message = f"the payload with its hash tree has {payload} bytes, which is not a multiple of {squashfs.BLOCK}"
    return [_malformed(message, Span(start=payload - rest, stop=payload))]


def _place(signature: Span, value: bytes, part: bytes) -> Span:
    start = signature.start + value.index(part)
    return Span(start=start, stop=start + len(part))


def _malformed(message: str, where: Span) -> Problem:
    return Problem(rule="structure-malformed", message=message, where=where)
