"""Hostile bundles and hostile files: refused by the named rule, readably, soon, and in little memory."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bundlekit import pipeline
from bundlekit.checks import RULES
from bundlekit.cli import run
from bundlekit.errors import UnreadableError
from bundlekit.layout import manifest as manifest_layout
from bundlekit.layout import update_bin
from bundlekit.model.manifest import Component, Document, Image, Requirements
from bundlekit.model.matrix import Condition
from bundlekit.report import json as as_json
from bundlekit.report import text as as_text
from bundlekit.source import FileSource
from fixtures import forge, hostile
from fixtures.make_keys import KEYS
from tests.counting import at_most

ROOT = Path(__file__).parents[1]
TRUST = KEYS / "trust"
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
NUMBERS = {*range(1, 37), *range(55, 62), *range(76, 83)}
EXPECTED = ROOT.joinpath("tests/hostile.txt").read_text().splitlines()
NAMES_A_COMPONENT = {"index-digest-mismatch", "chunk-digest-mismatch", "plain-digest-mismatch"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
def test_refused_by_the_named_rule(case):
    data = case.make()
    with at_most(500_000):  # most take 5,000
        report = forge.judge(data, case.ask)
        lines = [line.text for line in as_text.lines(report)]
    if case.rule in ("tool-too-old", "undecided"):
        assert (report.verdict, report.findings) == ("incomplete", ())
        assert case.rule in {one.rule for one in report.rules if one.required and one.outcome == "not-run"}
    else:
        assert {finding.rule for finding in report.findings} == {case.rule, *case.also}
        assert report.verdict == "reject"
    for finding in report.findings:
        assert 10 < len(finding.message) < 1000
        assert finding.next
        assert "Traceback" not in finding.message
        points_at_what_is_there(finding, data)
    assert hostile.expected(case, data, report) == [line for line in EXPECTED if line.partition("  ")[0] == case.name]
    assert not [line for line in lines if UNSAFE.search(line)]
    assert as_json.render(report).isascii()


def points_at_what_is_there(finding, data):
    """The span is in the file, or what is missing behind its end; and in the part that the subject names."""
    where = finding.where
    if finding.rule_class in ("layout", "integrity"):
        assert where
    if where:
        assert 0 <= where.start < where.stop
        assert where.stop <= len(data) or where.start == len(data)
    if finding.rule in NAMES_A_COMPONENT:
        part = forge.section(data, finding.subject)
        assert part.start <= where.start < where.stop <= part.stop
    if finding.rule.startswith("manifest-"):
        manifest = forge.section(data, "manifest")
        assert manifest.start <= where.start < where.stop <= manifest.stop
    if finding.rule_class == "authenticity" and finding.rule != "unsigned":
        blob = forge.signature(data, int(finding.subject.removeprefix("signature ")))
        assert blob.start <= where.start < where.stop <= blob.stop
    if finding.rule_class == "compatibility":
        assert finding.subject


def test_what_is_expected_is_in_the_order_of_the_cases():
    """No line is left of a case that is gone; ``python -m fixtures.hostile --expected`` makes them again."""
    assert list(dict.fromkeys(line.partition("  ")[0] for line in EXPECTED)) == [case.name for case in hostile.CASES]


def test_names_are_unique_and_begin_with_a_rule():
    names = [case.name for case in hostile.CASES]
    assert len(set(names)) == len(names)
    assert {case.rule for case in hostile.CASES} <= {rule.name for rule in RULES}
    assert all(re.fullmatch(r"[a-z0-9-]+--[a-z0-9-]+", name) for name in names)


def test_no_row_of_the_list_is_forgotten():
    covered = {row for case in hostile.CASES for row in case.rows}
    assert NUMBERS - covered - set(hostile.EXPLAINED) == set()
    assert not covered & set(hostile.EXPLAINED)


def test_the_corpus_is_judged_from_its_folders_in_little_memory(tmp_path):
    """What others do with it: write it out, run the command over it."""
    write = [sys.executable, "-m", "fixtures.hostile", str(tmp_path)]
    subprocess.run(write, cwd=ROOT, check=True, capture_output=True)
    bundles = sorted(map(str, tmp_path.glob("*/bundle.bin")))
    assert len(bundles) == len(hostile.CASES)
    assert all((Path(bundle).parent / "why.md").read_text().endswith(".\n") for bundle in bundles)
    # The process says its own peak: what the system says of a child counts the parent's memory at the fork.
    peak = "print(open('/proc/self/status').read(), file=sys.stderr)"
    code = f"import sys; from bundlekit.cli import run; code = run(sys.argv[1:]); {peak}; sys.exit(code)"
    check = [sys.executable, "-c", code, "check", *bundles, "--trust", str(TRUST), "--at", forge.AT]
    with (tmp_path / "report.txt").open("wb") as output:
        done = subprocess.run(check, cwd=ROOT, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert int(re.search(r"VmHWM:\s+(\d+) kB", done.stderr)[1]) < 128 * 1024
    report = (tmp_path / "report.txt").read_text()
    assert not UNSAFE.search(report.replace("\n", ""))
    asked = [case for case in hostile.CASES if case.ask != forge.Ask()]
    assert report.count("\nREJECT") + report.count("\nINCOMPLETE") >= len(bundles) - len(asked)


def test_beside_a_strangers_signature_what_the_bundle_says_is_a_mere_claim():
    report = forge.judge(forge.write(sign=forge.by("signer", "stranger")))
    assert [signature.counts for signature in report.signatures] == [True, False]
    assert report.release is None
    assert report.claims.product == "imager"
    assert {one.rule for one in report.rules if one.outcome == "not-run"} >= {"chunk-digest-mismatch"}


PARTS = [Component(name=f"part-{n}", version="1.0", images=(Image(**forge.stored(hostile.NOTES)),)) for n in range(63)]
LIMITS = {
    "16 signatures": lambda: forge.write(
        sign=lambda head: [hostile.padded(head, n) for n in range(16)], capacity=16384
    ),
    "a signature of 64 KiB": lambda: forge.write(sign=hostile.of_length(65536), capacity=131072),
    "a signature area of 256 KiB": lambda: forge.write(capacity=2**18),
    "a manifest of 1 MiB": lambda: hostile.of_size(2**20),
    "16 levels": lambda: hostile.nested(16),
    "64 components": lambda: hostile.many(components=PARTS),
    "64 documents": lambda: hostile.many(
        documents=[Document(name=f"note-{n}", **forge.stored(hostile.NOTES)) for n in range(64)]
    ),
}


@pytest.mark.parametrize("make", LIMITS.values(), ids=LIMITS)
def test_what_comes_to_a_limit_and_not_over_it_is_accepted(make):
    """So what is rejected in the corpus for one more is rejected for that alone."""
    report = forge.judge(make())
    assert report.verdict == "accept"
    assert {finding.rule for finding in report.findings} <= {"extension-not-understood"}


# --- what is no file ---


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.fixture
def loop(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path / "loop"


@pytest.fixture(
    params=["folder", "fifo", "/dev/zero", "/dev/null", "loop", "missing", "name with NUL", "a file as a folder"]
)
def no_file(request, tmp_path):
    match request.param:
        case "folder":
            return tmp_path
        case "missing":
            return tmp_path / "missing"
        case "name with NUL":
            return Path("update\0.bin")
        case "a file as a folder":
            return Path(__file__) / "update.bin"
        case "fifo" | "loop":
            return request.getfixturevalue(request.param)
        case device:
            return Path(device)


def test_what_is_no_regular_file_cannot_be_judged(no_file, capsys):
    for judge in (pipeline.check, pipeline.preflight, pipeline.inspect):
        with pytest.raises(
            UnreadableError,
            match=r"cannot be opened: (No such|Not a dir|Too many|the name contains a NUL)|cannot be read: it is a ",
        ):
            judge(no_file)
    for verb in ("check", "preflight", "inspect"):
        assert "\0" in str(no_file) or run([verb, str(no_file)]) == 3  # no system passes NUL in an argument
    assert not UNSAFE.search(capsys.readouterr().err.replace("\n", ""))


# --- what is larger than it looks, or looks larger than it is ---


def enlarge(path: Path, wanted: int) -> int:
    """Make a file as large as its file system allows, up to ``wanted`` bytes, without writing any."""
    while True:
        try:
            os.truncate(path, wanted)
        except OSError:
            wanted //= 2
        else:
            return wanted


@pytest.fixture
def read_at_most(monkeypatch):
    """Fail if more bytes of files are read inside than that."""
    real = FileSource._read_some
    counts = []

    def counting(source, offset, buffer):
        counts.append(real(source, offset, buffer))
        return counts[-1]

    @contextmanager
    def within(limit):
        counts.clear()
        yield
        assert 0 < sum(counts) <= limit

    monkeypatch.setattr(FileSource, "_read_some", counting)
    return within


def test_a_sparse_file_as_large_as_the_file_system_allows(tmp_path, read_at_most):
    file = tmp_path / "update.bin"
    file.write_bytes(forge.good())
    size = enlarge(file, 2**63 - 1)
    assert size >= 2**40
    with read_at_most(2**20):
        report = pipeline.check(file, trust=forge.trust())
        assert run(["check", str(file), "--trust", str(TRUST)]) == 1
    assert [(f.rule, f.where.start, f.where.stop) for f in report.findings] == [
        ("trailing-data", len(forge.good()), size)
    ]


def test_a_sparse_file_that_nobody_trusted_vouches_for_is_not_read(tmp_path, read_at_most):
    file = tmp_path / "update.bin"
    size = enlarge_head(file, "stranger")
    with read_at_most(2**20):
        report = pipeline.check(file, trust=forge.trust())
    assert {finding.rule for finding in report.findings} == {"signer-unknown"}
    assert report.coverage.size == size
    assert {one.rule for one in report.rules if one.outcome == "not-run"} >= {"chunk-digest-mismatch"}


def test_of_a_bundle_of_any_size_a_pre_flight_reads_only_the_head(tmp_path, read_at_most):
    file = tmp_path / "update.bin"
    size = enlarge_head(file, "signer")
    with read_at_most(2**20):
        report = pipeline.preflight(file, trust=forge.trust())
    assert (report.verdict, report.scope, report.coverage.covered) == ("accept", "head", size)


def enlarge_head(file: Path, signer: str) -> int:
    """A sparse file of more than a tebibyte whose head, well signed, claims just that."""
    (component,) = forge.MANIFEST.components
    image = replace(component.images[0], size=2**40, chunk_size=2**26)
    manifest = replace(forge.MANIFEST, components=(replace(component, images=(image,)),))
    text = manifest_layout.encode(manifest)
    size = update_bin.place(manifest, update_bin.HEADER_SIZE + len(text) + forge.CAPACITY).end
    file.write_bytes(forge.write(text=text, sign=forge.by(signer), file_size=size))
    os.truncate(file, size)
    return size


# --- text that came from a bundle ---

TRICKY = "\u202eTPECCA\u202c \u200b\u2066x\u2069\ufeff\u2028y\u2029"
ESCAPED = TRICKY.encode("ascii", "backslashreplace").decode()


def test_bidirectional_text_of_a_good_bundle_is_escaped_wherever_it_is_shown(tmp_path, capsys):
    file = tmp_path / "update.bin"
    file.write_bytes(forge.changed(annotations={"note": TRICKY}))
    for verb in ("inspect", "check", "preflight"):
        for style in ("text", "json"):
            trust = [] if verb == "inspect" else ["--trust", str(TRUST), "--at", forge.AT]
            assert run([verb, str(file), "--format", style, *trust]) == 0
            out = capsys.readouterr().out
            assert not UNSAFE.search(out.replace("\n", ""))
            if style == "json":
                shown = json.loads(out)
                assert (shown.get("release") or shown["claims"])["annotations"]["note"] == TRICKY


def tricky_matrix():
    """The matrix of the good bundle, with that in every text for people; nothing else decides otherwise."""
    told = {"reason": TRICKY, "link": TRICKY}
    matrix = forge.MANIFEST.matrix
    (risk,), (stop,) = matrix.risks, matrix.stops
    return replace(
        matrix,
        sources=tuple(replace(one, tested=TRICKY, **told) for one in matrix.sources),
        stops=(replace(stop, when=Condition(fact="a", test="is", value=TRICKY), **told),),
        blocks=tuple(replace(one, **told) for one in matrix.blocks),
        dead_ends=tuple(replace(one, **told) for one in matrix.dead_ends),
        risks=(replace(risk, when=Condition(fact="b", test="is", value=TRICKY), **told),),
    )


SHOWN = {
    "a reason and a link": ("check BUNDLE TRUSTED --from 5.32.00", 1),
    "why there is no recovery": ("check BUNDLE TRUSTED --from 5.10.00", 1),
    "a fact that is needed": ("check BUNDLE TRUSTED --appliance STATE", 3),
    "the same before an update": ("preflight BUNDLE TRUSTED --from 5.32.00", 1),
    "all of it": ("inspect BUNDLE", 0),
    "tests in a table": ("matrix show BUNDLE", 0),
    "tests in a spreadsheet": ("matrix show BUNDLE --format csv", 0),
    "mistakes": ("matrix lint BUNDLE", 0),
    "what blocks a path": ("path BUNDLE TRUSTED --from 5.32.00 --to 5.40.00", 1),
    "what a path leaves open": ("path BUNDLE TRUSTED --from 5.30.02 --to 5.40.00", 0),
    "a drawing": ("path BUNDLE TRUSTED --from 5.30.02 --to 5.40.00 --format svg", 0),
    "a chart": ("path BUNDLE TRUSTED --from 5.30.02 --to 5.40.00 --format mermaid", 0),
    "a catalog": ("catalog show CATALOG TRUSTED", 1),
}
"""What is shown of the texts, the command that shows it, and its exit code."""


@pytest.mark.parametrize(("command", "code"), SHOWN.values(), ids=SHOWN)
def test_texts_of_a_matrix_are_escaped_wherever_they_are_shown(command, code, tmp_path, capsys):
    # Drawings, charts and catalogs show the name of a bundle where they do not show its texts.
    file = tmp_path / (f"{TRICKY}.bin" if command.startswith(("path", "catalog")) else "update.bin")
    needs = Requirements(facts=(Condition(fact="c", test="is", value=TRICKY),))
    file.write_bytes(forge.changed(matrix=tricky_matrix(), requirements=needs))
    (tmp_path / "STATE.json").write_bytes(msgspec.json.encode(forge.STATE))
    words = {
        "BUNDLE": [str(file)],
        "TRUSTED": ["--trust", str(TRUST), "--at", forge.AT],
        "STATE": [str(tmp_path / "STATE.json")],
        "CATALOG": [str(tmp_path / "catalog")],
    }
    if "CATALOG" in command:  # of bundles it shows the names, and of those that it leaves out, who signed them
        (tmp_path / "stranger.bin").write_bytes(forge.good("ill-named"))
        run(["catalog", "add", str(tmp_path / "catalog"), str(file), str(tmp_path / "stranger.bin")])
    assert run([part for word in command.split() for part in words.get(word, [word])]) == code
    shown = capsys.readouterr()
    assert not UNSAFE.search((shown.out + shown.err).replace("\r\n", "\n").replace("\n", ""))
    assert ESCAPED in shown.out
    if "CATALOG" in command:
        assert "\\u202eroot" in shown.out


@pytest.mark.parametrize("name", ["update\n.bin", "\x1b[2J.bin", "\u202enib.bin"])
def test_a_hostile_file_name_is_escaped(name, tmp_path, capsys):
    for data, code in ((forge.good(), 0), (b"", 1)):
        (tmp_path / name).write_bytes(data)
        assert run(["check", str(tmp_path / name), "--trust", str(TRUST), "--at", forge.AT]) == code
    assert run(["check", str(tmp_path / f"missing{name}")]) == 3
    captured = capsys.readouterr()
    assert not UNSAFE.search((captured.out + captured.err).replace("\n", ""))


@pytest.mark.parametrize("verb", ["show", "lint"])
def test_a_hostile_file_name_is_escaped_beside_a_matrix(verb, tmp_path, capsys):
    file = tmp_path / f"{TRICKY}.bin"
    file.write_bytes(forge.good())
    assert run(["matrix", verb, str(file)]) == 0
    assert not UNSAFE.search(capsys.readouterr().err.replace("\n", ""))


STATE = {
    "schema": "bundlekit/state/1",
    "pair": "rack-7",
    "product": "imager",
    "model": "im-100",
    "members": {"SN1": {"role": "active", "version": "5.32.00"}},
}


@pytest.mark.parametrize("name", ["", "a;b", "$(id)", "a\nb", "-a", "a\0b", "../a", "\x1b[2J", "\u202ea", "\u0456m", 7])
@pytest.mark.parametrize("field", ["pair", "product", "model", "version", "serial"])
def test_a_hostile_identity_that_an_appliance_reports_is_refused(field, name, tmp_path, capsys):
    """Row 82: what an appliance says of itself reaches hooks, as what a bundle says does."""
    state = json.loads(json.dumps(STATE))
    if field == "version":
        state["members"]["SN1"]["version"] = name
    elif field == "serial":
        state["members"] = {str(name) or "": state["members"]["SN1"] | ({"version": 1} if name == 7 else {})}
    else:
        state[field] = name
    (tmp_path / "STATE.json").write_bytes(msgspec.json.encode(state))
    (tmp_path / "update.bin").write_bytes(forge.good())
    arguments = ["--trust", str(TRUST), "--appliance", str(tmp_path / "STATE.json")]
    assert run(["check", str(tmp_path / "update.bin"), *arguments]) == 3
    message = capsys.readouterr().err
    assert "STATE.json" in message
    assert not UNSAFE.search(message.replace("\n", ""))
