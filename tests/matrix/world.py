"""A small product to decide about: a bundle of 5.40.00 with storage 3.4.0, and a pair at 5.30.02 with 3.2.1."""

from typing import Any

import msgspec

from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.matrix.toml import matrix_from_toml
from bundlekit.model.appliance import Appliance
from bundlekit.model.manifest import Component, FormatVersion, Image, Manifest

MATRIX: dict[str, Any] = {
    "matrix": 1,
    "releases": ["5.20.00", "5.20.03", "5.30.02", "5.32.00", "5.32.01"],
    "aliases": {"5.2": "5.20.00"},
    "from": [{"id": "rolling-530", "versions": ">=5.30.02, <5.40.00"}],
    "works-together": [{"appliance": ">=5.20.00, <5.50.00", "storage": ">=3.2.0, <3.5.0"}],
}

STATE: dict[str, Any] = {
    "schema": "bundlekit/state/1",
    "pair": "imager-0042",
    "product": "imager",
    "model": "im-200",
    "members": {
        "CZ3001": {"role": "active", "version": "5.30.02", "released": "2024-02-10", "free": {"storage": 40 * 2**30}},
        "CZ3002": {"role": "standby", "version": "5.30.02", "released": "2024-02-10", "free": {"storage": 40 * 2**30}},
    },
    "components": {"storage": {"version": "3.2.1"}},
    "counter": 6,
    "includes": ["HF-118"],
    "trusts": ["release-2019"],
    "tool": "1.0.3",
    "facts": {"ha.state": "synchronised", "backup.age": "5 h", "disk.firmware": "7.0"},
}


def component(name, version, *, models=(), **fields):
    image = Image(models=models, size=1, digest="sha256:" + 64 * "0", index="sha256:" + 64 * "0")
    return Component(name=name, version=version, images=(image,), **fields)


def manifest_of(fields: dict[str, Any]) -> Manifest:
    return Manifest(**fields)


def readable(manifest: Manifest) -> ReadMatrix:
    """The matrix of a bundle, which can be read."""
    read = read_matrix(manifest)
    assert isinstance(read, ReadMatrix)
    return read


def manifest(matrix=None, **fields):
    """The bundle; ``matrix`` are keys of matrix.toml besides those of MATRIX, or instead of them."""
    return manifest_of(
        {
            "format": FormatVersion(major=1, minor=0),
            "kind": "release",
            "product": "imager",
            "models": ("im-100", "im-200"),
            "version": "5.40.00",
            "scheme": "dotted",
            "build": "0500212",
            "released": "2026-11-23",
            "counter": 7,
            "includes": ("HF-118", "HF-131"),
            "components": (component("storage", "3.4.0"), component("appliance", "5.40.00")),
            "matrix": matrix_from_toml(MATRIX | (matrix or {}), "matrix.toml"),
        }
        | fields
    )


def state(*, version=None, member=None, **fields):
    """The pair; ``version`` of both members, ``member`` more fields of both, else fields of STATE."""
    plain = STATE | fields
    change = {"version": version} if version else {}
    members = {serial: {**old, **change, **(member or {})} for serial, old in plain["members"].items()}
    return msgspec.convert(plain | {"members": members}, Appliance)
