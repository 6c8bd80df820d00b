"""ADVISORY.toml, and the signed file it becomes."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Final

from bundlekit import config, wall_clock
from bundlekit.advisories import load_signed
from bundlekit.authoring.inplace import InPlace
from bundlekit.authoring.signatures import SignatureList
from bundlekit.errors import SigningError
from bundlekit.files import whole_file
from bundlekit.layout import advisory as layout
from bundlekit.matrix.toml import advisory_from_toml
from bundlekit.model.bundle import Span
from bundlekit.source import read as read_span
from bundlekit.trust import Signed
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from bundlekit.authoring.signers import SigningIdentity
    from bundlekit.model.advisory import Advisory
    from bundlekit.trust import TrustStore

ADVISORY_EXAMPLE: Final = """\
# ADVISORY.toml: restrictions that became known after releases had shipped. It never allows anything.
# It is built and signed by `bundlekit advisory build`.
advisory = 1                          # the version of this file format
product  = "imager"
serial   = 4                          # rises with every file: 3 is rejected after 4 was used
issued   = 2026-12-01
until    = 2027-03-01                 # rejected after this day: publish the next file before it

[[block]]                             # these versions must not go into these releases
id       = "ADV-2026-17"
into     = "5.40.00"                  # without it: into any release
versions = ">=5.30.02, <5.32.00"
reason   = "The update can stop at 60 %; 5.40.01 fixes it."
link     = "https://support.example.com/ADV-2026-17"

[[withdrawn]]                         # these must no longer be installed
id       = "ADV-2026-18"
versions = "5.39.00"
reason   = "It loses its network settings."

[[risk]]                              # a risk that applies if a fact about the appliance holds
id       = "ADV-2026-19"
when     = { fact = "disk.firmware", below = "7.1" }
reason   = "Disks with this firmware can fail to restart."

# [[stop]] (versions, via, into) and [[dead-end]] (versions, into) are as in matrix.toml.
"""


def load(path: Path) -> Advisory:
    """Read ADVISORY.toml. ConfigError names the fault, with the nearest known key."""
    return advisory_from_toml(config.load_toml(path), where=str(path))


def build(
    advisory: Advisory,
    output: Path | BinaryIO,
    signers: Sequence[SigningIdentity],
    *,
    unsigned: bool = False,
    trust: TrustStore | None = None,
) -> EditableAdvisory:
    """Write the advisories file, signed by ``signers``, and return it.

    ``unsigned`` allows a file without a signature, to be signed elsewhere. With ``trust``, each signature has to count.
    Raises SigningError for one that does not, and for no signature otherwise.
    """
    if not signers and not unsigned:
        raise SigningError(
            "Advisories without a signature are not accepted.",
            next_step=fill(
                "Give {cert} and {key}, or {unsigned} to sign the file later with `bundlekit advisory sign`."
            ),
        )
    document = layout.encode(advisory)
    if len(document) > layout.MAX_DOCUMENT:
        raise SigningError(f"The advisories have {len(document)} bytes; the maximum is {layout.MAX_DOCUMENT}.")
    signed = EditableAdvisory(advisory, document, (), wall_clock.now(), refused="nothing was built", trust=trust)
    for signer in signers:
        signed.sign(signer)
    with whole_file(output) as file:
        file.write(signed.data)
    return signed


class EditableAdvisory(SignatureList):
    """Advisories and their signatures, which can be changed. ``data`` is the file as it is now."""

    def __init__(
        self,
        advisory: Advisory,
        document: bytes,
        blobs: Sequence[bytes],
        at: dt.datetime,
        name: str = "",
        refused: str = "",
        trust: TrustStore | None = None,
    ) -> None:
        super().__init__(
            document,
            blobs,
            start=len(document),
            at=at,
            name=name,
            what="file",
            verb="advisory sign",
            signed=Signed(format="advisories", product=advisory.product),
            refused=refused,
            trust=trust,
        )
        self.advisory = advisory

    @property
    def data(self) -> bytes:
        """The whole file."""
        return layout.write(self.content, self.blobs)

    def described(self) -> Iterator[str]:
        """Lines that identify the advisories."""
        yield in_brief(self.advisory)
        yield from super().described()


def in_brief(advisory: Advisory) -> str:
    """The advisories in a few words."""
    return f"advisories for {advisory.product}, serial {advisory.serial}, until {advisory.until}"


def read(path: Path, data: bytes, *, at: dt.datetime, trust: TrustStore | None = None) -> EditableAdvisory:
    """The advisories file ``data``, of the name ``path``; nothing is verified. Raises AdvisoryError if it is none."""
    found = load_signed(path, data)
    return EditableAdvisory(found.advisory, found.signed, found.signatures, at, str(path), trust=trust)


@contextlib.contextmanager
def opened(
    path: Path, *, at: dt.datetime, trust: TrustStore | None = None, change: bool = True
) -> Iterator[EditableAdvisory]:
    """The advisories file at ``path``, to change its signatures; it is written when the block ends well.

    It is replaced as a whole, and only if it is still the file that was read. With ``trust`` only signatures that count
    can be added. Without ``change`` the file is only read. Raises AdvisoryError if it is none.
    """
    with InPlace(path, writable=change) as file:
        data = read_span(file, Span(start=0, stop=min(file.size, layout.MAX_FILE + 1)))
        signed = read(path, data, at=at, trust=trust)
        yield signed
        if not change or signed.data == data:
            return
        with whole_file(file.real) as target:
            target.write(signed.data)
            file.demand_content(0, data)
