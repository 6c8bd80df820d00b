"""The continuity of keys: the same, announced by a bridge release, or new."""

import pytest
from msgspec.structs import replace

from bundlekit.model.matrix import Condition, ShippedFile, ShippedTrust, Stop, TrustedKeys
from fixtures import forge
from fixtures.make_keys import KEYS
from tests.comparison.samples import OFFICES, compared, obstacles

STOP = Stop(id="key-2027", versions="<5.30.02", via="5.30.02")
SOME = Condition(fact="disk.firmware", test="below", value="7.1")
NAMES = (
    TrustedKeys(since="5.10.00", keys=("release",)),
    TrustedKeys(since="5.30.02", keys=("release", "quality")),
)


def shipped(since, *subjects):
    signers = "".join(
        f'[signers.s{number}]\nrole = "production"\nanchor = "root.pem"\nsubject = "CN={one} (TEST ONLY),O=TEST ONLY"\n'
        for number, one in enumerate(subjects)
    )
    root = ShippedFile(name="root.pem", text=(KEYS / "trust" / "root.pem").read_text())
    return ShippedTrust(since=since, file=f"trust = 1\nallow-test-keys = true\n{signers}", files=(root,))


FILES = (shipped("5.10.00", "signer"), shipped("5.30.02", "signer", "second-signer"))


def release(version, *signers, **matrix):
    """A release of this version; its image is always the same."""
    (component,) = forge.MANIFEST.components
    manifest = replace(
        forge.MANIFEST,
        version=version,
        components=(replace(component, version=version),),
        matrix=replace(forge.MANIFEST.matrix, **matrix),
    )
    return forge.write(manifest, sign=forge.by(*signers))


@pytest.mark.parametrize(
    ("old", "matrix", "continuity", "bridge"),
    [
        ("5.20.03", {"trusted_keys": NAMES, "stops": (STOP,)}, "rotated", "5.30.02"),
        ("5.32.00", {"trusted_keys": NAMES, "stops": (STOP,)}, "rotated", "5.32.00"),
        ("5.30.02", {"trusted_keys": NAMES, "stops": (STOP,)}, "rotated", "5.30.02"),
        ("5.20.03", {"trusted_keys": NAMES, "stops": ()}, "new", ""),
        ("5.20.03", {"trusted_keys": NAMES, "stops": (replace(STOP, versions="<5.20.00"),)}, "new", ""),
        ("5.20.03", {"trusted_keys": NAMES, "stops": (replace(STOP, when=SOME),)}, "new", ""),
        ("5.20.03", {"trusted_keys": NAMES[:1], "stops": (STOP,)}, "new", ""),
        ("5.20.03", {"stops": (STOP,)}, "new", ""),
        ("5.20.03", {"trust_of": FILES, "stops": (STOP,)}, "rotated", "5.30.02"),
        ("5.32.00", {"trust_of": FILES, "stops": (STOP,)}, "rotated", "5.32.00"),
        ("5.20.03", {"trust_of": FILES[:1], "stops": (STOP,)}, "new", ""),
        ("not-a-version", {"trust_of": FILES, "stops": (STOP,)}, "new", ""),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_key_is_rotated_if_the_old_release_or_a_bridge_trusts_it(old, matrix, continuity, bridge, strict):
    found = compared(
        release(old, "signer"), release("5.40.00", "second-signer", **matrix), trust=OFFICES, strict=strict
    )
    (one,) = found.signers
    assert (one.continuity, one.bridge) == (continuity, bridge)
    assert (one.old_index, one.new_index) == (0, 0)
    assert [rule for rule, _ in obstacles(found) if rule == "key-new"] == (["key-new"] if strict and not bridge else [])


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (["signer", "second-signer"], ["second-signer", "signer"], [("same", 1, 0), ("same", 0, 1)]),
        (["signer"], ["signer", "pinned"], [("same", 0, 0), ("new", None, 1)]),
        (["signer", "pinned"], ["pinned"], [("same", 1, 0), ("gone", 0, None)]),
        (["signer", "pinned"], ["second-signer", "pinned"], [("new", 0, 0), ("same", 1, 1)]),
        ([], ["signer"], [("new", None, 0)]),
        ([], [], []),
    ],
)
def test_each_key_of_several_has_one_line(old, new, found):
    signers = compared(release("5.40.00", *old), release("5.40.00", *new), trust=OFFICES).signers
    assert [(one.continuity, one.old_index, one.new_index) for one in signers] == found


def test_a_signer_is_paired_with_the_predecessor_of_that_name():
    trust = forge.policy(
        'trust = 1\nallow-test-keys = true\n[signers.a]\nrole = "production"\nanchor = "keys/trust/root.pem"\n'
        'subject = ["CN=signer (TEST ONLY),O=TEST ONLY", "CN=second-signer (TEST ONLY),O=TEST ONLY"]\n'
        '[signers.b]\nrole = "production"\nkey = "keys/trust/pinned.pub.pem"\n'
        '[signers.c]\nrole = "production"\nanchor = "keys/stranger-root.pem"\n'
    )
    found = compared(
        release("5.40.00", "pinned", "signer"), release("5.40.00", "stranger", "second-signer"), trust=trust
    )
    assert [(one.continuity, one.name, one.old_index) for one in found.signers] == [
        ("new", "c", None),
        ("new", "a", 1),
        ("gone", "b", 0),
    ]


def test_a_signature_that_is_not_valid_proves_no_key():
    good = forge.good()
    wrong = forge.flip(good, forge.signature(good).stop - 1)
    (one,) = compared(good, wrong).signers
    assert (one.continuity, one.reason) == (
        "unknown",
        "The signature of the new bundle is not valid, so it proves no key.",
    )
    changed = forge.flip(good, good.index(b'"counter":7') + len(b'"counter":'), mask=0x0F)  # 7 becomes 8
    found = compared(good, changed)
    assert [one.continuity for one in found.signers] == ["unknown"]
    assert obstacles(found) == [("damaged", "new")]


def test_a_matrix_that_no_trusted_signer_signed_announces_no_key():
    old, new = release("5.32.00", "signer"), release("5.40.00", "stranger", trust_of=(shipped_stranger(),))
    found = compared(old, new, strict=True)
    assert [one.continuity for one in found.signers] == ["rotated"]
    assert obstacles(found) == [("key-new", found.signers[0].new_signer)]
    assert found.verdict == "incomplete"


def shipped_stranger():
    root = ShippedFile(name="root.pem", text=(KEYS / "stranger-root.pem").read_text())
    signers = '[signers.a]\nrole = "production"\nanchor = "root.pem"\n'
    return ShippedTrust(since="5.10.00", file=f"trust = 1\nallow-test-keys = true\n{signers}", files=(root,))
