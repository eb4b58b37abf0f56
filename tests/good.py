"""One good certificate of every profile and suite, as the ceremony and the authority make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voltroot.pki.certificates import Certificate
from voltroot.pki.profiles import ANY_CA, Profile
from voltroot.pki.suites import Suite, suite_of
from world import World

# Well-formed, so that no lint has a reason to warn.
COMMON_NAMES = {
    "SECC_2": "DE*ICE*E45B*78C",
    "SECC_20": "DEICES00003C4D5578786756453309675434762",
    "OEM_PROV_2": "KM8P2844A9TD84HR91",
    "OEM_PROV_20": "MALP6AF2FRL0DHRO94",
    "VEHICLE_20": "WVWV123456789ABCDEF7",
    "CONTRACT_2": "NN123ABCDEFGHIT",
    "CONTRACT_20": "FRXYZ1234567892",
    "VPKI_PROV_2": "KM8P2844A9TD84HR91",
    "VPKI_PROV_20": "MALP6AF2FRL0DHRO94",
    "VPKI_VEHICLE_20": "KM7V200DA343BEMZEG80",
}


@dataclass(frozen=True)
class Good:
    """A certificate with what it was made from."""

    profile: Profile
    suite: Suite
    certificate: Certificate
    issuer: Certificate | None

    def __str__(self) -> str:
        return f"{self.profile.name}-{self.suite.name}"


def every_certificate(world: World) -> Iterator[Good]:
    """The CAs, OCSP signers and CPS certificates of a world, then a leaf of each profile and suite."""
    for credential in world.issuers.standing().credentials:
        certificate = credential.entry.read()
        yield Good(
            world.profiles[credential.entry.profile],
            suite_of(certificate.public_key),
            certificate,
            _issuer(world, credential.entry.issuer),
        )
    for profile in world.profiles.values():
        if not profile.is_ca and profile.issuer != ANY_CA:
            yield from (_leaf(world, profile, suite) for suite in profile.suites)


def _leaf(world: World, profile: Profile, suite: Suite) -> Good:
    name = COMMON_NAMES.get(profile.name, f"{profile.name.lower().replace('_', '-')}.example.com")
    hosts = (name, "192.0.2.1") if profile.edition == "OCPP" else ()
    entry = world.issue(profile.name, name, suite, name=None, alternative_names=hosts)
    return Good(profile, suite, entry.read(), _issuer(world, entry.issuer))


def _issuer(world: World, number: int | None) -> Certificate | None:
    return None if number is None else world.issuers.standing().cas[number].certificate
