"""Advisories from ADVISORY.toml to the decision: made, signed, and refused where they must not be used."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import bundlekit
from bundlekit.advisories import load_advisory
from bundlekit.authoring.advisory import ADVISORY_EXAMPLE, load
from bundlekit.errors import AdvisoryError
from bundlekit.layout import advisory as layout
from bundlekit.schemas import schema
from bundlekit.trust import load_trust

SIGN = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
TRUST = ("--trust", "keys/root.pem")
AT = ("--at", "2026-12-05")
MATRIX = 'releases = ["5.30.02", "5.32.00"]\n[[from]]\nid = "rolling"\nversions = "<5.40.00"\n'
ADVISORY = """\
advisory = 1
product = "imager"
serial = 4
issued = 2026-12-01
until = 2027-03-01
[[block]]
id = "ADV-17"
into = "5.40.00"
versions = "5.30.02"
reason = "It may stop at 60 %."
"""


@pytest.fixture
def advise(shop, cli):
    """Build an advisories file from text."""

    def build(text=ADVISORY, name="advisories.bin", sign=SIGN):
        Path("ADVISORY.toml").write_text(text)
        result = cli("advisory", "build", "ADVISORY.toml", "-o", name, *sign)
        assert result.code == 0, result.err
        return name

    return build


def test_the_example_can_be_built_and_used(cli, ship, advise):
    example = cli("advisory", "build", "--example").out
    assert example == ADVISORY_EXAMPLE
    bundle, file = ship("5.40.00", MATRIX), advise(example)
    result = cli("check", bundle, *TRUST, *AT, "--from", "5.30.02", "--advisories", file)
    assert result.code == 1
    assert "(advisory entry ADV-2026-17)" in result.out


def test_building_twice_gives_the_same_bytes(advise):
    assert Path(advise(name="one")).read_bytes() == Path(advise(name="two")).read_bytes()


@pytest.mark.parametrize("verb", ["check", "preflight"])
def test_an_advisory_blocks_and_the_report_names_its_serial(cli, ship, advise, verb):
    ask = (verb, ship("5.40.00", MATRIX), *TRUST, *AT, "--from", "5.30.02")
    result = cli(*ask)
    assert result.code == 0
    assert "advisories none" in result.out
    assert json.loads(cli(*ask, "--format", "json").out)["request"]["advisories"] is None
    result = cli(*ask, "--advisories", advise(), "--advisory-serial-at-least", "4")
    assert result.code == 1
    assert "advisories serial 4 of 2026-12-01, valid until 2027-03-01" in result.out
    assert "blocked [5.30.02 appliance]: 5.30.02 must not be updated to 5.40.00. It may stop at 60 %." in result.out
    report = json.loads(cli(*ask, "--advisories", advise(), "--format", "json").out)
    jsonschema.validate(report, schema("report"))
    assert report["request"]["advisories"]["serial"] == 4
    assert "CN=" in report["request"]["advisories"]["signers"][0]
    assert "origin" in report["findings"][0]["params"]
    assert cli(*ask[:-1], "5.32.00", "--advisories", advise()).code == 0


def test_an_entry_of_the_bundle_is_not_taken_for_one_of_the_advisory(cli, ship, advise):
    bundle = ship("5.40.00", MATRIX + '[[block]]\nid = "KB-1"\nversions = "5.32.00"\nreason = "Bad."\n')
    result = cli("check", bundle, *TRUST, *AT, "--from", "5.32.00", "--advisories", advise())
    assert result.code == 1
    assert "(matrix entry KB-1)" in result.out


def test_what_an_advisory_withdraws_is_refused_without_asking_for_anybody(cli, ship, advise):
    bundle = ship("5.40.00", MATRIX)
    file = advise(
        ADVISORY.replace("[[block]]", "[[withdrawn]]").replace('into = "5.40.00"\n', "").replace("5.30.02", "5.40.00")
    )
    result = cli("check", bundle, *TRUST, *AT, "--advisories", file)
    assert result.code == 1
    assert "error      withdrawn" in result.out
    assert "(advisory entry ADV-17)" in result.out
    reimage = ship("5.40.00", MATRIX, kind="reimage")
    assert "error      withdrawn" in cli("check", reimage, *TRUST, *AT, "--advisories", file).out
    assert cli("check", reimage, *TRUST, *AT, "--advisories", advise()).code == 0


def test_of_a_bundle_that_nobody_vouches_for_it_is_not_known_whether_it_is_withdrawn(cli, ship, advise):
    cli("keygen", "others")
    bundle, file = ship("5.40.00", MATRIX, signer="others/signer"), advise()
    report = json.loads(cli("check", bundle, *TRUST, *AT, "--advisories", file, "--format", "json").out)
    (withdrawn,) = [one for one in report["rules"] if one["rule"] == "withdrawn"]
    assert (withdrawn["outcome"], report["verdict"]) == ("not-run", "reject")


def test_a_withdrawal_that_the_bundles_scheme_cannot_read_allows_nothing(cli, ship, advise):
    bundle = ship("5.40.00", MATRIX)
    entry = '[[withdrawn]]\nid = "ADV-17"\nversions = "5.40.rc1"\nreason = "It may stop."\n'
    file = advise(ADVISORY.partition("[[block]]")[0] + entry)
    result = cli("check", bundle, *TRUST, *AT, "--advisories", file)
    assert result.code == 3
    assert "not run    The bundle's matrix cannot be read. Matrix entry 'ADV-17', versions:" in result.out
    assert "so: withdrawn" in result.out
    report = json.loads(cli("check", bundle, *TRUST, *AT, "--advisories", file, "--format", "json").out)
    passed = {one["rule"] for one in report["rules"] if one["outcome"] == "passed"}
    assert not passed & {"withdrawn", "wrong-product", "on-hold", "counter-too-low", "blocked", "undecided"}
    assert cli("check", bundle, *TRUST, *AT, "--from", "5.30.02", "--advisories", file).code == 3


def _flip(data, offset):
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ("", ""),
        ('formats = ["advisories"]', ""),
        ('formats = ["update.bin"]', "anna is allowed to sign only update.bin, not advisories"),
        ('products = ["imager"]', ""),
        ('products = ["toaster"]', "anna is allowed to sign for toaster, not for imager"),
    ],
)
def test_a_trust_file_says_who_may_sign_advisories(advise, bounds, says):
    Path("trust.toml").write_text(
        f'trust = 1\nname = "t"\nallow-test-keys = true\n'
        f'[signers.anna]\nrole = "production"\nanchor = "keys/root.pem"\n{bounds}\n'
    )
    at = dt.datetime(2026, 12, 5, tzinfo=dt.UTC)
    if not says:
        assert load_advisory(Path(advise()), trust=load_trust([Path("trust.toml")]), at=at).advisory.serial == 4
        return
    with pytest.raises(AdvisoryError, match=says) as caught:
        load_advisory(Path(advise()), trust=load_trust([Path("trust.toml")]), at=at)
    assert caught.value.rule == "advisory-unauthentic"


UNUSABLE: dict[str, Any] = {
    "advisory-malformed: text": (lambda data: b"advisory = 1\n", {}),
    "advisory-malformed: empty": (lambda data: b"", {}),
    "advisory-malformed: cut": (lambda data: data[:-1], {}),
    "advisory-malformed: longer": (lambda data: data + b"\0", {}),
    "advisory-malformed: version": (lambda data: _flip(data, 11), {}),
    "advisory-malformed: size": (lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:], {}),
    "advisory-malformed: document": (
        lambda data: data.replace(b'"serial":4', b'"serial": 4').replace(b"2026-12", b"2026-2", 1),
        {},
    ),
    "advisory-malformed: key": (lambda data: data.replace(b'"serial"', b'"seriel"'), {}),
    "advisory-unauthentic: changed": (lambda data: data.replace(b'"serial":4', b'"serial":5'), {}),
    "advisory-unauthentic: unsigned": (lambda data: layout.write(layout.read(data).signed, []), {}),
    "advisory-stale: serial": (lambda data: data, {"serial_at_least": 5}),
    "advisory-expired: late": (lambda data: data, {"at": "2027-03-02"}),
    "advisory-not-yet-issued: early": (lambda data: data, {"at": "2026-11-30"}),
}


@pytest.mark.parametrize("row", UNUSABLE)
def test_advisories_that_must_not_be_used_are_not(cli, ship, advise, row):
    spoil, options = UNUSABLE[row]
    file = Path(advise())
    file.write_bytes(spoil(file.read_bytes()))
    at = options.get("at", "2026-12-05")
    ask = ["check", ship("5.40.00", MATRIX), *TRUST, "--from", "5.32.00", "--advisories", file, "--at", at]
    result = cli(*ask, "--advisory-serial-at-least", options.get("serial_at_least", 0))
    assert (result.code, result.out) == (3, "")
    assert "next: " in result.err
    import datetime as dt

    with pytest.raises(AdvisoryError) as caught:
        bundlekit.load_advisory(
            file,
            trust=bundlekit.load_trust([Path("keys/root.pem")]),
            at=dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC),
            serial_at_least=options.get("serial_at_least", 0),
        )
    assert caught.value.rule == row.partition(":")[0]


def test_advisories_by_a_stranger_or_for_another_product_are_not_used(cli, ship, advise):
    ask = ("check", ship("5.40.00", MATRIX), *AT, "--from", "5.32.00")
    cli("keygen", "others")
    foreign = advise(sign=("--cert", "others/signer.pem", "--key", "others/signer.key"))
    for trust in (TRUST, ()):
        result = cli(*ask, *trust, "--advisories", foreign)
        assert result.code == 3
        assert "the advisories are not signed by a trusted signer" in result.err
    result = cli(*ask, *TRUST, "--advisories", advise(ADVISORY.replace("imager", "printer")))
    assert result.code == 3
    assert "The advisories are for the product printer, and the bundle is for imager." in result.err


def test_a_signature_over_an_advisory_fits_no_bundle_and_the_other_way_round(cli, ship, advise):
    bundle, file = Path(ship("5.40.00", MATRIX)), Path(advise())
    found = layout.read(file.read_bytes())
    Path("sig.der").write_bytes(found.signatures[0])
    assert "is not for this head" in cli("sign", bundle, "--attach", "sig.der").err
    cli("extract", bundle, "--signature", "0", "-o", "bundle.der")
    file.write_bytes(layout.write(found.signed, [Path("bundle.der").read_bytes()]))
    assert "is not for this head" in cli("check", bundle, *TRUST, *AT, "--advisories", file).err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no 'advisory' key"),
        (ADVISORY.replace("serial = 4", "serial = 0"), "serial"),
        (ADVISORY.replace("[[block]]", "[[from]]"), "unknown key 'from'"),
        (ADVISORY.replace("2027-03-01", "2026-11-01"), "before the day of issue"),
        (ADVISORY.replace("reason", "raeson"), "did you mean 'reason'?"),
        (ADVISORY + '[[risk]]\nid = "R"\nwhen = { fact = "a" }\n', "needs exactly one of"),
    ],
    ids=["empty", "serial", "source", "dates", "typing", "condition"],
)
def test_mistakes_in_an_advisory_are_named(cli, shop, text, message):
    Path("ADVISORY.toml").write_text(text)
    result = cli("advisory", "build", "ADVISORY.toml", "-o", "x", *SIGN)
    assert result.code == 3
    assert message in result.err
    assert not Path("x").exists()


def test_nobody_builds_advisories_without_a_key(cli, shop):
    Path("ADVISORY.toml").write_text(ADVISORY)
    assert cli("advisory", "build", "ADVISORY.toml", "-o", "x").code == 3
    assert cli("advisory", "build", "ADVISORY.toml").code == 2
    assert load(Path("ADVISORY.toml")).blocks[0].into == "5.40.00"


def test_advisories_need_as_many_signers_as_a_trust_file_demands(cli, ship, advise):
    file = advise()
    for count in (1, 2):
        Path("trust.toml").write_text(
            "trust = 1\nallow-test-keys = true\n"
            '[signers.release]\nrole = "production"\nanchor = "keys/root.pem"\n'
            '[signers.quality]\nrole = "production"\nanchor = "others/root.pem"\n'
            f'[[require]]\ncount = {count}\nof = ["release", "quality"]\n'
        )
        if count == 1:
            cli("keygen", "others")
            use: dict[str, Any] = {
                "trust": bundlekit.load_trust([Path("trust.toml")]),
                "at": dt.datetime(2026, 12, 5, tzinfo=dt.UTC),
            }
            assert load_advisory(Path(file), **use)
    with pytest.raises(AdvisoryError, match="2 of release, quality must sign them"):
        load_advisory(Path(file), **use | {"trust": bundlekit.load_trust([Path("trust.toml")])})
