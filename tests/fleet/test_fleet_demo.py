"""The demo of the README shows a canary that stops the rollout, and a rollout that goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.exhaustive
def test_the_demo_stops_and_goes_on():
    command = [sys.executable, "-m", "fixtures.fleet_demo", "--quick", "--pairs", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    stopped, finished = shown.index("ABORTED: "), shown.index("FINISHED: ")
    assert shown.index("bundlekit fleet start") < stopped < shown.index("bundlekit fleet resume") < finished
    assert "does not start on this hardware" in shown[:stopped]
    assert "wave rest: 54 pairs: 54 not started" in shown[:stopped]
    assert "What the appliances run: 60 pairs 3.0 3.0 3.0" in shown[finished:]
    assert "that the appliances have seen: 0" in shown
