"""The files of an update by name, for the commands that people are told to paste."""

from __future__ import annotations

import os
import shlex
from typing import Final

from bundlekit.model.primitives import Frozen


class Names(Frozen, frozen=True, kw_only=True):
    """The files of an update as its commands name them; empty where only the operator knows."""

    bundle: str = ""
    plan: str = ""
    state: str = ""
    trust: tuple[str, ...] = ()

    def quoted(self) -> dict[str, str]:
        """The names as a shell takes them, or a word that stands for one; ``trust`` with its options."""
        return {
            "bundle": shlex.quote(self.bundle or "BUNDLE"),
            "plan": shlex.quote(self.plan or "PLAN.toml"),
            "state": shlex.quote(self.state or "STATE.json"),
            "trust": " ".join(f"--trust {shlex.quote(name)}" for name in self.trust or ("TRUST",)),
        }

    def over(self, known: Names) -> Names:
        """These names, and those ``known`` from before where these are empty."""
        return Names(
            bundle=self.bundle or known.bundle,
            plan=self.plan or known.plan,
            state=self.state or known.state,
            trust=self.trust or known.trust,
        )

    def absolute(self) -> Names:
        """The names as they hold in any folder, to be kept."""
        return Names(
            bundle=_absolute(self.bundle),
            plan=_absolute(self.plan),
            state=_absolute(self.state),
            trust=tuple(map(_absolute, self.trust)),
        )


def _absolute(name: str) -> str:
    return os.path.abspath(name) if name else ""


UNKNOWN: Final = Names()
