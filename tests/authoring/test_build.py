"""Building: what a SPEC says is what the bundle holds, and mistakes in a SPEC are named."""

import hashlib
import os
from pathlib import Path

import pytest

from bundlekit.authoring.build import _opened, build
from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE
from bundlekit.authoring.spec import load
from bundlekit.errors import CancelledError, ConfigError
from bundlekit.layout import reader
from bundlekit.model.bundle import ChunkClaim
from bundlekit.model.manifest import labelled
from bundlekit.source import FileSource


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "out").mkdir()
    for name, size in (("storage-3.4.0.img", 5000), ("im100.img", 1024 * 1024), ("im200.img", 1024 * 1024 + 1)):
        (tmp_path / "out" / name).write_bytes(hashlib.shake_128(name.encode()).digest(size))
    (tmp_path / "notes.md").write_text("# Notes\n")
    (tmp_path / "eula.txt").write_text("You may.\n")
    (tmp_path / "matrix.toml").write_text(MATRIX_EXAMPLE)
    (tmp_path / "SPEC.toml").write_text(SPEC_EXAMPLE)
    return tmp_path / "SPEC.toml"


def edit(spec: Path, old: str, new: str) -> Path:
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new, 1))
    return spec


def test_the_bundle_holds_what_the_spec_says(spec, tmp_path):
    manifest = build(load(spec), tmp_path / "update.bin")
    with FileSource(tmp_path / "update.bin") as source:
        bundle = reader.read(source)
    assert bundle.problems == ()
    assert bundle.manifest == manifest
    assert bundle.size == bundle.declared_size == (tmp_path / "update.bin").stat().st_size
    assert [item.label for item in labelled(manifest)] == [
        "storage",
        "appliance/im-100",
        "appliance/im-200",
        "release-notes",
        "eula",
    ]
    data = (tmp_path / "update.bin").read_bytes()
    files = ("out/storage-3.4.0.img", "out/im100.img", "out/im200.img", "notes.md", "eula.txt")
    spans = [claim.span for claim in bundle.claims if isinstance(claim, ChunkClaim)]
    assert [data[span.start : span.stop] for span in spans] == [(tmp_path / file).read_bytes() for file in files]
    assert all(span.start % 4096 == 0 for span in spans)
    assert manifest.documents[0].media_type == "text/markdown"
    assert manifest.requirements.free == {"storage": 12 * 2**30}
    plain = hashlib.sha256((tmp_path / "out/im200.img").read_bytes()).hexdigest()
    assert labelled(manifest)[2].stored.digest == f"sha256:{plain}"


def test_models_that_share_a_file_share_an_image(spec, tmp_path):
    edit(spec, "out/im200.img", "out/im100.img")
    manifest = build(load(spec), tmp_path / "update.bin")
    assert [item.label for item in labelled(manifest)][1] == "appliance/im-100+im-200"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spec     = 1", "spec = 2", "has spec = 2; a SPEC begins with spec = 1"),
        ("spec     = 1", "", "has no 'spec' key"),
        ("counter  = 7", "countr = 7", "unknown key 'countr'; did you mean 'counter'?"),
        ("counter  = 7", "", "the key 'counter' is missing"),
        ("counter  = 7", "counter = -1", "at 'counter'"),
        ("counter  = 7", "counter = '7'", "at 'counter': it must be a whole number, not text"),
        ('"imager"', '"ima ger"', "at 'product'"),
        ("2026-11-23", '"soon"', "at 'released'"),
        ("12 GiB", "12 gigs", "requires.free.storage: '12 gigs' is not a number"),
        ('"rolling"', '"sometimes"', "at 'impact.service': 'sometimes' is not one of none, rolling, outage"),
        ("out/im100.img", "out/nothing.img", "nothing.img: No such file"),
        ("out/im100.img", "out", "cannot be read: it is a folder"),
        ('"matrix.toml"', '"nothing.toml"', "nothing.toml: cannot be read"),
        ("models   =", "models =[", "invalid TOML"),
        ('# chunk-size = "4 MiB"', "chunk-size = 1000", "chunk-size"),
        (
            'im-200 = "out/im200.img"',
            'im-20 = "out/im200.img"',
            "has an image for 'im-20', which is not a model of the bundle",
        ),
        (', im-200 = "out/im200.img"', "", "component 'appliance' has no image for 'im-200'"),
        ("[annotations]", '[annotations]\ncolour = "a\\nb"', "at 'annotations"),
    ],
)
def test_mistakes_in_a_spec_are_named(spec, tmp_path, old, new, message):
    edit(spec, old, new)
    with pytest.raises(ConfigError) as caught:
        build(load(spec), tmp_path / "update.bin")
    assert message in str(caught.value)
    assert not (tmp_path / "update.bin").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("SPEC.toml", 'scheme   = "dotted"', 'scheme = "semver"', "SPEC.toml: version: '5.40.00' is not a version of"),
        ("SPEC.toml", 'scheme   = "dotted"', 'scheme = "declared"', "matrix.toml: scheme: The version scheme is 'decl"),
        ("SPEC.toml", 'version = "3.4.0"', 'version = "new"', "SPEC.toml: components.storage.version: 'new' is not a"),
        ("SPEC.toml", 'version = "5.40.00"\nfile', 'version = "5.4"\nfile', "SPEC.toml: components.appliance: appli"),
        ("SPEC.toml", '"< 24 h"', '"< soon"', "SPEC.toml: requires.facts.backup.age: 'soon' cannot be compared"),
        ("SPEC.toml", 'tool  = "0.1"', 'tool = "new"', "SPEC.toml: requires.tool: 'new' is not a version of the sch"),
        ("matrix.toml", 'via      = "5.30.02"', 'via = "5.x"', "matrix.toml: entry 'key-2027', via: '5.x' is not a v"),
        ("matrix.toml", '"5.32.01"]', '"5.32.x"]', "matrix.toml: releases: '5.32.x' is not a version of the sche"),
    ],
)
def test_a_fault_is_named_with_the_file_and_the_key_to_mend(spec, name, old, new, message):
    edit(spec.with_name(name), old, new)
    with pytest.raises(ConfigError) as caught:
        load(spec)
    assert str(caught.value).startswith(f"{spec.parent}/{message}")


