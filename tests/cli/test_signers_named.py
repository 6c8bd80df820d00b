"""Every verb names the signers of a bundle as `check` does: name and role, certificate, algorithm and anchor."""

import json
import re
from pathlib import Path

import pytest

MATRIX = 'releases = ["5.30.02"]\n[[from]]\nid = "one"\nversions = "5.30.02"\n'
POLICY = """\
trust = 1
allow-test-keys = true
[signers.anna]
role = "development"
anchor = ["anna.pem"]
[[require]]
count = 1
of = ["anna"]
"""


@pytest.fixture(params=["named", "pem"])
def trust(request, ship):
    ship("5.40.00", MATRIX)
    if request.param == "pem":
        return ("--trust", "keys/root.pem")
    Path("trust.toml").write_text(POLICY.replace("anna.pem", "keys/root.pem"))
    return ("--trust", "trust.toml")


def as_check_prints(cli, trust):
    shown = cli("check", "5.40.00.bin", *trust)
    assert shown.code == 0, shown
    return re.search(r"^  signed by  (.+, trusted through .+)$", shown.out, re.MULTILINE)[1]


def test_path_and_catalog_name_them_so(cli, trust):
    who = as_check_prints(cli, trust)
    assert who.startswith("anna [development]: CN=" if "trust.toml" in trust else "CN=")
    ask = ("--from", "5.30.02", "--to", "5.40.00")
    assert f"     signed by {who}\n" in cli("path", "5.40.00.bin", *trust, *ask).out
    hops = json.loads(cli("path", "5.40.00.bin", *trust, *ask, "--format", "json").out)["hops"]
    assert [hop["signers"] for hop in hops] == [[who]]
    assert cli("catalog", "add", "cat", "5.40.00.bin").code == 0
    assert f", signed by {who}\n" in cli("catalog", "show", "cat", *trust).out
    shown = json.loads(cli("catalog", "show", "cat", *trust, "--format", "json").out)
    assert shown["bundles"][0]["signers"] == [who]
