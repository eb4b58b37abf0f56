"""A key in a device for TLS: OpenSSL asks back for each signature, and so never needs the key.

Python's ssl takes keys from files only. The OpenSSL below it takes more, and is asked through ctypes (ADR 27).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import ssl
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_long, c_uint, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voltroot.errors import Failure, Unavailable, UnsupportedSuite
from voltroot.keys.signers import EllipticCurveKey
from voltroot.pki.suites import Signer

log = logging.getLogger("voltroot")

# The object of Python has the pointer to OpenSSL's right after what every object has.
_CONTEXT_AT = object.__basicsize__
_SIGN = CFUNCTYPE(c_int, c_int, c_void_p, c_int, c_void_p, POINTER(c_uint), c_void_p, c_void_p, c_void_p)
# What a digest was made with: TLS allows one of each size here.
_BY_SIZE = {32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "EC_KEY_METHOD_new": (c_void_p, [c_void_p]),
    "EC_KEY_METHOD_free": (None, [c_void_p]),
    "EC_KEY_METHOD_set_sign": (None, [c_void_p, _SIGN, c_void_p, c_void_p]),
    "EC_KEY_OpenSSL": (c_void_p, []),
    "EC_KEY_free": (None, [c_void_p]),
    "EC_KEY_set_method": (c_int, [c_void_p, c_void_p]),
    "EVP_PKEY_new": (c_void_p, []),
    "EVP_PKEY_free": (None, [c_void_p]),
    "EVP_PKEY_set1_EC_KEY": (c_int, [c_void_p, c_void_p]),
    "d2i_EC_PUBKEY": (c_void_p, [c_void_p, POINTER(c_char_p), c_long]),
    "ERR_clear_error": (None, []),
    "SSL_CTX_use_PrivateKey": (c_int, [c_void_p, c_void_p]),
    "SSL_CTX_use_certificate_chain_file": (c_int, [c_void_p, c_char_p]),
    "SSL_CTX_get_options": (ctypes.c_uint64, [c_void_p]),
}


def lend(context: ssl.SSLContext, chain: Path, key: Signer) -> None:
    """Give TLS a certificate with its chain, and a key in a device that signs when it is asked.

    UnsupportedSuite for other keys, Unavailable where Python's OpenSSL cannot be reached or the two do not fit.
    """
    if not isinstance(key, EllipticCurveKey):
        raise UnsupportedSuite("a key in a device does TLS only if it is one of ECDSA: ask for another certificate")
    library = _library()
    pointer = c_void_p.from_address(id(context) + _CONTEXT_AT).value
    if library.SSL_CTX_get_options(pointer) != int(context.options) & 0xFFFFFFFFFFFFFFFF:
        raise Unavailable("this Python keeps its TLS contexts in another way: use a key in a file")
    with _asking(library, key) as own:
        taken = library.SSL_CTX_use_certificate_chain_file(pointer, str(chain).encode()) == 1
        if not taken or library.SSL_CTX_use_PrivateKey(pointer, own) != 1:
            # What is left in OpenSSL's queue would be taken for the fault of whatever comes next.
            library.ERR_clear_error()
            raise Unavailable(f"the certificate {chain} cannot be read, or does not fit its key in the device")


@contextlib.contextmanager
def _asking(library: Any, key: EllipticCurveKey) -> Iterator[int]:
    """Yield an EVP_PKEY that has the public half, and a method that asks the device."""
    octets = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = library.d2i_EC_PUBKEY(None, ctypes.byref(c_char_p(octets)), len(octets))
    own = library.EVP_PKEY_new()
    try:
        if library.EC_KEY_set_method(public, _method(library, key, octets)) != 1:
            raise Unavailable("OpenSSL takes no keys of others: use a key in a file")
        library.EVP_PKEY_set1_EC_KEY(own, public)
        yield own
    finally:
        library.EC_KEY_free(public)
        library.EVP_PKEY_free(own)


def _method(library: Any, key: EllipticCurveKey, spki: bytes) -> int:
    """Return an EC_KEY_METHOD that signs with a key, one for each key."""

    def sign(_kind: int, digest: int, size: int, into: int, length: Any, _k: int, _r: int, _key: int) -> int:
        try:
            made = key.sign_digest(ctypes.string_at(digest, size), _BY_SIZE[size])
        except Failure as failure:
            log.warning("device.cannot_sign", extra={"why": str(failure)})
            return 0
        except Exception:
            # Nothing may be raised into OpenSSL; it tells its caller that the handshake failed.
            log.exception("device.cannot_sign")
            return 0
        ctypes.memmove(into, made, len(made))
        length[0] = len(made)
        return 1

    if spki not in _METHODS:
        callback = _SIGN(sign)
        method = library.EC_KEY_METHOD_new(library.EC_KEY_OpenSSL())
        library.EC_KEY_METHOD_set_sign(method, callback, None, None)
        _METHODS[spki] = callback, method
    return _METHODS[spki][1]


# OpenSSL may ask as long as there is a connection, of which nobody here hears when it ends: they stay.
_METHODS: dict[bytes, tuple[Any, int]] = {}


@cache
def _library() -> Any:
    """Return OpenSSL as Python's own ssl has it, which was loaded with it."""
    import _ssl

    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (AttributeError, OSError) as error:
        raise Unavailable(f"this Python's OpenSSL cannot be reached ({error}): use a key in a file") from error
    return library
