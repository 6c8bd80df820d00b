"""SWUpdate images: those that the tools make are accepted, and every spoiled one is rejected by the right rule."""

import datetime as dt
import os
import random
import subprocess
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bundlekit
from bundlekit import formats, pipeline
from bundlekit.cli import run
from bundlekit.layout import strict_json
from bundlekit.layout.swupdate import cpio, libconfig
from bundlekit.model.bundle import Span
from bundlekit.model.rule import SIGNATURE_RULES
from bundlekit.source import BytesSource, FileSource
from bundlekit.trust import load_trust
from fixtures import forge, make_swupdate, spoil_swupdate
from fixtures.make_keys import KEYS
from fixtures.make_swupdate import FILES, FOLDER, SAMPLES, TRUST, report_of
from fixtures.spoil_swupdate import (
    DESCRIPTION,
    SIGNATURE,
    content,
    described,
    entry,
    flipped,
    piece,
    places,
    signed,
    whole,
)

TOOLS = make_swupdate.tools()
STORE = make_swupdate.trust()
SMALL = make_swupdate.FOLDER / "crc-pss.swu"

judged = partial(report_of, store=STORE)


def verdict(data):
    return judged(data).verdict


# --- good images ---


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_accepted_and_every_byte_is_covered(name, capsys):
    file = FOLDER / f"{name}.swu"
    size = file.stat().st_size
    report = bundlekit.check(file, trust=STORE, at=dt.datetime.fromisoformat(forge.AT))
    assert (report.verdict, report.findings, report.format) == ("accept", (), "swupdate")
    framing = len(list(free_bytes(file.read_bytes())))
    assert (report.coverage.covered + framing, report.coverage.size) == (size, size)
    assert run(["check", str(file), "--trust", str(TRUST), "--at", forge.AT]) == 0
    out = capsys.readouterr().out
    assert "signed by  vendor [production]: " in out
    assert f"coverage   {size - framing:,} of {size:,} bytes" in out


@pytest.mark.parametrize(
    ("name", "product", "version", "models", "algorithm"),
    [
        ("crc-cms", "im-100", "1.4.0", ("1.0", "1.2"), "ecdsa-p256-sha256"),
        ("newc-rsa", "", "1.4.0", ("1.0",), "rsa-3072-pkcs1v15-sha256"),
        ("crc-pss", "", "2.0-rc1", (), "rsa-3072-pss-sha256"),
    ],
)
def test_what_the_description_states_is_the_release(name, product, version, models, algorithm):
    report = judged((FOLDER / f"{name}.swu").read_bytes())
    release, (signature,) = report.release, report.signatures
    assert (release.product, release.version, release.models) == (product, version, models)
    assert signature.algorithm == algorithm


def test_the_release_names_files_boards_and_modes():
    release = judged((FOLDER / "crc-cms.swu").read_bytes()).release
    assert [(one.label, one.version, one.size) for one in release.parts] == [
        ("rootfs.img", "1.4", 601),
        ("kernel.img", None, 160),
        ("check.lua", None, len(FILES["check.lua"])),
    ]
    assert release.annotations == {
        "boards": "im-100",
        "description": "Imager firmware",
        "hardware": "1.0, 1.2",
        "modes": "stable.copy1, stable.copy2, stable.common",
    }
    others = judged((FOLDER / "crc-pss.swu").read_bytes()).release.annotations
    assert others["hardware"] == r"#RE:^2\.[0-9]+$, 3.0"
    assert others["embedded-script"]


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_accepted_without_trust(name):
    data = (FOLDER / f"{name}.swu").read_bytes()
    assert report_of(data, None).verdict == "incomplete"
    assert verdict(data) == "accept"
    assert report_of(data, load_trust([KEYS / "trust" / "pinned.pub.pem"])).verdict == "reject"


def test_the_head_alone_is_enough_for_pre_flight():
    report = bundlekit.preflight(FOLDER / "crc-cms.swu", trust=STORE, at=dt.datetime.fromisoformat(forge.AT))
    assert (report.verdict, report.scope) == ("accept", "head")


