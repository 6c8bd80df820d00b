"""The signatures over one content, as a list that can be changed: a bundle and an advisories file have one each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.authoring.admission import admit, demand_index, demand_number, looked_at
from bundlekit.trust import out_of_time, unbound
from bundlekit.wording import command

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from bundlekit.authoring.signers import SigningIdentity
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose


class SignatureList:
    """The signatures of a file, changed in memory. They are written together, so an error leaves the file unchanged.

    ``content`` is what signatures cover, and ``start`` is where their first entry is in the file. ``name`` is the file,
    empty if it does not exist yet. ``what`` is what messages call it, and ``verb`` is the command that signs it.
    ``refused`` begins the message if a signature cannot be added. ``released`` is the release date of the content
    (YYYY-MM-DD); empty if it has none.
    """

    def __init__(
        self,
        content: bytes,
        blobs: Sequence[bytes],
        *,
        start: int,
        at: dt.datetime,
        name: str,
        what: str,
        verb: str,
        refused: str = "",
        released: str = "",
    ) -> None:
        self.content = content
        self.blobs = tuple(blobs)
        self._start = start
        self._at = at
        self._name = name
        self._what = what
        self._verb = verb
        self._refused = refused or f"{name}: nothing was added, and the {what} is unchanged"
        self._released = released

    @property
    def signatures(self) -> list[SignatureEvidence]:
        """The signatures in it now. Whether they are trusted is not evaluated."""
        return looked_at(self.content, self.blobs, self._start, self._at)

    def sign(self, signer: SigningIdentity, *, replace: int | None = None) -> SignatureEvidence:
        """Sign, and add the signature or put it in the place of ``replace``. Returns what was added.

        SigningError if the file has no space for it, the key has signed, or there is no signature to replace.
        """
        return self.attach(signer.sign(self.content), replace=replace, purpose=signer.purpose)

    def attach(
        self, blob: bytes, *, replace: int | None = None, purpose: Purpose = "code-signing", origin: str = ""
    ) -> SignatureEvidence:
        """Add a signature (one DER SignedData) that was made elsewhere; otherwise as `sign`.

        SigningError also if it is not a signature over this content. The message then names ``origin``, the file that
        the signature came from.
        """
        blobs = list(self.blobs)
        if replace is None:
            place = len(blobs)
            blobs.append(blob)
        else:
            demand_index(self._name, self._what, replace, blobs)
            place = replace
            blobs[place] = blob
        demand_number(blobs)
        added = admit(
            self.content,
            blobs,
            place,
            start=self._start,
            at=self._at,
            purpose=purpose,
            refused=self._refused,
            what=self._what,
            origin=origin,
            how=self._how_elsewhere(),
            remover=lambda number: command(self._verb, self._name, remove=number) if self._name else "",
        )
        self._demand_space(blobs)
        self.blobs = tuple(blobs)
        return added

    def remove(self, index: int) -> SignatureEvidence:
        """Take signature ``index``, counted from 0, out. Returns what was removed."""
        demand_index(self._name, self._what, index, self.blobs)
        removed = self.signatures[index]
        self.blobs = (*self.blobs[:index], *self.blobs[index + 1 :])
        return removed

    def out_of_time(self, index: int) -> str:
        """What signature ``index`` lacks as its certificates are not valid now; empty if they are."""
        return out_of_time(self.blobs[index], self._at, self._released)

    def unbound(self, index: int) -> str:
        """What signature ``index`` lacks for verifiers that trust a CA on its path directly; empty if nothing."""
        return unbound(self.blobs[index])

    def _demand_space(self, blobs: Sequence[bytes]) -> None:
        """SigningError if the file cannot hold these signatures."""

    def _how_elsewhere(self) -> str:
        """How to make a signature that can be attached."""
        return (
            f"Sign only the head: {command('extract', self._name or 'FILE', head=True, output='head')}, then `openssl "
            "cms -sign -binary -cades -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der` with "
            "your certificate and key."
        )
