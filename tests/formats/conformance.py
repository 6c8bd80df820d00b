"""What the tests of all formats need to know of one of them: its samples, its trust file, and its spoiled files.

Each format has them in the same place, so that `test_conformance` tests a new one without a word about it.
"""

import datetime as dt
import hashlib
import json
import shutil
from functools import cache, partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

import bundlekit
from bundlekit.source import BytesSource
from fixtures import forge, make_keys, spoiled
from fixtures.format_reports import FOLDER, reported
from fixtures.spoiled import SpoiledFile, at
from tests.formats import toy
from tests.formats.complete import COMPLETE

AT = dt.datetime.fromisoformat(forge.AT)
NAMES = (*COMPLETE, "toy")
"""All formats of the package that lack nothing, and the one of the page about adding one, which the tests register.

`test_registry` names what a format lacks.
"""

NEEDS = {"plain.raucb": "unsquashfs"}
"""The program that a sample needs to be accepted."""

LINE_ENDS = {"slot.hex": 1}
"""Samples that are text, and the bytes at the end that can be missing: the end of the last line."""


def sign(data):
    """The signature of a toy bundle."""
    key = make_keys.private_key("pinned", None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key.sign(data)


@cache
def trust(name):
    """The trust file next to the samples of a format."""
    file = FOLDER / name / "trust.toml"
    return bundlekit.load_trust([file if name != "toy" else make_keys.KEYS / "trust" / "pinned.pub.pem"])


@cache
def good(name):
    """The accepted samples of a format, by name: those whose report accepts them."""
    if name == "toy":
        return {"toy": toy.write(sign=sign)}
    reports = {file: json.loads(file.with_name(f"{file.name}.json").read_bytes()) for file in reported(name)}
    return {file.name: file.read_bytes() for file, report in reports.items() if report["verdict"] == "accept"}


def spoiled_files(name):
    """The files of a format that must be rejected."""
    if name != "toy":
        return spoiled.of(name)
    data = good("toy")["toy"]
    head = 8 + int.from_bytes(data[4:8], "big")
    other = toy.write(sign=sign, sha256=hashlib.sha256(b"another").hexdigest())
    wrong: dict[str, Any] = {"product": 7, "version": "", "models": ["t", "t"], "counter": True, "size": 0}
    wrong |= {"sha256": "A" * 64, "more": 1}
    return [
        SpoiledFile("payload", lambda: data[:-1] + b"x", "digest-mismatch", at(head + 64, len(data))),
        SpoiledFile("digest", lambda: other, "digest-mismatch", at(head + 64, len(other))),
        SpoiledFile("signature", toy.write, "signature-wrong", at(head, head + 64)),
        SpoiledFile("size", lambda: data[:4] + b"\x01" + data[5:], "structure-malformed", at(4, 8)),
        SpoiledFile("magic-alone", lambda: b"TOY1", "truncated", at(4, 8)),
        SpoiledFile("cut-in-head", lambda: data[:50], "truncated", at(50, head + 64)),
        SpoiledFile("cut", lambda: data[:-1], "truncated", at(len(data) - 1, len(data))),
        SpoiledFile("appended", lambda: data + b"\n", "trailing-data", at(len(data), len(data) + 1)),
        SpoiledFile("field-repeated", lambda: signed(b'{"size": 1, "size": 2}'), "metadata-malformed", at(8, 30)),
        SpoiledFile("list", lambda: signed(b"[]"), "metadata-malformed", at(8, 10)),
        *(
            SpoiledFile(f"{field}-wrong", partial(toy.write, sign=sign, **{field: value}), "metadata-malformed")
            for field, value in wrong.items()
        ),
    ]


def signed(text):
    """A toy bundle with any description, signed."""
    head = b"TOY1" + len(text).to_bytes(4, "big") + text
    return head + sign(head)


def sample_of(name, sample):
    """A sample as a parameter of a test."""
    program = NEEDS.get(sample)
    absent = program is not None and shutil.which(program) is None
    return pytest.param(
        name, sample, id=f"{name}-{sample}", marks=pytest.mark.skipif(absent, reason=f"{program} is not installed")
    )


SAMPLES = [sample_of(name, sample) for name in NAMES for sample in good(name)]
SPOILED = [pytest.param(name, one, id=f"{name}-{one.name}") for name in NAMES for one in spoiled_files(name)]


def check(name, data, store=None, **how):
    """The report about bytes, or about a source, with the trust file of the format or another one."""
    source = BytesSource(data) if isinstance(data, bytes) else data
    return bundlekit.check(source, trust=store or trust(name), at=AT, **how)