SIGNERS = {
    "CMS": (make_swupdate.CMS, make_swupdate.CRC),
    "CMS of one level": (
        "cms -sign -signer {keys}/signer.pem -inkey {keys}/signer.key -outform DER",
        make_swupdate.CRC,
    ),
    "CMS with SHA-512": (f"{make_swupdate.CMS} -md sha512", make_swupdate.NEWC),
    "CMS by key identifier": (f"{make_swupdate.CMS} -keyid", make_swupdate.CRC),
    "RSA": (make_swupdate.RSA, make_swupdate.CRC),
    "PSS with the largest salt": (make_swupdate.PSS, make_swupdate.NEWC),
    "PSS with a salt like the digest": (make_swupdate.PSS.replace("-2", "-1"), "bsdcpio -o -H newc"),
}


@pytest.mark.parametrize("description", ["SELECTIONS", "PATTERNS", "IN_JSON"])
@pytest.mark.parametrize("name", SIGNERS)
def test_what_the_tools_make_now_is_accepted(name, description, tmp_path):
    command, packer = SIGNERS[name]
    if packer.split()[0] not in TOOLS:
        pytest.skip(f"{packer.split()[0]} is not installed")
    if name == "CMS of one level":
        (tmp_path / "keys").mkdir()
        first, _, _ = (KEYS / "signer.pem").read_bytes().partition(b"-----END CERTIFICATE-----\n")
        (tmp_path / "keys" / "signer.pem").write_bytes(first + b"-----END CERTIFICATE-----\n")
        (tmp_path / "keys" / "signer.key").write_bytes((KEYS / "signer.key").read_bytes())
        command += f" -certfile {KEYS / 'intermediate.pem'}"
    keys = tmp_path / "keys" if name == "CMS of one level" else KEYS
    data = make_swupdate.image(tmp_path, getattr(make_swupdate, description), command, packer, keys)
    assert verdict(data) == "accept"


@pytest.mark.skipif(
    "swugenerator" not in TOOLS, reason="swugenerator is not installed (extra oracles, or SWUGENERATOR)"
)
@pytest.mark.parametrize("name", ["generator-cms", "generator-rsa"])
def test_what_swugenerator_makes_now_is_accepted(name, tmp_path):
    assert verdict(SAMPLES[name](tmp_path)) == "accept"


# --- spoiled images ---


@pytest.mark.skipif("cpio" not in TOOLS, reason="cpio is not installed")
@pytest.mark.parametrize("option", ["-B", "-C 4096"])
def test_larger_blocks_of_cpio_are_named(option, tmp_path):
    """Zeros in place of a lost end would be accepted otherwise, and one archive would have several sizes."""
    data = make_swupdate.image(tmp_path, make_swupdate.IN_JSON, make_swupdate.RSA, f"{make_swupdate.CRC} {option}")
    (finding,) = judged(data).findings
    assert (finding.rule, finding.where.stop) == ("trailing-data", len(data))
    assert "all zero: `cpio -B` and `-C`" in finding.message
    (finding,) = judged(data[:-1] + b"\1").findings
    assert (finding.rule, "zero" in finding.message) == ("trailing-data", False)


@pytest.mark.parametrize("name", ["signature-last", "signature-first"])
def test_a_signature_in_another_place_is_not_called_missing(name):
    report = judged(spoil_swupdate.CASES[name].make())
    assert {one.rule for one in report.findings} == {"member-misplaced"}


