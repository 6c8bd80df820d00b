"""What the formats themselves state about an appliance decides: it restricts, and it never allows."""

import datetime as dt
import struct

import pytest

import bundlekit
from bundlekit import config
from bundlekit.matrix.terms import provided_after
from bundlekit.model.appliance import Appliance
from bundlekit.model.release import Terms
from bundlekit.source import BytesSource
from fixtures import esp_image, forge, make_rauc, mcuboot_image, mender_artifact, spoil_rauc, spoil_swupdate

NOW = dt.datetime.fromisoformat(forge.AT)


def state(version="1.0.0", **changes):
    member = {"role": "active", "version": version}
    fields = {"schema": "bundlekit/state/1", "pair": "p", "product": "p", "model": "m", "counter": 0, "includes": []}
    return config.convert(fields | {"members": {"A": member}} | changes, Appliance, where="state")


def decided(data, appliance=None, **asked):
    """The kinds of decision about the bundle, with the part that each is about, and the report."""
    report = bundlekit.check(BytesSource(data), at=NOW, appliance=appliance, **asked)
    found = [(one.kind, one.subject) for each in report.decisions for one in each.component_decisions]
    return found, report


def rules(report, name):
    return next(one for one in report.rules if one.rule == name)


# --- Mender ---


def mender(types=None, **depends):
    info = mender_artifact.info(artifact_depends={"device_type": ["board-a", "board-b"]} | depends)
    return mender_artifact.artifact(
        header=mender_artifact.header_members(info, mender_artifact.type_info(**types or {}))
    )


BOARD = {"model": "board-a"}


@pytest.mark.parametrize(
    ("depends", "types", "changes", "expected"),
    [
        ({}, {}, BOARD, []),
        ({}, {}, {"model": "board-c"}, [("wrong-model", "p")]),
        ({"artifact_name": ["1.0.0", "1.1.0"]}, {}, BOARD, []),
        ({"artifact_name": ["1.1.0"]}, {}, BOARD, [("unsupported-source", "A")]),
        ({"artifact_name": []}, {}, BOARD, []),
        ({"artifact_group": ["field"]}, {}, BOARD, [("undecided", "p")]),
        ({"artifact_group": ["field"]}, {}, BOARD | {"provides": {}}, [("requirement-not-met", "p")]),
        ({"artifact_group": ["field"]}, {}, BOARD | {"provides": {"artifact_group": "field"}}, []),
        ({"artifact_group": []}, {}, BOARD, []),
        (
            {},
            {"artifact_depends": {"rootfs-image.version": "r1"}},
            BOARD | {"provides": {"rootfs-image.version": "r2"}},
            [("requirement-not-met", "p")],
        ),
        (
            {},
            {"artifact_depends": {"rootfs-image.version": "r1"}},
            BOARD | {"provides": {"rootfs-image.version": "r1"}},
            [],
        ),
        ({}, {"artifact_depends": {"kernel": "6"}}, BOARD | {"provides": {}}, [("requirement-not-met", "p")]),
    ],
)
def test_what_a_mender_artifact_depends_on_decides(depends, types, changes, expected):
    found, report = decided(mender(types, **depends), state(**changes))
    assert found == expected
    assert report.verdict != "accept"
    for kind, _ in expected:
        assert (kind in {one.rule for one in report.findings}) == (kind != "undecided")


def test_a_version_alone_is_compared_with_the_names_that_an_artifact_lists():
    data = mender(artifact_name=["1.0.0"])
    assert decided(data, sources="1.0.0")[0] == []
    found, report = decided(data, sources="1.1.0")
    assert found == [("unsupported-source", "1.1.0")]
    (finding,) = (one for one in report.findings if one.rule == "unsupported-source")
    assert (finding.cause, finding.next) == ("unsupported-source", "Update to 1.0.0 first.")


def test_an_unknown_value_names_the_field_of_the_state():
    _, report = decided(mender(artifact_group=["field"]), state(**BOARD))
    outcome = rules(report, "undecided")
    assert outcome.outcome == "not-run"
    assert '"provides": {"artifact_group": …}' in outcome.next


