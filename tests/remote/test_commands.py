"""Commands that take a URL where they take a bundle: the same answer as for the file, and no secret in any output."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import bundlekit
from bundlekit.cli import run
from bundlekit.cli.parameters import bundle_type
from bundlekit.remote.url import RemoteUrl
from bundlekit.remote.web import WebSource
from tests.remote.conftest import DEMO, ROOT
from tests.remote.server import FileServer

TRUST = ["--trust", str(DEMO / "root.pem")]
AT = ["--at", "2026-11-28"]
SIGNED = "?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET"
FORMATS = sorted(file for file in (ROOT / "fixtures" / "formats").rglob("*") if Path(f"{file}.json").exists())


@pytest.fixture
def cli(capsys):
    """Run a command. Its exit code, what it printed, and its errors."""

    def call(*args):
        code = run([str(one) for one in args])
        out, err = capsys.readouterr()
        assert "SECRET" not in out + err
        return code, out, err

    return call


def placed(text, *places):
    """The text with each place called the same."""
    for place in places:
        text = text.replace(place, "BUNDLE")
    return text


@pytest.mark.parametrize(
    "command",
    [
        ["check", *TRUST, *AT, "--from", "5.30.02"],
        ["check", *TRUST, *AT, "--full", "--format", "json"],
        ["check", *AT],
        ["preflight", *TRUST, *AT],
        ["inspect"],
        ["inspect", "--format", "json"],
        ["compare", str(DEMO / "update.bin"), *TRUST, *AT],
        ["compare", str(DEMO / "update.bin"), *AT, "--format", "json"],
        ["path", *TRUST, *AT, "--from", "5.30.02", "--to", "5.40.00"],
        ["matrix", "show", *TRUST],
        ["matrix", "lint", *TRUST, *AT],
        ["matrix", "diff", *TRUST, str(DEMO / "update.bin")],
    ],
    ids=lambda command: " ".join(one for one in command if "/" not in one and "-" not in one) or "x",
)
def test_the_answer_is_that_for_the_file(cli, served, command):
    url = served.url("good")
    found = cli(*command, url + SIGNED)
    wanted = cli(*command, DEMO / "update.bin")
    assert found[0] == wanted[0]
    places = (url, str(DEMO / "update.bin"))
    assert [placed(one, *places) for one in found[1:]] == [placed(one, *places) for one in wanted[1:]]


@pytest.mark.parametrize("file", FORMATS, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_each_format_is_read_from_a_server(file, tmp_path):
    shutil.copy(file, tmp_path / "update.bin")
    trust = bundlekit.load_trust([file.parent / "trust.toml"])
    at = bundlekit.check(file, trust=trust).request.at
    with FileServer(tmp_path) as server:
        url = server.url("good")
        for command in (bundlekit.check, bundlekit.preflight):
            local, remote = (command(place, trust=trust) for place in (str(file), url))
            assert remote.verdict == local.verdict, at
            assert [(one.rule, one.message) for one in remote.findings] == [
                (one.rule, one.message) for one in local.findings
            ]


def test_a_damaged_bundle_is_rejected(tmp_path, cli):
    data = bytearray((DEMO / "update.bin").read_bytes())
    data[300_000] ^= 1
    (tmp_path / "update.bin").write_bytes(data)
    with FileServer(tmp_path) as server:
        code, out, _ = cli("check", server.url("good") + SIGNED, *TRUST, *AT)
    assert code == 1
    assert "chunk-digest-mismatch" in out


def test_preflight_reads_less_than_a_mebibyte_of_4_gib(tmp_path, cli):
    with (tmp_path / "update.bin").open("wb") as file:
        head = (DEMO / "update.bin").read_bytes()
        file.write(head)
        file.truncate(2**32)
    with FileServer(tmp_path) as server:
        code, out, _ = cli("preflight", server.url("good"), *TRUST, *AT)
        assert code == 1  # its header states another size
        assert "trailing-data" in out
        assert server.sent < 2**18
        assert len(server.seen) <= 3


def test_all_outputs_are_without_secrets(cli, served, tmp_path):
    files = [tmp_path / f"report{suffix}" for suffix in (".txt", ".json", ".md", ".xml", ".html")]
    url = served.url("good").replace("//", "//user:SECRET@") + SIGNED
    outputs = [part for file in files for part in ("-o", file)]
    code, _, _ = cli("check", url, served.url("403") + SIGNED, *TRUST, *AT, *outputs)
    assert code == 3
    for file in files:
        text = file.read_text()
        assert "/good/" in text
        assert "SECRET" not in text
    assert cli("check", url, *TRUST, *AT, "--vsa", tmp_path / "vsa.json")[0] == 0
    assert "SECRET" not in (tmp_path / "vsa.json").read_text()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", ["403", "cut", "ignore-range"])
@pytest.mark.parametrize("verb", ["check", "preflight", "inspect"])
def test_a_bad_server_ends_in_exit_code_3(cli, served, verb, fault):
    code, out, err = cli(verb, served.url(fault) + SIGNED)
    assert (code, out) == (3, "")
    first, second = err.splitlines()[-2:]
    assert first.startswith(f"bundlekit: {served.url(fault)}: ")
    assert second.startswith("next: ")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["check", "http://192.0.2.1/x?SECRET"], "can read and change the bytes. Use https://"),
        (["check", "s3://bucket?SECRET"], "its form is s3://BUCKET/NAME"),
        (["inspect", "https://u:SECRET@/x"], "it names no host"),
        (["check", "update.bin", "--trust", "https://h/root.pem?SECRET"], "a file is required here, not a URL"),
        (["sign", "https://h/update.bin?SECRET"], "a file is required here, not a URL"),
        (["preflight", "https://h/x", "https://u:SECRET@h/x?SECRET"], "unexpected extra argument"),
    ],
)
def test_a_url_in_the_wrong_place_is_a_usage_error(cli, args, why):
    code, _, err = cli(*args)
    assert code == 2
    assert why in err


def test_a_detached_head_has_its_components_next_to_it(tmp_path, cli, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "storage.iso").write_bytes(b"s" * 200_000)
    spec = """