@pytest.mark.parametrize(
    ("signer", "extra", "rule"),
    [
        ("stranger", "", "signer-unknown"),
        ("expired", "-certfile {keys}/intermediate.pem", "signer-expired"),
        ("not-yet-valid", "-certfile {keys}/intermediate.pem", "signer-not-yet-valid"),
        ("mail", "-certfile {keys}/intermediate.pem", "wrong-purpose"),
        ("web-server", "-certfile {keys}/intermediate.pem", "wrong-purpose"),
        ("ca-as-signer", "-certfile {keys}/intermediate.pem", "not-a-signer-certificate"),
        ("signer", "", "signer-unknown"),
        ("signer", "-nocerts", "signer-unknown"),
        ("signer", "-nodetach -certfile {keys}/intermediate.pem", "signature-malformed"),
        ("signer", "-md sha1 -certfile {keys}/intermediate.pem", "weak-algorithm"),
    ],
)
def test_a_signature_that_must_not_count(signer, extra, rule, tmp_path):
    if "cpio" not in TOOLS:
        pytest.skip("cpio is not installed")
    sign = f"cms -sign -signer {{keys}}/{signer}.pem -inkey {{keys}}/{signer}.key -outform DER {extra}"
    data = make_swupdate.image(tmp_path, make_swupdate.IN_JSON, sign, make_swupdate.CRC)
    blob, report = content(SIGNATURE)(data), judged(data)
    assert report.verdict == "reject"
    found = [one.where for one in report.findings if one.rule == rule]
    assert [where for where in found if blob.start <= where.start < where.stop <= blob.stop]


# --- parts that cannot be read ---


def packet(tag, size):
    body = b"\x04" + bytes(100)
    return bytes([tag]) + len(body).to_bytes(size, "big") + body


@pytest.mark.parametrize("sig", [packet(0x88, 1), packet(0x89, 2), packet(0x8A, 4), b"-----BEGIN PGP SIGNATURE-----\n"])
def test_a_signature_in_openpgp_is_left_open(sig):
    report = judged(whole(sig=sig))
    assert (report.verdict, report.findings) == ("incomplete", ())
    reasons = {one.rule: one.reason for one in report.rules}
    assert all("OpenPGP" in reasons[rule] for rule in SIGNATURE_RULES)


@pytest.mark.parametrize(
    "text",
    [
        random.Random(1).randbytes(512),  # noqa: S311 - no secret, only what looks like a cipher text
        bytes.fromhex("30820200 06092a864886f70d010703") + b"a" * 600,
    ],
)
def test_an_encrypted_description_is_left_open(text):
    report = judged(whole(text))
    assert (report.verdict, report.findings) == ("incomplete", ())
    assert "encrypted" in next(one.reason for one in report.rules if one.rule == "metadata-malformed")


def test_a_description_for_another_parser_is_left_open():
    report = judged(whole(b'<?xml version="1.0"?><software version="1.0"/>'))
    assert (report.verdict, report.findings) == ("incomplete", ())
    assert report.signatures[0].counts
    assert "XML" in next(one.reason for one in report.rules if one.rule == "metadata-malformed")


# --- sweeps ---


def free_bytes(data):
    """The bytes that the page about the format lists as free, found without the reader."""
    for one in list(places(data))[:-1]:
        for start, stop in ((6, 14), (19, 38), (42, 54), (67, 70), (73, 78)):
            yield from range(one.start + start, one.start + stop)


def test_exactly_the_free_bytes_of_headers_are_framing():
    data = SMALL.read_bytes()
    report = judged(data)
    framing = [at for one in report.coverage.map if one.by == "framing" for at in range(one.span.start, one.span.stop)]
    assert framing == list(free_bytes(data))


@pytest.mark.exhaustive
def test_exactly_the_framing_can_be_flipped():
    """All bits of the headers, and two bits of every byte."""
    data = SMALL.read_bytes()
    framing = set(free_bytes(data))
    accepted = {at for at in range(len(data)) for mask in (0x01, 0x80) if verdict(flipped(data, at, mask)) == "accept"}
    assert accepted <= framing
    zeros = {at for at in framing if data[at : at + 1] == b"0"}  # one digit or another is always possible there
    assert zeros <= accepted


SEEDS = [(FOLDER / f"{name}.swu").read_bytes() for name in SAMPLES]


@given(st.binary(max_size=600))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_report(data):
    assert verdict(b"070702" + data) != "accept"
    assert verdict(SEEDS[0][:125] + data) != "accept"


