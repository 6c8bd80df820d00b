"""Rules about other formats: a claim without evidence is not a claim that was found true."""

import pytest

from bundlekit.checks import apply_rules
from bundlekit.checks.rule import RuleContext
from bundlekit.checks.structure import RULES
from bundlekit.model.bundle import ArchiveClaim, Bundle, DigestClaim, Problem, Span, TreeClaim, Unread
from bundlekit.model.evidence import ArchiveEvidence, DigestEvidence, Evidence, TreeEvidence
from bundlekit.model.question import Question

SPAN, OTHER = Span(start=0, stop=10), Span(start=10, stop=20)
DIGEST = f"sha256:{64 * '0'}"
DIGESTS = tuple(DigestClaim(subject=name, span=span, expected=DIGEST) for name, span in [("a", SPAN), ("b", OTHER)])
ARCHIVE = ArchiveClaim(subject="tar", span=SPAN, compression="none", digests={"file": DIGEST})
TREE = TreeClaim(subject="payload", span=SPAN, tree=OTHER, root=DIGEST, salt=b"")


def outcome(rule, claims, *, problems=(), unread=(), **evidence):
    context = RuleContext(
        bundle=Bundle(
            format="toy",
            aspects=frozenset({"content", "tree", "members"}),
            size=20,
            claims=claims,
            complete=True,
            problems=problems,
            unread=unread,
        ),
        evidence=Evidence(**evidence),
        question=Question(at="2026-11-23T00:00:00Z"),
    )
    result = apply_rules(context, [one for one in RULES if one.name == rule])
    (only,) = result.outcomes
    assert (result.verdict == "accept") == (only.outcome == "passed")
    return only.outcome, only.reason


def found(claim, digest=DIGEST):
    return DigestEvidence(subject=claim.subject, span=claim.span, expected=claim.expected, found=digest)


NOT_READ = "these parts were not read: "


@pytest.mark.parametrize(
    ("claims", "evidence", "expected"),
    [
        (DIGESTS, {}, ("not-run", "digests and padding were not compared")),
        (DIGESTS, {"digests": ()}, ("not-run", f"{NOT_READ}a, b")),
        (DIGESTS, {"digests": (found(DIGESTS[0]),)}, ("not-run", f"{NOT_READ}b")),
        (DIGESTS, {"digests": (found(DIGESTS[0], "sha256:1"),)}, ("failed", "")),
        (DIGESTS, {"digests": tuple(map(found, DIGESTS))}, ("passed", "")),
        ((ARCHIVE,), {"digests": ()}, ("not-run", f"{NOT_READ}tar")),
        ((ARCHIVE,), {"digests": (), "archives": ()}, ("not-run", f"{NOT_READ}tar")),
        (
            (ARCHIVE,),
            {"digests": (), "archives": (ArchiveEvidence(subject="tar", span=SPAN, digests={"file": DIGEST}),)},
            ("passed", ""),
        ),
    ],
)
def test_content(claims, evidence, expected):
    assert outcome("digest-mismatch", claims, **evidence) == expected


@pytest.mark.parametrize(
    ("claims", "evidence", "expected"),
    [
        ((TREE,), {}, ("not-run", "digests and padding were not compared")),
        ((TREE,), {"trees": ()}, ("not-run", f"{NOT_READ}payload")),
        ((), {"trees": ()}, ("not-run", "digests and padding were not compared")),
        ((TREE,), {"trees": (TreeEvidence(subject="payload", span=SPAN, blocks=1),)}, ("passed", "")),
        (
            (TREE,),
            {"trees": (TreeEvidence(subject="payload", span=SPAN, blocks=1, tree_damaged=(OTHER,)),)},
            ("failed", ""),
        ),
    ],
)
def test_tree(claims, evidence, expected):
    assert outcome("hash-tree-mismatch", claims, **evidence) == expected


FOUND = Problem(rule="member-duplicate", message="twice", where=SPAN)
READ = ArchiveEvidence(subject="tar", span=SPAN)


@pytest.mark.parametrize(
    ("archives", "expected"),
    [
        (None, ("passed", f"{NOT_READ}tar")),  # pre-flight: the rest of the file was looked at
        ((), ("passed", f"{NOT_READ}tar")),
        ((READ,), ("passed", "")),
        ((ArchiveEvidence(subject="tar", span=SPAN, problems=(FOUND,)),), ("failed", "")),
    ],
)
def test_members_inside_an_archive(archives, expected):
    assert outcome("member-duplicate", (ARCHIVE,), archives=archives) == expected


def test_a_fault_that_the_reader_found_needs_no_measurement():
    problem = Problem(rule="digest-mismatch", message="not the one", where=SPAN)
    assert outcome("digest-mismatch", DIGESTS, problems=(problem,)) == ("failed", "")


def test_a_fault_is_reported_although_other_parts_are_unread():
    unread = (Unread(rules=("member-duplicate",), reason="no decoder"),)
    assert outcome("member-duplicate", (ARCHIVE,), unread=unread) == ("not-run", "no decoder")
    assert outcome("member-duplicate", (ARCHIVE,), unread=unread, problems=(FOUND,)) == ("failed", "")
