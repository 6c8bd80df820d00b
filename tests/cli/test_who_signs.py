"""The result of a signing names who has still to sign, and until when. `check` warns before signatures end."""

import datetime as dt
import json
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from bundlekit import load_trust, wall_clock
from bundlekit.authoring import advisory
from bundlekit.authoring.sign import attach, remove
from bundlekit.authoring.signatures import SignatureList
from bundlekit.checks.best_practice import signer_ends_soon
from bundlekit.checks.rule import RuleContext
from bundlekit.errors import SigningError
from bundlekit.layout import reader
from bundlekit.model.evidence import DemandEvidence, Evidence, SignatureEvidence
from bundlekit.model.finding import NotRun
from bundlekit.model.question import Question
from bundlekit.report.signing import progress
from bundlekit.schemas import schema
from bundlekit.source import BytesSource
from bundlekit.trust import Signed, load_private_key, read_public_key, sign
from bundlekit.trust.keys import describe
from bundlekit.trust.pem import read_certificates
from fixtures import forge
from fixtures.make_keys import KEYS

TRUST = """\
trust = 1
allow-test-keys = true
{more}
[signers.release]
role = "production"
anchor = "{keys}/trust/root.pem"
subject = "CN=rsa-signer (TEST ONLY),O=TEST ONLY"
until = 2040-03-01
[signers.qa]
role = "production"
anchor = "{keys}/trust/root.pem"
subject = "CN=p384-signer (TEST ONLY),O=TEST ONLY"
[signers.vault]
role = "production"
key = "{keys}/trust/pinned.pub.pem"
[[require]]
count = {count}
of = [{of}]
"""
RELEASE = ("--cert", KEYS / "rsa-signer.pem", "--key", KEYS / "rsa-signer.key")
QA = ("--cert", KEYS / "p384-signer.pem", "--key", KEYS / "p384-signer.key")
VAULT = ("--key", KEYS / "pinned.key")
STRANGER = ("--cert", KEYS / "stranger.pem", "--key", KEYS / "stranger.key")


@pytest.fixture
def trusting():
    def write(*names, count=2, more=""):
        of = ", ".join(f'"{name}"' for name in names or ("release", "qa"))
        Path("trust.toml").write_text(TRUST.format(keys=KEYS, count=count, of=of, more=more))
        return ("--trust", "trust.toml")

    return write


@pytest.fixture(params=["update.bin", "adv.bin"])
def signing(request, cli, unsigned):
    """Signs a bundle, or an advisories file, that nobody has signed."""
    return lambda *words: cli(*unsigned[request.param], request.param, *words)


def test_a_build_says_who_has_still_to_sign(cli, unsigned, trusting):
    trust = trusting()
    build = ("build", "SPEC.toml", "-o", "new.bin", *trust)
    done = cli(*build)
    assert (done.code, done.out.splitlines()[-1]) == (0, "0 of 2: release and qa have not signed")
    assert cli(*build, *RELEASE).out.splitlines()[-1] == "1 of 2: qa has not signed; signatures valid until 2040-03-01"
    assert cli(*build, *RELEASE, "--detached").out.splitlines()[-1].startswith("1 of 2: qa has not signed")
    both = ("--cert", QA[1], "--key", QA[3])
    assert cli(*build, *RELEASE, *both).out.splitlines()[-1].startswith("2 of 2: complete")
    assert cli("check", "new.bin", *trust).code == 0
    assert cli(*build, *RELEASE, "--quiet").out == ""
    assert "has not signed" not in cli("build", "SPEC.toml", "-o", "new.bin", *RELEASE).out


def test_building_advisories_says_who_has_still_to_sign(cli, unsigned, trusting):
    build = ("advisory", "build", "ADVISORY.toml", "-o", "new", *trusting())
    last = cli(*build, *RELEASE).out.splitlines()[-1]
    assert last == "1 of 2: qa has not signed; signatures valid until 2040-03-01"
    Path("new").unlink()
    done = cli(*build, *STRANGER)
    assert (done.code, "nothing was built" in done.err, Path("new").exists()) == (3, True, False)


def test_a_build_whose_signature_does_not_count_writes_nothing(cli, unsigned, trusting):
    done = cli("build", "SPEC.toml", "-o", "new.bin", *trusting(), *STRANGER)
    assert done.code == 3
    assert "nothing was built" in done.err
    assert not Path("new.bin").exists()


def test_the_result_says_who_has_still_to_sign(signing, trusting):
    trust = trusting()
    assert signing("--status", *trust).out.splitlines()[-1] == "0 of 2: release and qa have not signed"
    first = signing(*RELEASE, *trust)
    assert first.code == 0
    assert first.out.splitlines()[-1] == "1 of 2: qa has not signed; signatures valid until 2040-03-01"
    assert signing(*QA, *trust).out.splitlines()[-1] == "2 of 2: complete; signatures valid until 2040-03-01"
    shown = signing("--status", *trust).out
    assert "signature 1 present, by qa [production]: CN=p384-signer (TEST ONLY)" in shown
    assert signing("--status").out.splitlines()[-1] == "signatures valid until 2056-01-01"  # of the certificates alone
    after = signing("--remove", "0", *trust).out.splitlines()
    assert after[-1] == "1 of 2: release has not signed; signatures valid until 2056-01-01"