def test_no_rule_passes_that_needs_a_matrix():
    _, report = decided(mender(artifact_group=["field"]), state(**BOARD, provides={}))
    for name in ("downgrade", "blocked", "unsupported-source", "wrong-product"):
        assert (rules(report, name).outcome, name) == ("not-run", name)
        assert "has no upgrade matrix" in rules(report, name).reason


def matrix(tmp_path, text):
    path = tmp_path / "matrix.toml"
    path.write_text(text)
    return bundlekit.load_matrix(path)


# --- MCUboot ---


def mcuboot(*dependencies):
    tlvs = [(0x40, struct.pack("<B3xBBHI", *one)) for one in dependencies]
    return mcuboot_image.image(mcuboot_image.content((*tlvs, mcuboot_image.COUNTER)))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, [("undecided", "p")]),
        ({"mcuboot.image-1": "1.3.9"}, [("requirement-not-met", "p")]),
        ({"mcuboot.image-1": "1.4.0"}, []),
        ({"mcuboot.image-1": "1.4.0+1"}, []),
        ({"mcuboot.image-1": "2.0.0"}, []),
        ({"mcuboot.image-1": "new"}, [("undecided", "p")]),
        ({"mcuboot.image-1": 2}, [("undecided", "p")]),
    ],
)
def test_an_mcuboot_image_needs_another_image(facts, expected):
    found, report = decided(mcuboot((1, 1, 4, 0, 7)), state(facts=facts))
    assert found == expected
    if not facts:
        assert '"facts": {"mcuboot.image-1": "1.4.0+7"}' in rules(report, "undecided").next


def test_the_security_counter_of_an_mcuboot_image_counts():
    assert decided(mcuboot(), state(counter=7))[0] == []
    assert decided(mcuboot(), state(counter=8))[0] == [("counter-too-low", "p")]


# --- ESP-IDF ---


@pytest.mark.parametrize(
    ("revisions", "efuse", "facts", "expected"),
    [
        ((0, 0), (0, 0), {}, []),
        ((301, 399), (0, 0), {}, ["undecided"]),
        ((301, 399), (0, 0), {"esp.chip-revision": "v3.0"}, ["requirement-not-met"]),
        ((301, 399), (0, 0), {"esp.chip-revision": "3.1"}, []),
        ((301, 399), (0, 0), {"esp.chip-revision": "v3.99"}, []),
        ((301, 399), (0, 0), {"esp.chip-revision": "v4.0"}, ["requirement-not-met"]),
        ((0, 0), (103, 0xFFFF), {"esp.efuse-block-revision": "1.2"}, ["requirement-not-met"]),
        ((0, 0), (103, 0xFFFF), {"esp.efuse-block-revision": "1.3"}, []),
        ((0, 0), (103, 0xFFFF), {}, ["undecided"]),
    ],
)
def test_an_esp_image_needs_a_chip_of_some_revision(revisions, efuse, facts, expected):
    description = esp_image.app_description(efuse=efuse, counter=0)
    data = esp_image.image("esp32s3", esp_image.segments("esp32s3", description), revisions=revisions)
    found, _ = decided(data, state(product="esp-sample", model="esp32s3", facts=facts))
    assert [kind for kind, _ in found] == expected


def test_the_highest_revision_of_a_bootloader_is_not_compared():
    parts = [(esp_image.CHIPS["esp32s3"][2], esp_image.bootloader_description(counter=0))]
    data = esp_image.image("esp32s3", parts, revisions=(100, 199))
    asked = state(model="esp32s3", facts={"esp.chip-revision": "2.0"})
    assert decided(data, asked)[0] == []  # its product is a substitute, so it is not compared either


def test_secure_version_is_the_counter():
    data = esp_image.image("esp32s3", revisions=(0, 0))
    for counter, expected in ((5, []), (6, ["counter-too-low"])):
        found, _ = decided(data, state(product="esp-sample", model="esp32s3", counter=counter))
        assert [kind for kind, _ in found if kind != "undecided"] == expected


# --- RAUC ---


def rauc(old=b"", new=b""):
    parts = spoil_rauc.opened((make_rauc.FOLDER / "verity.raucb").read_bytes())
    return parts.changed(old, new) if old else parts.data


