"""The walk-through of `bundlekit explain key-rotation`, walked; the clock; and what a check does not load."""

import datetime as dt
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bundlekit
from bundlekit import pipeline, wall_clock
from bundlekit.cli import run
from bundlekit.errors import ClockError, TrustError
from bundlekit.source import BytesSource
from bundlekit.trust import load_trust
from fixtures import forge
from tests.trust import pki, world
from tests.trust.world import bundle, by, rules

OLD = by(common="Old", issuer="Old Root")
NEW = by(common="New", issuer="New Root")
TRUST = """
trust = 1
allow-test-keys = true
{more}
[signers.release-2019]
role = "production"
anchor = "old.pem"
until = 2027-12-31
[signers.release-2027]
role = "production"
anchor = "new.pem"
"""


@pytest.fixture
def place(tmp_path):
    for name, common in (("old", "Old Root"), ("new", "New Root")):
        certificate = pki.root(common=common, end=pki.NOW.replace(year=2040))
        (tmp_path / f"{name}.pem").write_bytes(pki.pem(certificate))
    return tmp_path


def trust(place, more="", text=TRUST):
    (place / "trust.toml").write_text(text.replace("{more}", more))
    return load_trust([place / "trust.toml"])


def old_trust(place, more=""):
    return trust(place, more, TRUST[: TRUST.index("[signers.release-2027]")])


def test_the_bridge_release(place):
    both, alone, after = bundle(OLD, NEW), bundle(OLD), bundle(NEW)
    ignoring = 'other-signers = "ignore"'
    assert world.check(old_trust(place, ignoring), both).verdict == "accept"
    assert world.check(trust(place), both).verdict == "accept"
    assert rules(world.check(old_trust(place), both)) == ["signer-unknown"]
    assert world.check(old_trust(place), alone).verdict == "accept"
    assert world.check(trust(place), after).verdict == "accept"
    assert rules(world.check(old_trust(place, ignoring), after)) == ["too-few-signers"]


def test_the_old_key_retires(place, capsys):
    later = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
    old = by(leaf=pki.signer(issuer="Old Root", end=later.replace(year=2030)))
    assert rules(world.check(trust(place), bundle(old), at=later)) == ["signer-expired"]
    assert world.check(trust(place, 'time = "released"'), bundle(old), at=later).verdict == "accept"
    denied = trust(place, 'time = "released"\ndeny = ["old.pem"]')
    assert rules(world.check(denied, bundle(old), at=later)) == ["signer-denied"]
    trust(place)
    assert run(["trust", "show", str(place / "trust.toml"), "--at", "2028-01-01"]) == 0
    assert "release-2019 [production] UNUSABLE: signed until 2027-12-31" in capsys.readouterr().out


def snippets():
    """The parts of trust files on the page, in their order."""
    page = (Path(bundlekit.__file__).parent / "docs" / "key-rotation.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^ {4}.+\n)+", page, re.MULTILINE)
    return [block.replace("\n    ", "\n").strip() for block in blocks if "[signers." in block]


def test_the_trust_files_of_the_page(place):
    """One signer is one person with several keys, on this page as on that about trust."""
    first, hybrid = snippets()
    (place / "root-2019.pem").write_bytes((place / "old.pem").read_bytes())
    (place / "root-2027.pem").write_bytes((place / "new.pem").read_bytes())
    (place / "release-pq-2027.pub.pem").write_bytes(pki.pem(pki.key("ml-dsa-65", "Anna").public_key()))
    head = "trust = 1\nallow-test-keys = true\n"
    store = trust(place, text=head + first)
    assert [one.name for one in store.signers] == ["release"]
    later = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
    old = by(leaf=pki.signer(issuer="Old Root", end=later.replace(year=2030)))
    new = by(leaf=pki.signer(issuer="New Root", end=later.replace(year=2030)))
    for signature in (old, new):
        assert world.check(store, bundle(signature)).verdict == "accept"
    assert "signer-expired" in rules(world.check(store, bundle(old), at=later))
    assert world.check(store, bundle(new), at=later).verdict == "accept"
    two = trust(place, text=head + first.replace("count   = 1", "count   = 2"))
    assert rules(world.check(two, bundle(old, new))) == ["too-few-signers"]
    store = trust(place, text=head + hybrid)
    assert rules(world.check(store, bundle(NEW))) == ["too-few-signers"]
    assert world.check(store, bundle(NEW, world.ANNA_PQ)).verdict == "accept"


def test_a_clock_before_our_own_release_cannot_judge(monkeypatch):
    data = BytesSource(forge.good())
    monkeypatch.setattr(wall_clock, "now", lambda: dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    for judge in (pipeline.check, pipeline.preflight):
        with pytest.raises(
            ClockError, match="The clock shows 1970-01-01, which is before the release of this bundlekit"
        ):
            judge(data, trust=forge.trust())
    with pytest.raises(ClockError):
        pipeline.read_manifest(data, trust=forge.trust())


def test_a_given_time_is_shown(place, capsys):
    file = place / "bundle.bin"
    file.write_bytes(forge.good())
    run(["check", str(file), "--at", "2026-11-24"])
    assert "time       2026-11-24T00:00:00Z, as given (--at), not by the clock" in capsys.readouterr().out
    assert forge.judge(forge.good()).request.at_given


def test_demands_hold_for_whatever_is_read_from_a_bundle(place):
    """The matrix of a bundle with too few signers is not taken from it either."""
    both = trust(place, text=TRUST + world.demand(2, "release-2019", "release-2027"))
    with pytest.raises(TrustError, match="it is not signed by a trusted signer"):
        pipeline.read_manifest(bundle(OLD), trust=both)
    assert pipeline.read_manifest(bundle(OLD, NEW), trust=both).product == "imager"


def test_pem_trust_loads_nothing_of_trust_files():
    folder = Path(forge.__file__).parent
    code = (
        "import sys, bundlekit, pathlib\n"
        f"trust = bundlekit.load_trust([pathlib.Path({str(folder / 'keys/trust')!r})])\n"
        f"bundlekit.preflight({str(folder / 'golden/accept/signed-by-chain/bundle.bin')!r}, trust=trust)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder.parent)
    loaded = set(done.stdout.split())
    assert "bundlekit.trust.chain" in loaded
    parts = (
        "trust.policy",
        "trust.crl",
        "trust.quorum",
        "trust.overview",
        "model.trust",
        "model.waiver",
    )
    assert not loaded & {"tomllib", *(f"bundlekit.{part}" for part in parts)}
