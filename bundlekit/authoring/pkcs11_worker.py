"""The program that loads a PKCS #11 module. `bundlekit.authoring.pkcs11_key` runs it in a process of its own.

Modules of vendors crash, hang and write to standard output. Here they can do so without harm. The process reads one
request from standard input (JSON, with the PIN, which is therefore in no list of processes), and writes one answer.
Only this module imports python-pkcs11. It imports nothing of bundlekit, so that it starts in a moment.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pkcs11
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass, TokenFlag

REASONS = {
    "PinIncorrect": "the PIN is wrong",
    "PinInvalid": "the PIN is wrong",
    "PinLenRange": "the PIN is too short or too long",
    "PinLocked": "the PIN is locked after too many wrong ones",
    "PinExpired": "the PIN has expired",
    "UserPinNotInitialized": "the token has no user PIN yet",
    "UserNotLoggedIn": "the token demands a login",
    "FunctionRejected": "the request was rejected at the token",
    "FunctionCancelled": "the request was cancelled at the token",
    "KeyFunctionNotPermitted": "the key must not be used for signatures (CKA_SIGN)",
    "MechanismInvalid": "the token cannot sign by this algorithm",
    "MechanismParamInvalid": "the token cannot sign by this algorithm",
    "KeyTypeInconsistent": "the token cannot sign by this algorithm with this key",
    "DeviceRemoved": "the token was removed",
    "TokenNotPresent": "no token is present",
    "DeviceError": "the token reports a fault of the device",
}
"""What the errors of the standard mean (PKCS #11 version 3.1, section 5.1.6)."""

KINDS = {KeyType.RSA: "rsa", KeyType.EC: "ecdsa", KeyType.EC_EDWARDS: "ed25519", KeyType.ML_DSA: "ml-dsa"}


class Refused(Exception):  # noqa: N818 - an answer, which does not leave this process
    """Why the request cannot be done, in one clause."""


def token_answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request. Raises Refused, and what python-pkcs11 raises."""
    library = pkcs11.lib(request["module"])
    token = _token(library, request)
    login = TokenFlag.LOGIN_REQUIRED in token.flags
    pad = TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags
    pin = request["pin"]
    terms = {} if not login or (pin is None and not pad) else {"user_pin": pkcs11.PROTECTED_AUTH if pad else pin}
    if request["do"] == "sign":
        with token.open(**terms) as session:
            return {"value": _sign(_key(session, request), request, pin).hex()}
    with token.open(**terms) as session:
        return {"login": login and not pad, "public": _public(session, request, private=bool(terms) or not login)}


def _token(library: Any, request: dict[str, Any]) -> Any:  # noqa: ANN401 - the classes of the library have no types
    tokens = []
    for slot in library.get_slots(token_present=True):
        token = slot.get_token()
        facts = {
            "token": token.label,
            "manufacturer": token.manufacturer_id,
            "serial": _text(token.serial),
            "model": token.model,
        }
        if request["slot"] in {None, slot.slot_id} and all(
            request[name] in {"", value} for name, value in facts.items()
        ):
            tokens.append(token)
    if not tokens:
        labels = [slot.get_token().label for slot in library.get_slots(token_present=True)]
        there = f"found: {', '.join(repr(one) for one in labels if one)}" if any(labels) else "no token is present"
        raise Refused(f"no such token ({there})")
    if len(tokens) > 1:
        raise Refused(f"{len(tokens)} tokens fit: add token=, serial= or slot-id= to the address")
    return tokens[0]


def _text(value: str | bytes) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def _objects(session: Any, kind: ObjectClass, request: dict[str, Any]) -> list[Any]:  # noqa: ANN401 - as above
    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    if request["label"]:
        wanted[Attribute.LABEL] = request["label"]
    if request["id"]:
        wanted[Attribute.ID] = bytes.fromhex(request["id"])
    return list(session.get_objects(wanted))


def _key(session: Any, request: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
    found = _objects(session, ObjectClass.PRIVATE_KEY, request)
    if not found:
        raise Refused("the token has no such private key")
    if len(found) > 1:
        raise Refused(f"{len(found)} private keys fit: add id= or object= to the address")
    return found[0]


def _public(session: Any, request: dict[str, Any], *, private: bool) -> dict[str, str] | None:  # noqa: ANN401 - as above
    """The numbers of the public key, in hex; None if the token does not show them."""
    found = _objects(session, ObjectClass.PUBLIC_KEY, request)
    if private:
        key = _key(session, request)
        found = found or [key]
    if len(found) != 1:
        return None
    one = found[0]
    kind = KINDS.get(one[Attribute.KEY_TYPE])
    names = {
        "rsa": {"modulus": Attribute.MODULUS, "exponent": Attribute.PUBLIC_EXPONENT},
        "ecdsa": {"curve": Attribute.EC_PARAMS, "point": Attribute.EC_POINT},
        "ed25519": {"curve": Attribute.EC_PARAMS, "point": Attribute.EC_POINT},
        "ml-dsa": {"point": Attribute.VALUE},
    }
    if kind is None:
        raise Refused("keys of this kind do not sign bundles")
    try:
        return {"kind": kind, **{name: bytes(one[attribute]).hex() for name, attribute in names[kind].items()}}
    except (pkcs11.PKCS11Error, TypeError):  # a private key of an elliptic curve does not have its point
        return None


def _sign(key: Any, request: dict[str, Any], pin: str | None) -> bytes:  # noqa: ANN401 - as above
    message, hash_ = bytes.fromhex(request["message"]), request["hash"].upper()
    more = {"pin": pin} if pin is not None and _always_asks(key) else {}
    family = request["algorithm"].partition("-")[0]
    if request["salt"] is not None:
        mechanism = Mechanism[f"{hash_}_RSA_PKCS_PSS"]
        parameters = (Mechanism[hash_], MGF[hash_], request["salt"])
        return bytes(key.sign(message, mechanism=mechanism, mechanism_param=parameters, **more))
    if family == "rsa":
        return bytes(key.sign(message, mechanism=Mechanism[f"{hash_}_RSA_PKCS"], **more))
    if family == "ecdsa":  # every token signs a digest; not every one hashes
        return bytes(key.sign(bytes.fromhex(request["digest"]), mechanism=Mechanism.ECDSA, **more))
    return bytes(key.sign(message, mechanism=Mechanism.EDDSA if family == "ed25519" else Mechanism.ML_DSA, **more))


def _always_asks(key: Any) -> bool:  # noqa: ANN401 - as above
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except pkcs11.PKCS11Error:
        return False


def reply(request: bytes) -> bytes:
    """The answer to a request, both in JSON. What fails is an answer, too."""
    try:
        found = token_answer(json.loads(request))
    except Refused as refusal:
        found = {"error": str(refusal)}
    except pkcs11.PKCS11Error as error:
        name = type(error).__name__
        text = " ".join(str(error).split())[:200]
        found = {"error": REASONS.get(name, f"the module reports {name}{f': {text}' if text else ''}")}
    return json.dumps(found).encode()


def serve() -> int:
    """Answer the request on standard input. What the module prints goes to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    answer = reply(sys.stdin.buffer.read())
    with open(out, "wb") as file:
        file.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(serve())
