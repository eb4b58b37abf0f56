"""Where a backend's keys are, and whether they are those of its PKI."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from voltroot.app.config import Config, read_pin, read_secret
from voltroot.errors import Refused, UnsupportedSuite
from voltroot.keys.opening import open_keyring
from voltroot.keys.software import SoftwareKeyring
from voltroot.pki.ceremony import slots
from voltroot.pki.issuers import Standing
from voltroot.pki.ports import Keyring
from voltroot.pki.profiles import Profile


def in_files(config: Config) -> SoftwareKeyring:
    """Return the keys in files."""
    passphrase = read_secret(config.keys.passphrase_file).encode()
    return SoftwareKeyring(config.folder / "keys", passphrase or None)


def in_device(config: Config) -> Keyring:
    """Return the keys in the device; the PIN is read whenever the device wants it."""
    return open_keyring(config.keys.device, config.folder / "keys", partial(read_pin, config.keys.pin_file))


def check_device(config: Config, keyring: Keyring, standing: Standing, profiles: Mapping[str, Profile]) -> None:
    """Refuse a device that has none of the keys of this PKI, or those of another one, before any is made there."""
    device = config.keys.device
    if not device:
        return
    known = {issuer.key for issuer in standing.cas.values() if issuer.key}
    present = set(keyring.labels())
    if known and not known & present:
        raise Refused(f"{device} has none of the keys of the PKI in {config.folder}: move them there first")
    # An interrupted ceremony leaves one key at most that the ledger does not know.
    if not known and len(present & {slot.label for slot in slots(profiles)}) > 1:
        raise Refused(f"{device} has the keys of another PKI: give each a token, or a folder, of its own")


def check_issuers(keyring: Keyring, standing: Standing, profiles: Mapping[str, Profile]) -> None:
    """Refuse to issue unless every profile has an issuer for the suites that are here, and every issuer its key."""
    for profile in profiles.values():
        if profile.is_ca or profile.issuer not in profiles:
            continue
        for suite in profile.suites:
            try:
                issuer = standing.for_profile(profile, suite)
            except UnsupportedSuite:
                continue
            if issuer.key is None or keyring.signer(issuer.key).public_key() != issuer.certificate.public_key:
                raise Refused(f"the key of the CA {issuer.slug} is not in the keyring: {profile.name} has no issuer")
