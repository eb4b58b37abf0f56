"""The certificates of a car maker's vehicle PKI (vPKI API definition 2.1): its rows of the table of profiles.

Their shape is that of the definition's sample certificates; what belongs to the operator is the ``Operator``'s, with
the samples' values as its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone, tzinfo

from voltroot.pki import oids
from voltroot.pki.names import Name
from voltroot.pki.profiles import (
    AGREE,
    ALWAYS_CRITICAL,
    ANY_CA,
    CERTIFY,
    PLAIN_NAME,
    REVOKE,
    SIGN,
    YEAR,
    Calendar,
    Edition,
    Policy,
    Profile,
)
from voltroot.pki.suites import P256_SHA256, P521_SHA512

PROV_2, PROV_20, VEHICLE_20 = "VPKI_PROV_2", "VPKI_PROV_20", "VPKI_VEHICLE_20"
CCU_SHA256, CCU_SHA512 = "VPKI_CCU_SHA256", "VPKI_CCU_SHA512"

CA_SUBJECTS = {
    "vpki-root-2": "CN=Root P-256,OU=ECC,O=HKMC,C=KR",
    "vpki-root-20": "CN=Root P-521,OU=ECC,O=HKMC,C=KR",
    "vpki-ca-2": "CN=CA01001,OU=ECC,O=HKMC,C=KR",
    "vpki-prov-ca-20": "CN=CA05001,OU=ECC,O=HKMC,C=KR",
    "vpki-ccu-ca-20": "CN=CA05002 DEV,OU=ECC DEV,O=HKMC,C=KR",
    "vpki-vehicle-ca-20": "CN=CA05003 DEV,OU=ECC DEV,O=HKMC,C=KR",
}


KOREA = timezone(timedelta(hours=9))
# The samples have these three octets and no more: the OID of the extension itself, not anyPolicy below it.
POLICY = Policy("2.5.29.32")
CCU_POLICY = Policy("1.3.6.1.4.1.1678.2.0.99.1", "http://cert.hmckmc.co.kr/repository", "https://cert.hmckmc.co.kr/cps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Whose PKI it is: what stands in subjects, where days end, under which policies certificates are issued."""

    organization: str = "HKMC"
    unit: str = "ECC"
    country: str = "KR"
    zone: tzinfo = KOREA
    policy: Policy = POLICY
    ccu_policy: Policy = CCU_POLICY
    ca_subjects: Mapping[str, str] = field(default_factory=dict)

    def subjects(self) -> dict[str, Name]:
        """Return the name of each CA by its label."""
        return {label: Name.parse(text) for label, text in (CA_SUBJECTS | dict(self.ca_subjects)).items()}


def profiles(operator: Operator) -> dict[str, Profile]:
    """Return the rows by name."""
    return {row.name: row for row in _rows(operator)}


def _rows(operator: Operator) -> tuple[Profile, ...]:
    any2 = Profile(
        name="", title="", clause="vPKI API 2.1", edition=Edition.VPKI, issuer=None, suites=(P256_SHA256,), days=YEAR,
        shape=("C", "O", "OU", "CN"), usage=SIGN,
    )  # fmt: skip
    any20 = replace(any2, suites=(P521_SHA512,))
    # A CA signs for as long as the rest of its life is longer than any life that it gives.
    root2, root20 = (
        replace(row, usage=CERTIFY | REVOKE, days=80 * YEAR, outlives=46 * YEAR, ocsp=False, crl=False)
        for row in (any2, any20)
    )
    ca2, ca20 = (
        replace(row, usage=CERTIFY | REVOKE, days=45 * YEAR, outlives=31 * YEAR, path_length=0) for row in (any2, any20)
    )
    years = {years: Calendar(years, operator.zone) for years in (30, 20, 3)}
    leaf2, leaf20 = (replace(row, usage=SIGN | AGREE, calendar=years[30]) for row in (any2, any20))
    car, policy = ("DC", "O", "OU", "CN"), (operator.policy,)
    identified = ALWAYS_CRITICAL | {
        oids.AUTHORITY_KEY_IDENTIFIER, oids.SUBJECT_KEY_IDENTIFIER, oids.EXTENDED_KEY_USAGE,
        oids.CRL_DISTRIBUTION_POINTS,
    }  # fmt: skip
    return (
        replace(root2, name="VPKI_ROOT_2", title="vPKI root CA"),
        replace(ca2, name="VPKI_CA_2", title="vPKI CA", issuer="VPKI_ROOT_2"),
        replace(leaf2, name=PROV_2, title="vPKI provisioning certificate", issuer="VPKI_CA_2", dc="OEM", shape=car,
                policies=policy),
        replace(leaf2, name=CCU_SHA256, title="vPKI CCU certificate", issuer="VPKI_CA_2", calendar=years[20],
                policies=(operator.ccu_policy,), purposes=(oids.SERVER_AUTH, oids.CLIENT_AUTH), ca_issuers=True),
        replace(root20, name="VPKI_ROOT_20", title="vPKI root CA"),
        replace(ca20, name="VPKI_PROV_CA_20", title="vPKI provisioning CA", issuer="VPKI_ROOT_20"),
        replace(leaf20, name=PROV_20, title="vPKI provisioning certificate", issuer="VPKI_PROV_CA_20", dc="OEM20",
                shape=car, policies=policy),
        replace(ca20, name="VPKI_VEHICLE_CA_20", title="vPKI vehicle CA", issuer="VPKI_ROOT_20"),
        replace(leaf20, name=VEHICLE_20, title="vPKI vehicle certificate", issuer="VPKI_VEHICLE_CA_20", dc="EV",
                shape=car, critical=identified, purposes=(oids.SERVER_AUTH, oids.CLIENT_AUTH), ocsp=False),
        replace(ca20, name="VPKI_CCU_CA_20", title="vPKI CCU CA", issuer="VPKI_ROOT_20"),
        replace(leaf20, name=CCU_SHA512, title="vPKI CCU certificate", issuer="VPKI_CCU_CA_20", calendar=years[3],
                critical=identified, purposes=(oids.CLIENT_AUTH,), ocsp=False, crl=False),
        replace(any2, name="VPKI_OCSP", title="OCSP signer", clause="RFC 6960 4.2.2.2", issuer=ANY_CA, days=90,
                suites=(P256_SHA256, P521_SHA512), shape=PLAIN_NAME, purposes=(oids.OCSP_SIGNING,), ocsp=False,
                crl=False, nocheck=True),
    )  # fmt: skip
