"""What the format of a bundle itself states about the appliance: parts of rules 14 and 20 of the list in rules.py.

These statements only restrict. An update is allowed only by a matrix.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import VersionError
from bundlekit.matrix.hardware import is_listed, possible, unknown_facts
from bundlekit.model.decision import ComponentDecision
from bundlekit.versions import quoted, scheme_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import DecisionKind
    from bundlekit.model.release import Demand, HardwareList, Terms
    from bundlekit.versions import Version


MAX_REVISIONS: Final = 8
"""Hardware revisions that a message names."""

OTHER_MODEL: Final = "Get a release for this hardware, or correct `model` in the appliance state."
OTHER: Final = "Get a release for this appliance, or update what it requires first."

_NUMBERS: Final = re.compile(r"([0-9.]*)(.*)", re.DOTALL)


class TermsFault(NamedTuple):
    """A demand that is not met, or that cannot be decided: the kind of decision, the message and the next step."""

    kind: DecisionKind
    message: str
    next: str


def bad_source(terms: Terms, version: str) -> TermsFault | None:
    """The fault if the bundle names the versions that it can be installed on, and ``version`` is none of them."""
    for demand in terms.demands:
        if demand.on == "version" and version not in (demand.one_of or ()):
            named = _listed(demand.one_of or ())
            message = f"The bundle itself names the versions from which it can be installed. {version} is none of them."
            return TermsFault("unsupported-source", message, f"Update to {named} first.")
    return None


def unmet_demands(terms: Terms, appliance: Appliance) -> Iterator[TermsFault]:
    """The faults of all other demands."""
    for demand in terms.demands:
        if demand.on == "provides":
            yield from _unprovided(demand, appliance.provides)
        elif demand.on == "fact":
            yield from _unmet_fact(demand, appliance.facts.get(demand.key))
    if terms.hardware:
        yield from _other_hardware(terms.hardware, appliance)


def open_limits(terms: Terms, appliance: Appliance) -> Iterator[str]:
    """The limits of devices that the state does not give. They are left open."""
    for demand in terms.demands:
        if demand.own_limit and demand.key not in appliance.facts:
            yield _own_limit(demand)


def beyond_version(terms: Terms) -> Iterator[str]:
    """The demands that cannot be evaluated for a version alone."""
    for demand in terms.demands:
        if demand.on != "version":
            yield _own_limit(demand) if demand.own_limit else f"the demand on {demand.key} that the bundle states"
    if terms.hardware:
        yield "the hardware revisions that the bundle is for"


def provided_after(terms: Terms, provides: dict[str, str] | None) -> dict[str, str] | None:
    """What the appliance provides after the update; None if that is unknown."""
    if terms.clears is None:
        return dict(terms.provides)
    if provides is None:
        return None
    cleared = [re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL) for pattern in terms.clears]
    kept = {key: value for key, value in provides.items() if not any(one.fullmatch(key) for one in cleared)}
    return kept | terms.provides


def certain_decisions(terms: Terms, version: str, appliance: Appliance | None) -> Iterator[ComponentDecision]:
    """The decisions that follow from the bundle without any matrix.

    They are about ``version``, or about each member of ``appliance``.
    """
    installed = {version: version} if appliance is None else {k: m.version for k, m in appliance.members.items()}
    for subject, text in installed.items():
        if fault := bad_source(terms, text):
            yield _decided(fault, subject, text)
    for fault in () if appliance is None else unmet_demands(terms, appliance):
        yield _decided(fault, version, "")


def _decided(fault: TermsFault, subject: str, installed: str) -> ComponentDecision:
    return ComponentDecision(
        subject=subject, kind=fault.kind, message=fault.message, next=fault.next, installed=installed
    )


def _unprovided(demand: Demand, provides: dict[str, str] | None) -> Iterator[TermsFault]:
    key, values = demand.key, _listed(demand.one_of or ())
    wanted = f"The bundle requires an appliance that provides {key} as {values}"
    if provides is None:
        step = f'Give everything that the appliance provides in its state, such as "provides": {{"{key}": …}}.'
        yield TermsFault("undecided", f"{wanted}, and what it provides is unknown.", step)
    elif (have := provides.get(key)) not in (demand.one_of or ()):
        found = "does not provide it" if have is None else f"provides {quoted(have)}"
        yield TermsFault(
            "requirement-not-met",
            f"{wanted}, but it {found}.",
            f"First install an artifact that provides {key} as {values}, or correct `provides` in the state.",
        )


def _unmet_fact(demand: Demand, given: object) -> Iterator[TermsFault]:
    key, wanted, example = demand.key, _wanted(demand), demand.at_least or demand.at_most
    if given is None:
        if not demand.own_limit:
            step = f'Give the fact in the appliance state, such as "facts": {{"{key}": "{example}"}}.'
            yield TermsFault("undecided", f"{wanted}, and that is not known.", step)
        return
    met = _in_range(demand, given) if isinstance(given, str) else None
    if met is None:
        have = quoted(given) if isinstance(given, str) else "not text"
        step = f'Write {key} in `facts` of the appliance state as a version in quotes, such as "{example}".'
        yield TermsFault("undecided", f"{wanted}, and the value that was given, {have}, cannot be compared.", step)
    elif not met:
        side = "most" if demand.at_least else "least"
        step = f"Get a release with at {side} the version {given}." if demand.own_limit else OTHER
        yield TermsFault("requirement-not-met", f"{wanted}, but it is {given}.", step)


def _other_hardware(lists: tuple[HardwareList, ...], appliance: Appliance) -> Iterator[TermsFault]:
    """The fault if the model of the appliance is not, or not surely, a hardware revision that the bundle is for."""
    answer = is_listed(lists, appliance)
    named = list(dict.fromkeys(one for each in possible(lists, appliance) or lists for one in each.revisions))
    wanted = f"The bundle is for the hardware revisions {', '.join(named[:MAX_REVISIONS]) or '(none)'}"
    if answer is False or (answer is None and not possible(lists, appliance)):
        yield TermsFault("requirement-not-met", f"{wanted}, but the model is {quoted(appliance.model)}.", OTHER_MODEL)
    elif answer is None:
        missing = unknown_facts(lists, appliance)
        why = (
            "which of them count for this device is not known" if missing else "a pattern among them is not understood"
        )
        step = f"Give {', '.join(missing)} in `facts` of the appliance state." if missing else OTHER_MODEL
        yield TermsFault("undecided", f"{wanted}, and {why}. The model is {quoted(appliance.model)}.", step)


def _wanted(demand: Demand) -> str:
    """What is demanded, as the beginning of a sentence."""
    if demand.own_limit:
        limit = demand.at_most or demand.at_least
        side = "below" if demand.at_least else "above"
        has = f"the version {limit}" if limit else "no version"
        return f"The bundle has {has}, and {demand.key} of the appliance must not be {side} it"
    parts = [f"at least {demand.at_least}"] if demand.at_least else []
    parts += [f"at most {demand.at_most}"] if demand.at_most else []
    return f"The bundle requires that {demand.key} is {' and '.join(parts)}"


def _in_range(demand: Demand, given: str) -> bool | None:
    """Whether a version is in the range of a demand; None if no scheme can compare them."""
    if not (demand.at_least or demand.at_most):
        return None
    for parse in (_semver, scheme_named("dotted").parse):
        try:
            have = parse(given)
            low = not demand.at_least or parse(demand.at_least) <= have
            return low and (not demand.at_most or have <= parse(demand.at_most))
        except VersionError:
            continue
    return None


def _semver(text: str) -> Version:
    """A version as most devices compare it: up to three numbers, and missing ones are zero. Raises VersionError."""
    numbers, rest = _NUMBERS.match(text.removeprefix("v")).groups("")  # type: ignore[union-attr]  # it matches any text
    missing = 2 - numbers.count(".") if numbers else 0
    return scheme_named("semver").parse(numbers + missing * ".0" + rest)


def _own_limit(demand: Demand) -> str:
    return f"whether the appliance has a limit {demand.key}"


def _listed(values: tuple[str, ...]) -> str:
    return " or ".join(values) or "a value that no appliance has"
