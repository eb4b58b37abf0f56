"""GeneralNames (RFC 5280 4.2.1.6) as values: what subjectAltName, name constraints and distribution points hold."""

from __future__ import annotations

from typing import NamedTuple

from voltroot.pki import der, names
from voltroot.pki.certificates import Certificate
from voltroot.pki.oids import SUBJECT_ALTERNATIVE_NAME

EMAIL, DNS, URI, IP, DIRECTORY = 0x81, 0x82, 0x86, 0x87, 0xA4
WORDS = {EMAIL: "e-mail address", DNS: "DNS name", URI: "URI", IP: "IP address", DIRECTORY: "directory name"}


class GeneralName(NamedTuple):
    """One name: its tag, and its content as it stands; of a directory name the DER of the name."""

    tag: int
    content: bytes

    def matches(self, other: GeneralName) -> bool:
        """Whether both are one name, directory names compared as RFC 5280 7.1 has it."""
        if self.tag == other.tag == DIRECTORY:
            return names.same(self.content, other.content)
        return self == other


def read(content: bytes) -> list[GeneralName]:
    """Return the names that follow one another in the content of GeneralNames."""
    return [GeneralName(tag, content) for tag, content, _ in der.children(content)]


def alternative_names(certificate: Certificate) -> list[GeneralName]:
    """Return the entries of subjectAltName."""
    extension = certificate.extensions.get(SUBJECT_ALTERNATIVE_NAME)
    return read(der.read_sequence(extension.value)) if extension else []
