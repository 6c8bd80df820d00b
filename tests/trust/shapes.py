"""Shapes of PKIs, and openssl as a second opinion on each.

A `Shape` is what a signature carries and what is trusted. All keys are P-256 and belong to a name of their own
(`pki.key`), so a certificate is written as ``ca("New", by="Old")``.
"""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

from cryptography import x509

from tests.trust import pki
from tests.trust.pki import HEAD, NOW, key

EXPIRED = {"start": NOW - 30 * (NOW - NOW.replace(day=23)), "end": NOW - (NOW - NOW.replace(day=23))}
"""A validity that ended a day ago."""


ORDER = "order"
"""Of several certificates of one name and key openssl takes one, and does not come back for the others."""


def ca(subject, by=None, *, owner=None, by_owner=None, **options):
    """A CA's certificate: ``subject`` with the key of ``owner``, issued by ``by`` with the key of ``by_owner``.

    Each owner is the name's own where it is not given; without ``by`` it is self-signed.
    """
    by = by or subject
    same = by == subject and by_owner is None
    by_owner = (owner or subject) if same else (by_owner or by)
    options = {"extra": [] if same else authority(identifier(by_owner)), **options}
    return pki.certificate(subject, key("p256", owner or subject), by, key("p256", by_owner), ca=True, **options)


def leaf(by, by_owner=None, **options):
    """A signer's certificate."""
    options = {"purposes": [pki.CODE_SIGNING], "extra": authority(identifier(by_owner or by)), **options}
    return pki.certificate("Signer", key("p256", "Signer"), by, key("p256", by_owner or by), **options)


def authority(identifier=None, *, issuer=None, serial=None):
    """An authorityKeyIdentifier, as an extension for ``extra``."""
    names = None if issuer is None else [x509.DirectoryName(pki.name(issuer))]
    return [(x509.AuthorityKeyIdentifier(identifier, names, serial), False)]


def identifier(owner):
    """The subjectKeyIdentifier of a CA."""
    return x509.SubjectKeyIdentifier.from_public_key(key("p256", owner).public_key()).digest


def shape(signer, carried, trusted, *, accepted=True, words="", openssl=None):
    """``openssl``: what it decides, where that is not what we do; ORDER: the order in which it meets certificates."""
    openssl = accepted if openssl is None else openssl
    return SimpleNamespace(
        signer=signer, carried=carried, trusted=trusted, accepted=accepted, words=words, openssl=openssl
    )


def run(arguments, place):
    """Whether an openssl command succeeds."""
    done = subprocess.run(["openssl", *arguments], cwd=place, capture_output=True, check=False, timeout=60)
    return done.returncode == 0, done.stderr.decode()


def openssl_accepts(place, blob, trusted, *extra, at=NOW, purpose="any"):
    """What ``openssl cms -verify`` decides about a signature over `pki.HEAD`, and what it prints."""
    (place / "head").write_bytes(HEAD)
    (place / "sig").write_bytes(blob)
    (place / "anchors.pem").write_bytes(b"".join(pki.pem(one) for one in trusted))
    arguments = "cms -verify -binary -inform DER -in sig -content head -CAfile anchors.pem -partial_chain"
    return run([*arguments.split(), "-purpose", purpose, *extra, "-attime", str(int(at.timestamp()))], place)


OLD, NEW = ca("Old"), ca("New")
NEW_BY_OLD, OLD_BY_NEW = ca("New", "Old"), ca("Old", "New")
ISSUING = ca("Issuing", "New")
LEAF = leaf("Issuing")
RENEWED = ca("Issuing", "New")
ENDED = ca("Issuing", "New", **EXPIRED)
ROLLED = ca("Root", owner="Root 2")  # the same name with another key
ROLLED_BY_FIRST = ca("Root", "Root", owner="Root 2", by_owner="Root")  # self-issued, not self-signed

