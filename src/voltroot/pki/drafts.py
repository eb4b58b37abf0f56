"""Profile, subject and key make the certificate that is to be signed."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.errors import Refused, Unavailable
from voltroot.pki import der, oids, suites
from voltroot.pki.addresses import Addresses
from voltroot.pki.certificates import Certificate
from voltroot.pki.deviations import Deviation
from voltroot.pki.enclosures import Enclosure
from voltroot.pki.names import Name
from voltroot.pki.profiles import REVOKE, Policy, Profile
from voltroot.pki.registrations import Registration
from voltroot.pki.suites import PublicKey, Suite


@dataclass(frozen=True)
class Order:
    """What an actor places with the authority: one certificate, please.

    ``name`` is the claim: no second valid certificate of the profile may hold it, unless the order is a renewal; None
    claims nothing. ``sealed_key`` goes into escrow in the transaction that reserves the certificate, and so do the
    registration and the enclosure into theirs. ``door`` and ``by`` tell the audit log which API was asked, and who.
    ``issuer`` is the slug of the CA where the profile does not say it; ``own_key`` the label of the key that signs
    itself, for a root. ``deviation`` is what a lab wants otherwise.
    """

    profile: Profile
    subject: Name
    public_key: PublicKey
    door: str
    by: str = ""
    name: str | None = None
    renewal: bool = False
    sealed_key: bytes | None = field(default=None, repr=False)
    alternative_names: tuple[str, ...] = ()
    issuer: str | None = None
    own_key: str | None = None
    registration: Registration | None = None
    enclosure: Enclosure | None = None
    deviation: Deviation | None = None

    @cached_property
    def spki(self) -> bytes:
        """The SubjectPublicKeyInfo in DER."""
        return self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def key_hash(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo: what "the same key" means."""
        return hashlib.sha256(self.spki).digest()


@dataclass(frozen=True)
class Issuer:
    """A CA that this program can sign for: its certificate, its profile, the label of its key, and its public face.

    ``number`` is its row in the ledger; ``slug`` its name in addresses. The signature's algorithm follows the key.
    """

    number: int
    slug: str
    profile: Profile
    certificate: Certificate
    key: str | None

    @cached_property
    def suite(self) -> Suite:
        """The suite of the CA's own key."""
        return suites.suite_of(self.certificate.public_key)

    @property
    def signs_crls(self) -> bool:
        """Whether profile and certificate let it sign CRLs: one from elsewhere may do less than its place."""
        usage = self.certificate.key_usage
        return self.profile.signs_crls and (usage is None or bool(usage & REVOKE))

    @cached_property
    def key_identifier(self) -> bytes:
        """What its certificates name in authorityKeyIdentifier (RFC 5280 4.2.1.1)."""
        return self.certificate.subject_key_identifier or key_identifier(self.certificate.spki)


@dataclass(frozen=True, slots=True)
class Draft:
    """The final contents, not yet signed: what is linted and written down before a CA key is touched."""

    order: Order
    issuer: Issuer | None
    serial: int
    not_before: datetime
    not_after: datetime
    tbs: bytes
    signing_suite: Suite

    def signed(self, signature: bytes) -> bytes:
        """Return the certificate: these octets with a signature around them."""
        return der.sequence(self.tbs, self.signing_suite.algorithm, der.bit_string(signature))

    def placeholder(self) -> Certificate:
        """Return the certificate as it will be but for the signature, which has its greatest size, for lints."""
        return Certificate.read(self.signed(bytes(self.signing_suite.signature_size)))


