"""What a release engineer should know of a matrix before it ships: a closed table of named rules.

Nothing here decides about an appliance. An ``error`` strands somebody or contradicts itself, a ``warning`` is
probably a mistake, an ``info`` is worth a look. Each rule is a generator over a `Ground`.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator
from inspect import cleandoc
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from bundlekit.config import DURATIONS, UNITS
from bundlekit.errors import VersionError
from bundlekit.matrix.case import models_of, why
from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.consistency import inconsistencies
from bundlekit.matrix.facts import in_words
from bundlekit.matrix.meant import has_known_line, is_meant, unlisted_base
from bundlekit.matrix.part import entry_digest
from bundlekit.matrix.read import APPLIANCE, ReadMatrix, Unreadable, misspelt_appliance, read_matrix
from bundlekit.matrix.routes import Routes
from bundlekit.matrix.shipped import Acceptance, Signatures
from bundlekit.matrix.work import LINT_FACTOR, models_apart, require_feasible, versions_named
from bundlekit.mistakes import nearest
from bundlekit.model.finding import Severity
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bundlekit.matrix.read import ReadSource
    from bundlekit.model.decision import Ruling
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.matrix import Block, Entry
    from bundlekit.versions import Version

MAX_NAMED: Final = 8
"""Versions that one sentence names."""

MAX_FOUND: Final = 1000
"""Findings of one rule after which it stops: a matrix can be made to have a hundred thousand."""

UNIT: Final = (
    "s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|d|days?|weeks?|months?|years?|"
    "b|bytes?|[kmgt]|[kmgt]i?b|(?:kilo|mega|giga|tera)bytes?"
)
"""What people call units of time and of size."""

ON_PURPOSE: Final = "if it is left behind on purpose,"


class LintFinding(Frozen, frozen=True, kw_only=True):
    """One thing to look at: ``subject`` is the version concerned, ``entry`` the id of the entry to change."""

    rule: str
    severity: Severity
    message: str
    next: str
    subject: str = ""
    entry: str = ""


class LintReport(Frozen, frozen=True, kw_only=True):
    """The lint of one release's matrix: ``against`` are the versions of the other bundles that were given.

    ``not_run`` says which rules could not be applied, or not to their end, and why. With ``strict`` the verdict is
    ``incomplete`` where one of them is a rule that refuses.
    """

    schema: Literal["bundlekit/lint/1"] = "bundlekit/lint/1"
    product: str
    version: str
    at: str
    against: tuple[str, ...] = ()
    verdict: Literal["accept", "refuse", "incomplete"]
    findings: tuple[LintFinding, ...]
    not_run: dict[str, str] = {}


class Ground:
    """All that a rule of the lint may look at: the matrix, others, and what is decided for each version.

    ``versions`` are the known versions below the bundle's own, oldest first; ``decisions`` has what decided for
    each of them and each model (None: neither the matrix nor the other bundles tell models apart); ``ways`` are
    versions that get to the bundle, ``detours`` those of them whose own bundles are not at hand, and ``direct`` those
    of these that may take the bundle itself; ``signers`` are the names of the keys that sign the bundle (None: not
    known), ``signatures`` its signatures; ``supported`` are the versions in the field.
    """

    def __init__(
        self,
        read: ReadMatrix,
        others: Sequence[ReadMatrix],
        *,
        signers: frozenset[str] | None,
        signatures: Signatures | None,
        supported: frozenset[str] | None,
        ended: frozenset[str],
    ) -> None:
        self.read = read
        self.others = others
        self.signers = signers
        self.signatures = signatures
        installed = {version for version in versions_named(read) if version < read.own}
        installed |= {version for version in map(self._read_version, others) if version is not None}
        installed |= {version for version in (unlisted_base(read),) if version is not None}
        self.versions = sorted(installed)
        self.supported = [
            one for one in self.versions if one.text not in ended and (supported is None or one.text in supported)
        ]
        self.models = models_apart(read, others)
        self.routes = {model: Routes(read, others, model) for model in self.models}
        self.decisions: dict[tuple[Version, str | None], Ruling] = {
            (version, model): routes.decided(read, version.text)
            for version in self.versions
            for model, routes in self.routes.items()
        }
        self.ways = {
            model: [
                version
                for version in self.versions
                if version.text not in routes.elsewhere and routes.reaches(routes.plain(version.text))
            ]
            for model, routes in self.routes.items()
        }
        self.detours = {
            model: [version for version in self.ways[model] if not routes.knows(version.text)]
            for model, routes in self.routes.items()
        }
        self.direct = {
            model: [version for version in versions if self.decisions[version, model].allowed]
            for model, versions in self.detours.items()
        }
        self.base = {
            model: next((one for one in reversed(self.versions) if one.text not in routes.elsewhere), None)
            for model, routes in self.routes.items()
        }
        self.reasoned = {block.entry.id: block.entry for block in read.blocks if block.entry.reason}

    def _read_version(self, other: ReadMatrix) -> Version | None:
        version = self.read.parse(self.read.lead, other.manifest.version)
        return version if version < self.read.own else None

    def is_meant(self, version: Version, model: str | None) -> bool:
        """Whether the bundle is meant for a version that is installed on this model somewhere."""
        is_there = version.text not in self.routes[model].elsewhere
        return is_there and is_meant(self.read, version, model, self.base[model])

    def allowed(self) -> Iterator[tuple[Version, str | None, str]]:
        """Version, model and source of each direct update that the matrix allows, of versions that somebody has."""
        for (version, model), ruling in self.decisions.items():
            if ruling.allowed and version.text not in self.routes[model].elsewhere:
                yield version, model, ruling.entry


class Said(NamedTuple):
    """What a rule says once: ``next`` is the next step (empty: the rule's remedy)."""

    message: str
    subject: str = ""
    entry: str = ""
    next: str = ""


class Lint(Frozen, frozen=True, kw_only=True):
    """A rule of the lint; ``page`` is what ``bundlekit explain NAME`` shows."""

    name: str
    severity: Severity
    remedy: str
    page: str
    run: Callable[[Ground], Iterator[Said]]


def _lint(severity: Severity, remedy: str) -> Callable[[Callable[[Ground], Iterator[Said]]], Lint]:
    def make(function: Callable[[Ground], Iterator[Said]]) -> Lint:
        name = function.__name__.replace("_", "-")
        return Lint(
            name=name,
            severity=severity,
            remedy=remedy,
            page=cleandoc(function.__doc__ or "").replace("``", "`"),
            run=function,
        )

    return make


def lint(
    manifest: Manifest,
    others: Iterable[Manifest] = (),
    *,
    at: str,
    signers: Collection[str] | None = None,
    signatures: Signatures | None = None,
    supported: Collection[str] | None = None,
    ended: Collection[str] = (),
    strict: bool = False,
    matrix: ReadMatrix | Unreadable | None = None,
) -> LintReport:
    """Lint the matrix of ``manifest``. The verdict is ``refuse`` for an error, with ``strict`` for a warning too.

    ``others`` are the manifests of releases that lie on the way; those that have expired ``at`` (YYYY-MM-DD), or
    are not out yet, lead nowhere. ``signers`` are the names of the keys that sign the bundle,
    ``signatures`` what trust files that releases ship are asked about (the names, if not given), ``supported`` the
    versions that must not be stranded (all known ones if not said), ``ended`` those whose support is over;
    ``matrix`` is the manifest's, if it has been read already. Takes time in proportion to releases times entries;
    ConfigError for a matrix that would take minutes.
    """
    read = matrix or read_matrix(manifest)
    found = [
        LintFinding(
            rule=problem.rule,
            severity="error",
            message=problem.message,
            next="Correct it and build the bundle again.",
            entry=problem.subject,
        )
        for problem in inconsistencies(manifest, read)
    ]
    not_run, against, incomplete = {}, [], False
    if isinstance(read, Unreadable):
        not_run = {rule.name: "the matrix cannot be read" for rule in LINTS}
    else:
        require_feasible(read, factor=LINT_FACTOR)
        for other in others:
            other_read = read_matrix(other)
            if other.product != manifest.product or other.kind == "reimage":
                not_run[other.version] = "it is a re-image, or it is of another product"
            elif isinstance(other_read, Unreadable):
                not_run[other.version] = "its matrix cannot be read"
                incomplete = True  # it may restrict the way
            elif other_read.lead != read.lead or not _fits(read, other):
                not_run[other.version] = f"it is about something else, or {manifest.version} gives it no place"
            elif other.version != manifest.version and other.released <= at <= (other.expires or at):
                require_feasible(other_read, factor=LINT_FACTOR)
                against.append(other_read)
        require_feasible(read, against, factor=LINT_FACTOR)
        against.sort(key=lambda other: read.parse(read.lead, other.manifest.version))
        ground = Ground(
            read,
            against,
            signers=None if signers is None else frozenset(signers),
            signatures=signatures,
            supported=None if supported is None else frozenset(supported),
            ended=frozenset(ended),
        )
        if signatures is None and signers is not None:
            signatures = Signatures(
                sorted(signers), f"{at}T23:59:59Z", product=manifest.product, released=manifest.released
            )
            ground.signatures = signatures
        if (because := _unasked(ground)) is not None:
            not_run[source_cannot_verify.name] = because
        for rule in LINTS:
            said = list(islice(rule.run(ground), MAX_FOUND + 1))
            found += [_finding(rule, one) for one in said[:MAX_FOUND]]
            if len(said) > MAX_FOUND:
                not_run[f"{rule.name}, after {MAX_FOUND} findings"] = "these are enough to begin with"
        incomplete = incomplete or any(rule.name in not_run for rule in LINTS if rule.severity != "info")
    refusing = ("error", "warning") if strict else ("error",)
    verdict: Literal["accept", "refuse", "incomplete"] = "accept"
    if any(one.severity in refusing for one in found):
        verdict = "refuse"
    elif strict and incomplete:
        verdict = "incomplete"
    return LintReport(
        product=manifest.product,
        version=manifest.version,
        at=at,
        against=tuple(one.manifest.version for one in against),
        verdict=verdict,
        findings=tuple(found),
        not_run=not_run,
    )


def _unasked(ground: Ground) -> str | None:
    """Why it was not asked whether versions can verify the bundle; None if it was, or there is nothing to ask."""
    read, allowed = ground.read, dict.fromkeys(version for version, _, _ in ground.allowed())
    if ground.signatures is None and read.trust_of:
        return "the signatures of the bundle are not known; give the signed bundle, or --signed-by"
    if ground.signers is None and any(read.ships(one) is None and read.trusts(one) is not None for one in allowed):
        return "it is not known which keys sign the bundle (--signed-by, or --trust with a trust.toml)"
    if ground.signers is not None and not read.trusted_keys and not read.trust_of:
        return "the matrix does not say which keys releases trust (trusted-keys, trust-of)"
    problems = [trust.problem for one in allowed if (trust := read.ships(one)) is not None and trust.problem]
    undecided = [
        f"{one} {answer.because}"
        for one in allowed
        if read.ships(one) is not None and (answer := _accepts(ground, one)).accepts is None
    ]
    return next(iter((*problems, *undecided)), None)


def _fits(read: ReadMatrix, other: Manifest) -> bool:
    try:
        read.parse(read.lead, other.version)
    except VersionError:
        return False
    return True


def _finding(rule: Lint, said: Said) -> LintFinding:
    return LintFinding(
        rule=rule.name,
        severity=rule.severity,
        message=said.message,
        next=said.next or rule.remedy,
        subject=said.subject,
        entry=said.entry,
    )


# --- who gets stranded --------------------------------------------------------------------------------------


@_lint("error", "Add a [[from]] that covers it, a [[stop]] through which it can go, or a [[dead-end]] with a reason.")
def stranded_version(ground: Ground) -> Iterator[Said]:
    """A version in the field has no way to this release.

    Neither may it take the bundle itself, nor does a stop or another bundle that was given lead on from it.
    The same is asked of the states that a failed update can leave behind. A version that a [[dead-end]] with a
    reason names is left behind on purpose (left-behind). So is one that a [[block]] with a reason keeps from this
    release, if no later release leads here either. Where one does, the reason says only that the version must not
    come directly: it has to be able to come by that release, or it is stranded.
    """
    for version, model, on in _in_the_field(ground):
        routes = ground.routes[model]
        whole = ground.decisions[version, model]
        if not routes.reaches(routes.plain(version.text)):
            if not _detour(ground, version, model) and not _blocked_on_purpose(ground, version, model):
                yield Said(
                    f"{on} is stranded: {_objection(ground, version, model)}",
                    on,
                    whole.entry,
                    _help(whole, _next(ground.ways[model], version)),
                )
            continue
        for state in routes.after_failures(version.text):
            if not routes.reaches(state):
                yield Said(
                    f"{on} is stranded after a failed update: nothing leads on from {state}.",
                    on,
                    whole.entry,
                    "Let this release be installed over that state, or say that these do not work together.",
                )


def _objection(ground: Ground, version: Version, model: str | None) -> str:
    """Why a version has no way here. Its own matrix may let it in, and another one speak against it."""
    whole, routes = ground.decisions[version, model], ground.routes[model]
    if whole.allowed:
        return routes.refusal(ground.read, routes.plain(version.text))
    refused = _refused_stop(ground, version, model)
    return f"{whole.message} {refused[1]}" if refused else whole.message


def _refused_stop(ground: Ground, version: Version, model: str | None) -> tuple[Version, str] | None:
    """The stop that a version is sent to, and why it cannot go there; None if it is sent to none, or can."""
    whole, routes = ground.decisions[version, model], ground.routes[model]
    if whole.kind != "needs-stop":
        return None
    via = next(stop.via for stop in ground.read.stops if stop.entry.id == whole.entry)
    if other := routes.elsewhere.get(via.text):
        return via, f"{via} is not for {model}, but for {', '.join(models_of(other))}."
    bundle = routes.bundles.get(via.text)
    refusal = routes.refusal(bundle, routes.plain(version.text)) if bundle else ""
    return (via, refusal) if refusal else None


GIVE: Final = "Give the bundle of the release in between to the lint as well, or name it in a [[stop]]"


@_lint("warning", f"{GIVE}.")
def detour_unknown(ground: Ground) -> Iterator[Said]:
    """A version can get here only through a later release, and whether it can go there was not to be seen.

    Nobody says that it is stranded, and nobody has looked: the bundle of that release was not given.
    """
    for version, model, on in _in_the_field(ground):
        routes = ground.routes[model]
        detour = _detour(ground, version, model)
        if detour and not routes.reaches(routes.plain(version.text)):
            whole = ground.decisions[version, model]
            remedy = ""
            if whole.kind == "blocked":
                remedy = f"{GIVE}; {ON_PURPOSE} make {whole.entry} a [[dead-end]] with a reason."
            if refused := _refused_stop(ground, version, model):
                via, refusal = refused
                way = f"get there through {detour}" if detour < via else f"go through {detour} instead"
                said = f"{on} has to go to {via} first, and cannot: {refusal} Whether it can {way} was not to be seen."
            else:
                why_not = _objection(ground, version, model)
                said = f"{on} would have to go through {detour}, whose bundle was not given: {why_not}"
            yield Said(said, on, whole.entry, remedy)


def _in_the_field(ground: Ground) -> Iterator[tuple[Version, str | None, str]]:
    """Each version that the bundle is meant for and must not strand, on each model, and the two as a text."""
    deliberate = [dead_end.range for dead_end in ground.read.dead_ends if dead_end.entry.reason]
    for version in ground.supported:
        if not any(version in versions for versions in deliberate):
            for model in ground.models:
                if ground.is_meant(version, model):
                    yield version, model, f"{version} on {model}" if model else version.text


def _detour(ground: Ground, version: Version, model: str | None) -> Version | None:
    """The next later release from which this one can be reached, and whose own matrix is not known.

    One that may take the bundle itself comes before all others: it is what the decision for the version names, too.
    """
    if any(version in dead_end.range for dead_end in ground.read.dead_ends):
        return None
    return _next(ground.direct[model], version) or _next(ground.detours[model], version)


def _next(rising: Sequence[Version], version: Version) -> Version | None:
    """The first of some versions, which rise, that is later than this one."""
    place = bisect.bisect_right(rising, version)
    return rising[place] if place < len(rising) else None


def _blocked_on_purpose(ground: Ground, version: Version, model: str | None) -> Block | None:
    """The block that leaves this version behind on purpose: it has a reason, and no later release leads here."""
    whole, routes = ground.decisions[version, model], ground.routes[model]
    if whole.kind != "blocked" or routes.reaches(routes.plain(version.text)) or _next(ground.ways[model], version):
        return None
    return ground.reasoned.get(whole.entry)


def _help(whole: Ruling, later: Version | None) -> str:
    """What would help a stranded version; empty where the rule's remedy does.

    A [[from]] is no help where another entry decides before it. ``later`` leads here, and refuses the version.
    """
    entry = whole.entry
    match whole.kind:
        case "blocked" if later:
            way = f"Let {later} take it, or a release named in a [[stop]]"
            return f"{way}; {ON_PURPOSE} make {entry} a [[dead-end]] with a reason."
        case "blocked":
            return f"Give {entry} a reason {ON_PURPOSE} or name in a [[stop]] a release by which it can go."
        case "needs-stop":
            return f"Let {entry} lead to a release that takes it and goes on; {ON_PURPOSE} say so in a [[dead-end]]."
        case "dead-end":
            return f"Give {entry} a reason {ON_PURPOSE} or take it out."
        case "withdrawn":
            return f"Take {entry} out: it withdraws this release itself."
        case "unknown-version":
            return f"List {whole.installed} in `releases`, and let a [[from]] cover it."
        case _:
            return ""


@_lint("info", "Nothing, if that is meant.")
def left_behind(ground: Ground) -> Iterator[Said]:
    """A known version is left behind on purpose.

    Either a [[dead-end]] with a reason names it: only re-imaging leads out of it. Or a [[block]] with a reason
    keeps it from this release, and no later release leads here either.
    """
    for dead_end in ground.read.dead_ends:
        covered = [version for version in ground.supported if version in dead_end.range]
        if covered and dead_end.entry.reason:
            yield Said(
                f"Only re-imaging leads out of {_named(covered)}: {dead_end.entry.reason}", entry=dead_end.entry.id
            )
    blocked: dict[str, dict[Version, list[str]]] = {}
    for version, model, _ in _in_the_field(ground):
        if block := _blocked_on_purpose(ground, version, model):
            blocked.setdefault(block.id, {}).setdefault(version, []).extend([model] if model else ())
    for name, versions in blocked.items():
        from_ = listed(
            f"{version} on {', '.join(models)}" if len(models) < len(ground.models) and models else version.text
            for version, models in versions.items()
        )
        yield Said(
            f"{name} blocks the way from {from_} to {ground.read.own}, and no other is known:"
            f"{why(ground.reasoned[name])}",
            entry=name,
        )


@_lint("info", "Nothing, if that is meant. Otherwise add a [[from]] for them.")
def exempted_version(ground: Ground) -> Iterator[Said]:
    """A version is not asked about, because the bundle is not meant for it.

    A hotfix is meant for the newest version before it, and for the versions in the ranges of its [[from]] entries.
    All other versions need no way to it. A re-image is no update, so no version needs a way to it.
    """
    kind = ground.read.manifest.kind
    exempted = [
        version for version in ground.supported if not any(ground.is_meant(version, model) for model in ground.models)
    ]
    if kind != "release" and exempted:
        yield Said(
            f"This is a {kind}, and no [[from]] is about {_named(exempted)}: a way from there was not looked for."
            if kind == "hotfix"
            else f"This is a re-image, which is no update: a way from {_named(exempted)} was not looked for."
        )


@_lint("warning", "List the release that the hotfix is for in `releases`, and let a [[from]] cover it.")
def base_unknown(ground: Ground) -> Iterator[Said]:
    """The matrix of a hotfix knows no version with the same numbers, except for the last one, before the hotfix.

    The release that the hotfix is for is then probably missing from `releases`, and cannot take the hotfix.
    """
    read = ground.read
    unlisted = any(source.entry.unlisted for source in read.sources)
    if read.manifest.kind == "hotfix" and not unlisted and not has_known_line(read, ground.versions):
        line = ".".join(map(str, read.own.numbers[:-1]))
        yield Said(f"{read.own} is a hotfix, and no earlier version that begins with {line} is known.", read.own.text)


@_lint("error", "Add a [[from]] for the versions that may be updated to this release.")
def no_way_in(ground: Ground) -> Iterator[Said]:
    """No known version may take this bundle, so it can never be installed as an update."""
    sources = ground.read.sources
    unlisted = any(source.entry.unlisted for source in sources)
    if ground.read.manifest.kind != "reimage" and not any(ground.allowed()) and not unlisted:
        what = "No source is named" if not sources else "None of the known versions may take the bundle"
        yield Said(f"{what}, so nobody can install {ground.read.own} as an update.")


@_lint("error", "Unblock the stop, or send these versions through another release.")
def stop_blocked(ground: Ground) -> Iterator[Said]:
    """A stop leads to a release out of which no way leads to this one."""
    for stop in ground.read.stops:
        for model, routes in ground.routes.items():
            if not routes.reaches(routes.plain(stop.via.text)):
                on = f"{stop.via} on {model}" if model else stop.via.text
                whole = routes.decided(ground.read, stop.via.text)
                # Its matrix may let the stop in, and a counter, a lost fix or another matrix speak against it.
                reason = routes.refusal(ground.read, routes.plain(stop.via.text)) or whole.message
                yield Said(f"The stop leads to {on}, and from there: {reason}", on, stop.entry.id)


@_lint("error", "Sign the bundle with a key that these versions trust as well, or add a stop that brings the new key.")
def source_cannot_verify(ground: Ground) -> Iterator[Said]:
    """A version that may take the bundle does not accept the signatures of the bundle, so it will refuse the bundle.

    This strands fleets when keys are changed. `trust-of` says which trust file a release ships: the signatures have to
    meet its demands. `trusted-keys` says in short which keys a release trusts: one of them has to sign.
    """
    accepts = {version: _accepts(ground, version) for version in ground.versions}
    bringing = [version for version, answer in accepts.items() if answer.accepts]
    for version, model, entry in ground.allowed():
        answer = accepts[version]
        if answer.accepts is not False:
            continue
        on = f"{version} on {model}" if model else version.text
        place = bisect.bisect_right(bringing, version)
        stop = bringing[place] if place < len(bringing) else None
        sign = f"have it signed by {' or '.join(answer.missing)} as well" if answer.missing else ""
        if ground.read.ships(version) is None:
            sign = f"Sign with a key that {version} trusts, too"
            by = f", or add a [[stop]] via {stop}, which trusts one of these." if stop else ""
            remedy = f"{sign}{by}" if by else ""
        else:
            ways = [sign] if sign else []
            ways += [f"add a [[stop]] via {stop}, whose trust file accepts it"] if stop else []
            remedy = f"{(', or '.join(ways))[0].upper()}{(', or '.join(ways))[1:]}." if ways else ""
        yield Said(f"{on} {answer.because}: it will refuse what the matrix allows.", on, entry, remedy)


def _accepts(ground: Ground, version: Version) -> Acceptance:
    """Whether a version accepts the signatures of the bundle, by the trust file that it ships, or by names of keys."""
    if (shipped := ground.read.ships(version)) is not None:
        return ground.signatures.accepted_by(shipped) if ground.signatures else Acceptance(accepts=None)
    trusted = ground.read.trusts(version)
    if trusted is None or ground.signers is None:
        return Acceptance(accepts=None)
    signers = ", ".join(sorted(ground.signers)) or "nobody"
    because = f"trusts {', '.join(sorted(trusted)) or 'no key'}, and the bundle is signed by {signers}"
    return Acceptance(accepts=bool(trusted & ground.signers), because=because)


@_lint("error", "Correct one of the two, or leave out `trusted-keys`, for `trust-of` decides where both are given.")
def trust_contradicted(ground: Ground) -> Iterator[Said]:
    """The tables `trusted-keys` and `trust-of` name different signers for one release."""
    read = ground.read
    since = sorted({since for since, _ in (*read.trusted_keys, *read.trust_of)})
    for version in since:
        keys, shipped = read.trusts(version), read.ships(version)
        if keys is not None and shipped is not None and not shipped.problem and keys != shipped.names:
            named = ", ".join(sorted(keys)) or "no key"
            yield Said(
                f"From {version} on `trusted-keys` names {named}, and the trust file of `trust-of` "
                f"{', '.join(sorted(shipped.names))}.",
                version.text,
            )


@_lint("warning", "Correct the name (--signed-by), or say in `trusted-keys` from which release on the key is trusted.")
def unknown_key(ground: Ground) -> Iterator[Said]:
    """A key that is said to sign the bundle has a name that no release trusts, by `trusted-keys` and `trust-of`.

    Most likely the name is misspelt, and then nothing that `source-cannot-verify` says can be relied on.
    """
    known = {name for _, names in ground.read.trusted_keys for name in names}
    known |= {name for _, trust in ground.read.trust_of for name in trust.names}
    for name in sorted((ground.signers or frozenset()) - known) if known else ():
        hint = nearest(name, known)
        end = "" if hint.endswith("?") else "."
        yield Said(f"No release trusts a key named {name!r}{hint}{end}", name)


# --- entries ------------------------------------------------------------------------------------------------


@_lint("warning", "Take the entry out, or correct its versions.")
def unused_entry(ground: Ground) -> Iterator[Said]:
    """An entry decides for no known version: it never matches, or others always decide before it."""
    read = ground.read
    decided = {ruling.entry for ruling in ground.decisions.values()}
    kinds: tuple[tuple[str, Sequence[tuple[Entry, bool]]], ...] = (
        ("source", [(one.entry, one.entry.unlisted) for one in read.sources]),
        ("block", [(one.entry, False) for one in read.blocks]),
        ("dead end", [(one.entry, False) for one in read.dead_ends]),
        ("stop", [(one.entry, any(one.lies_between(v, read.own) for v in ground.versions)) for one in read.stops]),
    )
    for kind, entries in kinds:
        for entry, used in entries:
            if not used and entry.id not in decided:
                yield Said(f"The {kind} {entry.id} decides for none of the known versions.", entry=entry.id)


@_lint("warning", "Let each version be covered by one range; name the exception with `except`, or as one version.")
def overlapping_ranges(ground: Ground) -> Iterator[Said]:
    """Two sources cover the same version, and only their place in the file says which of them decides."""
    overlaps: dict[tuple[str, str], list[Version]] = {}
    for version in ground.versions:
        for model in ground.models:
            covering = [source.entry.id for source in ground.read.sources if _covers(ground, source, version, model)]
            for other in covering[1:]:
                overlaps.setdefault((covering[0], other), []).append(version)
    for (one, other), versions in overlaps.items():
        yield Said(f"{one} and {other} both cover {_named(dict.fromkeys(versions))}; {one} decides.", entry=other)


def _covers(ground: Ground, source: ReadSource, version: Version, model: str | None) -> bool:
    entry = source.entry
    if source.range.exact is not None or entry.method == "reimage" or (entry.models and model not in entry.models):
        return False
    return source.admits(version, listed=version in ground.read.known)


@_lint("warning", "Add a reason: it is all that the person in front of the refusal will read.")
def reason_missing(ground: Ground) -> Iterator[Said]:
    """An entry that refuses updates does not say why."""
    matrix = ground.read.manifest.matrix
    for entry in (*matrix.blocks, *matrix.dead_ends, *matrix.withdrawn):
        if not entry.reason:
            yield Said(f"{entry.id} refuses updates and gives no reason.", entry=entry.id)


@_lint("warning", "Write the alias so that it can mean one release only, or do without it.")
def ambiguous_alias(ground: Ground) -> Iterator[Said]:
    """A label could be read as another release than the one it means: 6.3 means 6.30.00, and there is 6.3.1."""
    read = ground.read
    labels: dict[str, str] = {}
    for alias in read.manifest.matrix.aliases:
        if (same := labels.setdefault(alias.alias.lower(), alias.version)) != alias.version:
            yield Said(f"The alias {alias.alias} differs only in case from one that means {same}.", alias.alias)
        means = read.parse(read.lead, alias.alias)
        looks_like = [one for one in read.releases if one != means and one.text.startswith(f"{alias.alias}.")]
        if looks_like:
            yield Said(
                f"The alias {alias.alias} means {means}, and {_named(looks_like)} begins with it.",
                alias.alias,
            )


@_lint("error", "Correct the version of the release, or the entry.")
def own_version_contradicted(ground: Ground) -> Iterator[Said]:
    """The matrix disagrees with the version that the bundle has itself."""
    read = ground.read
    own = read.own.text
    for withdrawn in read.withdrawn:
        if read.own in withdrawn.range:
            yield Said(f"The matrix withdraws {own}, which the bundle itself installs.", own, withdrawn.entry.id)
    for dead_end in read.dead_ends:
        if read.own in dead_end.range:
            yield Said(f"The matrix calls {own} a dead end, and that is the bundle.", own, dead_end.entry.id)
    for source in read.sources:
        floor = max((clause.bound for clause in source.range.floors), default=None)
        if floor is not None and floor >= read.own:
            yield Said(
                f"{source.entry.id} is about {source.range}, which is not older than the bundle, {own}.",
                own,
                source.entry.id,
            )


@_lint("warning", f"Name the component {APPLIANCE!r}, if it is what each member runs; else another name is clearer.")
def appliance_misspelt(ground: Ground) -> Iterator[Said]:
    """No component is named `appliance`, and one nearly is: most likely that is a slip of the pen.

    What each member of the pair runs by itself is named so; every other component is one that the pair shares.
    """
    if name := misspelt_appliance(ground.read.manifest):
        yield Said(f"The component {name!r} is none of the members' own; was {APPLIANCE!r} meant?", name)


@_lint("error", "Correct the ranges of [[works-together]], or the versions of the components.")
def no_compatible_partner(ground: Ground) -> Iterator[Said]:
    """By the bundle's own matrix its components do not work together, or an entry fits no known version."""
    read = ground.read
    if work_together(read, read.carried)[0] is False:
        found = " and ".join(f"{name} {version}" for name, version in read.carried.items())
        yield Said(f"The bundle installs {found}, which by its matrix do not work together.")
    for together in read.works_together:
        versions = together.ranges.get(read.lead)
        if versions and not versions.is_empty and not any(one in versions for one in (*ground.versions, read.own)):
            yield Said(
                f"{together.entry.id} speaks of {read.lead} {versions}; no known version is that.",
                entry=together.entry.id,
            )


@_lint("warning", "Give the changed risk a new name: people have accepted the old one.")
def risk_reworded(ground: Ground) -> Iterator[Said]:
    """Another bundle has a risk of the same name that says something else."""
    for risk in ground.read.risks:
        for other in ground.others:
            if any(
                one.entry.id == risk.entry.id and entry_digest(one.entry) != entry_digest(risk.entry)
                for one in other.risks
            ):
                version = other.manifest.version
                yield Said(f"The risk {risk.entry.id} reads otherwise in {version}.", version, risk.entry.id)


@_lint(
    "warning",
    "Compare it with < or >= (below and at-least in a condition of the matrix); "
    f"the unit is one of {', '.join((*DURATIONS, *UNITS))}.",
)
def quantity_as_text(ground: Ground) -> Iterator[Said]:
    """A condition asks whether a fact is to the letter what looks like a duration or a size.

    `"24 hours"` without a sign is a test for just these characters, which a backup that is 5 h old does not pass.
    """
    conditions = [(condition, "") for condition in ground.read.manifest.requirements.facts]
    conditions += [(stop.entry.when, stop.entry.id) for stop in ground.read.stops if stop.entry.when]
    conditions += [(risk.entry.when, risk.entry.id) for risk in ground.read.risks]
    for condition, entry in conditions:
        if condition.test in ("is", "is-not") and _looks_like_a_quantity(condition.value):
            what = entry or "A requirement"
            yield Said(f"{what} asks whether {in_words(condition)}, to the letter.", condition.fact, entry)


def _looks_like_a_quantity(value: str) -> bool:
    """Whether a text is a number and a unit, also one that is not known; without a blank a letter is none: board 3d."""
    match = re.fullmatch(r"[0-9][0-9.,]*( ?)([A-Za-z]+)", value)
    return (
        match is not None
        and bool(match[1] or len(match[2]) > 1)
        and re.fullmatch(UNIT, match[2], re.IGNORECASE) is not None
    )


@_lint("info", "Test it, and name the record with `tested`.")
def untested_source(ground: Ground) -> Iterator[Said]:
    """A source does not name the record of a test."""
    by_id = {source.entry.id: source.entry for source in ground.read.sources}
    for entry, versions in _grouped((entry, version) for version, _, entry in ground.allowed()).items():
        if not by_id[entry].tested:
            yield Said(f"{entry} names no test record; it allows the update from {_named(versions)}.", entry=entry)


@_lint("info", "List the releases that you know in `releases`, if you can.")
def unlisted_source(ground: Ground) -> Iterator[Said]:
    """A source reaches versions that the matrix does not list, so a version nobody has thought of is allowed."""
    for source in ground.read.sources:
        if source.entry.unlisted:
            yield Said(f"{source.entry.id} allows any version in {source.range}, listed or not.", entry=source.entry.id)


@_lint("info", "Say in [[works-together]] whether they work together, so that the new one can stay.")
def leftover_unknown(ground: Ground) -> Iterator[Said]:
    """It is not said whether an old appliance works with what the bundle brings besides.

    Should the update of the active member fail, the shared components have to revert too.
    """
    read = ground.read
    shared: Mapping[str, Version] = {name: one for name, one in read.carried.items() if name != APPLIANCE}
    if not shared or read.lead != APPLIANCE:
        return
    unknown = [one for one, _, _ in ground.allowed() if work_together(read, {APPLIANCE: one, **shared})[0] is None]
    if unknown:
        brings = " and ".join(f"{name} {version}" for name, version in shared.items())
        yield Said(f"It is not known whether {_named(dict.fromkeys(unknown))} works with {brings}.")


def _grouped(pairs: Iterable[tuple[str, Version]]) -> dict[str, list[Version]]:
    groups: dict[str, list[Version]] = {}
    for key, version in pairs:
        groups.setdefault(key, []).append(version)
    return groups


def _named(versions: Iterable[Version]) -> str:
    """Versions in a sentence; of many only the first few."""
    return listed(version.text for version in versions)


def listed(subjects: Iterable[str]) -> str:
    """Texts in a sentence; of many only the first few."""
    texts = list(dict.fromkeys(subjects))
    more = f" and {len(texts) - MAX_NAMED} more" if len(texts) > MAX_NAMED else ""
    return ", ".join(texts[:MAX_NAMED]) + more


LINTS: Final = (
    stranded_version,
    detour_unknown,
    base_unknown,
    no_way_in,
    stop_blocked,
    source_cannot_verify,
    trust_contradicted,
    unknown_key,
    own_version_contradicted,
    appliance_misspelt,
    no_compatible_partner,
    unused_entry,
    overlapping_ranges,
    reason_missing,
    ambiguous_alias,
    risk_reworded,
    quantity_as_text,
    left_behind,
    exempted_version,
    untested_source,
    unlisted_source,
    leftover_unknown,
)
