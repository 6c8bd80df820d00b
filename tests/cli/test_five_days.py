"""Five days of a release engineer, over the command line."""

import json
from pathlib import Path

import pytest

TRUST = ("--trust", "keys/root.pem")


def listing(*releases):
    return f"releases = {json.dumps(releases)}\n"


def table(kind, **fields):
    """One entry of matrix.toml."""
    lines = (f"{key.rstrip('_').replace('_', '-')} = {json.dumps(value)}" for key, value in fields.items())
    return "\n".join([f"[[{kind}]]", *lines, ""])


ROLLING = table("from", id="rolling", versions=">=5.20.00, <5.40.00", tested="QA-1")


def rules(result):
    return [line.split()[1].rstrip(":") for line in result.out.splitlines() if line.startswith("  error")]


def test_monday_a_release_for_three_supported_versions(cli, ship):
    supported = ["5.20.00", "5.30.02", "5.32.00"]
    bundle = ship("5.40.00", listing(*supported) + ROLLING)
    assert cli("matrix", "lint", "5.40.00.toml", "--strict").code == 0
    shown = json.loads(cli("matrix", "show", bundle, "--format", "json").out)
    assert [(row["source"], row["decision"], row["tested"]) for row in shown["rows"][:-1]] == [
        (version, "upgrade", "QA-1") for version in supported
    ]
    result = cli("check", bundle, *TRUST, *(arg for version in supported for arg in ("--from", version)))
    assert result.code == 0
    assert result.out.splitlines()[-1] == (
        "ACCEPT: the bundle is accepted for version 5.20.00, version 5.30.02, version 5.32.00"
    )


def test_tuesday_a_hotfix_that_must_not_go_onto_two_releases(cli, ship):
    matrix = listing("5.20.00", "5.30.02", "5.32.00", "5.32.01")
    matrix += table("from", id="hotfix", versions=">=5.32.00, <5.32.02", tested="QA-2")
    for version in ("5.20.00", "5.30.02"):
        matrix += table("block", id=f"KB-{version}", versions=version, reason="Its disk layout is another.")
    bundle = ship("5.32.02", matrix, kind="hotfix", includes=["HF-9"])
    assert cli("matrix", "lint", bundle, "--strict").code == 0
    for version in ("5.32.00", "5.32.01"):
        assert cli("check", bundle, *TRUST, "--from", version).code == 0
    for version in ("5.20.00", "5.30.02"):
        result = cli("check", bundle, *TRUST, "--from", version)
        assert (result.code, rules(result)) == (1, ["blocked"])
        assert f"Its disk layout is another. (matrix entry KB-{version})" in result.out


def test_wednesday_keys_are_rotated_through_a_bridge_release(cli, ship):
    for year in ("2019", "2027"):
        cli("keygen", f"keys{year}")
    old, new = ("--trust", "keys2019/root.pem"), ("--trust", "keys2027/root.pem")
    bridge = ship(
        "5.30.02",
        listing("5.20.00") + table("from", id="up", versions="5.20.00", tested="QA-1"),
        signer="keys2019/signer",
        released="2026-01-01",
    )
    known = listing("5.20.00", "5.30.02") + ROLLING.replace("[[from]]", KEYS + "[[from]]")
    bundle = ship("5.40.00", known, signer="keys2027/signer")
    ask = ("matrix", "lint", bundle, bridge, "--signed-by", "release-2027")
    result = cli(*ask)
    assert (result.code, rules(result)) == (1, ["source-cannot-verify"])
    assert "5.20.00 trusts release-2019, but the bundle is signed by release-2027" in result.out
    assert "add a [[stop]] via 5.30.02" in result.out
    assert "No release trusts a key named 'release-27'; did you mean" in cli(*ask[:-1], "release-27").out

    stop = table("stop", id="key-2027", versions="<5.30.02", via="5.30.02", reason="It brings the key of 2027.")
    ship("5.40.00", known + stop, signer="keys2027/signer")
    assert cli(*ask, "--strict").code == 0
    result = cli("check", bundle, *new, "--from", "5.20.00")
    assert rules(result) == ["needs-stop"]
    assert "next: Update to 5.30.02 first." in result.out
    assert cli("check", bundle, *new, "--from", "5.30.02").code == 0
    assert cli("check", bridge, *old, "--from", "5.20.00").code == 0
    assert rules(cli("check", bundle, *old)) == ["signer-unknown"]  # what a 5.20.00 would have said


KEYS = 'trusted-keys = { "5.20.00" = ["release-2019"], "5.30.02" = ["release-2019", "release-2027"] }\n'


def test_thursday_a_release_strands_a_supported_version(cli, ship):
    before = ship("5.40.00", listing("5.20.00", "5.30.02", "5.32.00") + ROLLING)
    matrix = listing("5.20.00", "5.30.02", "5.32.00", "5.40.00")
    matrix += table("from", id="rolling", versions=">=5.20.00, <5.50.00", tested="QA-3")
    block = table("block", id="KB-7", versions="5.30.02", reason="The switch hangs.")
    after = ship("5.50.00", matrix + block, released="2026-12-01")
    closed = ship("5.32.00", listing("5.20.00") + table("from", id="up", versions="5.20.00"), released="2026-01-01")
    at = ("--at", "2026-12-02")

    alone = cli("matrix", "lint", after, *at)
    assert alone.code == 0
    told = "detour-unknown: Each possible path from 5.30.02 leads through 5.32.00 or another later release whose"
    assert told in alone.out
    helped = cli("matrix", "lint", after, before, *at, "--strict")
    assert (helped.code, helped.out.splitlines()[-1].startswith("ACCEPT: imager 5.50.00, against 5.40.00")) == (0, True)

    result = cli("matrix", "diff", before, after)
    assert result.code == 1
    assert "  loses    5.30.02: upgrade by rolling -> blocked by KB-7, through 5.40.00" in result.out

    blocking = ship("5.40.00", listing("5.20.00", "5.30.02", "5.32.00") + ROLLING + block)
    result = cli("matrix", "lint", after, closed, blocking, *at)
    assert (result.code, rules(result)) == (1, ["stranded-version"])
    assert (
        "5.30.02 is stranded: 5.30.02 must not be updated to 5.50.00. The switch hangs. (matrix entry KB-7)"
        in result.out
    )
    assert cli("matrix", "lint", after, closed, blocking, *at, "--supported", "5.32.00").code == 0


@pytest.mark.parametrize("edge", [False, True])
def test_friday_a_version_built_after_the_target_shipped(cli, ship, state, edge):
    member = {"version": "5.20.09", "released": "2026-12-10"}
    given = state(members={"SN1": {"role": "active", **member}, "SN2": {"role": "standby", **member}})
    matrix = listing("5.20.00", "5.20.09", "5.30.02") + ROLLING
    if edge:
        matrix += table("from", id="later-520", versions="5.20.09", tested="QA-9")
    bundle = ship("5.40.00", matrix)
    result = cli("check", bundle, *TRUST, "--appliance", given)
    if edge:
        assert result.code == 0
        assert "(matrix entry later-520)" in result.out
    else:
        assert rules(result) == ["back-in-time", "back-in-time"]
        assert "next: Get a bundle that was released after 2026-12-10." in result.out
        assert cli("check", bundle, *TRUST, "--appliance", given, "--allow-downgrade").code == 1
    assert Path(bundle).exists()
