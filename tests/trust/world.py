"""A small world of people who sign, and one call from their signatures and a trust.toml to a report.

Anna and Bert have certificates under one root; Anna has an ML-DSA key besides. Carl's key is pinned. Eve has a
PKI of her own. Signatures are written by asn1crypto (`pki.forge`), so that it is not our own writer that is
judged. All keys are TEST keys, so every trust.toml here allows them, unless it is about that.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from bundlekit import pipeline
from bundlekit.source import BytesSource
from bundlekit.trust import policy
from fixtures import forge
from tests.trust import pki
from tests.trust.pki import intermediate, key, root, signer


def digest(kind):
    """The digest beside signatures by this kind of key."""
    return "sha512" if kind.startswith(("ed", "ml")) else "sha256"


def by(kind="p256", common="Signer", *, issuer="Root", issuer_kind="p256", above=(), leaf=None, **options):
    """A signature by somebody with a certificate: a function of the head."""
    line = [leaf or signer(kind, issuer, issuer_kind, common), *above]
    return cache(lambda head: pki.forge(key(kind, common), line, head=head, **{"digest": digest(kind), **options}))


def pinned(kind, common, **options):
    """A signature by somebody whose key is pinned: no certificate comes along."""
    return cache(lambda head: pki.forge(key(kind, common), [], head=head, **{"digest": digest(kind), **options}))


ANNA_LEAF = signer(common="Anna")
ANNA, BERT, CARL = by(common="Anna", leaf=ANNA_LEAF), by(common="Bert"), pinned("ed25519", "Carl")
ANNA_PQ = pinned("ml-dsa-65", "Anna")
DORA_PQ = by("ml-dsa-65", "Dora", issuer="Root PQ", issuer_kind="ml-dsa-65")
DORA_MIXED = by("ml-dsa-65", "Dora", issuer="Root RSA", issuer_kind="rsa-2048")
EVE = by(common="Eve", issuer="Eve's Root")
INTERMEDIATE = intermediate()
FRED = by(common="Fred", issuer="Intermediate", above=[INTERMEDIATE])

FILES = {
    "root.pem": root,
    "root-pq.pem": lambda: root("ml-dsa-65", "Root PQ"),
    "root-rsa.pem": lambda: root("rsa-2048", "Root RSA"),
    "intermediate.pem": lambda: INTERMEDIATE,
    "anna-pq.pub.pem": lambda: key("ml-dsa-65", "Anna").public_key(),
    "carl.pub.pem": lambda: key("ed25519", "Carl").public_key(),
    "anna.pem": lambda: ANNA_LEAF,
}

HEAD = """
trust = 1
allow-test-keys = true
"""

SIGNERS = """
[signers.anna]
role = "production"
anchor = "root.pem"
subject = "CN=Anna,O=TEST ONLY"
key = "anna-pq.pub.pem"
[signers.bert]
role = "production"
anchor = "root.pem"
subject = "CN=Bert,O=TEST ONLY"
[signers.carl]
role = "development"
key = "carl.pub.pem"
[signers.dora]
role = "production"
anchor = ["root-pq.pem", "root-rsa.pem"]
"""


def write(folder: Path) -> Path:
    """The files that trust.toml names."""
    for name, make in FILES.items():
        (folder / name).write_bytes(pki.pem(make()))
    return folder


def trust(folder: Path, more: str = "", end: str = "", signers: str = SIGNERS):
    """The trust store of a trust.toml in ``folder``."""
    return policy.parse(tomllib.loads(HEAD + more + signers + end), folder / "trust.toml")


def demand(count: int, *of: str, algorithms: tuple[str, ...] = ()) -> str:
    names = ", ".join(f'"{one}"' for one in of)
    kinds = ", ".join(f'"{one}"' for one in algorithms)
    return f"[[require]]\ncount = {count}\nof = [{names}]\n" + (f"algorithms = [{kinds}]\n" if kinds else "")


def bundle(*signatures, capacity=65536, **changes):
    """A bundle with these signatures; ``changes`` are other values in its manifest."""
    manifest = forge.replace(forge.MANIFEST, **changes)
    return forge.write(manifest, sign=lambda head: [one(head) for one in signatures], capacity=capacity)


def check(store, data, *, at=pki.NOW):
    """The report on a bundle."""
    return pipeline.check(BytesSource(data), trust=store, at=at)


def rules(report):
    """The rules that failed, each once."""
    return [one.rule for one in report.rules if one.outcome == "failed"]
