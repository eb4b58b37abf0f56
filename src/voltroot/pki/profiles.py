"""Every certificate that can be issued, one row each.

Sources: ISO 15118-2:2014 Annex F, ISO 15118-20:2022 Annex B with its amendment 1, OCPP 2.0.1 part 2 A00.FR.5xx for
the charging station's and the CSMS's certificates, RFC 6960 4.2.2.2 for the OCSP signers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntFlag, StrEnum

from voltroot.errors import UnsupportedSuite
from voltroot.pki import oids
from voltroot.pki.suites import ED448, P256_SHA256, P384_SHA384, P521_SHA512, RSA_SHA256, RSA_SHA384, Suite


class Edition(StrEnum):
    """The standard that a profile belongs to, as the APIs spell it."""

    ISO15118_2 = "ISO15118-2"
    ISO15118_20 = "ISO15118-20"
    OCPP = "OCPP"
    VPKI = "vPKI"


class Usage(IntFlag):
    """keyUsage bits (RFC 5280 4.2.1.3), digitalSignature the highest of sixteen."""

    DIGITAL_SIGNATURE = 0x8000
    NON_REPUDIATION = 0x4000
    KEY_ENCIPHERMENT = 0x2000
    DATA_ENCIPHERMENT = 0x1000
    KEY_AGREEMENT = 0x0800
    KEY_CERT_SIGN = 0x0400
    CRL_SIGN = 0x0200


SIGN, AGREE, ENCIPHER = Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT, Usage.KEY_ENCIPHERMENT
CERTIFY, REVOKE = Usage.KEY_CERT_SIGN, Usage.CRL_SIGN

CA_NAME = ("CN", "O", "C", "DC")
PLAIN_NAME = ("CN", "O", "C")
LEAF_NAME = ("C", "O", "OU", "DC", "CN")
VEHICLE_NAME = ("O", "DC", "CN")

ALWAYS_CRITICAL = frozenset({oids.KEY_USAGE, oids.BASIC_CONSTRAINTS})
CRITICAL_2022 = frozenset(
    {
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_INFO_ACCESS,
        oids.CRL_DISTRIBUTION_POINTS,
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """A certificate policy (RFC 5280 4.2.1.4), with the text of a user notice and the address of a CPS where it has."""

    oid: str
    notice: str = ""
    cps: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """A validity in years, from the moment of issuing to the end of that day in the operator's time zone."""

    years: int
    zone: tzinfo

    def end(self, moment: datetime) -> datetime:
        """Return the last second; of a leap day's certificate on 28 February where the year has no 29th."""
        day = moment.astimezone(self.zone).replace(hour=23, minute=59, second=59, microsecond=0)
        try:
            last = day.replace(year=day.year + self.years)
        except ValueError:
            last = day.replace(year=day.year + self.years, day=28)
        return last.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One row: what a certificate of this kind contains.

    ``issuer`` is the profile of the CA that issues it: None for a root, ``ANY_CA`` where the order says which.
    ``shape`` is the order of the subject's attributes in DER. ``dc`` is the domainComponent that marks the role;
    ``dc_exact`` false means that it need only end so. ``days`` is the validity unless configured, ``longest`` the
    most that the standard allows, ``largest`` the most octets of a certificate. With a ``calendar`` the validity is
    neither backdated nor cut short to the issuer's; a CA ``outlives`` what it signs by having so many days left.
    """

    name: str
    title: str
    edition: Edition
    clause: str
    issuer: str | None
    suites: tuple[Suite, ...]
    days: int
    shape: tuple[str, ...]
    usage: Usage
    dc: str | None = None
    dc_exact: bool = True
    path_length: int | None = None
    purposes: tuple[str, ...] = ()
    critical: frozenset[str] = ALWAYS_CRITICAL
    ocsp: bool = True
    crl: bool = True
    nocheck: bool = False
    short_key_identifier: bool = False
    generalized_time_only: bool = False
    longest: timedelta | None = None
    largest: int | None = None
    calendar: Calendar | None = None
    outlives: int = 0
    policies: tuple[Policy, ...] = ()
    ca_issuers: bool = False

    @property
    def is_ca(self) -> bool:
        """Whether certificates of this kind may sign certificates."""
        return CERTIFY in self.usage

    @property
    def signs_crls(self) -> bool:
        """Whether this CA may sign CRLs."""
        return REVOKE in self.usage

    def usage_for(self, suite: Suite) -> Usage:
        """The keyUsage for a subject key: Ed448 cannot agree on keys, RSA does so by encipherment."""
        if suite.can_agree:
            return self.usage
        return self.usage & ~AGREE | (ENCIPHER if suite.key_bits and AGREE in self.usage else Usage(0))


ANY_CA = "*"
YEAR = 365

ISO2 = (P256_SHA256,)
ISO20 = (P521_SHA512, ED448)
OCPP_KEYS = (P256_SHA256, RSA_SHA256, RSA_SHA384)


def _rows() -> tuple[Profile, ...]:
    any2 = Profile(
        name="", title="", clause="", edition=Edition.ISO15118_2, issuer=None, suites=ISO2, days=YEAR, shape=CA_NAME,
        # Both methods of RFC 5280 4.2.1.2 are right; the short one leaves room for long names in 800 octets.
        usage=SIGN, largest=800, short_key_identifier=True,
    )  # fmt: skip
    any20 = replace(
        any2, edition=Edition.ISO15118_20, suites=ISO20, largest=1600, short_key_identifier=False, dc_exact=False,
        critical=ALWAYS_CRITICAL | {oids.EXTENDED_KEY_USAGE},
    )  # fmt: skip
    ocpp = replace(
        any2, edition=Edition.OCPP, suites=OCPP_KEYS, largest=None, short_key_identifier=False, shape=PLAIN_NAME
    )
    ca2, ca20, ca = (replace(row, usage=CERTIFY | REVOKE) for row in (any2, any20, ocpp))
    root2, root20, root = (replace(row, days=40 * YEAR + 10, ocsp=False, crl=False) for row in (ca2, ca20, ca))
    # [V2G20] amendment 1, tables B.5 and B.6: the CSO branch knows OCSP only.
    cso20 = replace(ca20, usage=CERTIFY, crl=False, dc="CSO")
    leaf2, leaf20 = (replace(row, shape=LEAF_NAME, usage=SIGN | AGREE) for row in (any2, any20))
    contract = SIGN | Usage.NON_REPUDIATION | ENCIPHER | AGREE
    ocsp2, ocsp20, ocsp = (
        replace(row, shape=PLAIN_NAME, issuer=ANY_CA, days=90, purposes=(oids.OCSP_SIGNING,), ocsp=False, crl=False,
                nocheck=True)
        for row in (any2, any20, ocpp)
    )  # fmt: skip
    tls = replace(ocpp, issuer="CSMS_SUB", usage=SIGN | AGREE)
    server, client = (oids.SERVER_AUTH,), (oids.CLIENT_AUTH,)
    return (
        # ISO 15118-2, Annex F
        replace(root2, name="V2G_ROOT_2", title="V2G root CA", clause="-2 F.1", dc="V2G"),
        replace(ca2, name="CPO_SUB1_2", title="CPO sub-CA 1", clause="-2 F.2", dc="V2G", issuer="V2G_ROOT_2",
                path_length=1, days=4 * YEAR + 1),
        replace(ca2, name="CPO_SUB2_2", title="CPO sub-CA 2", clause="-2 F.2", dc="V2G", issuer="CPO_SUB1_2",
                path_length=0, days=2 * YEAR),
        replace(leaf2, name="SECC_2", title="SECC certificate", clause="-2 F.2", dc="CPO", issuer="CPO_SUB2_2",
                days=90),
        replace(ca2, name="CPS_SUB1_2", title="CPS sub-CA 1", clause="-2 F.3", dc="V2G", issuer="V2G_ROOT_2",
                path_length=1, days=4 * YEAR + 1),
        replace(ca2, name="CPS_SUB2_2", title="CPS sub-CA 2", clause="-2 F.3", dc="V2G", issuer="CPS_SUB1_2",
                path_length=0, days=2 * YEAR),
        replace(any2, name="CPS_2", title="CPS certificate", clause="-2 F.3", dc="CPS", issuer="CPS_SUB2_2", days=90),
        replace(root2, name="OEM_ROOT_2", title="OEM root CA", clause="-2 F.5", dc="OEM"),
        replace(ca2, name="OEM_SUB1_2", title="OEM sub-CA 1", clause="-2 F.5", dc="OEM", issuer="OEM_ROOT_2",
                path_length=1, days=20 * YEAR),
        replace(ca2, name="OEM_SUB2_2", title="OEM sub-CA 2", clause="-2 F.5", dc="OEM", issuer="OEM_SUB1_2",
                path_length=0, days=15 * YEAR),
        replace(leaf2, name="OEM_PROV_2", title="OEM provisioning certificate", clause="-2 F.5", dc="OEM",
                issuer="OEM_SUB2_2", days=4 * YEAR),
        replace(root2, name="MO_ROOT_2", title="MO root CA", clause="-2 F.4", dc="MO"),
        replace(ca2, name="MO_SUB1_2", title="MO sub-CA 1", clause="-2 F.4", dc="MO", issuer="MO_ROOT_2",
                path_length=1, days=10 * YEAR),
        # -2 F.4: without a CPS the MO's sub-CA 2 signs contract data itself.
        replace(ca2, name="MO_SUB2_2", title="MO sub-CA 2", clause="-2 F.4", dc="MO", issuer="MO_SUB1_2",
                path_length=0, days=6 * YEAR, usage=CERTIFY | REVOKE | SIGN | Usage.NON_REPUDIATION),
        replace(leaf2, name="CONTRACT_2", title="contract certificate", clause="-2 F.4", dc="MO", issuer="MO_SUB2_2",
                days=2 * YEAR, usage=contract, longest=timedelta(days=2 * YEAR + 2)),
        replace(ocsp2, name="OCSP_2", title="OCSP signer", clause="-2 F.2"),
        # ISO 15118-20, Annex B with amendment 1
        replace(root20, name="V2G_ROOT_20", title="V2G root CA", clause="-20 Annex B", dc="V2G"),
        replace(cso20, name="CPO_SUB1_20", title="CSO sub-CA 1", clause="-20 B.5/B.6", issuer="V2G_ROOT_20",
                path_length=1, days=4 * YEAR + 1),
        replace(cso20, name="CPO_SUB2_20", title="CSO sub-CA 2", clause="-20 B.5/B.6", issuer="CPO_SUB1_20",
                path_length=0, days=2 * YEAR),
        replace(leaf20, name="SECC_20", title="SECC certificate", clause="-20 Annex B", dc="CSO", issuer="CPO_SUB2_20",
                days=90, purposes=server, crl=False),
        replace(ca20, name="CPS_SUB1_20", title="CPS sub-CA 1", clause="-20 Annex B", dc="CPS", issuer="V2G_ROOT_20",
                path_length=1, days=4 * YEAR + 1),
        replace(ca20, name="CPS_SUB2_20", title="CPS sub-CA 2", clause="-20 Annex B", dc="CPS", issuer="CPS_SUB1_20",
                path_length=0, days=2 * YEAR),
        replace(any20, name="CPS_20", title="CPS certificate", clause="-20 Annex B", dc="CPS", issuer="CPS_SUB2_20",
                days=90),
        replace(root20, name="OEM_ROOT_20", title="OEM root CA", clause="-20 Annex B", dc="OEM"),
        replace(ca20, name="OEM_SUB1_20", title="OEM sub-CA 1", clause="-20 Annex B", dc="OEM", issuer="OEM_ROOT_20",
                path_length=1, days=20 * YEAR),
        replace(ca20, name="OEM_SUB2_20", title="OEM sub-CA 2", clause="-20 Annex B", dc="OEM", issuer="OEM_SUB1_20",
                path_length=0, days=15 * YEAR),
        replace(leaf20, name="OEM_PROV_20", title="OEM provisioning certificate", clause="-20 Annex B", dc="OEM",
                issuer="OEM_SUB2_20", days=4 * YEAR),
        replace(ca20, name="VEHICLE_SUB1_20", title="vehicle sub-CA 1", clause="-20 Annex B", dc="EV",
                issuer="OEM_ROOT_20", path_length=1, days=20 * YEAR),
        replace(ca20, name="VEHICLE_SUB2_20", title="vehicle sub-CA 2", clause="-20 Annex B", dc="EV",
                issuer="VEHICLE_SUB1_20", path_length=0, days=15 * YEAR),
        # [V2G20-2598] the vehicle's name has neither C nor OU.
        replace(leaf20, name="VEHICLE_20", title="vehicle certificate", clause="-20 B.13/B.14", dc="EV",
                issuer="VEHICLE_SUB2_20", days=10 * YEAR, shape=VEHICLE_NAME, purposes=client),
        replace(root20, name="MO_ROOT_20", title="MO root CA", clause="-20 Annex B", dc="MO"),
        replace(ca20, name="MO_SUB1_20", title="MSP sub-CA 1", clause="-20 Annex B", dc="MSP", issuer="MO_ROOT_20",
                path_length=1, days=10 * YEAR),
        replace(ca20, name="MO_SUB2_20", title="MSP sub-CA 2", clause="-20 Annex B", dc="MSP", issuer="MO_SUB1_20",
                path_length=0, days=6 * YEAR),
        replace(leaf20, name="CONTRACT_20", title="contract certificate", clause="-20 Annex B", dc="MO",
                issuer="MO_SUB2_20", days=2 * YEAR, short_key_identifier=True),
        replace(ocsp20, name="OCSP_20", title="OCSP signer", clause="-20 B.9.2", longest=timedelta(days=365)),
        # OCPP 2.0.1 A00 (CSMS and charging station), the manufacturer, and the backend's own TLS
        replace(root, name="CSMS_ROOT", title="CSMS root CA", clause="OCPP A00", suites=ISO2),
        replace(ca, name="CSMS_SUB", title="CSMS sub-CA", clause="OCPP A00", issuer="CSMS_ROOT", path_length=0,
                suites=(P256_SHA256, RSA_SHA384), days=10 * YEAR),
        replace(tls, name="TLS_SERVER", title="TLS server certificate", clause="RFC 9525", days=90,
                purposes=server),
        replace(tls, name="CSMS_SERVER", title="CSMS certificate", clause="OCPP A00", purposes=server),
        replace(tls, name="CHARGING_STATION", title="charging station certificate", clause="OCPP A00.FR.511",
                suites=(P256_SHA256, P384_SHA384, P521_SHA512, RSA_SHA256, RSA_SHA384), purposes=client),
        replace(root, name="MF_ROOT", title="manufacturer root CA", clause="OCPP M05", suites=ISO2),
        replace(ocsp, name="OCSP", title="OCSP signer", clause="RFC 6960 4.2.2.2"),
    )  # fmt: skip


def profiles(*, iso15118_20_2022: bool = False, short_contract_20: bool = True) -> dict[str, Profile]:
    """Return the table by name, in the form of -20's amendment 1 or of its first edition of 2022.

    ``short_contract_20`` gives contract certificates of -20 a subjectKeyIdentifier of 8 octets ([V2G20-2492]).
    """
    rows = tuple(
        replace(row, short_key_identifier=short_contract_20) if row.name == "CONTRACT_20" else row for row in _rows()
    )
    if iso15118_20_2022:
        rows = tuple(_as_of_2022(row) if row.edition is Edition.ISO15118_20 else row for row in rows)
    return {row.name: row for row in rows}


def issuer_suite(issuer: Profile, suite: Suite) -> Suite:
    """Return which key of a CA role signs for a subject key: one of the same kind, or else the role's first."""
    return next((own for own in issuer.suites if own.kind == suite.kind), issuer.suites[0])


def slug(profile: Profile, suite: Suite) -> str:
    """Return the label of a CA: the profile's name, with the kind of its key where the role has several."""
    suffix = "" if suite == profile.suites[0] else f"-{suite.kind}"
    return profile.name.lower().replace("_", "-") + suffix.lower()


def require_suite(profile: Profile, suite: Suite) -> None:
    """Raise UnsupportedSuite where the profile does not allow the key."""
    if suite not in profile.suites:
        allowed = " or ".join(own.name for own in profile.suites)
        raise UnsupportedSuite(f"a {profile.title} of {profile.edition} needs a key of {allowed}, not {suite.name}")


def _as_of_2022(row: Profile) -> Profile:
    # The first edition says CPO and MO where amendment 1 says CSO and MSP, and marks more extensions critical.
    names = {"CSO": "CPO", "MSP": "MO"}
    return replace(
        row,
        dc=names.get(row.dc or "", row.dc),
        critical=row.critical | CRITICAL_2022,
        generalized_time_only=True,
    )
