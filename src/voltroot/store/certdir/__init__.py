"""The station's certificates and keys as files, in the layout that EVerest reads and writes."""

from voltroot.store.certdir.folder import CertificateFolder
from voltroot.store.certdir.layout import Layout

__all__ = ["CertificateFolder", "Layout"]
