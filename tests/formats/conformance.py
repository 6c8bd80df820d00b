"""What the tests of all formats need to know of one of them: its name, its samples, and its trust file.

Each format has them in the same place, fixtures/formats/NAME. A sample with a report next to it is a golden one.
"""

import datetime as dt
import json
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

import bundlekit
from bundlekit import formats
from bundlekit.source import BytesSource
from fixtures import forge, make_keys
from tests.formats import toy

AT = dt.datetime.fromisoformat(forge.AT)
FOLDER = Path(make_keys.KEYS).parent / "formats"
NAMES = (*formats.FORMATS, "toy")
"""All formats of the package, and the one of the page about adding one, which the tests register."""


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
def golden(name):
    """The golden reports of a format, by the name of the sample that each is about."""
    reports = [json.loads(file.read_bytes()) for file in sorted((FOLDER / name).glob("*.json"))]
    return {report["request"]["file"]: report for report in reports}


@cache
def good(name):
    """The accepted samples of a format, by name."""
    if name == "toy":
        return {"toy": toy.write(sign=sign)}
    accepted = [sample for sample, report in golden(name).items() if report["verdict"] == "accept"]
    return {sample: (FOLDER / name / sample).read_bytes() for sample in accepted}


SAMPLES = [(name, sample) for name in NAMES for sample in good(name)]


def check(name, data, **how):
    """The report about bytes, or about a source, with the trust file of the format."""
    source = BytesSource(data) if isinstance(data, bytes) else data
    return bundlekit.check(source, trust=trust(name), at=AT, **how)
