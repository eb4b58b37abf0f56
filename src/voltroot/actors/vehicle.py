"""The car: what it asks for with its keys, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from voltroot.contract.unpack import Car, Contract, Unpacked, unpack
from voltroot.pki.certificates import Certificate
from voltroot.pki.chains import Evidence
from voltroot.pki.judging.inputs import NOTHING
from voltroot.pki.profiles import Edition
from voltroot.pki.suites import P256_SHA256, Signer, suite_of
from voltroot.v2g import iso2, iso20, xmldsig
from voltroot.v2g.exi import encode
from voltroot.v2g.schemas import ISO_2, ISO_20
from voltroot.v2g.signature import X509IssuerSerialType

MOST_ROOTS = 20  # RootCertificateID in ListOfRootCertificateIDs, in both editions


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A car with its provisioning certificate, leaf first and no root, its key, and the roots that it trusts.

    ``evidence`` is what it knows of revocations; ``libcbv2g`` accepts what that codec signs instead of eMAID.
    """

    chain: tuple[Certificate, ...]
    key: Signer = field(repr=False)
    roots: tuple[Certificate, ...]
    libcbv2g: bool = False
    evidence: Evidence = NOTHING

    @property
    def pcid(self) -> str:
        """The PCID, which is the common name of the provisioning certificate."""
        return self.chain[0].subject.get("CN") or ""

    @property
    def edition(self) -> Edition:
        """The standard that the car speaks, by the kind of its key."""
        return Edition.ISO15118_2 if suite_of(self.key) is P256_SHA256 else Edition.ISO15118_20

    def installation_request(
        self, session: bytes, moment: datetime, *, most: int = 1, emaids: Sequence[str] = ()
    ) -> bytes:
        """Return a CertificateInstallationReq in EXI, signed with the provisioning key.

        ``most`` and ``emaids`` are MaximumContractCertificateChains and PrioritizedEMAIDs of -20.
        """
        if self.edition is Edition.ISO15118_2:
            asked = iso2.CertificateInstallationReq(
                Id="id1",
                OEMProvisioningCert=self.chain[0].der,
                ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=self._root_ids),
            )
            return self._sent_2(asked, session, self.key)
        subs = tuple(each.der for each in self.chain[1:])
        request = iso20.CertificateInstallationReq(
            Header=iso20.MessageHeaderType(SessionID=session, TimeStamp=int(moment.timestamp())),
            OEMProvisioningCertificateChain=iso20.SignedCertificateChainType(
                Id="id1",
                Certificate=self.chain[0].der,
                SubCertificates=iso20.SubCertificatesType(Certificate=subs) if subs else None,
            ),
            ListOfRootCertificateIDs=iso20.ListOfRootCertificateIDsType(RootCertificateID=self._root_ids),
            MaximumContractCertificateChains=most,
            PrioritizedEMAIDs=iso20.EMAIDListType(EMAID=tuple(emaids)) if emaids else None,
        )
        signed = xmldsig.sign(request, cast(xmldsig.Signer, self.key), facets=False)
        return encode(signed, ISO_20, facets=False)

    def update_request(self, contract: Contract, session: bytes) -> bytes:
        """Return a CertificateUpdateReq of -2 in EXI, signed with the key of the expiring contract ([V2G2-821])."""
        chain = [each.der for each in contract.chain]
        asked = iso2.CertificateUpdateReq(
            Id="id1",
            ContractSignatureCertChain=iso2.CertificateChainType(
                Certificate=chain[0],
                SubCertificates=iso2.SubCertificatesType(Certificate=tuple(chain[1:])) if chain[1:] else None,
            ),
            eMAID=contract.emaid,
            ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=self._root_ids),
        )
        return self._sent_2(asked, session, contract.key)

    def install(self, octets: bytes, session: bytes | None, now: datetime) -> Unpacked:
        """Unpack a CertificateInstallationRes; without a session it answers no request of ours."""
        is_2 = self.edition is Edition.ISO15118_2
        wanted = iso2.CertificateInstallationRes if is_2 else iso20.CertificateInstallationRes
        return unpack(octets, self._car(wanted, session, self.key, now))

    def update(self, octets: bytes, session: bytes | None, now: datetime, old: Contract) -> Unpacked:
        """Unpack a CertificateUpdateRes, which is sealed to the old contract's key."""
        return unpack(octets, self._car(iso2.CertificateUpdateRes, session, old.key, now))

    @property
    def _root_ids(self) -> tuple[X509IssuerSerialType, ...]:
        """The V2G roots that a CPS may stand below; where none says that it is one, all that there are."""
        named = [root for root in self.roots if any(dc.endswith("V2G") for dc in root.subject.all("DC"))]
        return tuple(
            X509IssuerSerialType(X509IssuerName=root.issuer.print(), X509SerialNumber=root.serial)
            for root in (named or self.roots)[:MOST_ROOTS]
        )

    def _sent_2(
        self, asked: iso2.CertificateInstallationReq | iso2.CertificateUpdateReq, session: bytes, key: Signer
    ) -> bytes:
        header = iso2.MessageHeaderType(SessionID=session)
        message = iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=asked))
        # Identifiers of the test APIs have any length: facets are the receiver's to judge.
        return encode(xmldsig.sign(message, cast(xmldsig.Signer, key), facets=False), ISO_2, facets=False)

    def _car(self, wanted: type, session: bytes | None, key: Signer, now: datetime) -> Car:
        return Car(wanted, session, self.roots, key, self.pcid, now, self.evidence, self.libcbv2g)
