"""The files of an update by name. The journal keeps them, so that a later next step can name them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


class InvocationPaths(Frozen, frozen=True, kw_only=True):
    """The files of an update as its commands name them; empty where only the operator knows.

    ``components`` are the files of components that the operator named, by label. The others are next to the bundle.
    """

    bundle: str = ""
    components: dict[str, str] = {}
    plan: str = ""
    state: str = ""
    trust: tuple[str, ...] = ()

    def over(self, known: InvocationPaths) -> InvocationPaths:
        """These names, and those ``known`` from before where these are empty."""
        return InvocationPaths(
            bundle=self.bundle or known.bundle,
            components=self.components or known.components,
            plan=self.plan or known.plan,
            state=self.state or known.state,
            trust=self.trust or known.trust,
        )

    def with_components(self, components: Mapping[str, os.PathLike[str] | str] | None) -> InvocationPaths:
        """These names, and the files of components by label."""
        named = {label: os.fspath(file) for label, file in (components or {}).items()}
        return replace(self, components=named) if named else self

    def absolute(self) -> InvocationPaths:
        """The names as they hold in any folder, to be kept."""
        return InvocationPaths(
            bundle=_absolute(self.bundle),
            components={label: _absolute(name) for label, name in self.components.items()},
            plan=_absolute(self.plan),
            state=_absolute(self.state),
            trust=tuple(map(_absolute, self.trust)),
        )


def _absolute(name: str) -> str:
    return os.path.abspath(name) if name else ""


UNKNOWN: Final = InvocationPaths()
