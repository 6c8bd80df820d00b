"""The address of a key in a token: what RFC 7512 allows is read, and what could be misunderstood is refused."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.authoring.pkcs11_uri import MODULE, TokenAddress, read_token_address
from bundlekit.errors import SigningError

HERE = Path(__file__)
ENVIRONMENT = {MODULE: str(HERE)}


def read(text):
    return read_token_address(text, ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("pkcs11:token=release;object=signer", {"token": "release", "label": "signer"}),
        ("PKCS11:object=a%20b%3Bc", {"label": "a b;c"}),
        ("pkcs11:id=%01%ff;type=private", {"id": b"\x01\xff"}),
        (
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=13c2;token=t;id=A;object=o",
            {
                "model": "SoftHSM v2",
                "manufacturer": "SoftHSM project",
                "serial": "13c2",
                "token": "t",
                "id": b"A",
                "label": "o",
            },
        ),
        ("pkcs11:slot-id=327;object=o", {"slot": 327, "label": "o"}),
        ("pkcs11:object=o?pin-source=/etc/pin", {"label": "o", "pin_file": Path("/etc/pin")}),
        ("pkcs11:object=o?pin-source=file:/etc/pin", {"label": "o", "pin_file": Path("/etc/pin")}),
        ("pkcs11:object=o?pin-source=file:///etc/my%20pin", {"label": "o", "pin_file": Path("/etc/my pin")}),
        (f"pkcs11:object=o?module-path={HERE}&pin-source=pin", {"label": "o", "pin_file": Path("pin")}),
    ],
)
def test_addresses(text, fields):
    name = f"pkcs11:{text[7:].partition('?')[0]}"
    assert read(text) == TokenAddress(name=name, module=HERE, **fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pkcs11:", "names no key"),
        ("pkcs11:token=t", "names no key"),
        ("pkcs11:object=", "names no key"),
        ("pkcs11:signer", "is not an address of the form"),
        ("pkcs11:object=o;", "is not an address of the form"),
        ("pkcs11:object=%zz", "is not an address of the form"),
        ("pkcs11:object=o;object=p", "has the attribute object twice"),
        ("pkcs11:object=o;slot-id=x", "slot-id is not a number"),
        ("pkcs11:object=o;library-version=3", "has the attribute library-version, which is not supported"),
        ("pkcs11:object=o;type=cert", "is not the address of a private key"),
        ("pkcs11:object=o?module-path=/no/such.so", "the PKCS #11 module /no/such.so does not exist"),
        ("pkcs11:object=o?module-name=softhsm2", "has the attribute module-name, which is not supported"),
        ("pkcs11:object=o?pin-value=4711", "contains the PIN"),
        ("pkcs11:object=o?pin-source=|/bin/pin", "its pin-source is not a file"),
        ("pkcs11:object=o?pin-source=https:pin", "its pin-source is not a file"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(SigningError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "4711" not in str(caught.value) + caught.value.next_step


def test_an_address_that_a_shell_has_cut_is_to_be_quoted():
    with pytest.raises(SigningError) as caught:
        read("pkcs11:token=x")
    assert "Put the address into quotation marks" in caught.value.next_step
    with pytest.raises(SigningError) as caught:
        read("pkcs11:token=x;serial=1")
    assert "quotation" not in caught.value.next_step


def test_the_module_is_needed():
    with pytest.raises(SigningError, match="module is not known") as caught:
        read_token_address("pkcs11:object=o", {})
    assert MODULE in caught.value.next_step


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_one_sentence(text):
    with suppress(SigningError):
        found = read(f"pkcs11:{text}")
        assert found.label or found.id


def test_a_pin_is_read_from_its_file(tmp_path, monkeypatch):
    file = tmp_path / "pin"
    address = read(f"pkcs11:object=o?pin-source={file}")
    for content, pin in ((b"4711\n", "4711"), (b"47 11\r\n", "47 11"), ("grün".encode(), "grün")):
        file.write_bytes(content)
        assert address.pin() == pin
    for content in (b"", b"\n", b"\xff\xfe", b"x" * 2000):
        file.write_bytes(content)
        with pytest.raises(SigningError, match=str(file)):
            address.pin()
    monkeypatch.setenv("BUNDLEKIT_PIN", "0815")
    assert read("pkcs11:object=o").pin() == "0815"
    monkeypatch.delenv("BUNDLEKIT_PIN")
    assert read("pkcs11:object=o").pin() is None
