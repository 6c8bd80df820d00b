"""Detached heads: the head is a file of its own, and the components stay where they are, byte for byte."""

import datetime as dt
import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bundlekit
from bundlekit import docs, opening
from bundlekit.authoring.build import build
from bundlekit.authoring.sign import attach, sign
from bundlekit.authoring.signers import load_signers
from bundlekit.authoring.spec import Draft, load
from bundlekit.checks import RULES
from bundlekit.cli import run
from bundlekit.errors import BundlekitError, ConfigError, UnreadableError
from bundlekit.layout import reader, update_bin
from bundlekit.layout.manifest import encode
from bundlekit.model.bundle import Span
from bundlekit.source import BytesSource, FileSource, Joined
from fixtures import forge

POSIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
AT = dt.datetime.fromisoformat(forge.AT)
SPEC = """
spec = 1
kind = "release"
product = "imager"
models = ["im-100", "im-200"]
version = "5.40.00"
scheme = "dotted"
released = 2026-11-23
counter = 7

[components.storage]
version = "3.4.0"
file = "out/storage.iso"
chunk-size = 65536

[components.appliance]
version = "5.40.00"
file = { im-100 = "out/im100.raucb", im-200 = "out/im200.raucb" }
chunk-size = 65536
"""
FILES = {"storage": "storage.iso", "appliance/im-100": "im100.raucb", "appliance/im-200": "im200.raucb"}
SIZES = {"storage": 200_000, "appliance/im-100": 70_000, "appliance/im-200": 65_536}


def content(label):
    return bytes((len(label) + at * at) % 251 for at in range(SIZES[label]))


def last_chunk(size):
    return (size - 1) // 65_536 * 65_536


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A signed head next to its components."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "out").mkdir()
    for label, name in FILES.items():
        (folder / "out" / name).write_bytes(content(label))
    (folder / "SPEC.toml").write_text(SPEC)
    signers = load_signers([forge.KEYS / "signer.key"], [forge.KEYS / "signer.pem"], ask=lambda _: b"")
    build(load(folder / "SPEC.toml"), folder / "out" / "release.bk", signers=signers, capacity=8192, detached=True)
    return folder / "out"


@pytest.fixture
def shipped(made, tmp_path):
    return shutil.copytree(made, tmp_path / "shipped")


def check(folder, **changes):
    return bundlekit.check(folder / "release.bk", trust=forge.trust(), at=AT, **changes)


def rules(report):
    return {(one.rule, one.where, one.subject) for one in report.findings if one.severity == "error"}


def test_a_head_with_its_components_is_accepted_and_every_byte_is_covered(shipped):
    report = check(shipped, full=True)
    assert report.verdict == "accept"
    head = (shipped / "release.bk").stat().st_size
    assert report.coverage.size == report.coverage.covered == head + sum(SIZES.values())
    assert {one.span.stream for one in report.coverage.map} == {"", *FILES}


def test_the_components_are_not_copied_and_not_changed(made):
    assert (made / "release.bk").stat().st_size < 32 * 1024
    assert {label: (made / name).read_bytes() for label, name in FILES.items()} == {one: content(one) for one in FILES}


@pytest.mark.parametrize("label", FILES)
@pytest.mark.parametrize(
    ("change", "rule", "where"),
    [
        (lambda data: None, "component-missing", lambda size: None),
        (lambda data: data[:-1], "truncated", lambda size: (size - 1, size)),
        (lambda data: b"", "truncated", lambda size: (0, size)),
        (lambda data: data + b"x", "trailing-data", lambda size: (size, size + 1)),
        (lambda data: forge.flip(data, 65_535), "chunk-digest-mismatch", lambda size: (0, 65_536)),
        (
            lambda data: forge.flip(data, len(data) - 1),
            "chunk-digest-mismatch",
            lambda size: (size - 1 & -65_536, size),
        ),
    ],
    ids=["missing", "short", "empty", "long", "flipped", "flipped at its end"],
)
def test_what_is_wrong_with_a_component_is_named(shipped, label, change, rule, where):
    file = shipped / FILES[label]
    data = change(file.read_bytes())
    file.unlink() if data is None else file.write_bytes(data)
    span = where(SIZES[label])
    expected = span and Span(start=span[0], stop=span[1], stream=label)
    assert rules(check(shipped)) == {(rule, expected, label)}
    assert check(shipped).verdict == "reject"


