"""Named signers and demands: whose signature it is, whether it counts, and whether there are enough."""

import shutil
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.serialization import PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundlekit.errors import ConfigError
from bundlekit.trust import load_private_key, read_certificates, sign
from bundlekit.trust.quorum import applicable, fits, people
from bundlekit.trust.verify import verify_signatures
from fixtures import forge
from fixtures.make_keys import KEYS
from tests.trust import pki, world
from tests.trust.pki import key, signer
from tests.trust.world import (
    ANNA,
    ANNA_PQ,
    BERT,
    CARL,
    DORA_MIXED,
    DORA_PQ,
    EVE,
    FRED,
    bundle,
    check,
    demand,
    rules,
    trust,
)

PQ, CLASSICAL = ("post-quantum",), ("classical",)
HYBRID = demand(1, "anna", algorithms=CLASSICAL) + demand(1, "anna", algorithms=PQ)


def test_the_report_names_signer_role_algorithm_chain_and_standing(desk):
    report = check(trust(desk, 'other-signers = "ignore"', demand(2, "anna", "bert", "carl")), bundle(ANNA, CARL, EVE))
    assert report.verdict == "accept"
    anna, carl, eve = report.signatures
    assert (anna.name, anna.role, anna.algorithm, anna.standing) == (
        "anna",
        "production",
        "ecdsa-p256-sha256",
        "counted",
    )
    assert anna.chain == ("CN=Anna,O=TEST ONLY", "CN=Root,O=TEST ONLY")
    assert (carl.name, carl.role, carl.anchor, carl.standing) == ("carl", "development", "carl.pub.pem", "counted")
    assert (eve.name, eve.standing, eve.problems) == ("", "ignored", ())
    assert "is not known here" in eve.reason
    assert report.demands[0].signed == ("anna", "carl")
    assert report.test_trust


MET = {
    "one of all, where nothing is demanded": ("", [ANNA]),
    "any one of them": (demand(1, "anna", "carl"), [CARL]),
    "two of three": (demand(2, "anna", "bert", "carl"), [BERT, CARL]),
    "all demands": (demand(1, "anna") + demand(1, "carl"), [ANNA, CARL]),
    "a hybrid pair": (HYBRID, [ANNA, ANNA_PQ]),
    "post-quantum all the way": (demand(1, "dora", algorithms=PQ), [DORA_PQ]),
    "ML-DSA under RSA is classical": (demand(1, "dora", algorithms=CLASSICAL), [DORA_MIXED]),
    "a family": (demand(1, "anna", algorithms=("ecdsa",)), [ANNA]),
    "one of two families": (demand(1, "carl", algorithms=("ecdsa", "ed25519")), [CARL]),
    "two families, one above the other": (demand(1, "dora", algorithms=("rsa", "ml-dsa-65")), [DORA_MIXED]),
}

SHORT = {
    "none of them": (demand(1, "bert", "carl"), [ANNA], "requires 1 of bert, carl; none of them signed accordingly"),
    "one of two": (demand(2, "anna", "bert"), [ANNA], "requires 2 of anna, bert; only anna signed accordingly"),
    "one person's hybrid pair as two": (
        demand(2, "anna", "bert", "carl"),
        [ANNA, ANNA_PQ],
        "only anna signed accordingly",
    ),
    "one person twice": (
        demand(2, "anna", "bert"),
        [ANNA, world.by(common="Anna", leaf=signer(common="Anna", serial=77))],
        "only anna signed accordingly",
    ),
    "more demanded than there are": (demand(3, "anna", "bert"), [ANNA, BERT], "only anna, bert signed accordingly"),
    "the post-quantum one stripped": (HYBRID, [ANNA], "by post-quantum keys in the whole chain; none of them"),
    "the classical one stripped": (HYBRID, [ANNA_PQ], "by classical keys in the whole chain; none of them"),
    "ML-DSA certified by RSA": (
        demand(1, "dora", algorithms=PQ),
        [DORA_MIXED],
        "by post-quantum keys in the whole chain",
    ),
    "another family": (demand(1, "anna", algorithms=("rsa", "ed25519")), [ANNA], "by rsa or ed25519 keys"),
    "another's post-quantum key": (HYBRID, [ANNA, DORA_PQ], "post-quantum"),
    "two signers minted by one CA, who are one name": (
        demand(2, "anna", "dora"),
        [DORA_PQ, world.by("ml-dsa-65", "Dora II", issuer="Root PQ", issuer_kind="ml-dsa-65")],
        "only dora signed accordingly",
    ),
}


