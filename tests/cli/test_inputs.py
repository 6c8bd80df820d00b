"""Inputs as they come at night: the head of a bundle on standard input, one bad line among many states, Ctrl-C."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundlekit.files import LIMITS

TRUST = ("--trust", "keys/root.pem")


def stdin(monkeypatch, data):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))


def test_the_first_bytes_on_standard_input_are_enough_for_a_preflight(cli, desk, monkeypatch):
    bundle = Path("update.bin").read_bytes()
    stdin(monkeypatch, bundle[:400_000])
    result = cli("preflight", "-", "--size", len(bundle), *TRUST)
    assert result.code == 0, result.out + result.err
    assert result.out.startswith("bundle standard input: ")
    assert "imager 5.40.00" in result.out


def test_what_follows_the_head_on_standard_input_is_not_verified(cli, desk, monkeypatch):
    bundle = Path("update.bin").read_bytes()
    stdin(monkeypatch, bundle[:400_000] + b"?" * 4_000_000)
    assert cli("preflight", "-", "--size", len(bundle), *TRUST).code == 0
    assert len(sys.stdin.buffer.read()) == 4_400_000 - LIMITS["head"], "the rest was not read"


@pytest.mark.parametrize(
    ("data", "size", "said"),
    [
        (lambda bundle: bundle + b"?", 300_000, "standard input: has more than 300,000 bytes"),
        (lambda bundle: bundle[:100], 5_000_000, "bytes up to 0x"),
        (lambda bundle: b"", 5_000_000, "bytes up to 0x"),
    ],
)
def test_standard_input_of_another_length_is_one_sentence(cli, desk, monkeypatch, data, size, said):
    stdin(monkeypatch, data(Path("update.bin").read_bytes()))
    result = cli("preflight", "-", "--size", size, *TRUST)
    assert result.code == 3, result.out
    assert result.err.startswith("bundlekit: standard input: ")
    assert said in result.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-",), "- requires --size"),
        (("update.bin", "--size", 9), "--size requires -"),
        (("-", "--size", 0), "Invalid value"),
    ],
)
def test_the_size_goes_with_standard_input(cli, desk, monkeypatch, args, said):
    stdin(monkeypatch, b"")
    result = cli("preflight", *args, *TRUST)
    assert (result.code, said in result.err) == (2, True), result.err


def state(pair):
    members = {"A": {"role": "active", "version": "5.30.02"}, "B": {"role": "standby", "version": "5.30.02"}}
    kind = {"product": "imager", "model": "im-100"}
    return json.dumps({"schema": "bundlekit/state/1", "pair": pair, **kind, "members": members})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{oops", "S: line 2 is not JSON"),
        ('{"schema": 1}', "S: line 2: at 'schema'"),
        ("5", "S: line 2: it must be an object"),
    ],
)
@pytest.mark.parametrize("verb", ["check", "preflight"])
def test_one_bad_line_among_states_is_named_and_the_others_are_validated(cli, desk, verb, bad, said):
    Path("S").write_text("\n".join([state("one"), bad, state("three")]) + "\n")
    result = cli(verb, "update.bin", *TRUST, "--appliance", "S")
    assert result.code in {1, 3}
    assert result.err.startswith(f"bundlekit: {said}"), result.err
    assert "one" in result.out
    assert "three" in result.out


def whole(pair):
    value = json.loads(state(pair))
    for member in value["members"].values():
        member["released"] = "2025-01-01"
    return json.dumps({**value, "counter": 6, "includes": []})


MATRIX = """
releases = ["5.30.02"]
[[from]]
id = "a"
versions = "5.30.02"
"""


@pytest.mark.parametrize("verb", ["check", "preflight"])
def test_a_bad_line_makes_a_good_answer_incomplete_in_every_output(cli, ship, verb):
    bundle = ship("5.40.00", MATRIX)
    ask = (verb, bundle, *TRUST, "--appliance", "S")
    Path("S").write_text("\n".join([whole("one"), whole("three")]))
    assert cli(*ask).code == 0
    Path("S").write_text("\n".join([whole("one"), "{oops", whole("three")]))
    text, found = cli(*ask), cli(*ask, "--format", "json")
    assert (text.code, found.code) == (3, 3)
    assert "  skipped    S: line 2 is not JSON" in text.out
    assert text.out.splitlines()[-1].startswith("INCOMPLETE: the ")
    assert text.out.splitlines()[-1].endswith(", but 1 line of the states could not be read")
    report = json.loads(found.out)
    assert report["verdict"] == "incomplete"
    assert [one["reason"] for one in report["not-checked"]] == ["1 line of the states could not be read"]
    assert report["request"]["skipped-states"][0].startswith("S: line 2 is not JSON")
    assert [one["pair"] for one in report["decisions"]] == ["one", "three"]
    assert cli(*ask, "-o", "report").code == 3
    assert Path("report").read_text() == text.out


SCRIPT = """
import builtins, os, signal, sys
real = builtins.__import__
def load(name, *rest):
    if name == {name!r}:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True: pass
        except KeyboardInterrupt:
            raise {error}
    return real(name, *rest)
builtins.__import__ = load
sys.argv = ["bundlekit", "check", "update.bin"]
from bundlekit.__main__ import main
main()
"""


@pytest.mark.parametrize("name", ["bundlekit.cli", "click", "bundlekit.cli.verbs", "cryptography"])
@pytest.mark.parametrize("error", ["KeyboardInterrupt", "ImportError('lost')"])
def test_an_interrupt_during_start_up_is_130(desk, name, error):
    root = str(Path(__file__).parents[2])
    script = SCRIPT.format(name=name, error=error)
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, b"interrupted")
