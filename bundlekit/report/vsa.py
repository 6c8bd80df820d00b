"""The verdict as a Verification Summary Attestation: an in-toto Statement v1 with the predicate of SLSA.

It is not signed. A tool that signs attestations does that. Sources: in-toto Attestation Framework, Statement v1, and
SLSA 1.1, Verification Summary Attestation. ``bundlekit explain vsa`` describes each field.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from bundlekit import wall_clock
from bundlekit.checks import RULES
from bundlekit.errors import ConfigError
from bundlekit.report.escape import hashes_spelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundlekit.report.model import Report

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/verification_summary/v1"
SLSA: Final = "1.1"
"""The first version of the specification with ``verifier.version``."""

NO_LEVEL: Final = "SLSA_BUILD_LEVEL_UNEVALUATED"
"""The verifier makes no claim about how the bundle was built."""

POLICY: Final = "bundlekit/policy/1"
"""The schema of the policy whose digest is in the statement."""

_OF_EVERY_FORMAT: Final = frozenset(rule.name for rule in RULES if rule.aspect is None)


def render(report: Report, digests: Sequence[tuple[str, str]], *, resource: str = "") -> str:
    """The statement as one line of JSON. Parameters and exceptions are those of `statement`."""
    return hashes_spelled(json.dumps(statement(report, digests, resource=resource), ensure_ascii=True)) + "\n"


def statement(report: Report, digests: Sequence[tuple[str, str]], *, resource: str = "") -> dict[str, Any]:
    """The in-toto Statement about one report, as plain JSON values.

    ``digests`` are the checked files: the name of each, and its SHA-256 in hex. ``resource`` is the URI from which
    users get the bundle. By default it is the URL that was checked, or a package URL with product and version. Raises
    ConfigError if it is not a URI.

    The result is PASSED only if the bundle was accepted in a full check with all rules. Any other verdict is FAILED,
    also *incomplete*: the policy demands that every required rule has run.
    """
    passed = is_passed(report)
    content = json.dumps(policy(report), ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
    return {
        "_type": STATEMENT,
        "subject": _subjects(report, digests),
        "predicateType": PREDICATE,
        "predicate": {
            "verifier": {"id": _package(report.tool.name), "version": {report.tool.name: report.tool.version}},
            "timeVerified": _time(report),
            "resourceUri": _resource(report, resource),
            "policy": {
                "uri": f"{_package(report.tool.name, report.tool.version)}#check",
                "digest": {"sha256": hashlib.sha256(content).hexdigest()},
                "content": base64.b64encode(content).decode(),
            },
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": [NO_LEVEL if passed else "FAILED"],
            "slsaVersion": SLSA,
        },
    }


def is_passed(report: Report) -> bool:
    """Whether the bundle was accepted, and no part of the check was left out."""
    return (
        report.verdict == "accept"
        and report.scope == "full"
        and report.release is not None
        and {one.rule for one in report.rules} >= _OF_EVERY_FORMAT
        and not any(one.required and one.outcome == "not-run" for one in report.rules)
    )


def policy(report: Report) -> dict[str, Any]:
    """What the bundle was checked against: digests of trust and rules, and what the operator asked and allowed.

    The SHA-256 of this object as JSON, with sorted keys and without blanks, is the digest in the statement.
    """
    request = msgspec.to_builtins(report.request)
    asked = {key: value for key, value in request.items() if key not in _NOT_POLICY and value}
    if report.request.config:
        asked["config"] = report.request.config.digest
    if report.request.at_given:
        asked["at"] = report.request.at
    if len(report.request.sources) > MAX_SOURCES:
        asked["sources"] = _sha256("\n".join(report.request.sources))
    rules = "\n".join(one.rule for one in report.rules)
    return {"schema": POLICY, "scope": report.scope, "rules": _sha256(rules), "request": asked}


MAX_SOURCES: Final = 16
"""The maximum number of installed versions that the policy lists. Otherwise it has the digest over them."""

_NOT_POLICY: Final = frozenset({"file", "at", "at-given", "trust-folders", "matrix-file", "config"})
"""Fields of the request that have no part in the decision, or that a digest stands for."""


def _subjects(report: Report, digests: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The files, and the head whose digest is the bundle id."""
    named = [(_file_name(name), digest) for name, digest in digests]
    if report.id is not None:
        named.append((f"{named[0][0]}#head" if named else "#head", report.id.removeprefix("sha256:")))
    by_digest = {digest: name for name, digest in reversed(named)}  # a file that is all head is listed once
    return [{"name": name, "digest": {"sha256": digest}} for digest, name in reversed(by_digest.items())]


def _time(report: Report) -> str:
    """The time of the check. A time that the operator gave is that of the policy, and not when it happened."""
    if not report.request.at_given:
        return report.request.at
    now = wall_clock.now().replace(microsecond=0, tzinfo=None)
    return f"{now.isoformat()}Z"


_AFTER_SCHEME: Final = r":[\w.~:/?#\[\]@!$&'()*+,;=%-]+"
_URI: Final = re.compile(rf"[a-z][a-z0-9+.-]*{_AFTER_SCHEME}", re.ASCII)
_LOCATION: Final = re.compile(rf"(?:https?|s3|gs|az){_AFTER_SCHEME}", re.ASCII)
"""A bundle on a server, as a report names it: without user, password and query."""


def demand_uri(text: str) -> None:
    """ConfigError for text that is neither empty nor a URI with a scheme in lower case (RFC 3986)."""
    if text and not _URI.fullmatch(text):
        raise ConfigError(f"{text!r} is not a URI", next_step="Give one such as https://example.com/update-5.40.bin.")


def is_statement(file: Path) -> bool:
    """Whether ``file`` is a statement that `render` made, for another bundle or at another time."""
    beginning = f'{{"_type": "{STATEMENT}"'.encode()
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return opened.read(len(beginning)) == beginning
    except OSError:
        return False


def _resource(report: Report, given: str) -> str:
    demand_uri(given)
    if given:
        return given
    if _LOCATION.fullmatch(report.request.file):
        return report.request.file
    if report.release is not None and report.release.product:
        return _package(report.release.product, report.release.version)
    return _package(_file_name(report.request.file) or "bundle")


def _file_name(path: str) -> str:
    """The last part of a path, as text that can be encoded."""
    return (PurePath(path).name or path).encode(errors="replace").decode()


def _package(name: str, version: str = "") -> str:
    """A package URL of the type *generic*."""
    quoted = [quote(one, safe="") for one in (name, version) if one]
    return f"pkg:generic/{'@'.join(quoted)}"


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
