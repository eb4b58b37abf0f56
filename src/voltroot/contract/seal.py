"""Sealing a contract's private key to a car's key, and opening it there.

[V2G2-815] to [V2G2-823]; [V2G20-2489] to [V2G20-2510] and [V2G20-2535].
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.errors import Refused, UnsupportedSuite
from voltroot.pki.suites import ED448, P256_SHA256, P521_SHA512, PublicKey, Signer, Suite, generate, suite_of
from voltroot.terms import PCID

# The concatenation KDF of NIST SP 800-56A, one round: counter, secret, then AlgorithmID, PartyUInfo, PartyVInfo.
_COUNTER, _OTHER_INFO = b"\0\0\0\1", b"\x01\x55\x56"
_PRIME = 2**448 - 2**224 - 1
_TAG = 16
_UNCOMPRESSED = b"\x04"


class Sealed(NamedTuple):
    """A contract's key on its way: the sender's ephemeral public key, and the encrypted scalar after its IV."""

    public: bytes
    encrypted: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of key travels; ``scalar`` is its size in octets, ``curve`` None for X448."""

    suite: Suite
    scalar: int
    digest: Callable[[bytes], bytes]
    key_size: int
    iv_size: int
    authenticated: bool

    @property
    def size(self) -> int:
        """The octets of what is encrypted: IV, scalar and, where authenticated, the tag."""
        return self.iv_size + self.scalar + (_TAG if self.authenticated else 0)


def _sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def _sha512(octets: bytes) -> bytes:
    return hashlib.sha512(octets).digest()


FORMS = {
    form.suite.name: form
    for form in (
        Form(P256_SHA256, 32, _sha256, key_size=16, iv_size=16, authenticated=False),
        Form(P521_SHA512, 66, _sha512, key_size=32, iv_size=12, authenticated=True),
        Form(ED448, 56, _sha512, key_size=32, iv_size=12, authenticated=True),
    )
}


def make_key(suite: Suite) -> Signer:
    """Make a contract's key in memory: one that fits into its field."""
    if suite.curve is not None:
        return generate(suite)
    # The field has 56 octets and a seed of Ed448 has 57: the last one is zero, by our reading (ADR 20).
    return ed448.Ed448PrivateKey.from_private_bytes(secrets.token_bytes(FORMS[suite.name].scalar) + b"\0")


def seal(
    key: Signer,
    receiver: PublicKey,
    additional: bytes = b"",
    *,
    ephemeral: Signer | x448.X448PrivateKey | None = None,
    iv: bytes | None = None,
) -> Sealed:
    """Encrypt a contract's key to a car's key of the same kind; ``additional`` is what -20 authenticates with it."""
    form = _form_of(receiver)
    own = ephemeral or (
        ec.generate_private_key(form.suite.curve) if form.suite.curve else x448.X448PrivateKey.generate()
    )
    match own, receiver:
        case ec.EllipticCurvePrivateKey(), ec.EllipticCurvePublicKey():
            secret = own.exchange(ec.ECDH(), receiver)
            public = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case x448.X448PrivateKey(), ed448.Ed448PublicKey():
            secret = own.exchange(x448_public(receiver))
            public = _UNCOMPRESSED + own.public_key().public_bytes_raw()  # 57 octets by NOTE 7 of [V2G20-2489]
        case _:
            raise Refused("the ephemeral key is of another kind than the receiver's")
    iv = secrets.token_bytes(form.iv_size) if iv is None else iv
    session = shared_key(form, secret)
    if form.authenticated:
        return Sealed(public, iv + AESGCM(session).encrypt(iv, _scalar(key, form), additional))
    cipher = Cipher(algorithms.AES(session), modes.CBC(iv)).encryptor()
    return Sealed(public, iv + cipher.update(_scalar(key, form)) + cipher.finalize())


