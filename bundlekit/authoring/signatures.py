"""The signatures over one content, as a list that can be changed: a bundle and an advisories file have one each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bundlekit.authoring.admission import admit, demand_index, demand_number, looked_at
from bundlekit.errors import SigningError
from bundlekit.model.evidence import Evidence
from bundlekit.trust import fault_under, out_of_time, signing_key, tally, unbound
from bundlekit.trust.acceptance import from_certificates, from_key, satisfied
from bundlekit.wording import command, given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from bundlekit.authoring.signers import SigningIdentity
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose
    from bundlekit.trust import Signed, SigningRequest, TrustStore
    from bundlekit.trust.keys import Key


class SignatureList:
    """The signatures of a file, changed in memory. They are written together, so an error leaves the file unchanged.

    ``content`` is what signatures cover, and ``start`` is where their first entry is in the file. ``name`` is the file,
    empty if it does not exist yet. ``what`` is what messages call it, and ``verb`` is the command that signs it.
    ``refused`` begins the message if a signature cannot be added. ``signed`` is the content, as far as a trust file
    limits it. With ``trust`` only signatures that count can be added.
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
        signed: Signed,
        refused: str = "",
        trust: TrustStore | None = None,
    ) -> None:
        self.content = content
        self.blobs = tuple(blobs)
        self._start = start
        self._at = at
        self.name = name
        self._what = what
        self.verb = verb
        self._refused = refused or f"{name}: nothing was added, and the {what} is unchanged"
        self._signed = signed
        self.trust = trust

    @property
    def id(self) -> str:
        """The SHA-256 of what is signed: the bundle id, or that of the advisories."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def signatures(self) -> list[SignatureEvidence]:
        """The signatures in it now. Without trust it is not evaluated which of them count."""
        return self._look(self.blobs)

    @property
    def evidence(self) -> Evidence:
        """The signatures in it now, and how far they meet the requirements of a trust.toml."""
        found = tuple(self.signatures)
        demands = tally(self.trust, self._signed.format, found) if self.trust else None
        return Evidence(signatures=found, demands=demands or None)

    def sign(self, signer: SigningIdentity, *, replace: int | None = None) -> SignatureEvidence:
        """Sign, and add the signature or put it in the place of ``replace``. Returns what was added.

        SigningError if the file has no space for it, the key has signed, or there is no signature to replace.
        """
        return self._add(signer.sign(self.content), replace, signer.purpose, verified=True)

    def attach(
        self,
        blob: bytes,
        *,
        replace: int | None = None,
        purpose: Purpose = "code-signing",
        origin: str = "",
        key: Key | None = None,
    ) -> SignatureEvidence:
        """Add a signature (one DER SignedData) that was made elsewhere; otherwise as `sign`.

        SigningError also if it is not a signature over this content, and valid under the key of its certificate. The
        message then names ``origin``, the file that the signature came from. A signature without a certificate is
        verified under ``key``, or under a pinned key of the trust.
        """
        if key is not None and (fault := fault_under(blob, self.content, key)):
            raise SigningError(f"{origin or self.name}: not added, and the {self._what} is as it was: {fault}")
        return self._add(blob, replace, purpose, origin=origin, verified=key is not None)

    def _add(
        self, blob: bytes, replace: int | None, purpose: Purpose, *, origin: str = "", verified: bool
    ) -> SignatureEvidence:
        blobs = list(self.blobs)
        if replace is None:
            place = len(blobs)
            blobs.append(blob)
        else:
            demand_index(self.name, self._what, replace, blobs)
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
            remover=lambda number: command(self.verb, self.name, remove=number) if self.name else "",
            verified=verified,
            trust=self.trust,
            signed=self._signed,
        )
        self._demand_space(blobs)
        self.blobs = tuple(blobs)
        return added

    def prepare(self, signer: SigningIdentity, *, replace: int | None = None) -> SigningRequest:
        """What has to be signed elsewhere, so that the value can be added by ``signer`` later. Nothing is changed.

        SigningError if the signature could not be added: the key has signed, its certificate is not suitable, it would
        not count for the given trust, or there is no signature to replace.
        """
        prepared = signer.prepare(self.content)
        if replace is not None:
            demand_index(self.name, self._what, replace, self.blobs)
        others = [blob for number, blob in enumerate(self.blobs) if number != replace]
        if any(one.problems for one in self._look(others)):
            raise SigningError(
                f"{self.name}: nothing was prepared: another signature would reject the {self._what}",
                next_step=f"Find it with {command('check', self.name)}, and remove it.",
            )
        same = [one for one in self.signatures if signing_key(self.blobs[one.index]) == signer.key.public.identifier]
        for one in same:
            if one.index != replace:
                raise SigningError(
                    f"{self.name}: nothing was prepared: this key has already signed the {self._what} "
                    f"(signature {one.index}, {one.signer}), and counts once",
                    next_step=f"Replace the old signature with the new one: {given('replace', str(one.index))}.",
                )
        if self.trust:
            credential = from_certificates(prepared.line) if prepared.line else from_key(prepared.public)
            (would_be,) = satisfied(self.trust, [credential], self._at, self._signed).signatures
            if would_be.standing == "rejected":
                raise SigningError(
                    f"{self.name}: nothing was prepared: the signature would not count: {would_be.reason}"
                )
        return prepared.request

    def remove(self, index: int) -> SignatureEvidence:
        """Take signature ``index``, counted from 0, out. Returns what was removed."""
        demand_index(self.name, self._what, index, self.blobs)
        removed = self.signatures[index]
        self.blobs = (*self.blobs[:index], *self.blobs[index + 1 :])
        return removed

    def out_of_time(self, signed_by: int | SigningIdentity) -> str:
        """What a signature, or that of a signer, lacks as its certificates are not valid now; empty if they are."""
        carried = self.blobs[signed_by] if isinstance(signed_by, int) else signed_by.certificates
        return out_of_time(carried, self._at, self._signed.released)

    def unbound(self, index: int) -> str:
        """What signature ``index`` lacks for verifiers that trust a CA on its path directly; empty if nothing."""
        return unbound(self.blobs[index])

    def _look(self, blobs: Sequence[bytes]) -> list[SignatureEvidence]:
        return looked_at(self.content, blobs, self._start, self._at, self.trust, self._signed)

    def described(self) -> Iterator[str]:
        """Lines that identify what is signed."""
        yield f"id        {self.id}"

    def _demand_space(self, blobs: Sequence[bytes]) -> None:
        """SigningError if the file cannot hold these signatures."""

    def _how_elsewhere(self) -> str:
        """How to make a signature that can be attached."""
        return (
            f"Sign only the head: {command('extract', self.name or 'FILE', head=True, output='head')}, then `openssl "
            "cms -sign -binary -cades -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der` with "
            f"your certificate and key. For a bare signature value, give {given('cert')} as for {given('prepare')}."
        )
