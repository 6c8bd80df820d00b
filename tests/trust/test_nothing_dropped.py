"""Everything in a trust file and in the files that it names is used, or the file is rejected."""

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.errors import ConfigError, TrustError
from bundlekit.trust import load_trust
from tests.trust import pki, world
from tests.trust.pki import key, root, signer
from tests.trust.world import ANNA, BERT, CARL, bundle, by, check, demand, rules, trust

ROOT, OTHER = pki.pem(root()), pki.pem(root(common="Other"))
KEY, KEY2 = (pki.pem(key("ed25519", owner).public_key()) for owner in ("Carl", "Other"))
LEAF = pki.pem(world.ANNA_LEAF)
ONE = '[signers.x]\nrole = "production"\n'

STRAY = {
    "an id after the block": b"sha256:" + b"0" * 64 + b"\n",
    "words after the block": b"the new key\n",
    "a second block without its first line": KEY2.partition(b"\n")[2],
    "a second block without marks": b"".join(KEY2.splitlines(keepends=True)[1:-1]),
    "a mark in small letters": KEY2.replace(b"BEGIN PUBLIC", b"begin public"),
    "a mark with four hyphens": KEY2.replace(b"-----B", b"----B"),
    "bytes": b"\x00\x01",
}


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
@pytest.mark.parametrize("block", [ROOT, KEY], ids=["anchor", "key"])
def test_nothing_stands_outside_the_blocks_of_a_pem_file(tmp_path, block, stray):
    file = tmp_path / "a.pem"
    file.write_bytes(block + stray)
    with pytest.raises(TrustError, match=r"outside its PEM blocks|not a PEM file"):
        load_trust(file)
    if b"words" not in stray and b"the new" not in stray and b"\x00" not in stray:
        file.write_bytes(stray + block)
        with pytest.raises(TrustError, match=r"outside its PEM blocks|not a PEM file|cannot be used"):
            load_trust(file)


def test_words_before_a_block_and_comments_explain_it(tmp_path):
    file = tmp_path / "a.pem"
    words = b"Certificate:\n    Data:\n        Signature Algorithm: sha256WithRSAEncryption\n  00:b4:31:98:0a\n"
    file.write_bytes(b"# ours\n" + words + ROOT + b"\n\nsubject=O = TEST\n" + OTHER + b"\n# sha256:abc\n\n")
    assert len(load_trust(file).trusted.anchors) == 2


IN_A_FILE = {
    "two anchors": ("anchor", ROOT + OTHER, None),
    "two keys": ("key", KEY + KEY2, None),
    "a key beside an anchor": ("anchor", ROOT + KEY, "an anchor is the certificate of a CA"),
    "a certificate beside a key": ("key", KEY + ROOT, "a key is a public key"),
    "a signer's certificate beside a key": ("key", KEY + LEAF, "not a CA"),
    "a signer's certificate beside an anchor": ("anchor", ROOT + LEAF, "not a CA"),
    "an unknown label": ("key", KEY.replace(b"PUBLIC KEY", b"RSA PUBLIC KEY"), "'RSA PUBLIC KEY'"),
    "a trusted certificate of OpenSSL": ("anchor", ROOT.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), "'TRUSTED"),
    "bytes after the DER of a key": ("key", None, "damaged"),
    "bytes after the DER of a certificate": ("anchor", None, "cannot be used"),
    "a header in a block": ("key", KEY.replace(b"KEY-----\n", b"KEY-----\nName: x\n\n", 1), "not base64"),
    "DER": ("anchor", pki.der(root()), "not a PEM file"),
}


def with_bytes_behind(pem):
    from base64 import b64decode, b64encode

    lines = pem.splitlines()
    return b"\n".join([lines[0], b64encode(b64decode(b"".join(lines[1:-1])) + b"\0"), lines[-1]]) + b"\n"


@pytest.mark.parametrize(("kind", "data", "words"), IN_A_FILE.values(), ids=IN_A_FILE)
def test_what_the_file_of_a_signer_holds(tmp_path, kind, data, words):
    (tmp_path / "a.pem").write_bytes(data or with_bytes_behind(KEY if kind == "key" else ROOT))
    read = {"signers": f'{ONE}{kind} = "a.pem"\n'}
    if words:
        with pytest.raises((ConfigError, TrustError), match=words):
            trust(tmp_path, **read)
    else:
        found = trust(tmp_path, **read).signers[0].trust
        assert len(found.anchors) + len(found.pinned) == 2


