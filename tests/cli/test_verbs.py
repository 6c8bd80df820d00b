"""The verbs of the command line, each from arguments to exit code, output and files."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import jsonschema
import pytest

from bundlekit import __main__, pipeline
from bundlekit.cli import VERBS, command
from bundlekit.cli.verbs import CliVerb, VerbGroup
from bundlekit.schemas import SCHEMAS, schema
from tests.waiting import LIMIT

SIGN = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
TRUST = ("--trust", "keys/root.pem")
SOURCE = Path(__file__).parents[2]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_has_the_first_line_of_the_list_and_examples(cli, verb):
    result = cli(verb, "--help")
    assert result.code == 0
    assert "xample" in result.out
    assert VERBS[verb].split(".")[0].split(",")[0] in " ".join(result.out.split())


def test_help_lists_every_verb(cli):
    assert all(verb in cli("--help").out for verb in VERBS)
    assert set(command.list_commands(None)) == set(VERBS)


def test_what_is_built_is_accepted(cli, desk):
    result = cli("check", "update.bin", *TRUST)
    assert result.code == 0
    first, second = result.out.splitlines()[:2]
    assert re.fullmatch(
        r"bundle update\.bin: signed by CN=[^;]*; every byte covered; no installed version given", first
    )
    assert second.startswith("  contains   update.bin/1: imager 5.40.00 (build 0500212), release of 2026-11-23")
    assert result.out.splitlines()[-1].startswith("ACCEPT: the bundle is accepted; no installed version was given")
    assert "  impact     rolling, service continues, reboot, 95 min, 60 min to revert\n" in result.out


def test_building_twice_gives_the_same_bytes(cli, desk):
    assert cli("build", "SPEC.toml", "-o", "again.bin", *SIGN).code == 0
    assert Path("again.bin").read_bytes() == Path("update.bin").read_bytes()


@pytest.mark.parametrize(
    ("algorithm", "options", "same"),
    [("rsa-3072", [], True), ("rsa-3072", ["--pss"], False), ("ml-dsa-65", [], False), ("ed25519", [], True)],
    ids=str,
)
def test_building_twice_gives_the_same_bytes_but_for_signatures_with_randomness(cli, desk, algorithm, options, same):
    cli("keygen", "other", "--algorithm", algorithm)
    certificate = ["--cert", "other/signer.pem"] if Path("other/signer.pem").exists() else []
    for name in ("one", "two"):
        signed = cli("build", "SPEC.toml", "-o", name, "--key", "other/signer.key", *certificate, *options)
        assert signed.code == 0, signed
        assert cli("extract", name, "--head", "-o", f"{name}.head").code == 0
    assert Path("one.head").read_bytes() == Path("two.head").read_bytes()
    assert (Path("one").read_bytes() == Path("two").read_bytes()) is same


def test_the_help_of_build_promises_no_more_than_that(cli):
    said = " ".join(cli("build", "--help").out.split())
    assert "The same inputs always give the same head and payload." in said
    assert "those of ML-DSA and RSA-PSS (--pss), which contain fresh randomness" in said


def test_without_trust_nothing_is_accepted(cli, desk):
    result = cli("check", "update.bin")
    assert result.code == 3
    assert "NOT VERIFIED, claims to be imager 5.40.00" in result.out
    assert "no trust anchors were given (--trust)" in result.out
    assert result.out.splitlines()[-1].startswith("INCOMPLETE")


def test_without_trust_damage_still_refuses(cli, desk):
    damage("update.bin", Path("update.bin").stat().st_size - 1_000_000)
    result = cli("check", "update.bin")
    assert result.code == 1
    assert "chunk-digest-mismatch [appliance/im-200]" in result.out


def damage(name, offset):
    with Path(name).open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_damage_is_located_to_the_chunk(cli, desk):
    report = json.loads(cli("check", "update.bin", *TRUST, "--format", "json").out)
    (section,) = [one for one in report["coverage"]["sections"] if one["name"] == "appliance/im-200"]
    damage("update.bin", section["span"]["start"] + 1_500_000)
    result = cli("check", "update.bin", *TRUST, "--format", "json")
    assert result.code == 1
    report = json.loads(result.out)
    (finding,) = report["findings"]
    start = section["span"]["start"] + 1024 * 1024
    assert finding["rule"] == "chunk-digest-mismatch"
    assert finding["where"] == {"start": start, "stop": start + 1024 * 1024}
    assert report["causes"] == ["corrupted"]


def test_json_report_follows_its_schema_and_is_the_same_twice(cli, desk):
    args = ("check", "update.bin", *TRUST, "--format", "json", "--at", "2026-11-24T00:00:00Z")
    one, other = cli(*args), cli(*args)
    assert one.out == other.out
    assert one.out.count("\n") == 1
    jsonschema.validate(json.loads(one.out), schema("report"))


def test_preflight_reads_the_head_only_and_says_so(cli, desk):
    damage("update.bin", Path("update.bin").stat().st_size - 1_000_000)
    result = cli("preflight", "update.bin", *TRUST)
    assert result.code == 0
    assert "read: head and signatures only" in result.out
    assert "its payload was not read" in result.out
    head = Path("update.bin").read_bytes()[: 1024 * 128]
    report = pipeline.preflight(head, size=Path("update.bin").stat().st_size)
    assert report.scope == "head"
    assert report.verdict == "incomplete"


def test_several_bundles_rejected_beats_not_checked_beats_accepted(cli, desk):
    Path("bad.bin").write_bytes(Path("update.bin").read_bytes()[:-1])
    assert cli("check", "update.bin", "update.bin", *TRUST).code == 0
    assert cli("check", "update.bin", "missing.bin", *TRUST).code == 3
    assert cli("check", "missing.bin", "bad.bin", "update.bin", *TRUST).code == 1
    lines = cli("check", "update.bin", "bad.bin", *TRUST, "--format", "json").out.splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["accept", "reject"]
    lines = cli("check", "missing.bin", "update.bin", *TRUST, "--format", "json").out.splitlines()
    jsonschema.validate(json.loads(lines[0]), schema("not-checked"))
    assert json.loads(lines[1])["verdict"] == "accept"
    assert "INCOMPLETE: missing.bin: cannot be opened" in cli("check", "missing.bin", "update.bin", *TRUST).out


@pytest.mark.parametrize("verb", ["check", "preflight"])
def test_a_program_gets_a_record_of_a_file_that_cannot_be_judged(cli, desk, verb):
    result = cli(verb, "missing.bin", *TRUST, "--format", "json")
    assert (result.code, result.err) == (3, "")
    record = json.loads(result.out)
    jsonschema.validate(record, schema("not-checked"))
    assert "cannot be opened" in record["error"]
    result = cli(verb, "missing.bin", *TRUST)  # a person gets an error
    assert (result.code, result.out) == (3, "")
    assert "bundlekit: missing.bin: cannot be opened" in result.err


def test_output_goes_to_a_file(cli, desk):
    result = cli("check", "update.bin", *TRUST, "--format", "json", "--output", "report.json")
    assert (result.code, result.out) == (0, "")
    assert json.loads(Path("report.json").read_text())["verdict"] == "accept"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("chek", "update.bin"), 2, "did you mean 'check'?"),
        (("check",), 2, "Missing argument"),
        (("check", "update.bin", "--colour"), 2, "No such option"),
        (("check", "update.bin", "--at", "yesterday"), 2, "is neither 2026-11-23 nor"),
        (("check", "update.bin", "--at", "2026-11-23T12:00:00"), 2, "add Z for UTC"),
        (("check", "update.bin", "--at", "9999-12-31T23:59:59-12:00"), 2, "is beyond the calendar in UTC"),
        (("check", "update.bin", "--at", "0001-01-01T00:00:00+12:00"), 2, "is beyond the calendar in UTC"),
        (("check", "missing.bin"), 3, "missing.bin: cannot be opened: No such file"),
        (("check", "."), 3, ": cannot be read: it is a folder"),
        (("check", "update.bin", "--trust", "missing.pem"), 3, "missing.pem: no such file or folder"),
        (("check", "update.bin", "--trust", "keys/signer.pem"), 3, "is not a CA and cannot be an anchor"),
        (("check", "update.bin", "--trust", "keys/signer.key"), 3, "holds a private key"),
        (("check", "update.bin", "--appliance", "notes.md"), 3, "notes.md: invalid JSON"),
        (("preflight", "missing.bin"), 3, "cannot be opened"),
        (("inspect", "missing.bin"), 3, "cannot be opened"),
        (("inspect", "notes.md"), 3, ""),
        (("extract", "update.bin", "-o", "x"), 2, "one of COMPONENT, --head and --signature"),
        (("extract", "update.bin", "storag", "-o", "x"), 3, "did you mean 'storage'?"),
        (("extract", "update.bin", "--signature", "1", "-o", "x"), 3, "has 1 signatures"),
        (("sign", "update.bin"), 2, "exactly one of --key, --signer, --prepare, --attach, --remove and --status"),
        (("sign", "update.bin", "--remove", "0", "--replace", "0"), 2, "--replace requires"),
        (("sign", "update.bin", "--remove", "3"), 3, "there is no signature 3; the bundle has 1"),
        (("sign", "update.bin", *SIGN), 3, "has already signed this bundle"),
        (("sign", "update.bin", "--key", "keys/missing.key"), 3, "missing.key: cannot be read"),
        (("build", "SPEC.toml"), 2, "--output"),
        (("build", "missing.toml", "-o", "x"), 3, "missing.toml: cannot be read"),
        (("build", "SPEC.toml", "-o", "x", "--cert", "keys/signer.pem"), 2, "--cert needs --key"),
        (("build", "SPEC.toml", "-o", "."), 3, "is a folder; name a file to write"),
        (("build", "SPEC.toml", "-o", "SPEC.toml"), 2, "is also an input; nothing was written"),
        (("build", "SPEC.toml", "-o", "notes.md"), 2, "is also an input; nothing was written"),
        (("check", "update.bin", "-o", "out/../update.bin"), 2, "is also an input; nothing was written"),
        (("check", "update.bin", *TRUST, "-o", "keys/root.pem"), 2, "is also an input; nothing was written"),
        (("preflight", "update.bin", "-o", "update.bin"), 2, "is also an input; nothing was written"),
        (("extract", "update.bin", "--head", "-o", "update.bin"), 2, "is also an input; nothing was written"),
        (("extract", "update.bin", "appliance", "-o", "x"), 3, "name one of appliance/im-100, appliance/im-200"),
        (("check", "update.bin", "--from", ""), 2, "Invalid value for '--from': the value is empty"),
        (("keygen", "keys"), 3, "it exists and is not overwritten"),
        (("explain", "formt"), 2, "did you mean 'format'?"),
        (("schema", "nothing"), 2, "is not one of"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_mistakes_have_a_message_and_an_exit_code(cli, desk, args, code, message):
    result = cli(*args)
    assert result.code == code, result
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("x").exists()


def test_an_internal_error_is_no_refusal(cli, desk, monkeypatch):
    monkeypatch.setattr(pipeline, "judge", lambda *args, **kwargs: 1 / 0)
    result = cli("check", "update.bin")
    assert result.code == 70
    assert "internal error" in result.err
    assert "ZeroDivisionError" in result.err


def test_an_interruption_exits_130(cli, desk, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "judge", interrupt)
    assert cli("check", "update.bin").code == 130


def test_inspect_says_that_nothing_is_verified(cli, desk):
    result = cli("inspect", "update.bin")
    assert result.code == 0
    assert result.out.startswith("NOT VERIFIED")
    shown = json.loads(cli("inspect", "update.bin", "--format", "json").out)
    assert shown["verified"] is False
    assert shown["manifest"]["product"] == "imager"
    jsonschema.validate(shown, schema("inspection"))


@pytest.mark.parametrize(
    ("label", "file"),
    [("storage", "out/storage-3.4.0.img"), ("appliance/im-200", "out/im200.img"), ("eula", "eula.txt")],
)
def test_extract_gives_back_what_was_stored(cli, desk, label, file):
    assert cli("extract", "update.bin", label, "-o", "x", *TRUST).code == 0
    assert Path("x").read_bytes() == Path(file).read_bytes()


def test_extract_gives_nothing_of_what_is_damaged_or_not_vouched_for(cli, desk):
    cli("keygen", "others")
    for what in ("--head", "--signature=0"):
        result = cli("extract", "update.bin", what, "-o", "x", "--trust", "others/root.pem")
        assert (result.code, Path("x").exists()) == (3, False)
    result = cli("extract", "update.bin", "storage", "-o", "x", "--trust", "others/root.pem")
    assert result.code == 3
    damage("update.bin", Path("update.bin").stat().st_size - 1_000_000)
    result = cli("extract", "update.bin", "appliance/im-200", "-o", "x", *TRUST)
    assert result.code == 3
    assert "is damaged at 0x" in result.err
    assert not [path for path in Path().iterdir() if path.name.startswith((".x", "x"))]


def test_schemas_are_schemas(cli, desk):
    for name in SCHEMAS:
        printed = json.loads(cli("schema", name).out)
        jsonschema.Draft202012Validator.check_schema(printed)


def test_the_manifest_of_the_example_follows_the_published_schema(cli, desk):
    document = json.loads(cli("inspect", "update.bin", "--format", "json").out)["manifest"]
    jsonschema.validate(document, schema("manifest"))
    for change in ({"surprise": 1}, {"counter": None}, {"product": "im\nager"}, {"components": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document | change, schema("manifest"))


def test_explain_has_a_page_for_everything_it_lists(cli, desk):
    topics = [line.split()[0] for line in cli("explain").out.splitlines()]
    assert {"format", "exit-codes", "trust", "matrix", "manifest", "chunk-digest-mismatch"} <= set(topics)
    for topic in topics:
        assert len(cli("explain", topic).out) > 100


def test_no_colours_but_on_a_terminal(cli, desk, monkeypatch):
    assert "\x1b" not in cli("check", "update.bin", *TRUST).out
    monkeypatch.setattr("bundlekit.cli.common.colours", lambda stream: True)
    monkeypatch.setattr("bundlekit.cli.streams.is_terminal", lambda stream: True)
    assert "\x1b[32m" in cli("check", "update.bin", *TRUST).out


def test_completion_is_offered(desk):
    environment = {
        **os.environ,
        "_BUNDLEKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "bundlekit pre",
        "COMP_CWORD": "1",
    }
    code = "import sys; sys.argv = ['bundlekit']; from bundlekit.__main__ import main; main()"
    root = Path(pipeline.__file__).parents[1]
    environment["PYTHONPATH"] = str(root)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "preflight" in done.stdout
    assert done.returncode == 0


def test_sign_shows_what_is_signed(cli, desk):
    assert cli("build", "SPEC.toml", "-o", "unsigned.bin").out.endswith("UNSIGNED: run `bundlekit sign` next\n")
    assert "unsigned" in cli("check", "unsigned.bin", *TRUST).out
    result = cli("sign", "unsigned.bin", *SIGN)
    assert result.code == 0
    assert "imager 5.40.00 (build 0500212)" in result.out
    assert "security counter 7" in result.out
    assert "bundle id sha256:" in result.out
    assert "signed by CN=" in result.out
    assert cli("check", "unsigned.bin", *TRUST).code == 0


ALONE = (
    "key keys/signer.key: signed without a certificate, so this signature counts only for verifiers that pin this key; "
    "--cert adds the certificate\n"
)


@pytest.mark.parametrize(
    "verb",
    [
        ("sign", "unsigned.bin"),
        ("build", "SPEC.toml", "-o", "x"),
        ("build", "SPEC.toml", "-o", "x", "--quiet"),
        ("advisory", "build", "ADVISORY.toml", "-o", "x"),
    ],
    ids=" ".join,
)
def test_who_forgets_the_certificate_is_told_for_whom_the_signature_counts(cli, desk, verb):
    cli("build", "SPEC.toml", "-o", "unsigned.bin")
    Path("ADVISORY.toml").write_text(cli("advisory", "build", "--example").out)
    result = cli(*verb, "--key", "keys/signer.key")
    assert (result.code, result.err) == (0, ALONE)
    cli("build", "SPEC.toml", "-o", "unsigned.bin")
    assert cli(*verb, *SIGN).err == ""
    assert cli("sign", "unsigned.bin", "--key", "keys/missing.key").err.count("pin") == 0


def test_a_signature_made_by_openssl_is_attached(cli, desk):
    cli("build", "SPEC.toml", "-o", "unsigned.bin", "--quiet")
    assert cli("extract", "unsigned.bin", "--head", "-o", "head").code == 0
    pair = ["-signer", "keys/signer.pem", "-inkey", "keys/signer.key"]
    openssl("-sign", "-in", "head", *pair, "-outform", "DER", "-out", "sig.der")
    assert cli("sign", "unsigned.bin", "--attach", "sig.der").code == 0
    assert cli("check", "unsigned.bin", *TRUST).code == 0
    assert cli("extract", "unsigned.bin", "--signature", "0", "-o", "again.der").code == 0
    assert Path("again.der").read_bytes() == Path("sig.der").read_bytes()
    assert "No such file" in cli("sign", "unsigned.bin", "--attach", "missing.der").err


def test_openssl_verifies_what_is_extracted(cli, desk):
    cli("extract", "update.bin", "--head", "-o", "head")
    cli("extract", "update.bin", "--signature", "0", "-o", "sig")
    trusted = ["-CAfile", "keys/root.pem", "-purpose", "any"]
    openssl("-verify", "-inform", "DER", "-in", "sig", "-content", "head", *trusted, "-out", os.devnull)


def openssl(*args):
    subprocess.run(["openssl", "cms", args[0], "-binary", *args[1:]], check=True, capture_output=True)


def test_an_option_of_which_only_one_can_count_is_not_given_twice(cli, desk):
    result = cli("check", "update.bin", *TRUST, "--advisories", "one", "--advisories", "two")
    assert (result.code, result.out) == (2, "")
    assert "--advisories is given 2 times, but can be given only once" in result.err
    assert cli("check", "update.bin", *TRUST, "--format", "json", "--format=text").code == 2
    assert cli("check", "--at", "2026-01-01", "--at", "2026-01-01", "--help").code == 0
    assert cli("check", "update.bin", *TRUST, *TRUST, "-q", "-q", "--from", "5.30.02", "--from", "5.30.01").code == 1


def test_every_command_is_a_verb_or_a_group_of_verbs():
    def commands(group):
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            yield found
            if isinstance(found, click.Group):
                yield from commands(found)

    assert not [one.name for one in commands(command) if not isinstance(one, CliVerb | VerbGroup)]


def test_extract_without_trust_says_so(cli, desk):
    assert "the signatures were not checked" in cli("extract", "update.bin", "eula", "-o", "x").err
    assert "Run `bundlekit check notes.md`" in cli("extract", "notes.md", "eula", "-o", "x").err


def test_what_nohup_ignores_stays_ignored(monkeypatch):
    heeded = []
    ignored = {signal.SIGHUP: signal.SIG_IGN}
    monkeypatch.setattr(signal, "getsignal", lambda number: ignored.get(number, signal.SIG_DFL))
    monkeypatch.setattr(signal, "signal", lambda number, _: heeded.append(number))
    __main__._heed([])
    assert heeded == [signal.SIGINT, signal.SIGTERM]


def test_a_locked_key_without_a_terminal_is_told_of(cli, desk, monkeypatch):
    locked = ["openssl", "pkey", "-in", "keys/signer.key", "-aes256", "-passout", "pass:secret", "-out", "keys/locked"]
    subprocess.run(locked, check=True, capture_output=True)
    ask = ("build", "SPEC.toml", "-o", "new.bin", "--cert", "keys/signer.pem", "--key", "keys/locked")
    result = cli(*ask)
    assert (result.code, Path("new.bin").exists()) == (3, False)
    assert "keys/locked: the key is encrypted, and no terminal is available" in result.err
    assert "BUNDLEKIT_PASSPHRASE" in result.err
    monkeypatch.setenv("BUNDLEKIT_PASSPHRASE", "not this one")
    assert "passphrase is wrong" in cli(*ask).err
    monkeypatch.setenv("BUNDLEKIT_PASSPHRASE", "secret")
    assert cli(*ask).code == 0


STOPS_AT_AN_IMAGE = """
import glob, sys
from bundlekit.__main__ import main

