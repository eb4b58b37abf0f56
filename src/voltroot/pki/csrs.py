"""Making a certification request (PKCS#10, RFC 2986) that asks for what a profile has."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.pki import der, oids, suites
from voltroot.pki.drafts import extension, general_name, usage_extensions
from voltroot.pki.names import Name
from voltroot.pki.profiles import Profile, require_suite
from voltroot.pki.suites import Signer


def make(profile: Profile, subject: Name, signer: Signer, alternative_names: Sequence[str] = ()) -> bytes:
    """Return a request in DER, signed by the key that it is for; UnsupportedSuite where the profile has no such key."""
    suite = suites.suite_of(signer)
    require_suite(profile, suite)
    extensions = usage_extensions(profile, suite)
    if alternative_names:
        names = der.sequence(*map(general_name, alternative_names))
        extensions += extension(oids.SUBJECT_ALTERNATIVE_NAME, names, profile.critical)
    wanted = der.sequence(der.oid(oids.EXTENSION_REQUEST), der.set_of(der.sequence(extensions)))
    spki = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = der.sequence(der.integer(0), subject.encode(), spki, der.explicit(0, wanted))
    return der.sequence(info, suite.algorithm, der.bit_string(suites.sign(signer, info)))
