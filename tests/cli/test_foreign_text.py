"""What a file name, a certificate or a bundle says is obeyed by no CI runner and is taken for no verdict."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundlekit.escape import escape, guarded

TRUST = ("--trust", "keys/root.pem")
HOSTILE = {
    "github": "::error file=a::boom",
    "github at a new line": "x\n::add-mask::boom",
    "azure": "##vso[task.complete result=Succeeded]",
    "azure-log": "a ##[error]boom",
    "teamcity": "##teamcity[buildStatus text='ok']",
    "many": "####[group]",
    "gitlab": "\x1b[0Ksection_start:1:x\r\x1b[0K",
    "verdict": "ACCEPT: it is good",
    "verdict at a new line": "x\nACCEPT: it is good",
    "line ends": "a\r::warning::b\u2028::stop-commands::c\x85d",
    "order": "\u202eTPECCA \u200b\u2066x",
    "not UTF-8": os.fsdecode(b"caf\xe9"),
}
OBEYED = re.compile(rb"##[\w.-]*\s*\[|(?m:^\s*::)|(?m:^\s*ACCEPT: it is good)|[\x00-\x09\x0b-\x1f\x7f]")
UNSEEN = re.compile("[\u0080-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]")


def harmless(result, foreign):
    for stream in (result.out, result.err):
        assert not OBEYED.search(stream.encode()), stream
        assert not UNSEEN.search(stream), ascii(stream)
        begins = [line.lstrip() for line in stream.splitlines()]
        assert not [line for line in begins if line.startswith(foreign[:12])], stream
    assert result.code in {0, 1, 2, 3}, result.err


CALLS = {
    "check": ("check", "{}", *TRUST),
    "check json": ("check", "{}", *TRUST, "--format", "json"),
    "check a missing one": ("check", "none {}", *TRUST),
    "check by strangers": ("check", "{}", "--trust", "{}.pem"),
    "check from": ("check", "update.bin", *TRUST, "--from", "{}"),
    "preflight": ("preflight", "{}", *TRUST),
    "inspect": ("inspect", "{}"),
    "build": ("build", "SPEC.toml", "-o", "{}.out"),
    "build, not at all": ("build", "{}", "-o", "x"),
    "extract": ("extract", "{}", "storage", "-o", "{}.out"),
    "extract what it has not": ("extract", "update.bin", "{}", "-o", "x"),
    "sign": ("sign", "{}", "--key", "keys/signer.key"),
    "sign, not at all": ("sign", "update.bin", "--attach", "{}"),
    "output that is read": ("check", "{}", "-o", "{}"),
    "a verb": ("{}",),
    "an option": ("check", "update.bin", "--{}"),
    "a choice": ("check", "update.bin", "--format", "{}"),
    "a time": ("check", "update.bin", "--at", "{}"),
    "a risk": ("check", "update.bin", "--accept-risk", "{}"),
    "too many": ("inspect", "update.bin", "{}"),
    "trust show": ("trust", "show", "{}.pem"),
    "catalog add": ("catalog", "add", "cat", "{}"),
    "catalog show": ("catalog", "show", "cat2", *TRUST),
    "catalog show json": ("catalog", "show", "cat2", *TRUST, "--format", "json"),
    "path": ("path", "{}", *TRUST, "--from", "5.30.02", "--to", "5.40.00"),
    "path json": ("path", "{}", *TRUST, "--from", "5.30.02", "--to", "5.40.00", "--format", "json"),
    "matrix show": ("matrix", "show", "{}"),
    "matrix lint": ("matrix", "lint", "{}"),
    "keygen": ("keygen", "new {}"),
    "explain": ("explain", "{}"),
    "schema": ("schema", "{}"),
    "rehearse": ("rehearse", "{}"),
    "update status": ("update", "status", "--state-dir", "{}"),
    "update run": ("update", "run", "{}", "--appliance", "{}", *TRUST),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", HOSTILE)
def test_no_verb_hands_a_foreign_name_on(cli, desk, name):
    foreign = HOSTILE[name]
    Path(foreign).write_bytes(Path("update.bin").read_bytes())
    Path(f"{foreign}.pem").write_bytes(Path("keys/root.pem").read_bytes())
    cli("catalog", "add", "cat2", foreign)
    for call in CALLS.values():
        harmless(cli(*(part.format(foreign) for part in call)), foreign)


@pytest.mark.parametrize("name", HOSTILE)
def test_json_stands_for_the_same_text(name):
    from bundlekit.report.json import render

    assert json.loads(guarded(render({"a": HOSTILE[name], "b": ["##" + HOSTILE[name]]}))) == {
        "a": HOSTILE[name],
        "b": ["##" + HOSTILE[name]],
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_is_harmless_wherever_it_is_put(name):
    for text in (HOSTILE[name], f"  {HOSTILE[name]}", f"said {HOSTILE[name]}"):
        assert not OBEYED.search(f"label {escape(text)}".encode("utf-8", "backslashreplace"))
        assert "::" not in guarded(text).encode("utf-8", "replace").decode().lstrip()[:2]


def test_a_heading_of_a_page_stays():
    assert guarded("## Limits\n") == "## Limits\n"


def test_entries_added_at_once_are_all_kept(cli, desk):
    for number in range(6):
        spec = Path("SPEC.toml").read_text().replace("counter", f"build = '{number}'\n# counter", 0)
        Path(f"{number}.toml").write_text(spec.replace('build    = "0500212"', f'build    = "{number}"'))
        assert cli("build", f"{number}.toml", "-o", f"{number}.bin").code == 0
    start = [sys.executable, "-m", "bundlekit", "catalog", "add", "cat"]
    running = [subprocess.Popen([*start, f"{number}.bin"], stdout=subprocess.DEVNULL) for number in range(6)]
    assert [one.wait() for one in running] == [0] * 6
    assert len(json.loads(Path("cat/catalog.json").read_text())["bundles"]) == 6