@pytest.mark.parametrize(("demands", "signatures"), pki.where_ml_dsa_chains_verify(MET, "post-quantum all the way"))
def test_demands_that_are_met(desk, demands, signatures):
    report = check(trust(desk, end=demands), bundle(*signatures))
    assert (report.verdict, report.findings) == ("accept", ())


@pytest.mark.parametrize(
    ("demands", "signatures", "words"),
    pki.where_ml_dsa_chains_verify(
        SHORT, "another's post-quantum key", "two signers minted by one CA, who are one name"
    ),
)
def test_too_few_signers(desk, demands, signatures, words):
    report = check(trust(desk, end=demands), bundle(*signatures))
    assert rules(report) == ["too-few-signers"]
    assert words in report.findings[0].message
    assert (report.verdict, report.release) == ("reject", None)
    assert all(one.standing == "counted" for one in report.signatures)


NOT_NAMED = {
    "an unknown signer": (EVE, "is not known here"),
    "another under the anchor": (world.by(common="Zoe"), "is not one of those that the trust file names: anna is"),
    "an unknown key without certificate": (world.pinned("ed25519", "Zoe"), "cannot be verified"),
}


@pytest.mark.parametrize(("other", "words"), NOT_NAMED.values(), ids=NOT_NAMED)
@pytest.mark.parametrize("ignore", [False, True], ids=["rejected", "ignored"])
def test_other_signers(desk, other, words, ignore):
    report = check(trust(desk, 'other-signers = "ignore"' if ignore else ""), bundle(ANNA, other))
    if ignore and other is not NOT_NAMED["an unknown key without certificate"][0]:
        assert report.verdict == "accept"
    else:  # what cannot be verified is never ignored
        assert rules(report) == ["signer-unknown"]
    assert words in report.signatures[1].reason


def test_only_unknown_signers_never_suffice(desk):
    for count in (1, 2, 5):
        others = [world.by(common=f"Eve {n}", issuer="Eve's Root") for n in range(count)]
        report = check(trust(desk, 'other-signers = "ignore"'), bundle(*others))
        assert rules(report) == ["too-few-signers"]


def test_a_damaged_signature_is_never_ignored(desk):
    data = bundle(ANNA, EVE)
    start = world.forge.signature(data, 1).stop - 1
    report = check(trust(desk, 'other-signers = "ignore"'), world.forge.flip(data, start))
    assert rules(report) == ["signature-wrong", "signer-unknown"]


REFUSED = {
    "a denied key": ('deny = ["carl.pub.pem"]', [CARL, ANNA], "signer-denied", "is on the deny list"),
    "a denied certificate": ('deny = ["anna.pem"]', [ANNA, CARL], "signer-denied", "CN=Anna"),
    "a denied anchor": ('deny = ["root.pem"]', [ANNA, CARL], "signer-denied", "CN=Root"),
    "an unknown signer's denied key": (
        f'deny = ["sha256:{pki.describe(key("p256", "Eve").public_key()).id}"]',
        [EVE, ANNA],
        "signer-denied",
        "is on the deny list",
    ),
    "an RSA floor": (
        "floor = { rsa = 3072 }",
        [DORA_MIXED, ANNA],
        "weak-algorithm",
        "3072 to 8192 bits, this one has 2048",
    ),
    "a hash floor": ('floor = { hash = "sha384" }', [CARL, ANNA], "weak-algorithm", "uses sha256, but the trust file"),
    "a purpose": ('purpose = "email-protection"', [ANNA, CARL], "wrong-purpose", "not for email-protection"),
    "listed intermediates": (
        'intermediates = "listed"\n',
        [FRED, CARL],
        "signer-unknown",
        "the trust file accepts only listed ones",
    ),
}


