"""The plan as a file, and the plan bound to a pair and a bundle."""

import tomllib

import jsonschema
import msgspec
import pytest

from bundlekit.errors import ConfigError
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.appliance import Appliance, InstalledComponent, Member
from bundlekit.model.manifest import Component, FormatVersion, Image, Manifest
from bundlekit.schemas import schema as published
from bundlekit.update.bind import bind
from bundlekit.update.engine.plan import ON_MEMBERS, PAIR, Group, Plan, Step, load_plan, problems

EXAMPLE = """
plan = 1
name = "imager pair, active first"
[steps]
storage = { component = "storage", hook = ["/opt/imager/hook"] }
active  = { component = "appliance", member = "active", hook = ["/opt/imager/hook"] }
standby = { component = "appliance", member = "standby", hook = ["/opt/imager/hook"] }
[[groups]]
steps = ["storage", "active"]
on-failure.storage = { revert = ["active", "storage"], hold = true }
on-failure.active  = { revert = ["active"], keep = ["storage"], if-incompatible = "revert" }
[[groups]]
steps = ["standby"]
on-failure.standby = { recovery = "repair" }
[gates.ha-formed]
after = ["success", "revert"]
poll = "30 s"
expect = ["45 min", "60 min"]
deadline = "90 min"
[deadlines]
apply = "90 min"
revert = "90 min"
[messages]
degraded = "Data is served by one appliance. Leave it running. Call support, send the support bundle."
"""


def written(tmp_path, text):
    path = tmp_path / "PLAN.toml"
    path.write_text(text)
    return path


def test_the_example_reads_as_the_built_in_pair(tmp_path):
    plan = load_plan(written(tmp_path, EXAMPLE))
    assert plan.groups == PAIR.groups
    assert plan.gates == PAIR.gates
    assert plan.deadlines == PAIR.deadlines
    assert plan.order == ("storage", "active", "standby")
    assert plan.deadline("apply") == 5400


