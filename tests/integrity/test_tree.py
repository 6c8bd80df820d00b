"""Hash trees of dm-verity: computed again, compared with a second implementation, and spoiled at every level."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.errors import CancelledError
from bundlekit.integrity import MAX_REPORTED, measure
from bundlekit.layout.hash_tree import level_sizes
from bundlekit.model.bundle import TreeClaim
from bundlekit.model.evidence import TreeEvidence
from bundlekit.source import BytesSource
from fixtures.hash_tree import BLOCK, tree_over
from tests.integrity.claims import Watched, noise, span

SALT = bytes(range(32))


def with_tree(data, **how):
    """A file of ``data`` and its tree, and the claim about both."""
    tree, root = tree_over(data, **{"salt": SALT} | how)
    whole = data + tree
    claim = TreeClaim(
        subject="payload",
        span=span(0, len(data)),
        tree=span(len(data), len(whole)),
        root=root,
        salt=how.get("salt", SALT),
        block_size=how.get("block", BLOCK),
    )
    return whole, claim


def measured(data, claim, threads=2):
    (tree,) = measure(BytesSource(data), [claim], threads=threads).trees
    return tree


def flipped(data, *places):
    changed = bytearray(data)
    for at in places:
        changed[at] ^= 1
    return bytes(changed)


def healthy(claim):
    return TreeEvidence(subject="payload", span=claim.span, blocks=claim.span.size // claim.block_size)


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 1024, 1025, 2 * 128 * 128 // 100, 128 * 128 + 1])
def test_a_healthy_tree(blocks):
    whole, claim = with_tree(noise(blocks * BLOCK))
    for threads in (1, 3):
        assert measured(whole, claim, threads) == healthy(claim)


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "sha1"])
@pytest.mark.parametrize("block", [1024, 8192])
def test_other_digests_and_blocks(algorithm, block):
    """A digest takes a power of two of bytes in a block."""
    whole, claim = with_tree(noise(40 * block), algorithm=algorithm, block=block, salt=b"")
    assert measured(whole, claim) == healthy(claim)
    assert measured(flipped(whole, 3 * block), claim).damaged == (span(3 * block, 4 * block),)


def test_levels():
    assert level_sizes(BLOCK, BLOCK, 32) == []
    assert level_sizes(128 * BLOCK, BLOCK, 32) == [1]
    assert level_sizes(129 * BLOCK, BLOCK, 32) == [2, 1]
    assert level_sizes(2**30, BLOCK, 32) == [2048, 16, 1]


def test_adjacent_damaged_blocks_are_one_span():
    whole, claim = with_tree(noise(2000 * BLOCK))
    spoiled = flipped(whole, 0, 1023 * BLOCK, 1024 * BLOCK, 1025 * BLOCK + 4095, 1999 * BLOCK + 7)
    found = measured(spoiled, claim)
    assert found.damaged == (
        span(0, BLOCK),
        span(1023 * BLOCK, 1026 * BLOCK),
        span(1999 * BLOCK, 2000 * BLOCK),
    )
    assert (found.damaged_count, found.tree_damaged) == (5, ())


def test_the_list_of_damaged_spans_is_capped():
    whole, claim = with_tree(noise(1200 * BLOCK))
    found = measured(flipped(whole, *range(0, 1200 * BLOCK, 2 * BLOCK)), claim)
    assert (len(found.damaged), found.damaged_count) == (MAX_REPORTED, 600)


@pytest.mark.exhaustive
@pytest.mark.parametrize("level", range(3))
def test_damage_in_the_tree_is_not_blamed_on_the_data(level):
    """Nothing is compared under a damaged block. The padding at the end of a level counts as well."""
    whole, claim = with_tree(noise((128 * 128 + 1) * BLOCK))
    first = {2: 0, 1: 1, 0: 3}[level]  # the levels have 1, 2 and 129 blocks; the highest one is first
    last = {2: 1, 1: 3, 0: 132}[level] - 1
    for block in (first, last):
        where = claim.tree.start + block * BLOCK
        for at in (where, where + BLOCK - 1):
            found = measured(flipped(whole, at), claim)
            assert found.tree_damaged == (span(where, where + BLOCK),)
            assert (found.damaged, found.damaged_count) == ((), 0)


def test_damage_in_tree_and_data():
    whole, claim = with_tree(noise(300 * BLOCK))
    lowest = claim.tree.start + BLOCK
    found = measured(flipped(whole, lowest + BLOCK, 5 * BLOCK, 128 * BLOCK, 299 * BLOCK), claim)
    assert found.tree_damaged == (span(lowest + BLOCK, lowest + 2 * BLOCK),)
    # Block 128 is under the damaged block of the tree. Block 5 and block 299 are not.
    assert found.damaged == (span(5 * BLOCK, 6 * BLOCK), span(299 * BLOCK, 300 * BLOCK))


def test_a_wrong_root_or_salt():
    whole, claim = with_tree(noise(300 * BLOCK))
    root = claim.tree.start
    for name, value in (("root", f"sha256:{64 * '0'}"), ("root", f"sha256:{64 * 'f'}"), ("salt", b"")):
        other = TreeClaim(**{**{key: getattr(claim, key) for key in claim.__struct_fields__}, name: value})
        found = measured(whole, other)
        assert found.tree_damaged == (span(root, root + BLOCK),)


def test_a_digest_of_zeros_in_an_intact_tree_is_a_digest():
    """The unused end of a level has zeros. A block of data that is added there must not escape comparison."""
    data = noise(130 * BLOCK)
    whole, claim = with_tree(data)
    longer = data + noise(BLOCK) + whole[len(data) :]
    other = TreeClaim(
        subject="payload",
        span=span(0, 131 * BLOCK),
        tree=span(131 * BLOCK, len(longer)),
        root=claim.root,
        salt=SALT,
    )
    found = measured(longer, other)
    assert (found.damaged, found.tree_damaged) == ((span(130 * BLOCK, 131 * BLOCK),), ())


@pytest.mark.parametrize(
    ("data", "tree"),
    [
        ((0, 300 * BLOCK), (300 * BLOCK, 303 * BLOCK)),
        ((0, 300 * BLOCK), (299 * BLOCK, 304 * BLOCK)),
        ((0, 100 * BLOCK), (300 * BLOCK, 304 * BLOCK)),
        ((0, 300 * BLOCK - 1), (300 * BLOCK, 304 * BLOCK)),
        ((0, 0), (300 * BLOCK, 304 * BLOCK)),
        ((0, 100), (300 * BLOCK, 300 * BLOCK)),
    ],
)
def test_a_tree_of_another_size_is_damaged_as_a_whole(data, tree):
    whole, claim = with_tree(noise(300 * BLOCK))
    wrong = TreeClaim(subject="payload", span=span(*data), tree=span(*tree), root=claim.root, salt=SALT)
    assert measured(whole, wrong).tree_damaged == (span(*tree),)


def test_every_byte_is_read_once():
    whole, claim = with_tree(noise(3000 * BLOCK))
    source = Watched(whole)
    progress = []
    measure(source, [claim], threads=2, progress=lambda done, total: progress.append((done, total)))
    assert source.count == len(whole)
    assert progress[-1] == (len(whole), len(whole))


def test_a_tree_is_cancelled():
    whole, claim = with_tree(noise(3000 * BLOCK))
    with pytest.raises(CancelledError):
        measure(BytesSource(whole), [claim], cancel=lambda: True)


@given(st.integers(1, 600), st.lists(st.integers(0, 2**31), max_size=3))
def test_any_damage_is_found(blocks, places):
    whole, claim = with_tree(noise(blocks * BLOCK))
    places = {at % len(whole) for at in places}
    found = measured(flipped(whole, *places), claim)
    assert bool(places) == bool(found.damaged or found.tree_damaged)


needs_veritysetup = pytest.mark.skipif(shutil.which("veritysetup") is None, reason="veritysetup is not installed")


@needs_veritysetup
@pytest.mark.parametrize("blocks", [2, 129, 128 * 128 + 1])
def test_veritysetup_makes_the_same_tree(tmp_path, blocks):
    data = noise(blocks * BLOCK)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "tree").write_bytes(b"")
    command = ["veritysetup", "format", "--no-superblock", "--salt", SALT.hex(), tmp_path / "data", tmp_path / "tree"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    root = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Root hash:"))
    whole, claim = with_tree(data)
    assert (whole[len(data) :], claim.root) == ((tmp_path / "tree").read_bytes(), f"sha256:{root}")