INTERMEDIATES = {
    "a root beside one": (pki.pem(world.INTERMEDIATE) + ROOT, None),
    "a signer's certificate": (pki.pem(world.INTERMEDIATE) + LEAF, "is not an intermediate CA"),
    "a public key": (pki.pem(world.INTERMEDIATE) + KEY, "is not an intermediate CA"),
    "a list": (pki.pem(world.INTERMEDIATE) + b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", "X509 CRL"),
    "words after it": (pki.pem(world.INTERMEDIATE) + b"x\n", "outside its PEM blocks"),
}


@pytest.mark.parametrize(("data", "words"), INTERMEDIATES.values(), ids=INTERMEDIATES)
def test_what_a_file_of_intermediates_holds(tmp_path, data, words):
    world.write(tmp_path)
    (tmp_path / "middle.pem").write_bytes(data)
    more = 'intermediates = "listed"\nintermediate-files = ["middle.pem"]\n'
    if words:
        with pytest.raises(TrustError, match=words):
            trust(tmp_path, more)
    else:
        assert len(trust(tmp_path, more).listed) == 2


# --- deny ---


def of(one):
    """The SHA-256 of a certificate."""
    return hashlib.sha256(pki.der(one)).hexdigest()


CARL_ID = pki.describe(key("ed25519", "Carl").public_key()).id
DENIED = {
    "ids after a block": KEY2 + f"sha256:{CARL_ID}\n".encode(),
    "ids before a block": f"# stolen\nsha256:{CARL_ID}  # Carl\n".encode() + KEY2,
    "ids between blocks": KEY2 + f"sha256:{CARL_ID}\n".encode() + OTHER,
    "the second of two keys": KEY2 + KEY,
}


@pytest.mark.parametrize("data", DENIED.values(), ids=DENIED)
def test_blocks_and_ids_of_a_deny_file_count_together(tmp_path, data):
    world.write(tmp_path)
    (tmp_path / "deny.pem").write_bytes(data)
    store = trust(tmp_path, 'deny = ["deny.pem"]')
    assert pki.describe(key("ed25519", "Other").public_key()).id in store.denied
    assert rules(check(store, bundle(CARL))) == ["signer-denied"]


@pytest.mark.parametrize(
    "line",
    [
        f"sha256:{CARL_ID.upper()}",
        f"SHA256:{CARL_ID}",
        f"sha256:{CARL_ID[:-1]}",
        f"sha256: {CARL_ID}",
        f"sha512:{CARL_ID * 2}",
        CARL_ID,
        ":".join(CARL_ID[place : place + 2] for place in range(0, 64, 2)),
        f"\ufeffsha256:{CARL_ID}",
        f"key sha256:{CARL_ID}",
    ],
    ids=["capitals", "SHA256", "short", "a blank", "sha512", "no algorithm", "colons", "a byte order mark", "words"],
)
def test_what_was_meant_as_an_id_is_one(tmp_path, line):
    world.write(tmp_path)
    for data in (line.encode(), KEY2 + line.encode(), line.encode() + b"\n" + KEY2):
        (tmp_path / "deny.txt").write_bytes(data)
        with pytest.raises(ConfigError, match="is not sha256: and 64 hex digits"):
            trust(tmp_path, 'deny = ["deny.txt"]')
    with pytest.raises(ConfigError, match="is not sha256: and 64 lower-case hex digits"):
        trust(tmp_path, f'deny = ["{line}"]')


def test_words_of_openssl_in_a_deny_file_are_words(tmp_path):
    world.write(tmp_path)
    words = b"Certificate:\n    00:b4:31:98:0a:c4:bc:62:c1:88:aa:dc:b0:c8:bb:\n    sha256WithRSAEncryption\n"
    (tmp_path / "deny.txt").write_bytes(words + KEY2)
    assert len(trust(tmp_path, 'deny = ["deny.txt"]').denied) == 1


def test_a_denied_certificate_denies_its_key(desk):
    """Its owner has another certificate for the same key, or pins it: the page on key rotation promises that."""
    renewed = by(common="Anna", leaf=signer(common="Anna", serial=5))
    assert rules(check(trust(desk, 'deny = ["anna.pem"]'), bundle(renewed))) == ["signer-denied"]
    assert rules(check(trust(desk, 'deny = ["root.pem"]'), bundle(ANNA))) == ["signer-denied"]
    one = trust(desk, f'deny = ["sha256:{of(world.ANNA_LEAF)}"]')  # the certificate alone
    assert rules(check(one, bundle(ANNA))) == ["signer-denied"]
    assert check(one, bundle(renewed)).verdict == "accept"


def test_a_weak_key_can_be_denied(tmp_path):
    world.write(tmp_path)
    (tmp_path / "weak.pem").write_bytes(pki.pem(key("rsa-1024").public_key()))
    assert trust(tmp_path, 'deny = ["weak.pem"]').denied == {pki.describe(key("rsa-1024").public_key()).id}


# --- empty lists ---

EMPTY = {
    "products": ("", f'{ONE}key = "carl.pub.pem"\nproducts = []\n', ""),
    "formats": ("", f'{ONE}key = "carl.pub.pem"\nformats = []\n', ""),
    "key": ("", f'{ONE}anchor = "root.pem"\nkey = []\n', ""),
    "anchor": ("", f'{ONE}key = "carl.pub.pem"\nanchor = []\n', ""),
    "subject": ("", f'{ONE}anchor = "root.pem"\nsubject = []\n', ""),
    "until": ("", f'{ONE}anchor = "root.pem"\nuntil = {{}}\n', ""),
    "deny": ("deny = []", world.SIGNERS, ""),
    "intermediate-files": ('intermediates = "listed"\nintermediate-files = []', world.SIGNERS, ""),
    "crls.files": ("crls = { files = [] }", world.SIGNERS, ""),
    "require": ("require = []", world.SIGNERS, ""),
    "of": ("", world.SIGNERS, "[[require]]\nof = []\n"),
    "algorithms": ("", world.SIGNERS, demand(1, "anna") + "algorithms = []\n"),
    "signers": ("signers = {}", "", ""),
}


@pytest.mark.parametrize(("more", "signers", "end"), EMPTY.values(), ids=EMPTY)
def test_an_empty_list_is_refused(desk, more, signers, end):
    with pytest.raises(ConfigError, match=r"trust\.toml: at '.*it must have at least 1 (item|key)"):
        trust(desk, more, end, signers)


def test_every_list_of_the_schema_is_among_them():
    from bundlekit.schemas import schema

    def lists(node):
        if isinstance(node, dict):
            if node.get("type") == "array":
                yield node
            for one in node.values():
                yield from lists(one)
        elif isinstance(node, list):
            for one in node:
                yield from lists(one)

    found = list(lists(schema("trust")))
    assert len(found) >= 10
    assert all(one.get("minItems") == 1 for one in found)


PIECES = [ROOT, KEY, LEAF, b"-----BEGIN ", b"-----END CERTIFICATE-----", b"sha256:", b"\n", b"#", b"MII", b"\x30\x82"]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=6))
def test_any_bytes_are_trust_or_one_sentence(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("any")
    data = b"".join(pieces)
    (folder / "a.pem").write_bytes(data)
    (folder / "carl.pub.pem").write_bytes(KEY)
    for more, signers in (
        ('deny = ["a.pem"]\n', f'{ONE}key = "carl.pub.pem"\n'),
        ('crls = { files = ["a.pem"] }\n', f'{ONE}key = "carl.pub.pem"\n'),
        ("", f'{ONE}key = "a.pem"\n'),
        ("", f'{ONE}anchor = "a.pem"\n'),
        ('intermediates = "listed"\nintermediate-files = ["a.pem"]\n', f'{ONE}key = "carl.pub.pem"\n'),
    ):
        with contextlib.suppress(ConfigError, TrustError):
            trust(folder, more, signers=signers)


def test_what_is_named_in_the_file_is_asked_of_every_signer(desk):
    assert check(trust(desk), bundle(ANNA, BERT)).verdict == "accept"
