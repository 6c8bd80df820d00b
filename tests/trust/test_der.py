"""DER is read strictly: one encoding for each value, and all others are refused. asn1crypto is the other opinion."""

from typing import Annotated

import pytest
from asn1crypto import core
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.errors import SigningError, TrustError
from bundlekit.trust import asn1, certificates, chain, der, keys, load, pem, test_pki
from tests.trust import pki

OID = der.OID


def refused(kind, data):
    with pytest.raises(der.NotDerError):
        der.decode(kind, bytes.fromhex(data))
    return True


REFUSED = {
    # kind, then encodings; the reason is in the key
    "nothing": (bytes, [""]),
    "a tag alone": (bytes, ["04"]),
    "cut short": (bytes, ["0402aa", "04820001", "0481", "048200"]),
    "something after it": (bytes, ["040000", "0401aa0400"]),
    "another tag": (bytes, ["0500", "2400", "8400", "240404 02aabb".replace(" ", "")]),
    "indefinite length": (bytes, ["24800000", "0480aabb0000"]),
    "a length longer than needed": (bytes, ["048101aa", "0482007f" + "aa" * 127, "04820080" + "aa" * 128]),
    "a length of more bytes than are read": (bytes, ["048500000000 01aa".replace(" ", ""), "04ff"]),
    "a tag number above 30": (der.TLV, ["1f2000", "bf8100", "1f"]),
    "the end of contents": (der.TLV, ["0000"]),
    "an integer of no bytes": (int, ["0200"]),
    "an integer longer than needed": (int, ["02020001", "0202007f", "0202ff80", "0202ffff", "020300ffff01"[:8]]),
    "an integer that could not be printed": (int, ["02820401" + "7f" * 1025]),
    "a boolean of another value": (bool, ["010101", "0101fe", "0100", "0102ffff"]),
    "a NULL with contents": (der.Null, ["050100"]),
    "bits": (der.BitString, ["0300", "030108", "030101", "03020101", "030207c0", "0302ff00"]),
    "object identifiers": (
        OID,
        ["0600", "060180", "06028001", "0603550480", "06022a80", "0640" + "2a" * 64, "0616" + "2a" + "ff" * 20 + "7f"],
    ),
    "a set out of order": (der.SetOf[int], ["3106020102020101", "310702017f02020080"[:18] + "00"]),
}


@pytest.mark.parametrize(("kind", "encodings"), REFUSED.values(), ids=REFUSED)
def test_there_is_no_second_encoding(kind, encodings):
    assert all(refused(kind, one) for one in encodings)


@der.sequence
class Sample:
    """Every kind of field."""

    number: int
    flag: Annotated[bool, der.Default(False)]
    choice: OID | Annotated[bytes, der.Implicit(0)]
    tagged: Annotated[int | None, der.Explicit(1)]
    numbers: Annotated[der.SetOf[int] | None, der.Implicit(2)]
    rest: list[der.TLV]


class OtherSample(core.Sequence):
    """The same for asn1crypto."""

    class _Choice(core.Choice):
        _alternatives = [("oid", core.ObjectIdentifier), ("octets", core.OctetString, {"implicit": 0})]

    class _Numbers(core.SetOf):
        _child_spec = core.Integer

    class _Rest(core.SequenceOf):
        _child_spec = core.Any

    _fields = [
        ("number", core.Integer),
        ("flag", core.Boolean, {"default": False}),
        ("choice", _Choice),
        ("tagged", core.Integer, {"explicit": 1, "optional": True}),
        ("numbers", _Numbers, {"implicit": 2, "optional": True}),
        ("rest", _Rest),
    ]


integers = st.integers(-(2**200), 2**200)
oids = st.builds(
    lambda first, second, more: OID(".".join(map(str, (first, second, *more)))),
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(st.integers(0, 2**60), max_size=5),
)
samples = st.builds(
    Sample,
    number=integers,
    flag=st.booleans(),
    choice=st.one_of(oids, st.binary(max_size=300)),
    tagged=st.none() | integers,
    numbers=st.none() | st.builds(der.SetOf, st.lists(integers, max_size=4)),
    rest=st.lists(st.builds(lambda value: der.tlv(der.encode(value)), st.binary(max_size=300)), max_size=3),
)


@given(samples)
def test_what_is_written_is_read_as_the_same_and_by_asn1crypto_too(sample):
    data = der.encode(sample)
    again = der.decode(Sample, data)
    assert der.encode(again) == data
    assert (again.number, again.flag, again.choice, again.tagged) == (
        sample.number,
        sample.flag,
        sample.choice,
        sample.tagged,
    )
    assert again.rest == sample.rest
    other = OtherSample.load(data, strict=True)
    assert other["number"].native == sample.number
    assert other["flag"].native == sample.flag
    assert other["tagged"].native == sample.tagged
    assert [one.dump() for one in other["rest"]] == [one.der for one in sample.rest]
    assert other.dump(force=True) == data
    assert other["numbers"].native == (None if again.numbers is None else again.numbers.as_list())


