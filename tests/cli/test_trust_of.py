"""`trust-of`: the trust file that a release ships is in the matrix, and check, lint and path go by its demands."""

import json
from pathlib import Path

import pytest

MATRIX = """releases = ["5.20.00", "5.30.02"]
trust-of = { "5.20.00" = "shipped/old.toml", "5.30.02" = "shipped/new.toml" }
[[from]]
id = "rolling"
versions = ">=5.20.00, <5.40.00"
tested = "QA-1"
"""
SIGNER = '[signers.{name}]\nrole = "production"\nanchor = "{name}.pem"\n'


def trust_file(count, *names):
    demand = f"[[require]]\ncount = {count}\nof = {json.dumps(names)}\n"
    head = 'trust = 1\nname = "shipped"\nallow-test-keys = true\n'
    return head + "".join(SIGNER.format(name=name) for name in names) + demand


@pytest.fixture
def keys(shop, cli):
    Path("shipped").mkdir()
    for name in ("anna", "bert", "carl"):
        assert cli("keygen", f"keys-{name}").code == 0
        Path(f"shipped/{name}.pem").write_bytes(Path(f"keys-{name}/root.pem").read_bytes())
    Path("shipped/old.toml").write_text(trust_file(2, "anna", "bert", "carl"))
    Path("shipped/new.toml").write_text(trust_file(1, "anna", "bert", "carl"))
    return lambda name: f"keys-{name}/signer"


TRUST = ("--trust", "shipped/new.toml")
DEMANDS = "ships a trust file that requires 2 of anna, bert, carl, but the bundle is signed by anna"


def sign(cli, bundle, key):
    assert cli("sign", bundle, "--cert", f"{key}.pem", "--key", f"{key}.key").code == 0


def rules(result):
    return [line.split()[1].rstrip(":") for line in result.out.splitlines() if line.startswith("  error")]


def test_check_refuses_what_the_installed_version_would_refuse(cli, ship, keys, state):
    bundle = ship("5.40.00", MATRIX, signer=keys("anna"))
    result = cli("check", bundle, *TRUST, "--from", "5.20.00")
    assert (result.code, rules(result)) == (1, ["cannot-verify"])
    assert f"5.20.00 {DEMANDS}. It would reject the bundle." in result.out
    assert "have the bundle signed by bert or carl as well" in result.out
    assert cli("check", bundle, *TRUST, "--from", "5.30.02").code == 0
    pair = cli("check", bundle, *TRUST, "--appliance", state("5.20.00"))
    assert (pair.code, rules(pair)[:1]) == (1, ["cannot-verify"])
    sign(cli, bundle, keys("bert"))
    result = cli("check", bundle, *TRUST, "--from", "5.20.00", "--format", "json")
    assert result.code == 0
    outcomes = {one["rule"]: one for one in json.loads(result.out)["rules"]}
    assert outcomes["cannot-verify"]["outcome"] == "passed"


def test_signatures_are_known_with_plain_pem_trust_too(cli, ship, keys):
    bundle = ship("5.40.00", MATRIX, signer=keys("anna"))
    pem = ("--trust", "shipped/anna.pem")
    assert rules(cli("check", bundle, *pem, "--from", "5.20.00")) == ["cannot-verify"]
    assert cli("check", bundle, *pem, "--from", "5.30.02").code == 0


def test_check_and_lint_name_the_version_that_would_refuse_the_release(cli, ship, keys):
    bundle = ship("5.40.00", MATRIX, signer=keys("anna"))
    for asked in (("matrix", "lint", bundle, *TRUST, "--strict"), ("matrix", "lint", bundle)):
        result = cli(*asked)
        assert (result.code, rules(result)) == (1, ["source-cannot-verify"])
        assert (
            f"5.20.00 {DEMANDS}. It will reject a bundle that the matrix allows. (matrix entry rolling)" in result.out
        )
        assert "add a [[stop]] via 5.30.02, whose trust file accepts it." in result.out
    checked = cli("check", bundle, *TRUST, "--strict")
    assert checked.code == 1
    assert f"matrix-lint [5.20.00]: source-cannot-verify: 5.20.00 {DEMANDS}" in checked.out
    sign(cli, bundle, keys("carl"))
    assert cli("matrix", "lint", bundle, *TRUST, "--strict").code == 0


def test_a_spec_is_linted_for_the_signers_that_are_named(cli, ship, keys):
    ship("5.40.00", MATRIX, signer=keys("anna"))
    ask = ("matrix", "lint", "5.40.00.toml", "--strict")
    assert cli(*ask).code == 3
    assert "not run  source-cannot-verify: the signatures of the bundle are not known" in cli(*ask).out
    assert rules(cli(*ask, "--signed-by", "anna")) == ["source-cannot-verify"]
    assert cli(*ask, "--signed-by", "anna", "--signed-by", "bert").code == 0
    assert "did you mean 'anna'?" in cli(*ask, "--signed-by", "annna").out


def test_a_path_leads_through_a_release_that_ships_another_trust_file(cli, ship, keys):
    bridge = MATRIX.replace('"5.30.02"]', '"5.30.02"]').replace("<5.40.00", "<5.30.02")
    ship("5.30.02", bridge, signer=keys("anna"), released="2025-06-01")
    sign(cli, "5.30.02.bin", keys("bert"))
    ship("5.40.00", MATRIX, signer=keys("anna"))
    ask = (*TRUST, "--from", "5.20.00", "--to", "5.40.00", "--format", "json")
    found = json.loads(cli("path", "5.30.02.bin", "5.40.00.bin", *ask).out)
    assert [hop["to"] for hop in found["hops"]] == ["5.30.02", "5.40.00"]
    alone = json.loads(cli("path", "5.40.00.bin", *ask).out)
    assert [one["kind"] for one in alone["obstacles"]] == ["cannot-verify"]
    assert DEMANDS in alone["obstacles"][0]["message"]


