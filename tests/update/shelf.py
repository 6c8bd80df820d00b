"""A signed bundle that an update may be made from, with the state of a pair that may take it."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bundlekit.cli import run
from bundlekit.trust import test_pki

SPEC = """\
spec     = 1
kind     = "release"
product  = "imager"
models   = ["im-200"]
version  = "5.40.00"
scheme   = "dotted"
released = 2026-11-23
counter  = 7
matrix   = "matrix.toml"
impact   = { service = "rolling", reboot = true, minutes = 95, revert-minutes = 60 }
[components.storage]
version = "3.4.0"
file    = "storage.img"
[components.appliance]
version = "5.40.00"
file    = "appliance.img"
"""

MATRIX = """\
matrix   = 1
releases = ["5.20.03", "5.30.02"]
[[from]]
id       = "rolling"
versions = ">=5.20.00, <5.40.00"
[[works-together]]
id        = "storage-3x"
appliance = ">=5.20.00, <5.50.00"
storage   = ">=3.2.0, <3.5.0"
"""

STATE: dict[str, Any] = {
    "schema": "bundlekit/state/1",
    "pair": "pair-0",
    "product": "imager",
    "model": "im-200",
    "members": {
        "SN-active": {"role": "active", "version": "5.20.03", "released": "2024-02-10"},
        "SN-standby": {"role": "standby", "version": "5.20.03", "released": "2024-02-10"},
    },
    "components": {"storage": {"version": "3.2.1"}},
    "counter": 6,
    "includes": [],
    "trusts": None,
    "hold": None,
}


def fill(folder: Path, *, mark: str = "made by a test", matrix: str = MATRIX) -> Path:
    """Put ``update.bin``, ``root.pem`` and ``STATE.json`` into ``folder``; ``mark`` is in each certificate."""
    (folder / "storage.img").write_bytes(b"storage 3.4.0\n" * 10_000)
    (folder / "appliance.img").write_bytes(b"appliance 5.40.00\n" * 100_000)
    (folder / "SPEC.toml").write_text(SPEC)
    (folder / "matrix.toml").write_text(matrix)
    (folder / "STATE.json").write_text(json.dumps(STATE))
    with patch.object(test_pki, "TEST_MARK", mark):
        assert run(["keygen", str(folder)]) == 0
    signer = ["--cert", str(folder / "signer.pem"), "--key", str(folder / "signer.key")]
    assert run(["build", str(folder / "SPEC.toml"), "-o", str(folder / "update.bin"), *signer]) == 0
    return folder
