"""Packing a sealed contract into the messages that carry it: CertificateInstallationRes and CertificateUpdateRes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from voltroot.contract.seal import Sealed
from voltroot.v2g import iso2, iso20
from voltroot.v2g.exi import encode
from voltroot.v2g.schemas import ISO_2, ISO_20

Message = TypeVar("Message", iso2.V2G_Message, iso20.CertificateInstallationRes)
Body = TypeVar("Body", iso2.CertificateInstallationRes, iso2.CertificateUpdateRes)

NO_SESSION = bytes(8)
_SECP521_POINT = 133


class Contract(NamedTuple):
    """A contract on its way: the chain is its certificate, then sub-CA 2 and sub-CA 1, without the root.

    ``fault`` is what the lab gets wrong in its package on purpose.
    """

    emaid: str
    chain: tuple[bytes, ...]
    sealed: Sealed
    fault: str = ""


def installation_2(contract: Contract, provider: Sequence[bytes], session: bytes = NO_SESSION) -> iso2.V2G_Message:
    """Return a CertificateInstallationRes of -2, unsigned; ``provider`` is the CPS's chain without its root."""
    return _message_2(session, _body_2(iso2.CertificateInstallationRes, "OK", contract, provider))


def update_2(contract: Contract, provider: Sequence[bytes], session: bytes = NO_SESSION) -> iso2.V2G_Message:
    """Return a CertificateUpdateRes of -2, unsigned."""
    return _message_2(session, _body_2(iso2.CertificateUpdateRes, "OK", contract, provider))


def installation_20(
    contract: Contract, provider: Sequence[bytes], moment: datetime, session: bytes = NO_SESSION, remaining: int = 0
) -> iso20.CertificateInstallationRes:
    """Return a CertificateInstallationRes of -20, unsigned; ``remaining`` contracts wait for further requests."""
    return _message_20("OK", contract, provider, moment, session, remaining)


def refusal_installation_2(code: iso2.responseCodeType, session: bytes) -> iso2.V2G_Message:
    """Return a CertificateInstallationRes of -2 that says no: what the schema demands is there and empty."""
    return _message_2(session, _body_2(iso2.CertificateInstallationRes, code, _NOTHING, (b"",)))


def refusal_update_2(code: iso2.responseCodeType, session: bytes, retry: int | None = None) -> iso2.V2G_Message:
    """Return a CertificateUpdateRes of -2 that says no, and in ``retry`` when to ask again."""
    return _message_2(session, _body_2(iso2.CertificateUpdateRes, code, _NOTHING, (b"",), RetryCounter=retry))


def refusal_20(code: iso20.responseCodeType, moment: datetime, session: bytes) -> iso20.CertificateInstallationRes:
    """Return a CertificateInstallationRes of -20 that says no."""
    return _message_20(code, Contract("", (b"", b""), _NOTHING.sealed), (b"",), moment, session, 0)


def encoded(message: iso2.V2G_Message | iso20.CertificateInstallationRes) -> bytes:
    """Return a message in EXI.

    Its facets are not enforced: "emaid001" is 8 characters long, and whoever wants strict identifiers says so earlier.
    """
    return encode(message, ISO_2 if isinstance(message, iso2.V2G_Message) else ISO_20, facets=False)


# An eMAID has at least 14 characters, and iso15118 0.31.2 reads no message in which it has less.
_NOTHING = Contract(14 * "0", (b"",), Sealed(b"", b""))


def _message_2(session: bytes, body: iso2.CertificateInstallationRes | iso2.CertificateUpdateRes) -> iso2.V2G_Message:
    return iso2.V2G_Message(Header=iso2.MessageHeaderType(SessionID=session), Body=iso2.BodyType(BodyElement=body))


def _body_2(
    kind: type[Body], code: iso2.responseCodeType, contract: Contract, provider: Sequence[bytes], **rest: Any
) -> Body:
    # The Ids are those of the field, in the order in which the signature refers to them.
    return kind(
        ResponseCode=code,
        SAProvisioningCertificateChain=_chain_2(provider, None),
        ContractSignatureCertChain=_chain_2(contract.chain, "id1"),
        ContractSignatureEncryptedPrivateKey=iso2.ContractSignatureEncryptedPrivateKeyType(
            Id="id2", value=contract.sealed.encrypted
        ),
        DHpublickey=iso2.DiffieHellmanPublickeyType(Id="id3", value=contract.sealed.public),
        eMAID=iso2.EMAIDType(Id="id4", value=contract.emaid),
        **rest,
    )


def _chain_2(chain: Sequence[bytes], id_: str | None) -> iso2.CertificateChainType:
    leaf, *above = chain
    below = iso2.SubCertificatesType(Certificate=tuple(above)) if above else None
    return iso2.CertificateChainType(Id=id_, Certificate=leaf, SubCertificates=below)


def _message_20(
    code: iso20.responseCodeType,
    contract: Contract,
    provider: Sequence[bytes],
    moment: datetime,
    session: bytes,
    remaining: int,
) -> iso20.CertificateInstallationRes:
    leaf, *above = contract.chain
    cps, *cps_above = provider
    on_curve = len(contract.sealed.public) in (0, _SECP521_POINT)
    return iso20.CertificateInstallationRes(
        Header=iso20.MessageHeaderType(SessionID=session, TimeStamp=int(moment.timestamp())),
        ResponseCode=code,
        EVSEProcessing="Finished",
        CPSCertificateChain=iso20.CertificateChainType(
            Certificate=cps,
            SubCertificates=iso20.SubCertificatesType(Certificate=tuple(cps_above)) if cps_above else None,
        ),
        SignedInstallationData=iso20.SignedInstallationDataType(
            Id="id1",
            ContractCertificateChain=iso20.ContractCertificateChainType(
                Certificate=leaf, SubCertificates=iso20.SubCertificatesType(Certificate=tuple(above))
            ),
            ECDHCurve="SECP521" if on_curve else "X448",
            DHPublicKey=contract.sealed.public,
            SECP521_EncryptedPrivateKey=contract.sealed.encrypted if on_curve else None,
            X448_EncryptedPrivateKey=None if on_curve else contract.sealed.encrypted,
        ),
        RemainingContractCertificateChains=remaining,
    )
