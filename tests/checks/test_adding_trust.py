"""The advice for an unknown signer fits the trust that was given: PEM files, or a trust.toml."""

import pytest

import bundlekit
from fixtures import make_keys
from tests.formats import conformance

PINNED = make_keys.KEYS / "trust" / "pinned.pub.pem"
TOML = f"""
trust = 1
allow-test-keys = true
[signers.other]
role = "production"
key = "{PINNED}"
formats = ["mcuboot", "mender", "swupdate", "esp"]
"""
AS_PEM = "add its public key to `trust`."
AS_TOML = "add its public key to the trust.toml, as `key` of a table [signers.NAME]."


@pytest.mark.parametrize("name", ["mcuboot", "mender", "esp"])
def test_a_bare_key_is_added_where_trust_was_given(name, tmp_path):
    toml = tmp_path / "trust.toml"
    toml.write_text(TOML)
    for trust, advice in ((PINNED, AS_PEM), (toml, AS_TOML)):
        for data in conformance.good(name).values():
            report = conformance.check(name, data, bundlekit.load_trust([trust]))
            found = [one for one in report.findings if one.rule == "signer-unknown"]
            assert found
            assert all(one.message.endswith(advice) for one in found), found
            assert not any("intermediate" in one.next for one in found)


def test_a_certificate_is_added_where_trust_was_given(tmp_path):
    toml = tmp_path / "trust.toml"
    toml.write_text(TOML.replace('"esp"]', '"esp", "rauc"]'))
    (data, *_) = conformance.good("rauc").values()
    for trust, advice in ((PINNED, "to `trust`."), (toml, "to the trust.toml, as `anchor` of a table [signers.NAME].")):
        report = conformance.check("rauc", data, bundlekit.load_trust([trust]))
        (finding,) = (one for one in report.findings if one.rule == "signer-unknown")
        assert finding.message.endswith(f"If you do trust it, add its certificate {advice}")
