"""Documents in a bundle that name its components: SBOMs, attestations and VEX documents.

They are read and compared, and never converted. Each format has a module of its own, which gives the artifacts that a
document names. `bundlekit.evidence.kinds` recognises the format, and `bundlekit.evidence.comparison` compares the
artifacts with the components. ``bundlekit explain documents`` describes the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.integrity import Cancel
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.evidence import DocumentEvidence, Evidence
    from bundlekit.source import Source

__all__ = ["read_documents"]


def read_documents(
    source: Source, bundle: Bundle, measured: Evidence, cancel: Cancel | None = None
) -> tuple[DocumentEvidence, ...]:
    """The documents of ``bundle`` whose format is known, each compared with the components.

    ``measured`` has the chunks that were compared before. A damaged document is left out. Raises
    ChangedWhileReadError if a document changed since, and CancelledError if ``cancel`` returned True.
    """
    if bundle.manifest is None or not bundle.manifest.documents:
        return ()
    from bundlekit.evidence.measure import compared_documents  # most bundles have no document

    return compared_documents(source, bundle, bundle.manifest, measured, cancel)
