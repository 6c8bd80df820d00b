"""The bridge: from a full check of an open file to a job, and from nothing else."""

import datetime as dt
import inspect
import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import bundlekit
from bundlekit.checks import RULES
from bundlekit.cli import run
from bundlekit.errors import ChangedWhileReadError, ConfigError, UnreadableError
from bundlekit.matrix.operator import NOTHING
from bundlekit.model.appliance import Appliance
from bundlekit.model.origin import ConfigUse
from bundlekit.model.waiver import Waivers
from bundlekit.request import CheckRequest
from bundlekit.source import BytesSource
from bundlekit.trust import load_trust
from bundlekit.update.bundle import EXPIRY, CheckedBundle, NotAcceptedError, OpenBundle, reopened, verified
from bundlekit.update.engine.plan import PAIR
from tests.update import shelf


@pytest.fixture
def desk(bundle_folder, monkeypatch):
    monkeypatch.chdir(bundle_folder)
    return bundle_folder


@pytest.fixture
def trust(desk):
    return load_trust([desk / "root.pem"])


@pytest.fixture
def appliance(desk):
    return msgspec.json.decode((desk / "STATE.json").read_bytes(), type=Appliance)


def damage(path, offset):
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def at(version):
    return {"members": {serial: member | {"version": version} for serial, member in shelf.STATE["members"].items()}}


def test_a_checked_bundle_becomes_a_job(desk, trust, appliance):
    with verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk) as bundle:
        job = bundle.job(PAIR)
    assert (job.pair, job.version, job.counter, job.counter_before) == ("pair-0", "5.40.00", 7, 6)
    assert job.bundle_id == bundlekit.check("update.bin").id
    assert job.path == str(desk / "update.bin")
    assert {step: (t.identity, t.old, t.new) for step, t in job.targets.items()} == {
        "storage": ("pair-0", "3.2.1", "3.4.0"),
        "active": ("SN-active", "5.20.03", "5.40.00"),
        "standby": ("SN-standby", "5.20.03", "5.40.00"),
    }
    assert job.incompatible == {}
    assert (job.minutes, job.revert_minutes) == (95, 60)


def test_what_is_staged_is_what_was_built_and_has_no_name(desk, trust, appliance):
    before = set(os.listdir(desk))
    with verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk) as bundle:
        for label in ("storage", "appliance"):
            with bundle.stage(label) as file:
                assert file.read() == Path(f"{label}.img").read_bytes()
                assert set(os.listdir(desk)) == before


def test_what_changes_after_the_check_reaches_nobody(desk, trust, appliance):
    with verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk) as bundle:
        damage(desk / "update.bin", -4096)
        with bundle.stage("storage"):
            pass
        with pytest.raises(ChangedWhileReadError, match="'appliance' is damaged at 0x"), bundle.stage("appliance"):
            pytest.fail("handed over")


def test_a_file_put_in_its_place_is_not_the_one_that_is_used(desk, trust, appliance):
    with verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk) as bundle:
        Path("other.bin").write_bytes(b"other")
        Path("other.bin").rename("update.bin")
        with bundle.stage("storage") as file:
            assert file.read() == Path("storage.img").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda desk: damage(desk / "update.bin", -4096), "corrupted"),
        (lambda desk: os.truncate(desk / "update.bin", 100_000), "corrupted"),
    ],
    ids=["flipped", "truncated"],
)
def test_a_payload_that_no_preflight_reads_makes_no_bundle(desk, trust, appliance, spoil, cause):
    spoil(desk)
    with (
        pytest.raises(NotAcceptedError) as refused,
        verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk),
    ):
        pytest.fail("a bundle came of it")
    assert refused.value.report.causes == (cause,)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"product": "printer"}, "wrong-product"),
        (at("5.40.00") | {"components": {"storage": {"version": "3.4.0"}}}, "not-newer"),
        (at("5.10.00"), "unsupported-source"),
        ({"update": "update 17"}, "on-hold"),
    ],
    ids=["product", "not-newer", "source", "pending"],
)  # fmt: skip
def test_a_pair_that_may_not_take_it_makes_no_bundle(desk, trust, change, cause):
    appliance = msgspec.convert(shelf.STATE | change, Appliance)
    with (
        pytest.raises(NotAcceptedError) as refused,
        verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk),
    ):
        pytest.fail("a bundle came of it")
    assert cause in refused.value.report.causes


def test_without_trust_there_is_no_bundle(desk, appliance):
    with pytest.raises(NotAcceptedError), verified("update.bin", CheckRequest(appliances=(appliance,)), folder=desk):
        pytest.fail("a bundle came of it")


