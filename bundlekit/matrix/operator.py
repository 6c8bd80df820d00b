"""Upgrade matrices that the operator gives, for bundles in formats that carry none.

Each file is a matrix.toml with one more table. ``[release]`` states which release the matrix is for, and what the
format of the bundle leaves open: models, version scheme, release date. A matrix is the operator's word, and no
signature of the vendor covers it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec

from bundlekit import config
from bundlekit.errors import ConfigError
from bundlekit.matrix import consistency
from bundlekit.matrix.read import APPLIANCE
from bundlekit.matrix.toml import MatrixRelease, matrix_from_toml, release_from_toml, trust_text
from bundlekit.model.decision import ComponentDecision, Decision
from bundlekit.model.manifest import Component, FormatVersion, Image, Manifest
from bundlekit.model.matrix import Matrix
from bundlekit.model.primitives import Frozen
from bundlekit.model.release import Release
from bundlekit.wording import command, given

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
    from bundlekit.model.bundle import Problem
    from bundlekit.model.decision import DecisionKind

CERTAIN: Final[frozenset[DecisionKind]] = frozenset({"wrong-product", "wrong-model", "counter-too-low"})
"""The decisions that follow from the bundle alone. Without a matrix, nothing else is decided."""

ADD_SCHEME: Final = 'Add [release] with scheme = "semver" (or pep440, dotted, declared) to the matrix.'

OF_A_SPEC: Final = "If a SPEC.toml names this matrix, give that file instead."

NO_DIGEST: Final = "sha256:" + 64 * "0"


class OperatorMatrix(Frozen, frozen=True, kw_only=True):
    """A matrix that the operator gives, and its statements about the release.

    ``file`` is its name in messages. ``digest`` is the SHA-256 of its content after reading (``sha256:hex``).
    """

    matrix: Matrix
    release: MatrixRelease
    file: str
    digest: str


NOTHING: Final = OperatorMatrix(matrix=Matrix(), release=MatrixRelease(scheme="dotted"), file="", digest="")
"""No matrix: only the decisions in `CERTAIN` can be made, and no version is compared."""


def load_matrix(path: Path) -> OperatorMatrix:
    """The upgrade matrix in the file ``path``, for bundles in formats that carry none.

    The file is a matrix.toml, and can have a table ``[release]``. Raises ConfigError, with the key at fault.
    """
    where = str(path)
    data = config.load_toml(path)
    release = release_from_toml(data.pop("release", {}), where=where)
    matrix = matrix_from_toml(
        data, where=where, read_trust=lambda name: trust_text(path.parent / name, f"{where}: trust-of")
    )
    digest = hashlib.sha256(msgspec.json.encode([matrix, release])).hexdigest()
    return OperatorMatrix(matrix=matrix, release=release, file=where, digest=f"sha256:{digest}")


def load_matrices(paths: Iterable[Path]) -> tuple[OperatorMatrix, ...]:
    """The upgrade matrices in the files and folders ``paths``.

    In a folder, each ``*.toml`` with the key ``matrix`` counts. Raises ConfigError, also for a folder without a matrix.
    """
    found: dict[str, OperatorMatrix] = {}
    for path in paths:
        files = [path]
        if path.is_dir():
            files = [file for file in sorted(path.glob("*.toml")) if "matrix" in config.load_toml(file)]
            if not files:
                raise ConfigError(f"{path}: has no matrix", next_step="A matrix is a .toml file with `matrix = 1`.")
        for file in files:
            found.setdefault(os.path.realpath(file), load_matrix(file))
    return tuple(found.values())


def matrix_for(release: Release, matrices: Sequence[OperatorMatrix]) -> OperatorMatrix | None:
    """The matrix for a bundle. One that names its version is used before one for all versions; None if none fits.

    Raises ConfigError if two of them fit, because which of them counts must not depend on their order.
    """
    fitting = [one for one in matrices if _is_about(release, one) and one.release.version in (None, release.version)]
    fitting = [one for one in fitting if one.release.version] or fitting
    if len(fitting) > 1:
        names = " and ".join(one.file for one in fitting)
        what = f"{release.product} {release.version}".strip()
        raise ConfigError(
            f"{names} are all for {what}, so it is not clear which of them counts",
            next_step="Give one of them, or name its release in [release] with version = … (or product, called).",
        )
    return fitting[0] if fitting else None


def demanded_matrix(release: Release, matrices: Sequence[OperatorMatrix]) -> OperatorMatrix | None:
    """The matrix for a bundle that was given with them. A single matrix of another product is returned as well.

    The decision is then `about_another`. Raises ConfigError as `matrix_for`.
    """
    if len(matrices) == 1 and not _is_about(release, matrices[0]):
        return matrices[0]
    return matrix_for(release, matrices)


def subject_of(operator: OperatorMatrix) -> str:
    """What a matrix is for, in a message."""
    release = " ".join(filter(None, (product_of(operator), operator.release.version)))
    return f"{operator.file} is for {release or 'any release'}"


def product_of(operator: OperatorMatrix) -> str:
    """The product that a matrix names, as the bundle calls it; empty if it names none."""
    return operator.release.called or operator.release.product or ""


def manifest_for(release: Release, operator: OperatorMatrix) -> Manifest:
    """A manifest for the decisions about a bundle in another format: its release, and the operator's matrix.

    The bundle's own values come first, and the operator's fill the gaps. A missing counter is 0, which satisfies no
    appliance that demands one. A missing release date is empty. Raises ConfigError if a value that orders versions is
    given by neither.
    """
    said = operator.release
    scheme = said.scheme or release.scheme or ("declared" if operator.matrix.scheme else "")
    if not scheme:
        raise ConfigError(
            f"{operator.file}: this format does not define the order of its versions",
            next_step=ADD_SCHEME,
        )
    return Manifest(
        format=FormatVersion(major=1, minor=0),
        kind="release",
        product=said.product or ("" if _is_unnamed(release) else release.product),
        models=release.models or said.models,
        version=release.version,
        scheme=scheme,  # type: ignore[arg-type]  # a scheme that does not exist is an unreadable matrix
        build=release.build,
        released=release.released or (said.released.isoformat() if said.released else ""),
        counter=release.counter if release.counter is not None else said.counter or 0,
        components=(
            Component(
                name=APPLIANCE,
                version=release.version,
                images=(Image(size=1, digest=NO_DIGEST, index=NO_DIGEST),),
            ),
        ),
        matrix=operator.matrix,
    )


def manifest_alone(operator: OperatorMatrix) -> Manifest:
    """A manifest for a matrix without any bundle, for its lint and its table. It has what ``[release]`` states.

    Without models there, it has those that the entries name. Raises ConfigError if the release or the order of its
    versions is not stated.
    """
    said = operator.release
    if not said.version:
        raise ConfigError(
            f"{operator.file}: no release is named, so there is no decision about an installed version",
            next_step="Add [release] with version = … to the matrix, or check a bundle with it: "
            f"{command('check', 'BUNDLE', matrix=operator.file, sources='VERSION')}. {OF_A_SPEC}",
        )
    return _alone(operator, said.version)


def manifest_without_release(operator: OperatorMatrix) -> Manifest:
    """The manifest as `manifest_alone` makes it. Without a version in ``[release]``, it has the last listed release.

    It is only suitable for the faults of the matrix itself, not for decisions. Raises ConfigError as `manifest_alone`,
    also if no release is listed.
    """
    listed = operator.matrix.releases
    return manifest_alone(operator) if operator.release.version or not listed else _alone(operator, listed[-1])


def _alone(operator: OperatorMatrix, version: str) -> Manifest:
    said, matrix = operator.release, operator.matrix
    if not (said.scheme or matrix.scheme):
        raise ConfigError(
            f"{operator.file}: the scheme that orders its versions is not stated, and no bundle states it",
            next_step=f"{ADD_SCHEME} {OF_A_SPEC}",
        )
    limits = [entry.models for entry in matrix.sources] + [entry.models for entry in matrix.blocks]
    models = said.models or tuple(dict.fromkeys(model for limit in limits for model in limit))
    return manifest_for(Release(product=product_of(operator), version=version, models=models), operator)


def operator_fault(problem: Problem, operator: OperatorMatrix) -> str:
    """A problem of `inconsistencies` with the file and the key to correct."""
    if "beside" in problem.params:
        return f"{operator.file}: release.{problem.message.removeprefix('Manifest, ')}"
    return consistency.fault_in_file(problem, operator.file)


def require_consistent(operator: OperatorMatrix, manifest: Manifest, read: ReadMatrix | UnreadableMatrix) -> None:
    """ConfigError for a fault of the matrix itself, which `bundlekit build` rejects in a SPEC as well.

    ``manifest`` is that of `manifest_for`, and ``read`` its matrix. A version of the bundle that the scheme does not
    fit is no fault of the matrix. Neither is an entry for a model that this bundle is not for.
    """
    for_these = bool(operator.release.models) and manifest.models == operator.release.models
    faults = [
        operator_fault(problem, operator)
        for problem in consistency.inconsistencies(manifest, read)
        if "beside" not in problem.params and (problem.params["field"] != "models" or for_these)
    ]
    if faults:
        first, more = faults[0].rstrip("."), f" ({len(faults) - 1} more of these)" * (len(faults) > 1)
        lint = command("matrix lint", operator.file)
        raise ConfigError(f"{first}{more}", next_step=f"Correct it. {lint} lists all faults of the matrix.")


def about_another(release: Release, operator: OperatorMatrix, subject: str, *, pair: str = "") -> Decision | None:
    """The decision if the matrix is about another product than the bundle; None if it is about this one."""
    if _is_about(release, operator):
        return None
    decided = ComponentDecision(
        subject=subject,
        kind="wrong-product",
        message=f"The matrix is for {product_of(operator)}, but the product of the bundle is {release.product}.",
        next=f"Give the matrix of that product, or correct [release] in {operator.file} ({given('matrix')}).",
        target=release.version,
    )
    return Decision(
        product=release.product, version=release.version, pair=pair, overall=decided, component_decisions=(decided,)
    )


def _is_about(release: Release, operator: OperatorMatrix) -> bool:
    """Whether a matrix is about the product of the bundle, or one of the two is not named."""
    expected = operator.release.called or ("" if _is_unnamed(release) else operator.release.product)
    return not expected or not release.product or expected == release.product


def _is_unnamed(release: Release) -> bool:
    """Whether the format has no name of a product, so that the one of the release is a substitute."""
    return release.terms is not msgspec.UNSET and release.terms.unnamed