@given(st.text(max_size=300), st.sampled_from(["libconfig", "json"]))
@settings(max_examples=200, deadline=None)
def test_any_description_gives_a_report(text, kind):
    inside = f"software = {{ {text} }};" if kind == "libconfig" else f'{{"software": {text}}}'
    data = whole(inside.encode("utf-8", "replace"))
    assert verdict(data) in ("reject", "incomplete")


# --- large images ---


def sparse(path, sizes):
    """An image in the format newc whose files are holes. Their digests are those of nothing."""
    names = [f"part{number}.img" for number in range(len(sizes))]
    start = spoil_swupdate.LIBCONFIG[: spoil_swupdate.LIBCONFIG.index("(")]
    entries = (
        f'{{ filename = "{name}"; type = "raw"; sha256 = "{"1" * 64}"; size = {size}L; }}'
        for name, size in zip(names, sizes, strict=True)
    )
    head = whole(f"{start}( {', '.join(entries)} ); }};".encode(), magic=b"070701")
    with path.open("wb") as file:
        file.write(head[: list(places(head))[2].start])
        for name, size in zip(names, sizes, strict=True):
            made = piece(name, magic=b"070701", filesize=size)
            file.write(spoil_swupdate.filled_up(spoil_swupdate.header(made, 2) + made.name + b"\0"))
            file.seek(size + -size % 4, os.SEEK_CUR)
        end = piece("TRAILER!!!", magic=b"070701")
        file.write(spoil_swupdate.header(end, 9) + end.name + b"\0")
        file.truncate(file.tell() + -file.tell() % 512)
    return path


@pytest.mark.parametrize("sizes", [[2**31 - 1], [2**31 + 5], [2**32 - 1], [2**32 - 1, 2**31, 17]])
def test_large_files_are_covered_to_the_last_byte(sizes, tmp_path):
    path = sparse(tmp_path / "large.swu", sizes)
    report = bundlekit.preflight(path, trust=STORE, at=dt.datetime.fromisoformat(forge.AT))
    assert (report.verdict, report.findings) == ("accept", ())
    assert {one.by for one in report.coverage.map} == {"signed", "signature", "digest", "zero", "checked", "framing"}
    assert report.coverage.size - report.coverage.covered == 47 * (2 + len(sizes))
    assert report.coverage.size == path.stat().st_size > sum(sizes)
    with FileSource(path) as source:
        bundle = formats.read(formats.once(source))
    assert [one.span.size for one in bundle.claims if type(one).__name__ == "DigestClaim"] == sizes


# --- the syntax of descriptions ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("a = 1; b : -2, c = +3 d = 0x7fffffff", {"a": 1, "b": -2, "c": 3, "d": 2**31 - 1}),
        ("a = 5L; b = 0xFFFFFFFFL; c = -9223372036854775808LL", {"a": 5, "b": 2**32 - 1, "c": -(2**63)}),
        ("a = 1.5; b = .5; c = 2.; d = 1e3; e = -1.5E-3", {"a": 1.5, "b": 0.5, "c": 2.0, "d": 1000.0, "e": -0.0015}),
        ("a = true; b = FALSE; c = True", {"a": True, "b": False, "c": True}),
        (r'a = "x\n\t\r\f\\\"\x41\X42" "y" /* and */ "z"', {"a": 'x\n\t\r\f\\"AByz'}),
        (r'a = "^1\.[0-9]\x4g$"', {"a": r"^1\.[0-9]\x4g$"}),
        ('a = "über";', {"a": "über"}),
        (r'a = "\xc3\xbcber"', {"a": "über"}),
        ('a = "two\nlines"', {"a": "two\nlines"}),
        ("a = (); b = []; c = {}", {"a": [], "b": [], "c": {}}),
        ('a = ( 1, "x", [ 2, 3 ], { b = 4; }, ( ), )', {"a": [1, "x", [2, 3], {"b": 4}, []]}),
        ("a = [ 1, 2, ];", {"a": [1, 2]}),
        ("# one\na = 1 // two\n/* three * /* */ b = 2 # end", {"a": 1, "b": 2}),
        ("*a-b_1* = 1; trueish = 2", {"*a-b_1*": 1, "trueish": 2}),
    ],
)
def test_libconfig(text, value):
    assert libconfig.decode(text.encode()) == value


