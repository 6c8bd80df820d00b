"""Whatever a manifest says within its schema, a check of it ends with a report, and soon.

The manifests are of few names and few versions, so that everything collides: components with one another, aliases
with releases, stops with what is blocked, schemes with what is written.
"""

import datetime as dt
from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bundlekit import pipeline
from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.matrix.candidates import CandidateBundle
from bundlekit.matrix.diff import diff
from bundlekit.matrix.lint import lint
from bundlekit.matrix.path import find_path
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.matrix.shipped import BundleSignatures, SignedBy, SignedManifest
from bundlekit.matrix.table import table
from bundlekit.model import matrix as m
from bundlekit.model.manifest import Component, Image, Manifest, Requirements
from bundlekit.source import BytesSource
from fixtures import forge
from tests.counting import at_most

AT = dt.datetime.fromisoformat(forge.AT)
IMAGE = Image(**forge.stored(forge.IMAGE))

VERSIONS = {
    "dotted": ["1", "1.0", "2", "2-b", "v2", "3.1", "3.2", "4"],
    "semver": ["1.0.0", "1.0.0+b", "2.0.0-rc.1", "2.0.0", "3.1.0", "3.2.0", "4.0.0"],
    "pep440": ["1", "1.0", "2rc1", "2", "3.1", "3.2.post1", "4"],
    "declared": ["1.0", "1.0rc", "v2.0", "2.0", "3.1", "3.2", "4.0"],
}
LABELS = ["lts", "old", "2"]
DECLARED = m.DeclaredScheme(forms=("#.#", "#.#@", "v#.#", "v#.#@"), pre_releases=("rc",), ignored=("v",))
NAMES = ["a", "b", "c", "d"]
COMPONENTS = ["appliance", "os", "storage"]
MODELS = ["im-100", "im-200"]
ANCHORS = {
    "a": 'anchor = "root.pem"',
    "b": 'anchor = "stranger-root.pem"',
    "c": 'key = "pinned.pub.pem"',
    "d": 'key = "none.pem"',
}
PEM = {
    "root.pem": "trust/root.pem",
    "pinned.pub.pem": "trust/pinned.pub.pem",
    "stranger-root.pem": "stranger-root.pem",
    "none.pem": "signer.key",
}
FILES = tuple(m.ShippedFile(name=name, text=(forge.KEYS / path).read_text()) for name, path in PEM.items())
"""What trust files name: a root that has certified the signer, another one, a pinned key, and what is no public key."""