def stop(event, arguments):
    if event == "open" and str(arguments[0]).endswith("im100.img") and glob.glob(".bundlekit-*.tmp"):
        print("at work", flush=True)
        sys.stdin.read()

sys.addaudithook(stop)
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_build_that_is_ended_leaves_nothing_behind(desk, number):
    words = [sys.executable, "-c", STOPS_AT_AN_IMAGE, "build", "SPEC.toml", "-o", "big.bin"]
    heed = partial(signal.signal, number, signal.SIG_DFL)  # which a shell ignores for what it runs in the background
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "env": os.environ | {"PYTHONPATH": str(SOURCE)},
    }
    with subprocess.Popen(words, preexec_fn=heed, **pipes) as build:  # noqa: PLW1509 - no other thread is at work here
        assert build.stdout.readline() == b"at work\n", "no temporary file was there when the image was read"
        assert list(Path().glob(".bundlekit-*.tmp"))
        build.send_signal(number)
        build.stdin.close()
        assert build.wait(LIMIT) == 128 + number
    assert not [path for path in Path().iterdir() if "big.bin" in path.name or path.suffix == ".tmp"]


def test_a_locked_key_asks_for_its_passphrase(cli, desk, monkeypatch):
    locked = ["openssl", "pkey", "-in", "keys/signer.key", "-aes256", "-passout", "pass:sesame", "-out", "keys/locked"]
    subprocess.run(locked, check=True, capture_output=True)
    asked = []
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("click.prompt", lambda text, **_: asked.append(text) or "sesame")
    cli("build", "SPEC.toml", "-o", "unsigned.bin")
    assert cli("sign", "unsigned.bin", "--key", "keys/locked", "--cert", "keys/signer.pem").code == 0
    assert asked == ["Passphrase of keys/locked"]


