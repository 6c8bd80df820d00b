"""The lint of a large matrix: as much work as there are releases and entries, and the findings of the plain definition.

The plain definition is here: every entry is compared with every version, every state is followed step by step.
"""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundlekit.errors import VersionError
from bundlekit.matrix.compatibility import partners, work_together
from bundlekit.matrix.decide import decide, decide_from
from bundlekit.matrix.lint import lint
from bundlekit.matrix.lint.context import LintContext
from bundlekit.matrix.masks import places
from bundlekit.matrix.read import APPLIANCE, ReadMatrix, read_matrix
from bundlekit.matrix.routes import RouteState
from bundlekit.matrix.shipped import UNKNOWN
from bundlekit.model.appliance import Appliance, InstalledComponent, Member
from bundlekit.model.matrix import MatrixSource
from tests.counting import assert_grows_no_faster
from tests.matrix.test_any_matrix import BY, MANIFESTS, SEALED, Author
from tests.matrix.world import component, manifest

OWN = {"dotted": "3.2", "pep440": "3.1", "semver": "3.1.0", "declared": "3.1"}


def on_the_way(chance, target):
    """Another release of the product, older than ``target``."""
    author = Author(chance)
    author.scheme, author.careful = target.scheme, True
    other, own = author.manifest(), OWN[target.scheme]
    if chance.random() < 0.5:  # nothing but the signatures stands in its way
        wide = (MatrixSource(id="all", versions="*", unlisted=True),)
        open_ = {"sources": wide, "blocks": (), "stops": (), "dead_ends": (), "withdrawn": (), "skews": ()}
        other = msgspec.structs.replace(other, kind="release", matrix=msgspec.structs.replace(other.matrix, **open_))
    return msgspec.structs.replace(
        other,
        version=own,
        components=tuple(
            msgspec.structs.replace(one, version=own) if one.version == other.version else one
            for one in other.components
        ),
    )


def grounds(target, chance, others):
    """What the rules of the lint look at, if the generated manifests can be read and belong together."""
    read = read_matrix(target)
    if not isinstance(read, ReadMatrix):
        return None
    reads = (read_matrix(on_the_way(chance, target)) for _ in range(8 * others))
    fitting = [one for one in reads if isinstance(one, ReadMatrix) and one.primary_component == read.primary_component][
        :others
    ]
    signed = {id(one): chance.choice([UNKNOWN, BY, BY, SEALED]) for one in fitting}
    return LintContext(read, fitting, signers=None, signatures=None, supported=None, ended=frozenset(), signed=signed)


GROUNDS = st.builds(grounds, MANIFESTS, st.randoms(use_true_random=True), st.integers(min_value=0, max_value=1)).filter(
    bool
)
LAW = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@LAW
@given(ground=GROUNDS)
def test_each_version_gets_the_decision_of_the_whole_matrix(ground):
    for version in ground.versions:
        for model in ground.models:
            plain = decide_from(ground.read.manifest, version.text, model=model, matrix=ground.read).overall
            assert ground.decided(version, model) == (plain.kind, plain.entry, plain.allowed)
            assert ground.component_decision(version, model).message == plain.message


@LAW
@given(ground=GROUNDS)
def test_a_version_gets_to_the_release_exactly_where_a_search_from_it_does(ground):
    for model, routes in ground.routes.items():
        for version in ground.versions:
            starts = [routes.plain(version.text), *routes.after_failures(version.text)]
            assert [routes.reaches(start) for start in starts] == [searched(routes, start) for start in starts], model


@LAW
@given(ground=GROUNDS)
def test_a_bundle_is_a_way_exactly_where_its_whole_matrix_and_its_signatures_allow_it(ground):
    for routes in ground.routes.values():
        for version in ground.versions:
            state = routes.plain(version.text)
            for bundle in routes.bundles.values():
                assert routes.accepts(bundle, state) == plainly_accepts(routes, bundle, state)


def searched(routes, start):
    """Whether the target can be reached: a search that compares each state with each bundle and each stop."""
    seen, todo = {start}, [start]
    while todo:
        state = todo.pop()
        if state.version == routes.target.manifest.version:
            return True
        found = set(hops(routes, state)) - seen
        seen |= found
        todo += found
    return False


def hops(routes, state):
    target = routes.target
    for bundle in routes.bundles.values():
        if plainly_accepts(routes, bundle, state):
            shared = dict(state.shared or ())
            shared |= {name: one.text for name, one in bundle.carried.items() if name != APPLIANCE}
            yield RouteState(version=bundle.manifest.version, shared=tuple(sorted(shared.items())))
    version = target.parse(target.primary_component, state.version)
    if not any(version in dead_end.range for dead_end in target.dead_ends):
        for stop in target.stops:
            if stop.lies_between(version, target.own) and not routes.knows(stop.via.text):
                yield RouteState(version=stop.via.text)


