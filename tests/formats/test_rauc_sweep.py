"""No truncation, no flipped byte and no other change of a RAUC bundle is accepted; any bytes at all give a report."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit import formats, pipeline
from bundlekit.errors import UnreadableError
from bundlekit.formats import rauc
from bundlekit.layout import foreign, squashfs, unsquashfs
from bundlekit.source import BytesSource, FileSource
from fixtures import forge, spoil_rauc
from fixtures.hash_tree import BLOCK
from tests.formats.test_rauc import judge, parts, sample

NAMES = ("verity", "plain", "crypt", "external")
PARTS = 32
MASKS = (0x01, 0x80)


@pytest.fixture(autouse=True)
def _without_a_program(monkeypatch):
    """A plain bundle never has its manifest here: the signature alone has to find each change."""
    fault = unsquashfs.MemberFault("not read", damaged=False)
    monkeypatch.setattr(unsquashfs, "read_member", lambda *_: fault)


def accepted(changed):
    return [what for what, data in changed if judge(data).verdict == "accept"]


def undamaged(data):
    """Whether the signature of a bundle counts and no rule rejects it."""
    report = judge(data)
    return report.verdict != "reject" and any(one.standing == "counted" for one in report.signatures)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_the_reader_notices_each_truncation(name):
    data = sample(name)
    for size in range(len(data)):
        source = BytesSource(data[:size])
        assert formats.read(source).problems, size
        if size % 16 == 0:
            assert rauc.read(source).problems, size


@pytest.mark.parametrize("name", ["verity", "plain"])
def test_a_truncated_bundle_is_called_one(name):
    """Wherever it ends, but where an image ends that is no bundle, it is a truncated RAUC bundle."""
    whole = parts(name)
    for size in (*range(4, len(whole.data), 61), len(whole.data) - 1, whole.at + 1, whole.at + 40, whole.end):
        bundle = formats.read(BytesSource(whole.data[:size]))
        if size in range(len(whole.payload) - 4095, len(whole.payload) + 1):
            continue  # the whole image, and a part of its padding
        assert bundle.format == "rauc", size
        (problem,) = bundle.problems
        assert (problem.rule, problem.where.start) == ("truncated", size)


def places(name, number):
    """Some of the bytes of a sample, the same ones in every run."""
    mixed = list(range(len(sample(name))))
    random.Random(len(mixed)).shuffle(mixed)  # noqa: S311 - no secret
    return mixed[number::PARTS]


def flips(name, where):
    data = sample(name)
    for at in where:
        for mask in MASKS:
            changed = bytearray(data)
            changed[at] ^= mask
            yield (at, mask), bytes(changed)


numbers = pytest.mark.parametrize(
    "number", [pytest.param(number, marks=pytest.mark.sweep if number >= 0 else ()) for number in range(PARTS)]
)


@numbers
@pytest.mark.parametrize("name", ["verity", "plain"])
def test_no_flipped_byte_is_accepted(name, number):
    assert [what for what, data in flips(name, places(name, number)) if undamaged(data)] == []


@pytest.mark.parametrize("name", ["verity", "plain"])
def test_no_flipped_byte_of_some_is_accepted(name):
    """Every byte of the size, and some of each other part."""
    whole = parts(name)
    some = [*range(0, whole.at, 397), *range(whole.at, whole.end, 29), *range(whole.end, len(whole.data))]
    assert [what for what, data in flips(name, some) if undamaged(data)] == []


@pytest.mark.parametrize("number", [pytest.param(number, marks=pytest.mark.sweep) for number in range(PARTS)])
def test_no_flipped_byte_of_an_encrypted_bundle_is_accepted(number):
    assert accepted(flips("crypt", places("crypt", number))) == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_no_mutated_bundle_is_accepted(name, data):
    whole = sample(name)
    at = data.draw(st.integers(0, len(whole)))
    removed = data.draw(st.integers(0, 9000))
    added = data.draw(st.binary(max_size=64) | st.just(bytes(4096)) | st.just(whole[-2000:]))
    changed = whole[:at] + added + whole[at + removed :]
    assert changed == whole or judge(changed).verdict != "accept"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 2**64 - 1) | st.integers(0, 700))
def test_any_bytes_give_a_report(start, rest, size):
    for begin in (b"", b"hsqs", sample("verity")[:96]):
        data = begin + start + rest + size.to_bytes(8, "big")
        source = BytesSource(data)
        assert rauc.read(source).problems or rauc.read(source).unread
        assert pipeline.check(source).verdict != "accept"


@pytest.mark.exhaustive
@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet="[]=;\\abc. \n\r\t#", max_size=200).map(str.encode))
def test_any_manifest_gives_a_report(text):
    whole = parts("verity")
    assert judge(whole.signed(text)).verdict == "reject"
    assert judge(whole.signed(whole.manifest + b"\n" + text)).verdict in {"accept", "reject"}


def test_only_the_head_of_a_file_is_no_bundle():
    """Its end is not available, and neither is the signature."""
    data = sample("verity")
    for size in (100, 5000, len(data) - 2000):
        assert pipeline.preflight(data[:size], size=len(data)).verdict == "reject"
    for size in (len(data) - 1000, len(data) - 1):  # the beginning of the signature shows what it is
        with pytest.raises(UnreadableError):
            pipeline.preflight(data[:size], size=len(data))


# --- sizes ---


def superblock(size):
    start = bytearray(sample("plain")[: squashfs.SUPERBLOCK])
    start[40:48] = size.to_bytes(8, "little")
    return bytes(start)


@pytest.mark.parametrize("payload", [2**31, 2**32 + 4096, 2**40])
def test_a_plain_bundle_over_2_gib_is_refused_unread(tmp_path, payload):
    """RAUC before 1.15.2 signed only the first bytes of one (CVE-2026-34155). This one is signed in that way."""
    path = tmp_path / "large.raucb"
    start = superblock(payload)
    cms = spoil_rauc.cms_of(start[:5], detached=True)
    with path.open("wb") as file:
        file.write(start)
        file.seek(payload)
        file.write(cms + len(cms).to_bytes(8, "big"))
    report = pipeline.check(path, trust=forge.trust())
    (finding,) = report.findings
    assert (finding.rule, finding.where.start, finding.where.stop) == ("structure-malformed", 2**31 - 1, payload)
    assert "CVE-2026-34155" in finding.message


def test_the_largest_plain_bundle_is_not_refused_for_its_size(tmp_path):
    path = tmp_path / "large.raucb"
    payload = 2**31 - 4096
    cms = spoil_rauc.cms_of(b"hsqs", detached=True)
    with path.open("wb") as file:
        file.write(superblock(payload))
        file.seek(payload)
        file.write(cms + len(cms).to_bytes(8, "big"))
    with FileSource(path) as source:
        bundle = rauc.read(source)
    assert bundle.problems == ()
    assert [one.signed[0].stop for one in bundle.signatures] == [payload]


def sparse(path, payload, *, damage=None):
    """A signed verity bundle of a hole with a superblock in front; its tree is computed by kinds of blocks."""
    import hashlib

    whole = parts("verity")
    salt = bytes.fromhex(whole.value("verity-salt").partition(b"=")[2].decode())
    first = superblock(payload).ljust(BLOCK, b"\0")

    def digest(block):
        return hashlib.sha256(salt + block).digest()

    count = payload // BLOCK
    digests = digest(first) + digest(bytes(BLOCK)) * (count - 1)
    levels = []
    while count > 1:
        level = digests + bytes(-len(digests) % BLOCK)
        levels.insert(0, level)
        digests = b"".join(digest(level[at : at + BLOCK]) for at in range(0, len(level), BLOCK))
        count = len(level) // BLOCK
    tree = b"".join(levels)
    manifest = whole.manifest.replace(whole.value("verity-size"), b"verity-size=%d" % len(tree))
    manifest = manifest.replace(whole.value("verity-hash"), b"verity-hash=" + digests.hex().encode())
    cms = spoil_rauc.cms_of(manifest)
    with path.open("wb") as file:
        file.write(first)
        if damage is not None:
            file.seek(damage)
            file.write(b"\1")
        file.seek(payload)
        file.write(tree + cms + len(cms).to_bytes(8, "big"))


@pytest.mark.parametrize(
    "payload", [64 * 2**20 + 4096, pytest.param(2**32 + 4096, marks=pytest.mark.sweep)], ids=["64M", "4G"]
)
def test_a_large_verity_bundle(tmp_path, payload):
    path = tmp_path / "large.raucb"
    sparse(path, payload)
    report = pipeline.check(path, trust=forge.trust())
    assert (report.verdict, report.coverage.covered) == ("accept", path.stat().st_size)
    sparse(path, payload, damage=payload - 1)
    (finding,) = pipeline.check(path, trust=forge.trust()).findings
    assert (finding.rule, finding.where.start, finding.where.stop) == ("hash-tree-mismatch", payload - BLOCK, payload)


def test_a_signature_over_the_limit_of_rauc_is_refused():
    whole = parts("verity")
    cms = spoil_rauc.cms_of(whole.manifest + b"# " + b"x" * 65536 + b"\n")
    report = judge(spoil_rauc.sealed(whole.payload + whole.tree, cms))
    assert {one.rule for one in report.findings} == {"header-out-of-bounds"}


# --- recognition ---


@pytest.mark.parametrize("padding", [0, 1, 4096, 61440])
def test_an_image_that_is_no_bundle_is_not_called_one(padding):
    image = parts("plain").payload + bytes(padding)
    assert foreign.recognised(foreign.view(BytesSource(image))) is foreign.KINDS["squashfs"]


def test_an_image_of_another_version_is_not_called_one():
    image = bytearray(parts("plain").payload[:5000])
    image[28] = 3
    assert foreign.recognised(foreign.view(BytesSource(bytes(image)))) is foreign.KINDS["squashfs"]