def test_the_result_is_data_by_its_schema(signing, trusting):
    trust = trusting("release", "qa", "vault")
    for words, complete, missing, added in (
        ((*RELEASE, *trust), False, ["1 of 2: 1 more of qa and vault has to sign"], 1),
        ((*VAULT, *trust), True, [], 1),
        (("--status", *trust), True, [], 0),
        (("--status",), None, [], 0),
        (("--prepare", "message", "--cert", KEYS / "p384-signer.pem", *trust), True, [], 0),
    ):
        result = signing(*words, "--format", "json")
        assert result.code == 0, result.err
        value = json.loads(result.out)
        jsonschema.validate(value, schema("signing"))
        assert (value["complete"], value["missing"], len(value["added"])) == (complete, missing, added)
        assert value["signatures"][0]["until"] == (
            "2040-03-01T23:59:59Z" if trust[0] in words else "2056-01-01T00:00:00Z"
        )
    assert value["prepared"]["algorithm"] == "ecdsa-sha384"
    assert value["prepared"]["size"] == Path("message").stat().st_size


def test_what_does_not_count_for_the_trust_is_not_stored(signing, trusting):
    before = {path: path.read_bytes() for path in Path().glob("*.bin")}
    trust = trusting()
    refused = signing(*STRANGER, *trust)
    assert (refused.code, "is not known here" in refused.err) == (3, True)
    assert signing(*RELEASE, *STRANGER, *trust).code == 3
    assert {path: path.read_bytes() for path in before} == before
    assert signing(*STRANGER).code == 0  # nothing was asked about trust
    result = signing(*RELEASE, *trust)
    assert (result.code, "signature 0 would reject the" in result.err) == (3, True)
    ignoring = trusting(more='other-signers = "ignore"')
    assert signing(*RELEASE, *ignoring).out.splitlines()[-1].startswith("1 of 2: qa has not signed")


def test_pem_trust_wants_one_signer(signing):
    trust = ("--trust", KEYS / "trust" / "root.pem")
    assert signing("--status", *trust).out.splitlines()[-1] == "no trusted signer has signed"
    last = signing(*RELEASE, *trust).out.splitlines()[-1]
    assert last == "complete: signed by a trusted signer; signatures valid until 2056-01-01"


# --- nothing is stored that was not verified ---


def keyless(head):
    """A CMS object without a certificate, which names its key only."""
    return sign(head, load_private_key(KEYS / "pinned.key"))


def test_a_signature_without_a_certificate_is_verified_or_refused(signing, trusting):
    data = Path("update.bin").read_bytes()
    document = advisory.read(Path("adv.bin"), Path("adv.bin").read_bytes(), at=wall_clock.now()).content
    Path("update.sig").write_bytes(keyless(reader.read(BytesSource(data)).head_bytes))
    Path("adv.sig").write_bytes(keyless(document))
    blob = "adv.sig" if "advisories" in signing("--status").out else "update.sig"
    result = signing("--attach", blob)
    assert (result.code, "contains no certificate, and its key is not known" in result.err) == (3, True)
    assert "--public-key" in result.err
    wrong = signing("--attach", blob, "--public-key", KEYS / "rsa-3072.pub.pem")
    assert (wrong.code, "names another key" in wrong.err) == (3, True)
    good = signing("--attach", blob, "--public-key", KEYS / "trust" / "pinned.pub.pem")
    assert (good.code, "(ed25519)" in good.out) == (0, True), good.err
    assert signing("--remove", "0").code == 0
    assert signing("--attach", blob, *trusting("vault", count=1)).out.splitlines()[-1] == "1 of 1: complete"


def test_a_damaged_signature_is_refused_even_if_it_names_its_key(tmp_path):
    path = tmp_path / "update.bin"
    path.write_bytes(forge.good())
    at = dt.datetime.fromisoformat(forge.AT)
    remove(path, 0, at=at)
    before = path.read_bytes()
    key = read_public_key(KEYS / "trust" / "pinned.pub.pem")
    blob = bytearray(keyless(reader.read(BytesSource(before)).head_bytes))
    blob[-1] ^= 1
    for known, message in ((None, "cannot be verified"), (key, "is not by the key")):
        with pytest.raises(SigningError, match=message):
            attach(path, bytes(blob), at=at, key=known)
    assert path.read_bytes() == before
    blob[-1] ^= 1
    assert attach(path, bytes(blob), at=at, key=key).algorithm == "ed25519"


# --- words and dates ---


