"""What a judgement is called on the wire: the field's codes, as tables over the verdict and the rule that decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from voltroot.pki.judging.findings import Judgement, Verdict

OK, CHAIN_ERROR, EXPIRED = Verdict.OK, Verdict.CHAIN_ERROR, Verdict.EXPIRED
NOT_YET_VALID, REVOKED, UNKNOWN_ISSUER = Verdict.NOT_YET_VALID, Verdict.REVOKED, Verdict.UNKNOWN_ISSUER


class Codes(NamedTuple):
    """The codes of one interface; those of ``rules`` go before those of ``verdicts``."""

    verdicts: Mapping[Verdict, str]
    rules: Mapping[str, str] = {}

    def of(self, judgement: Judgement) -> str:
        """Return the code of a judgement. Which fault decides is settled already, by ``findings.PRECEDENCE``."""
        decided = judgement.deciding
        by_rule = self.rules.get(decided.rule) if decided else None
        return by_rule or self.verdicts[judgement.verdict]


# What is authentic, but of another role than the service needs: the chain holds, its use here is not allowed.
_ROLE = ("role", "root_role", "purposes", "key_purpose")

# The PnC Secondary Actor API: verifyByPcid and paymentDetail know three.
SECONDARY_ACTOR = Codes(
    {
        OK: "OK",
        EXPIRED: "FAILED_CertificateExpired",
        REVOKED: "FAILED_CertChainError",
        NOT_YET_VALID: "FAILED_CertChainError",
        CHAIN_ERROR: "FAILED_CertChainError",
        UNKNOWN_ISSUER: "FAILED_CertChainError",
    }
)
# ISO 15118-2:2014 8.5.2.3, responseCode of PaymentDetailsRes, CertificateInstallationRes and CertificateUpdateRes.
ISO15118_2 = Codes(
    {
        OK: "OK",
        EXPIRED: "FAILED_CertificateExpired",
        REVOKED: "FAILED_CertificateRevoked",
        NOT_YET_VALID: "FAILED_CertChainError",
        CHAIN_ERROR: "FAILED_CertChainError",
        UNKNOWN_ISSUER: "FAILED_CertChainError",
    },
    dict.fromkeys(_ROLE, "FAILED_CertificateNotAllowedAtThisEVSE"),
)
# ISO 15118-20:2022, responseCode of AuthorizationRes: warnings, after which another way to pay may be tried.
ISO15118_20 = Codes(
    {
        OK: "OK",
        EXPIRED: "WARNING_CertificateExpired",
        REVOKED: "WARNING_CertificateRevoked",
        NOT_YET_VALID: "WARNING_CertificateNotYetValid",
        CHAIN_ERROR: "WARNING_CertificateValidationError",
        UNKNOWN_ISSUER: "WARNING_CertificateValidationError",
    },
)
# OCPP 2.0.1 part 2, AuthorizeCertificateStatusEnumType, C07.FR.13 to 17.
OCPP = Codes(
    {
        OK: "Accepted",
        EXPIRED: "CertificateExpired",
        REVOKED: "CertificateRevoked",
        NOT_YET_VALID: "CertChainError",
        CHAIN_ERROR: "CertChainError",
        UNKNOWN_ISSUER: "CertChainError",
    }
)
CODES = {
    "Secondary Actor API": SECONDARY_ACTOR,
    "ISO 15118-2": ISO15118_2,
    "ISO 15118-20": ISO15118_20,
    "OCPP": OCPP,
}
