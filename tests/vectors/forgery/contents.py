"""What is wrong in a certificate itself: its number, key, times and names."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from vectors.forgery.corpus import AT, caught_by
from vectors.forgery.forge import Parts, access, ca, key, spki
from voltroot.pki import der, oids
from voltroot.pki.names import Attribute, Name
from voltroot.pki.profiles import Usage
from voltroot.pki.suites import ED448, P521_SHA512


@caught_by("version", "SECC_2")
def version_1(parts: Parts) -> Parts:
    """The version is left away, which means 1, though there are extensions."""
    return replace(parts, version=b"")


@caught_by("serial_number", "SECC_2")
def serial_negative(parts: Parts) -> Parts:
    """The serial number is negative."""
    return replace(parts, serial=der.integer(-(1 << 100)))


@caught_by("serial_number", "SECC_2")
def serial_of_21_octets(parts: Parts) -> Parts:
    """The serial number has 21 octets."""
    return replace(parts, serial=der.integer(1 << 163))


@caught_by("serial_random", "SECC_2")
def serial_foreseeable(parts: Parts) -> Parts:
    """The serial number is 1000, as from a counter."""
    return replace(parts, serial=der.integer(1000))


@caught_by("signature_algorithms_agree", "SECC_2")
def signature_algorithms_differ(parts: Parts) -> Parts:
    """Inside stands ecdsa-with-SHA512, outside ecdsa-with-SHA256."""
    return replace(parts, algorithm=P521_SHA512.algorithm, outer=parts.algorithm)


@caught_by("signature_algorithm", "SECC_2", alone=True)
def ecdsa_with_sha384(parts: Parts) -> Parts:
    """The signature algorithm is ecdsa-with-SHA384, which no edition knows."""
    return replace(parts, algorithm=der.sequence(der.oid("1.2.840.10045.4.3.3")))


@caught_by("signed_like_issuer", "SECC_20", P521_SHA512)
def ed448_inside_ecdsa_chain(parts: Parts) -> Parts:
    """An Ed448 key is certified by a P-521 CA."""
    own = parts.keyed(spki(key("ed448 inside", ED448).public_key()), short=False)
    return own.having(oids.KEY_USAGE, der.named_bits(Usage.DIGITAL_SIGNATURE))


@caught_by("key", "SECC_2")
def rsa_1024(parts: Parts) -> Parts:
    """The key is RSA of 1024 bits."""
    modulus = int.from_bytes(hashlib.shake_256(b"rsa 1024").digest(128)) | 1 | 1 << 1023
    return parts.keyed(spki(rsa.RSAPublicNumbers(65537, modulus).public_key()), short=True)


@caught_by("key", "SECC_2")
def p384_key(parts: Parts) -> Parts:
    """The key is on secp384r1."""
    return parts.keyed(spki(ec.derive_private_key(384, ec.SECP384R1()).public_key()), short=True)


@caught_by("key", "SECC_2")
def p521_key_in_iso15118_2(parts: Parts) -> Parts:
    """The key is on secp521r1, which belongs to ISO 15118-20."""
    return parts.keyed(spki(key("p521", P521_SHA512).public_key()), short=True)


@caught_by("key_uncompressed", "SECC_2")
def compressed_point(parts: Parts) -> Parts:
    """The public key's point is in compressed form."""
    algorithm, bits = der.children(der.read(parts.spki).content)
    point = bytes((2 + bits.content[-1] % 2,)) + bits.content[2:34]
    return parts.keyed(der.sequence(algorithm.whole, der.bit_string(point)), short=True)


@caught_by("size", "SECC_2")
def over_800_octets(parts: Parts) -> Parts:
    """It has more than 800 octets, because the address of the OCSP responder is long."""
    return parts.having(oids.AUTHORITY_INFO_ACCESS, access("http://ocsp.example/" + "x" * 230))


# Time


@caught_by("validity", "SECC_2")
def ends_before_it_begins(parts: Parts) -> Parts:
    """NotAfter is a day before notBefore."""
    return replace(parts, begin=der.time(AT), end=der.time(AT.replace(year=2029)))


