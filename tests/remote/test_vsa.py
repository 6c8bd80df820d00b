"""The verification summary of a bundle on a server names the place without its secrets."""

import hashlib
import json

import pytest

from bundlekit.cli import run
from tests.remote.conftest import DEMO

TRUST = ("--trust", str(DEMO / "root.pem"))


@pytest.mark.parametrize(("fault", "trust", "result"), [("good", TRUST, "PASSED"), ("good", (), "FAILED")])
def test_the_resource_is_the_url(served, tmp_path, fault, trust, result):
    file = tmp_path / "vsa.json"
    url = served.url(fault)
    signed = url.replace("//", "//user:SECRET@") + "?X-Signature=SECRET"
    run(["check", signed, *trust, "--vsa", str(file), "-o", str(tmp_path / "report.txt")])
    text = file.read_text()
    assert "SECRET" not in text
    value = json.loads(text)
    assert (value["predicate"]["verificationResult"], value["predicate"]["resourceUri"]) == (result, url)
    digest = hashlib.sha256((DEMO / "update.bin").read_bytes()).hexdigest()
    assert value["subject"][0] == {"name": "update.bin", "digest": {"sha256": digest}}


@pytest.mark.usefixtures("hasty")
def test_a_bundle_that_cannot_be_read_has_none(served, tmp_path):
    file = tmp_path / "vsa.json"
    assert run(["check", served.url("403"), *TRUST, "--vsa", str(file)]) == 3
    assert not file.exists()