@pytest.mark.parametrize(
    ("count", "of", "signed", "present", "words"),
    [
        (2, "ab", "a", "a", "1 of 2: b has not signed"),
        (3, "abc", "a", "a", "1 of 3: b and c have not signed"),
        (2, "abc", "a", "a", "1 of 2: 1 more of b and c has to sign"),
        (2, "abcd", "", "", "0 of 2: 2 more of a, b, c and d have to sign"),
        (2, "ab", "a", "ab", "1 of 2: the signature of b does not count"),
        (3, "abc", "a", "ab", "1 of 3: the signature of b does not count; c has not signed"),
        (2, "abc", "a", "ab", "1 of 2: the signature of b does not count; c has not signed"),
        (1, "ab", "ab", "ab", "1 of 1: complete"),
    ],
)
def test_progress_in_words(count, of, signed, present, words):
    demand = DemandEvidence(count=count, of=tuple(of), signed=tuple(signed), present=tuple(present))
    assert progress(demand) == words
    hybrid = replace(demand, algorithms=("post-quantum",))
    assert progress(hybrid) == words.replace(f"of {count}", f"of {count} (post-quantum)", 1)


def ends(trust, *names, at="2030-01-01"):
    """Until when the signatures of ``names`` count under a trust file."""
    head = b"head"
    blobs = []
    for name in names:
        file = KEYS / f"{name}.pem"
        blobs.append(
            sign(head, load_private_key(KEYS / f"{name}.key"), read_certificates(file) if file.exists() else ())
        )
    when = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC)
    signed = Signed(released="2026-11-23")
    found = SignatureList(head, blobs, start=0, at=when, name="x", what="file", verb="sign", signed=signed, trust=trust)
    return [one.until for one in found.signatures]


def test_the_end_is_the_first_of_certificates_and_trust_file(tmp_path, monkeypatch, trusting):
    monkeypatch.chdir(tmp_path)

    def trust(more=""):
        trusting("release", count=1, more=more)
        return load_trust([Path("trust.toml")])

    names = ("rsa-signer", "p384-signer", "pinned")
    assert ends(None, *names) == ["2056-01-01T00:00:00Z", "2056-01-01T00:00:00Z", None]
    assert ends(trust(), *names) == ["2040-03-01T23:59:59Z", "2056-01-01T00:00:00Z", None]
    assert ends(trust(), *names, at="2041-01-01") == [None, "2056-01-01T00:00:00Z", None]  # which does not count
    assert ends(trust('time = "released"'), *names) == [None, None, None]
    assert ends(load_trust([KEYS / "trust" / "pinned.pub.pem"]), "pinned") == [None]


@pytest.mark.parametrize(
    ("until", "within", "days"),
    [
        ("2026-12-31T00:00:00Z", 30, 30),
        ("2026-12-31T00:00:01Z", 30, None),
        ("2026-12-02T12:00:00Z", 30, 1),
        ("2026-12-01T00:00:00Z", 30, 0),
        (None, 10_000, None),
        ("2026-12-02T00:00:00Z", None, None),
    ],
)
def test_a_signature_that_ends_soon_is_a_warning_with_the_day(until, within, days):
    bundle = reader.read(BytesSource(forge.good()))
    where = bundle.signatures[0].blob
    one = SignatureEvidence(index=0, where=where, intact=True, trusted=True, standing="counted", name="qa", until=until)
    seconds = None if within is None else within * 86400
    question = Question(at="2026-12-01T00:00:00Z", trust=True, warn_within=seconds)
    for evidence in (one, replace(one, standing="rejected")):
        case = RuleContext(bundle=bundle, evidence=Evidence(signatures=(evidence,)), question=question)
        answer = signer_ends_soon.run(case)
        if within is None:
            assert isinstance(answer, NotRun)
            assert answer.reason == "no time to warn within was given (`warn_within`)"
            continue
        assert isinstance(answer, list)
        assert len(answer) == (days is not None and evidence.counts)
        for fault in answer:
            assert fault.params == {"until": until[:10], "days": days, "signer": "qa"}
            assert f"counts until {until[:10]}, which is in {days} day" in fault.message


def test_check_warns_and_a_strict_check_rejects(cli, unsigned, trusting):
    trust = trusting("release", "qa", count=1)
    cli("sign", "update.bin", *RELEASE)
    for words, code in ((("90 days",), 0), (("90 days", "--strict"), 1), (("30 days", "--strict"), 0)):
        result = cli("check", "update.bin", *trust, "--at", "2040-01-01", "--warn-within", *words)
        assert "signer-ends-soon" in result.out or words[0] == "30 days"
        assert result.code == code, result.out
    assert cli("check", "update.bin", *trust, "--at", "2040-01-01", "--strict").code == 0
    assert cli("check", "update.bin", "--warn-within", "soon").code == 2


def test_the_key_that_is_asked_for_is_the_one_in_the_file():
    assert read_public_key(KEYS / "p256.pub.pem").id == describe(load_private_key(KEYS / "p256.key").public_key()).id
