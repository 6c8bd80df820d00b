"""Rules about the layout: is the file an update.bin, and can it be read without guessing?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit._version import __version__
from bundlekit.checks.rule import MAX_FINDINGS, RuleAnswer, RuleContext, faults, rule
from bundlekit.errors import VersionError
from bundlekit.layout.foreign import named
from bundlekit.layout.places import Places
from bundlekit.layout.update_bin import HEADER_SIZE
from bundlekit.matrix import inconsistencies
from bundlekit.model.bundle import Span
from bundlekit.model.finding import Fault, NotRun
from bundlekit.versions import scheme_named
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.manifest import Manifest

COPY_AGAIN: Final = "Copy or download the file again, in binary mode, and compare its size with the source's."
ASK_VENDOR: Final = (
    "Get the file again. If it is unchanged, do not use it: ask its builder for one that `bundlekit check` accepts."
)
UPDATE: Final = "Update bundlekit, then check again."
TOOL: Final = scheme_named("pep440")  # bundlekit is a Python package, and versioned like one
NO_HEADER: Final = NotRun(reason="the header could not be read")
NO_HEAD: Final = NotRun(reason="the head and the signature area could not be read completely")
NO_MANIFEST: Final = NotRun(reason="the manifest could not be read")


def _read_problem(context: RuleContext, name: str, *, reached: bool, otherwise: NotRun) -> RuleAnswer:
    """The problems of that name found while reading. Without any, the rule passes only if that part was ``reached``."""
    return faults(context.bundle.problems, name) or (() if reached else otherwise)


@rule("layout", cause="corrupted", remedy="Name a bundle, or get the file again.", see="format")
def not_a_bundle(context: RuleContext) -> RuleAnswer:
    """The file is neither an update.bin nor a bundle in another format that bundlekit reads.

    Either the file has another format, or its first bytes are damaged. Many formats are recognised by their content:
    bundles of other update tools, archives, images, documents, web pages. The message then names the format, and the
    cause is `unsupported-format`: the file is not damaged, but it is the wrong file. `bundlekit explain formats` lists
    the formats that are read.
    """
    return [_of_its_kind(fault) for fault in faults(context.bundle.problems, "not-a-bundle")]


def _of_its_kind(fault: Fault) -> Fault:
    """The fault of a file in another known format: the file is not damaged, but it is the wrong file."""
    kind = named(fault.params)
    return replace(fault, cause="unsupported-format", next=fill(kind.next)) if kind else fault


@rule("layout", cause="corrupted", remedy=COPY_AGAIN, see="format", aspect="container")
def text_mode_damage(context: RuleContext) -> RuleAnswer:
    """The file was transferred as text.

    Its magic contains a byte with the high bit set, CR LF, Control-Z and LF. The changes to these bytes show the cause:
    FTP in ASCII mode, a mail gateway, or a version control filter.
    """
    return faults(context.bundle.problems, "text-mode-damage")


@rule("layout", cause="corrupted", remedy=COPY_AGAIN, see="format")
def truncated(context: RuleContext) -> RuleAnswer:
    """The file is shorter than its header specifies: the end is missing.

    The transfer was interrupted, the disk was full, or the file is still being written. `bundlekit extract` and
    catalogs write a head alone. Such a head is reported as one, with the cause `unsupported-format`.
    """
    reached = context.bundle.declared_size is not None
    found = _read_problem(context, "truncated", reached=reached, otherwise=NO_HEADER)
    return found if isinstance(found, NotRun) else [_of_its_kind(fault) for fault in found]


@rule("layout", cause="corrupted", remedy=COPY_AGAIN, see="format")
def trailing_data(context: RuleContext) -> RuleAnswer:
    """Bytes follow the end of the bundle, and no signature covers them.

    They were appended, either by a tool that pads files or by an attacker. Some programs read a file from its end, and
    an attacker can make use of that.
    """
    reached = context.bundle.declared_size is not None
    return _read_problem(context, "trailing-data", reached=reached, otherwise=NO_HEADER)


@rule("layout", cause="corrupted", remedy=COPY_AGAIN, see="format")
def header_out_of_bounds(context: RuleContext) -> RuleAnswer:
    """A field of the header is outside the limits of the format.

    The limits keep a damaged or hostile header from using up memory. No bundle from a real build comes close to them.
    """
    reached = context.bundle.declared_size is not None
    return _read_problem(context, "header-out-of-bounds", reached=reached, otherwise=NO_HEADER)


@rule("layout", cause="requirements", remedy="Update bundlekit, then check again.", see="format")
def tool_too_old(context: RuleContext) -> RuleAnswer:
    """The bundle needs a newer bundlekit.

    It has a later version of the format, uses a feature that this bundlekit lacks, or requires a later version itself.
    This is not a fault of the bundle, so the bundle is not rejected. It cannot be validated either, so the verdict is
    *incomplete*.
    """
    for problem in context.bundle.problems:
        if problem.rule == "tool-too-old":
            return NotRun(reason=problem.message, next=UPDATE)
    manifest = context.bundle.manifest
    if "manifest" not in context.bundle.aspects:
        return ()
    if manifest is None:
        return NO_MANIFEST
    wanted = manifest.requirements.tool
    try:
        newer = wanted is not None and TOOL.parse(wanted) > TOOL.parse(__version__)
    except VersionError:  # manifest-inconsistent reports this
        newer = False
    because = f"the bundle requires bundlekit {wanted} or later, and this is {__version__}"
    return NotRun(reason=because, next=UPDATE) if newer else ()


@rule(
    "layout",
    cause="corrupted",
    remedy="If `bundlekit sign` was interrupted, run it again to finish. Otherwise get the file again.",
    see="format",
    aspect="area",
)
def signature_area_malformed(context: RuleContext) -> RuleAnswer:
    """The signature area is not a list of entries that ends in zeros.

    An entry is a length of four bytes, followed by that many bytes of DER. A length of zero ends the list. At most 16
    entries are allowed.
    """
    reached = context.bundle.signatures is not None
    return _read_problem(context, "signature-area-malformed", reached=reached, otherwise=NO_HEAD)


@rule(
    "layout",
    cause="corrupted",
    remedy="If `bundlekit sign` was interrupted, run it again to finish. Otherwise get the file again.",
    see="format",
    aspect="area",
)
def signature_area_dirty(context: RuleContext) -> RuleAnswer:
    """Bytes other than zero follow the last signature.

    No signature or digest covers them, so they could contain anything.
    """
    if context.evidence.zeros is None or context.bundle.signatures is None:
        return NO_HEAD
    return [
        Fault(
            message=f"byte 0x{at:x} of the unused signature area is not zero",
            where=Span(start=at, stop=at + 1),
        )
        for zero in context.evidence.zeros
        if zero.subject == "signature area" and (at := zero.first_nonzero) is not None
    ]


@rule("layout", cause="corrupted", remedy=ASK_VENDOR, see="format", aspect="manifest")
def manifest_not_canonical(context: RuleContext) -> RuleAnswer:
    """The manifest is not canonical JSON.

    Each manifest has exactly one encoding: keys sorted, no blanks, no duplicate keys, no null, no fractions, integers
    up to 2^53-1, UTF-8 without byte order mark. A manifest that another program edited or serialised again fails here.
    So does a manifest made so that two readers see two different values.
    """
    reached = context.bundle.document is not None
    return _read_problem(context, "manifest-not-canonical", reached=reached, otherwise=NO_HEAD)


@rule("layout", cause="corrupted", remedy=ASK_VENDOR, see="manifest", aspect="manifest")
def manifest_schema(context: RuleContext) -> RuleAnswer:
    """The manifest does not follow its schema (``bundlekit schema manifest``).

    A key is unknown or missing, or a value has the wrong type or is outside its limits. The message names the key. For
    an unknown key it also names the nearest known key.
    """
    reached = context.bundle.manifest is not None
    return _read_problem(context, "manifest-schema", reached=reached, otherwise=NO_MANIFEST)


@rule("layout", cause="corrupted", remedy=ASK_VENDOR, see="manifest", aspect="manifest")
def manifest_inconsistent(context: RuleContext) -> RuleAnswer:
    """The manifest contradicts itself, so two readers could understand it differently.

    Examples are two components of one name, an image for a model that the bundle does not support, and a model without
    an image. Another is a matrix entry that names a version outside the declared scheme. The message names the
    contradiction.
    """
    manifest, document, head = context.bundle.manifest, context.bundle.document, context.bundle.head
    if manifest is None or document is None or head is None:
        return NO_MANIFEST
    places = Places(document, Span(start=HEADER_SIZE, stop=head.stop))
    found = [(Fault(message=message), partial(places.at, path)) for path, message in contradictions(manifest)]
    for fault in faults(inconsistencies(manifest, context.matrix), "manifest-inconsistent"):
        entry, field = str(fault.params["entry"]), str(fault.params["field"])
        found.append(
            (fault, partial(places.at, field) if "beside" in fault.params else partial(places.entry, entry, field))
        )
    # A matrix can have a hundred thousand faults. Positions are needed only for those that are reported.
    shown = [replace(fault, where=place()) for fault, place in found[:MAX_FINDINGS]]
    return shown + [fault for fault, _ in found[MAX_FINDINGS:]]


def contradictions(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Contradictions among product, models, components and documents: the path, and the problem."""
    if len({model.lower() for model in manifest.models}) < len(manifest.models):
        yield "models", "a model is listed twice, or two models differ only in case"
    if manifest.expires is not None and manifest.expires < manifest.released:
        yield "expires", f"it expires on {manifest.expires}, before its release on {manifest.released}"
    # Two components of one name keep the matrix from being read, so they are reported there.
    taken = {component.name for component in manifest.components}
    for number, document in enumerate(manifest.documents):
        if document.name in taken:
            yield f"documents[{number}]", f"another document or a component is named {document.name!r}"
        taken.add(document.name)
    for number, component in enumerate(manifest.components):
        path = f"components[{number}]"
        served = [model for image in component.images for model in image.models or dict.fromkeys(manifest.models)]
        for model in sorted(set(served)):
            if model not in manifest.models:
                yield (
                    path,
                    f"component {component.name!r} has an image for {model!r}, which is not a model of the bundle",
                )
            elif served.count(model) > 1:
                yield path, f"component {component.name!r} has more than one image for {model!r}"
        for model in manifest.models:
            if model not in served:
                yield path, f"component {component.name!r} has no image for {model!r}"


