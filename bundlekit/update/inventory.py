"""What a pair reports about itself, through hooks that change nothing: ``describe`` and ``probe``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from bundlekit import config
from bundlekit._version import __version__
from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.files import whole_file
from bundlekit.model.appliance import STATE_SCHEMA, Appliance, InstalledComponent
from bundlekit.report import json as as_json
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.hooks import Hooks, Request, call, printable
from bundlekit.update.engine.job import Job, Target
from bundlekit.update.engine.plan import Plan, Verb
from bundlekit.update.engine.records import Answer
from bundlekit.wording import given


def described(job: Job, hooks: Hooks, clock: Clock) -> dict[str, Answer]:
    """What each component of ``job`` reports about itself now, by step."""
    return {step: _ask(hooks, clock, job.plan, "describe", job.pair, step, target, job.bundle_id)
            for step, target in job.targets.items()}  # fmt: skip


def as_found(job: Job, answers: Mapping[str, Answer]) -> Job:
    """``job`` for the pair as it describes itself now. Without a reported version, that of the job stays."""
    targets = {step: replace(target, old=answers[step].version or target.old) for step, target in job.targets.items()}
    counters = {answer.counter for answer in answers.values()}
    counter = counters.pop() if len(counters) == 1 else None
    return replace(job, targets=targets, counter_before=counter)


def observe(
    plan: Plan,
    hooks: Hooks,
    clock: Clock,
    *,
    pair: str,
    product: str,
    model: str,
    before: Appliance | None = None,
    includes: Sequence[str] | None = None,
    at: str,
) -> Appliance:
    """The state of the pair, for STATE.json, as the hooks describe and probe it at ``at`` (RFC 3339).

    Release date and build come from the hooks, or for an unchanged version from ``before``. Trusted keys are kept from
    ``before``, and so are fixes unless ``includes`` names them. Facts come from the hooks alone, because old ones can
    be false now. Raises BundlekitError if a component cannot report what it is. Raises ConfigError if a value does not
    fit into a state, or if a component reports another product or model.
    """
    members: dict[str, dict[str, object]] = {}
    components: dict[str, dict[str, object]] = {}
    facts: dict[str, str] = {}
    holds: list[str] = []
    counters: list[int] = []
    for name in plan.order:
        step = plan.steps[name]
        answer, target = _found(plan, name, hooks, clock, pair, before)
        if answer.kind != "ok" or not answer.version or (step.member and not answer.identity):
            raise BundlekitError(
                f"{name} cannot be described: {answer.reason or answer.kind}.",
                next_step="Check the component and its describe hook, then read the state again.",
            )
        _agree(name, answer, product=product, model=model)
        seen = _ask(hooks, clock, plan, "probe", pair, name, replace(target, old=answer.version))
        holds += [seen.hold] if seen.hold else []
        counters += [answer.counter] if answer.counter is not None else []
        facts |= {key: printable(value) for key, value in answer.facts.items()}
        if step.member:
            member = before.members.get(answer.identity or "") if before else None
            members[str(answer.identity)] = _installed(answer, member) | {
                "role": answer.role or step.member, "free": answer.free
            }  # fmt: skip
        else:
            shared = before.components.get(step.component) if before else None
            components[step.component] = _installed(answer, shared) | {"free": answer.free}
    state: dict[str, object] = {
        "schema": STATE_SCHEMA,
        "pair": pair,
        "product": product,
        "model": model,
        "observed": {"at": at, "by": "bundlekit update state"},
        "members": members,
        "components": components,
        "facts": facts,
        "hold": holds[0] if holds else None,
        "counter": max(counters, default=None),
        "tool": __version__,  # the program that describes the pair also updates it
    }
    if before is not None:
        state |= {"includes": before.includes, "trusts": before.trusts}
    if includes is not None:
        state["includes"] = tuple(includes)
    return config.convert(state, Appliance, where="what the hooks report")


def save_appliance(appliance: Appliance, path: str | Path) -> None:
    """Write the state of a pair to ``path``, as ``load_appliance`` reads it. The file is whole at any moment.

    ``appliance`` is the state, for example from ``Controller.state``. Raises BundlekitError if the file cannot be
    written.
    """
    with whole_file(Path(path)) as file:
        file.write(f"{as_json.render(appliance, indent=2)}\n".encode())


def utc(wall: float) -> str:
    """A wall time, in seconds since 1970, as a state contains it (RFC 3339)."""
    return dt.datetime.fromtimestamp(int(wall), dt.UTC).isoformat().replace("+00:00", "Z")


def _agree(step: str, answer: Answer, **expected: str) -> None:
    """ConfigError if the component is of another product or model than given: bundles are chosen by these."""
    for what, word in expected.items():
        reported = getattr(answer, what)
        if reported is not None and reported != word:
            raise ConfigError(
                f"The new state would contain {what} {word}, but {step} itself reports {reported}.",
                next_step=f"If the pair is right, give {given(what, reported)}. Otherwise check which pair this is.",
            )


def _found(
    plan: Plan, name: str, hooks: Hooks, clock: Clock, pair: str, before: Appliance | None
) -> tuple[Answer, Target]:
    """The report of a step's component about itself: of the member with the role now, or of the one before."""
    target = unknown_target(plan, name, pair)
    answer = _ask(hooks, clock, plan, "describe", pair, name, target)
    role = plan.steps[name].member
    for serial, member in before.members.items() if before and role and answer.kind != "ok" else ():
        if member.role == role:
            target = replace(target, identity=serial)
            answer = _ask(hooks, clock, plan, "describe", pair, name, target)
    return answer, target


def _installed(answer: Answer, known: InstalledComponent | None) -> dict[str, object]:
    """Version, build and release date; of another build than before, the older state has no date."""
    found: dict[str, object] = {"version": answer.version, "build": answer.build, "released": answer.released}
    if known is None or known.version != answer.version or answer.build not in (None, known.build):
        return found
    return found | {"build": known.build, "released": answer.released or known.released}


def unknown_target(plan: Plan, name: str, pair: str) -> Target:
    """The target of a step of which only the place in the plan is known. The role selects the current member."""
    step = plan.steps[name]
    return Target(
        component=step.component,
        label=step.component,
        identity=step.member or pair,
        role=step.member or "shared",
        old="unknown",
        new="unknown",
        size=0,
        digest="sha256:" + "0" * 64,
    )


def _ask(
    hooks: Hooks, clock: Clock, plan: Plan, verb: Verb, pair: str, step: str, target: Target, bundle_id: str = ""
) -> Answer:
    request = Request(
        verb=verb,
        pair=pair,
        step=step,
        run="",
        fence=0,
        attempt=1,
        deadline=plan.deadline(verb),
        bundle_id=bundle_id,
        target=target,
    )
    return call(hooks, request, clock)
