"""Several bundles: each report as soon as it is finished, a summary, and nothing lost to Ctrl-C or a bad file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundlekit import pipeline
from bundlekit.cli import reports, run
from bundlekit.cli.jobs import WAITING, in_order
from bundlekit.request import CheckRequest
from bundlekit.schemas import schema
from tests.cli.terminal import Terminal
from tests.waiting import wait_for

TRUST = ("--trust", "keys/root.pem")
OPEN = '[[from]]\nid = "five"\nversions = "*"\nunlisted = true\n'
ADVISORY = """
advisory = 1
product = "imager"
serial = 4
issued = 2026-11-23
until = 2046-11-23
"""


@pytest.fixture
def bad(desk):
    Path("bad.bin").write_bytes(Path("update.bin").read_bytes()[:-1])
    return Path("bad.bin")


def test_a_summary_names_verdict_causes_and_bundle_and_counts_them(cli, bad):
    result = cli("check", "bad.bin", "missing.bin", "update.bin", "update.bin", *TRUST)
    assert result.code == 1
    assert result.out.splitlines()[-6:] == [
        "summary",
        "  REJECT       corrupted  bad.bin",
        "  INCOMPLETE              missing.bin",
        "  ACCEPT                  update.bin",
        "  ACCEPT                  update.bin",
        "total: 4 bundles: 2 accepted, 1 rejected, 1 incomplete",
    ]


@pytest.mark.parametrize("more", [("--format", "json", "update.bin"), ()])
def test_json_and_a_single_bundle_have_no_summary(cli, bad, more):
    assert "total:" not in cli("check", "update.bin", *more, *TRUST).out


def test_the_name_of_a_bundle_cannot_pass_for_a_verdict_in_the_summary(cli, desk):
    name = "x\n  ACCEPT       y.bin"
    shutil.copy("update.bin", name)
    lines = cli("check", name, "missing.bin").out.splitlines()
    assert r"  INCOMPLETE   x\u000a  ACCEPT       y.bin" in lines
    assert lines[-1] == "total: 2 bundles: 2 incomplete"


def test_the_summary_goes_to_the_file_too(cli, bad):
    assert cli("check", "update.bin", "bad.bin", *TRUST, "-o", "report.txt").out == ""
    text = Path("report.txt").read_text()
    assert text.startswith("bundle update.bin: ")
    assert text.endswith("total: 2 bundles: 1 accepted, 1 rejected\n")


def test_a_bundle_of_another_product_than_the_advisories_loses_no_other_report(cli, ship):
    ship("5.40.00", OPEN)
    shutil.copy("5.40.00.bin", "ours.bin")
    ship("5.40.00", OPEN, product="camera")
    Path("adv.toml").write_text(ADVISORY)
    signer = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
    built = cli("advisory", "build", "adv.toml", "-o", "adv.bin", *signer)
    assert built.code == 0, built.err
    result = cli("check", "5.40.00.bin", "ours.bin", *TRUST, "--advisories", "adv.bin", "--format", "json")
    first, second = map(json.loads, result.out.splitlines())
    assert result.code == 3
    assert "the bundle is for camera" in first["error"]
    assert second["verdict"] == "accept"


HELD = """
import sys
from bundlekit import pipeline
real, calls = pipeline.judge, []
def check(bundle, request, **more):
    calls.append(bundle)
    if len(calls) == 3:
        sys.stdin.buffer.read()  # until the interrupt comes: the other end is never closed before
    return real(bundle, request, **more)
