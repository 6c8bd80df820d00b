"""Who signs: private keys, and the certificates that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundlekit.authoring.pkcs11_uri import PIN
from bundlekit.authoring.signer_command import DEFAULT_TIMEOUT
from bundlekit.errors import SigningError
from bundlekit.model.primitives import Frozen
from bundlekit.trust import (
    ExternalKey,
    belongs,
    load_signing_key,
    out_of_time,
    prepare,
    read_certificates,
    read_public_key,
)
from bundlekit.trust import sign as sign_head
from bundlekit.wording import fill

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bundlekit.model.trust import Purpose
    from bundlekit.trust import Certificate, Prepared, SigningKey, SigningRequest


def no_pin(token: str) -> str:
    """SigningError, because a program that gives no way to ask for a PIN has none."""
    raise SigningError(f"{token}: needs a PIN", next_step=f"Put it into a file (pin-source), or the variable {PIN}.")


class SigningIdentity(Frozen, frozen=True, kw_only=True):
    """A private key, and its certificate with those above it up to, without, the root.

    Without certificates the key has to be pinned by those who check. ``purpose`` is what they want certificates for.
    ``source`` is where the key is, as messages name it.
    """

    key: Any
    certificates: tuple[Any, ...] = ()
    pss: bool = False
    purpose: Purpose = "code-signing"
    source: str = ""

    @property
    def key_name(self) -> str:
        """The kind of the key, such as ``rsa-3072``."""
        return self.key.public.name if isinstance(self.key, ExternalKey) else self.key.name

    def sign(self, head: bytes) -> bytes:
        """One DER SignedData over ``head``."""
        return sign_head(head, self.key, self.certificates, pss=self.pss, purpose=self.purpose)

    def prepare(self, head: bytes) -> Prepared:
        """The signature of ``head`` by a key that is somewhere else, without its value. SigningError as for `sign`."""
        return prepare(head, self.key.public, self.certificates, pss=self.pss, purpose=self.purpose)

    def out_of_time(self, at: dt.datetime, released: str) -> str:
        """What its signatures lack at the time ``at``, as its certificates are not valid then; empty if they are."""
        return out_of_time(self.certificates, at, released)


def load_signers(
    keys: Sequence[Path | str],
    certificates: Sequence[Path],
    *,
    ask: Callable[[Path], bytes],
    ask_pin: Callable[[str], str] = no_pin,
    timeout: float = DEFAULT_TIMEOUT,
    pss: bool = False,
    purpose: Purpose = "code-signing",
) -> tuple[SigningIdentity, ...]:
    """Load keys and certificate files, and match them. ``ask`` asks for a passphrase.

    A key is a PEM file, or the address of a key in a token (``pkcs11:…``). ``ask_pin`` asks for the PIN of a token if
    neither a file nor the environment has it. ``timeout`` in seconds is for each answer of a token.

    The certificate of a key is found by the key, wherever it is in its file. A key without a matching certificate signs
    alone. Raises SigningError for a certificate file without a key.
    """
    files = [(path, tuple({one.der: one for one in read_certificates(path)}.values())) for path in certificates]
    loaded: list[SigningKey | ExternalKey] = []
    for path in keys:
        key = _loaded(path, certificates, ask, ask_pin, timeout, alone=len(keys) == 1)
        if key.id in (known := {one.id: other for one, other in zip(loaded, keys, strict=False)}):
            raise SigningError(f"{_named(path)}: is the same key as {_named(known[key.id])}, and a key counts once")
        loaded.append(key)
    for path, found in files:
        if not found:
            raise SigningError(
                f"{path}: there is no certificate in this file, perhaps only a key",
                next_step=fill(
                    "Give the certificate of the key with {cert}, or omit {cert} to sign with the key alone."
                ),
            )
        if not any(belongs(key, one) for key in loaded for one in found):
            raise SigningError(
                f"{path}: none of the given keys belongs to this certificate",
                next_step=fill("Give the private key of the certificate with {key}, or omit {cert}."),
            )
    return tuple(
        SigningIdentity(
            key=key,
            certificates=_chain(_named(path), key, loaded, files),
            pss=pss,
            purpose=purpose,
            source=f"key {_named(path)}",
        )
        for path, key in zip(keys, loaded, strict=True)
    )


def _named(key: Path | str) -> str:
    """A key in messages: its file, or its address without what could be secret."""
    return key.partition("?")[0] if isinstance(key, str) else str(key)


def _loaded(
    place: Path | str,
    certificates: Sequence[Path],
    ask: Callable[[Path], bytes],
    ask_pin: Callable[[str], str],
    timeout: float,
    *,
    alone: bool,
) -> SigningKey | ExternalKey:
    if not isinstance(place, str):
        return load_signing_key(place, ask)
    from bundlekit.authoring.pkcs11_key import load_token_key
    from bundlekit.authoring.pkcs11_uri import read_token_address

    # A token need not show its public key. The certificate has it, if it is clear whose it is.
    public = public_half(certificates, None)[0] if alone and certificates else None
    return load_token_key(read_token_address(place), ask_pin, public=public, timeout=timeout)


def external_signer(
    certificates: Sequence[Path],
    public_key: Path | None,
    sign: Callable[[SigningRequest], bytes],
    *,
    name: str,
    pss: bool = False,
    purpose: Purpose = "code-signing",
) -> SigningIdentity:
    """The signer whose private key is somewhere else; ``sign`` returns its bare signature values.

    The key is that of the signer's certificate, or ``public_key`` (PEM) for verifiers that pin it. ``name`` is what
    messages call the signer. SigningError if the key is not clear.
    """
    public, line = public_half(certificates, public_key)
    key = ExternalKey(public=public, sign=sign, name=name)
    return SigningIdentity(key=key, certificates=line, pss=pss, purpose=purpose, source=name)


def public_half(certificates: Sequence[Path], public_key: Path | None) -> tuple[Any, tuple[Certificate, ...]]:
    """The public key of a signer, and its certificates with the signer's own first. SigningError if it is not clear.

    Without ``public_key`` the signer's certificate is the only one in the files that is not a CA's.
    """
    found = list({one.der: one for path in certificates for one in read_certificates(path)}.values())
    if public_key:
        key = read_public_key(public_key)
        own = [one for one in found if one.key and one.key.id == key.id]
        if len(own) != bool(found):
            raise SigningError(
                f"{public_key}: {len(own) or 'none'} of the given certificates belongs to this key",
                next_step=fill("Give the certificate of the key with {cert}, and no other one but those of its CAs."),
            )
        return key, (*own, *(one for one in found if one not in own))
    own = [one for one in found if not one.is_ca] or found[:1]
    if len(own) != 1 or own[0].key is None:
        what = "no certificate of a signer" if not own else f"{len(own)} certificates of signers"
        why = own[0].unloadable if len(own) == 1 else f"the key cannot be found out: {what} given"
        raise SigningError(
            f"nothing was signed: {why}",
            next_step=fill(
                "Give the certificate of the key and those of its CAs with {cert}, or {public_key} for verifiers that "
                "pin the key."
            ),
        )
    return own[0].key, (*own, *(one for one in found if one not in own))


def _chain(
    path: str,
    key: SigningKey | ExternalKey,
    keys: Sequence[SigningKey | ExternalKey],
    files: Sequence[tuple[Path, tuple[Certificate, ...]]],
) -> tuple[Certificate, ...]:
    """The certificate of ``key``, then the others of its file but those of the other keys."""
    chains: dict[bytes, tuple[Certificate, ...]] = {}
    for _, found in files:
        for one in found:
            if belongs(key, one):
                others = [other for other in found if not any(belongs(known, other) for known in keys)]
                chains.setdefault(one.der, (one, *others))
    if len(chains) > 1:
        raise SigningError(
            f"{path}: {len(chains)} of the given certificates belong to this key",
            next_step="Give only the one to sign with.",
        )
    return next(iter(chains.values()), ())
