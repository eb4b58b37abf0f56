"""The C interface of PKCS#11 2.40 ("Cryptoki"): as much of it as a keyring needs, by ctypes.

Each call lets go of the interpreter's lock, so that threads really sign at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, byref, c_char, c_ubyte, c_ulong, c_void_p
from typing import NamedTuple

# Attributes, and their values (PKCS#11 2.40 base, A.1 to A.5; 3.0 for Edwards curves).
CLASS, TOKEN, PRIVATE, LABEL, VALUE = 0x000, 0x001, 0x002, 0x003, 0x011
KEY_TYPE, ID, SENSITIVE, SIGN, VERIFY, DERIVE = 0x100, 0x102, 0x103, 0x108, 0x10A, 0x10C
MODULUS, MODULUS_BITS, PUBLIC_EXPONENT, PUBLIC_KEY_INFO = 0x120, 0x121, 0x122, 0x129
VALUE_LENGTH, EXTRACTABLE, EC_PARAMS, EC_POINT = 0x161, 0x162, 0x180, 0x181
PUBLIC_KEY, PRIVATE_KEY, SECRET_KEY, KEY_GENERIC = 2, 3, 4, 0x10

RSA_GENERATE, RSA_SIGN = 0x0000, 0x0001
EC_GENERATE, EC_SIGN, EC_DERIVE = 0x1040, 0x1041, 0x1050
EDWARDS_GENERATE, EDWARDS_SIGN = 0x1055, 0x1057

# Return values that are more than a failure (A.6).
USER_ALREADY_LOGGED_IN, ALREADY_INITIALIZED = 0x100, 0x191

_NAMES = {
    0x005: "GENERAL_ERROR", 0x006: "FUNCTION_FAILED", 0x030: "DEVICE_ERROR", 0x032: "DEVICE_REMOVED",
    0x070: "MECHANISM_INVALID", 0x0A0: "PIN_INCORRECT", 0x0A3: "PIN_EXPIRED", 0x0A4: "PIN_LOCKED",
    0x0B1: "SESSION_COUNT", 0x0B3: "SESSION_HANDLE_INVALID", 0x0E0: "TOKEN_NOT_PRESENT",
    0x0E2: "TOKEN_WRITE_PROTECTED", 0x101: "USER_NOT_LOGGED_IN", 0x102: "USER_PIN_NOT_INITIALIZED",
}  # fmt: skip

Value = bytes | bool | int
Template = Mapping[int, Value]

_OS_LOCKING_OK = 0x2
_SERIAL_SESSION, _RW_SESSION = 0x4, 0x2
_USER = 1
_UNAVAILABLE = c_ulong(-1).value
_LARGEST_SIGNATURE = 2048


class CryptokiError(Exception):
    """A function of the module did not return CKR_OK."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"C_{function}: CKR_{_NAMES[code]}" if code in _NAMES else f"C_{function}: {code:#x}")
        self.code = code


class TokenInfo(NamedTuple):
    """What a token says of itself (CK_TOKEN_INFO)."""

    label: str
    manufacturer: str
    model: str
    serial: str


class _InitializeArgs(ctypes.Structure):
    _fields_ = [("mutexes", c_void_p * 4), ("flags", c_ulong), ("reserved", c_void_p)]


class _TokenInfo(ctypes.Structure):
    _fields_ = [
        ("label", c_char * 32), ("manufacturer", c_char * 32), ("model", c_char * 16), ("serial", c_char * 16),
        ("rest", c_ubyte * 256),
    ]  # fmt: skip


class _Attribute(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("size", c_ulong)]


class _Mechanism(ctypes.Structure):
    _fields_ = [("mechanism", c_ulong), ("parameter", c_void_p), ("size", c_ulong)]


class _MechanismInfo(ctypes.Structure):
    _fields_ = [("least", c_ulong), ("greatest", c_ulong), ("flags", c_ulong)]


class _Ecdh1DeriveParams(ctypes.Structure):
    _fields_ = [
        ("kdf", c_ulong), ("shared_size", c_ulong), ("shared", c_void_p), ("public_size", c_ulong),
        ("public", c_void_p),
    ]  # fmt: skip


_ULONGS, _ATTRIBUTES, _MECHANISMS = POINTER(c_ulong), POINTER(_Attribute), POINTER(_Mechanism)

# Place in CK_FUNCTION_LIST (pkcs11f.h), and arguments.
_FUNCTIONS: dict[str, tuple[int, tuple[object, ...]]] = {
    "Initialize": (0, (POINTER(_InitializeArgs),)),
    "Finalize": (1, (c_void_p,)),
    "GetSlotList": (4, (c_ubyte, _ULONGS, _ULONGS)),
    "GetTokenInfo": (6, (c_ulong, POINTER(_TokenInfo))),
    "GetMechanismInfo": (8, (c_ulong, c_ulong, POINTER(_MechanismInfo))),
    "OpenSession": (12, (c_ulong, c_ulong, c_void_p, c_void_p, _ULONGS)),
    "CloseSession": (13, (c_ulong,)),
    "Login": (18, (c_ulong, c_ulong, ctypes.c_char_p, c_ulong)),
    "DestroyObject": (22, (c_ulong, c_ulong)),
    "GetAttributeValue": (24, (c_ulong, c_ulong, _ATTRIBUTES, c_ulong)),
    "FindObjectsInit": (26, (c_ulong, _ATTRIBUTES, c_ulong)),
    "FindObjects": (27, (c_ulong, _ULONGS, c_ulong, _ULONGS)),
    "FindObjectsFinal": (28, (c_ulong,)),
    "SignInit": (42, (c_ulong, _MECHANISMS, c_ulong)),
    "Sign": (43, (c_ulong, ctypes.c_char_p, c_ulong, c_void_p, _ULONGS)),
    "GenerateKeyPair": (59, (c_ulong, _MECHANISMS, _ATTRIBUTES, c_ulong, _ATTRIBUTES, c_ulong, _ULONGS, _ULONGS)),
    "DeriveKey": (62, (c_ulong, _MECHANISMS, c_ulong, _ATTRIBUTES, c_ulong, _ULONGS)),
}


class Cryptoki:
    """The functions of one module. Each raises CryptokiError; OSError where the file is no module."""

    def __init__(self, path: str) -> None:
        module = ctypes.CDLL(path)
        try:
            listing = module.C_GetFunctionList
        except AttributeError as error:
            raise OSError("it has no C_GetFunctionList") from error
        listing.restype, listing.argtypes = c_ulong, [POINTER(c_void_p)]
        table = c_void_p()
        if code := listing(byref(table)):
            raise CryptokiError("GetFunctionList", code)
        assert table.value is not None, "CKR_OK comes with a list"
        # CK_VERSION, padded to a pointer's size, stands before the pointers.
        pointers = (c_void_p * 68).from_address(table.value + ctypes.sizeof(c_void_p))
        self._functions = {
            name: ctypes.CFUNCTYPE(c_ulong, *arguments)(pointers[place])  # type: ignore[arg-type]  # types of C
            for name, (place, arguments) in _FUNCTIONS.items()
        }

    def initialize(self) -> None:
        """Begin, for many threads (2.40 base, 5.4); once for each process is enough."""
        self._call("Initialize", byref(_InitializeArgs(flags=_OS_LOCKING_OK)), accepted=ALREADY_INITIALIZED)

    def finalize(self) -> None:
        """End, and with it all sessions of this process."""
        self._call("Finalize", None)

    def slots(self) -> list[int]:
        """Return the slots that have a token."""
        count = c_ulong()
        self._call("GetSlotList", 1, None, byref(count))
        slots = (c_ulong * count.value)()
        self._call("GetSlotList", 1, slots, byref(count))
        return list(slots)[: count.value]

    def token(self, slot: int) -> TokenInfo:
        """Return what the token in a slot says of itself."""
        info = _TokenInfo()
        self._call("GetTokenInfo", slot, byref(info))
        said = (info.label, info.manufacturer, info.model, info.serial)
        return TokenInfo(*(octets.decode(errors="replace").rstrip(" \0") for octets in said))

    def key_sizes(self, slot: int, mechanism: int) -> range:
        """Return the sizes of keys that a mechanism takes; none where the token does not have it."""
        info = _MechanismInfo()
        try:
            self._call("GetMechanismInfo", slot, mechanism, byref(info))
        except CryptokiError:
            return range(0)
        return range(info.least, info.greatest + 1)

    def open_session(self, slot: int) -> int:
        """Open a session that may write."""
        session = c_ulong()
        self._call("OpenSession", slot, _SERIAL_SESSION | _RW_SESSION, None, None, byref(session))
        return session.value

    def close_session(self, session: int) -> None:
        """Close a session; with the last one the user is logged out."""
        self._call("CloseSession", session)

    def login(self, session: int, pin: str) -> None:
        """Log the user in, for all sessions of this process with the token."""
        octets = pin.encode()
        self._call("Login", session, _USER, octets, len(octets), accepted=USER_ALREADY_LOGGED_IN)

    def find(self, session: int, template: Template) -> list[int]:
        """Return the handles of all objects that have the attributes."""
        attributes = _attributes(template)
        self._call("FindObjectsInit", session, attributes, len(attributes))
        found: list[int] = []
        batch, count = (c_ulong * 256)(), c_ulong(1)
        while count.value:
            self._call("FindObjects", session, batch, len(batch), byref(count))
            found += batch[: count.value]
        self._call("FindObjectsFinal", session)
        return found

    def attribute(self, session: int, item: int, kind: int) -> bytes | None:
        """Return an attribute; None where the object has none of that kind, or does not tell it."""
        asked = (_Attribute * 1)(_Attribute(kind, None, 0))
        try:
            self._call("GetAttributeValue", session, item, asked, 1)
            if asked[0].size == _UNAVAILABLE:
                return None
            value = ctypes.create_string_buffer(max(1, asked[0].size))
            asked[0].value = ctypes.addressof(value)
            self._call("GetAttributeValue", session, item, asked, 1)
        except CryptokiError as error:
            if error.code in (0x11, 0x12):  # CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID
                return None
            raise
        return value.raw[: asked[0].size]

    def generate_pair(self, session: int, mechanism: int, public: Template, private: Template) -> tuple[int, int]:
        """Make a key pair; returns the handles of its public and its private key."""
        for_public, for_private = _attributes(public), _attributes(private)
        handles = c_ulong(), c_ulong()
        self._call(
            "GenerateKeyPair", session, byref(_Mechanism(mechanism, None, 0)), for_public, len(for_public),
            for_private, len(for_private), byref(handles[0]), byref(handles[1]),
        )  # fmt: skip
        return handles[0].value, handles[1].value

    def sign(self, session: int, key: int, mechanism: int, data: bytes) -> bytes:
        """Sign data in one part."""
        self._call("SignInit", session, byref(_Mechanism(mechanism, None, 0)), key)
        signature, size = (c_ubyte * _LARGEST_SIGNATURE)(), c_ulong(_LARGEST_SIGNATURE)
        self._call("Sign", session, data, len(data), signature, byref(size))
        return bytes(signature[: size.value])

    def derive(self, session: int, key: int, point: bytes, size: int) -> bytes:
        """Return the shared secret of ECDH with a peer's point, and leave nothing of it on the token."""
        octets = ctypes.create_string_buffer(point, len(point))
        parameters = _Ecdh1DeriveParams(1, 0, None, len(point), ctypes.addressof(octets))  # CKD_NULL
        mechanism = _Mechanism(EC_DERIVE, ctypes.addressof(parameters), ctypes.sizeof(parameters))
        template: Template = {
            CLASS: SECRET_KEY, KEY_TYPE: KEY_GENERIC, TOKEN: False, SENSITIVE: False, EXTRACTABLE: True,
            VALUE_LENGTH: size,
        }  # fmt: skip
        attributes, secret = _attributes(template), c_ulong()
        self._call("DeriveKey", session, byref(mechanism), key, attributes, len(attributes), byref(secret))
        try:
            return self.attribute(session, secret.value, VALUE) or b""
        finally:
            self.destroy(session, secret.value)

    def destroy(self, session: int, item: int) -> None:
        """Destroy an object."""
        self._call("DestroyObject", session, item)

    def _call(self, name: str, *arguments: object, accepted: int = 0) -> None:
        code = self._functions[name](*arguments)
        if code not in (0, accepted):
            raise CryptokiError(name, code)


def _attributes(template: Template) -> ctypes.Array[_Attribute]:
    made = (_Attribute * len(template))()
    for place, (kind, value) in enumerate(template.items()):
        octets = _octets(value)
        # The pointer keeps its target alive for as long as the array lives.
        held = ctypes.cast(ctypes.create_string_buffer(octets, len(octets)), c_void_p)
        made[place] = _Attribute(kind, held, len(octets))
    return made


def _octets(value: Value) -> bytes:
    match value:
        case bool():
            return bytes((value,))
        case int():
            return bytes(c_ulong(value))
        case _:
            return value