def test_the_schema_is_valid_and_accepts_the_example():
    schema = published("plan")
    jsonschema.Draft202012Validator.check_schema(schema)
    document = tomllib.loads(EXAMPLE)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError, match="'plan' is a required property"):
        jsonschema.validate({key: value for key, value in document.items() if key != "plan"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"grups": []}, schema)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'standby = { component = "appliance"',
            'standby = { component = "firmware"',
            "step 'standby' has a member and the component 'firmware', but members run 'appliance'",
        ),
        (
            'storage = { component = "storage"',
            'storage = { component = "appliance"',
            "step 'storage' updates 'appliance', which runs on each member; give it a member",
        ),
        ("deadline =", "dedline =", "did you mean 'deadline'?"),
        ('poll = "30 s"', 'poll = "soon"', "poll"),
        ("plan = 1", "plan = 2", "has plan = 2; a plan begins with plan = 1"),
        ("plan = 1", "plan = true", "plan"),
        ("plan = 1\n", "", "has no 'plan' key; a plan begins with plan = 1"),
        ('steps = ["standby"]', 'steps = ["spare"]', "'spare' is not among [steps]"),
        ('steps = ["storage", "active"]', 'steps = ["storage"]', "step 'active' is in no group"),
        ('steps = ["standby"]', 'steps = ["standby", "active"]', "step 'active' is in two groups"),
        ("on-failure.storage =", "on-failure.standby =", "'standby', which is not in its group"),
        ("on-failure.standby =", "on-failure.active =", "'active', which is not in its group"),
        ('standby = { recovery = "repair" }', "standby = { hold = true }", "can have recovery only"),
        ('standby = { recovery = "repair" }', 'standby = { revert = ["standby"] }', "nothing is reverted"),
        ('standby = { recovery = "repair" }', 'standby = { keep = ["standby"] }', "nothing is reverted"),
        ('revert = ["active"], keep', "keep", "has to revert it"),
        (', keep = ["storage"]', "", "does not mention 'storage'"),
        ('keep = ["storage"]', 'keep = ["storage", "active"]', "names a step twice"),
        ('keep = ["storage"]', 'keep = ["standby"]', "'standby', which is not in its group"),
        ('deadline = "90 min"\n[dead', 'deadline = "50 min"\n[dead', "expect[1] <= deadline"),
        ('poll = "30 s"', 'poll = "95 min"', "poll <= deadline"),
        (
            "[gates.ha-formed]",
            "[gates.standby]",
            "gate 'standby' has the name of a step, so it would use the hook of that step",
        ),
        (
            'member = "active", hook = ["/opt/imager/hook"]',
            'member = "active", hook = []',
            "steps.active has hook = []",
        ),
        ("[gates.ha-formed]", "[gates.ha-formed]\nhook = []", "gates.ha-formed has hook = []"),
        (
            'member = "active", hook = ["/opt/imager/hook"]',
            'member = "active", handover = "pipe"',
            "steps.active has a handover and no hook",
        ),
        (
            'member = "standby"',
            'member = "active"',
            "steps 'active' and 'standby' both update 'appliance' on the active",
        ),
        ('{ component = "appliance", member = "active"', '{ component = "storage"', "both update the shared 'storage'"),
        ('revert = ["active"]', 'revert = ["active", "storge"]', "'storge', which is not in its group; did you mean"),
        ('"/opt/imager/hook"] }\nactive', '"/opt/{pair}/hook"] }\nactive', "has {pair} in the program's name"),
        ('"/opt/imager/hook"] }\nactive', '"/opt/imager/hook", "{serial}"] }\nactive', "has {serial} in word 2"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused_by_name(tmp_path, old, new, message):
    assert old in EXAMPLE
    with pytest.raises(ConfigError) as refused:
        load_plan(written(tmp_path, EXAMPLE.replace(old, new, 1)))
    assert message in refused.value.message
    assert "PLAN.toml" in refused.value.message


def test_a_step_without_policy_is_refused():
    bare = msgspec.structs.replace(PAIR.groups[0], on_failure={})
    text = problems(msgspec.structs.replace(PAIR, groups=(bare, PAIR.groups[1])))
    assert len(text) == 2
    assert all("the result of its failure is undefined" in problem for problem in text)


DIGEST = "sha256:" + "a" * 64


def image(size, models=()):
    return Image(size=size, digest=DIGEST, index=DIGEST, models=models)


MANIFEST = Manifest(
    format=FormatVersion(major=1, minor=0),
    kind="release",
    product="imager",
    models=("im-100", "im-200"),
    version="5.40.00",
    scheme="dotted",
    released="2026-11-23",
    counter=7,
    components=(
        Component(name="storage", version="3.4.0", images=(image(10),)),
        Component(
            name="appliance",
            version="5.40.00",
            images=(image(20, ("im-100",)), image(30, ("im-200",))),
        ),
    ),
)

STATE = Appliance(
    schema="bundlekit/state/1",
    pair="imager-0042",
    product="imager",
    model="im-200",
    members={
        "CZ3001": Member(role="active", version="5.20.03"),
        "CZ3002": Member(role="standby", version="5.20.03"),
    },
    components={"storage": InstalledComponent(version="3.2.1")},
    counter=6,
)


class Bundle:
    bundle_id = "b" * 64
    path = "update.bin"

    def __init__(self, manifest=MANIFEST):
        self.manifest = manifest

    def stage(self, label):
        raise AssertionError(label)

    def chunks(self, label):
        raise AssertionError(label)


def bound(plan=PAIR, manifest=MANIFEST, state=STATE, answer=True):
    return bind(plan, Bundle(manifest), state, works_together=lambda _versions: answer)


def test_a_job_names_members_by_identity_and_images_by_model():
    job = bound()
    assert {name: (t.identity, t.role, t.label, t.old, t.new, t.size) for name, t in job.targets.items()} == {
        "storage": ("imager-0042", "shared", "storage", "3.2.1", "3.4.0", 10),
        "active": ("CZ3001", "active", "appliance/im-200", "5.20.03", "5.40.00", 30),
        "standby": ("CZ3002", "standby", "appliance/im-200", "5.20.03", "5.40.00", 30),
    }
    assert (job.counter, job.counter_before, job.bundle_id) == (7, 6, "b" * 64)


def test_the_matrix_is_asked_for_the_state_that_a_failure_would_leave():
    asked = []
    job = bind(PAIR, Bundle(), STATE, works_together=lambda versions: asked.append(dict(versions)) or False)
    assert asked == [{"appliance": "5.20.03", "storage": "3.4.0"}]
    assert job.incompatible == {"active": ("storage",)}
    assert bound().incompatible == {}


def test_a_component_that_the_bundle_does_not_carry_stays():
    manifest = msgspec.structs.replace(MANIFEST, components=MANIFEST.components[1:])
    job = bound(manifest=manifest)
    assert list(job.targets) == ["active", "standby"]
    assert job.groups() == (("active",), ("standby",))


def without(*names, plan=PAIR):
    """The plan without some of its steps."""

    def policy(found):
        keep, revert = ([step for step in steps if step not in names] for steps in (found.keep, found.revert))
        return msgspec.structs.replace(found, keep=tuple(keep), revert=tuple(revert))

    groups = []
    for group in plan.groups:
        steps = tuple(step for step in group.steps if step not in names)
        if steps:
            groups.append(Group(steps=steps, on_failure={step: policy(group.on_failure[step]) for step in steps}))
    kept = {name: step for name, step in plan.steps.items() if name not in names}
    return msgspec.structs.replace(plan, steps=kept, groups=tuple(groups))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("storage", "no step for storage 3.4.0, which the bundle contains: the pair has 3.2.1."),
        ("active", "no step for appliance 5.40.00, which the bundle contains, on the active: CZ3001 has 5.20.03."),
        ("standby", "no step for appliance 5.40.00, which the bundle contains, on the standby: CZ3002 has 5.20.03."),
    ],
)
def test_a_plan_that_leaves_out_what_the_bundle_brings_is_refused(step, message):
    with pytest.raises(ConfigError) as refused:
        bound(without(step))
    assert message in refused.value.message
    assert refused.value.next_step