def test_compatible_is_compared_without_a_matrix():
    product = bundlekit.check(BytesSource(rauc()), at=NOW).claims.product
    assert decided(rauc(), state(product=product))[0] == []
    assert decided(rauc(), state(product="other"))[0] == [("wrong-product", "p")]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ["undecided"]),
        ({"rauc.version": "1.8"}, ["requirement-not-met"]),
        ({"rauc.version": "1.15"}, []),
        ({"rauc.version": "1.15.2"}, []),
    ],
)
def test_a_rauc_bundle_can_need_a_version_of_rauc(facts, expected):
    line = b"[update]\n"
    data = rauc(line, line + b"min-rauc-version=1.15\n")
    product = bundlekit.check(BytesSource(data), at=NOW).claims.product
    assert [kind for kind, _ in decided(data, state(product=product, facts=facts))[0]] == expected


# --- limits in the configuration of a device ---


LIMITS = [
    ("rauc.min-bundle-version", "2026.11.0", "2026.12.0"),
    ("rauc.min-bundle-version", "2026.11", "2026.11.2"),
]


@pytest.mark.parametrize(("key", "fine", "too_high"), LIMITS)
def test_a_device_can_have_a_lowest_version(key, fine, too_high):
    release = bundlekit.check(BytesSource(rauc()), at=NOW).claims
    data = rauc(f"version={release.version}".encode(), b"version=2026.11.1")
    about = {"product": release.product}
    assert decided(data, state(**about, facts={key: fine}))[0] == []
    assert decided(data, state(**about, facts={key: too_high}))[0] == [("requirement-not-met", "p")]
    assert decided(data, state(**about))[0] == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"swupdate.no-downgrading": "1.0"}, []),
        ({"swupdate.no-downgrading": "1.1"}, [("requirement-not-met", "p")]),
        ({"swupdate.max-version": "1.0.0"}, []),
        ({"swupdate.max-version": "0.9"}, [("requirement-not-met", "p")]),
        ({"swupdate.max-version": "0.9.1.2"}, [("requirement-not-met", "p")]),
        ({"swupdate.max-version": "soon"}, [("undecided", "p")]),
    ],
)
def test_swupdate_can_be_configured_with_limits(facts, expected):
    data = spoil_swupdate.whole()
    assert decided(data, state(model="1.0", facts=facts))[0] == expected
    assert decided(data, state(model="2.0", facts=facts))[0][:1] == [("wrong-model", "p")]


ONE_BOARD = {"hardware-compatibility": ["2.0"], "images": [spoil_swupdate.entry()]}
BOARDS = {"board-a": ONE_BOARD, "board-b": ONE_BOARD | {"hardware-compatibility": ["#RE:^3\\.[0-4]$"]}}
MODES = {"stable": {"one": ONE_BOARD, "two": ONE_BOARD | {"hardware-compatibility": ["1.0", "3.0"]}}}
NOT_MET, OPEN_ = [("requirement-not-met", "p")], [("undecided", "p")]