def plainly_accepts(routes, bundle, state):
    for other in (*routes.bundles.values(), *routes.elsewhere.values()):
        with suppress(VersionError):
            into, out = (other.parse(other.primary_component, one) for one in (bundle.manifest.version, state.version))
            if any(into in one.range for one in other.withdrawn) or any(out in one.range for one in other.dead_ends):
                return False
    by = UNKNOWN if bundle is routes.target else routes._signed[id(bundle)]
    asked = {"signers": by.signers, "signatures": by.signatures, "matrix": bundle}
    if state.shared is None:
        return decide_from(bundle.manifest, state.version, model=routes.model, **asked).overall.allowed
    known = routes.bundles.get(state.version)
    member = Member(role="active", version=state.version, released=known.manifest.released if known else None)
    appliance = Appliance(
        schema="bundlekit/state/1",
        pair="any",
        product=bundle.manifest.product,
        model=routes.model or bundle.manifest.models[0],
        members={"a": member, "b": msgspec.structs.replace(member, role="standby")},
        components={name: InstalledComponent(version=version) for name, version in state.shared},
        counter=known.manifest.counter if known else None,
        includes=known.manifest.includes if known else None,
    )
    return not decide(bundle.manifest, appliance, **asked).overall.rejected


@LAW
@given(ground=GROUNDS)
def test_the_entries_that_are_about_a_version_are_those_that_contain_it(ground):
    read, line = ground.read, ground.line
    for place, version in enumerate(line.versions):
        listed = version in read.known
        for source in read.sources:
            assert line.covered(source) >> place & 1 == source.admits(version, listed=listed)
        for stop in read.stops:
            assert line.sent(stop, read.own) >> place & 1 == stop.lies_between(version, read.own)
        for dead_end in read.dead_ends:
            assert line.within(dead_end.range) >> place & 1 == (version in dead_end.range)


@LAW
@given(ground=GROUNDS)
def test_the_versions_that_work_together_with_a_state_are_found_at_once(ground):
    shared = {name: one for name, one in ground.read.carried.items() if name != APPLIANCE}
    if ground.read.primary_component == APPLIANCE:
        works, not_ = partners(ground.read, ground.line, APPLIANCE, shared)
        for place, version in enumerate(ground.line.versions):
            plain = work_together(ground.read, {APPLIANCE: version, **shared})[0]
            assert (works >> place & 1, not_ >> place & 1) == (plain is True, plain is False)


@LAW
@given(ground=GROUNDS)
def test_overlaps_are_those_of_two_sources_of_which_each_covers_a_version(ground):
    read = ground.read
    expected = {}
    sources = [one for one in read.sources if one.range.exact is None and one.entry.method != "reimage"]
    for version in ground.versions:
        for model in ground.models:
            covering = [
                one.entry.id
                for one in sources
                if (not one.entry.models or model in one.entry.models)
                and one.admits(version, listed=version in read.known)
            ]
            for other in covering[1:]:
                expected.setdefault((covering[0], other), set()).add(version.text)
    report = lint(read.manifest, [one.manifest for one in ground.others], at="2026-11-24")
    found = {}
    for one in report.findings:
        if one.rule == "overlapping-ranges":
            versions = one.message.partition(" both cover ")[2].removesuffix(".").split(", ")
            found.setdefault((one.message.split()[0], one.entry), set()).update(versions)
    assert len({source.entry.id for source in sources}) < len(sources) or found == expected


def test_the_bits_of_an_integer_are_listed_in_order():
    assert list(places(0b1010_0001)) == [0, 5, 7]


def releases(n):
    return [f"5.{number // 50}.{number % 50}" for number in range(n)]


LARGE = {
    "nothing": lambda all_: {},
    "a block and an edge for each": lambda all_: {
        "from": [{"id": f"e{n}", "versions": one, "models": ["im-100"]} for n, one in enumerate(all_)],
        "block": [{"id": f"b{n}", "versions": f"<={one}"} for n, one in enumerate(all_)],
    },
    "overlapping ranges": lambda all_: {
        "from": [{"id": f"e{n}", "versions": f">={one}"} for n, one in enumerate(all_)],
    },
    "stops from all before": lambda all_: {
        "from": [{"id": "e", "versions": f">={all_[-1]}"}],
        "stop": [{"id": f"s{n}", "versions": f"<{one}", "via": one} for n, one in enumerate(all_) if n],
    },
    "a chain of stops": lambda all_: {
        "from": [{"id": "e", "versions": all_[-1]}],
        "stop": [{"id": f"s{n}", "versions": all_[n - 1], "via": one} for n, one in enumerate(all_) if n],
    },
    "dead ends": lambda all_: {
        "dead-end": [{"id": f"d{n}", "versions": f"<={one}", "reason": "x"} for n, one in enumerate(all_)],
    },
    "components that work together": lambda all_: {
        "from": [{"id": "e", "versions": "*"}],
        "works-together": [
            {"id": f"w{n}", "appliance": f">={one}", "storage": "*"} for n, one in enumerate(reversed(all_))
        ],
    },
    "aliases": lambda all_: {
        "from": [{"id": "e", "versions": "*"}],
        "aliases": {f"x{n}": one for n, one in enumerate(all_)},
    },
    "risks": lambda all_: {
        "from": [{"id": "e", "versions": "*"}],
        "risk": [
            {"id": f"r{n}", "versions": f"<={one}", "when": {"fact": "a", "is": "b"}} for n, one in enumerate(all_)
        ],
    },
}


@pytest.mark.parametrize("entries", LARGE.values(), ids=LARGE)
def test_twice_the_releases_and_entries_are_twice_the_work(entries):
    def task(n):
        large = manifest(
            {"releases": releases(n), "aliases": {}, "works-together": [], "from": []} | entries(releases(n)),
            version="6.0.0",
            components=(component("storage", "3.4.0"), component("appliance", "6.0.0")),
        )
        lint(large, at="2026-11-24", signers=["a"])

    assert_grows_no_faster(task, 150, slack=1.2)
