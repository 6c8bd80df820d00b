"""Advice that is followed changes the decision: each next step of each refusal is applied, and decided again.

A step is recognised by its sentence. A sentence that no step recognises fails the test, so new advice comes with its
meaning.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bundlekit.matrix import decide, decide_from
from bundlekit.matrix.shipped import BundleSignatures
from bundlekit.model.appliance import Appliance
from bundlekit.model.decision import CAUSES, Acceptance, Policy
from bundlekit.model.manifest import Manifest, Requirements
from bundlekit.model.matrix import MatrixSource
from bundlekit.model.primitives import Frozen
from tests.matrix.test_any_matrix import FILES
from tests.matrix.test_decide import ABOUT_A_PAIR, FROM_VERSION, RISK, STOP_FOR_OLD
from tests.matrix.world import component, manifest, state


class Question(Frozen, frozen=True, kw_only=True):
    """All that a decision is made from: a bundle, and a pair, or else a version."""

    bundle: Manifest
    pair: Appliance | None = None
    version: str = ""
    model: str | None = None
    policy: Policy = Policy()
    signers: tuple[str, ...] = ("release-2019",)

    def decided(self):
        released = self.bundle.released
        signed = BundleSignatures(self.signers, "2026-12-01T00:00:00Z", product=self.bundle.product, released=released)
        known: dict[str, Any] = {"signers": self.signers, "signatures": signed}
        if self.pair is not None:
            return decide(self.bundle, self.pair, self.policy, **known)
        return decide_from(self.bundle, self.version, self.policy, model=self.model, **known)


def with_bundle(question, **fields):
    return replace(question, bundle=replace(question.bundle, **fields))


def with_matrix(question, **fields):
    return with_bundle(question, matrix=replace(question.bundle.matrix, **fields))


def with_pair(question, **fields):
    return replace(question, pair=replace(question.pair, **fields))


def with_members(question, **fields):
    return with_pair(question, members={name: replace(one, **fields) for name, one in question.pair.members.items()})


def with_version(question, version, component="appliance"):
    """The installed version is another one."""
    if question.pair is None:
        return replace(question, version=version)
    if component == "appliance":
        return with_members(question, version=version)
    parts = question.pair.components
    return with_pair(question, components=parts | {component: replace(parts[component], version=version)})


def of_version(question, version):
    """A bundle of another version."""
    parts = question.bundle.components
    parts = tuple(replace(one, version=version) if one.name == "appliance" else one for one in parts)
    return with_bundle(question, version=version, components=parts, build=None)


def without(question, entry):
    """A release that the entry is not about."""
    matrix = question.bundle.matrix
    kinds = ("sources", "stops", "blocks", "withdrawn", "risks", "dead_ends")
    return with_matrix(
        question, **{kind: tuple(one for one in getattr(matrix, kind) if one.id != entry) for kind in kinds}
    )


def with_source(question, component_decision):
    """A bundle that names the installed version as a source."""
    matrix = question.bundle.matrix
    added = MatrixSource(id="added", versions=component_decision.installed, unlisted=not matrix.releases)
    listed = dict.fromkeys((*matrix.releases, component_decision.installed)) if matrix.releases else ()
    return with_matrix(question, sources=(added, *matrix.sources), releases=tuple(listed))


def with_facts(question, component_decision, fact, value):
    return with_pair(question, facts=question.pair.facts | {fact: value})


def allowing(question, name):
    return replace(question, policy=replace(question.policy, **{name.replace("-", "_"): True}))


def accepting(question, risk):
    return replace(question, policy=replace(question.policy, accepted_risks=(Acceptance(risk=risk),)))


def reimaged(question, version):
    """Re-imaging with a bundle leads to its version, and to no hold, fix or counter of before."""
    return with_version(question, version)


def with_free(question, component_decision, place, size, serial):
    members = question.pair.members
    return with_pair(question, members=members | {serial: replace(members[serial], free={place: size})})


def of_model(question, model, component_decision):
    parts = tuple(
        replace(one, images=tuple(replace(image, models=()) for image in one.images))
        for one in question.bundle.components
    )
    return with_bundle(question, models=(*question.bundle.models, model), components=parts)


def signed_by(question, names):
    return replace(question, signers=(*question.signers, *names))


def trusting(question, component_decision):
    """An installed version that trusts what signs, and what the source asks for."""
    keys = tuple(key for source in question.bundle.matrix.sources for key in source.keys)
    trusted = (*question.signers, *keys)
    question = with_matrix(question, trust_of=(), trusted_keys=())
    return question if question.pair is None else with_pair(question, trusts=trusted)


def works(question):
    return with_matrix(question, works_together=(msgspec.convert({"id": "w", "components": ANY}, WORKS),))


ANY = {"appliance": "*", "storage": "*"}
WORKS = type(manifest().matrix.works_together[0])
VALUES = {"disk.firmware": "7.10", "age": "1 h", "x": "on", "clock": "good", "backup.age": "30 min", "ha.state": "off"}

STEPS: dict[str, Callable[..., Any]] = {
    r"Get a bundle for (?P<it>imager|printer)\.": lambda q, r, it: with_bundle(q, product=it),
    r"Get a bundle for (?P<it>im-?\d+)\.": lambda q, r, it: of_model(q, it, r),
    r"If the appliance is the model (?P<it>\S+), correct `model` in its state": lambda q, r, it: with_pair(q, model=it),
    r"Ask the vendor for a bundle with an image of appliance for (?P<it>\S+)\.": lambda q, r, it: of_model(q, it, r),
    r"Ask the vendor for a bundle that supports (?P<it>[^;]+);": lambda q, r, it: with_source(q, r),
    r"get the update bundle of": lambda q, r: with_bundle(q, kind="release"),
    r"Re-image with 5": lambda q, r: reimaged(q, q.bundle.version),
    r"Re-image with it, ": lambda q, r: with_bundle(reimaged(q, q.bundle.version), kind="release"),
    r"Get a release that has not been withdrawn": lambda q, r: without(q, r.entry),
    r"then clear the hold": lambda q, r: with_pair(q, hold=None),
    r"First resume or cancel that update": lambda q, r: with_pair(q, update=None),
    r"counter of at least (?P<it>\d+)\.": lambda q, r, it: with_bundle(q, counter=int(it)),
    r"Give the counter in": lambda q, r: with_pair(q, counter=q.bundle.counter),
    r"Check the installed version( of storage)?\.": lambda q, r: with_version(
        q, "5.30.02" if (r.component or "appliance") == "appliance" else "3.2.1", r.component or "appliance"
    ),
    r"ask the vendor for a bundle that supports it": with_source,
    r"Use a newer version\.": lambda q, r: of_version(q, "5.60.00"),
    r"give `(?P<it>[a-z_]+)`\.": lambda q, r, it: allowing(q, it),
    r"Use a version newer than (?P<it>\S+)\. ": lambda q, r, it: (
        with_bundle(q, components=(component("storage", "3.9.0"), component("appliance", "5.40.00")))
        if r.component == "storage"
        else of_version(q, "5.60.00")
    ),
    r"To go back to (?P<it>\S+), re-image": lambda q, r, it: with_version(q, it, r.component),
    r"Give the release date of the installed version": lambda q, r: with_members(q, released="2024-01-01"),
    r"Get a bundle that was released after (?P<it>\S+)\.": lambda q, r, it: with_bundle(q, released="2027-01-01"),
    r"[Uu]pdate to (?P<it>[0-9][^ ]+( or [0-9][^ ]+)*) first": lambda q, r, it: [
        with_version(q, one) for one in it.split(" or ")
    ],
    r"Follow the instructions in the reason": lambda q, r: with_version(q, "5.32.01"),
    r"ask the vendor for (a release|one) that is not blocked": lambda q, r: without(q, r.entry),
    r"Use another release, or": lambda q, r: without(q, r.entry),
    r"Ask the vendor for an upgrade path\.": with_source,
    r"Give the trusted keys in": lambda q, r: with_pair(q, trusts=("k27", "release-2019")),
    r"Update first to a release that": trusting,
    r"have the bundle signed with a trusted key": lambda q, r: signed_by(q, r.message.split()[2:3]),
    r"have the bundle signed by (?P<it>.+) as well": lambda q, r, it: [signed_by(q, [one]) for one in it.split(" or ")],
    r"have it signed as that file requires": lambda q, r: replace(q, signers=("a",)),
    r"matrix has a trust file that can be used": lambda q, r: with_matrix(q, trust_of=()),
    r"Update through a release that is compatible with both": lambda q, r: with_version(q, "5.32.00"),
    r"(Or|or) accept the risk (?P<it>\S+) by name": lambda q, r, it: accepting(q, it),
    r"Remove the risk,": lambda q, r: with_facts(q, r, "disk.firmware", VALUES["disk.firmware"]),
    r"(Give|Write) (the fact )?(?P<it>[a-z]+(\.[a-z]+)?) (in|as) ": lambda q, r, it: with_facts(q, r, it, VALUES[it]),
    r"Give the included fixes": lambda q, r: with_pair(q, includes=()),
    r"Get a release that includes (?P<it>.+)\.": lambda q, r, it: with_bundle(q, includes=("HF-118", *it.split(", "))),
    r"versions that are compatible with both": lambda q, r: with_version(q, "3.2.1", "storage"),
    r"states this in \[\[works-together\]\]": lambda q, r: works(q),
    r"Give the version of storage in": lambda q, r: with_pair(q, components=state().components),
    r"Add the number of free bytes to the appliance state": lambda q, r: with_members(
        q, free={"storage": 2**50, "logs": 2**50}
    ),
    r"Free (?P<size>\d+) GiB more for (?P<place>\S+) on (?P<serial>\S+)\.": lambda q, r, size, place, serial: with_free(
        q, r, place, q.bundle.requirements.free[place], serial
    ),
    r"Meet this condition, then": lambda q, r: with_facts(q, r, "backup.age", VALUES["backup.age"]),
    r"Give the version of the tool": lambda q, r: with_pair(q, tool="9"),
    r"Update the tool to (?P<it>\S+) first": lambda q, r, it: with_pair(q, tool=it),
    r"with a readable matrix": lambda q, r: without(q, r.entry),
}


def requires(**fields) -> dict[str, Any]:
    return {"requirements": msgspec.convert(fields, Requirements)}


def ships(count, *names):
    listed = ", ".join(f'"{name}"' for name in names)
    anchors = {"a": "root.pem", "b": "stranger-root.pem"}
    signers = "".join(f'[signers.{one}]\nrole = "production"\nanchor = "{anchors[one]}"\n' for one in names)
    head = 'trust = 1\nname = "t"\nallow-test-keys = true\n'
    file = f"{head}{signers}[[require]]\ncount = {count}\nof = [{listed}]\n"
    return {"file": file, "files": {one.name: one.text for one in FILES}}


KEYS = {"trusted-keys": {"5.20.00": ["k19"]}, "from": [{"id": "r", "versions": "*"}]}
MORE: dict[str, Question] = {
    "a block without a reason": Question(
        bundle=manifest({"block": [{"id": "b", "versions": "5.30.02"}]}), version="5.30.02"
    ),
    "a block, and a stop round it": Question(
        bundle=manifest(
            {
                "block": [{"id": "b", "versions": "5.30.02"}],
                "stop": [{"id": "s", "versions": "5.30.02", "via": "5.32.00"}],
            }
        ),
        version="5.30.02",
    ),
    "a source for another model": Question(
        bundle=manifest({"from": [{"id": "one", "versions": "*", "models": ["im-100"]}]}), pair=state()
    ),
    "a model, misspelt": Question(bundle=manifest(), pair=state(model="im200")),
    "signed by a stranger": Question(bundle=manifest(KEYS), version="5.30.02", signers=("k27",)),
    "signed by one of two": Question(
        bundle=manifest({"trust-of": {"5.20.00": ships(2, "a", "b")}}), version="5.30.02", signers=("a",)
    ),
    "signed by nobody that is known": Question(
        bundle=manifest({"trust-of": {"5.20.00": ships(1, "a")}}), version="5.30.02", signers=("z",)
    ),
    "a trust file that cannot be used": Question(
        bundle=manifest({"trust-of": {"5.20.00": ships(1, "a") | {"file": "x"}}}), pair=state(trusts=None)
    ),
    "a stop for an unreadable fact": Question(bundle=manifest(STOP_FOR_OLD), pair=state(facts={"age": 3})),
    "a stop for a fact that is not known": Question(bundle=manifest(STOP_FOR_OLD), pair=state(facts={})),
    "a risk that was accepted otherwise": Question(
        bundle=manifest(RISK),
        pair=state(),
        policy=Policy(accepted_risks=(Acceptance(risk="OldDisk", digest="sha256:" + 64 * "0"),)),
    ),
    "space that is not known": Question(bundle=manifest(**requires(free={"logs": 1})), pair=state()),
    "no space": Question(bundle=manifest(**requires(free={"storage": 2**40})), pair=state()),
    "an old tool": Question(bundle=manifest(**requires(tool="2.0")), pair=state()),
    "an unknown tool": Question(bundle=manifest(**requires(tool="2.0")), pair=state(tool=None)),
    "a fact that is not met": Question(
        bundle=manifest(**requires(facts=[{"fact": "backup.age", "test": "below", "value": "1 h"}])), pair=state()
    ),
    "a fact that is not known": Question(
        bundle=manifest(**requires(facts=[{"fact": "clock", "test": "is", "value": "good"}])), pair=state()
    ),
}


def of_a_pair(matrix, fields, pair, _expected):
    return Question(bundle=manifest(matrix, **fields), pair=state(**pair))


ROWS: dict[str, Question] = {
    **{f"version: {name}": Question(bundle=manifest(m), version=v) for name, (v, m, _) in FROM_VERSION.items()},
    **{f"pair: {name}": of_a_pair(*row) for name, row in ABOUT_A_PAIR.items()},
    **MORE,
}


def steps(question, component_decision):
    """Each question that comes of following one step of a component decision's advice."""
    for sentence, follow in STEPS.items():
        for found in re.finditer(sentence, component_decision.next):
            after = follow(question, component_decision, **found.groupdict())
            yield from ((sentence, one) for one in (after if isinstance(after, list) else [after]))


@pytest.mark.parametrize("question", ROWS.values(), ids=ROWS)
def test_advice_that_is_followed_changes_the_decision(question):
    for component_decision in question.decided().component_decisions:
        if component_decision.allowed:
            continue
        followed = list(steps(question, component_decision))
        assert followed, f"no step is recognised in: {component_decision.next}"
        for sentence, after in followed:
            left = [
                (one.subject, one.kind, one.message) for one in after.decided().component_decisions if not one.allowed
            ]
            assert (component_decision.subject, component_decision.kind, component_decision.message) not in left, (
                sentence
            )


def test_every_decision_that_is_no_yes_and_every_step_is_tried():
    component_decisions = [
        (question, one)
        for question in ROWS.values()
        for one in question.decided().component_decisions
        if not one.allowed
    ]
    assert {one.kind for _, one in component_decisions} == set(CAUSES) - {
        "upgrade",
        "already-installed",
        "not-included",
    }
    assert {sentence for question, one in component_decisions for sentence, _ in steps(question, one)} == set(STEPS)
