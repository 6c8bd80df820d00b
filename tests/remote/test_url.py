"""Addresses of bundles: what is one, what is shown of it, and what is next to it."""

from pathlib import Path

import pytest

from bundlekit.errors import ConfigError
from bundlekit.remote.url import RemoteUrl, is_loopback, remote_url

SHOWN = [
    ("https://example.com/a/b.bin", "https://example.com/a/b.bin"),
    ("HTTPS://Example.com/b.bin", "https://example.com/b.bin"),
    ("https://user:SECRET@example.com:8443/b.bin", "https://example.com:8443/b.bin"),
    ("https://SECRET@example.com/b.bin", "https://example.com/b.bin"),
    ("https://example.com/b.bin?X-Amz-Signature=SECRET&x=1#SECRET", "https://example.com/b.bin"),
    ("https://example.com?SECRET", "https://example.com"),
    ("http://127.0.0.1:80/b.bin?SECRET", "http://127.0.0.1:80/b.bin"),
    ("http://[::1]:80/b.bin", "http://[::1]:80/b.bin"),
    ("s3://my_bucket/a b/5%20é+.bin", "s3://my_bucket/a b/5%20é+.bin"),
    ("gs://bucket/b.bin", "gs://bucket/b.bin"),
    ("az://container/a/b.bin", "az://container/a/b.bin"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_url_is_shown_without_what_can_be_secret(text, shown):
    url = remote_url(text)
    assert (url, str(url), f"{url}", repr(url)) == (shown, shown, shown, repr(shown))
    assert "SECRET" not in f"{url} {url!r}"
    assert url.suffix == ""


@pytest.mark.parametrize("text", ["update.bin", "./https:", "/s3://x/y", "https:/x", "ftp://h/x", "file:///x", "C:\\x"])
def test_a_path_is_no_url(text):
    assert remote_url(text) is None
    assert remote_url(Path("https://example.com/x")) is None


WRONG = [
    ("https://", "names no host"),
    ("https:///update.bin?SECRET", "names no host"),
    ("https://h:SECRET/x", "host or port is wrong"),
    ("https://[::SECRET/x", "host or port is wrong"),
    ("https://h/a b?SECRET", "a blank or a control character"),
    ("s3://b/a\nSECRET", "a blank or a control character"),
    ("s3://bucket", "s3://BUCKET/NAME"),
    ("s3://bucket/", "s3://BUCKET/NAME"),
    ("s3://key:SECRET@bucket/x", "s3://BUCKET/NAME"),
    ("gs://bucket/x?sig=SECRET", "gs://BUCKET/NAME"),
    ("az://container/x#SECRET", "az://CONTAINER/NAME"),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_a_url_that_cannot_be_used_is_not_repeated(text, why):
    with pytest.raises(ConfigError, match=why) as caught:
        remote_url(text)
    assert "SECRET" not in f"{caught.value} {caught.value.next_step}"


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "127.0.0.1.example.com", "[2001:db8::1]"])
def test_without_tls_only_this_machine_is_connected_to(host, monkeypatch):
    text = f"http://{host}/update.bin?SECRET"
    with pytest.raises(ConfigError, match="http:// is only for this machine") as caught:
        remote_url(text)
    assert "SECRET" not in str(caught.value)
    monkeypatch.setenv("BUNDLEKIT_ALLOW_HTTP", "1")
    assert remote_url(text).full == text


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("localhost.example", False)],
)
def test_this_machine_has_several_names(host, here):
    assert is_loopback(host) == here


def test_the_object_next_to_another():
    assert RemoteUrl("https://u:p@h/a/head.bin").sibling("é 1.img").full == "https://u:p@h/a/%C3%A9%201.img"
    assert RemoteUrl("s3://b/a/head.bin").sibling("é 1.img") == "s3://b/a/é 1.img"
    assert RemoteUrl("s3://b/head.bin").sibling("x") == "s3://b/x"
    assert RemoteUrl("https://h/a/head.bin?signature=1").sibling("x") is None
