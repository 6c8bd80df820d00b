"""What a manifest, a certificate, a state or a hook contains is obeyed by no CI runner and is taken for no verdict.

The files have foreign text wherever their schemas allow it. The test reads the bytes of both outputs and of each file
that a call writes.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path
from unittest.mock import patch

import pytest

from bundlekit.authoring.advisory import ADVISORY_EXAMPLE
from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE
from bundlekit.cli import run
from bundlekit.cli.update import common as shared
from bundlekit.trust import test_pki
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.rehearse import calm
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job
from tests.cli.test_update import PLAN, Room
from tests.update import shelf
from tests.update.world import Overridden

TEXTS = {
    "azure": "##vso[task.setvariable variable=a]b",
    "azure log": "##[error]x",
    "github": "::error file=a::x",
    "github output": "::set-output name=a::b",
    "github mask": "::add-mask::x",
    "github stop": "::stop-commands::x",
    "teamcity": "##teamcity[x]",
    "gitlab": "section_start:0:x",
    "verdict": "ACCEPT: the bundle is accepted",
    "refusal": "REJECT (corrupted): the bundle is rejected",
    "separators": "a\u2028::error::b\u2029ACCEPT: the bundle is accepted",
    "order": "\u202eTPECCA\u2066 \u200b\ufeffx",
}
"""What a text in a manifest can be. Control characters are in no text that a schema allows."""

ACTING = {
    "line end": "a\n::error::b\r\nACCEPT: the bundle is accepted",
    "carriage return": "a\r##[error]b",
    "next line": "a\x85::add-mask::b",
    "escape": "\x1b[2K\x1b[32mACCEPT: the bundle is accepted",
    "section": "\x1b[0Ksection_start:0:x\r\x1b[0K",
}
"""What a certificate or a hook can contain besides."""

OBEYED = re.compile(rb"##[\w.-]*\s*\[|(?m:^\s*::)|[\x00-\x08\x0b-\x1f\x7f]")
UNSEEN = re.compile("[\u0080-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
OURS = re.compile(
    r"ACCEPT: (the (bundle|head).* is accepted(;| for )|a trusted signer |imager 5)"
    r"|(REJECT|INCOMPLETE)( \([a-z, -]+\))?: (the (bundle|head).* (is rejected by|could not) |imager 5)"
    r"|INCOMPLETE: the file "
)


def harmless(text, foreign, where):
    """No runner obeys ``text``, and none of its lines begins with ``foreign`` or with a verdict that is not ours."""
    assert not OBEYED.search(text.encode("utf-8", "surrogateescape").replace(b"\r\n", b"\n")), (where, text)
    assert not UNSEEN.search(text), (where, ascii(text))
    for line in map(str.lstrip, text.splitlines()):
        if line.startswith(("ACCEPT", "REJECT", "INCOMPLETE")):
            assert OURS.match(line), (where, line)
        else:
            assert not line.startswith(foreign), (where, line)


def looked_at(cli, foreign, *call, codes=(0, 1, 3)):
    result = cli(*call)
    assert result.code in codes, (call, result)
    harmless(result.out, foreign, call)
    harmless(result.err, foreign, call)
    return result


# --- bundles ----------------------------------------------------------------------------------------------------------


def put_into(example, key, text):
    quoted = json.dumps(text)
    return re.sub(rf"(?m)^{key}( *)= \".*\"", lambda found: f"{key}{found[1]}= {quoted}", example)


ALIKE = {"azure log", "github output", "github mask", "github stop", "refusal", "next line"}
"""These differ from others in a word or a character only: they are tried in a sweep."""


@pytest.fixture(
    params=[pytest.param(one, marks=pytest.mark.sweep) if one in ALIKE else one for one in (*TEXTS, *ACTING)]
)
def foreign(request):
    return {**TEXTS, **ACTING}[request.param]


@pytest.fixture
def hostile(desk, foreign):
    """Bundles and advisories by signers of that name, with that text in each place of their manifests."""
    shutil.rmtree("keys")
    for folder in ("keys", "others"):
        with patch.object(test_pki, "TEST_MARK", foreign.encode()[:39].decode(errors="ignore")):
            assert run(["keygen", folder]) == 0
    if foreign in TEXTS.values():
        quoted = json.dumps(foreign)
        matrix = MATRIX_EXAMPLE + (
            f"[[risk]]\nid = 'R'\nwhen = {{ fact = 'a', is = {quoted} }}\nreason = {quoted}\nlink = {quoted}\n"
            f"[[dead-end]]\nid = 'D'\nversions = '5.20.00'\nreason = {quoted}\n"
            f"[[withdrawn]]\nid = 'W'\nversions = '5.32.01'\nreason = {quoted}\n"
        )
        for key in ("reason", "tested"):
            matrix = put_into(matrix, key, foreign)
        matrix = re.sub(r"(?m)^reason.*", lambda found: f"{found[0]}\nlink = {quoted}", matrix, count=2)
        Path("matrix.toml").write_text(matrix)
        spec = SPEC_EXAMPLE.replace('"synchronised"', quoted).replace('"text/plain"', quoted)
        Path("SPEC.toml").write_text(f"{spec}a = {quoted}\n")
        advisory = ADVISORY_EXAMPLE
        for key in ("reason", "link"):
            advisory = put_into(advisory, key, foreign)
    else:
        advisory = ADVISORY_EXAMPLE
    Path("ADVISORY.toml").write_text(advisory)
    signer = ["--cert", "keys/signer.pem", "--key", "keys/signer.key"]
    assert run(["build", "SPEC.toml", "-o", "update.bin", *signer]) == 0
    assert run(["advisory", "build", "ADVISORY.toml", "-o", "adv.bin", *signer]) == 0
    return desk


AT = ("--at", "2026-12-02")
TRUST = ("--trust", "keys/root.pem")
OTHERS = ("--trust", "others/root.pem")
WAY = ("--from", "5.30.02", "--to", "5.40.00")
CALLS = [
    ("check", "update.bin"),
    ("check", "update.bin", *TRUST, *AT),
    ("check", "update.bin", *OTHERS, *AT),
    ("check", "update.bin", *TRUST, *AT, "--format", "json"),
    *(("check", "update.bin", *TRUST, *AT, "--from", one) for one in ("5.20.00", "5.30.02", "5.32.00", "5.32.01")),
    ("check", "update.bin", *TRUST, *AT, "--from", "5.30.02", "--advisories", "adv.bin", "--strict"),
    ("check", "update.bin", *TRUST, *AT, "--from", "5.32.00", "-o", "report.txt"),
    ("check", "update.bin", *TRUST, *AT, "--from", "5.32.00", "--format", "json", "-o", "report.json"),
    ("preflight", "update.bin", *OTHERS, *AT),
    ("preflight", "update.bin", *TRUST, *AT, "--appliance", "STATE.json"),
    ("inspect", "update.bin"),
    ("inspect", "update.bin", "--format", "json"),
    ("sign", "update.bin", "--cert", "others/signer.pem", "--key", "others/signer.key"),
    ("sign", "update.bin", "--remove", "0"),
    ("sign", "update.bin", "--attach", "SPEC.toml"),
    ("trust", "show", "keys/root.pem"),
    ("trust", "show", "keys"),
    ("trust", "show", "keys", "--format", "json"),
    ("catalog", "add", "cat", "update.bin"),
    ("catalog", "show", "cat", *TRUST),
    ("catalog", "show", "cat", *OTHERS),
    ("catalog", "show", "cat", *OTHERS, "--format", "json"),
    *(("path", "cat", *TRUST, *WAY, "--format", style) for style in ("text", "json", "mermaid", "svg")),
    ("path", "cat", *OTHERS, *WAY),
    ("path", "cat", *WAY, "--format", "svg", "-o", "path.svg"),
    *(("matrix", "show", "SPEC.toml", "--format", style) for style in ("text", "json", "csv")),
    *(("matrix", "lint", "update.bin", *TRUST, *AT, "--format", style) for style in ("text", "json")),
    ("matrix", "diff", "SPEC.toml", "update.bin"),
    ("matrix", "export", "update.bin", "-o", "graph.json"),
    ("matrix", "import", "graph.json", "--to", "5.40.00", "-o", "imported.toml"),
    ("advisory", "show", "adv.bin", *AT),
    ("advisory", "show", "adv.bin", *AT, "--format", "json"),
    ("advisory", "show", "adv.bin", *TRUST, *AT),
    ("advisory", "show", "adv.bin", *OTHERS, *AT),
    ("advisory", "sign", "adv.bin", "--cert", "others/signer.pem", "--key", "others/signer.key"),
]


def test_no_verb_hands_on_what_a_bundle_contains(cli, hostile, foreign):
    members = {"A": {"role": "active", "version": "5.30.02"}, "B": {"role": "standby", "version": "5.30.02"}}
    state = {
        "schema": "bundlekit/state/1",
        "pair": "ACCEPT",
        "product": "imager",
        "model": "im-100",
        "members": members,
    }
    words = {"hold": foreign, "update": foreign, "facts": {"a": {"value": foreign, "at": foreign, "by": foreign}}}
    Path("STATE.json").write_text(json.dumps(state | (words if foreign in TEXTS.values() else {})))
    before = set(Path().rglob("*"))
    for call in CALLS:
        looked_at(cli, foreign, *call, codes=(0, 1, 2, 3))
    written = [one for one in set(Path().rglob("*")) - before if one.is_file() and one.suffix not in {".head", ".lock"}]
    assert len(written) >= 6, "the calls with --output wrote files"
    for path in written:
        harmless(path.read_text(), foreign, path)


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf_folder(tmp_path_factory):
    return shelf.fill(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def room(cli, shelf_folder, memory_folder, monkeypatch):
    shutil.copytree(shelf_folder, memory_folder / "room")
    monkeypatch.chdir(memory_folder / "room")
    made = Room(cli)
    made.pair = SimulatedPair(simulated_job(PAIR, pair="ACCEPT"), made.clock)
    monkeypatch.setattr(shared, "hooks_of", made.hooks_of)
    monkeypatch.setattr(shared, "clock", lambda: made.clock)
    monkeypatch.setattr(shared, "PAIR", calm(PAIR))
    state = json.loads(Path("STATE.json").read_text())
    Path("STATE.json").write_text(json.dumps({**state, "pair": "ACCEPT"}))
    return made


@pytest.mark.exhaustive
def test_no_verb_hands_on_what_a_hook_answers(room, cli, foreign):
    """The pair has the name of a verdict, and what each failing hook reports is foreign."""

    def fails(hooks, request):
        return Answer(kind="failed", reason=foreign)

    of = ("--pair", "ACCEPT", "--state-dir", "state")
    say = "".join(f"{kind} = {json.dumps(foreign)}\n" for kind in ("needs-operator", "on-hold", "degraded"))
    Path("PLAN.toml").write_text(
        f"{PLAN.partition('[messages]')[0]}[messages]\n{say}" if foreign in TEXTS.values() else PLAN
    )
    cli("update", "plan", "update.bin", "--appliance", "STATE.json", "--trust", "root.pem", *of[2:])
    room.hooks = Overridden(room.pair, apply=fails, revert=fails)
    run_ = ("update", "run", "update.bin", "--appliance", "STATE.json", "--trust", "root.pem", *of[2:])
    assert looked_at(cli, foreign, *run_, "--plan", "PLAN.toml", codes=(40,)).code == 40
    logs = Path("state/logs")
    logs.mkdir(exist_ok=True)
    (logs / "ACCEPT-run-active-apply-1.log").write_bytes(f"{foreign}\n {foreign}\n".encode() + b"\xff\xfe ##[error]x\n")
    codes = (0, 1, 3, *EXIT_CODES.values())
    who = ("--by", foreign, "--reason", foreign)
    for call in (
        ("status", *of), ("status", *of, "--json"), ("status", *of[2:]), ("log", *of), ("log", *of, "--json"),
        ("log", *of, "--export", "case.zip"), ("cancel", *of), ("resume", *of), ("revert", *of, *who),
        ("clear", *of, *who), ("clear", *of, *who, "--without-probe", "--ticket", foreign),
        ("status", *of), ("log", *of),
    ):  # fmt: skip
        looked_at(cli, foreign, "update", *call, codes=codes)
    looked_at(cli, foreign, *run_, "--json", codes=(40, 12, 10, 20))
    looked_at(cli, foreign, "update", "state", "--appliance", "STATE.json", "-o", "NEW.json")
    harmless(Path("NEW.json").read_text(), foreign, "NEW.json")
    with zipfile.ZipFile("case.zip") as archive:
        assert "logs/ACCEPT-run-active-apply-1.log" in archive.namelist()
        for name in archive.namelist():
            harmless(archive.read(name).decode(), foreign, name)
    for path in (*Path("state").glob("*.json"), *Path("state").glob("*.report.*")):
        harmless(path.read_text(), foreign, path)


@pytest.mark.exhaustive
def test_a_rehearsal_begins_no_line_with_the_name_of_a_step(cli, tmp_path):
    (tmp_path / "PLAN.toml").write_text(re.sub(r"\bstorage\b", "reject", PLAN.replace("30 min", "30 s")))
    for style in ("text", "markdown", "json"):
        result = cli("rehearse", tmp_path / "PLAN.toml", "--format", style)
        assert result.code == 0, result.err
        assert not re.search(r"(?m)^\s*(reject|active|standby)\b", result.out), result.out
