"""House rules: what a careful release has, though a bundle is no worse to install without it.

They warn, and refuse under ``--strict``. They alone can be waived: by name, with a reason and a last day, for
one bundle, from a file that the operator names (``bundlekit explain waivers``).
"""

from __future__ import annotations

from typing import Final

from bundlekit.checks.layout import NO_MANIFEST
from bundlekit.checks.rule import Answer, Case, rule
from bundlekit.model.finding import Fault


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Ask the vendor what the extension means, or update bundlekit.",
    see="manifest",
)
def extension_not_understood(case: Case) -> Answer:
    """The manifest carries an extension that this bundlekit does not understand, and so ignores."""
    if case.bundle.manifest is None:
        return NO_MANIFEST
    return [
        Fault(message=f"the extension {name!r} is not understood", subject=name)
        for name in sorted(case.bundle.manifest.extensions)
    ]


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Say in the SPEC what the update costs: impact = { service = …, reboot = …, minutes = … }.",
    see="manifest",
)
def impact_not_said(case: Case) -> Answer:
    """The manifest does not say what the update does to the service, whether it reboots, and how long it takes.

    Whoever has to plan the night of the update needs all three.
    """
    if case.bundle.manifest is None:
        return NO_MANIFEST
    impact = case.bundle.manifest.impact
    said = {"service": impact.service, "reboot": impact.reboot, "minutes": impact.minutes}
    missing = [name for name, value in said.items() if value is None]
    return [Fault(message=f"the impact of the update lacks {', '.join(missing)}")] if missing else ()


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Name the test record of the entry in the matrix: tested = …; or take the entry out.",
    see="matrix",
)
def source_not_tested(case: Case) -> Answer:
    """An entry of the matrix allows an update without naming a test record, as other entries of it do.

    A matrix in which no entry names one is left alone: then the records are kept elsewhere.
    """
    if case.bundle.manifest is None:
        return NO_MANIFEST
    sources = case.bundle.manifest.matrix.sources
    if not any(one.tested for one in sources):
        return ()
    return [
        Fault(message=f"the update from {one.versions} is allowed, and no test of it is named", entry=one.id)
        for one in sources
        if not one.tested
    ]


RULES: Final = (extension_not_understood, impact_not_said, source_not_tested)
