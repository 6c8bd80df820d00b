"""Compare two bundles: signing keys, statements, contents, upgrade paths.

1. Open both, once.
2. Validate both: head and signatures. The payload is read too if that is requested, or if one of them is not authentic.
3. Parts: by digests, and by the chunk indexes that the signed descriptions pin.
4. Bytes: region by region. The payload is left out if signed digests have already decided.
5. Signers: is each key known from the old bundle, or from a bridge release?
6. Statements: version, impact, requirements and the other fields of the descriptions.
7. The upgrade matrix: who gains, and who loses.
8. The verdict, from the bytes and from what made the comparison incomplete.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bundlekit._version import __version__
from bundlekit.comparison.contents import region_changes
from bundlekit.comparison.matrices import demand_use, matrix_changes
from bundlekit.comparison.obstacles import about_keys, about_sides, unread
from bundlekit.comparison.parts import part_changes
from bundlekit.comparison.sides import ComparisonOptions, examined, side_named
from bundlekit.comparison.signers import SignedBundle, signer_changes
from bundlekit.comparison.statements import fact_changes, is_newer
from bundlekit.comparison.verdict import decided
from bundlekit.matrix.operator import OperatorMatrix
from bundlekit.pipeline import opened
from bundlekit.report.comparison import Comparison, ComparisonRequest
from bundlekit.report.model import Tool

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundlekit.comparison.sides import ComparisonSide
    from bundlekit.integrity import Cancel, ReadProgress
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore

__all__ = ["compare"]


def compare(
    old: str | Path | Source,
    new: str | Path | Source,
    *,
    trust: TrustStore | None = None,
    at: dt.datetime | None = None,
    matrix: OperatorMatrix | Sequence[OperatorMatrix] | None = None,
    full: bool = False,
    strict: bool = False,
    ignore_signatures: bool = False,
    old_components: Mapping[str, str | Path] | None = None,
    new_components: Mapping[str, str | Path] | None = None,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Comparison:
    """Compare the bundles ``old`` and ``new``: signing keys, statements, contents, and upgrade paths.

    - ``trust``: the trusted signers. Both bundles must be signed by them. Without it nothing is authenticated.
    - ``at``: the time to use, with a time zone. The default is now.
    - ``matrix``: one upgrade matrix or several, for bundles in formats that carry none (`load_matrices`). The one whose
      ``[release]`` fits the bundle is used.
    - ``full``: read the payload of both even if signed digests of it can be compared.
    - ``strict``: the comparison is incomplete unless each signing key is continued. A new, unknown or missing key is an
      obstacle then.
    - ``ignore_signatures``: signatures do not count, as for a signed release and an unsigned rebuild. With ``trust``,
      one of the two must be authentic.
    - ``old_components`` and ``new_components``: files for components of a detached head, by label. The others are
      looked for next to the head of their side.

    ``progress`` is a function that is called with the bytes read and the bytes to read. ``cancel`` is a function, and
    the work ends when it returns True.

    A bad bundle raises nothing: see ``Comparison.obstacles``. Raises UnreadableError if a file cannot be read, and
    ChangedWhileReadError if it changes meanwhile. Raises ConfigError if a matrix does not fit its bundle,
    or if a component is not in its head. Raises ClockError if the clock is plainly wrong, and CancelledError if
    ``cancel`` ended the work.
    """
    matrices = () if matrix is None else (matrix,) if isinstance(matrix, OperatorMatrix) else tuple(matrix)
    options = ComparisonOptions(trust, at, matrices, full, strict, ignore_signatures, progress, cancel)
    with ExitStack() as stack:
        with side_named("old"):
            one = stack.enter_context(opened(old, old_components))
        with side_named("new"):
            other = stack.enter_context(opened(new, new_components))
        before, after, checked = examined((one, other), options)
        demand_use(before.bundle, after.bundle, matrices)
        return _compared(before, after, options, checked=checked)


def _compared(old: ComparisonSide, new: ComparisonSide, options: ComparisonOptions, *, checked: bool) -> Comparison:
    """Compare two validated bundles. ``checked``: their payload was compared with their digests."""
    ignoring, at = options.ignore_signatures, old.report.request.at
    obstacles = list(about_sides(old, new, trusting=options.trust is not None, ignore_signatures=ignoring))
    parts, damaged = part_changes(old.opened, new.opened)
    payload = (checked or _only_bytes_can_tell(old, new)) and not (old.too_large or new.too_large)
    regions = region_changes(
        old.opened,
        new.opened,
        payload=payload,
        ignore_signatures=ignoring,
        progress=options.progress,
        cancel=options.cancel,
    )
    obstacles += [*damaged, *(unread(old, new) if regions else ())]
    signing = [SignedBundle(one.bundle, one.report.signatures, one.matrix) for one in (old, new)]
    signers = tuple(signer_changes(*signing, at=at))
    if options.strict and not ignoring:
        obstacles += about_keys(signers, new)
    trust = options.trust.digest if options.trust else None
    return decided(
        Comparison(
            tool=Tool(version=__version__),
            verdict="incomplete",
            summary="",
            request=ComparisonRequest(
                at=at,
                trust=trust,
                full=options.full,
                strict=options.strict,
                ignore_signatures=ignoring,
                old_matrix=old.operator.digest if old.operator else None,
                new_matrix=new.operator.digest if new.operator else None,
            ),
            old=old.described(),
            new=new.described(),
            authenticated=old.authentic and new.authentic,
            payload_read=payload,
            newer=is_newer(old.matrix, new.matrix),
            signers=signers,
            facts=tuple(fact_changes(old.bundle, new.bundle)),
            parts=parts,
            matrix=matrix_changes(old.matrix, new.matrix),
            regions=regions,
            obstacles=tuple(obstacles),
        )
    )


def _only_bytes_can_tell(old: ComparisonSide, new: ComparisonSide) -> bool:
    """Whether two authentic heads differ, and no chunk index shows where their payloads do."""
    return old.bundle.id != new.bundle.id and not (old.has_chunks and new.has_chunks)
