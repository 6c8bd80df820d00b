"""The files of certificates that are given for signing."""

import pytest

from bundlekit.authoring.signers import load_signers
from bundlekit.errors import SigningError
from fixtures import make_keys


def test_a_public_key_is_not_a_certificate():
    keys = make_keys.KEYS
    with pytest.raises(SigningError, match=r"p256\.pub\.pem: there is no certificate in this file, perhaps only a key"):
        load_signers([keys / "p256.key"], [keys / "p256.pub.pem"], ask=lambda _path: b"")
