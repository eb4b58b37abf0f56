"""A keyring in a PKCS#11 token: an HSM, a smart card, or SoftHSM2. Keys are made there and cannot leave it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from voltroot.errors import Malformed, NotFound, Unavailable, UnsupportedSuite
from voltroot.keys import cryptoki
from voltroot.keys.cryptoki import Cryptoki, Template
from voltroot.keys.labels import check_label
from voltroot.keys.pkcs11_uri import TokenAddress
from voltroot.keys.sessions import Lost, Sessions
from voltroot.keys.signers import same_curve, signer
from voltroot.pki import der
from voltroot.pki.suites import SUITES, PublicKey, Signer, Suite

_CURVES: dict[str, ec.EllipticCurve] = {
    "1.2.840.10045.3.1.7": ec.SECP256R1(),
    "1.3.132.0.34": ec.SECP384R1(),
    "1.3.132.0.35": ec.SECP521R1(),
}
_OIDS = {curve.name: oid for oid, curve in _CURVES.items()} | {"Ed448": "1.3.101.113"}

# What has to stand before a digest that a device signs with CKM_RSA_PKCS: the DigestInfo of RFC 8017 9.2.
_HASH_OIDS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A key pair in the token: the handle of its private key, for as long as the era lasts, and its public key."""

    era: tuple[int, int, int]
    handle: int
    public: PublicKey


