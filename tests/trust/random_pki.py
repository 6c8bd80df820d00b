"""Random PKIs: certificates of CAs in any relation, what is trusted of them, and a signature that carries some.

A case is a function of its seed, but for the numbers in the signatures. Half of the cases have no flaw in a
certificate, so that the relations alone decide. Keys are made once (`pki.key`).
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from random import Random
from types import SimpleNamespace

from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fixtures import signing_certificates as named
from tests.trust import pki
from tests.trust.pki import HEAD, NOW

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LONG = (NOW - 10 * DAY, NOW + 100 * DAY)
MAIL, ANY, SERVER = (
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    ExtendedKeyUsageOID.SERVER_AUTH,
)
PURPOSES = {"code-signing": pki.CODE_SIGNING, "email-protection": MAIL}
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.2"), b"\5\0")


class Dice(Random):
    """Chances, and flaws, which are as frequent as the case is flawed."""

    def __init__(self, seed):
        super().__init__(seed)
        self.flawed = self.choice([0, 0, 0.3, 1])

    def flaw(self, chance):
        return self.random() < chance * self.flawed

    def pick(self, right, wrong, chance=0.1):
        """One of the right values, or now and then of the wrong ones."""
        return self.choice(wrong if self.flaw(chance) else right)


class Entity:
    """Who has a key: a name, which is not always its own, and a list of its certificates with their issuers."""

    def __init__(self, dice, name, right, wrong):
        self.name = name
        self.kind = dice.pick(right, wrong)
        self.key = pki.key(self.kind, f"random {dice.randrange(6)}")
        self.identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()).digest
        self.certificates = []

    def certify(self, dice, issuer, purpose, *, ca=True):
        """Get one more certificate, from ``issuer``."""
        above = dice.choice([one for one, _ in issuer.certificates]) if issuer.certificates else None
        start, end = dice.pick(
            [LONG, LONG, (NOW, NOW + DAY), (NOW - DAY, NOW + SECOND)],  # not to NOW, which openssl takes for too late
            [(NOW - 9 * DAY, NOW - SECOND), (NOW + SECOND, NOW + 9 * DAY)],
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(pki.name(self.name))
            .issuer_name(pki.name(issuer.name))
            .public_key(self.key.public_key())
            .serial_number(dice.getrandbits(64) + 1)
            .not_valid_before(start)
            .not_valid_after(end)
        )
        for extension, critical in self._extensions(dice, issuer, above, ca, PURPOSES[purpose]):
            builder = builder.add_extension(extension, critical=critical)
        hash_ = dice.choice([hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
        hash_ = hashes.SHA256() if issuer.kind == "rsa-1024" else hash_  # which has no room for more
        if isinstance(issuer.key, rsa.RSAPrivateKey):
            salt = dice.pick([None, None, hash_.digest_size], [20, 48], chance=0.3)
            pss = None if salt is None else padding.PSS(padding.MGF1(hash_), salt)
            made = builder.sign(issuer.key, hash_, rsa_padding=pss)
        else:
            made = builder.sign(issuer.key, hash_ if isinstance(issuer.key, ec.EllipticCurvePrivateKey) else None)
        self.certificates.append((made, issuer))
        return made

    def _extensions(self, dice, issuer, above, ca, purpose):
        if dice.random() < 0.8:
            yield x509.SubjectKeyIdentifier(self.identifier), False
        if identified := authority(dice, issuer, above):
            yield identified, False
        is_ca = dice.pick([ca], [not ca, None], chance=0.05)
        if is_ca is not None:
            length = dice.choice([*[None] * 12, 0, 1, 1, 2, 2, 3]) if is_ca else None
            yield x509.BasicConstraints(ca=is_ca, path_length=length), dice.random() < 0.9
        usage = (
            dice.pick([("key_cert_sign", "crl_sign"), None, ("digital_signature", "key_cert_sign")], [("crl_sign",)])
            if ca
            else dice.pick([("digital_signature",), ("digital_signature", "key_agreement")], [None, ("key_agreement",)])
        )
        if usage is not None:
            yield pki.key_usage(*usage), dice.random() < 0.9
        purposes = (
            dice.pick([None, None, None, None, [purpose], [ANY], [SERVER, purpose]], [[SERVER]])
            if ca
            else dice.pick([[purpose], [purpose], [SERVER, purpose]], [None, [ANY], [SERVER]])
        )
        if purposes:
            yield x509.ExtendedKeyUsage(purposes), dice.random() < 0.2
        if dice.flaw(0.1):
            yield UNKNOWN, dice.random() < 0.5


def authority(dice, issuer, above):
    """An authorityKeyIdentifier: none, that of the issuer's key, of one of its certificates, or a wrong one."""
    form = dice.pick(["none", "key", "key", "key", "certificate", "both"], ["wrong key", "wrong serial"])
    key = bytes(20) if form == "wrong key" else issuer.identifier if form in ("key", "both") else None
    if above is None or form in ("none", "key", "wrong key"):
        return x509.AuthorityKeyIdentifier(key, None, None) if key else None
    serial = above.serial_number + (form == "wrong serial")
    return x509.AuthorityKeyIdentifier(key, [x509.DirectoryName(above.issuer)], serial)