@given(samples, st.data())
def test_a_changed_byte_is_refused_or_read_as_another_value(sample, data):
    good = der.encode(sample)
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    try:
        value = der.decode(Sample, changed)
    except der.NotDerError:
        return
    assert der.encode(value) == changed


@pytest.mark.parametrize(
    "kind", [asn1.ContentInfo, asn1.CertificateSyntax, asn1.IdentifierAny, asn1.AuthorityKeyIdentifier]
)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(kind, data):
    try:
        value = asn1.decode(kind, data)
    except asn1.NotDerError:
        return
    assert asn1.encode(value) == data


@given(oids)
def test_object_identifiers_are_encoded_as_asn1crypto_encodes_them(oid):
    assert der.encode(oid) == core.ObjectIdentifier(oid.dotted_string).dump()


@pytest.mark.parametrize("first", [2**128, 2**128 + 79, 2**130])
def test_a_number_that_no_library_holds_is_refused(first):
    """The class of cryptography panics at the first two, and a panic is no exception that anyone expects."""
    digits = [first >> 7 * place & 0x7F for place in range(first.bit_length() // 7, -1, -1)]
    contents = bytes([*(one | 0x80 for one in digits[:-1]), digits[-1]])
    data = bytes([6, len(contents)]) + contents
    with pytest.raises(der.NotDerError):
        der.decode(OID, data)
    largest = OID(f"2.{2**128 - 1 - 80}")
    assert der.decode(OID, der.encode(largest)) == largest


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536, 2**24 - 1, 2**24])
def test_lengths_are_as_short_as_they_can_be(size):
    data = der.encode(bytes(size))
    assert data == core.OctetString(bytes(size)).dump()
    assert der.decode(bytes, data) == bytes(size)


LIBRARY_ERRORS = ["ML-DSA-65 is not supported by this backend.", "Unknown key type: 2.16.840.1.101.3.4.3.18"]


@pytest.mark.parametrize("words", LIBRARY_ERRORS)
def test_a_library_without_ml_dsa_is_named_where_it_is_needed(monkeypatch, tmp_path, words):
    """As built against OpenSSL 3.0: the signer is not called weak, and no file damaged."""

    def fail(*_):
        raise UnsupportedAlgorithm(words)

    assert "ML-DSA" in keys.NO_ML_DSA
    monkeypatch.setattr(certificates, "describe", fail)
    evidence = pki.judge(pki.forge(pki.key("p256", "Signer"), [pki.signer()]), pki.anchors(pki.root()))
    found = {one.rule: one.message for one in evidence.problems}
    assert found["chain-unsupported"].endswith(f"cannot be used: {keys.NO_ML_DSA}.")
    assert "weak-algorithm" not in found
    assert evidence.standing == "rejected"

    monkeypatch.setattr(pem, "load_der_public_key", fail)
    public = tmp_path / "pub.pem"
    public.write_bytes(
        pki.key("p256").public_key().public_bytes(pki.Encoding.PEM, pki.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(TrustError, match="does not support ML-DSA"):
        load.load_trust([public])

    monkeypatch.setitem(test_pki.ALGORITHMS, "ml-dsa-65", fail)
    with pytest.raises(
        SigningError, match=r"No ml-dsa-65 keys can be made: the installed cryptography .* does not support ML-DSA"
    ):
        test_pki.keygen(tmp_path / "keys", "ml-dsa-65", now=pki.NOW)
    assert not (tmp_path / "keys").exists()


def test_chains_of_ml_dsa_are_refused_by_name_where_the_library_cannot_verify_them(monkeypatch):
    """As before cryptography 50. A pinned key, and an ML-DSA key that another CA certified, need no such chain."""
    monkeypatch.setattr(chain, "ML_DSA_CHAINS", False)
    kind = "ml-dsa-65"
    signed = pki.forge(pki.key(kind, "Signer"), [pki.signer(kind, issuer_kind=kind)], digest="sha512")
    evidence = pki.judge(signed, pki.anchors(pki.root(kind)))
    assert [one.rule for one in evidence.problems] == ["chain-unsupported"]
    message = "The certificate 'CN=Signer,O=TEST ONLY' is signed with ML-DSA: the installed cryptography "
    assert evidence.problems[0].message.startswith(message)
    assert "use version 50 or later" in evidence.problems[0].message
    classical = pki.forge(pki.key(kind, "Signer"), [pki.signer(kind)], digest="sha512")
    assert pki.judge(classical, pki.anchors(pki.root())).standing == "counted"
    pinned = pki.forge(pki.key(kind, "Signer"), [], digest="sha512")
    assert pki.judge(pinned, pki.pins(pki.key(kind, "Signer"))).standing == "counted"
