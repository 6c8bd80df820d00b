"""Rules about signatures: who signed the bundle, and is the signer allowed to?"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from bundlekit.checks.layout import COPY_AGAIN, NO_HEAD
from bundlekit.checks.rule import Rule, RuleAnswer, RuleContext, make, rule
from bundlekit.model.finding import Cause, Fault, NotRun
from bundlekit.wording import fill, given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundlekit.model.evidence import DemandEvidence


NO_SIGNATURES: Final = NotRun(reason="the bundle has no signature")
OTHER_KEY: Final = "Do not use this bundle. Get one from the vendor that is signed with another key."
SIGN_AGAIN: Final = (
    "Get the file again. If it is the same, do not use it: its signer must remove this signature "
    "(`bundlekit sign`, {remove}) and sign again: `bundlekit sign`, or `openssl cms -sign -binary`."
)
SIGN_AGAIN_ELSEWHERE: Final = (
    "Get the file again. If it is the same, do not use it: its signer must sign it again with the tool of its format."
)
SIGN_ELSEWHERE: Final = "Sign it with the tool of its format, or get the signed bundle from the vendor."
COSIGN_ELSEWHERE: Final = "Get the bundle that all required signers signed."
NOT_KNOWN: Final = "Check that {trust} names the right anchors and keys. If it does, do not use this file."
COVER_ELSEWHERE: Final = (
    "Also trust the CA above the certificate. Or have the bundle signed without certificates, or with one that the "
    "signature covers (signingCertificateV2, `openssl cms -sign -cades`)."
)
WITHOUT: Final = (
    "Remove it (`bundlekit sign`, {remove}) and sign again: `bundlekit sign`, or `openssl cms -sign -binary` either "
    "with -cades and no -certfile, or with -nocerts -keyid. Or also trust the CA above the certificate."
)
WITHOUT_SURPLUS: Final = (
    "Check that {trust} names the right anchors. If it does, sign again without the certificate ({cert}, -certfile), "
    "or with `bundlekit sign`, which signs every included certificate, for verifiers with several anchors."
)
OTHER_SIGNER: Final = "Check that {trust} names the right anchors. If it does, do not use this file."
NO_WAY_UP: Final = (
    "Check that {trust} names the right anchors, and that the signature contains the intermediate certificates "
    "({cert}, -certfile). If both are right, do not use this file."
)
ISSUE_AGAIN: Final = (
    "Have the certificate issued again by a CA with ECDSA or RSA, or pin the public key of the signer ({trust})."
)
SIGN_A_DIGEST: Final = (
    "Have it signed with RSA or ECDSA. Another algorithm has to sign a digest: in signed attributes of CMS, or as a "
    "message of its own if the format has that."
)
UPDATE_LIBRARY: Final = "Update the library {library} on this machine as the message states, then check again."
FIT_TO_SIGN: Final = "Have it signed with a suitable certificate; the message names what is missing."


def _no_trust() -> NotRun:
    return NotRun(
        reason=f"no trust anchors were given ({given('trust')}), so no signature can be trusted",
        next=f"Give trust anchors, for example {given('trust', 'root.pem')}; see `bundlekit explain trust`.",
    )


def _problems(context: RuleContext, name: str, *, needs_trust: bool = True) -> RuleAnswer:
    """The problems of that name in all signatures. The rule passes only if no signature has one."""
    signatures = context.evidence.signatures
    if signatures is None:
        return NO_HEAD
    if not signatures:
        return NO_SIGNATURES
    found = [
        Fault(message=p.message, where=p.where or s.where, subject=f"signature {s.index}", params=p.params)
        for s in signatures
        for p in s.problems
        if p.rule == name
    ]
    if not found and needs_trust and not context.question.trust:
        return _no_trust()
    return found


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Sign it (`bundlekit sign`), or get the signed bundle from the vendor.",
    see="trust",
)
def unsigned(context: RuleContext) -> RuleAnswer:
    """The bundle has no signature, so its origin cannot be verified."""
    signatures = context.bundle.signatures
    if signatures is None:
        return NO_HEAD
    if not signatures and context.bundle.document is None:
        return NotRun(reason="the manifest cannot be read, so the position of the signatures is uncertain as well")
    if signatures:
        return ()
    next_ = "" if _is_ours(context) else SIGN_ELSEWHERE
    return [Fault(message="the bundle has no signature", where=context.bundle.area, next=next_)]


@rule("authenticity", cause="corrupted", remedy=SIGN_AGAIN, see="trust")
def signature_malformed(context: RuleContext) -> RuleAnswer:
    """A signature does not have the form that its format demands.

    In an update.bin it is one complete detached CMS SignedData (RFC 5652). The profile determines every byte. Nothing
    can be hidden in a signature, and no two readers can understand it differently. ``bundlekit explain trust`` lists
    the requirements of the profile, and ``bundlekit explain formats`` those of other formats.
    """
    answer = _problems(context, "signature-malformed", needs_trust=False)
    if isinstance(answer, NotRun):
        return answer
    if not _is_ours(context):
        again = SIGN_AGAIN_ELSEWHERE
        answer = [replace(one, next=COVER_ELSEWHERE if "pinned" in one.params else again) for one in answer]
        return [replace(one, cause="unauthentic") if _about_the_chain(one) else one for one in answer]
    # The same signature can be valid under another trust file, so a fresh copy of the bundle would not help.
    return [replace(one, cause="unauthentic", next=_next(one)) if _about_the_chain(one) else one for one in answer]


def _is_ours(context: RuleContext) -> bool:
    """Whether the bundle has a signature area, which `bundlekit sign` can write."""
    return "area" in context.bundle.aspects


def _about_the_chain(fault: Fault) -> bool:
    """Whether an undamaged signature includes certificates that do not belong to the chain of its signer."""
    return not {"pinned", "surplus"}.isdisjoint(fault.params)


def _next(fault: Fault) -> str:
    return fill(WITHOUT if "pinned" in fault.params else WITHOUT_SURPLUS)


@rule("authenticity", cause="unauthentic", remedy=NO_WAY_UP, see="trust")
def signer_unknown(context: RuleContext) -> RuleAnswer:
    """A signature is valid, but its signer is not trusted.

    Certificates in the bundle can link a signer to an anchor. They are never anchors themselves.
    """
    answer = _problems(context, "signer-unknown")
    if isinstance(answer, NotRun):
        return answer
    if answer:
        answer = [replace(one, next=_as_subject(one.params)) if "subject" in one.params else one for one in answer]
        return [
            one
            if one.next or (_is_ours(context) and one.params.get("certificates") != 0)
            else replace(one, next=fill(NOT_KNOWN))
            for one in answer
        ]
    return [
        Fault(
            message="no path from the signature to a trusted key was found",
            where=s.where,
            subject=f"signature {s.index}",
        )
        for s in context.evidence.signatures or ()
        if s.standing == "rejected" and not s.problems
    ]


def _as_subject(params: Mapping[str, str | int]) -> str:
    """The next step for a signer whom a trusted CA certifies, and whom the trust file does not name."""
    return (
        "Do not use this file, unless you trust this signer to release it. If you do, state that in the trust.toml: "
        f"`subject = {json.dumps(params['subject'], ensure_ascii=False)}` in a table [signers.NAME] with its anchor."
    )


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Get the current revocation list of that CA and name it in the trust file.",
    see="trust",
    needed=lambda question: question.limits.crls_required,
)
def crl_unusable(context: RuleContext) -> RuleAnswer:
    """The trust file requires revocation checks, and the revocation status of a signer is unknown.

    The revocation list of its CA is missing or cannot be used. A list cannot be used if it is stale, if another CA
    signed it, or if it contains only changes. This is not a fault of the bundle, so the signature is not evaluated.
    """
    if context.evidence.signatures is None:
        return NO_HEAD
    unknown = [s.reason for s in context.evidence.signatures if s.standing == "undecided"]
    return NotRun(reason="; ".join(dict.fromkeys(unknown))) if unknown else ()


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Have the missing signers sign it (`bundlekit sign`), or get the fully signed bundle.",
    see="trust",
)
def too_few_signers(context: RuleContext) -> RuleAnswer:
    """Fewer signers have signed than the trust file requires.

    Signers are counted, not signatures or keys: one person with two keys counts once. If a requirement names
    algorithms, every key from the signer to the anchor must use one of them.
    """
    if context.evidence.signatures is None:
        return NO_HEAD
    if not context.question.trust:
        return _no_trust()
    open_ = [demand for demand in context.evidence.demands or () if not demand.met]
    missing = [demand for demand in open_ if len(demand.present) < demand.count]
    if open_ and not missing:
        return NotRun(reason="required signatures do not count; other rules give the reasons")
    return [
        Fault(
            message=f"the trust file requires {demanded(demand)}; {_who(demand)}",
            params={"count": demand.count, "signed": len(demand.signed)},
            next="" if _is_ours(context) else COSIGN_ELSEWHERE,
        )
        for demand in missing
    ]


def demanded(demand: DemandEvidence) -> str:
    """A requirement in words."""
    how = f", by {' or '.join(demand.algorithms)} keys in the whole chain" if demand.algorithms else ""
    return f"{demand.count} of {', '.join(demand.of)}{how}"


def _who(demand: DemandEvidence) -> str:
    return f"only {', '.join(demand.signed)} signed accordingly" if demand.signed else "none of them signed accordingly"


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Get the bundle for this product, or one of another signer.",
    see="trust",
)
def out_of_scope(context: RuleContext) -> RuleAnswer:
    """A signature is valid, but its signer is not allowed to sign for this product, or this format of bundle."""
    answer = _problems(context, "out-of-scope")
    return answer if isinstance(answer, NotRun) else [replace(one, next=_in_scope(one.params)) for one in answer]


def _in_scope(params: Mapping[str, str | int]) -> str:
    """The next step for a signer that is out of scope: what the trust file would have to allow."""
    value, of_format = str(params.get("format", params.get("product", ""))), "format" in params
    names = ", ".join(f'"{name}"' for name in (*str(params["allowed"]).split(", "), value))
    get = "Do not use this bundle." if of_format else "Get the bundle for this product."
    return (
        f"{get} If the signer is allowed to sign for {value}, state that in the trust file: "
        f"{'formats' if of_format else 'products'} = [{names}] in [signers.{params['signer']}]."
    )


@rule("authenticity", cause="unauthentic", remedy=ISSUE_AGAIN, see="trust")
def chain_unsupported(context: RuleContext) -> RuleAnswer:
    """A signature, or a certificate of its chain, has an algorithm or parameters that cannot be checked here.

    That includes an Ed25519 signature over content that is too large to be kept in memory.
    """
    answer = _problems(context, "chain-unsupported")
    return answer if isinstance(answer, NotRun) else [replace(one, next=_supported(one.params)) for one in answer]


def _supported(params: Mapping[str, str | int]) -> str:
    """The next step for what cannot be checked here; empty for a certificate, as the rule has that."""
    if "size" in params:
        return SIGN_A_DIGEST
    return UPDATE_LIBRARY.format(library=params["library"]) if "library" in params else ""


class Reported(NamedTuple):
    """A rule whose faults are named by verification. With ``needs_trust`` it does not run without trust."""

    page: str
    remedy: str
    cause: Cause = "unauthentic"
    needs_trust: bool = True


REPORTED: Final = {
    "signature-wrong": Reported(
        """A signature does not match the head of this file, or in another format the content that it covers.

    The header, the manifest or the signature was changed after signing, by accident or on purpose, or the
    signature was made for another bundle. A signature that does not name its key was possibly made with another key.
    """,
        COPY_AGAIN,
        cause="corrupted",
        needs_trust=False,
    ),
    "wrong-purpose": Reported(
        """The signer's certificate, or one above it, was issued for a purpose other than code signing.

    A certificate for a web server or for e-mail does not authorise its holder to release firmware.
    """,
        FIT_TO_SIGN,
    ),
    "not-a-signer-certificate": Reported(
        """The signer's certificate must not sign documents: it is a CA's, or lacks the digitalSignature usage.""",
        FIT_TO_SIGN,
    ),
    "signer-not-yet-valid": Reported(
        """A certificate of the signer's chain is not valid yet at the time of the check.""",
        "Check the clock, or {at}: a certificate that is not valid yet cannot have signed the bundle.",
    ),
    "signer-expired": Reported(
        """A certificate of the signer's chain was no longer valid at the time of the check.

    Or the trust file's own last day for this signer (``until``) has passed. With ``time = "released"`` in the
    trust file the time is the bundle's release date, which is the signer's own claim.
    """,
        "Get a bundle that is signed with a current certificate or key, or check the clock.",
    ),
    "signer-denied": Reported(
        """The signer's key, or a certificate between it and the anchor, is on the deny list of the trust file.

    A denied key never counts, even if its signature is valid.
    """,
        OTHER_KEY,
    ),
    "signer-revoked": Reported(
        """A certificate of the signer's chain was revoked by the CA that issued it.

    The time of the revocation does not matter: the holder of the key can claim any date.
    """,
        OTHER_KEY,
    ),
    "test-key": Reported(
        """A signature depends on a test key: one of bundlekit's fixtures, or made by ``bundlekit keygen``.

    Anyone can have those private keys. A trust file rejects them unless it has ``allow-test-keys = true``. The
    report then shows TEST TRUST, as it does for a test key given as PEM.
    """,
        "Sign with a key of your own. For tests, set allow-test-keys in a separate trust file.",
    ),
    "weak-algorithm": Reported(
        """A signature, or a certificate it depends on, uses an algorithm or a key that is too weak to count.

    MD5 and SHA-1, RSA under 2048 bits or with a small exponent, curves other than P-256, P-384 and P-521,
    ML-DSA-44. A trust file can ask for more (``floor``), and for less than RSA-8192 (``ceiling``).
    """,
        "Ask the vendor to sign with a current algorithm and key size.",
        needs_trust=False,
    ),
    "chain-invalid": Reported(
        """The certificates do not form a valid chain (RFC 5280) from the signer to an anchor.""",
        OTHER_SIGNER,
    ),
}
"""The rules whose faults are found while signatures are verified, by the names of those faults."""


def _reported(name: str) -> Rule:
    row = REPORTED[name]
    run = partial(_problems, name=name, needs_trust=row.needs_trust)
    return make(name, row.page, run, "authenticity", cause=row.cause, remedy=row.remedy, see="trust")


RULES: Final = (
    unsigned,
    signature_malformed,
    _reported("signature-wrong"),
    signer_unknown,
    _reported("wrong-purpose"),
    _reported("not-a-signer-certificate"),
    _reported("signer-not-yet-valid"),
    _reported("signer-expired"),
    _reported("signer-denied"),
    _reported("signer-revoked"),
    crl_unusable,
    _reported("test-key"),
    out_of_scope,
    _reported("weak-algorithm"),
    chain_unsupported,
    _reported("chain-invalid"),
    too_few_signers,
)