def test_what_the_pair_has_already_needs_no_step():
    state = msgspec.structs.replace(STATE, components={"storage": InstalledComponent(version="3.4.0")})
    assert list(bound(without("storage"), state=state).targets) == ["active", "standby"]
    members = STATE.members | {"CZ3002": Member(role="standby", version="5.40.00")}
    state = msgspec.structs.replace(STATE, members=members)
    assert list(bound(without("standby"), state=state).targets) == ["storage", "active"]


def test_what_the_state_does_not_know_is_not_taken_for_installed():
    with pytest.raises(ConfigError, match="the pair has no version of it that is known"):
        bound(without("storage"), state=msgspec.structs.replace(STATE, components={}))


@pytest.mark.parametrize("carried", ["storage and appliance", "appliance"])
def test_a_step_for_a_component_that_nobody_has_is_refused(carried):
    steps = PAIR.steps | {"storage": Step(component="storag")}
    components = MANIFEST.components if carried != "appliance" else MANIFEST.components[1:]
    with pytest.raises(ConfigError) as refused:
        bound(msgspec.structs.replace(PAIR, steps=steps), msgspec.structs.replace(MANIFEST, components=components))
    assert "updates 'storag', which neither the bundle carries nor the pair has; did you mean 'storage'?" in str(
        refused.value.message
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": {}}, "does not contain the installed version of 'storage'"),
        ({"members": {"CZ3001": Member(role="active", version="5.20.03")}}, "names 0 of that role"),
        ({"members": {s: Member(role="active", version="5") for s in ("A", "B")}}, "names 2 of that role"),
        ({"model": "im-900"}, "no image of 'appliance' for model im-900"),
    ],
    ids=["version-unknown", "no-standby", "two-actives", "other-model"],
)
def test_what_the_state_does_not_say_is_not_updated(changes, message):
    with pytest.raises(ConfigError) as refused:
        bound(state=msgspec.structs.replace(STATE, **changes))
    assert message in refused.value.message
    assert refused.value.next_step


def test_a_bundle_with_nothing_for_the_plan_is_refused():
    other = msgspec.structs.replace(MANIFEST.components[0], name="firmware")
    with pytest.raises(ConfigError, match="none of the components"):
        bound(manifest=msgspec.structs.replace(MANIFEST, components=(other,)))


def test_a_plan_made_in_code_is_checked_too():
    with pytest.raises(ConfigError, match="is in no group"):
        bound(plan=Plan(name="x", steps=PAIR.steps, groups=PAIR.groups[:1]))


def test_the_component_of_the_members_has_one_name():
    assert ON_MEMBERS == APPLIANCE