@pytest.mark.parametrize(
    ("groups", "board", "model", "facts", "expected"),
    [
        (BOARDS, "board-a", "2.0", {}, []),
        (BOARDS, "board-a", "1.0", {}, NOT_MET),  # 1.0 is for all boards that have no list
        (BOARDS, "board-a", "3.1", {}, NOT_MET),
        (BOARDS, "board-b", "3.1", {}, []),
        (BOARDS, "board-b", "3.5", {}, NOT_MET),
        (BOARDS, "p", "1.0", {}, OPEN_),  # which board that is, is not known
        (BOARDS, "p", "4.0", {}, NOT_MET),  # and this is for none of them
        (BOARDS, "p", "1.0", {"swupdate.board": "board-c"}, []),
        (BOARDS, "p", "2.0", {"swupdate.board": "board-a"}, []),
        (MODES, "p", "1.0", {}, OPEN_),
        (MODES, "p", "1.0", {"swupdate.software-set": "stable", "swupdate.running-mode": "two"}, []),
        (MODES, "p", "1.0", {"swupdate.software-set": "stable", "swupdate.running-mode": "one"}, NOT_MET),
        (MODES, "p", "1.0", {"swupdate.software-set": "main", "swupdate.running-mode": "one"}, []),
        (MODES, "p", "1.0", {"swupdate.software-set": "", "swupdate.running-mode": ""}, []),
        (
            MODES,
            "p",
            "1.0",
            {"swupdate.software-set": 7, "swupdate.running-mode": "two"},
            [],
        ),  # 1.0 is in each that is left
        ({"hardware_compatibility": ["#RE:^2\\.[0-9]+$", "1.0"]}, "p", "2.17", {}, []),
        ({"hardware_compatibility": ["#RE:^2\\.[0-9]+$", "1.0"]}, "p", "1.0", {}, []),
        ({"hardware_compatibility": ["#RE:^2\\.[0-9]+$", "1.0"]}, "p", "1.1", {}, NOT_MET),
        ({"hardware_compatibility": ["#RE:^2\\.\\d$", "1.0"]}, "p", "2.1", {}, OPEN_),  # only some libraries know it
        ({"hardware_compatibility": ["#RE:^2\\.\\d$", "1.0"]}, "p", "1.0", {}, []),
        ({"hardware_compatibility": []} | BOARDS, "p", "1.0", {"swupdate.board": "board-c"}, NOT_MET),
        ({"hardware-compatibility": None} | BOARDS, "p", "1.0", {"swupdate.board": "board-c"}, NOT_MET),
    ],
)
def test_swupdate_has_revisions_for_boards_and_modes(groups, board, model, facts, expected):
    data = spoil_swupdate.whole(spoil_swupdate.described(name="Several boards", **groups))
    assert decided(data, state(product=board, model=model, facts=facts))[0] == expected


def test_swupdate_leaves_revisions_open_for_a_version_alone(tmp_path):
    data = spoil_swupdate.whole(spoil_swupdate.described(**BOARDS))
    given = matrix(
        tmp_path,
        'matrix = 1\n[release]\nscheme = "dotted"\nproduct = "p"\nmodels = ["1.0"]\n'
        '[[from]]\nid = "f"\nversions = "*"\nunlisted = true\n',
    )
    _, report = decided(data, sources=("0.9",), matrix=given)
    assert "the hardware revisions that the bundle is for" in report.decisions[0].not_checked


# --- together with a matrix, and after an update ---


def test_a_matrix_cannot_allow_what_the_format_forbids(tmp_path):
    given = matrix(
        tmp_path,
        'matrix = 1\n[release]\nmodels = ["m"]\nreleased = 2026-11-01\n'
        '[[from]]\nid = "f"\nversions = "*"\nunlisted = true\n',
    )
    pair = state(members={"A": {"role": "active", "version": "1.0.0", "released": "2026-10-01"}})
    assert decided(mcuboot((1, 1, 4, 0, 7)), pair, matrix=given)[0] == [("undecided", "p"), ("upgrade", "A")]
    facts = {"mcuboot.image-1": "1.4.0"}
    pair = state(members={"A": {"role": "active", "version": "1.0.0", "released": "2026-10-01"}}, facts=facts)
    assert decided(mcuboot((1, 1, 4, 0, 7)), pair, matrix=given)[0] == [("upgrade", "A")]
    found, report = decided(mcuboot((1, 1, 4, 0, 7)), None, sources="1.0.0", matrix=given)
    assert found == [("upgrade", "1.0.0")]
    assert "the demand on mcuboot.image-1 that the bundle states" in report.decisions[0].not_checked


@pytest.mark.parametrize(
    ("clears", "before", "after"),
    [
        ((), {"a": "1", "b": "1"}, {"a": "2", "b": "1"}),
        (("b*",), {"a": "1", "b.c": "1", "cb": "1"}, {"a": "2", "cb": "1"}),
        (("*.c",), {"b.c": "1", "b.cd": "1"}, {"a": "2", "b.cd": "1"}),
        (("b.c",), {"b.c": "1", "bxc": "1"}, {"a": "2", "bxc": "1"}),
        (None, {"b": "1"}, {"a": "2"}),
        (None, None, {"a": "2"}),
        ((), None, None),
    ],
)
def test_an_update_changes_what_the_device_provides(clears, before, after):
    terms = Terms(provides={"a": "2"}, clears=clears)
    assert provided_after(terms, before) == after