pipeline.judge = check
from bundlekit.__main__ import main
sys.argv = ["bundlekit", *sys.argv[1:]]
main()
"""


def held(*args):
    """``check`` as a process that stands still in its third bundle."""
    environment = os.environ | {"PYTHONPATH": str(Path(pipeline.__file__).parents[1])}
    words = [sys.executable, "-c", HELD, "check", "update.bin", "bad.bin", "update.bin", "last.bin", *TRUST, *args]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    return subprocess.Popen(words, env=environment, text=True, **pipes, **heed)


def test_reports_come_while_others_are_under_way_and_ctrl_c_loses_none(bad):
    with held() as process:
        seen = []
        while not seen or not seen[-1].startswith("REJECT"):  # of the second bundle, before the third is finished
            seen.append(process.stdout.readline())
            assert seen[-1], process.stderr.read()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest, errors = process.stdout.read(), process.stderr.read()
        process.stdin.close()
    assert (process.returncode, errors) == (130, "\ninterrupted\n")
    assert sum(line.startswith("ACCEPT: ") for line in seen) == 1
    assert rest.splitlines() == [
        "summary",
        "  ACCEPT                  update.bin",
        "  REJECT       corrupted  bad.bin",
        "  NOT CHECKED             update.bin",
        "  NOT CHECKED             last.bin",
        "total: 4 bundles: 1 accepted, 1 rejected, 2 not checked",
    ]


def test_json_lines_come_one_by_one(bad):
    with held("--format", "json") as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.stdout.read(), process.stderr.read()
        process.stdin.close()
    assert [json.loads(line)["verdict"] for line in lines] == ["accept", "reject"]
    assert (process.returncode, rest) == (130, "")


@pytest.mark.parametrize("style", ["text", "json"])
def test_after_ctrl_c_the_file_has_what_was_finished(cli, bad, monkeypatch, style):
    real, calls = pipeline.judge, []

    def check(bundle, request, **more):
        calls.append(bundle)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(bundle, request, **more)

    monkeypatch.setattr(pipeline, "judge", check)
    args = ("update.bin", "bad.bin", "update.bin", *TRUST, "--format", style, "-o", "report")
    result = cli("check", *args)
    assert (result.code, result.out, result.err) == (130, "", "\ninterrupted\n")
    lines = Path("report").read_text().splitlines()
    if style == "json":
        assert [json.loads(line)["verdict"] for line in lines] == ["accept", "reject"]
    else:
        assert lines[-1] == "total: 3 bundles: 1 accepted, 1 rejected, 1 not checked"


def test_an_interrupt_before_the_first_report_writes_no_file(cli, bad, monkeypatch):
    def check(bundle, request, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "judge", check)
    Path("report").write_text("as before")
    assert cli("check", "update.bin", "bad.bin", *TRUST, "-o", "report").code == 130
    assert Path("report").read_text() == "as before"


@pytest.fixture
def row(bad):
    """More bundles than two jobs keep waiting: every third is damaged, and one is missing."""
    names = [f"{number:02}.bin" for number in range(12)]
    for number, name in enumerate(names):
        shutil.copy("bad.bin" if number % 3 == 2 else "update.bin", name)
    return [*names[:5], "missing.bin", *names[5:]]


@pytest.mark.parametrize("style", ["text", "json", "junit"])
def test_jobs_change_nothing_about_the_output(cli, row, style):
    args = (*TRUST, "--at", "2026-12-01", "--format", style)
    one, three = cli("check", *row, *args), cli("check", *row, "--jobs", "3", *args)
    assert three == one
    assert one.code == 1
    if style == "json":
        lines = [json.loads(line) for line in one.out.splitlines()]
        assert [line.get("file") or line["request"]["file"] for line in lines] == row
        for line in lines:
            jsonschema.validate(line, schema("check"))


@pytest.mark.parametrize("jobs", ["0", "65", "two"])
def test_odd_numbers_of_jobs_are_usage_errors(cli, desk, jobs):
    assert cli("check", "update.bin", "--jobs", jobs).code == 2


def test_no_more_results_wait_for_an_earlier_one_than_there_is_room_for():
    """The first piece of work ends last. Memory would otherwise grow with the number of bundles."""
    first, begun = threading.Event(), []

    def work(item, cancel):
        begun.append(item)
        if item == 0:
            assert first.wait(60)
        return item

    with in_order(range(100), work, 2) as results:
        pending = iter(results)
        waiting = threading.Thread(target=lambda: done.append(next(pending)[1]()))
        done = []
        waiting.start()
        wait_for(lambda: len(begun) == 2 * WAITING, "the room to be used up")
        first.set()
        waiting.join()
        assert done == [0]
        assert [result() for _, result in pending] == list(range(1, 100))


def test_an_interrupt_ends_the_work_of_all_jobs():
    started, seen = threading.Barrier(3), []

    def work(item, cancel):
        started.wait(60)
        wait_for(cancel, "the end")
        seen.append(item)

    with pytest.raises(KeyboardInterrupt), in_order(range(9), work, 2) as results:  # noqa: PT012
        next(results)
        started.wait(60)
        raise KeyboardInterrupt
    assert sorted(seen) == [0, 1]


def test_next_steps_are_those_of_the_command_line_in_each_job(cli, desk):
    shutil.copy("update.bin", "again.bin")
    assert cli("check", "update.bin", "again.bin", "--jobs", "2").out.count("(no --trust)") == 2


def test_a_report_that_no_output_needs_at_the_end_is_not_kept(desk):
    stream = reports.Reports([Path("a.bin"), Path("b.bin")], "json", [])
    files = reports.Reports([Path("a.bin"), Path("b.bin")], "json", [Path("report.json")])
    result = pipeline.judge("update.bin", CheckRequest())
    for each in (stream, files):
        each.add(result, 3)
    assert (stream._done, files._done) == ([], [result])
    assert stream.code == files.code == 3


def test_a_terminal_has_a_line_for_each_bundle_that_is_read(monkeypatch, desk):
    terminal, second, real = Terminal(monkeypatch, 100, 12), threading.Barrier(3), pipeline.judge

    def judge(bundle, request, *, progress, **more):
        progress(1, 4)
        second.wait(60)  # both are read, until the lines have been seen
        second.wait(60)
        return real(bundle, request, progress=progress, **more)

    monkeypatch.setattr(pipeline, "judge", judge)
    shutil.copy("update.bin", "again.bin")
    called = threading.Thread(target=run, args=(["check", "update.bin", "again.bin", "-j", "2", *TRUST],))
    called.start()
    second.wait(60)
    shown = lambda: {line.split()[0] for line in terminal.now() if "1/4" in line}  # noqa: E731
    wait_for(lambda: shown() == {"update.bin", "again.bin"}, "two lines")
    second.wait(60)
    called.join()
    last = [line for line in terminal.shown() if line]
    assert last[-1] == "total: 2 bundles: 2 accepted"
    assert not [line for line in last if "━" in line]