@rule("layout", cause="corrupted", remedy=ASK_VENDOR, see="format", aspect="manifest")
def payload_past_end(context: RuleContext) -> RuleAnswer:
    """The manifest describes more bytes than the header specifies for the file."""
    manifest, area, declared = context.bundle.manifest, context.bundle.area, context.bundle.declared_size
    if manifest is None or area is None or declared is None:
        return NO_MANIFEST
    end = max(section.span.stop for section in context.bundle.sections if not section.span.stream)
    if end <= declared:
        return ()
    message = f"the manifest describes a file of {end} bytes, but the header states {declared}"
    return [Fault(message=message, where=Span(start=24, stop=32), params={"manifest": end, "header": declared})]


@rule(
    "layout",
    cause="corrupted",
    remedy="Put the file next to the detached head, or name it ({component}).",
    see="format",
    needed=lambda question: question.scope == "full",
    aspect="detached",
)
def component_missing(context: RuleContext) -> RuleAnswer:
    """The file of a component is not next to the detached head.

    A detached head contains no payload. Each component is a file of its own, and the manifest names it. A pre-flight
    does not read the files, and does not need them.
    """
    if context.question.scope == "head":
        return NotRun(reason="a pre-flight does not read the files of a detached head")
    reached = context.bundle.manifest is not None
    return _read_problem(context, "component-missing", reached=reached, otherwise=NO_MANIFEST)