def attributes(dice, leaf, carried, trusted, names):
    """The signed attributes that name certificates: kinds and values. ``names`` is told which."""
    known = [leaf, *carried, *trusted]

    def one(certificate, version):
        form = dice.pick(["hash", "serial"], ["wrong serial", "wrong issuer"])
        issuer = dice.choice(known) if form == "wrong issuer" else certificate
        serial = certificate.serial_number + (form == "wrong serial")
        stated = b"" if form == "hash" else named.issuer_serial(certificate, issuer=issuer, serial=serial)
        hash_ = "sha1" if version == 1 else dice.choice(["sha256", "sha256", "sha384", "sha512"])
        return named.identifier(certificate, hash_, named=stated, explicit=version == 2 and dice.random() < 0.2)

    def value(version):
        first = dice.pick([leaf], known)
        others = dice.pick([[], [], known[1:], carried], [dice.sample(known, dice.randrange(len(known)))], 0.2)
        names.extend([first, *others])
        return named.value(*(one(each, version) for each in [first, *others]))

    kinds = {1: named.VERSION_1, 2: named.VERSION_2}
    versions = dice.choice([[], [], [2], [2], [1], [1, 2]])
    return [(kinds[version], [value(version) for _ in range(dice.pick([1], [0, 2], 0.03))]) for version in versions]


def make(seed):
    """A case: the ``blob`` over `pki.HEAD`, and what it was made of."""
    dice = Dice(seed)
    purpose = dice.choice(list(PURPOSES))
    names = [f"CA {n}" for n in range(dice.choice([9, 9, 9, 2]))]  # with two names, several keys have one
    kinds = ["p256", "p256", "p256", "p384", "p521", "rsa-2048"]
    weak = ["rsa-1024", "secp256k1", "ed25519"]
    entities = [Entity(dice, dice.choice(names), kinds, weak) for _ in range(dice.randint(1, 5))]
    entities[0].certify(dice, entities[0], purpose)
    for depth, one in enumerate(entities[1:]):
        one.certify(dice, entities[depth], purpose)
    for _ in range(dice.choice([0, 0, 1, 1, 2, 3])):  # cross certificates, renewals, other roots, bridges
        dice.choice(entities).certify(dice, dice.choice(entities), purpose)
    signer = Entity(dice, "Signer", [*kinds, "ed25519"], ["rsa-1024", "secp256k1"])
    leaf = signer.certify(dice, entities[-1], purpose, ca=False)
    above = list({id(one): one for one, _ in ancestors(signer)}.values())
    roots = [one for one, issuer in ancestors(signer) if one.subject == one.issuer]
    trusted = [one for one in above if is_ca(one) and (one in roots or dice.random() < 0.05)]
    trusted = dice.sample(trusted, dice.randint(1, len(trusted))) if trusted else [pki.root()]
    stray = [one for each in entities for one, _ in each.certificates] + [pki.intermediate("Stray")]
    carried = [one for one in above if dice.flaw(0.1) or (one not in roots and not dice.flaw(0.1))]
    carried += [one for one in stray if one not in carried and dice.flaw(0.05)]
    dice.shuffle(carried)
    private = pki.key(signer.kind, "another") if dice.flaw(0.03) else signer.key
    names = []
    more = attributes(dice, leaf, carried, trusted, names)
    return SimpleNamespace(
        blob=sign(dice, private, [leaf, *carried], more),
        key=signer.key,
        leaf=leaf,
        carried=carried,
        trusted=trusted,
        purpose=purpose,
        names=names,  # by the signed attributes
        attributes=[kind for kind, _ in more],
    )


def is_ca(certificate):
    """Whether trust can be put into a certificate; other ones are refused when trust is read."""
    return any(isinstance(one.value, x509.BasicConstraints) and one.value.ca for one in certificate.extensions)


def ancestors(entity):
    """The certificates above an entity's own, each with its issuer."""
    found, waiting = [], [issuer for _, issuer in entity.certificates]
    for one in waiting:  # which grows
        found += one.certificates
        waiting += [issuer for _, issuer in one.certificates if issuer not in waiting]
    return found


def sign(dice, private, certificates, attributes):
    """A signature by ``private`` that carries these certificates, and has these signed attributes as well."""
    strong = isinstance(private, pki.ed25519.Ed25519PrivateKey)
    digest = "sha512" if strong else dice.choice(["sha256", "sha384", "sha512"])
    usual = [
        pki.attribute("content_type", "data"),
        pki.attribute("message_digest", hashlib.new(digest, HEAD).digest()),
    ]
    more = [
        cms.CMSAttribute.load(
            named.der(0x30, core.ObjectIdentifier(kind).dump() + named.der(0x31, b"".join(sorted(values))))
        )
        for kind, values in attributes
    ]
    by_identifier = dice.random() < 0.2
    return pki.forge(private, certificates, digest=digest, attributes=[*usual, *more], by_identifier=by_identifier)