@pytest.mark.parametrize("algorithm", ["ml-dsa-65", "ecdsa-p384"])
def test_keygen_warns_of_what_the_installed_library_cannot_verify(cli, tmp_path, monkeypatch, algorithm):
    monkeypatch.setattr("bundlekit.trust.keys.ML_DSA_CHAINS", False)
    result = cli("keygen", tmp_path / "keys", "--algorithm", algorithm)
    assert result.code == 0
    assert ("cannot verify such a chain" in result.err) is (algorithm == "ml-dsa-65")
    assert result.err == "" or result.err.startswith("warning: ml-dsa-65 certificates are made, and the installed ")


def test_examples_are_printed_and_can_be_built(cli, desk):
    assert cli("build", "--example").out == Path("SPEC.toml").read_text()
    assert cli("build", "--example", "matrix").out == Path("matrix.toml").read_text()


def test_progress_is_drawn_on_a_terminal_only(cli, desk, monkeypatch):
    assert cli("check", "update.bin", *TRUST).err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "update.bin" in cli("check", "update.bin", *TRUST).err
    assert cli("check", "update.bin", *TRUST, "--quiet").err == ""


def as_process(words, *, redirected=""):
    """A verb as a process of its own, by a shell that redirects its streams."""
    code = "from bundlekit.__main__ import main; main()"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = f'"{sys.executable}" -c "{code}" {words} {redirected}'
    return subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", ["check update.bin", "inspect update.bin", "--help", "explain format"])
