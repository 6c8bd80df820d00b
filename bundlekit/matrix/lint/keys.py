"""Rules about whether installed versions accept the signatures of the bundle."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from bundlekit.matrix.lint.rule import lint_rule
from bundlekit.matrix.masks import places
from bundlekit.matrix.shipped import UNKNOWN, TrustFileAnswer
from bundlekit.model.finding import Fault
from bundlekit.schema_errors import nearest
from bundlekit.wording import fill, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.matrix.lint.context import LintContext
    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.versions import Version


@lint_rule(
    "error", "Sign the bundle with a key that these versions trust as well, or add a stop that installs the new key."
)
def source_cannot_verify(context: LintContext) -> Iterator[Fault]:
    """A version that can install the bundle does not accept its signatures, and will therefore reject the bundle.

    This strands fleets when keys are changed. `trust-of` specifies the trust file that a release ships: the signatures
    must meet its requirements. `trusted-keys` is the short form, the keys that a release trusts: one of them must sign.
    """
    accepts = {version: accepted(context, version) for version in context.versions}
    bringing = [version for version, answer in accepts.items() if answer.accepts]
    for version, model, entry in context.allowed():
        answer = accepts[version]
        if answer.accepts is not False:
            continue
        on = f"{version} on {model}" if model else version.text
        place = bisect.bisect_right(bringing, version)
        stop = bringing[place] if place < len(bringing) else None
        sign = f"have it signed by {' or '.join(answer.missing)} as well" if answer.missing else ""
        if context.read.ships(version) is None:
            sign = f"Sign also with a key that {version} trusts"
            by = f", or add a [[stop]] via {stop}, which trusts one of these." if stop else ""
            remedy = f"{sign}{by}" if by else ""
        else:
            ways = [sign] if sign else []
            ways += [f"add a [[stop]] via {stop}, whose trust file accepts it"] if stop else []
            remedy = f"{(', or '.join(ways))[0].upper()}{(', or '.join(ways))[1:]}." if ways else ""
        yield Fault(
            message=f"{on} {answer.reason}. It will reject a bundle that the matrix allows.",
            subject=on,
            entry=entry,
            next=remedy,
        )


def accepted(context: LintContext, version: Version) -> TrustFileAnswer:
    """Whether a version accepts the signatures of the bundle, by its shipped trust file or by names of keys."""
    if (shipped := context.read.ships(version)) is not None:
        return context.signatures.accepted_by(shipped) if context.signatures else TrustFileAnswer(accepts=None)
    trusted = context.read.trusts(version)
    if trusted is None or context.signers is None:
        return TrustFileAnswer(accepts=None)
    signers = ", ".join(sorted(context.signers)) or "no known key"
    because = f"trusts {', '.join(sorted(trusted)) or 'no key'}, but the bundle is signed by {signers}"
    return TrustFileAnswer(accepts=bool(trusted & context.signers), reason=because)


@lint_rule("error", "Correct one of the two, or remove `trusted-keys`, because `trust-of` takes precedence.")
def trust_contradicted(context: LintContext) -> Iterator[Fault]:
    """The tables `trusted-keys` and `trust-of` name different signers for one release."""
    read = context.read
    since = sorted({since for since, _ in (*read.trusted_keys, *read.trust_of)})
    for version in since:
        keys, shipped = read.trusts(version), read.ships(version)
        if keys is not None and shipped is not None and not shipped.problem and keys != shipped.names:
            named = ", ".join(sorted(keys)) or "no key"
            yield Fault(
                message=f"From {version} on, `trusted-keys` lists {named}, but the trust file in `trust-of` lists "
                f"{', '.join(sorted(shipped.names))}.",
                subject=version.text,
            )


@lint_rule(
    "warning", "Correct the name ({signed_by}), or state in `trusted-keys` from which release on the key is trusted."
)
def unknown_key(context: LintContext) -> Iterator[Fault]:
    """A key given as a signer of the bundle has a name that no release trusts, by `trusted-keys` and `trust-of`.

    Most likely the name is misspelt. The results of `source-cannot-verify` are then not reliable.
    """
    known = {name for _, names in context.read.trusted_keys for name in names}
    known |= {name for _, trust in context.read.trust_of for name in trust.names}
    for name in sorted((context.signers or frozenset()) - known) if known else ():
        hint = nearest(name, known)
        end = "" if hint.endswith("?") else "."
        yield Fault(message=f"No release trusts a key named {name!r}{hint}{end}", subject=name)


def unasked_of_others(context: LintContext) -> Iterator[tuple[ReadMatrix, str]]:
    """Each other bundle that allowed versions possibly cannot verify, because this is unknown, and the reason."""
    for other in context.others:
        by = context.signed.get(id(other), UNKNOWN)
        asks_file, asks_names = bool(other.trust_of) and by.signatures is None, by.signers is None
        if not (asks_file or (asks_names and other.trusted_keys)):
            continue
        line = context.made[id(other)].line
        allowed = [
            line.versions[place]
            for place in places(line.below(other.own))
            if any(routes.decided(other, line.texts[place]).allowed for routes in context.routes.values())
        ]
        if asks_file and any(other.ships(one) is not None for one in allowed):
            yield other, "the signatures of this bundle are not known; give the signed bundle"
        elif asks_names and any(other.ships(one) is None and other.trusts(one) is not None for one in allowed):
            yield other, f"it is not known which keys sign this bundle ({given('trust')} with a trust.toml)"


def unasked(context: LintContext) -> str | None:
    """Why it is unknown whether versions can verify the bundle; None if it was evaluated, or not applicable."""
    read, allowed = context.read, dict.fromkeys(version for version, _, _ in context.allowed())
    if context.signatures is None and read.trust_of:
        return f"the signatures of the bundle are not known; give the signed bundle, or {given('signed_by')}"
    if context.signers is None and any(read.ships(one) is None and read.trusts(one) is not None for one in allowed):
        return fill("it is not known which keys sign the bundle ({signed_by}, or {trust} with a trust.toml)")
    if context.signers is not None and not read.trusted_keys and not read.trust_of:
        return "the matrix does not state which keys releases trust (trusted-keys, trust-of)"
    problems = [trust.problem for one in allowed if (trust := read.ships(one)) is not None and trust.problem]
    undecided = [
        f"{one} {answer.reason}"
        for one in allowed
        if read.ships(one) is not None and (answer := accepted(context, one)).accepts is None
    ]
    return next(iter((*problems, *undecided)), None)
