"""No error repeats a secret: what was given in the wrong place is named without it."""

from __future__ import annotations

import os
import re
from typing import Final

HIDDEN: Final = "(hidden)"

_PATTERNS: Final = (
    re.compile(r"(?i)((?:pin|module|object)-?(?:value|source)\s*=\s*)[^;&?\s'\"]*"),  # RFC 7512 section 2.4
    # The label of a PKCS #11 token is no secret (RFC 7512 section 2.3).
    re.compile(
        r"(?i)(?<!pkcs11:)(?<!;)\b((?:pass(?:word|phrase|wd)?|secret|token|api-?key|pin)\s*[=:]\s*)[^;&?\s'\"]+"
    ),
    re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]*(?=@)"),  # RFC 3986 section 3.2.1
    re.compile(r"(?i)(\bhttps?://)[^/\s@?#'\"]+@"),
    re.compile(r"(?i)(\b(?:https?|s3|gs|az)://[^\s?#'\"]*[?#])[^\s'\"]+"),  # a signature of a signed URL
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL),
)

LEAST: Final = 4
"""Characters of a passphrase that is looked for; a shorter one would hide letters of every message."""


def hidden(text: str, *variables: str) -> str:
    """``text`` without PINs, passwords and private keys, and without the values of environment variables."""
    for pattern in _PATTERNS:
        text = pattern.sub(lambda found: found[1] + HIDDEN, text)
    for secret in (os.environ.get(variable, "") for variable in variables):
        text = text.replace(secret, HIDDEN) if len(secret) >= LEAST else text
    return text
