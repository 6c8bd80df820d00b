"""What stands on the terminal at the end of a verb of ``bundlekit update``: every line of its outcome."""

import pytest

from bundlekit.cli import run
from bundlekit.cli.update import common as shared
from bundlekit.update.rehearsal.faults import ControllerKilled
from tests.cli.terminal import Terminal
from tests.cli.test_update import PLAN, RUN, STATE_DIR, TRUST, Path, Room, room, update_desk  # noqa: F401
from tests.update.world import fault


@pytest.mark.parametrize(
    ("verb", "faults", "last"),
    [
        ("run", [("apply", "standby", "F")], ("urgency", "next 1", "vendor", "send")),
        ("run", [("apply", "storage", "F")], ("urgency", "next 1", "next 2", "send")),
        ("run", [("apply", "active", "B")], ("urgency", "next 1", "next 2", "vendor", "send")),
        ("run", [], ("data served", "HA")),
        ("prepare", [], ("urgency", "next 1")),
        ("repair", [("apply", "standby", "F")], ("data served", "HA")),
        ("resume", [("apply", "active", "C")], ("data served", "HA")),
        ("revert", [("verify", "active", "F"), ("revert", "active", "F")], ("urgency", "next 1", "send")),
    ],
    ids=["degraded", "reverted", "operator", "succeeded", "waiting", "repair", "resume", "revert"],
)
def test_every_line_of_the_outcome_stands_on_the_terminal(room, monkeypatch, verb, faults, last):  # noqa: F811
    Path("PLAN.toml").write_text(PLAN)
    room.faults(*(fault(*given) for given in faults))
    words: tuple[str, ...] = (*RUN, "--plan", "PLAN.toml")
    monkeypatch.setattr(shared, "PAIR", None)
    if verb == "prepare":
        words = (*words, "--until", "prepared")
    elif verb != "run":
        try:
            room.run("--plan", "PLAN.toml")
        except ControllerKilled:
            assert verb == "resume"
        more = ("--by", "Ada", "--reason", "disk 3 replaced") if verb == "revert" else TRUST
        words = ("update", verb, "--pair", "pair-0", *STATE_DIR, *more)
    told = []
    outcome = shared.message
    monkeypatch.setattr(shared, "message", lambda *given: told.append(outcome(*given)) or told[-1])
    terminal = Terminal(monkeypatch, 400, 80)
    run(list(words))
    shown = terminal.shown()
    expected = shared.text(told[-1]).splitlines()
    start = next(index for index, line in enumerate(shown) if line.startswith(expected[0].split(":")[0] + ": "))
    wanted = [line.split()[:2] for line in expected]
    assert [line.split()[:2] for line in shown[start : start + len(expected)]] == wanted
    assert all(any(line.startswith(f"  {name}") for line in shown[start:]) for name in last)
    assert terminal.screens == 1, "it was shown on a screen of its own"
    assert not any(line.startswith(" now: ") for line in shown), "nothing of a frame is left"