@pytest.mark.parametrize("text", ["(" * 32, "{a=" * 10_000, "[" * 10_000, '"' * 10_001, "/*" * 10_000, "\\" * 10_000])
def test_libconfig_of_any_depth_and_length_is_bounded(text):
    with pytest.raises(libconfig.LibconfigError):
        libconfig.decode(b"a = " + text.encode())


def test_json_has_one_reading():
    assert strict_json.decode(b'{"a": [1, 2.5, true, null, "x"]}') == {"a": [1, 2.5, True, None, "x"]}
    for text in (
        '{"a": 1, "a": 2}',
        "[" * 33 + "]" * 33,
        "NaN",
        "1e400",
        str(2**63),
        r'"\u0000"',
        r'"\udc00"',
        "1 2",
        "",
    ):
        with pytest.raises(strict_json.StrictJsonError):
            strict_json.decode(text.encode())


def test_a_link_leads_where_swupdate_looks():
    """The example of the documentation of SWUpdate about links, with digests."""
    digest = make_swupdate.SUMS["rootfs.img"]
    text = f"""
    software = {{
      version = {{ ref = "#./commonversion"; }};
      hardware-compatibility = ["rev10", "rev11", "rev20"];
      commonversion = "0.7-linked";
      pc: {{
        stable: {{
          common: {{ images = {{ ref = "#./../trythis"; }} }};
          trythis: ( {{ filename = "rootfs.img"; device = "/dev/mmcblk0p8"; type = "raw"; sha256 = "{digest}"; }} );
          pdm3rev10: {{ images: ( {{ filename = "rootfs.img"; device = "/dev/mmcblk0p9"; sha256 = "{digest}"; }} );
                       uboot: ( ); }};
          pdm3rev11 = {{ ref = "#./pdm3rev10"; }}
          pdm3rev40 = {{ ref = "#./common"; }}
        }};
      }};
    }}"""
    report = judged(whole(text.encode()))
    assert report.verdict == "accept"
    assert (report.release.product, report.release.version) == ("pc", "0.7-linked")
    assert report.release.models == ("rev10", "rev11", "rev20")
    assert report.release.annotations["modes"] == "stable.common, stable.pdm3rev10, stable.pdm3rev11, stable.pdm3rev40"


def test_a_relative_link_is_read_where_the_group_with_it_is():
    """SWUpdate continues at the target of a link to a group, so links in it are relative to that place."""
    group = {"version": {"ref": "#./number"}, "number": "1.0", "images": {"ref": "#./list"}, "list": [entry()]}
    board = {"stable": {"main": {"ref": "#software/here"}}}
    report = judged(whole(described(images=None, version=None, board=board, here=group)))
    assert (report.verdict, report.findings) == ("accept", ())
    assert report.release.version == "1.0"


@pytest.mark.parametrize(
    ("changes", "product", "models"),
    [
        ({"name": "imager"}, "imager", ("1.0",)),
        ({"name": "Imager firmware"}, "", ("1.0",)),
        ({"board": {"images": [entry()]}}, "board", ("1.0",)),
        ({"a": {"images": [entry()]}, "b": {"images": [entry()]}, "name": "both"}, "both", ("1.0",)),
        ({"b": {"hardware-compatibility": ["2.0"], "images": [entry()]}}, "b", ("1.0", "2.0")),
        ({"hardware_compatibility": ["#RE:^1"]}, "", ()),
        ({"hardware-compatibility": None}, "", ()),
    ],
)
def test_product_and_models_are_stated_only_if_they_are_certain(changes, product, models):
    report = judged(whole(described(**changes)))
    assert report.verdict == "accept"
    assert (report.release.product, report.release.models) == (product, models)


