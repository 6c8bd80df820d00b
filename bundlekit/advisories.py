"""Load an advisories file: it must be authentic, current, and not older than the last one used.

A fault of the file is not a fault of a bundle. No bundle can be validated then, so the fault is an AdvisoryError. Its
``rule`` is a name for programs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

from bundlekit import config, wall_clock
from bundlekit.checks.authenticity import demanded
from bundlekit.errors import AdvisoryError, LayoutError
from bundlekit.files import LIMITS
from bundlekit.layout import advisory as layout
from bundlekit.layout import foreign, update_bin
from bundlekit.model.advisory import Advice, AdvisoryUse
from bundlekit.model.evidence import Evidence
from bundlekit.source import BytesSource
from bundlekit.trust import Signed, tally, verify_signatures
from bundlekit.wording import given

if TYPE_CHECKING:
    from pathlib import Path

    from bundlekit.trust import TrustStore

GET_CURRENT = "Get the current advisories file from the vendor."


def load_advisory(
    path: Path, *, trust: TrustStore | None, at: dt.datetime | None = None, serial_at_least: int = 0
) -> Advice:
    """Read and verify the advisories file at ``path``.

    ``trust`` has to contain its signer, as for a bundle. ``at`` is the time to use, with a time zone (default: now).
    ``serial_at_least`` is the serial number remembered from the last use; a file with a lower one is refused. Raises
    AdvisoryError, whose ``rule`` is ``advisory-malformed``, ``-unauthentic``, ``-stale``, ``-not-yet-issued`` or
    ``-expired``, and ConfigError if the file cannot be read.
    """
    return take_in(
        path, config.read_file(path, limit=LIMITS["advisories"]), trust=trust, at=at, serial_at_least=serial_at_least
    )


def take_in(
    path: Path, data: bytes, *, trust: TrustStore | None, at: dt.datetime | None = None, serial_at_least: int = 0
) -> Advice:
    """As `load_advisory`, of bytes that were read already; ``path`` is what messages call them."""
    at = at or wall_clock.now()
    today = at.astimezone(dt.UTC).date().isoformat()
    found = load_signed(path, data)
    advisory = found.advisory
    signed = Signed(format="advisories", product=advisory.product)
    signatures = verify_signatures(found.signed, found.signatures, found.spans, trust, at, signed=signed)
    demands = tally(trust, signed.format, signatures) if trust else None
    if not Evidence(signatures=signatures, demands=demands).authentic:
        problems = [problem.message for signature in signatures for problem in signature.problems]
        problems += [f"{demanded(demand)} must sign them" for demand in demands or () if not demand.met]
        why = (
            f"no trust anchors were given ({given('trust')})"
            if trust is None
            else problems[0]
            if problems
            else "it has no signature"
        )
        raise AdvisoryError(
            f"{path}: the advisories are not signed by a trusted signer: {why}",
            rule="advisory-unauthentic",
            next_step="Get the advisories again from the vendor, or trust their signers.",
        )
    if advisory.serial < serial_at_least:
        raise AdvisoryError(
            f"{path}: these advisories have the serial {advisory.serial}, and {serial_at_least} was used before.",
            rule="advisory-stale",
            next_step=GET_CURRENT,
        )
    if today < advisory.issued:
        raise AdvisoryError(
            f"{path}: these advisories are issued on {advisory.issued}, and today is {today}.",
            rule="advisory-not-yet-issued",
            next_step=f"Set the clock, or give the right time with {given('at')}.",
        )
    if today > advisory.until:
        raise AdvisoryError(
            f"{path}: these advisories were valid until {advisory.until}, and today is {today}.",
            rule="advisory-expired",
            next_step=GET_CURRENT,
        )
    use = AdvisoryUse(
        serial=advisory.serial,
        issued=advisory.issued,
        until=advisory.until,
        id=f"sha256:{hashlib.sha256(found.signed).hexdigest()}",
        signers=tuple(one.trusted_signer for one in signatures),
    )
    return Advice(advisory=advisory, use=use)


def load_signed(path: Path, data: bytes) -> layout.SignedAdvisory:
    """The advisories file ``data``, of the name ``path``; nothing is verified. Raises AdvisoryError if it is none."""
    try:
        return layout.read(data)
    except LayoutError as error:
        if data.startswith(update_bin.MAGIC):
            raise AdvisoryError(
                f"{path}: not an advisories file: this is an update.bin.",
                rule=error.problem.rule,
                next_step="Give the advisories file here. `bundlekit sign` signs an update.bin.",
            ) from error
        kind = foreign.recognised(foreign.view(BytesSource(data)))
        if kind and kind.name != foreign.ADVISORIES:
            raise AdvisoryError(
                f"{path}: not an advisories file: this is {kind.what}.",
                rule=error.problem.rule,
                next_step="Make advisories with `bundlekit advisory build`, and give that file.",
            ) from error
        where = f" at bytes {error.problem.where}" if error.problem.where else ""
        raise AdvisoryError(
            f"{path}: not an advisories file: {error.problem.message}{where}.",
            rule=error.problem.rule,
            next_step="Get it again, in binary mode.",
        ) from error