def test_test_trust_never_makes_a_bundle(tmp_path):
    folder = shelf.fill(tmp_path, mark="TEST ONLY")
    trust = load_trust([folder / "root.pem"])
    appliance = msgspec.convert(shelf.STATE, Appliance)
    assert bundlekit.check(folder / "update.bin", trust=trust, appliance=appliance).verdict == "accept"
    with (
        pytest.raises(NotAcceptedError, match="TEST TRUST"),
        verified(folder / "update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=tmp_path),
    ):
        pytest.fail("a bundle came of it")


def test_nothing_but_an_open_source_makes_a_bundle():
    """No report, no verdict, no time and no scope can be handed in: constructing one is the check."""
    assert set(inspect.signature(CheckedBundle).parameters) == {"source", "request", "folder", "progress", "cancel"}
    assert not hasattr(bundlekit.Report, "stage")
    assert not issubclass(OpenBundle, CheckedBundle)
    assert not hasattr(OpenBundle, "manifest"), "a reopened bundle cannot be bound to a plan"
    assert not hasattr(OpenBundle, "job")


ALLOWED = {"trust", "appliances", "policy", "advice"}
OF_ONES_OWN = {
    "sources": ("5.20.03",),
    "at": dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
    "full": True,
    "strict": True,
    "waivers": Waivers(digest="sha256:0", current=()),
    "rules": (),
    "matrices": (NOTHING,),
    "config": ConfigUse(file="bundlekit.toml", digest="sha256:0"),
    "warn_within": 60,
    "require_evidence": True,
    "bundle_formats": ("update.bin",),
}


@pytest.mark.parametrize("field", sorted(set(CheckRequest.__struct_fields__) - ALLOWED))
def test_no_time_rule_or_waiver_of_the_callers_own_makes_a_bundle(desk, trust, appliance, field):
    request = replace(CheckRequest(trust=trust, appliances=(appliance,)), **{field: OF_ONES_OWN[field]})
    with pytest.raises(TypeError, match="takes trust, one appliance"), verified("update.bin", request, folder=desk):
        pass


def test_a_bundle_is_for_one_pair(desk, trust, appliance):
    request = CheckRequest(trust=trust, appliances=(appliance, appliance))
    with pytest.raises(TypeError, match="one appliance"), verified("update.bin", request, folder=desk):
        pass


def test_a_request_and_keywords_are_one_too_many(desk, trust):
    for call in (bundlekit.check, bundlekit.preflight):
        assert call("update.bin", CheckRequest(trust=trust)) == call("update.bin", trust=trust)
        with pytest.raises(TypeError, match="not both"):
            call("update.bin", CheckRequest(trust=trust), strict=True)


def test_a_head_alone_makes_no_bundle(desk, trust, appliance):
    data = Path("update.bin").read_bytes()
    head = BytesSource(data[:70_000], size=len(data))
    assert bundlekit.preflight(head, trust=trust, appliance=appliance).verdict == "accept"
    with pytest.raises(UnreadableError):
        CheckedBundle(head, CheckRequest(trust=trust, appliances=(appliance,)), folder=desk)


def test_judged_for_no_pair_it_makes_no_job(desk, trust):
    with (
        verified("update.bin", CheckRequest(trust=trust), folder=desk) as bundle,
        pytest.raises(ConfigError, match="for a pair"),
    ):
        bundle.job(PAIR)


def test_a_hold_of_the_state_is_for_the_run_to_judge(desk, trust):
    appliance = msgspec.convert(shelf.STATE | {"hold": "fan broken"}, Appliance)
    with verified("update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=desk) as bundle:
        assert bundle.job(PAIR).hold == "fan broken"


@pytest.mark.parametrize(
    ("versions", "together"),
    [
        ({"appliance": "5.20.03", "storage": "3.4.0"}, True),
        ({"appliance": "5.20.03", "storage": "3.9.0"}, False),
        ({"appliance": "5.20.03", "storage": "3.4.0", "bmc": "1"}, False),
        ({"appliance": "five", "storage": "3.4.0"}, False),
    ],
    ids=["yes", "no", "unknown", "unreadable"],
)
def test_what_the_matrix_does_not_say_does_not_work_together(desk, trust, versions, together):
    with verified("update.bin", CheckRequest(trust=trust), folder=desk) as bundle:
        assert bundle.works_together(versions) is together


def test_what_would_not_work_together_is_known_before_the_run(tmp_path):
    matrix = shelf.MATRIX.replace(">=5.20.00, <5.50.00", ">=5.30.00, <5.50.00") + (
        '[[works-together]]\nid = "old"\nappliance = "<5.30.00"\nstorage = "<3.4.0"\n'
    )
    folder = shelf.fill(tmp_path, matrix=matrix)
    trust = load_trust([folder / "root.pem"])
    appliance = msgspec.convert(shelf.STATE, Appliance)
    with verified(folder / "update.bin", CheckRequest(trust=trust, appliances=(appliance,)), folder=tmp_path) as bundle:
        assert bundle.job(PAIR).incompatible == {"active": ("storage",)}


# --- a run that has begun -----------------------------------------------------------------------------------


def test_a_resume_opens_the_same_file_again(desk, trust):
    with reopened("update.bin", trust=trust, folder=desk) as bundle, bundle.stage("storage") as file:
        assert bundle.bundle_id == bundlekit.check("update.bin").id
        assert file.read() == Path("storage.img").read_bytes()


def test_expiry_alone_does_not_stop_a_run_that_has_begun(desk, trust):
    spec = Path("SPEC.toml").read_text()
    Path("SPEC.toml").write_text(spec.replace("= 2026-11-23", "= 2020-01-01\nexpires = 2020-01-02"))
    assert run(["build", "SPEC.toml", "-o", "old.bin", "--cert", "signer.pem", "--key", "signer.key"]) == 0
    with pytest.raises(NotAcceptedError), verified("old.bin", CheckRequest(trust=trust), folder=desk):
        pytest.fail("an expired bundle became one")
    with reopened("old.bin", trust=trust, folder=desk):
        pass


def test_expiry_names_rules_that_there_are():
    assert {rule.name for rule in RULES} >= EXPIRY


def test_a_resume_with_test_trust_stops_it(tmp_path):
    folder = shelf.fill(tmp_path, mark="TEST ONLY")
    trust = load_trust([folder / "root.pem"])
    with (
        pytest.raises(NotAcceptedError, match="TEST TRUST"),
        reopened(folder / "update.bin", trust=trust, folder=tmp_path),
    ):
        pytest.fail("it was taken")


def test_a_signer_no_longer_trusted_stops_it(desk, tmp_path):
    (tmp_path / "other").mkdir()
    other = shelf.fill(tmp_path / "other")
    with pytest.raises(NotAcceptedError), reopened("update.bin", trust=load_trust([other / "root.pem"]), folder=desk):
        pytest.fail("it was taken")
