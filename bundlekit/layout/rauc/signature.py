"""Where the signature of a RAUC bundle is: its last 8 bytes state the size, and the image before it its own size.

The two places agree in an intact bundle. In a damaged one, the other place still shows what happened to the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.layout import squashfs
from bundlekit.layout.cms_types import ENVELOPED_DATA, SIGNED_DATA
from bundlekit.layout.hash_tree import level_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE: Final = 8
"""Bytes of the size at the end of the file: big-endian, without sign."""
LOOK: Final = 32
"""Bytes that show the beginning of a CMS object."""
MAX_SIGNATURE: Final = 64 * 1024
"""Bytes of a signature: RAUC's own limit, unless its configuration raises it (``max-bundle-signature-size``)."""
DIGEST_SIZE: Final = 32
"""Bytes of SHA-256, the only digest of RAUC's hash tree."""


class CmsHead(NamedTuple):
    """The beginning of a CMS object: whether it is encrypted, and its size in bytes; None if it does not state it."""

    enveloped: bool
    size: int | None


def cms_head(start: bytes) -> CmsHead | None:
    """The CMS object at the beginning of ``start``; None if it is no SignedData and no EnvelopedData."""
    if len(start) < LOOK or start[0] != 0x30:
        return None
    count = start[1] - 0x80 if start[1] >= 0x80 else 0
    if count > 8 or not start.startswith((SIGNED_DATA, ENVELOPED_DATA), 2 + count):
        return None
    length = int.from_bytes(start[2 : 2 + count], "big") if count else start[1]
    return CmsHead(start.startswith(ENVELOPED_DATA, 2 + count), None if start[1] == 0x80 else 2 + count + length)


def tree_size(size: int) -> int:
    """Bytes of the hash tree over ``size`` bytes."""
    return sum(level_sizes(size, squashfs.BLOCK, DIGEST_SIZE)) * squashfs.BLOCK


def signature_places(block: squashfs.Superblock) -> tuple[int, ...]:
    """Where a signature can begin: after the image and its padding, after a hash tree, or at once after the image."""
    return tuple(dict.fromkeys((block.padded, block.padded + tree_size(block.padded), block.size)))


def after_image(look: Callable[[int], bytes], block: squashfs.Superblock) -> tuple[int, CmsHead] | None:
    """The offset and the beginning of the signature after the image, or after its hash tree; None if there is none.

    ``look`` gives up to `LOOK` bytes at an offset of the file.
    """
    for at in signature_places(block):
        if head := cms_head(look(at)):
            return at, head
    return None


def stated_place(look: Callable[[int], bytes], size: int) -> int | None:
    """The offset of the signature by the size at the end of a file of ``size`` bytes; None if it cannot be true."""
    stop = size - SIZE
    if stop < LOOK:
        return None
    stated = int.from_bytes(look(stop)[:SIZE], "big")
    return stop - stated if 0 < stated <= stop else None


def encrypted_signature(look: Callable[[int], bytes], size: int) -> tuple[int, CmsHead] | None:
    """The offset and the beginning of the last encrypted signature; None if there is none near the end of the file.

    An encrypted image has no superblock, so nothing else shows the place if the size at the end is damaged. The image
    has whole blocks.
    """
    last = (size - 1) // squashfs.BLOCK * squashfs.BLOCK
    for at in range(last, max(last - MAX_SIGNATURE - squashfs.BLOCK, 0), -squashfs.BLOCK):
        if (head := cms_head(look(at))) and head.enveloped and head.size:
            return at, head
    return None


def is_stripped(look: Callable[[int], bytes], block: squashfs.Superblock, size: int) -> bool:
    """Whether the file has the size of a signature, zero, at once after the image or its hash tree.

    An image without padding can end with such zeros of its own, so its unpadded end does not count.
    """
    places = (block.padded, block.padded + tree_size(block.padded))
    return size - SIZE in places and look(size - SIZE) == bytes(SIZE)


def is_damaged(look: Callable[[int], bytes], start: bytes, size: int) -> bool:
    """Whether a file that begins with ``start`` is a RAUC bundle, although its end is not that of one.

    Its signature, damaged or not, is where the image ends, or the file ends in the image or soon after it.
    """
    block = squashfs.superblock(start)
    if block is None:
        return size < squashfs.SUPERBLOCK and start.startswith(squashfs.MAGIC)
    if block.version != squashfs.VERSION:
        return False
    if size < block.size or after_image(look, block) or stated_place(look, size) in signature_places(block):
        return True
    if is_stripped(look, block, size):
        return True
    # The padding of an image that is no bundle has zeros, and a hash tree or a signature begins with other bytes.
    end = block.padded + tree_size(block.padded) + LOOK
    return block.padded < size < end and any(look(block.padded))