def test_output_that_cannot_be_written_is_told_and_no_verdict(desk, words):
    done = as_process(words, redirected="> /dev/full")
    assert (done.returncode, done.stderr) == (3, "bundlekit: the output: No space left on device\n")


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed_do_not_matter(desk, redirected):
    done = as_process(f"check update.bin {' '.join(TRUST)}", redirected=redirected)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("catalog", "said"), [("update.bin", "is a file"), ("update.bin/x", "Not a directory")])
def test_a_catalog_is_a_folder(cli, desk, catalog, said):
    result = cli("catalog", "add", catalog, "update.bin")
    assert (result.code, said in result.err) == (3, True), result.err


def test_a_reader_that_goes_away_is_no_error(desk):
    code = "import sys; from bundlekit.__main__ import main; main()"
    root = Path(pipeline.__file__).parents[1]
    command = f'"{sys.executable}" -c "{code}" inspect update.bin 2>errors | true; cat errors'
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("check update.bin --trust keys/root.pem", 0),
        ("check update.bin", 3),
        ("check damaged.bin --trust keys/root.pem --format json", 1),
        ("inspect update.bin", 0),
        ("build SPEC.toml -o new.bin", 0),
        ("sign update.bin --remove 0", 0),
    ],
)
def test_who_reads_the_output_changes_nothing_of_the_exit_code(desk, words, code):
    shutil.copy("update.bin", "damaged.bin")
    damage("damaged.bin", Path("update.bin").stat().st_size - 1_000_000)
    there, gone = os.pipe()
    os.close(there)
    done = subprocess.run([sys.executable, "-m", "bundlekit", *words.split()], stdout=gone, stderr=gone, check=False)
    os.close(gone)
    assert done.returncode == code