class Drafter:
    """Makes drafts; keeps the octets that all certificates of one profile and issuer share."""

    def __init__(self, addresses: Addresses, backdate: timedelta) -> None:
        self._addresses = addresses
        self._backdate = backdate
        self._shared: dict[tuple[str, str, bytes, int], tuple[bytes, bytes, bytes]] = {}

    def draft(self, order: Order, issuer: Issuer | None, moment: datetime, *, days: int | None = None) -> Draft:
        """Return the draft of an order; an order without an issuer is for a self-signed root."""
        profile, serial = order.profile, serial_number()
        if issuer is not None and issuer.certificate.not_after <= moment:
            raise Refused(f"the issuing CA {issuer.slug} has expired: renew it first")
        not_before, not_after = self._validity(order, issuer, moment, days)
        suite = issuer.suite if issuer else suites.suite_of(order.public_key)
        subject = order.subject.encode()
        only = profile.generalized_time_only
        tbs = der.sequence(
            b"\xa0\x03\x02\x01\x02",
            der.integer(serial),
            suite.algorithm,
            issuer.certificate.subject_der if issuer else subject,
            der.sequence(der.time(not_before, generalized_only=only), der.time(not_after, generalized_only=only)),
            subject,
            order.spki,
            der.explicit(3, der.sequence(*self._extensions(order, issuer, serial))),
        )
        return Draft(order, issuer, serial, not_before, not_after, tbs, suite)

    def _validity(
        self, order: Order, issuer: Issuer | None, moment: datetime, days: int | None
    ) -> tuple[datetime, datetime]:
        profile, moment = order.profile, moment.replace(microsecond=0)
        if order.deviation is not None and order.deviation.lasts is not None:
            begin = moment + order.deviation.begins
            return begin, begin + order.deviation.lasts
        if profile.calendar is not None:
            not_after = profile.calendar.end(moment)
            if issuer is not None and issuer.certificate.not_after < not_after:
                raise Unavailable(f"the CA {issuer.slug} would not outlive what it signs: make or import its successor")
            return moment, not_after
        not_before = moment - self._backdate
        not_after = moment + timedelta(days=profile.days if days is None else days)
        if issuer is not None:
            not_before = max(not_before, issuer.certificate.not_before)
            not_after = min(not_after, issuer.certificate.not_after)
        return not_before, not_after

    def _extensions(self, order: Order, issuer: Issuer | None, serial: int) -> list[bytes]:
        """The extensions in order: the key's own and the alternative names stand among those that many share."""
        profile, suite = order.profile, suites.suite_of(order.public_key)
        shard = self._addresses.shard(serial)
        place = (profile.name, suite.name, issuer.certificate.der if issuer else b"", shard)
        shared = self._shared.get(place)
        if shared is None:
            authority = _authority(profile, issuer) if issuer else b""
            shared = (authority, usage_extensions(profile, suite), self._status(profile, issuer, shard))
            self._shared[place] = shared
        authority, usage, status = shared
        identify = short_key_identifier if profile.short_key_identifier else key_identifier
        own = extension(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(identify(order.spki)), profile.critical)
        names = b""
        if order.alternative_names:
            value = der.sequence(*map(general_name, order.alternative_names))
            names = extension(oids.SUBJECT_ALTERNATIVE_NAME, value, profile.critical)
        return [authority, own, *_deviating(order, usage), names, status]

    def _status(self, profile: Profile, issuer: Issuer | None, shard: int) -> bytes:
        """Where the status is published, and whether it is at all."""
        critical, extensions = profile.critical, b""
        if profile.crl and issuer is not None and issuer.signs_crls:
            place = self._addresses.crl(issuer, shard)
            extensions += extension(oids.CRL_DISTRIBUTION_POINTS, distribution_points(place), critical)
        if profile.ocsp:
            access = _access(oids.OCSP, self._addresses.ocsp(issuer))
            if profile.ca_issuers and issuer is not None:
                access += _access(oids.CA_ISSUERS, self._addresses.certificate(issuer))
            extensions += extension(oids.AUTHORITY_INFO_ACCESS, der.sequence(access), critical)
        if profile.nocheck:
            extensions += extension(oids.OCSP_NOCHECK, der.NULL_VALUE, critical)
        return extensions


def _deviating(order: Order, usage: bytes) -> list[bytes]:
    """What stands in the place of the usual extensions where the order wants it otherwise."""
    own = order.deviation
    if own is None:
        return [usage]
    if own.path_length is not None:
        usage = usage_extensions(replace(order.profile, path_length=own.path_length), suites.suite_of(order.public_key))
    comment = der.tlv(der.IA5_STRING, b"-" * own.padding)
    return [usage, extension(oids.NETSCAPE_COMMENT, comment, frozenset())] if own.padding else [usage]