@pytest.mark.parametrize(
    "section",
    [
        {"scripts": [{"type": "copy", "device": "/dev/sdb", "properties": {"copyfrom": "/dev/sda", "type": "raw"}}]},
        {"scripts": [{"ref": "#./both"}], "both": [{"type": "copy", "device": "/dev/sdb"}]},
        {"bootenv": [{"name": "bootpart", "value": "0:2"}, {"name": "tries"}]},
        {"partitions": [{"type": "diskpart", "device": "/dev/sda"}, {"device": "mtd4", "name": "data", "size": 4096}]},
        {"bootenv": [{"name": "a"}], "uboot": [{"name": "a"}]},
        {"board": {"set": {"ref": "#./../here"}}, "here": {"bootenv": {"ref": "#./env"}, "env": [{"name": "a"}]}},
    ],
)
def test_entries_without_file_are_something_to_install(section):
    """The copy handler is a script that needs no file (SWUpdate, *Handlers*)."""
    text = described(images=[], **section)
    report = judged(spoil_swupdate.archive(piece(DESCRIPTION, text), piece(SIGNATURE, signed(text))))
    assert (report.verdict, report.findings) == ("accept", ())


# --- the rest ---


def test_the_members_of_an_archive_are_found():
    archive = cpio.walk(BytesSource(spoil_swupdate.GOOD))
    assert [one.name for one in archive.members] == [DESCRIPTION, SIGNATURE, "rootfs.img"]
    assert archive.size == len(spoil_swupdate.GOOD)
    assert archive.members[2].field("check") == spoil_swupdate.field("rootfs.img", "check")(spoil_swupdate.GOOD)
    assert Span(start=0, stop=6) in [span for span, free in archive.members[0].framing() if not free]


def test_inspect_shows_the_description():
    shown = pipeline.inspect(FOLDER / "newc-rsa.swu")
    assert shown.format == "swupdate"
    assert shown.manifest["software"]["version"] == "1.4.0"
    assert [one.name for one in shown.sections if not one.name.startswith("header of")] == [
        DESCRIPTION,
        SIGNATURE,
        "rootfs.img",
        "check.lua",
        "end of the archive",
    ]


def test_a_signature_over_another_description_never_counts():
    other = described(version="9.9")
    assert verdict(whole(sig=signed(other))) == "reject"
    assert verdict(whole(other, sig=signed(other))) == "accept"


# --- the tool of the format ---


@pytest.mark.skipif({"swupdate", "cpio", "openssl"} - TOOLS.keys() != set(), reason="swupdate is not installed")
def test_swupdate_accepts_what_is_accepted(tmp_path):
    """The recipe of its documentation: a certificate of its own, whose key is pinned here."""
    subject = "req -x509 -newkey rsa:2048 -noenc -keyout signer.key -out signer.pem -days 2 -subj /CN=vendor"
    usage = ["-addext", "extendedKeyUsage=emailProtection", "-addext", "keyUsage=digitalSignature"]
    make_swupdate.run(tmp_path, "openssl", *subject.split(), *usage)
    pinned = make_swupdate.run(tmp_path, "openssl", "x509", "-in", "signer.pem", "-noout", "-pubkey")
    (tmp_path / "vendor.pub.pem").write_bytes(pinned)
    (tmp_path / "trust.toml").write_text(
        'trust = 1\npurpose = "email-protection"\n'
        '[signers.vendor]\nrole = "production"\nkey = "vendor.pub.pem"\nformats = ["swupdate"]\n'
    )
    sign = "cms -sign -signer {keys}/signer.pem -inkey {keys}/signer.key -outform DER"
    good = make_swupdate.image(tmp_path, make_swupdate.IN_JSON, sign, make_swupdate.CRC, tmp_path)
    for data, expected in ((good, True), (flipped(good, content("rootfs.img")(good).start), False)):
        (tmp_path / "image.swu").write_bytes(data)
        command = ["swupdate", "-c", "-H", "box:1.0", "-k", "signer.pem", "-i", "image.swu"]
        place = os.environ | {"TMPDIR": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=place, capture_output=True, check=False, timeout=60)
        assert (b"SWUPDATE successful" in done.stdout + done.stderr) is expected
        report = bundlekit.check(tmp_path / "image.swu", trust=load_trust([tmp_path / "trust.toml"]))
        assert (report.verdict == "accept") is expected