class Pkcs11Keyring:
    """A ``Keyring`` in the token of an address (RFC 7512); ``pin`` is asked for the user's PIN at each login."""

    def __init__(self, uri: str, pin: Callable[[], str]) -> None:
        self._address = TokenAddress.read(uri)
        self._sessions = Sessions(self._address, pin)
        self._found: dict[str, Found] = {}
        self._doubted: dict[str, int] = {}
        self._making = threading.Lock()

    def __str__(self) -> str:
        return str(self._address)

    @property
    def suites(self) -> tuple[Suite, ...]:
        """What the token can make and sign with."""
        return self._sessions.run(
            lambda module, _: tuple(
                suite for suite in SUITES.values() if _can(module, self._sessions.slot(module), suite)
            )
        )

    def create(self, label: str, suite: Suite) -> PublicKey:
        """Make a key in the token; for a label that exists, return its public key.

        Where several machines make a key of one label at the same moment, Unavailable, and no key too many is left.
        """
        check_label(label)

        def make(module: Cryptoki, session: int) -> PublicKey:
            if existing := self._locate(module, session, label):
                return existing.public
            if not _can(module, self._sessions.slot(module), suite):
                raise UnsupportedSuite(f"{self._address} cannot make keys of {suite.name}")
            pair = module.generate_pair(session, *_templates(label, suite))
            if len(_private(module, session, label)) > 1:
                for item in pair:
                    module.destroy(session, item)
                raise Unavailable(f"another program made a key {label} at the same moment: try again")
            made = Found(self._sessions.era, pair[1], _read_public(module, session, pair[0]))
            self._found[label] = made
            return made.public

        with self._making:
            # SoftHSM2 counts a key twice, or does not make it, where another thread looks at that moment and another
            # process has just made or destroyed one.
            return self._sessions.run(make, alone=True)

    def signer(self, label: str) -> Signer:
        """Return what signs with a key in the token."""
        if (found := self._found.get(label)) is None:
            found = self._sessions.run(lambda module, session: self._require(module, session, label))
        return signer(found.public, _TokenSecret(label, found.public, self))

    def exchange(self, label: str, peer: PublicKey) -> bytes:
        """Return the shared secret of ECDH, made in the token."""
        key = self.signer(label)
        return cast(ec.EllipticCurvePrivateKey, key).exchange(ec.ECDH(), same_curve(key.public_key(), peer))

    def labels(self) -> list[str]:
        """Return the labels of all private keys in the token."""

        def read(module: Cryptoki, session: int) -> list[str]:
            keys = module.find(session, {cryptoki.CLASS: cryptoki.PRIVATE_KEY})
            said = (module.attribute(session, key, cryptoki.LABEL) or b"" for key in keys)
            return sorted({octets.decode(errors="replace") for octets in said} - {""})

        return self._sessions.run(read)

    def delete(self, label: str) -> None:
        """Destroy a key, for ever; a label that does not exist is not there afterwards either."""
        check_label(label)

        def destroy(module: Cryptoki, session: int) -> None:
            wanted: Template = {cryptoki.LABEL: label.encode()}
            kinds = cryptoki.PRIVATE_KEY, cryptoki.PUBLIC_KEY
            items = [item for kind in kinds for item in module.find(session, {**wanted, cryptoki.CLASS: kind})]
            if not items:
                self._doubt(label)
            for item in items:
                module.destroy(session, item)

        self._doubted.pop(label, None)
        self._sessions.run(destroy)
        self._found.pop(label, None)

    def check(self) -> None:
        """Raise Unavailable unless the token answers, and holds a key that was in use."""
        label = next(iter(self._found), None)
        self._sessions.run(lambda module, session: label and self._current(module, session, label, refresh=True))

    def use(self, label: str, public: PublicKey, task: Callable[[Cryptoki, int, int], bytes]) -> bytes:
        """Return what a task makes of a session and the handle of a private key."""

        def run(module: Cryptoki, session: int) -> bytes:
            found = self._current(module, session, label)
            if found.public != public:
                raise Unavailable(f"{self._address} holds another key under {label} than it did")
            return task(module, session, found.handle)

        return self._sessions.run(run)

    def _current(self, module: Cryptoki, session: int, label: str, *, refresh: bool = False) -> Found:
        """Return a key that was found before, with a handle of today; a token that lost it is asked again."""
        found = self._found.get(label)
        if found and found.era == self._sessions.era and not refresh:
            return found
        located = self._locate(module, session, label)
        if located is None:
            if found:
                self._doubt(label)
            raise NotFound(f"{self._address} has no key {label}")
        return located

    def _doubt(self, label: str) -> None:
        """Raise Lost where a key is missed for the first time since the module was started.

        A token that was pulled out may go on answering, as if it were empty, until then.
        """
        starts = self._sessions.era[1]
        if self._doubted.setdefault(label, starts) == starts:
            raise Lost(f"the key {label} is gone")

    def _require(self, module: Cryptoki, session: int, label: str) -> Found:
        if found := self._locate(module, session, label):
            return found
        raise NotFound(f"{self._address} has no key {label}")

    def _locate(self, module: Cryptoki, session: int, label: str) -> Found | None:
        keys = _private(module, session, label)
        if not keys:
            return None
        if len(keys) > 1:
            raise Unavailable(f"{self._address} holds {len(keys)} keys {label}: delete those that are not in use")
        try:
            public = _public_of(module, session, label, keys[0])
            found = Found(self._sessions.era, keys[0], _read_public(module, session, public))
        except (Malformed, ValueError, KeyError) as error:
            raise Unavailable(f"{self._address} holds a key {label} without its public key beside it") from error
        self._found[label] = found
        self._doubted.pop(label, None)
        return found


@dataclass(frozen=True, slots=True)
class _TokenSecret:
    label: str
    public: PublicKey
    keyring: Pkcs11Keyring

    def sign(self, data: bytes, algorithm: hashes.HashAlgorithm | None) -> bytes:
        """Sign as pyca's key of that kind does."""
        match self.public:
            case ec.EllipticCurvePublicKey():
                raw = self._signed(cryptoki.EC_SIGN, data)
                middle = len(raw) // 2
                return encode_dss_signature(int.from_bytes(raw[:middle]), int.from_bytes(raw[middle:]))
            case rsa.RSAPublicKey():
                assert algorithm is not None, "RSA signs digests"
                identifier = der.sequence(der.oid(_HASH_OIDS[algorithm.name]), der.NULL_VALUE)
                return self._signed(cryptoki.RSA_SIGN, der.sequence(identifier, der.octet_string(data)))
            case ed448.Ed448PublicKey():
                return self._signed(cryptoki.EDWARDS_SIGN, data)

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """Return the shared X coordinate, padded to the field's size."""
        point = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        size = (peer.curve.key_size + 7) // 8
        secret = self.keyring.use(
            self.label, self.public, lambda module, session, key: module.derive(session, key, point, size)
        )
        return secret.rjust(size, b"\0")

    def _signed(self, mechanism: int, data: bytes) -> bytes:
        return self.keyring.use(
            self.label, self.public, lambda module, session, key: module.sign(session, key, mechanism, data)
        )


