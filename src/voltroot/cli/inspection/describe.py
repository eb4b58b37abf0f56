"""From the contents of files to reports on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voltroot.cli.inspection import possession, revocations
from voltroot.cli.inspection.certificates import certificate_section
from voltroot.cli.inspection.chains import chain_section
from voltroot.cli.inspection.documents import CertificateBag, CertificationRequest, OcspAnswer, Pfx, PublicHalf
from voltroot.cli.inspection.readers import Contents, Item
from voltroot.cli.inspection.reports import Fact, Report, Section, Sight, counted
from voltroot.pki import ocsp
from voltroot.pki.certificates import Certificate
from voltroot.pki.lists import Crl


def describe(file: str, contents: Contents, sight: Sight) -> Report:
    """Return what is told of a file: first of it as a whole, then of each thing in it."""
    found = contents.certificates
    sections = [*_containers(contents.items)]
    if len(found) > 1:
        sections.append(chain_section(found, sight))
    sections += [certificate_section(certificate, sight) for certificate in found]
    sections += [section for item in contents.items if (section := _section(item, found, sight))]
    return Report(file, contents.encoding, tuple(sections))


def _containers(items: Sequence[Item]) -> Iterator[Section]:
    for item in items:
        match item:
            case Pfx():
                yield possession.pfx_section(item)
            case CertificateBag(certificates):
                count = Fact("certificates", len(certificates), "holds", counted(len(certificates), "certificate"))
                yield Section("pkcs7", "Certificates in a PKCS#7 message", [count])


def _section(item: Item, beside: Sequence[Certificate], sight: Sight) -> Section | None:
    match item:
        case CertificationRequest():
            return possession.request_section(item)
        case PublicHalf():
            return possession.key_section(item, beside, sight)
        case Crl():
            return revocations.crl_section(item, sight)
        case OcspAnswer():
            return revocations.answer_section(item, sight)
        case ocsp.Request():
            return revocations.request_section(item, sight)
        case Certificate() | Pfx() | CertificateBag():
            return None