def test_sign_shows_what_is_there_and_replaces_and_removes(cli, desk):
    result = cli("sign", "update.bin", *SIGN, "--replace", "0")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].startswith("bundle    imager 5.40.00 (build 0500212), release of 2026-11-23")
    assert lines[0].endswith("security counter 7")
    assert lines[1].startswith("bundle id sha256:")
    assert lines[2].startswith("signature 0 present, by CN=Example ")
    assert lines[3].startswith("signed by CN=Example ")
    assert cli("check", "update.bin", *TRUST).code == 0
    assert "removed signature 0, by CN=Example " in cli("sign", "update.bin", "--remove", "0").out
    assert "unsigned" in cli("check", "update.bin", *TRUST).out
    assert cli("sign", "update.bin", *SIGN).code == 0
    assert cli("check", "update.bin", *TRUST).code == 0


def test_keys_of_keygen_are_accepted_as_pem_and_shown_as_test_trust(cli, desk):
    assert "TEST TRUST" in cli("check", "update.bin", *TRUST).out
    assert json.loads(cli("check", "update.bin", *TRUST, "--format", "json").out)["test-trust"] is True


def test_a_signature_that_nobody_would_accept_is_not_attached(cli, desk):
    cli("build", "SPEC.toml", "-o", "unsigned.bin", "--quiet")
    cli("extract", "unsigned.bin", "--head", "-o", "head")
    web = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=web", "-keyout", "web.key"]
    usage = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=digitalSignature"]
    purpose = ["-addext", "extendedKeyUsage=serverAuth", "-out", "web.pem"]
    subprocess.run([*web, *usage, *purpose], check=True, capture_output=True)
    openssl(
        "-sign", "-in", "head", "-signer", "web.pem", "-inkey", "web.key", "-nocerts", "-outform", "DER", "-out", "a"
    )
    openssl("-sign", "-in", "head", "-signer", "web.pem", "-inkey", "web.key", "-outform", "DER", "-out", "b")
    openssl(
        "-sign",
        "-in",
        "head",
        "-signer",
        "keys/signer.pem",
        "-inkey",
        "keys/signer.key",
        "-outform",
        "PEM",
        "-out",
        "c",
    )
    before = Path("unsigned.bin").read_bytes()
    for name, words in (
        ("a", "certificates in the signature"),
        ("b", "self-signed"),
        ("c", "PEM file, but DER is required"),
    ):
        result = cli("sign", "unsigned.bin", "--attach", name)
        assert result.code == 3
        assert words in result.err
    assert Path("unsigned.bin").read_bytes() == before


