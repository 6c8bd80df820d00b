"""A plugin for pytest: ``assert_ships`` and ``assert_rejected``, whose failure text is the report.

pytest loads this module at each start, in every environment that has bundlekit. It therefore imports nothing of the
library until an assertion runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundlekit.report.model import Report
    from bundlekit.request import CheckRequest
    from bundlekit.trust import TrustStore

    Trust = TrustStore | str | Path | Sequence[str | Path]


class AssertShips(Protocol):
    """The fixture ``assert_ships``."""

    def __call__(self, bundle: str | Path, *, trust: Trust | None = None, **request: Any) -> Report:
        """As `assert_ships`."""


class AssertRejected(Protocol):
    """The fixture ``assert_rejected``."""

    def __call__(
        self,
        bundle: str | Path,
        by: str | Iterable[str],
        *,
        trust: Trust | None = None,
        **request: Any,
    ) -> Report:
        """As `assert_rejected`."""


def assert_ships(
    bundle: str | Path, *, trust: Trust | None = None, start: Path | None = None, **request: Any
) -> Report:
    """Fail the test with the report unless the bundle is accepted. The report is returned.

    ``trust`` is a trust.toml, PEM files or a folder of them, or what `bundlekit.load_trust` returned. ``request`` has
    fields of `bundlekit.CheckRequest`, such as ``sources=["1.5.0"]`` and ``strict=True``. It can have the
    ``components`` of a detached head too, as `bundlekit.check` takes them. What is not given comes from
    the project file of ``start``, by default the working folder (``bundlekit explain project``). Raises
    BundlekitError if the bundle or the trust cannot be read.
    """
    __tracebackhide__ = True
    report = _checked(bundle, trust, start, request)
    if report.verdict != "accept":
        pytest.fail(_text(report), pytrace=False)
    return report


def assert_rejected(
    bundle: str | Path,
    by: str | Iterable[str],
    *,
    trust: Trust | None = None,
    start: Path | None = None,
    **request: Any,
) -> Report:
    """Fail the test with the report unless the bundle is rejected ``by`` these rules or causes, and by nothing more.

    It has to be rejected for each of ``sources`` and ``appliances``.
    The other parameters and the exceptions are those of `assert_ships`. Raises ConfigError for an unknown rule.
    """
    __tracebackhide__ = True
    from bundlekit.report.expectation import checked_names, compare_with

    names = checked_names([by] if isinstance(by, str) else tuple(by))
    report = _checked(bundle, trust, start, request)
    found = compare_with(report, names, [one.pair for one in request.get("appliances", ())])
    if not found.met:
        pytest.fail(f"{_text(report)}{found.heading}: {found.message}", pytrace=False)
    return report


def _checked(bundle: str | Path, trust: Trust | None, start: Path | None, fields: dict[str, Any]) -> Report:
    from msgspec.structs import replace

    from bundlekit import pipeline

    request = _of_project(start or Path.cwd())
    if trust is not None:
        fields["trust"] = _loaded(trust)
    for name, single in (("sources", str), ("appliances", None), ("matrices", None)):
        if name in fields:
            fields[name] = (fields[name],) if single and isinstance(fields[name], single) else tuple(fields[name])
    components = fields.pop("components", None)
    return pipeline.check(bundle, replace(request, **fields), components=components)


def _of_project(start: Path) -> CheckRequest:
    """The request of the project file of a folder, or an empty one."""
    from bundlekit import project
    from bundlekit.request import NOTHING_ASKED

    found = project.find(start)
    return project.request_of(project.load(start / found)) if found else NOTHING_ASKED


def _loaded(trust: Trust) -> TrustStore:
    from bundlekit.trust import TrustStore, load_trust

    return trust if isinstance(trust, TrustStore) else load_trust(trust)


def _text(report: Report) -> str:
    """The report as text that no CI runner obeys."""
    from bundlekit.report.escape import guarded
    from bundlekit.report.outputs import render

    return guarded(render(report))


@pytest.fixture(name="assert_ships", scope="session")
def _ships(pytestconfig: pytest.Config) -> AssertShips:
    """Fail unless a bundle is accepted: ``assert_ships("update.bin", trust="root.pem")``. The report is returned."""

    def call(bundle: str | Path, *, trust: Trust | None = None, **request: Any) -> Report:
        __tracebackhide__ = True
        return assert_ships(bundle, trust=trust, start=pytestconfig.rootpath, **request)

    return call


@pytest.fixture(name="assert_rejected", scope="session")
def _rejected(pytestconfig: pytest.Config) -> AssertRejected:
    """Fail unless a bundle is rejected by a rule or cause: ``assert_rejected("old.bin", "downgrade", trust=...)``."""

    def call(
        bundle: str | Path,
        by: str | Iterable[str],
        *,
        trust: Trust | None = None,
        **request: Any,
    ) -> Report:
        __tracebackhide__ = True
        return assert_rejected(bundle, by, trust=trust, start=pytestconfig.rootpath, **request)

    return call
