"""ADVISORY.toml, and the signed file it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit import config
from bundlekit.errors import SigningError
from bundlekit.files import whole_file
from bundlekit.layout import advisory as layout
from bundlekit.matrix.toml import advisory_from_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundlekit.authoring.sign import Signer
    from bundlekit.model.advisory import Advisory

ADVISORY_EXAMPLE: Final = """\
# ADVISORY.toml: what was learnt after releases had shipped. It restricts, and never allows anything.
# bundlekit advisory build ADVISORY.toml -o advisories.bin --cert signer.pem --key signer.key
advisory = 1                          # the version of this file's shape
product  = "imager"
serial   = 4                          # rises with every file; whoever has used 4 refuses 3
issued   = 2026-12-01
until    = 2027-03-01                 # after this day it is refused: publish the next one before

[[block]]                             # these versions must not go into these releases
id       = "ADV-2026-17"
into     = "5.40.00"                  # without it: into any release
versions = ">=5.30.02, <5.32.00"
reason   = "The update may stop at 60 %; 5.40.01 mends it."
link     = "https://support.example.com/ADV-2026-17"

[[withdrawn]]                         # nobody should go to these any more
id       = "ADV-2026-18"
versions = "5.39.00"
reason   = "It loses its network settings."

[[risk]]                              # a danger where a fact about the appliance holds
id       = "ADV-2026-19"
when     = { fact = "disk.firmware", below = "7.1" }
reason   = "Disks with this firmware may not come back."

# [[stop]] (versions, via, into) and [[dead-end]] (versions, into) are as in matrix.toml.
"""


def load(path: Path) -> Advisory:
    """Read ADVISORY.toml; ConfigError says what is wrong, with the nearest known key."""
    return advisory_from_toml(config.load_toml(path), where=str(path))


def build(advisory: Advisory, output: Path, signers: Sequence[Signer]) -> None:
    """Write the advisories file, signed by ``signers``; SigningError if there is none."""
    if not signers:
        raise SigningError("Advisories that nobody signs are used by nobody.", next_step="Give --cert and --key.")
    signed = layout.encode(advisory)
    if len(signed) > layout.MAX_DOCUMENT:
        raise SigningError(f"The advisories have {len(signed)} bytes, allowed are {layout.MAX_DOCUMENT}.")
    data = layout.write(signed, [signer.sign(signed) for signer in signers])
    with whole_file(output) as file:
        file.write(data)
