"""Where workers find bundles: by their ids at the places of a FLEET.toml, on this host or on a server."""

from pathlib import Path

import pytest

from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.fleet.bundle_shelf import BundleShelf
from bundlekit.fleet.fleet_file import load_fleet
from bundlekit.update.bundle import claimed_id
from fixtures.make_fleet import make_fleet
from tests.remote.server import FileServer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_fleet(Path())
    return tmp_path


def shelf(*places, folder=None):
    names = ", ".join(f'"{place}"' for place in places)
    text = Path("FLEET.toml").read_text().replace('"mc2.bin", "mc3.bin", "sp3.bin"', names)
    Path("FLEET.toml").write_text(text)
    return BundleShelf(load_fleet(Path("FLEET.toml")), folder)


def test_a_bundle_is_found_by_its_id_whatever_its_name_is(folder):
    wanted = claimed_id("mc3.bin")
    Path("releases").mkdir()
    Path("releases/notes.txt").write_text("no bundle")
    Path("mc3.bin").rename("releases/first")
    one = shelf("mc2.bin", "missing.bin", "releases")
    assert one.file(wanted, "mc3.bin") == Path("releases/first")
    Path("releases/first").rename("releases/second")
    assert one.file(wanted, "mc3.bin") == Path("releases/second"), "it was moved meanwhile"
    Path("releases/second").write_bytes(Path("mc2.bin").read_bytes())
    with pytest.raises(BundlekitError, match=f"mc3.bin \\({wanted}\\) is at none of the places"):
        one.file(wanted, "mc3.bin")
    with pytest.raises(ConfigError, match="`bundles` names only its head"):
        one.require({wanted: "mc3.bin"})
    one.require({claimed_id("mc2.bin"): "mc2.bin"})


def test_a_bundle_on_a_server_is_copied_once(folder, tmp_path):
    wanted, content = claimed_id("mc3.bin"), Path("mc3.bin").read_bytes()
    with FileServer(tmp_path) as server:
        one = shelf(server.url("good", "mc3.bin"), folder=tmp_path / "copies")
        copy = one.file(wanted, "mc3.bin")
        assert copy.read_bytes() == content
        assert copy.name == f"{wanted.removeprefix('sha256:')}.bin"
        before = server.sent
        assert one.file(wanted, "mc3.bin") == copy
        assert server.sent == before
        assert (tmp_path / "copies").stat().st_mode & 0o777 == 0o700
        with pytest.raises(BundlekitError, match="no folder for copies"):
            BundleShelf(load_fleet(Path("FLEET.toml"))).file(wanted, "mc3.bin")
    with pytest.raises(BundlekitError, match=r"is at none of the places that FLEET.toml names. .*127.0.0.1"):
        BundleShelf(load_fleet(Path("FLEET.toml")), tmp_path / "copies").file(wanted, "mc3.bin")


def test_a_copy_of_another_bundle_is_not_used(folder, tmp_path):
    wanted, content = claimed_id("mc3.bin"), Path("mc3.bin").read_bytes()
    with FileServer(tmp_path) as server:
        one = shelf(server.url("good", "mc3.bin"), folder=tmp_path / "copies")
        copy = one.file(wanted, "mc3.bin")
        copy.write_bytes(Path("mc2.bin").read_bytes())
        assert one.file(wanted, "mc3.bin").read_bytes() == content, "it is copied again"
        copy.unlink()
        Path("mc3.bin").write_bytes(Path("mc2.bin").read_bytes())
        with pytest.raises(BundlekitError, match=r"is no longer the bundle mc3.bin \(sha256:"):
            one.file(wanted, "mc3.bin")