SHAPES = {
    "plain": shape(LEAF, [ISSUING], [NEW]),
    "cross-signed, both roots": shape(LEAF, [ISSUING, NEW_BY_OLD], [OLD, NEW]),
    "cross-signed, both roots, other order": shape(LEAF, [NEW_BY_OLD, ISSUING], [NEW, OLD]),
    "cross-signed, the old root": shape(LEAF, [ISSUING, NEW_BY_OLD], [OLD]),
    "cross-signed, the new root": shape(
        LEAF, [ISSUING, NEW_BY_OLD], [NEW], accepted=False, openssl=True, words="no path to an anchor here uses"
    ),
    "cross-signed, the old root has expired": shape(LEAF, [ISSUING, NEW_BY_OLD], [ca("Old", **EXPIRED), NEW]),
    "cross-signed, the cross certificate has expired": shape(LEAF, [ISSUING, ca("New", "Old", **EXPIRED)], [OLD, NEW]),
    "cross-signed, the cross certificate is for servers": shape(
        LEAF, [ISSUING, ca("New", "Old", purposes=[pki.SERVER_AUTH])], [OLD, NEW]
    ),
    "cross-signed, only an expired path": shape(
        LEAF, [ISSUING, ca("New", "Old", **EXPIRED)], [OLD], accepted=False, words="expired"
    ),
    "both ways, both roots": shape(LEAF, [ISSUING, NEW_BY_OLD, OLD_BY_NEW], [OLD, NEW]),
    "both ways, the old root": shape(LEAF, [ISSUING, NEW_BY_OLD, OLD_BY_NEW], [OLD]),
    "both ways, the new root": shape(LEAF, [ISSUING, NEW_BY_OLD, OLD_BY_NEW], [NEW]),
    "both ways, a third root": shape(
        LEAF, [ISSUING, NEW_BY_OLD, OLD_BY_NEW], [ca("Third")], accepted=False, words="is not known here"
    ),
    "renewed, expired first": shape(LEAF, [ENDED, RENEWED], [NEW]),
    "renewed, expired last": shape(LEAF, [RENEWED, ENDED], [NEW]),
    "renewed, both sound": shape(LEAF, [RENEWED, ISSUING], [NEW]),
    "renewed under another root": shape(LEAF, [ISSUING, ca("Issuing", "Old")], [OLD, NEW], openssl=ORDER),
    "renewed under another root, that is not trusted": shape(
        LEAF, [ISSUING, ca("Issuing", "Old")], [NEW], accepted=False, openssl=ORDER, words="no path to an anchor here"
    ),
    "renewed root, expired first": shape(leaf("New"), [], [ca("New", **EXPIRED), NEW]),
    "renewed root, expired last": shape(leaf("New"), [], [NEW, ca("New", **EXPIRED)]),
    "roots of one name with two keys": shape(leaf("Root"), [], [ROLLED, ca("Root")]),
    "roots of one name with two keys, the other": shape(leaf("Root", "Root 2"), [], [ca("Root"), ROLLED]),
    "roots of one name, the wrong one": shape(
        leaf("Root"), [], [ROLLED], accepted=False, words="damaged, or an imitation"
    ),
    "key rollover of a root, the first root": shape(leaf("Root", "Root 2"), [ROLLED_BY_FIRST], [ca("Root")]),
    "key rollover of a root, both": shape(leaf("Root", "Root 2"), [ROLLED_BY_FIRST], [ROLLED, ca("Root")]),
    "key rollover and path length": shape(
        leaf("Root", "Root 2"),
        [ROLLED_BY_FIRST],
        [ca("Root", path_length=0)],
        accepted=False,
        openssl=True,
        words="allows 0 CAs",
    ),
    "the CA under another name": shape(
        LEAF, [ca("Issuing 2", "New", owner="Issuing")], [NEW], accepted=False, words="is not on the signer's path"
    ),
    "the CA under both names": shape(
        LEAF,
        [ISSUING, ca("Issuing 2", "New", owner="Issuing")],
        [NEW],
        accepted=False,
        openssl=True,
        words="is not on the signer's path",
    ),
    "the name with another key": shape(
        LEAF, [ca("Issuing", "New", owner="Other")], [NEW], accepted=False, words="damaged, or an imitation"
    ),
    "the name with another key, beside the right one": shape(
        LEAF,
        [ca("Issuing", "New", owner="Other"), ISSUING],
        [NEW],
        accepted=False,
        openssl=True,
        words="did not issue any certificate",
    ),
    "path length 0 of the root": shape(
        LEAF, [ISSUING], [ca("New", path_length=0)], accepted=False, words="allows 0 CAs below it"
    ),
    "path length 0 of one of two roots": shape(LEAF, [ISSUING], [ca("New", path_length=0), NEW], openssl=ORDER),
    "path length 1 under the old root": shape(LEAF, [ISSUING, NEW_BY_OLD], [ca("Old", path_length=1), NEW]),
    "path length 1 under the old root alone": shape(
        LEAF, [ISSUING, NEW_BY_OLD], [ca("Old", path_length=1)], accepted=False, words="allows 1 CAs below it"
    ),
    "bridge, first root": shape(LEAF, [ISSUING, ca("New", "Bridge"), ca("Bridge", "Old")], [OLD]),
    "bridge, both sides": shape(
        LEAF, [ISSUING, ca("New", "Bridge"), ca("Bridge", "Old"), ca("Bridge", "Third")], [OLD, ca("Third")]
    ),
    "bridge, one side": shape(
        LEAF,
        [ISSUING, ca("New", "Bridge"), ca("Bridge", "Old"), ca("Bridge", "Third")],
        [OLD],
        accepted=False,
        openssl=ORDER,
        words="no path to an anchor here",
    ),
    "bridge, both sides, one of them expired": shape(
        LEAF, [ISSUING, ca("New", "Bridge"), ca("Bridge", "Old", **EXPIRED), ca("Bridge", "Third")], [OLD, ca("Third")]
    ),
    "the issuing CA is trusted": shape(LEAF, [], [ISSUING]),
    "the issuing CA is trusted and comes along": shape(LEAF, [ISSUING], [ISSUING]),
    "the issuing CA and the root are trusted": shape(LEAF, [ISSUING], [ISSUING, NEW]),
    "the issuing CA is trusted, its root is not": shape(
        LEAF, [ISSUING, NEW_BY_OLD], [ISSUING], accepted=False, openssl=True, words="no path to an anchor here"
    ),
    "a stranger's CA beside the path": shape(
        LEAF, [ISSUING, ca("Stranger")], [NEW], accepted=False, openssl=True, words="self-signed certificate"
    ),
    "the root comes along": shape(
        LEAF, [ISSUING, NEW], [NEW], accepted=False, openssl=True, words="self-signed certificate"
    ),
    "authority: the issuer's key": shape(leaf("New", extra=authority(identifier("New"))), [], [NEW]),
    "authority: another key": shape(
        leaf("New", extra=authority(identifier("Old"))),
        [],
        [NEW],
        accepted=False,
        words="identifies another certificate",
    ),
    "authority of the intermediate: another key": shape(
        LEAF,
        [ca("Issuing", "New", extra=authority(b"another key"))],
        [NEW],
        accepted=False,
        words="identifies another certificate",
    ),
    "authority: issuer and serial number": shape(
        leaf("Issuing", extra=authority(issuer="New", serial=77)), [ca("Issuing", "New", serial=77)], [NEW]
    ),
    "authority: another serial number": shape(
        leaf("Issuing", extra=authority(issuer="New", serial=78)),
        [ca("Issuing", "New", serial=77)],
        [NEW],
        accepted=False,
        words="identifies another certificate",
    ),
    "authority: another issuer": shape(
        leaf("Issuing", extra=authority(issuer="Old", serial=77)),
        [ca("Issuing", "New", serial=77)],
        [NEW],
        accepted=False,
        words="identifies another certificate",
    ),
    "authority: the certificate before the renewal, which comes along": shape(
        leaf("Issuing", extra=authority(issuer="New", serial=77)),
        [ca("Issuing", "New", serial=77), ca("Issuing", "New", serial=78)],
        [NEW],
    ),
    "authority: the certificate before the renewal, which does not": shape(
        leaf("Issuing", extra=authority(issuer="New", serial=77)),
        [ca("Issuing", "New", serial=78)],
        [NEW],
        accepted=False,
        words="identifies another certificate",
    ),
}
