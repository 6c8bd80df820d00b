"""A key in a PKCS #11 token as a signer. The module of the vendor is loaded by a process of its own."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bundlekit.authoring.signer_command import DEFAULT_TIMEOUT, exit_in_words, run_limited
from bundlekit.errors import SigningError
from bundlekit.trust import ExternalKey, token_key
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.authoring.pkcs11_uri import TokenAddress
    from bundlekit.trust import SigningRequest
    from bundlekit.trust.keys import Key

WORKER: Final = Path(__file__).with_name("pkcs11_worker.py")
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer: a value of at most 8 KiB in hex, or the numbers of a key."""

INSTALL: Final = "Install it: `pip install 'bundlekit[pkcs11]'`."


def load_token_key(
    address: TokenAddress,
    ask: Callable[[str], str],
    *,
    public: Key | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> ExternalKey:
    """The key at ``address``, whose signatures the token makes.

    ``ask`` is called for the PIN with the name of the token, if neither a file nor the environment has it. It is called
    at most once. ``public`` is the public key of a certificate, for tokens that do not show theirs. ``timeout`` in
    seconds is for each answer of the token. SigningError in one sentence for everything that fails.
    """
    if importlib.util.find_spec("pkcs11") is None:
        raise SigningError(
            f"{address.name}: keys in tokens need the library python-pkcs11, which is not installed", next_step=INSTALL
        )
    token = _Token(address, ask, timeout)
    found = token.ask("look", {})
    token.login = found["login"]
    numbers = found["public"]
    if numbers is None and public is None and token.login:
        numbers = token.ask("look", {}, pin=token.pin())["public"]
    key = token_key(numbers) if numbers else public
    if key is None:
        raise SigningError(
            f"{address.name}: the token does not show the public key",
            next_step=fill("Give the certificate of the key ({cert}), or store the public key in the token."),
        )
    return ExternalKey(public=key, sign=partial(_sign, token), name=f"key {address.name}")


def _sign(token: _Token, request: SigningRequest) -> bytes:
    facts = {
        "message": request.message.hex(),
        "digest": request.digest.hex(),
        "algorithm": request.algorithm,
        "hash": request.hash,
        "salt": request.salt,
    }
    found = token.ask("sign", facts, pin=token.pin() if token.login else None)
    return bytes.fromhex(found["value"])


class _Token:
    """Sends requests to a token, each by a process of its own. Keeps the PIN."""

    def __init__(self, address: TokenAddress, ask: Callable[[str], str], timeout: float) -> None:
        self.login = True
        self._address = address
        self._ask = ask
        self._timeout = timeout
        self._pin: str | None = None

    def pin(self) -> str:
        """The PIN, from its file, the environment, or the user."""
        if self._pin is None:
            given = self._address.pin()
            self._pin = self._ask(self._address.name) if given is None else given
        return self._pin

    def ask(self, do: str, facts: dict[str, Any], pin: str | None = None) -> dict[str, Any]:
        """The answer of the token. SigningError if it refuses, or if its module crashes or hangs."""
        address = self._address
        request = {
            "do": do,
            "module": str(address.module),
            "token": address.token,
            "manufacturer": address.manufacturer,
            "serial": address.serial,
            "model": address.model,
            "slot": address.slot,
            "label": address.label,
            "id": address.id.hex(),
            "pin": pin,
        }
        words = [sys.executable, "-P", str(WORKER)]  # without the current folder, which can contain a pkcs11.py
        done = run_limited(words, json.dumps(request | facts).encode(), self._timeout, limit=MAX_ANSWER)
        where = f"{address.name}: nothing was stored"
        if done.code is None:
            raise SigningError(
                f"{where}: the PKCS #11 module {address.module} did not answer within {self._timeout:g} seconds",
                next_step="Check that the token is connected, and that it does not wait for a touch or a PIN.",
            )
        try:
            found = json.loads(done.output)
        except ValueError:
            how = exit_in_words(done.code) if done.code else "no answer"
            raise SigningError(
                f"{where}: the PKCS #11 module {address.module} crashed ({how})",
                next_step="Update the module. `pkcs11-tool --module MODULE --list-objects` can show more.",
            ) from None
        if not isinstance(found, dict) or "error" in found:
            raise SigningError(f"{where}: {found['error'] if isinstance(found, dict) else 'no answer'}")
        return found