def test_faults_that_are_found_at_once_are_on_one_line(spec):
    edit(spec, 'models   = ["im-100", "im-200"]', 'models = ["im-100", "im-200", "im-200"]')
    edit(spec, '"< 24 h"', '"< soon"')
    edit(spec.with_name("matrix.toml"), 'via      = "5.32.01"', 'via = "5.x"')
    with pytest.raises(ConfigError) as caught:
        load(spec)
    named = [one.partition(": ")[0] for one in str(caught.value).split("; ") if one.startswith("/")]
    assert named == [str(spec), str(spec), str(spec.with_name("matrix.toml"))]
    assert "\n" not in str(caught.value)
    assert ".;" not in str(caught.value)


def test_a_file_that_changes_its_size_meanwhile_builds_nothing(spec, tmp_path):
    for size in (1024 * 1024 - 1, 1024 * 1024 + 1):
        draft = load(spec)
        (tmp_path / "out/im100.img").write_bytes(bytes(size))
        with pytest.raises(ConfigError, match="while it was read"):
            build(draft, tmp_path / "update.bin")
        (tmp_path / "out/im100.img").write_bytes(bytes(1024 * 1024))
    assert [path.name for path in tmp_path.iterdir() if "update.bin" in path.name] == []


def test_progress_is_complete_and_cancelling_leaves_nothing(spec, tmp_path):
    seen = []
    build(load(spec), tmp_path / "update.bin", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    (tmp_path / "update.bin").unlink()
    with pytest.raises(CancelledError):
        build(load(spec), tmp_path / "update.bin", cancel=lambda: True)
    assert [path.name for path in tmp_path.iterdir() if "update.bin" in path.name] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('">=5.30.02, <5.40.00"', '">=5.30.02 <5.40.00"', "rolling-530"),
        ('">=5.30.02, <5.40.00"', '">=5.32.01, <5.30.02"', "rolling-530"),
        ('via      = "5.30.02"', 'via      = "5.31.00"', "key-2027"),
        ('id       = "key-2027"', 'id       = "rolling-530"', "rolling-530"),
    ],
)
def test_a_matrix_that_check_would_refuse_is_not_built(spec, tmp_path, old, new, message):
    edit(tmp_path / "matrix.toml", old, new)
    with pytest.raises(ConfigError) as caught:
        load(spec)
    assert message in str(caught.value)


def test_a_component_that_became_a_pipe_is_not_waited_for(tmp_path):
    """Its size was taken while it was a file; opening it by name would wait for a writer for ever."""
    os.mkfifo(tmp_path / "image")
    with pytest.raises(ConfigError, match="image: is a pipe now, but it was a file when its size was read"):
        _opened(tmp_path / "image")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="folder: is a folder now"):
        _opened(tmp_path / "folder")
    with pytest.raises(ConfigError, match="none: cannot be read: No such file or directory"):
        _opened(tmp_path / "none")
