"""Hardware revisions of a bundle that differ between boards, selections and modes of devices, or that are patterns.

A device of SWUpdate uses the first list that it finds: that of its board, selection and mode, then that of selection
and mode, then that of its board, then the list for all (``parser/parser.c``). If it is not known which list a device
uses, all lists are tried that it could use. A revision is fine only if it is in each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.matrix.hardware_pattern import PatternError, matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.model.appliance import Appliance
    from bundlekit.model.release import HardwareList

PATTERN: Final = "#RE:"
"""What a hardware revision begins with that is a regular expression."""

BOARD, SELECTION, MODE = "swupdate.board", "swupdate.software-set", "swupdate.running-mode"
"""The facts about a device that select its list."""


def is_listed(lists: Sequence[HardwareList], appliance: Appliance) -> bool | None:
    """Whether the model of the appliance is a revision of the bundle; None if that cannot be decided."""
    answers = {_contains(one.revisions, appliance.model) for one in possible(lists, appliance)}
    return next(iter(answers)) if len(answers) == 1 else None


def possible(lists: Sequence[HardwareList], appliance: Appliance) -> list[HardwareList]:
    """The lists that the device could use: one if everything about it is known, and none if no list is for it."""
    board, selection, mode = _board(lists, appliance), _fact(appliance, SELECTION), _fact(appliance, MODE)
    found: list[HardwareList] = []
    for with_board, with_mode in ((True, True), (False, True), (True, False), (False, False)):
        level = [one for one in lists if (bool(one.board), bool(one.mode)) == (with_board, with_mode)]
        fitting = [
            one
            for one in level
            if board in (None, one.board) or not with_board
            if not with_mode or (selection in (None, one.selection) and mode in (None, one.mode))
        ]
        found += fitting
        certain = (not with_board or board is not None) and (not with_mode or None not in (selection, mode))
        if fitting and certain:
            break
    return found


def unknown_facts(lists: Sequence[HardwareList], appliance: Appliance) -> tuple[str, ...]:
    """The facts that would decide which list the device uses, if they are unknown."""
    facts = [BOARD] if _board(lists, appliance) is None else []
    if any(one.mode for one in lists):
        facts += [fact for fact in (SELECTION, MODE) if _fact(appliance, fact) is None]
    return tuple(facts)


def _board(lists: Sequence[HardwareList], appliance: Appliance) -> str | None:
    """The board of the appliance: the fact, or the product if a list is for a board of that name. None: not known."""
    if (fact := _fact(appliance, BOARD)) is not None:
        return fact
    boards = {one.board for one in lists if one.board}
    return appliance.product if appliance.product in boards or not boards else None


def _fact(appliance: Appliance, name: str) -> str | None:
    """A fact that is text; empty text means that the device has no such setting. None: not known."""
    found = appliance.facts.get(name)
    return found if isinstance(found, str) else None


def _contains(revisions: Sequence[str], revision: str) -> bool | None:
    """Whether one of the revisions is ``revision``, or a pattern that matches it. None: a pattern is not understood."""
    unclear = False
    for one in revisions:
        try:
            if matches(one.removeprefix(PATTERN), revision) if one.startswith(PATTERN) else one == revision:
                return True
        except PatternError:
            unclear = True
    return None if unclear else False