spec = 1
kind = "release"
product = "imager"
models = ["im-100"]
version = "5.40.00"
scheme = "dotted"
released = 2026-11-23
counter = 7

[components.storage]
version = "5.40.00"
file = "out/storage.iso"
"""
    (tmp_path / "SPEC.toml").write_text(spec)
    assert cli("keygen", "pki", "--algorithm", "ecdsa-p384")[0] == 0
    key = ["--cert", "pki/signer.pem", "--key", "pki/signer.key"]
    assert cli("build", "SPEC.toml", "--detached", "-o", "out/head.bin", *key)[0] == 0
    with FileServer(tmp_path / "out") as server:
        head, file = server.url("good", "head.bin"), server.url("good", "storage.iso")
        code, out, _ = cli("check", head)
        assert "component-missing" not in out
        assert {one.path for one in server.seen} == {"/good/head.bin", "/good/storage.iso"}
        assert "component-missing" in cli("check", head + SIGNED)[1]
        assert "component-missing" not in cli("check", head + SIGNED, "--component", f"storage={file}{SIGNED}")[1]
        code, _, err = cli("check", head, "--component", f"storage={server.url('403')}{SIGNED}")
        assert code == 3
        assert "component storage: " in err
        (tmp_path / "out" / "storage.iso").unlink()
        assert "component-missing" in cli("check", head)[1]


@pytest.mark.skipif(os.name != "posix", reason="this system sends no such signal to a process")
@pytest.mark.parametrize("fault", ["silent", "stalled-later"])
@pytest.mark.parametrize("store", ["web", "bucket"])
def test_an_interrupt_does_not_wait_for_the_server(tmp_path, store, fault):
    """The limit of a server that is silent is half a minute, and this test waits less."""
    if store == "bucket":
        pytest.importorskip("obstore", reason="obstore is not installed: pip install 'bundlekit[remote]'")
    shutil.copy(DEMO / "update.bin", tmp_path)
    with FileServer(tmp_path, stall=60) as server:
        url = server.url(fault) if store == "web" else f"s3://{fault}/update.bin"
        access = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_REGION": "x"}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        command = [sys.executable, "-m", "bundlekit", "check", url]
        environment = {**os.environ, **access, **keys}
        with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, cwd=ROOT) as process:
            while len(server.seen) < (1 if fault == "silent" else 2):
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert (process.returncode, err.splitlines()[-1]) == (130, b"interrupted")


@pytest.mark.parametrize(("incomplete", "completed"), [("https://h/x?SECRET", []), ("upd", ["file"])])
def test_a_url_is_not_completed_with_files(incomplete, completed):
    parameter = click.Argument(["bundle"], type=bundle_type)
    found = bundle_type.shell_complete(click.Context(click.Command("check")), parameter, incomplete)
    assert [one.type for one in found] == completed


def test_a_missing_library_is_one_sentence(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    code, out, err = cli("check", "s3://releases/update.bin", *TRUST)
    assert (code, out) == (3, "")
    assert err == (
        "bundlekit: s3://releases/update.bin: the library obstore, which reads bundles from buckets, is not installed\n"
        "next: Install it with `pip install 'bundlekit[remote]'`.\n"
    )


def test_nothing_of_this_is_loaded_for_a_file():
    code = """
import sys
from bundlekit.cli import run
run(["check", sys.argv[1]])
print(*sorted(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, DEMO / "update.bin"], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "bundlekit.remote.url" in loaded
    assert not {"asyncio", "http.client", "obstore", "ssl", "urllib.request", "bundlekit.remote.source"} & loaded


def test_a_library_call_takes_the_url_as_text(served):
    report = bundlekit.check(served.url("good") + SIGNED, trust=bundlekit.load_trust([DEMO / "root.pem"]))
    assert report.request.file == served.url("good")
    assert bundlekit.inspect(served.url("good")).id == report.id
    with WebSource(RemoteUrl(served.url("good"))) as source:
        assert bundlekit.preflight(source).id == report.id
    assert bundlekit.read_manifest(served.url("good")).version
    assert json.loads(bundlekit.render(report, "json"))["request"]["file"] == served.url("good")