def test_the_page_names_the_rules_of_this_file():
    text = Path(__file__).read_text(encoding="utf-8")
    tried = {rule.name for rule in RULES if f'"{rule.name}' in text}
    assert len(tried) >= 5
    assert not {rule for rule in tried if f" {rule}" not in docs.page("detached").partition("## Cases")[2]}


def test_two_components_in_each_others_place_are_found(shipped):
    one, other = shipped / FILES["appliance/im-100"], shipped / FILES["appliance/im-200"]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert {(rule, subject) for rule, _, subject in rules(check(shipped))} == {
        ("truncated", "appliance/im-100"),
        ("trailing-data", "appliance/im-200"),
    }


def test_a_component_can_be_elsewhere_and_the_operator_names_it(shipped, tmp_path, capsys):
    moved = tmp_path / "moved.iso"
    (shipped / "storage.iso").rename(moved)
    assert check(shipped).verdict == "reject"
    assert check(shipped, components={"storage": moved}).verdict == "accept"
    named = ["--trust", str(forge.KEYS / "trust"), "--component", f"storage={moved}", "--at", forge.AT]
    assert run(["check", str(shipped / "release.bk"), *named]) == 0
    assert "ACCEPT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "path", "error", "message"),
    [
        ("storge", "storage.iso", ConfigError, "has no component 'storge'.*storage"),
        ("storage", "nowhere.iso", UnreadableError, "cannot be opened"),
        ("storage", ".", UnreadableError, "component storage: .*: cannot be read: it is a folder"),
    ],
)
def test_a_component_that_the_operator_names_has_to_be_there(shipped, name, path, error, message):
    with pytest.raises(error, match=message):
        check(shipped, components={name: shipped / path})


def test_a_comparison_takes_the_files_of_either_side_from_elsewhere(shipped, made, tmp_path, capsys):
    moved = tmp_path / "moved.iso"
    (shipped / "storage.iso").rename(moved)
    heads = [str(made / "release.bk"), str(shipped / "release.bk")]
    assert run(["compare", *heads]) == 3
    out = capsys.readouterr().out
    assert "component-missing" in out
    assert "(--new-component)" in out
    assert run(["compare", *heads, "--new-component", f"storage={moved}"]) == 0
    assert run(["compare", *reversed(heads), "--old-component", f"storage={moved}"]) == 0
    assert run(["compare", *reversed(heads), "--new-component", f"storage={moved}"]) == 3
    assert "--old-component" in capsys.readouterr().out


def test_a_comparison_names_the_byte_of_a_file_elsewhere(shipped, tmp_path):
    moved = tmp_path / "moved.iso"
    moved.write_bytes(forge.flip(content("storage"), 70_000))
    head = shipped / "release.bk"
    found = bundlekit.compare(head, head, trust=forge.trust(), at=AT, full=True, new_components={"storage": moved})
    assert found.verdict == "incomplete"
    assert [(one.region, one.differing) for one in found.regions] == [("storage", 1)]
    assert [(one.rule, one.subject) for one in found.obstacles] == [("damaged", "new")]


@pytest.mark.parametrize(
    ("side", "value", "message"),
    [("old", "storge=x", "has no component 'storge'"), ("new", "storage=.", "--new-component storage=FILE")],
)
def test_a_wrong_component_of_a_side_is_named_with_the_option_of_that_side(shipped, side, value, message, capsys):
    head = str(shipped / "release.bk")
    assert run(["compare", head, head, f"--{side}-component", value]) in {2, 3}
    assert message in capsys.readouterr().err


