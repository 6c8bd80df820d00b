"""Bundles in buckets, at an implementation of S3 on loopback, and the faults of the library that reads them."""

import hashlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

from bundlekit.cli import run
from bundlekit.errors import ChangedWhileReadError, NoSuchObjectError, UnreadableError
from bundlekit.remote import buckets, source
from bundlekit.remote.faults import explained
from bundlekit.remote.url import RemoteUrl
from tests.remote.conftest import DEMO
from tests.remote.server import FileServer
from tests.waiting import LIMIT

boto3 = pytest.importorskip("boto3", reason="moto is not installed: pip install 'moto[s3]' flask flask-cors")
pytest.importorskip("flask_cors", reason="moto is not installed: pip install 'moto[s3]' flask flask-cors")
pytest.importorskip("obstore", reason="obstore is not installed: pip install 'bundlekit[remote]'")

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3():
    """A client of an S3 server on loopback that has a bucket ``releases``."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="SECRET",  # noqa: S106 - of a server that takes any
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="releases")
    client.upload_file(DEMO / "update.bin", "releases", "5.40.00/update é.bin")
    yield client
    server.stop()


@pytest.fixture(autouse=True)
def _configured(request, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    if "s3" in request.fixturenames:
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3").meta.endpoint_url)


URL = RemoteUrl("s3://releases/5.40.00/update é.bin")


def test_a_bundle_in_a_bucket_is_checked(s3, capsys):
    reports = []
    for place in (str(URL), str(DEMO / "update.bin")):
        assert run(["check", place, "--trust", str(DEMO / "root.pem"), "--format", "json", "--at", "2026-11-28"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert [one["request"].pop("file") for one in reports] == [str(URL), str(DEMO / "update.bin")]
    assert reports[0] == reports[1]


def test_the_bytes_are_those_of_the_object(s3):
    content = (DEMO / "update.bin").read_bytes()
    with buckets.BucketSource(URL) as bucket:
        assert bucket.size == len(content)
        assert bucket.version.condition == f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324 - as S3 defines it
        for start, stop in ((0, 100), (130_000, 131_500), (0, len(content)), (200_000, 300_000)):
            data = bytearray(stop - start)
            bucket.readinto(start, memoryview(data))
            assert data == content[start:stop]
        bucket.ensure_unchanged()


def test_blocks_are_requested_ahead_and_given_in_order(s3, monkeypatch):
    content = (DEMO / "update.bin").read_bytes()
    monkeypatch.setattr(buckets, "BLOCK", 10_000)
    monkeypatch.setattr(buckets, "START", 1000)
    monkeypatch.setattr(source, "START", 1000)
    found = {}
    with buckets.BucketSource(URL) as bucket:

        def read(at):
            data = memoryview(bytearray(100_000))
            bucket.will_read(at, at + len(data))
            for start in range(0, len(data), 3333):
                bucket.readinto(at + start, data[start : start + 3333])
            found[at] = bytes(data)

        threads = [threading.Thread(target=read, args=(at,)) for at in range(0, 400_000, 100_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bucket.will_read(0, len(content))
        bucket.will_read(100_000, len(content))
        bucket.will_read(0, 1)
        assert bucket._ahead == 0
    assert b"".join(found[at] for at in sorted(found)) == content[:400_000]


def test_a_replaced_object_is_noticed(s3):
    s3.put_object(Bucket="releases", Key="moving.bin", Body=b"1" * 300_000)
    with buckets.BucketSource(RemoteUrl("s3://releases/moving.bin")) as bucket:
        bucket.ensure_unchanged()
        s3.put_object(Bucket="releases", Key="moving.bin", Body=b"2" * 300_000)
        with pytest.raises(ChangedWhileReadError, match=r"moving\.bin: changed while it was read"):
            bucket.readinto(200_000, memoryview(bytearray(100)))
        with pytest.raises(ChangedWhileReadError):
            bucket.ensure_unchanged()


@pytest.mark.parametrize("url", ["s3://releases/none.bin", "s3://no-such-bucket/update.bin"])
def test_a_missing_object_is_named(s3, url):
    with pytest.raises(NoSuchObjectError, match=r"has no such object \(404\)"):
        buckets.BucketSource(RemoteUrl(url))


FAULTS = {
    "401": "requires other credentials (401)",
    "403": "denies access (403)",
    "500": "an error of its own (500)",
    "changes": "changed while it was read",
    "changes-quietly": "changed while it was read",
    "cut": "was cut",
    "encoded": "another encoding",
    "garbage": "does not use HTTP as expected",
    "grows": "changed while it was read",
    "ignore-range": "ignores ranges",
    "longer": "another range",
    "no-range": "which range",
    "nameless": "too little of ETag and Last-Modified",
    "nowhere": "redirects to nowhere",
    "short-body": "another range",
    "shorter-range": "another range",
    "silent": "in time",
    "stalled": "in time",
    "touched": "changed while it was read",
    "wrong-range": "another range",
}


def some_bytes(url):
    with buckets.BucketSource(url) as bucket:
        bucket.readinto(200_000, memoryview(bytearray(100_000)))
        bucket.ensure_unchanged()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_bad_server_is_one_sentence_without_secrets(served, monkeypatch, fault):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{served.server_port}")
    with pytest.raises(UnreadableError) as caught:
        some_bytes(RemoteUrl(f"s3://{fault}/update.bin"))
    error = caught.value
    assert FAULTS[fault] in error.message
    assert error.message.startswith(f"s3://{fault}/update.bin: ")
    assert error.next_step
    assert "SECRET" not in f"{error!r} {error.next_step} {error.__context__!r} {error.__cause__!r}"


@pytest.mark.usefixtures("hasty")
def test_a_source_that_is_closed_ends_a_read(served, monkeypatch):
    monkeypatch.setattr(source, "SILENCE", 2 * LIMIT)
    monkeypatch.setattr(served, "stall", 2 * LIMIT)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{served.server_port}")
    bucket = buckets.BucketSource(RemoteUrl("s3://stalled-later/update.bin"))
    ended = threading.Event()

    def read():
        try:
            bucket.readinto(200_000, memoryview(bytearray(200_000)))
        except BaseException:
            ended.set()

    threading.Thread(target=read, daemon=True).start()
    ended.wait(0.1)
    assert not ended.is_set()
    bucket.close()
    assert ended.wait(LIMIT)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_each_kind_of_bucket_is_read(served, monkeypatch, scheme):
    access = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{served.server_port}",
        "GOOGLE_BASE_URL": f"http://127.0.0.1:{served.server_port}",
        "GOOGLE_SKIP_SIGNATURE": "true",
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{served.server_port}",
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": "U0VDUkVU",
    }
    for name, value in access.items():
        monkeypatch.setenv(name, value)
    content = (DEMO / "update.bin").read_bytes()
    with buckets.BucketSource(RemoteUrl(f"{scheme}://good/update.bin")) as bucket:
        data = bytearray(bucket.size)
        bucket.readinto(0, memoryview(data))
        bucket.ensure_unchanged()
    assert data == content
    assert unquote(served.seen[-1].path) == "/good/update.bin"


def test_other_clouds_have_their_own_settings(monkeypatch, served):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(source, "RETRIES", 0)
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnreadableError, match="no storage account is given"):
        buckets.BucketSource(RemoteUrl("az://releases/update.bin"))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "U0VDUkVU")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(UnreadableError, match="does not accept connections"):
        buckets.BucketSource(RemoteUrl("az://releases/update.bin"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Error performing PUT http://169.254.169.254/latest/api/token", "no credentials were found"),
        ('inner: Status {\n status: 503,\n body: Some(\n "status: 200"', "is overloaded (503)"),
        ("inner: Status {\n status: 418,", "answers with status 418"),
        ("invalid peer certificate: UnknownIssuer", "its issuer is unknown"),
        ("InvalidCertificate(\n  Expired,", "it has expired"),
        ("kind: Connect, dns error", "has no address"),
        ("something new with https://h/?sig=SECRET", "for an unknown reason"),
    ],
)
def test_what_the_library_prints_is_recognised(text, why):
    error = explained("s3://b/k", RuntimeError(text), opened=False)
    assert why in error.message
    assert "SECRET" not in str(error)


def test_a_process_that_stops_in_the_middle_ends_well(tmp_path):
    """Threads of the library must not abort the process when the interpreter ends."""
    (tmp_path / "update.bin").write_bytes(bytes(20_000_000))
    code = """
import sys
from bundlekit.remote.buckets import BucketSource
from bundlekit.remote.url import RemoteUrl
with BucketSource(RemoteUrl("s3://good/update.bin")) as bucket:
    bucket.will_read(0, bucket.size)
    bucket.readinto(0, memoryview(bytearray(1000)))
"""
    with FileServer(tmp_path) as server:
        environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        for _ in range(3):
            done = subprocess.run(
                [sys.executable, "-c", code],
                env=environment,
                capture_output=True,
                check=False,
                cwd=Path(__file__).parents[2],
            )
            assert (done.returncode, done.stderr) == (0, b"")
