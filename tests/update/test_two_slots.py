"""The example of the hooks page with A/B slots, over boxes in memory: typed, rehearsed, and updated."""

import contextlib
import hashlib
import re
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent

import pytest
from msgspec.structs import replace

from bundlekit.update.engine.plan import PAIR
from bundlekit.update.rehearsal.rehearse import rehearse
from bundlekit.update.rehearsal.sandbox import Sandbox, calm, from_outside
from tests.update.target import FileBundle, job_for

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "bundlekit/docs/hooks.md").read_text(encoding="utf-8")
(EXAMPLE,) = (dedent(code) for code in re.findall(r"\n\n((?: {4}.*\n|\n)+)", PAGE) if "class TwoSlotHooks" in code)
CONNECT = "def connect(target: Target) -> Box:\n    raise NotImplementedError\n"


class MemoryBox:
    """A component with two slots: the content and the seal of each, a pointer, and the marks."""

    def __init__(self, identity, version, counter):
        self.serial, self.counter, self.active = identity, counter, 0
        self.slots = [b"", b""]
        self.seals = [version, ""]
        self.marks = b""
        self.alone = threading.Lock()

    @contextlib.contextmanager
    def lock(self):
        if not self.alone.acquire(blocking=False):
            raise BlockingIOError
        try:
            yield
        finally:
            self.alone.release()

    def read_marks(self):
        return self.marks

    def write_marks(self, marks):
        self.marks = marks

    def version(self, slot):
        return self.seals[slot]

    def unseal(self, slot):
        self.seals[slot], self.slots[slot] = "", b""

    def append(self, slot, data):
        self.slots[slot] += data

    def seal(self, slot, version, digest):
        if f"sha256:{hashlib.sha256(self.slots[slot]).hexdigest()}" != digest:
            raise OSError("it reads back differently")
        self.seals[slot] = version

    def activate(self, slot):
        self.active = slot


class Appliance:
    """The example's hooks over the boxes of one pair."""

    def __init__(self, job):
        self.boxes = {
            step: MemoryBox(target.identity, target.old, job.counter_before) for step, target in job.targets.items()
        }
        steps = {(target.identity, target.component): step for step, target in job.targets.items()}
        space = {}
        exec(compile(EXAMPLE, "hooks.md", "exec"), space)  # noqa: S102 - it is our own page
        space["connect"] = lambda target: self.boxes[steps[target.identity, target.component]]
        boxes = self.boxes

        class TwoSlotHooks(space["TwoSlotHooks"]):
            def install(self, target, request):
                box = space["connect"](target)
                box.seals[box.active], box.seals[1 - box.active] = target.new, ""
                for one in boxes.values():  # the pair has one security counter
                    one.counter = request.counter

            def keep(self, target, request):
                super().keep(target, request)
                for one in boxes.values():
                    one.counter = max(one.counter, request.counter)

        self.hooks = TwoSlotHooks()


def test_the_example_is_typed(tmp_path):
    (tmp_path / "example.py").write_text(EXAMPLE + CONNECT)
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "example.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.exhaustive
def test_the_example_passes_the_rehearsal_of_single_faults(tmp_path):
    job, bundle = job_for(calm(PAIR)), FileBundle(tmp_path / "update.bin")
    found = rehearse(lambda _clock: Sandbox(job=job, hooks=Appliance(job).hooks, bundle=bundle))
    assert found.findings == ()
    assert found.broken == ()
    assert len(found.runs) > 100


@pytest.mark.parametrize("verb", ["switch", "switch_back"])
def test_a_slot_without_the_version_is_not_switched_to(verb):
    job = job_for()
    appliance = Appliance(job)
    request = replace(from_outside(job, "apply", "storage"), fence=1, owner="o")
    if verb == "switch":
        assert appliance.hooks.apply(request).reason == f"slot 1 does not contain {request.target.new}"
    else:
        appliance.boxes["storage"].seals[0] = request.target.new
        answer = appliance.hooks.revert(replace(request, verb="revert"))
        assert answer.reason == f"slot 1 does not contain {request.target.old}"
