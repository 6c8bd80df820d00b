"""The address of a key in a PKCS #11 token, as RFC 7512 writes it: ``pkcs11:token=release;object=signer``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes

from bundlekit.errors import SigningError
from bundlekit.files import read_bounded
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME: Final = "pkcs11:"

MODULE: Final = "PKCS11_MODULE_PATH"
"""The environment variable with the module, if the address names none. OpenSSL's engine for PKCS #11 reads it, too."""

PIN: Final = "BUNDLEKIT_PIN"
"""The environment variable with the PIN."""

MAX_PIN: Final = 1024
"""Bytes of a file with a PIN."""

_PATH: Final = ("token", "manufacturer", "serial", "model", "slot-id", "object", "id", "type")
_QUERY: Final = ("module-path", "pin-source", "pin-value")
_ATTRIBUTE: Final = re.compile(r"([A-Za-z0-9-]+)=((?:[^%]|%[0-9A-Fa-f]{2})*)")


class TokenAddress(Frozen, frozen=True, kw_only=True):
    """A key in a token. An empty text, a missing number or id is not compared.

    ``name`` is the address without its query, for messages. ``pin_file`` is a file with the PIN.
    """

    name: str
    module: Path
    token: str = ""
    manufacturer: str = ""
    serial: str = ""
    model: str = ""
    slot: int | None = None
    label: str = ""
    id: bytes = b""
    pin_file: Path | None = None

    def pin(self) -> str | None:
        """The PIN in the file or in the environment; None if neither has it. SigningError if the file is unusable."""
        if self.pin_file is None:
            return os.environ.get(PIN)
        try:
            pin = read_bounded(self.pin_file, MAX_PIN, error=SigningError).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            pin = ""
        if not pin:
            raise SigningError(f"{self.pin_file}: does not contain a PIN")
        return pin


def read_token_address(text: str, environment: Mapping[str, str] = os.environ) -> TokenAddress:
    """The address ``text``. SigningError if it is none, or contains a PIN. No message repeats its query."""
    path, _, query = text[len(SCHEME) :].partition("?")
    name = f"{SCHEME}{path}"
    found = _attributes(path, ";", _PATH, name) | _attributes(query, "&", _QUERY, name)
    if "pin-value" in found:
        raise SigningError(
            f"{name}: contains the PIN (pin-value), which every user of this computer can read while the command runs",
            next_step=f"Name a file with the PIN (pin-source), or set {PIN}, or type it when you are asked.",
        )
    if unquote(found.get("type", "private")) != "private":
        raise SigningError(f"{name}: is not the address of a private key (type=private)")
    if not found.get("object") and not found.get("id"):
        cut = "" if ";" in path else " Put the address into quotation marks, because a shell ends it at a semicolon."
        raise SigningError(f"{name}: names no key", next_step=f"Add its label (object=…), or its id (id=%01).{cut}")
    slot = found.get("slot-id")
    if slot is not None and not re.fullmatch(r"[0-9]{1,19}", slot):
        raise SigningError(f"{name}: slot-id is not a number")
    return TokenAddress(
        name=name,
        module=_module(unquote(found.get("module-path", "")) or environment.get(MODULE, ""), name),
        token=unquote(found.get("token", "")),
        manufacturer=unquote(found.get("manufacturer", "")),
        serial=unquote(found.get("serial", "")),
        model=unquote(found.get("model", "")),
        slot=None if slot is None else int(slot),
        label=unquote(found.get("object", "")),
        id=unquote_to_bytes(found.get("id", "")),
        pin_file=_pin_file(unquote(found["pin-source"]), name) if "pin-source" in found else None,
    )


def _attributes(text: str, separator: str, known: tuple[str, ...], name: str) -> dict[str, str]:
    """The attributes, percent-encoded. Unknown ones are refused, because they would narrow the choice."""
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        match = _ATTRIBUTE.fullmatch(part)
        if match is None:
            raise SigningError(f"{name}: is not an address of the form pkcs11:token=NAME;object=LABEL (RFC 7512)")
        if match[1] not in known:
            raise SigningError(
                f"{name}: has the attribute {match[1]}, which is not supported here",
                next_step=f"Supported are {', '.join(_PATH)}, and after a question mark {', '.join(_QUERY[:2])}.",
            )
        if match[1] in found:
            raise SigningError(f"{name}: has the attribute {match[1]} twice")
        found[match[1]] = match[2]
    return found


def _module(text: str, name: str) -> Path:
    if not text:
        raise SigningError(
            f"{name}: the PKCS #11 module is not known",
            next_step=f"Add ?module-path=/path/to/module.so, or set the environment variable {MODULE}.",
        )
    module = Path(text)
    if not module.is_file():
        raise SigningError(f"{name}: the PKCS #11 module {text} does not exist")
    return module


def _pin_file(text: str, name: str) -> Path:
    """The file of a pin-source, which can be a file: URI (RFC 8089) or a path."""
    path = re.sub(r"^file:(?://(?:localhost)?(?=/))?", "", text)
    if not path or path.startswith("|") or re.match(r"[a-z][a-z0-9+.-]*:", path):
        raise SigningError(f"{name}: its pin-source is not a file")
    return Path(path)