@pytest.mark.parametrize(("more", "signatures", "rule", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_said_against_a_signer(desk, more, signatures, rule, words):
    fred = '[signers.fred]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Fred,O=TEST ONLY"\n'
    report = check(trust(desk, more, fred), bundle(*signatures))
    assert rules(report) == [rule]
    assert words in report.findings[0].message
    # Ignored or refused: it does not count either way.
    report = check(trust(desk, more + '\nother-signers = "ignore"', fred), bundle(*signatures))
    assert not any(words in one.reason for one in report.signatures if one.counts)


def test_bounds_of_one_signer(desk):
    def bounded(line):
        signers = world.SIGNERS.replace('role = "development"', f'role = "development"\n{line}')
        return check(trust(desk, signers=signers), bundle(CARL))

    assert bounded("until = 2026-11-24").verdict == "accept"  # the day itself is the last
    report = bounded("until = 2026-11-23")
    assert rules(report) == ["signer-expired"]
    assert "allows carl to sign until 2026-11-23" in report.findings[0].message
    assert bounded('products = ["imager"]').verdict == "accept"
    report = bounded('products = ["toaster"]')
    assert rules(report) == ["out-of-scope"]
    assert "carl is allowed to sign for toaster, not for imager" in report.findings[0].message
    assert 'products = ["toaster", "imager"] in [signers.carl].' in report.findings[0].next
    report = bounded('formats = ["advisories"]')
    assert rules(report) == ["out-of-scope"]
    assert "carl is allowed to sign only advisories, not update.bin" in report.findings[0].message
    assert 'formats = ["advisories", "update.bin"] in [signers.carl].' in report.findings[0].next
    assert "product" not in report.findings[0].next


BOARD = """
[signers.board]
role = "production"
key = "carl.pub.pem"
formats = ["rauc", "mcuboot"]
[signers.both]
role = "production"
anchor = "root.pem"
formats = ["update.bin", "rauc"]
[signers.release]
role = "production"
anchor = "root-rsa.pem"
"""


@pytest.mark.parametrize(
    ("demands", "form", "of"),
    [
        ("", "rauc", [(1, "board both release")]),
        (demand(1, "release"), "update.bin", [(1, "release")]),
        (demand(1, "release"), "advisories", [(1, "release")]),
        (demand(1, "release"), "rauc", [(1, "board both release")]),  # none is for it, but someone has to sign
        (demand(1, "release"), "esp", [(1, "board both release")]),
        (demand(2, "release", "both"), "rauc", [(2, "release both")]),  # one of the two signs it: fails closed
        (demand(2, "release", "both"), "mcuboot", [(1, "board both release")]),
        (demand(1, "release") + demand(1, "board"), "update.bin", [(1, "release")]),
        (demand(1, "release") + demand(1, "board"), "rauc", [(1, "board")]),
        (demand(1, "release", "both") + 'formats = ["update.bin"]', "rauc", [(1, "board both release")]),
        (demand(1, "release", "both") + 'formats = ["update.bin"]', "update.bin", [(1, "release both")]),
        (demand(1, "release", "both") + 'formats = ["update.bin"]', "advisories", [(1, "board both release")]),
    ],
)
def test_a_requirement_is_for_the_formats_of_its_signers(desk, demands, form, of):
    store = trust(desk, "", demands, BOARD)
    assert [(one.count, " ".join(one.of)) for one in applicable(store, form)] == of


LAB = '[signers.lab]\nrole = "production"\nanchor = "intermediate.pem"\n'
LISTED = 'intermediates = "listed"\nintermediate-files = ["intermediate.pem"]\n'
VENDOR = '[signers.vendor]\nrole = "production"\nanchor = "root.pem"\n'


@pytest.mark.parametrize(
    ("signers", "more"),
    [
        (LAB + VENDOR, ""),
        (VENDOR + LAB, ""),
        (VENDOR + 'subject = "CN=Fred,O=TEST ONLY"\n' + LAB, ""),
        (VENDOR + LAB.replace("intermediate.pem", "deeper.pem"), LISTED),
    ],
    ids=["lab first", "vendor first", "a subject for one", "through a listed certificate"],
)
def test_anchors_that_stand_one_under_the_other_are_no_two_signers(desk, tmp_path, signers, more):
    """Two of the lab's people could pass for the lab and the vendor, by leaving a certificate out."""
    shutil.copytree(desk, tmp_path / "desk")
    deeper = pki.intermediate("Deeper", "Intermediate")
    (tmp_path / "desk/deeper.pem").write_bytes(deeper.public_bytes(pki.Encoding.PEM))
    with pytest.raises(ConfigError, match=r"the anchor of 'lab' is below that of 'vendor'.*its own subject"):
        trust(tmp_path / "desk", more, signers=signers)


def test_what_is_against_the_anchor_above_counts_for_who_stands_below(desk):
    """Deny lists and revocations reach whoever has a subject under it, however near an anchor is."""
    fred = VENDOR.replace("vendor", "fred") + 'subject = "CN=Fred,O=TEST ONLY"\n'
    gina = LAB.replace("lab", "gina") + 'subject = "CN=Gina,O=TEST ONLY"\n'
    report = check(trust(desk, 'deny = ["root.pem"]\n', signers=fred + gina), bundle(FRED))
    assert rules(report) == ["signer-denied"]


def test_a_key_that_is_pinned_is_of_who_has_it_pinned_whatever_certificate_comes_along(desk, tmp_path):
    shutil.copytree(desk, tmp_path / "desk")
    pinned = key("p256", "Fred").public_key().public_bytes(pki.Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "desk/fred.pub.pem").write_bytes(pinned)
    fred = '[signers.fred]\nrole = "production"\nkey = "fred.pub.pem"\nuntil = 2020-01-01\n'
    for signers in (fred + VENDOR, VENDOR + fred):
        store = trust(tmp_path / "desk", signers=signers)
        assert rules(check(store, bundle(world.pinned("p256", "Fred")))) == ["signer-expired"]
        assert rules(check(store, bundle(FRED))) == ["signature-malformed", "too-few-signers"]
        assert check(store, bundle(BERT)).verdict == "accept"


def test_a_subject_says_which_of_nested_anchors_is_meant(desk):
    fred = VENDOR.replace("vendor", "fred") + 'subject = "CN=Fred,O=TEST ONLY"\n'
    gina = LAB.replace("lab", "gina") + 'subject = "CN=Gina,O=TEST ONLY"\n'
    report = check(trust(desk, signers=fred + gina), bundle(FRED, world.by(common="Gina", issuer="Intermediate")))
    assert (report.verdict, [one.name for one in report.signatures]) == ("accept", ["fred", "gina"])


def test_a_pinned_signer_may_bring_a_certificate_where_intermediates_are_listed(tmp_path):
    """What is added above the certificates that came along is nothing that the signer would have to vouch for."""
    line = read_certificates(KEYS / "signer.pem")[:1]
    pinned = tmp_path / "signer.pub.pem"
    pinned.write_bytes(line[0].parsed.public_key().public_bytes(pki.Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    private = load_private_key(KEYS / "signer.key")
    data = forge.write(sign=lambda head: [sign(head, private, line)])
    signers = (
        f'[signers.vendor]\nrole = "production"\nkey = "{pinned}"\n'
        '[signers.lab]\nrole = "production"\nanchor = "keys/trust/root.pem"\nsubject = "CN=second-signer"\n'
    )
    for listed in ("", 'intermediates = "listed"\nintermediate-files = ["keys/intermediate.pem"]\n'):
        policy = f"trust = 1\nallow-test-keys = true\n{listed}{signers}{demand(1, 'vendor')}"
        report = forge.judge(data, forge.Ask(policy=policy))
        assert (report.verdict, report.signatures[0].name) == ("accept", "vendor"), report.signatures[0].reason


@pytest.mark.parametrize("brought", [True, False], ids=["brought along", "not brought"])
def test_listed_intermediates_build_the_chain(desk, brought):
    fred = '[signers.fred]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Fred,O=TEST ONLY"\n'
    listed = 'intermediates = "listed"\nintermediate-files = ["intermediate.pem"]'
    sign = FRED if brought else world.by(common="Fred", issuer="Intermediate")
    report = check(trust(desk, listed, fred), bundle(sign))
    assert report.verdict == "accept"
    assert len(report.signatures[0].chain) == 3
    assert rules(check(trust(desk, "", fred), bundle(sign))) == (
        [] if brought else ["signer-unknown", "too-few-signers"]
    )


RENEWALS = {
    "expired": pki.intermediate(end=pki.NOW - pki.timedelta(days=1)),
    "current": pki.intermediate(),
    "next": pki.intermediate(start=pki.NOW + pki.timedelta(days=1)),
}


@pytest.mark.parametrize("order", [*permutations(RENEWALS), *permutations(["expired", "current"])], ids="-".join)
@pytest.mark.parametrize("brought", [(), ("expired",), ("current",)], ids=["none", "expired", "current"])
def test_no_order_of_listed_intermediates_decides(desk, tmp_path, order, brought):
    shutil.copytree(desk, tmp_path / "desk")
    for name, one in RENEWALS.items():
        (tmp_path / "desk" / f"{name}.pem").write_bytes(pki.pem(one))
    names = ", ".join(f'"{name}.pem"' for name in order)
    fred = '[signers.fred]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Fred,O=TEST ONLY"\n'
    listed = f'intermediates = "listed"\nintermediate-files = [{names}]'
    sign = world.by(common="Fred", issuer="Intermediate", above=[RENEWALS[name] for name in brought])
    report = check(trust(tmp_path / "desk", listed, fred), bundle(sign))
    assert (report.verdict, rules(report)) == ("accept", [])
    assert len(report.signatures[0].chain) == 3


def test_a_trust_file_chooses_among_the_chains_that_hold(desk, tmp_path):
    """One of two certificates of a CA is revoked, and the other one is not."""
    from tests.trust import test_crl

    shutil.copytree(desk, tmp_path / "desk")
    sound, revoked = pki.intermediate(serial=500), pki.intermediate(serial=501)
    (tmp_path / "desk" / "root.crl").write_bytes(test_crl.make(501).public_bytes(pki.Encoding.PEM))
    fred = '[signers.fred]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Fred,O=TEST ONLY"\n'
    lists = '[crls]\nfiles = ["root.crl"]\n'
    for above, expected in (([sound, revoked], []), ([revoked, sound], []), ([revoked], ["signer-revoked"])):
        sign = world.by(common="Fred", issuer="Intermediate", above=above)
        found = rules(check(trust(tmp_path / "desk", "", lists, fred), bundle(sign)))
        assert found[:1] == expected


# --- time ---

OLD = world.by(
    common="Anna",
    leaf=signer(common="Anna", start=pki.NOW.replace(year=2020), end=pki.NOW.replace(day=23, hour=12)),
)


def test_time_now_and_released(desk):
    assert rules(check(trust(desk), bundle(OLD))) == ["signer-expired"]
    report = check(trust(desk, 'time = "released"'), bundle(OLD, released="2026-11-22"))
    assert report.verdict == "accept"
    report = check(trust(desk, 'time = "released"'), bundle(OLD, released="2026-11-24"))
    assert rules(report) == ["signer-expired"]
    # A release date to come proves nothing: it is held against now.
    early = world.by(
        common="Anna", leaf=signer(common="Anna", start=pki.NOW.replace(year=2027), end=pki.NOW.replace(year=2028))
    )
    report = check(trust(desk, 'time = "released"'), bundle(early, released="2027-12-01"))
    assert rules(report) == ["signer-not-yet-valid", "released-in-future"]


def test_denied_is_denied_whatever_the_release_date(desk):
    report = check(trust(desk, 'time = "released"\ndeny = ["root.pem"]'), bundle(OLD, released="2026-11-22"))
    assert rules(report) == ["signer-denied"]


# --- test keys ---


def test_keys_for_tests_are_refused_unless_allowed(desk):
    signers = world.SIGNERS
    strict = world.policy.parse(world.tomllib.loads("trust = 1\n" + signers), desk / "trust.toml")
    report = check(strict, bundle(ANNA))
    assert rules(report) == ["test-key"]
    assert "a test key, which anyone can have" in report.findings[0].message


# --- k of n ---

EDGES = st.sets(st.tuples(st.sampled_from("abcd"), st.sampled_from("1234")), max_size=10)


@given(EDGES, st.tuples(st.sampled_from("abcd"), st.sampled_from("1234")))
def test_people_are_told_apart_by_keys(edges, extra):
    found = people(edges)
    assert len(found) == len(set(found)) <= len({key for _, key in edges})
    assert set(found) <= {name for name, _ in edges}
    assert len(found) <= len(people(edges | {extra})) <= len(found) + 1
    best = max(  # every way to give names keys of their own
        len({key for _, key in zip(names, keys, strict=True) if (_, key) in edges})
        for names in [sorted({name for name, _ in edges})]
        for keys in permutations("1234", len(names))
    )
    assert len(found) == best


@pytest.mark.parametrize(
    ("families", "algorithms", "answer"),
    [
        ((), (), True),
        (("ecdsa",), (), True),
        (("ml-dsa-65",), PQ, True),
        (("ml-dsa-65", "ml-dsa-87"), PQ, True),
        (("ml-dsa-65", "rsa"), PQ, False),
        (("rsa", "ml-dsa-65"), PQ, False),
        (("rsa", "ml-dsa-65"), CLASSICAL, True),
        (("ml-dsa-65",), CLASSICAL, False),
        (("ecdsa", "rsa"), ("rsa",), False),
        (("ecdsa", "rsa"), ("rsa", "ecdsa"), True),
        ((), PQ, True),
    ],
)
def test_algorithms(families, algorithms, answer):
    assert fits(families, algorithms) is answer


# --- laws ---

POOL = {
    "anna": ANNA,
    "anna's other": ANNA_PQ,
    "bert": BERT,
    "carl": CARL,
    "dora": DORA_PQ,
    "dora mixed": DORA_MIXED,
    "eve": EVE,
    "denied": world.by(common="Gus"),
    "expired": OLD,
    "for servers": world.by(common="Bert", leaf=signer(common="Bert", purposes=[pki.SERVER_AUTH])),
}
DEMANDS = [
    "",
    demand(2, "anna", "bert", "carl"),
    HYBRID,
    demand(1, "dora", algorithms=PQ) + demand(2, "anna", "carl", "gus"),
]
GUS = '[signers.gus]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Gus,O=TEST ONLY"\n'
DENY = f'deny = ["sha256:{pki.describe(key("p256", "Gus").public_key()).id}"]\n'


def standings(report):
    return sorted((one.signer, one.key_id, one.standing) for one in report.signatures)


@pytest.mark.exhaustive
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(list(POOL)), unique=True, max_size=4),
    st.sampled_from(list(POOL)),
    st.sampled_from(DEMANDS),
    st.randoms(use_true_random=False),
)
def test_laws(desk, names, extra, demands, random):
    store = trust(desk, DENY + 'other-signers = "ignore"', GUS + demands)

    def judged(chosen):
        return check(store, bundle(*(POOL[name] for name in chosen)))

    report = judged(names)
    # Adding a valid signature never turns accept into reject; so removing one never turns reject into accept.
    if extra not in names and report.verdict == "accept":
        assert judged([*names, extra]).verdict == "accept"
    # Order never matters.
    mixed = random.sample(names, len(names))
    other = judged(mixed)
    assert (other.verdict, rules(other)) == (report.verdict, rules(report))
    assert standings(other) == standings(report)
    # A denied key never counts, and neither do strangers.
    assert not {"gus", ""} & {one.name for one in report.signatures if one.counts}
    assert all("gus" not in one.signed for one in report.demands)
    # An acceptance rests on at least one signature that counts.
    assert report.verdict != "accept" or any(one.counts for one in report.signatures)


# --- every byte of a hybrid-signed bundle ---


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.sweep)])
def test_each_byte_of_a_hybrid_signature_area_flipped(desk, stride):
    """Every byte of the entries (here: every fifth) and of their lengths; of the zeros behind them, every 97th."""
    store = trust(desk, end=HYBRID)
    data = bundle(ANNA, ANNA_PQ, capacity=8192)
    assert check(store, data).verdict == "accept"
    area, head = world.forge.section(data, "signatures"), data[: world.forge.section(data, "signatures").start]
    entries = [world.forge.signature(data, index) for index in (0, 1)]
    for place in range(entries[0].start, entries[1].stop, stride):
        flipped = world.forge.flip(data, place, 1 << (place % 8))
        spans = [one for one in entries if one.start <= place < one.stop]
        for one in spans:  # the other signature is as it was, and does not suffice
            (evidence,) = verify_signatures(head, [flipped[one.start : one.stop]], [one], store, pki.NOW)
            assert evidence.standing == "rejected", hex(place)
    lengths = [*range(area.start, area.start + 4), *range(entries[0].stop, entries[1].start)]
    for place in [*lengths, *range(entries[1].stop, area.stop, 97)]:
        report = world.pipeline.preflight(
            world.BytesSource(world.forge.flip(data, place, 1 << (place % 8))), trust=store, at=pki.NOW
        )
        assert report.verdict == "reject", hex(place)


