"""Certificates of servers, proxies, and redirects between the two worlds."""

import contextlib
import datetime as dt
import ipaddress
import shutil
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bundlekit.errors import UnreadableError
from bundlekit.remote.buckets import BucketSource
from bundlekit.remote.connections import proxy_of
from bundlekit.remote.url import RemoteUrl
from bundlekit.remote.web import WebSource
from tests.remote.conftest import DEMO
from tests.remote.server import FileServer


def made(folder, *, host="127.0.0.1", days=1):
    """A server's context with a certificate of its own, and the file of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TEST ONLY")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{host}{days}.pem", folder / f"{host}{days}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server with TLS, and the file with what is to be trusted for it."""
    folder = tmp_path_factory.mktemp("secure")
    shutil.copy(DEMO / "update.bin", folder)
    context, pem = made(folder)
    with FileServer(folder, tls=context, stall=1) as server:
        yield server, pem


def whole(url):
    with WebSource(RemoteUrl(url)) as web:
        data = bytearray(web.size)
        web.readinto(0, memoryview(data))
        return bytes(data)


def test_a_private_ca_is_trusted_if_the_operator_names_it(secure, monkeypatch):
    server, pem = secure
    with pytest.raises(UnreadableError, match="cannot be trusted: it is self-signed") as caught:
        whole(server.url("good") + "?SECRET")
    assert "SSL_CERT_FILE" in caught.value.next_step
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert whole(server.url("good")) == (DEMO / "update.bin").read_bytes()


def test_so_it_is_for_a_bucket(secure, monkeypatch):
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'bundlekit[remote]'")
    server, pem = secure
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "SECRET", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.server_port}")
    with pytest.raises(UnreadableError, match="cannot be trusted: its issuer is unknown"):
        BucketSource(RemoteUrl("s3://good/update.bin"))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with BucketSource(RemoteUrl("s3://good/update.bin")) as bucket:
        assert bucket.size == (DEMO / "update.bin").stat().st_size


@pytest.mark.parametrize(
    ("wrong", "why"), [({"host": "127.0.0.2"}, "it is for another host"), ({"days": -1}, "it has expired")]
)
def test_a_wrong_certificate_is_called_what_it_is(tmp_path, monkeypatch, wrong, why):
    context, pem = made(tmp_path, **wrong)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with FileServer(tmp_path, tls=context) as server, pytest.raises(UnreadableError, match=why):
        whole(server.url("good"))
    assert not server.seen


@pytest.mark.usefixtures("hasty")
def test_a_server_without_tls_is_called_so(served):
    with pytest.raises(UnreadableError, match="does not use TLS as expected"):
        whole(served.url("good").replace("http:", "https:"))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("fault", "why"), [("stalled", "in time"), ("cut", "was cut"), ("403", "denies access")])
def test_faults_are_the_same_with_tls(secure, monkeypatch, fault, why):
    server, pem = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with pytest.raises(UnreadableError, match=why):
        whole(server.url(fault))


def test_tls_is_not_given_up_by_a_redirect(secure, served, monkeypatch):
    server, pem = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setattr(server, "moved_to", served.url("good"))
    before = len(served.seen)
    with pytest.raises(UnreadableError, match="redirects to a URL without TLS"):
        whole(server.url("moved-there"))
    assert len(served.seen) == before
    monkeypatch.setattr(served, "moved_to", server.url("good"))
    assert whole(served.url("moved-there")) == (DEMO / "update.bin").read_bytes()


class Proxy:
    """A proxy for one connection that notes what it is asked, and connects to ``server`` whatever that is."""

    def __init__(self, server, answer=b"HTTP/1.1 200 OK\r\n\r\n"):
        self.server, self.answer, self.asked = server, answer, b""
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.sockets = [self.listening]
        self.threads = [threading.Thread(target=self.serve, daemon=True)]
        self.threads[0].start()

    def serve(self):
        client, _ = self.listening.accept()
        self.sockets.append(client)
        while b"\r\n\r\n" not in self.asked:
            self.asked += client.recv(4096)
        if self.asked.startswith(b"CONNECT"):
            client.sendall(self.answer)
        if b"200" not in self.answer:
            client.shutdown(socket.SHUT_RDWR)
            return
        target = socket.create_connection(("127.0.0.1", self.server.server_port))
        self.sockets.append(target)
        if not self.asked.startswith(b"CONNECT"):
            first, _, rest = self.asked.partition(b" HTTP/1.1\r\n")
            target.sendall(b"GET /" + first.split(b"/", 3)[3] + b" HTTP/1.1\r\n" + rest)
        self.threads.append(threading.Thread(target=self.copy, args=(client, target), daemon=True))
        self.threads[1].start()
        self.copy(target, client)

    @staticmethod
    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join()
        for one in self.sockets:
            one.close()


def test_a_server_is_reached_through_the_proxy(tmp_path, monkeypatch):
    (tmp_path / "update.bin").write_bytes(b"x" * 1000)
    context, pem = made(tmp_path, host="192.0.2.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with FileServer(tmp_path, tls=context) as server, Proxy(server) as proxy:
        monkeypatch.setenv("https_proxy", f"http://job:p%40ss@127.0.0.1:{proxy.port}")
        assert whole("https://192.0.2.1:8443/good/update.bin?SECRET") == b"x" * 1000
    assert proxy.asked.startswith(b"CONNECT 192.0.2.1:8443 HTTP/1.")
    assert b"Proxy-Authorization: Basic am9iOnBAc3M=" in proxy.asked
    assert b"SECRET" not in proxy.asked
    assert "Proxy-Authorization" not in server.seen[0].headers


def test_without_tls_the_proxy_gets_the_request(tmp_path, monkeypatch):
    (tmp_path / "update.bin").write_bytes(b"x" * 1000)
    monkeypatch.setenv("BUNDLEKIT_ALLOW_HTTP", "1")
    with FileServer(tmp_path) as server, Proxy(server) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert whole("http://job:pass@192.0.2.1:8080/good/update.bin") == b"x" * 1000
    assert proxy.asked.startswith(b"GET http://192.0.2.1:8080/good/update.bin HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n")


@pytest.mark.usefixtures("hasty")
def test_a_proxy_that_cannot_be_used_is_named(served, monkeypatch):
    with Proxy(served, answer=b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreadableError, match=r"the proxy refuses the connection \(407\)") as caught:
            whole("https://192.0.2.1/good/update.bin")
    assert "proxy" in caught.value.next_step
    monkeypatch.setenv("https_proxy", "socks5://user:SECRET@127.0.0.1:1")
    with pytest.raises(UnreadableError, match="the proxy is not given as http://HOST:PORT") as caught:
        whole("https://192.0.2.1/good/update.bin")
    assert "SECRET" not in str(caught.value)


def test_this_machine_needs_no_proxy(served, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert whole(served.url("good")) == (DEMO / "update.bin").read_bytes()


def test_no_proxy_is_respected(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "example.com")
    assert proxy_of("x", RemoteUrl("https://a.example.com/x")) is None
    assert proxy_of("x", RemoteUrl("https://example.org/x")).hostname == "proxy.example"