@rule(
    "layout",
    cause="corrupted",
    remedy="Ask the vendor for a bundle whose component is valid by itself; `bundlekit check` on it has the details.",
    see="formats",
    needed=lambda question: question.scope == "full",
    aspect="inner",
)
def component_invalid(context: RuleContext) -> RuleAnswer:
    """A component is a bundle in another format, and the rules of that format reject it.

    The manifest demands the format with ``format`` of the component. Each message begins with the name of a rule, which
    has a page of its own. The signers of the component must be trusted for that format (``formats`` in a trust.toml).
    """
    inner = context.evidence.inner
    if inner is None:
        return NotRun(reason="the payload was not read")
    found = [
        Fault(
            message=f"{one.subject!r} must be a bundle in the format {one.format!r}, but is not recognised as one",
            where=one.span,
            subject=one.subject,
            params={"format": one.format},
        )
        for one in inner
        if not one.recognised
    ]
    found += [
        Fault(
            message=f"{finding.rule}: {finding.message}",
            where=finding.where or one.span,
            subject=one.subject,
            next=finding.next,
            cause=finding.cause,
            params={"rule": finding.rule, "format": one.format},
        )
        for one in inner
        for finding in one.findings
    ]
    left = [f"{one.subject}: {reason}" for one in inner for reason in one.not_run]
    return NotRun(reason="; ".join(left)) if left and not found else found


RULES: Final = (
    not_a_bundle,
    text_mode_damage,
    truncated,
    trailing_data,
    header_out_of_bounds,
    tool_too_old,
    signature_area_malformed,
    signature_area_dirty,
    manifest_not_canonical,
    manifest_schema,
    manifest_inconsistent,
    payload_past_end,
    component_missing,
    component_invalid,
)