def unseal(sealed: Sealed, receiver: Signer, additional: bytes = b"") -> Signer:
    """Return the key that was sealed to the receiver's, or raise Refused saying why it does not open.

    In -2 any key opens to something: the receiver compares it with the certificate ([V2G2-823]).
    """
    form = _form_of(receiver)
    if len(sealed.encrypted) != form.size:
        raise Refused(f"the encrypted key has {len(sealed.encrypted)} octets, not {form.size}")
    iv, text = sealed.encrypted[: form.iv_size], sealed.encrypted[form.iv_size :]
    session = shared_key(form, _agreed(sealed.public, receiver))
    if form.authenticated:
        try:
            return _key(AESGCM(session).decrypt(iv, text, additional), form)
        except InvalidTag:
            raise Refused(
                "the encrypted key does not open: changed, or sealed to another key, PCID or contract certificate"
            ) from None
    cipher = Cipher(algorithms.AES(session), modes.CBC(iv)).decryptor()
    return _key(cipher.update(text) + cipher.finalize(), form)


def additional_data(pcid: str, key_identifier: bytes) -> bytes:
    """Return what -20 authenticates with the key: the PCID's normal form, the contract's SKI in hex ([V2G20-2492])."""
    return (PCID(pcid).normal + key_identifier.hex().upper()).encode()


def shared_key(form: Form, secret: bytes) -> bytes:
    """Return the session key of a shared secret ([V2G2-818], [V2G20-2535])."""
    return form.digest(_COUNTER + secret + _OTHER_INFO)[: form.key_size]


def x448_public(key: ed448.Ed448PublicKey) -> x448.X448PublicKey:
    """Return the X448 form of an Ed448 key: u = y^2/x^2, the isogeny of RFC 7748 4.2 (ADR 20)."""
    octets = key.public_bytes_raw()
    y = int.from_bytes(octets, "little") & ((1 << 455) - 1)
    # RFC 8032 5.2.3: x^2 = (y^2 - 1) / (d y^2 - 1) with d = -39081
    square = y * y % _PRIME
    numerator, denominator = (square - 1) % _PRIME, (-39081 * square - 1) % _PRIME
    u = square * denominator * pow(numerator, -1, _PRIME) % _PRIME if numerator else 0
    return x448.X448PublicKey.from_public_bytes(u.to_bytes(56, "little"))


def x448_private(key: ed448.Ed448PrivateKey) -> x448.X448PrivateKey:
    """Return the X448 form of an Ed448 private key: the scalar that RFC 8032 5.2.5 makes of its seed (ADR 20)."""
    return x448.X448PrivateKey.from_private_bytes(hashlib.shake_256(key.private_bytes_raw()).digest(114)[:56])


def _form_of(receiver: PublicKey | Signer) -> Form:
    form = FORMS.get(suite_of(receiver).name)
    if form is None:
        raise UnsupportedSuite("a contract's key is sealed to a key on secp256r1, secp521r1 or Ed448")
    return form


def _agreed(public: bytes, receiver: Signer) -> bytes:
    try:
        match receiver:
            case ec.EllipticCurvePrivateKey():
                peer = ec.EllipticCurvePublicKey.from_encoded_point(receiver.curve, public)
                return receiver.exchange(ec.ECDH(), peer)
            case ed448.Ed448PrivateKey():
                point = public.removeprefix(_UNCOMPRESSED) if len(public) == 57 else public
                return x448_private(receiver).exchange(x448.X448PublicKey.from_public_bytes(point))
    except ValueError as error:
        raise Refused("the sender's ephemeral key is no point of the receiver's curve") from error
    raise UnsupportedSuite("the receiver's key cannot agree on a secret")


def _scalar(key: Signer, form: Form) -> bytes:
    match key:
        case ec.EllipticCurvePrivateKey():
            # Left-padded: a receiver takes the field as it is, leading zeros included.
            return key.private_numbers().private_value.to_bytes(form.scalar, "big")
        case ed448.Ed448PrivateKey():
            return key.private_bytes_raw()[: form.scalar]
    raise UnsupportedSuite("the contract's key is of no kind that ISO 15118 knows")


def _key(scalar: bytes, form: Form) -> Signer:
    try:
        if form.suite.curve is None:
            return ed448.Ed448PrivateKey.from_private_bytes(scalar + b"\0")
        return ec.derive_private_key(int.from_bytes(scalar, "big"), form.suite.curve)
    except ValueError as error:
        raise Refused("what is in the field is no private key of the curve") from error
