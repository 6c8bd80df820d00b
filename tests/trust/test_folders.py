"""A folder given as trust: which files count, what refuses it, and that reports name what it brought."""

import json
import os

import pytest

import bundlekit
from bundlekit.cli import run
from bundlekit.errors import TrustError
from bundlekit.trust import load_trust
from fixtures import forge
from tests.trust import pki
from tests.trust.pki import key

ROOT = pki.pem(pki.root())
KEY = pki.pem(key("ed25519").public_key())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "root.pem").write_bytes(ROOT)
    return tmp_path / "certs"


@pytest.mark.parametrize("name", ["trust.toml", "other.toml", "TRUST.TOML", "root.crl", "a.CRL"])
def test_a_folder_with_a_file_that_restricts_is_refused(folder, name):
    """Its demands would be ignored: two signatures of two, and one would be enough."""
    (folder / name).write_text("trust = 1\n")
    with pytest.raises(TrustError, match=f"contains {name}, whose requirements would be ignored"):
        load_trust(folder)


def test_hidden_files_and_subfolders_do_not_count(folder):
    (folder / ".hidden.pem").write_bytes(pki.pem(pki.root(common="Hidden")))
    (folder / ".trust.toml").write_text("")
    (folder / "..data").mkdir()
    (folder / "old").mkdir()
    (folder / "old" / "old.pem").write_bytes(pki.pem(pki.root(common="Old")))
    (folder / "old" / "trust.toml").write_text("")
    (folder / "README.txt").write_text("not read")
    assert [one.subject for one in load_trust(folder).trusted.anchors] == ["CN=Root,O=TEST ONLY"]


def test_suffixes_in_capitals_count(folder):
    (folder / "OTHER.PEM").write_bytes(pki.pem(pki.root(common="Other")))
    assert len(load_trust(folder).trusted.anchors) == 2


def test_links_count_inside_the_folder_alone(folder, tmp_path):
    (tmp_path / "stranger.pem").write_bytes(pki.pem(pki.root(common="Stranger")))
    (folder / "..2026").mkdir()  # as Kubernetes mounts a secret
    (folder / "..2026" / "mounted.pem").write_bytes(pki.pem(pki.root(common="Mounted")))
    (folder / "mounted.pem").symlink_to("..2026/mounted.pem")
    assert len(load_trust(folder).trusted.anchors) == 2
    (folder / "link.pem").symlink_to(tmp_path / "stranger.pem")
    with pytest.raises(TrustError, match=r"link\.pem is a link to .*stranger\.pem, outside the folder"):
        load_trust(folder)
    assert load_trust(folder / "link.pem").trusted.anchors[0].subject == "CN=Stranger,O=TEST ONLY"


def test_a_link_to_the_folder_itself_is_the_folder(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert len(load_trust(tmp_path / "link").trusted.anchors) == 1


@pytest.mark.parametrize("make", ["folder", "fifo", "dangling"])
def test_what_is_named_like_a_certificate_is_a_file(folder, make):
    if make == "folder":
        (folder / "a.pem").mkdir()
    elif make == "fifo":
        os.mkfifo(folder / "a.pem")
    else:
        (folder / "a.pem").symlink_to("missing")
    with pytest.raises(TrustError, match=r"a\.pem is not a regular file"):
        load_trust(folder)


def test_a_report_names_what_became_trust(tmp_path, monkeypatch, capsys):
    (tmp_path / "update.bin").write_bytes(forge.good())
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "root.pem").write_bytes((forge.KEYS / "trust" / "root.pem").read_bytes())
    (tmp_path / "certs" / "carl.pub").write_bytes(KEY)
    monkeypatch.chdir(tmp_path)
    (anchor,) = load_trust(tmp_path / "certs" / "root.pem").trusted.anchors
    for verb in ("check", "preflight"):
        assert run([verb, "update.bin", "--trust", "certs", "--at", "2026-12-01"]) == 0
        lines = capsys.readouterr().out.splitlines()
        place = lines.index("  trust      folder certs, with")
        assert lines[place + 1].startswith("               key carl.pub (sha256:")
        assert lines[place + 2] == f"               anchor root.pem: {anchor.subject} (sha256:{anchor.id[:16]}…)"
        assert run([verb, "update.bin", "--trust", "certs", "--at", "2026-12-01", "--format", "json"]) == 0
        (named,) = json.loads(capsys.readouterr().out)["request"]["trust-folders"]
        assert named["folder"] == "certs"
        assert named["entries"][1] == {
            "file": "root.pem",
            "kind": "anchor",
            "subject": anchor.subject,
            "id": anchor.id,
        }
        assert run([verb, "update.bin", "--trust", "certs/root.pem", "--at", "2026-12-01", "--format", "json"]) == 0
        assert "trust-folders" not in json.loads(capsys.readouterr().out)["request"]
    assert run(["trust", "show", "certs"]) == 0
    out = capsys.readouterr().out
    assert "folder     certs: 2 trusted certificates and keys" in out
    assert "in certs/root.pem" in out


def test_verbs_without_a_report_name_the_folder_as_well(tmp_path, monkeypatch, capsys):
    (tmp_path / "update.bin").write_bytes(forge.good())
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "root.pem").write_bytes((forge.KEYS / "trust" / "root.pem").read_bytes())
    monkeypatch.chdir(tmp_path)
    for words in (["extract", "update.bin", "--head", "-o", "head"], ["matrix", "show", "update.bin"]):
        assert run([*words, "--trust", "certs"]) == 0
        assert "trust: folder certs: root.pem\n" in capsys.readouterr().err


def test_the_current_folder_is_trusted_where_it_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "update.bin").write_bytes(forge.good())
    (tmp_path / "root.pem").write_bytes((forge.KEYS / "trust" / "root.pem").read_bytes())
    monkeypatch.chdir(tmp_path)
    for here in (".", "./"):
        assert run(["check", "update.bin", "--trust", here, "--at", "2026-12-01"]) == 0
        assert f"folder {tmp_path}, with" in capsys.readouterr().out
    assert bundlekit.load_trust(".").folders[0].folder == "."
