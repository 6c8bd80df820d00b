"""trust.toml as it is read: what it may hold, what is rejected in it and in which words, and what show shows."""

import datetime as dt
import json
import tomllib

import jsonschema
import pytest

from bundlekit.cli import run
from bundlekit.errors import ConfigError, TrustError
from bundlekit.schemas import schema
from bundlekit.trust import load_trust, policy
from bundlekit.trust.overview import overview
from tests.trust import pki, world
from tests.trust.pki import key, root, signer
from tests.trust.world import demand, trust

CARL = '[signers.carl]\nrole = "production"\nkey = "carl.pub.pem"\n'

WRONG = {
    "no version": ("", "no 'trust' key; a trust file begins with trust = 1"),
    "another version": ("trust = 2", "has trust = 2"),
    "no signers": ("trust = 1", "the key 'signers' is missing"),
    "unknown key": (f"trust = 1\nsigner = 3\n{CARL}", "unknown key 'signer'; did you mean 'signers'?"),
    "unknown key of a signer": (
        f'trust = 1\n{CARL}\nsubjects = "x"',
        "unknown key 'subjects'; did you mean 'subject'?",
    ),
    "unknown role": (f"trust = 1\n{CARL}".replace("production", "boss"), "'boss' is not one of production"),
    "neither anchor nor key": ('trust = 1\n[signers.x]\nrole = "production"', "has neither an anchor nor a key"),
    "subject without an anchor": (f'trust = 1\n{CARL}subject = "CN=Carl"', "has a subject but no anchor"),
    "not a name": (
        'trust = 1\n[signers.x]\nrole = "production"\nanchor = "root.pem"\nsubject = "Carl"',
        "not a distinguished name",
    ),
    "key as anchor": (f"trust = 1\n{CARL}".replace("key =", "anchor ="), "an anchor is the certificate of a CA"),
    "CA as key": (f"trust = 1\n{CARL}".replace("carl.pub.pem", "root.pem"), "a key is a public key"),
    "demand of nobody": (f"trust = 1\n{CARL}" + demand(1, "karl"), "lists the signer 'karl'; did you mean 'carl'?"),
    "demand of none": (f"trust = 1\n{CARL}" + demand(0, "carl"), "it must be at least 1"),
    "unknown algorithm": (f"trust = 1\n{CARL}" + demand(1, "carl", algorithms=("quantum",)), "'quantum' is not one of"),
    "one key of two": (
        f"trust = 1\n{CARL}{CARL.replace('signers.carl', 'signers.karl')}",
        "a key belongs to one signer",
    ),
    "one anchor of two": (
        f"trust = 1\n{CARL}{CARL.replace('s.carl', 's.karl')}".replace('key = "carl.pub.pem', 'anchor = "root.pem'),
        "are under one anchor; give each a subject",
    ),
    "weak floor": (f"trust = 1\nfloor = {{ rsa = 1024 }}\n{CARL}", "it must be at least 2048"),
    "a duration": (f'trust = 1\nmax-age = "a week"\n{CARL}', "max-age: 'a week' is not a number"),
    "a bundle id": (f'trust = 1\nwithdrawn = {{ "abc" = "x" }}\n{CARL}', "withdrawn"),
    "requirement for a format": (
        f'trust = 1\n{CARL}{demand(1, "carl")}formats = ["rauc"]',
        "a requirement for rauc can never be met, because none of its signers can sign rauc",
    ),
    "surplus intermediates": (f'trust = 1\nintermediate-files = ["intermediate.pem"]\n{CARL}', "are used with"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_trust_file_is_named(desk, text, words):
    with pytest.raises(ConfigError) as error:
        policy.parse(tomllib.loads(text), desk / "trust.toml")
    assert words in str(error.value)
    assert "trust.toml" in str(error.value)


def test_files_that_are_missing_or_of_the_wrong_kind(desk, tmp_path):
    with pytest.raises(TrustError, match="cannot be read"):
        trust(desk, 'deny = ["missing.txt"]')
    (tmp_path / "list.txt").write_text("# comment\nsha256:" + "0" * 64 + "  # why\n\nsha256:xyz\n")
    with pytest.raises(ConfigError, match=r"line 4 is not sha256: and 64 hex digits: 'sha256:xyz'"):
        trust(world.write(tmp_path), 'deny = ["list.txt"]')
    with pytest.raises(TrustError, match="not a CA and cannot be an anchor"):
        trust(desk, signers='[signers.x]\nrole = "production"\nanchor = "anna.pem"\n')
    with pytest.raises(TrustError, match="cannot be used as a revocation list"):
        trust(desk, 'crls = { files = ["root.pem"] }')


def test_a_trust_file_stands_alone(desk, tmp_path):
    (tmp_path / "trust.toml").write_text(f"trust = 1\n{CARL}")
    (tmp_path / "carl.pub.pem").write_bytes((desk / "carl.pub.pem").read_bytes())
    assert load_trust([tmp_path / "trust.toml"]).signers[0].name == "carl"
    with pytest.raises(TrustError, match="together with other trust"):
        load_trust([tmp_path / "trust.toml", tmp_path / "carl.pub.pem"])
    (tmp_path / "trust.toml").write_text("trust = ")
    with pytest.raises(ConfigError, match="invalid TOML"):
        load_trust([tmp_path / "trust.toml"])


def test_the_digest_covers_the_files_it_names(desk, tmp_path):
    one = trust(world.write(tmp_path), 'deny = ["anna.pem"]').digest
    assert one == trust(tmp_path, 'deny = ["anna.pem"]').digest != trust(tmp_path).digest
    (tmp_path / "anna.pem").write_bytes(pki.pem(signer(common="Anna", serial=5)))
    assert trust(tmp_path, 'deny = ["anna.pem"]').digest != one


def test_the_deny_list_takes_files_and_ids(desk, tmp_path):
    world.write(tmp_path)
    (tmp_path / "list.txt").write_text(f"sha256:{'1' * 64}\nsha256:{'2' * 64} # stolen\n")
    found = trust(tmp_path, f'deny = ["list.txt", "sha256:{"3" * 64}", "anna.pem", "carl.pub.pem"]').denied
    carl = pki.describe(key("ed25519", "Carl").public_key()).id
    (anna,) = pki.read(world.ANNA_LEAF)  # whose certificate stands for the key as well
    assert found == {"1" * 64, "2" * 64, "3" * 64, carl, anna.id, anna.key.id}


def test_one_anchor_may_serve_signers_with_different_subjects(desk):
    assert [one.subjects for one in trust(desk).signers] == [
        ("CN=Anna,O=TEST ONLY",),
        ("CN=Bert,O=TEST ONLY",),
        (),
        (),
    ]


def test_the_example_follows_the_schema_and_is_read(tmp_path, capsys):
    assert run(["trust", "--example"]) == 0
    text = capsys.readouterr().out
    values = tomllib.loads(text)
    values["signers"]["release"]["until"] = {"root-2019.pem": "2027-12-31"}  # JSON has no dates
    jsonschema.validate(values, schema("trust"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values | {"trusts": 1}, schema("trust"))
    for name, make in {
        "root-2019.pem": root,
        "root-2027.pem": lambda: root("p384", "Other"),
        "root-people.pem": lambda: root(common="People"),
        "release-pq.pub.pem": lambda: key("ml-dsa-65").public_key(),
    }.items():
        (tmp_path / name).write_bytes(pki.pem(make()))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "known-test-keys.txt").write_text("")
    (tmp_path / "trust.toml").write_text(text)
    assert load_trust([tmp_path / "trust.toml"]).name == "imager production"


# --- trust show ---


def shown(desk, more="", end="", *, signers=world.SIGNERS, at=pki.NOW):
    return overview(trust(desk, more, end, signers), at)


NEVER = {
    "more than there are": ("", demand(3, "anna", "bert"), {}),
    "post-quantum of a classical signer": ("", demand(1, "bert", algorithms=("post-quantum",)), {}),
    "a family that is not there": ("", demand(1, "anna", algorithms=("rsa",)), {}),
    "denied": ('deny = ["carl.pub.pem"]', demand(1, "carl"), {}),
    "denied anchor": ('deny = ["root.pem"]', demand(1, "bert"), {}),
    "expired anchor": ("", demand(1, "bert"), {"at": pki.NOW + dt.timedelta(days=9000)}),
    "anchor not yet valid": ("", demand(1, "bert"), {"at": pki.NOW - dt.timedelta(days=9000)}),
    "signer's last day": (
        "",
        demand(1, "carl"),
        {"signers": world.SIGNERS.replace('"development"', '"development"\nuntil = 2026-01-01')},
    ),
    "another format": (
        "",
        demand(1, "carl"),
        {"signers": world.SIGNERS.replace('"development"', '"development"\nformats = ["advisories"]')},
    ),
    "two who sign no common format": (
        "",
        demand(2, "carl", "bert"),
        {"signers": world.SIGNERS.replace('"development"', '"development"\nformats = ["rauc"]')},
    ),
    "below the floor": ("floor = { rsa = 3072 }", demand(1, "dora", algorithms=("rsa",)), {}),
    "no revocation list": ('crls = { files = ["root.crl"], required = true }', demand(1, "dora"), {}),
}


@pytest.mark.parametrize(("more", "end", "options"), NEVER.values(), ids=NEVER)
def test_demands_that_can_never_be_met(desk, more, end, options):
    found = shown(desk, more, end, **options)
    assert not found.can_be_met
    assert shown(desk, end=demand(1, "carl"), at=pki.NOW).can_be_met


COULD = {
    "anybody": "",
    "both": demand(2, "anna", "bert"),
    "a hybrid pair": demand(1, "anna", algorithms=("post-quantum",)) + demand(1, "anna", algorithms=("classical",)),
    "a classical signer under a post-quantum CA": demand(1, "dora", algorithms=("classical",)),
    "a family": demand(1, "dora", algorithms=("ml-dsa-65",)),
}


@pytest.mark.parametrize("end", pki.where_ml_dsa_chains_verify(COULD, "a family"))
def test_demands_that_can_be_met(desk, end):
    assert shown(desk, end=end).can_be_met


def test_what_is_unusable_is_said(desk):
    found = overview(policy.parse(tomllib.loads("trust = 1" + world.SIGNERS), desk / "trust.toml"), pki.NOW)
    anna, bert, carl, _ = found.signers
    assert (anna.usable, bert.usable, carl.usable) == (True, False, True)  # a key for tests that does not say so
    assert bert.sources[0].unusable == ("for tests, and allow-test-keys is not set",)


def test_show_on_the_command_line(desk, tmp_path, capsys):
    world.write(tmp_path)
    file = tmp_path / "trust.toml"
    file.write_text(world.HEAD + 'name = "desk"\n' + world.SIGNERS + demand(2, "anna", "bert"))
    assert run(["trust", "show", str(file), "--at", "2026-11-24"]) == 0
    text = capsys.readouterr().out
    for words in (
        "trust      desk at 2026-11-24 00:00:00 UTC",
        "signer     anna [production] usable",
        "CN=Anna,O=TEST ONLY, for code-signing",
        "anchor CN=Root,O=TEST ONLY (ecdsa-p256, until 2046-11-19",
        "demand     2 of anna, bert can be met by anna, bert",
        "TEST TRUST",
    ):
        assert words in text
    assert run(["trust", "show", str(file), "--at", "2050-01-01", "--format", "json"]) == 1
    values = json.loads(capsys.readouterr().out)
    jsonschema.validate(values, schema("trust-show"))
    assert values["signers"][1]["sources"][0]["unusable"] == ["expired on 2046-11-19 00:00:00 UTC"]
    assert run(["trust", "show", str(file), "--at", "2050-01-01"]) == 1
    assert "cannot be met now: usable are anna" in capsys.readouterr().out
    assert run(["trust", "show", str(tmp_path / "root.pem"), "--at", "2026-11-24"]) == 0
    assert "any of these usable" in capsys.readouterr().out
    assert run(["trust", "show", str(tmp_path / "missing.toml")]) == 3
    assert run(["trust"]) == 2


def test_by_release_date_an_expired_anchor_still_serves(desk):
    later = pki.NOW + dt.timedelta(days=4000)
    assert shown(desk, 'time = "released"', demand(1, "bert"), at=later).can_be_met