def test_what_nobody_vouches_for_is_never_ignored(desk):
    """Carl's key is pinned, and the certificate that comes along is by an unknown signer: its bytes could be any."""
    carl = world.by("ed25519", "Carl", issuer="Eve's Root")
    report = check(trust(desk, 'other-signers = "ignore"'), bundle(ANNA, carl))
    assert "signature-malformed" in rules(report)
    assert report.signatures[1].intact
    finding = next(one for one in report.findings if one.rule == "signature-malformed")
    assert finding.cause == "unauthentic"  # the file is whole
    assert "-cades" in finding.next


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("12 h", "the trust file allows 12 h"),
        ("36 h", "the trust file allows 36 h"),
        ("2 days", "the trust file allows 2 days"),
        ("90 min", "the trust file allows 90 min"),
        ("48 h", "the trust file allows 2 days"),
        ("24 h", "the trust file allows 1 day"),
        ("999999999999 days", ""),
    ],
)
def test_what_is_too_old_is_said_in_the_unit_that_fits(desk, limit, says):
    report = check(trust(desk, f'max-age = "{limit}"'), bundle(ANNA, released="2026-11-16"))
    assert [one.message.endswith(says) for one in report.findings] == ([True] if says else [])


EDGES_OF_FRESHNESS = {
    "counter at the floor": "floors = { imager = { counter = 7 } }",
    "version at the floor": 'floors = { imager = { version = "5.40.00" } }',
    "a floor of another product": "floors = { toaster = { counter = 99 } }",
    "as old as is allowed": 'max-age = "1 days"',
    "another bundle withdrawn": f'withdrawn = {{ "sha256:{64 * "0"}" = "wrong" }}',
}


@pytest.mark.parametrize("more", EDGES_OF_FRESHNESS.values(), ids=EDGES_OF_FRESHNESS)
def test_what_is_just_fresh_enough(desk, more):
    assert check(trust(desk, more), bundle(ANNA, released="2026-11-23")).verdict == "accept"


def test_a_floor_that_cannot_be_compared_is_no_yes(desk):
    report = check(trust(desk, 'floors = { imager = { version = "five" } }'), bundle(ANNA))
    assert report.verdict == "incomplete"
    assert {one.rule for one in report.rules if one.required and one.outcome == "not-run"} == {"below-floor"}


def test_a_signer_under_a_trusted_ca_who_is_not_named_is_told_apart_from_a_missing_ca(desk):
    fred = '[signers.fred]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN=Fred,O=TEST ONLY"\n'
    report = check(
        trust(desk, "", fred), bundle(world.by(common="Gina", issuer="Intermediate", above=[world.INTERMEDIATE]))
    )
    (finding,) = (one for one in report.findings if one.rule == "signer-unknown")
    assert "intermediate" not in finding.next
    assert '`subject = "CN=Gina,O=TEST ONLY"` in a table [signers.NAME]' in finding.next
