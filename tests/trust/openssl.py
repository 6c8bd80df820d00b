"""The independent judge of our CMS: `openssl cms -verify` over the head and a signature of a bundle."""

import os
import shutil
import subprocess

import pytest

from bundlekit.layout import reader
from bundlekit.source import BytesSource

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def verifies(bundle, root, folder, at, index=0):
    """Whether openssl takes signature ``index`` of ``bundle`` under the CA ``root`` at the time ``at``."""
    found = reader.read(BytesSource(bundle.read_bytes()))
    (folder / "judged.head").write_bytes(found.head_bytes)
    (folder / "judged.der").write_bytes(found.blobs[index])
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "judged.der"]
    command += ["-content", folder / "judged.head", "-CAfile", root, "-purpose", "any", "-out", os.devnull]
    done = subprocess.run([*command, "-attime", f"{at.timestamp():.0f}"], capture_output=True, check=False)
    return done.returncode == 0
