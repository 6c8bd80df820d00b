"""One component of an appliance, in the form that the rules about components use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bundlekit.errors import VersionError
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.decision import ComponentDecision
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.matrix.read import ReadMatrix, ReadSource
    from bundlekit.model.decision import DecisionKind
    from bundlekit.model.matrix import MatrixEntry
    from bundlekit.versions import Version


class Installed(Frozen, frozen=True, kw_only=True):
    """An installed component of the appliance. Its decision is reported under the name ``subject``."""

    subject: str
    component: str
    version: str
    build: str | None = None
    released: str | None = None
    model: str | None = None


class ComponentQuestion:
    """The question about one component, and the answers that a rule can give.

    ``version`` is the installed version as the matrix reads it, and ``fault`` is the reason if it cannot. ``target`` is
    the version in the bundle, and ``own`` is the bundle's spelling of its own version. ``decide`` decides about the
    same component in another version. ``doubts`` are the decisions that depend on an unknown fact.
    """

    version: Version

    def __init__(
        self,
        context: EvaluationContext,
        installed: Installed,
        decide: Callable[[EvaluationContext, Installed], ComponentDecision],
    ) -> None:
        self.context = context
        self.matrix: ReadMatrix = context.matrix
        self.installed = installed
        self.decide = decide
        self.is_primary = installed.component == self.matrix.primary_component
        self.is_appliance = installed.component == APPLIANCE
        self.target = self.matrix.carried[installed.component]
        self.own = self.matrix.own if self.is_primary else self.target
        self.fault: VersionError | None = None
        self.doubts: list[ComponentDecision] = []
        try:
            self.version = self.matrix.parse(installed.component, installed.version)
        except VersionError as fault:
            self.fault = fault

    @cached_property
    def is_known(self) -> bool:
        """Whether the matrix lists the installed version."""
        return self.version in self.matrix.known

    @cached_property
    def source(self) -> ReadSource | None:
        """The source that covers the version: an explicit edge before a range, an update before a re-image."""
        covering = (
            source
            for source in self.matrix.sources
            if source.admits(self.version, listed=self.is_known) and self.concerns(source.entry.models)
        )
        return min(
            covering,
            key=lambda source: (source.range.exact is None, source.entry.method == "reimage"),
            default=None,
        )

    @property
    def is_edge(self) -> bool:
        """Whether the source names exactly this version."""
        return self.source is not None and self.source.range.exact is not None

    def concerns(self, models: tuple[str, ...]) -> bool:
        """Whether an entry for these models, or for all if there are none, is about this component."""
        return not models or self.installed.model in models

    def decided(
        self,
        kind: DecisionKind,
        message: str,
        remedy: str = "",
        entry: MatrixEntry | None = None,
        *,
        override: str = "",
    ) -> ComponentDecision:
        """A decision about the component."""
        return ComponentDecision(
            subject=self.installed.subject,
            component=self.installed.component,
            kind=kind,
            message=message,
            next=remedy,
            entry=entry.id if entry else "",
            installed=self.installed.version,
            target=self.own.text,
            override=override,
        )

    def doubt(
        self, kind: DecisionKind, unknown: str, message: str, remedy: str, entry: MatrixEntry | None = None
    ) -> None:
        """Record an unknown fact, and the kind of decision that could result from it.

        For a version alone it is left open. For an appliance it must be known.
        """
        if self.context.appliance is None:
            self.context.leave_open(unknown, kind)
        else:
            self.doubts.append(self.decided("undecided", message, remedy, entry))