def _can(module: Cryptoki, slot: int, suite: Suite) -> bool:
    kinds = {
        "P-256": (cryptoki.EC_GENERATE, cryptoki.EC_SIGN, 256),
        "P-384": (cryptoki.EC_GENERATE, cryptoki.EC_SIGN, 384),
        "P-521": (cryptoki.EC_GENERATE, cryptoki.EC_SIGN, 521),
        "Ed448": (cryptoki.EDWARDS_GENERATE, cryptoki.EDWARDS_SIGN, 448),
        "RSA": (cryptoki.RSA_GENERATE, cryptoki.RSA_SIGN, suite.key_bits),
    }
    generate, sign, bits = kinds[suite.kind]
    return bits in module.key_sizes(slot, generate) and bits in module.key_sizes(slot, sign)


def _templates(label: str, suite: Suite) -> tuple[int, Template, Template]:
    """Return the mechanism that makes a key pair, and what its halves shall be."""
    common: Template = {cryptoki.TOKEN: True, cryptoki.LABEL: label.encode(), cryptoki.ID: secrets.token_bytes(8)}
    public: Template = {**common, cryptoki.VERIFY: True}
    private: Template = {
        **common, cryptoki.PRIVATE: True, cryptoki.SENSITIVE: True, cryptoki.EXTRACTABLE: False, cryptoki.SIGN: True,
    }  # fmt: skip
    if suite.key_bits:
        sizes: Template = {cryptoki.MODULUS_BITS: suite.key_bits, cryptoki.PUBLIC_EXPONENT: b"\1\0\1"}
        return cryptoki.RSA_GENERATE, {**public, **sizes}, private
    oid = der.oid(_OIDS[suite.curve.name if suite.curve else suite.name])
    if suite.curve is None:
        return cryptoki.EDWARDS_GENERATE, {**public, cryptoki.EC_PARAMS: oid}, private
    # A car's provisioning key signs and agrees on secrets, and so may every key of an elliptic curve.
    return cryptoki.EC_GENERATE, {**public, cryptoki.EC_PARAMS: oid}, {**private, cryptoki.DERIVE: True}


def _private(module: Cryptoki, session: int, label: str) -> list[int]:
    return module.find(session, {cryptoki.CLASS: cryptoki.PRIVATE_KEY, cryptoki.LABEL: label.encode()})


def _public_of(module: Cryptoki, session: int, label: str, private: int) -> int:
    """Return what tells the public key of a private one: of those with its label the one that was made with it.

    A token that is taken away while it makes a pair may keep half of it.
    """
    wanted: Template = {cryptoki.CLASS: cryptoki.PUBLIC_KEY, cryptoki.LABEL: label.encode()}
    own = module.attribute(session, private, cryptoki.ID)
    paired = module.find(session, {**wanted, cryptoki.ID: own}) if own else []
    return next(iter(paired or module.find(session, wanted)), private)


def _read_public(module: Cryptoki, session: int, item: int) -> PublicKey:
    """Return the public key of an object; Malformed, KeyError or ValueError where it does not tell it."""
    modulus, exponent, parameters, point = (
        module.attribute(session, item, kind)
        for kind in (cryptoki.MODULUS, cryptoki.PUBLIC_EXPONENT, cryptoki.EC_PARAMS, cryptoki.EC_POINT)
    )
    if modulus and exponent:
        return rsa.RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus)).public_key()
    if parameters and point:
        parameter = der.read(parameters)
        # The point is the end of what a token tells: some leave away the OCTET STRING around it.
        if parameter.tag != der.OID or der.read_oid(parameter.content) == _OIDS["Ed448"]:
            return ed448.Ed448PublicKey.from_public_bytes(point[-57:])
        curve = _CURVES[der.read_oid(parameter.content)]
        size = 1 + 2 * ((curve.key_size + 7) // 8)
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point[-size:])
    info = module.attribute(session, item, cryptoki.PUBLIC_KEY_INFO)
    return cast(PublicKey, load_der_public_key(info or b""))