WRONG = {
    "without -binary": (("openssl", "cms", "-sign", "-in", "head"), "not for this head"),
    "over the whole file": (("openssl", "cms", "-sign", "-binary", "-in", "unsigned.bin"), "not for this head"),
    "with -nodetach": (("openssl", "cms", "-sign", "-binary", "-nodetach", "-in", "head"), "has to be detached"),
    "with -noattr": (("openssl", "cms", "-sign", "-binary", "-noattr", "-in", "head"), "no signed attributes"),
    "no CMS": (("cp", "notes.md"), "not a CMS SignedData in DER: it cannot be read as one"),
    "another structure": (("openssl", "x509", "-in", "keys/signer.pem"), "not a CMS SignedData in DER"),
}


@pytest.mark.parametrize("name", WRONG)
def test_who_attaches_what_was_signed_wrongly_is_told_how_to_sign(cli, desk, name):
    command, words = WRONG[name]
    cli("build", "SPEC.toml", "-o", "unsigned.bin", "--quiet")
    cli("extract", "unsigned.bin", "--head", "-o", "head")
    signer = ["-signer", "keys/signer.pem", "-inkey", "keys/signer.key"] if "cms" in command else []
    end = ["sig.der"] if command[0] == "cp" else [*signer, "-outform", "DER", "-out", "sig.der"]
    subprocess.run([*command, *end], check=True, capture_output=True)
    before = Path("unsigned.bin").read_bytes()
    result = cli("sign", "unsigned.bin", "--attach", "sig.der")
    assert result.code == 3
    fault, advice = result.err.splitlines()
    assert fault.startswith("bundlekit: sig.der: not added, and the bundle is as it was: ")
    assert words in fault
    for stray in ("again from", "Remove", "ParseError", "kind:"):
        assert stray not in result.err
    assert Path("unsigned.bin").read_bytes() == before

    extract, sign = re.findall("`(.+?)`", advice)
    assert cli(*shlex.split(extract)[1:]).code == 0
    said = shlex.split(sign)
    for option, file in (("-signer", "keys/signer.pem"), ("-inkey", "keys/signer.key")):
        said[said.index(option) + 1] = file
    subprocess.run(said, check=True, capture_output=True)
    assert cli("sign", "unsigned.bin", "--attach", "sig.der").code == 0
    assert cli("check", "unsigned.bin", *TRUST).code == 0