class Author:
    """Writes a manifest by chance. Plain code: strategies take longer to make one than a check takes to judge it."""

    def __init__(self, chance):
        self.chance = chance
        self.one = chance.choice
        self.scheme = self.one(sorted(VERSIONS))
        self.careful = self.one([True, True, False])

    def seldom(self):
        return not self.careful and self.chance.random() < 0.06

    def few(self, write, most=3):
        return tuple(write() for _ in range(self.chance.randint(0, most)))

    def name(self):
        return self.one(NAMES)

    def model(self):
        return self.one(MODELS)

    def version(self):
        return self.one([*LABELS, "x", "9.9.9"] if self.seldom() else VERSIONS[self.scheme])

    def range(self):
        clauses = self.few(lambda: self.one(["", "=", ">=", ">=", "<=", "<", "<", ">", "!="]) + self.version())
        return ", ".join(clauses) or "*"

    def condition(self):
        test = self.one(["is", "is-not", "below", "at-least"])
        return m.Condition(fact=self.one(["disk", "age"]), test=test, value=self.one(["7.1", "7.2", "24 h", "1 GiB"]))

    def entry(self, kind, **fields):
        return kind(id=f"{self.name()}{self.chance.randint(0, 99)}", reason=self.one(["", "Bad."]), **fields)

    def ranged(self, kind, **fields):
        return self.entry(kind, versions=self.range(), **fields)

    def shipped_trust(self):
        """A trust file that a release ships, now and then one that cannot be used."""
        names = self.chance.sample(["a", "b", "c", "d"] if self.seldom() else ["a", "b", "c"], self.one([1, 2, 3]))
        of, count = ", ".join(f'"{name}"' for name in names), self.chance.randint(1, 4 if self.seldom() else len(names))
        signers = "".join(f'[signers.{name}]\nrole = "production"\n{ANCHORS[name]}\n' for name in names)
        head = f'trust = 1\nname = "t"\nallow-test-keys = {self.one(["true", "true", "false"])}\n'
        others = self.one(["", 'other-signers = "ignore"\n'])
        file = f"{head}{others}{signers}[[require]]\ncount = {count}\nof = [{of}]\n"
        files = FILES[:-1] if self.seldom() else FILES
        return m.ShippedTrust(since=self.version(), file="trust = 1" if self.seldom() else file, files=files)

    def source(self):
        return self.ranged(
            m.MatrixSource,
            except_=self.few(self.version),
            models=self.few(self.model, 1),
            unlisted=self.one([True, False]),
            by_release=self.one([True, False]),
            method=self.one(["rolling", "offline", "reimage"]),
            keys=self.few(self.name, 1),
        )

    def stop(self):
        when = self.one([None, None, self.condition()])
        return self.ranged(m.Stop, via=self.version(), latest=self.seldom(), when=when)

    def together(self):
        names = self.chance.sample(COMPONENTS, self.one([2, 3]))
        return self.entry(m.WorksTogether, components={name: self.range() for name in names})

    def component(self, name, version):
        return Component(
            name=name,
            version=version,
            scheme=self.one(sorted(VERSIONS)) if self.seldom() else None,
            images=(IMAGE,),
        )

    def components(self, own):
        lead = self.one(COMPONENTS)
        parts = [
            self.component(name, self.version()) for name in COMPONENTS if name != lead and self.one([True, False])
        ]
        if self.seldom():
            parts.append(self.component(lead, self.one([own, self.version()])))
        return (self.component(lead, own), *parts)

    def matrix(self):
        every = tuple(VERSIONS[self.scheme][:-1])
        declares = self.scheme == "declared" and not self.seldom()
        return m.Matrix(
            scheme=DECLARED if declares else None,
            order=self.one(["version", "version", "version", "listed"]),
            releases=self.one([every, every, (), self.few(self.version, 5)]),
            aliases=self.few(lambda: m.Alias(alias=self.one(LABELS), version=self.version())),
            trusted_keys=self.few(lambda: m.TrustedKeys(since=self.version(), keys=self.few(self.name))),
            trust_of=self.few(self.shipped_trust, 2),
            sources=self.few(self.source),
            stops=self.few(self.stop),
            blocks=self.few(lambda: self.ranged(m.Block, models=self.few(self.model, 1)), 2),
            withdrawn=self.few(lambda: self.ranged(m.Withdrawn), 1),
            risks=self.few(lambda: self.ranged(m.Risk, when=self.condition()), 2),
            dead_ends=self.few(lambda: self.ranged(m.DeadEnd), 1),
            works_together=self.few(self.together, 2),
            skews=self.few(lambda: self.entry(m.Skew, old=self.range(), new=self.range()), 2),
        )

    def manifest(self):
        own = self.version() if self.seldom() else VERSIONS[self.scheme][-1]
        requirements = Requirements(tool="x" if self.seldom() else None, facts=self.few(self.condition, 1))
        return msgspec.structs.replace(
            forge.MANIFEST,
            kind=self.one(["hotfix", "reimage"]) if self.seldom() else "release",
            models=self.one([("im-100",), ("im-100", "im-200")]),
            version=own,
            scheme=self.scheme,
            build=None,
            components=self.components(own),
            requirements=requirements,
            matrix=self.matrix(),
        )


NAMED = BundleSignatures(["a"], forge.AT, product=forge.MANIFEST.product, released=forge.MANIFEST.released)
SIGNED = BundleSignatures(
    [forge.seal("signer", b"head")], forge.AT, product=forge.MANIFEST.product, released=forge.MANIFEST.released
)
BY = SignedBy(signers=frozenset({"a"}), signatures=NAMED)
SEALED = SignedBy(signatures=SIGNED)


def candidate(read):
    return CandidateBundle(matrix=read, bundle="x", id=read.own.text, signed_by=("a",), signatures=SIGNED)


MANIFESTS = st.randoms(use_true_random=True).map(lambda chance: Author(chance).manifest())


@pytest.mark.exhaustive
@pytest.mark.parametrize("trust", [None, ("keys/trust",)], ids=["claimed", "trusted"])
@settings(max_examples=50, derandomize=True, suppress_health_check=list(HealthCheck))
@given(manifest=MANIFESTS, other=MANIFESTS, installed=st.sampled_from(["1.0", "2", "3.1.0", "lts", "x"]))
def test_any_manifest_is_judged_linted_shown_and_compared(trust, manifest, other, installed):
    assert msgspec.convert(msgspec.to_builtins(manifest), Manifest) == manifest
    bundle = forge.write(manifest, contents=(forge.IMAGE,) * len(manifest.components))
    with at_most(500_000):
        for asked in ({}, {"sources": [installed]}, {"appliance": forge.pair(version=installed)}):
            pipeline.check(BytesSource(bundle), trust=forge.trust(trust) if trust else None, at=AT, **asked)
        lint(manifest, [SignedManifest(manifest=other, by=BY)], at=forge.AT[:10], signers=BY.signers)
        lint(manifest, [SignedManifest(manifest=other, by=SEALED)], at=forge.AT[:10], signatures=SEALED.signatures)
        reads = [read for read in map(read_matrix, (manifest, other)) if isinstance(read, ReadMatrix)]
        event(f"{len(reads)} of 2 can be read")
        for read in reads:
            table(read)
            with suppress(ConfigError):  # they are of two products, or of two components
                diff(reads[0], read)
        with suppress(BundlekitError):  # a version does not say what it is of, where two bundles speak of two things
            find_path([candidate(read) for read in reads], installed, "4")
