"""Opening the keyring that a configuration names: files, a PKCS#11 token, or a TPM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from voltroot.errors import Malformed
from voltroot.keys.pkcs11 import Pkcs11Keyring
from voltroot.keys.software import SoftwareKeyring
from voltroot.keys.tpm import TpmKeyring
from voltroot.pki.ports import Keyring


def open_keyring(device: str, folder: Path, pin: Callable[[], str]) -> Keyring:
    """Return the keyring of a device: ``pkcs11:…`` (RFC 7512), ``tpm:TCTI``, or "" for files in the folder.

    The keys of a TPM are sealed files in the folder too. ``pin`` is asked whenever the device wants it. Malformed
    where the device is none of these.
    """
    scheme, _, rest = device.partition(":")
    match scheme:
        case "":
            return SoftwareKeyring(folder)
        case "pkcs11":
            return Pkcs11Keyring(device, pin)
        case "tpm":
            return TpmKeyring(rest, folder, pin)
    raise Malformed(f"keys.device: {device!r} is neither pkcs11:token=NAME?module-path=FILE nor tpm:device:/dev/tpmrm0")