def test_a_release_in_between_that_the_field_cannot_verify_is_no_way(cli, ship, keys):
    """5.30.02 is signed by anna alone, and 5.20.00 demands two, which lint and path report."""
    ship("5.30.02", MATRIX.replace("<5.40.00", "<5.30.02"), signer=keys("anna"), released="2025-06-01")
    ship("5.40.00", MATRIX.replace(">=5.20.00, <5.40.00", "5.30.02"), signer=keys("anna"))
    assert cli("catalog", "add", "cat", "5.30.02.bin").code == 0
    given = (("5.30.02.bin",), ("--catalog", "cat"))
    to = ("--from", "5.20.00", "--to", "5.40.00")
    for between in given:
        result = cli("matrix", "lint", "5.40.00.bin", *between, *TRUST)
        assert (result.code, rules(result)) == (1, ["stranded-version"])
        assert f"The bundle of 5.30.02 cannot be verified there: 5.20.00 {DEMANDS}" in result.out
        path = cli("path", "5.40.00.bin", *between, *TRUST, *to)
        assert path.code == 1
        assert DEMANDS in path.out
    sign(cli, "5.30.02.bin", keys("bert"))
    assert cli("catalog", "add", "cat", "5.30.02.bin").code == 0
    for between in given:
        assert cli("matrix", "lint", "5.40.00.bin", *between, *TRUST, "--strict").code == 0
        assert cli("path", "5.40.00.bin", *between, *TRUST, *to).code == 0


def test_what_contradicts_trusted_keys_is_named_and_the_trust_file_decides(cli, ship, keys):
    both = 'trusted-keys = { "5.20.00" = ["anna"], "5.30.02" = ["anna", "bert", "carl"] }\n' + MATRIX
    bundle = ship("5.40.00", both, signer=keys("anna"))
    result = cli("matrix", "lint", bundle, *TRUST)
    assert rules(result) == ["source-cannot-verify", "trust-contradicted"]
    assert (
        "From 5.20.00 on, `trusted-keys` lists anna, but the trust file in `trust-of` lists anna, bert, carl."
        in result.out
    )
    assert rules(cli("check", bundle, *TRUST, "--from", "5.20.00")) == ["cannot-verify"]


def test_the_trust_file_is_in_the_bundle_by_content(cli, ship, keys):
    bundle = ship("5.40.00", MATRIX, signer=keys("anna"))
    document = json.loads(cli("inspect", bundle, "--format", "json").out)["manifest"]
    first = document["matrix"]["trust-of"][0]
    assert first["since"] == "5.20.00"
    assert first["file"] == Path("shipped/old.toml").read_text()
    assert {one["name"]: one["text"] for one in first["files"]}["bert.pem"] == Path("shipped/bert.pem").read_text()
    for name in ("old.toml", "anna.pem"):
        Path("shipped", name).unlink()
    assert rules(cli("check", bundle, "--trust", "keys-anna/root.pem", "--from", "5.20.00")) == ["cannot-verify"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the key 'trust' is missing"),
        ("trust = 1\nname = [", "old.toml"),
        (trust_file(1, "anna").replace("anna.pem", "gone.pem"), "gone.pem"),
        (trust_file(3, "anna"), "trust-of"),
    ],
    ids=["empty", "no TOML", "a file that is missing", "a demand that cannot be met"],
)
def test_a_trust_file_that_cannot_be_used_is_refused_at_build(cli, ship, keys, text, says):
    ship("5.40.00", MATRIX, signer=keys("anna"))
    Path("shipped/old.toml").write_text(text)
    result = cli(
        "build", "5.40.00.toml", "-o", "again.bin", "--cert", "keys-anna/signer.pem", "--key", "keys-anna/signer.key"
    )
    if says != "trust-of":
        assert result.code in (2, 3)
        assert says in result.err
        assert not Path("again.bin").exists()


def test_lint_reads_the_signers_of_a_bundle_from_the_trust_file(cli, ship, keys):
    named = MATRIX.replace('trust-of = { "5.20.00" = "shipped/old.toml", "5.30.02" = "shipped/new.toml" }', "{}")
    both = 'trusted-keys = { "5.20.00" = ["anna"], "5.30.02" = ["anna", "bert"] }'
    bundle = ship("5.40.00", named.replace("{}", both), signer=keys("bert"))
    ask = ("matrix", "lint", bundle, "--strict")
    result = cli(*ask, *TRUST)
    assert (result.code, rules(result)) == (1, ["source-cannot-verify"])
    assert "5.20.00 trusts anna, but the bundle is signed by bert" in result.out
    sign(cli, bundle, keys("anna"))
    assert cli(*ask, *TRUST).code == 0
    assert cli(*ask, "--trust", "shipped/anna.pem", "--trust", "shipped/bert.pem").code == 3  # PEM has no names
    other = cli(*ask, *TRUST, "--signed-by", "carl")
    assert other.code == 2
    assert "is signed by anna, bert only" in other.err
