"""Candidates for the planner, made of manifests in memory."""

from msgspec.structs import replace

from bundlekit.matrix.candidates import CandidateBundle
from bundlekit.matrix.read import UnreadableMatrix, read_matrix
from bundlekit.matrix.toml import matrix_from_toml
from tests.matrix.world import component, manifest


def candidate(version, matrix, *, parts=None, signers=("CN=Release",), signed_by=None, **fields):
    """A bundle of ``version``; ``matrix`` are the keys of its matrix.toml, ``parts`` its components by name."""
    parts = parts or {"appliance": version}
    made = manifest(
        version=version,
        components=tuple(component(name, text) for name, text in parts.items()),
        **{"build": None, "includes": ("HF-118",), "released": "2026-11-23"} | fields,
    )
    made = replace(made, matrix=matrix_from_toml({"matrix": 1} | matrix, "matrix.toml"))
    read = read_matrix(made)
    assert not isinstance(read, UnreadableMatrix), read
    return CandidateBundle(
        matrix=read, bundle=f"{version}.bin", id=f"sha256:{version}", signers=signers, signed_by=signed_by
    )


def anything(**more):
    """A matrix that takes any version from anywhere, listed or not."""
    return {"from": [{"id": "any", "versions": "*", "unlisted": True}]} | more
