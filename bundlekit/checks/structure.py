"""Rules about formats other than update.bin. Their readers find the faults, and name one of the rules here.

A rule is about an aspect that several formats share, never about one format. What exactly a format requires is on the
page of the format (``bundlekit explain formats``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.checks.integrity import NOT_COMPARED
from bundlekit.checks.layout import ASK_VENDOR, COPY_AGAIN
from bundlekit.checks.rule import RuleAnswer, RuleContext, faults, make, rule
from bundlekit.integrity.checksum import CHECKSUMS
from bundlekit.model.bundle import ArchiveClaim, DigestClaim, TreeClaim
from bundlekit.model.finding import Fault, NotRun, PartialResult
from bundlekit.wording import count, fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundlekit.checks.rule import Rule
    from bundlekit.model.bundle import Aspect, Problem
    from bundlekit.model.evidence import ArchiveEvidence, DigestEvidence, PackedEvidence, TreeEvidence
    from bundlekit.model.finding import Cause, RuleClass, Severity
    from bundlekit.model.question import Question

INCOMPLETE: Final = NotRun(reason="the file could not be read that far")


def _reported(context: RuleContext, name: str) -> RuleAnswer | PartialResult:
    """The faults of that name, found while reading or while measuring. It passes only if all of the file was read."""
    found: list[Problem] = list(context.bundle.problems)
    for archive in context.evidence.archives or ():
        found += archive.problems
    if answer := faults(found, name):
        return answer
    if not context.bundle.complete:
        return INCOMPLETE
    read = {archive.subject for archive in context.evidence.archives or ()}
    archives = [one.subject for one in context.bundle.claims if isinstance(one, ArchiveClaim)]
    unread = [subject for subject in archives if subject not in read]
    if name in IN_ARCHIVES and unread:
        return PartialResult(faults=(), reason=f"these parts were not read: {', '.join(unread)}")
    return ()


SIGN_FOR_DEVICE: Final = "Have the bundle built and signed for this device, or get the one that is meant for it."


class StructureRule(NamedTuple):
    """A rule whose faults the readers of formats name, and the aspect of a format that it is about."""

    aspect: Aspect
    page: str
    remedy: str = ASK_VENDOR
    rule_class: RuleClass = "layout"
    cause: Cause = "corrupted"
    severity: Severity = "error"


REPORTED: Final = {
    "structure-malformed": StructureRule(
        "structure",
        """A header, a field or a block is not as the format of the bundle requires.

    The message names the part and the value. The loader on the device refuses such a file, or reads it differently.
    """,
    ),
    "metadata-malformed": StructureRule(
        "metadata",
        """The description inside the bundle cannot be read in exactly one way.

    It breaks the syntax, repeats a key, lacks a required value, or has a value of a wrong type. Examples are a
    ``manifest.raucm``, a ``sw-description`` and a ``header-info``.
    """,
    ),
    "metadata-unprotected": StructureRule(
        "metadata",
        """A value that the device relies on is where no signature covers it.

    Anyone could have changed it: a security counter, a dependency, or a version.
    """,
        rule_class="authenticity",
        cause="unauthentic",
    ),
    "member-duplicate": StructureRule(
        "members",
        """Two members of the archive have the same name.

    One program reads the first, and another the last. A signature can then cover one, and a device install the other.
    """,
    ),
    "member-unlisted": StructureRule(
        "members",
        """The archive has a member that the signed description does not list.

    No digest covers it, so it could contain anything.
    """,
    ),
    "member-missing": StructureRule(
        "members",
        """The signed description lists a member that the archive does not have.""",
    ),
    "member-misplaced": StructureRule(
        "members",
        """A member of the archive is not where the format requires it, or its name leads out of its folder.

    A device that unpacks the archive as a stream relies on the order.
    """,
    ),
    "digest-weak": StructureRule(
        "content",
        """The description protects content by no digest, or by one that is too weak.

    MD5, SHA-1, CRC-32 and an empty value prove nothing against an attacker. SHA-256 or better is required.
    """,
        "Ask the vendor to build the bundle with SHA-256 digests for everything in it.",
        rule_class="authenticity",
        cause="unauthentic",
    ),
    "loader-unsupported": StructureRule(
        "loader",
        """The loader of the device in the header refuses the bundle, although every digest and signature is right.

    Examples are a segment for an address that the chip lacks, and signatures that its ROM cannot verify.
    """,
        SIGN_FOR_DEVICE,
    ),
    "loader-uncertain": StructureRule(
        "loader",
        """The loader of the device in the header of the bundle ignores a part of it, or could refuse it.

    It is ignored, for example, if it is a signature that the ROM does not read. bundlekit does not know yet what the
    loaders of announced devices refuse.
    """,
        SIGN_FOR_DEVICE,
        rule_class="best-practice",
        cause="best-practice",
        severity="warning",
    ),
}
"""The rules whose faults are found while reading, by the names of those faults."""

IN_ARCHIVES: Final = frozenset(
    {"structure-malformed", "member-duplicate", "member-unlisted", "member-missing", "member-misplaced"}
)
"""The rules whose faults can also be inside an archive that is read while measuring."""


def _payload(question: Question) -> bool:
    return question.scope == "full"


def _unmeasured(
    claims: Iterable[DigestClaim | ArchiveClaim | TreeClaim],
    evidence: Sequence[DigestEvidence | ArchiveEvidence | TreeEvidence] | None,
) -> NotRun | None:
    """Why a rule cannot pass: a claim without evidence is not a claim that was found true."""
    if evidence is None:
        return NOT_COMPARED
    done = {(one.subject, one.span) for one in evidence}
    missing = [claim.subject for claim in claims if (claim.subject, claim.span) not in done]
    return NotRun(reason=f"these parts were not read: {', '.join(missing)}") if missing else None


def _digest_mismatch(context: RuleContext) -> RuleAnswer:
    evidence, claims = context.evidence, context.bundle.claims
    if found_while_reading := faults(context.bundle.problems, "digest-mismatch"):  # in what the reader itself needs
        return found_while_reading
    if evidence.digests is None:
        return NOT_COMPARED
    changed = {one.span for one in evidence.digests if one.of != "checksum" and one.found != one.expected}
    compared = [
        (one.subject, one.stored or one.span, one.expected, one.found)
        for one in evidence.digests
        if one.of != "checksum" or one.span not in changed  # the digest is the better witness of what was changed
    ]
    claimed = {one.subject: one.digests for one in context.bundle.claims if isinstance(one, ArchiveClaim)}
    for archive in evidence.archives or ():
        expected = claimed[archive.subject]
        compared += [
            (name, archive.members.get(name, archive.span), expected[name], found)
            for name, found in archive.digests.items()
        ]
    faults_found = [
        Fault(
            message=_wrong_digest(subject, expected),
            where=span,
            subject=subject,
            params={"expected": expected, "found": found},
        )
        for subject, span, expected, found in compared
        if found != expected
    ]
    digests = [one for one in claims if isinstance(one, DigestClaim) and not one.serial]
    archives = [one for one in claims if isinstance(one, ArchiveClaim)]
    without = _unmeasured(digests, evidence.digests) or _unmeasured(archives, evidence.archives or ())
    return faults_found or without or ()


def _wrong_digest(subject: str, expected: str) -> str:
    """The message. A checksum is no digest, and no description signs it."""
    if expected.partition(":")[0] in CHECKSUMS:
        return f"the checksum of {subject!r} differs from the one that the bundle states"
    return f"the digest of {subject!r} differs from the one that the bundle states"


def _hash_tree_mismatch(context: RuleContext) -> RuleAnswer:
    claims = [one for one in context.bundle.claims if isinstance(one, TreeClaim)]
    trees = context.evidence.trees
    if trees is None or not claims:
        return NOT_COMPARED
    found: list[Fault] = []
    for tree in trees:
        found += [
            Fault(message=f"the hash tree of {tree.subject!r} is damaged", where=span, subject=tree.subject)
            for span in tree.tree_damaged
        ]
        message = f"{tree.damaged_count} of {tree.blocks} blocks of {tree.subject!r} do not match the hash tree"
        params: dict[str, str | int] = {"damaged": tree.damaged_count, "blocks": tree.blocks}
        found += [Fault(message=message, where=span, subject=tree.subject, params=params) for span in tree.damaged]
    return found or _unmeasured(claims, trees) or ()


def _row(name: str) -> Rule:
    row = REPORTED[name]
    return make(
        name,
        row.page,
        partial(_reported, name=name),
        row.rule_class,
        cause=row.cause,
        remedy=row.remedy,
        see="formats",
        severity=row.severity,
        aspect=row.aspect,
    )


def _digests(question: Question) -> bool:
    return question.scope == "full" and question.digests


@rule("integrity", cause="corrupted", remedy=ASK_VENDOR, see="formats", needed=_digests, aspect="images")
def image_digest_mismatch(context: RuleContext) -> RuleAnswer | PartialResult:
    """A file inside the image of the bundle is missing, or has another digest or size than the description states.

    The rule runs only on request (``full``), because the file has to be decompressed, and a signature or a hash tree
    already covers the image. If only this rule fails, the bundle was built incorrectly, and the device will reject it.
    """
    if not context.question.digests:
        packed = [one for one in context.bundle.packed if one.expected]
        which = f"the digests of {count(len(packed), 'file')}" if packed else "the digests of files"
        return NotRun(
            reason=f"{which} inside the image were not compared with the description",
            next=fill("Compare them as well ({full})."),
        )
    if not context.bundle.packed and context.bundle.complete:
        return () if context.bundle.release else NotRun(reason="the description could not be read")
    if (evidence := context.evidence.packed) is None:
        return NOT_COMPARED
    found = [_wrong_image(one) for one in evidence if one.damaged or (one.found and not one.matches)]
    unread = [one for one in evidence if one.reason and not one.damaged]
    if found or not unread:
        return found
    return NotRun(reason=f"{unread[0].subject}: {unread[0].reason}", next=unread[0].next)


def _wrong_image(one: PackedEvidence) -> Fault:
    message = one.reason or f"the digest of {one.subject!r} is not the one in the description"
    if not one.reason and one.size != one.expected_size:
        message = f"{one.subject!r} has {one.size} bytes, and the description states {one.expected_size}"
    params: dict[str, str | int] = {"expected": one.expected, "found": one.found}
    return Fault(message=message, where=one.span, subject=one.subject, params=params if one.found else {})


RULES: Final = (
    *map(_row, REPORTED),
    make(
        "digest-mismatch",
        """The content of a part is not the one that the signed description promises.

    The part was damaged in transfer, or exchanged after the bundle was signed.
    """,
        _digest_mismatch,
        "integrity",
        cause="corrupted",
        remedy=COPY_AGAIN,
        see="formats",
        needed=_payload,
        aspect="content",
    ),
    make(
        "hash-tree-mismatch",
        """The payload does not match its hash tree, or the tree does not match the signed root.

    The whole tree is computed again. A device that checks blocks only when it reads them would find this later.
    """,
        _hash_tree_mismatch,
        "integrity",
        cause="corrupted",
        remedy=COPY_AGAIN,
        see="formats",
        needed=_payload,
        aspect="tree",
    ),
    image_digest_mismatch,
)