def test_no_output_overwrites_the_file_of_a_component(shipped, tmp_path, capsys):
    moved = tmp_path / "moved.md"
    (shipped / "storage.iso").rename(moved)
    head, before = str(shipped / "release.bk"), moved.read_bytes()
    named = f"storage={moved}"
    assert run(["compare", head, head, "--old-component", named, "-o", str(moved)]) == 2
    assert run(["check", head, "--component", named, "-o", str(moved)]) == 2
    assert moved.read_bytes() == before


def test_a_bundle_with_a_payload_has_no_components_elsewhere(tmp_path):
    (tmp_path / "update.bin").write_bytes(forge.good())
    with pytest.raises(ConfigError, match="is not a detached head"):
        bundlekit.check(tmp_path / "update.bin", components={"storage": tmp_path}, at=AT)


def folder(path):
    path.mkdir()


def fifo(path):
    os.mkfifo(path)


def bound(path):
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))  # such a name has at most 107 bytes


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (folder, "a folder"),
        pytest.param(fifo, "a pipe", marks=POSIX),
        pytest.param(bound, "a socket", marks=POSIX),
        pytest.param(lambda path: path.symlink_to(os.devnull), "a device", marks=POSIX),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed")
def test_what_is_no_file_in_the_place_of_a_component_is_no_component(shipped, monkeypatch, make, kind):
    """Each command says what it is, and none waits for a pipe to be written."""
    monkeypatch.chdir(shipped)
    place = shipped / "storage.iso"
    place.unlink()
    make(place)
    report = check(shipped)
    assert rules(report) == {("component-missing", None, "storage")}
    assert report.findings[0].message == f"the file 'storage.iso' of 'storage' cannot be read: it is {kind}"
    with pytest.raises(UnreadableError, match=f"the file of 'storage' cannot be read: it is {kind}"):
        bundlekit.extract(shipped / "release.bk", "storage", shipped / "out")
    with pytest.raises(UnreadableError, match=f"component storage: .*storage.iso: cannot be read: it is {kind}") as one:
        check(shipped, components={"storage": place})
    assert one.value.next_step == "Put the file there, or name it (`component=storage=FILE`)."
    for judge in (bundlekit.check, bundlekit.preflight, bundlekit.inspect):
        with pytest.raises(UnreadableError, match=f"storage.iso: cannot be read: it is {kind}"):
            judge(place)


def test_a_pre_flight_needs_the_head_alone(shipped):
    for name in FILES.values():
        (shipped / name).unlink()
    report = bundlekit.preflight(shipped / "release.bk", trust=forge.trust(), at=AT)
    assert report.verdict == "accept"
    outcome = next(one for one in report.rules if one.rule == "component-missing")
    assert (outcome.outcome, outcome.required) == ("not-run", False)


def test_extract_verifies_a_component_and_needs_it(shipped, tmp_path):
    output = tmp_path / "storage"
    assert bundlekit.extract(shipped / "release.bk", "storage", output) == SIZES["storage"]
    assert output.read_bytes() == content("storage")
    (shipped / "storage.iso").rename(tmp_path / "moved")
    with pytest.raises(UnreadableError, match="the file of 'storage' was not found"):
        bundlekit.extract(shipped / "release.bk", "storage", output)
    elsewhere = {"storage": tmp_path / "moved"}
    assert bundlekit.extract(shipped / "release.bk", "storage", output, components=elsewhere) == SIZES["storage"]


def test_a_head_is_signed_next_to_its_components_only(shipped):
    second = load_signers([forge.KEYS / "second-signer.key"], [forge.KEYS / "second-signer.pem"], ask=lambda _: b"")[0]
    sign(shipped / "release.bk", second, at=AT)
    assert len(bundlekit.inspect(shipped / "release.bk").signatures) == 2
    (shipped / "storage.iso").unlink()
    with pytest.raises(BundlekitError, match="component-missing"):
        attach(shipped / "release.bk", b"", at=AT)


