"""Inputs as they come at night: the head of a bundle on standard input, one bad line among many states, Ctrl-C."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

TRUST = ("--trust", "keys/root.pem")


def stdin(monkeypatch, data):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))


def test_the_first_bytes_on_standard_input_are_enough_for_a_preflight(cli, desk, monkeypatch):
    bundle = Path("update.bin").read_bytes()
    stdin(monkeypatch, bundle[:400_000])
    result = cli("preflight", "-", "--size", len(bundle), *TRUST)
    assert result.code == 0, result.out + result.err
    assert result.out.startswith("bundle standard input: imager 5.40.00")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-",), "- needs --size"),
        (("update.bin", "--size", 9), "--size is for -"),
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
        ("5", "S: line 2: expected object"),
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


def test_a_bad_line_makes_a_good_answer_incomplete(cli, desk, monkeypatch):
    from bundlekit.cli import check

    monkeypatch.setattr(check.common, "attempted", lambda bundle, judge, quoted: (judge(), 0))
    Path("S").write_text("\n".join([state("one"), "{oops", state("three")]))
    assert cli("check", "update.bin", *TRUST, "--appliance", "S").code == 3


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