@caught_by("validity", "CONTRACT_2", end=datetime(2030, 1, 1, tzinfo=UTC))
def contract_for_four_years(parts: Parts) -> Parts:
    """A contract certificate is valid for four years."""
    return parts


@caught_by("validity", "OCSP_20", end=datetime(2028, 1, 1, tzinfo=UTC))
def ocsp_signer_for_two_years(parts: Parts) -> Parts:
    """The OCSP signer of ISO 15118-20 is valid for two years."""
    return parts


@caught_by("validity_within_issuer", "SECC_2")
def outlives_its_issuer(parts: Parts) -> Parts:
    """NotAfter is later than that of the issuing CA."""
    return replace(parts, end=der.time(datetime(2049, 12, 31, tzinfo=UTC)))


@caught_by("time_form", "SECC_2")
def generalized_time_before_2050(parts: Parts) -> Parts:
    """NotAfter is a GeneralizedTime though it is before 2050."""
    return replace(parts, end=der.generalized_time(AT))


@caught_by("time_form", "SECC_20", edition_2022=True, alone=True)
def utc_time_in_edition_2022(parts: Parts) -> Parts:
    """NotAfter is a UTCTime, which the first edition of ISO 15118-20 does not know."""
    return replace(parts, end=der.time(AT))


# Names


@caught_by("issuer_name", "SECC_2")
def issuer_of_another_name(parts: Parts) -> Parts:
    """The issuer's name is that of the MO sub-CA 2, not that of the CA that signed."""
    return replace(parts, issuer=ca("MO_SUB2_2").certificate.subject_der)


@caught_by("subject_attributes", "SECC_2")
def no_organization(parts: Parts) -> Parts:
    """The subject has no O."""
    return parts.named(("C", "DE"), ("DC", "CPO"), ("CN", "DE*ICE*E45B*78C"))


@caught_by("subject_attributes", "CONTRACT_2")
def no_common_name(parts: Parts) -> Parts:
    """The subject of a contract certificate has no CN, hence no EMAID."""
    return parts.named(("O", "Voltroot corpus"), ("DC", "MO"))


@caught_by("subject_only", "VEHICLE_20")
def vehicle_with_country(parts: Parts) -> Parts:
    """The subject of a vehicle certificate has a C."""
    return parts.named(("C", "DE"), ("O", "Voltroot corpus"), ("DC", "EV"), ("CN", "WVWV123456789ABCDEF7"))


@caught_by("subject_dc", "SECC_2")
def wrong_dc(parts: Parts) -> Parts:
    """The DC of a SECC certificate is OEM, not CPO."""
    return parts.named(("C", "DE"), ("O", "Voltroot corpus"), ("DC", "OEM"), ("CN", "DE*ICE*E45B*78C"))


@caught_by("subject_dc", "CPS_2")
def cps_without_dc(parts: Parts) -> Parts:
    """The subject of a CPS certificate has no DC."""
    return parts.named(("CN", "CPS"), ("O", "Voltroot corpus"), ("C", "DE"))


@caught_by("subject_strings", "SECC_2")
def dc_as_utf8_string(parts: Parts) -> Parts:
    """DC is a UTF8String, not an IA5String."""
    return replace(parts, subject=_retyped(parts.subject, "DC", der.UTF8_STRING))


@caught_by("subject_strings", "SECC_2")
def country_as_utf8_string(parts: Parts) -> Parts:
    """C is a UTF8String, not a PrintableString."""
    return replace(parts, subject=_retyped(parts.subject, "C", der.UTF8_STRING))


@caught_by("subject_bounds", "CPS_2")
def common_name_of_65_characters(parts: Parts) -> Parts:
    """CN has 65 characters."""
    rdns = Name.decode(parts.subject).rdns
    long = tuple((replace(pair, value="x" * 65) if pair.keyword == "CN" else pair,) for (pair,) in rdns)
    return replace(parts, subject=Name(long).encode())


def _retyped(name: bytes, keyword: str, tag: int) -> bytes:
    rdns = Name.decode(name).rdns
    return Name(tuple((Attribute(p.oid, p.value, tag) if p.keyword == keyword else p,) for (p,) in rdns)).encode()