def prove(placeholder: Certificate) -> None:
    """Fail unless an independent parser reads from a draft what was meant to stand in it."""
    read = x509.load_der_x509_certificate(placeholder.der)
    extensions = [(each.oid.dotted_string, each.critical) for each in read.extensions]
    theirs = (read.serial_number, read.not_valid_before_utc, read.not_valid_after_utc, extensions)
    own = [(oid, extension.critical) for oid, extension in placeholder.extension_list]
    ours = (placeholder.serial, placeholder.not_before, placeholder.not_after, own)
    if theirs != ours:
        raise AssertionError("a draft does not say what it was meant to say")


def serial_number() -> int:
    """Return a serial number of 20 octets, 158 of its bits random (RFC 5280 4.1.2.2: positive, at most 20 octets)."""
    return secrets.randbits(158) | 1 << 158


def key_identifier(spki: bytes) -> bytes:
    """Return SHA-1 of the public key's bits (RFC 5280 4.2.1.2, method 1)."""
    return hashlib.sha1(key_bits(spki), usedforsecurity=False).digest()


def short_key_identifier(spki: bytes) -> bytes:
    """Return 0100 and the last 60 bits of that SHA-1 (RFC 5280 4.2.1.2, method 2)."""
    tail = key_identifier(spki)[-8:]
    return bytes((0x40 | tail[0] & 0x0F,)) + tail[1:]


def distribution_points(*places: str) -> bytes:
    """Return the value of cRLDistributionPoints for one point with the given addresses (RFC 5280 4.2.1.13)."""
    return der.sequence(der.sequence(distribution_point_name(*places)))


def distribution_point_name(*places: str) -> bytes:
    """Return a DistributionPointName's fullName in its outer tag."""
    return der.explicit(0, der.explicit(0, *(der.implicit(6, place.encode("ascii")) for place in places)))


def _authority(profile: Profile, issuer: Issuer) -> bytes:
    identifier = der.sequence(der.implicit(0, issuer.key_identifier))
    return extension(oids.AUTHORITY_KEY_IDENTIFIER, identifier, profile.critical)


def usage_extensions(profile: Profile, suite: Suite) -> bytes:
    """Return the extensions that say what a key of a suite may do, each in DER."""
    constraints = der.TRUE if profile.is_ca else b""
    if profile.path_length is not None:
        constraints += der.integer(profile.path_length)
    parts = [
        extension(oids.KEY_USAGE, der.named_bits(profile.usage_for(suite)), profile.critical),
        *_policies(profile),
        extension(oids.BASIC_CONSTRAINTS, der.sequence(constraints), profile.critical),
    ]
    if profile.purposes:
        purposes = der.sequence(*map(der.oid, profile.purposes))
        parts.append(extension(oids.EXTENDED_KEY_USAGE, purposes, profile.critical))
    return b"".join(parts)


def _policies(profile: Profile) -> list[bytes]:
    if not profile.policies:
        return []
    value = der.sequence(*map(_policy, profile.policies))
    return [extension(oids.CERTIFICATE_POLICIES, value, profile.critical)]


def _policy(policy: Policy) -> bytes:
    qualifiers = b""
    if policy.notice:
        text = der.tlv(der.VISIBLE_STRING, policy.notice.encode("ascii"))
        qualifiers += der.sequence(der.oid(oids.USER_NOTICE), der.sequence(text))
    if policy.cps:
        qualifiers += der.sequence(der.oid(oids.CPS), der.tlv(der.IA5_STRING, policy.cps.encode("ascii")))
    return der.sequence(der.oid(policy.oid), der.sequence(qualifiers) if qualifiers else b"")


def _access(method: str, address: str) -> bytes:
    return der.sequence(der.oid(method), der.implicit(6, address.encode("ascii")))


def extension(oid: str, value: bytes, critical: frozenset[str]) -> bytes:
    """Return an Extension in DER."""
    return der.sequence(der.oid(oid), der.TRUE if oid in critical else b"", der.octet_string(value))


def general_name(text: str) -> bytes:
    """Return an IP address or a host name as a GeneralName in DER."""
    try:
        return der.implicit(7, ipaddress.ip_address(text).packed)
    except ValueError:
        return der.implicit(2, text.encode("ascii"))


def key_bits(spki: bytes) -> bytes:
    """Return the bits of the public key alone: what key identifiers and OCSP's key hashes are made from."""
    _algorithm, bits = der.children(der.read(spki).content)
    return bits.content[1:]
