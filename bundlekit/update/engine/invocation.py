"""The files of an update by name. The journal keeps them, so that a later next step can name them."""

from __future__ import annotations

import os
from typing import Final

from bundlekit.model.primitives import Frozen


class InvocationPaths(Frozen, frozen=True, kw_only=True):
    """The files of an update as its commands name them; empty where only the operator knows."""

    bundle: str = ""
    plan: str = ""
    state: str = ""
    trust: tuple[str, ...] = ()

    def over(self, known: InvocationPaths) -> InvocationPaths:
        """These names, and those ``known`` from before where these are empty."""
        return InvocationPaths(
            bundle=self.bundle or known.bundle,
            plan=self.plan or known.plan,
            state=self.state or known.state,
            trust=self.trust or known.trust,
        )

    def absolute(self) -> InvocationPaths:
        """The names as they hold in any folder, to be kept."""
        return InvocationPaths(
            bundle=_absolute(self.bundle),
            plan=_absolute(self.plan),
            state=_absolute(self.state),
            trust=tuple(map(_absolute, self.trust)),
        )


def _absolute(name: str) -> str:
    return os.path.abspath(name) if name else ""


UNKNOWN: Final = InvocationPaths()
