"""The shape of a hash tree of dm-verity, hash type 1 (Linux kernel, admin-guide/device-mapper/verity)."""

from __future__ import annotations


def level_sizes(size: int, block_size: int, digest_size: int) -> list[int]:
    """The blocks of each level of the tree over ``size`` bytes, the lowest level first. Sizes are in bytes.

    The file has the levels in the opposite order. One block of data has no tree: its digest is the root.
    """
    per_block = block_size // slot_size(digest_size)
    sizes, count = [], size // block_size
    while count > 1:
        count = -(-count // per_block)
        sizes.append(count)
    return sizes


def slot_size(digest_size: int) -> int:
    """The bytes that a digest takes in a block: the next power of two."""
    return 1 << (digest_size - 1).bit_length()