def test_a_signature_in_pem_is_told_how_to_become_der(cli, desk):
    cli("build", "SPEC.toml", "-o", "unsigned.bin", "--quiet")
    cli("extract", "unsigned.bin", "--head", "-o", "head")
    pair = ["-signer", "keys/signer.pem", "-inkey", "keys/signer.key"]
    openssl("-sign", "-in", "head", *pair, "-outform", "PEM", "-out", "my sig")
    result = cli("sign", "unsigned.bin", "--attach", "my sig")
    command = re.findall("`(openssl.+?)`", result.err)[-1]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    assert cli("sign", "unsigned.bin", "--attach", "my sig.der").code == 0


def test_what_could_not_be_judged_says_what_to_do(cli, desk):
    assert "next: Give trust anchors, for example --trust root.pem" in cli("check", "update.bin").out


def test_coverage_speaks_of_what_was_looked_at(cli, desk):
    size = f"{Path('update.bin').stat().st_size:,}"
    assert f"coverage   {size} of {size} bytes\n" in cli("check", "update.bin", *TRUST).out
    assert f"coverage   read: head and signatures only, of {size} bytes\n" in cli("preflight", "update.bin", *TRUST).out
    damage("update.bin", Path("update.bin").stat().st_size - 1_000_000)
    assert "coverage   NOT COMPLETE, see the errors" in cli("check", "update.bin", *TRUST).out
    cli("keygen", "others")
    stranger = cli("check", "update.bin", "--trust", "others/root.pem")
    assert "coverage   the payload was not read" in stranger.out


def test_trust_can_be_named_by_a_string(desk):
    import bundlekit

    assert (
        bundlekit.check("update.bin", trust=bundlekit.load_trust("keys/root.pem"), sources="5.30.02").verdict
        == "accept"
    )