def test_an_update_verifies_the_components_again_when_it_hands_them_over(shipped, tmp_path):
    with opening.open_bundle(shipped / "release.bk") as source:
        assert {name: one.size for name, one in source.streams.items()} == SIZES


def test_two_files_of_one_name_cannot_lie_next_to_a_head(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "image").write_bytes(b"image")
    spec = SPEC.replace("out/storage.iso", "one/image").replace("out/im100.raucb", "two/image")
    (tmp_path / "SPEC.toml").write_text(spec.replace("out/im200.raucb", "two/image"))
    with pytest.raises(ConfigError, match="two files are named 'image'"):
        build(load(tmp_path / "SPEC.toml"), tmp_path / "release.bk", detached=True)


@pytest.mark.parametrize("name", ["-rf", ".hidden", "new\nline", "ü.iso", "a" * 129])
def test_a_head_names_only_plain_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"image")
    draft = Draft(files=(tmp_path / name,), manifest=forge.MANIFEST, texts=())
    with pytest.raises(ConfigError, match="cannot contain the name"):
        build(draft, tmp_path / "release.bk", detached=True)


def rewritten(made, change):
    """The head of `made` with another manifest, unsigned."""
    data = (made / "release.bk").read_bytes()
    manifest = reader.read(BytesSource(data)).manifest
    text = encode(manifest)
    assert text in data
    new = change(text)
    header = update_bin.Header(
        version=update_bin.DETACHED_VERSION, manifest_size=len(new), signature_capacity=8192, file_size=len(data)
    )
    return update_bin.encode_header(header) + new + bytes(len(data) - 32 - len(new))


@pytest.mark.parametrize(
    "name", ["../storage.iso", "/etc/passwd", ".", "..", "a/b", "a\\b", "", "sto\x00rage", "nul\ntwo"]
)
def test_a_name_in_a_head_never_leaves_its_folder(made, name):
    import json

    data = rewritten(made, lambda text: text.replace(b'"storage.iso"', json.dumps(name, ensure_ascii=False).encode()))
    bundle = reader.read(BytesSource(data))
    assert bundle.manifest is None
    assert bundle.problems[0].rule in ("manifest-schema", "manifest-not-canonical")


def test_a_detached_head_names_every_file_and_another_bundle_none(made):
    data = rewritten(made, lambda text: text.replace(b'"file":"storage.iso",', b""))
    problems = reader.read(BytesSource(data)).problems
    assert ("manifest-schema", "storage") in {(one.rule, one.subject) for one in problems}
    with_payload = bytearray(data)
    with_payload[8:12] = (1).to_bytes(4, "big")
    problems = reader.read(BytesSource(bytes(with_payload))).problems
    assert ("manifest-schema", "appliance/im-100") in {(one.rule, one.subject) for one in problems}


@pytest.mark.exhaustive
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_changed_head_is_accepted(made, data):
    head = (made / "release.bk").read_bytes()
    at = data.draw(st.integers(0, len(head) - 1))
    changed = forge.flip(head, at, 1 << data.draw(st.integers(0, 7)))
    streams = {label: BytesSource(content(label)) for label in FILES}
    report = bundlekit.check(Joined(BytesSource(changed), streams), trust=forge.trust(), at=AT)
    assert report.verdict != "accept"


def test_every_truncated_head_is_rejected(made):
    head = (made / "release.bk").read_bytes()
    streams = {label: BytesSource(content(label)) for label in FILES}
    for size in [*range(0, 3000, 41), *range(len(head) - 20, len(head))]:
        report = bundlekit.check(Joined(BytesSource(head[:size]), streams), trust=forge.trust(), at=AT)
        assert report.verdict == "reject", size


def test_a_component_that_changes_meanwhile_is_no_verdict(shipped):
    with FileSource(shipped / "storage.iso") as storage:
        joined = Joined(BytesSource(b""), {"storage": storage})
        (shipped / "storage.iso").write_bytes(b"shorter")
        with pytest.raises(BundlekitError, match="changed while it was read"):
            joined.ensure_unchanged()
