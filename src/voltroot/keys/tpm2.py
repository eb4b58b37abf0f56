"""Talking to a TPM 2.0: the few commands that a keyring needs (TPM 2.0 Library, parts 2 and 3), and their transports.

A TPM serves one command at a time, so a connection is held only as long as one piece of work takes.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, Self

from voltroot.errors import Malformed

# Handles and algorithms (part 2, 7.4 and 6.3).
OWNER, NULL_HIERARCHY, PASSWORD = 0x40000001, 0x40000007, 0x40000009
STORAGE_ROOT = 0x81000001  # by TCG TPM v2.0 Provisioning Guidance, 7.5.1
RSA, AES, SHA256, NULL, RSASSA, ECDSA, ECC, CFB = 0x01, 0x06, 0x0B, 0x10, 0x14, 0x18, 0x23, 0x43
HASHES = {"sha256": SHA256, "sha384": 0x0C, "sha512": 0x0D}
P256, P384, P521 = 3, 4, 5

# Response codes, without the number of the handle or parameter that is meant (part 2, 6.6).
INITIALIZE, OBJECT_MEMORY, LOCKOUT, RETRY = 0x100, 0x902, 0x921, 0x922
AUTH_FAIL, BAD_AUTH, HANDLE, INTEGRITY = 0x08E, 0x0A2, 0x08B, 0x09F
OWNER_AUTH = -1  # ours: the password that is wrong is the owner's
_BUSY = {0x908, 0x909, 0x90A, RETRY}  # YIELDED, CANCELED, TESTING

_FIXED_TPM, _FIXED_PARENT, _ORIGIN, _WITH_AUTH, _NO_DA = 1 << 1, 1 << 4, 1 << 5, 1 << 6, 1 << 10
_RESTRICTED, _DECRYPT, _SIGN = 1 << 16, 1 << 17, 1 << 18
# Without NO_DA a power cut during use counts as a wrong guess, and the key is locked after a few.
_OWN = _FIXED_TPM | _FIXED_PARENT | _ORIGIN | _WITH_AUTH | _NO_DA

TIMEOUT = 30.0
_TRIES = 5
_LARGEST = 4096


class TpmError(Exception):
    """The TPM answered with something else than success."""

    def __init__(self, response: int, code: int | None = None) -> None:
        # Format one (bit 7) has the number of a handle, session or parameter in it.
        self.code = code or (response & 0xBF if response & 0x80 else response)
        self.response = response
        super().__init__(f"TPM response code {response:#x}")


class Transport(Protocol):
    """A connection to a TPM."""

    def transmit(self, command: bytes) -> bytes:
        """Send a command and return its response; OSError where there is none."""
        ...

    def close(self) -> None:
        """Let go of the TPM."""
        ...


class Device:
    """A TPM at a device file; /dev/tpmrm0 has the kernel's resource manager."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def transmit(self, command: bytes) -> bytes:
        """Send a command and return its response."""
        os.write(self._handle, command)
        return os.read(self._handle, _LARGEST)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class Socket:
    """swtpm at a socket, which it serves one connection at a time."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(address)
            if not isinstance(address, str):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self._socket.close()
            raise

    def transmit(self, command: bytes) -> bytes:
        """Send a command and return its response."""
        self._socket.sendall(command)
        head = self._exactly(10)
        return head + self._exactly(int.from_bytes(head[2:6]) - 10)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        octets = b""
        while len(octets) < size:
            if not (more := self._socket.recv(size - len(octets))):
                raise ConnectionResetError("the TPM hung up")
            octets += more
        return octets


def transport(tcti: str) -> Callable[[], Transport]:
    """Return what connects to the TPM at a TCTI (``device:/dev/tpmrm0``, ``swtpm:path=…``), or raise Malformed."""
    kind, _, rest = tcti.partition(":")
    if kind == "device":
        return lambda: Device(rest or "/dev/tpmrm0")
    said = dict(part.partition("=")[::2] for part in rest.split(",") if part)
    if kind == "swtpm" and said.keys() == {"path"}:
        return lambda: Socket(said["path"])
    if kind == "swtpm" and said.keys() <= {"host", "port"} and said.get("port", "2321").isdigit():
        return lambda: Socket((said.get("host", "localhost"), int(said.get("port", "2321"))))
    raise Malformed(
        f"{tcti!r} leads to no TPM: use device:/dev/tpmrm0, swtpm:host=localhost,port=2321 or swtpm:path=/run/swtpm"
    )


class Template(NamedTuple):
    """What a key shall be: a kind and what is specific to it."""

    kind: int
    curve: int = 0
    bits: int = 0
    hash: int = SHA256

    def public(self) -> bytes:
        """Return the TPMT_PUBLIC of a key that this template makes."""
        use = _SIGN | (_DECRYPT if self.kind == ECC else 0)
        unique = _sized(b"") * 2 if self.kind == ECC else _sized(b"")
        return struct.pack(">HHI", self.kind, SHA256, _OWN | use) + _sized(b"") + self._parameters(NULL) + unique

    def tested(self) -> bytes:
        """Return the TPMT_PUBLIC_PARMS that asks whether a TPM has such keys and can sign with them."""
        return struct.pack(">H", self.kind) + self._parameters(ECDSA if self.kind == ECC else RSASSA)

    def _parameters(self, scheme: int) -> bytes:
        schemed = struct.pack(">H", NULL) + (
            struct.pack(">H", NULL) if scheme == NULL else struct.pack(">HH", scheme, self.hash)
        )
        if self.kind == ECC:
            return schemed + struct.pack(">HH", self.curve, NULL)
        return schemed + struct.pack(">HI", self.bits, 0)


# The storage root key of the TCG's EK Credential Profile and Provisioning Guidance: P-256, AES-128-CFB.
_STORAGE_TEMPLATE = (
    struct.pack(">HHI", ECC, SHA256, _OWN | _RESTRICTED | _DECRYPT)
    + struct.pack(">H", 0)
    + struct.pack(">HHHHHH", AES, 128, CFB, NULL, P256, NULL)
    + struct.pack(">HH", 0, 0)
)


class Tpm(AbstractContextManager["Tpm"]):
    """The commands, over one connection. Each raises TpmError, or OSError where the TPM is gone."""

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self._transport = connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def can(self, template: Template) -> bool:
        """Whether the TPM has keys of that kind (TPM2_TestParms)."""
        try:
            self._run(0x18A, parameters=template.tested())
        except TpmError as error:
            if error.code >= 0x100:
                raise
            return False
        return True

    def provide_storage_root(self) -> None:
        """Make the storage root key where it is missing; the owner's password must be empty for that."""
        try:
            self._run(0x173, [STORAGE_ROOT])  # TPM2_ReadPublic
        except TpmError as error:
            if error.code != HANDLE:
                raise
            try:
                self._make_storage_root()
            except TpmError as refusal:
                if refusal.code in (AUTH_FAIL, BAD_AUTH):
                    raise TpmError(refusal.response, OWNER_AUTH) from refusal
                raise

    def create(self, template: Template, auth: bytes) -> tuple[bytes, bytes]:
        """Make a key below the storage root; returns its TPM2B_PRIVATE, sealed by the TPM, and its TPM2B_PUBLIC."""
        parameters = _sized(_sized(auth) + _sized(b"")) + _sized(template.public()) + _sized(b"") + bytes(4)
        answer = self._run(0x153, [STORAGE_ROOT], parameters, b"")
        end = 2 + int.from_bytes(answer[:2])
        return answer[:end], answer[end : end + 2 + int.from_bytes(answer[end : end + 2])]

    def load(self, parent: int, private: bytes, public: bytes) -> int:
        """Load a sealed key; returns its handle, which has to be flushed."""
        handle, _ = self._run_for_handle(0x157, [parent], private + public, b"")
        return handle

    def sign(self, key: int, auth: bytes, digest: bytes, scheme: int, hash_: int) -> tuple[bytes, ...]:
        """Sign a digest; returns r and s of ECDSA, or the one number of RSA."""
        ticket = struct.pack(">HIH", 0x8024, NULL_HIERARCHY, 0)
        answer = self._run(0x15D, [key], _sized(digest) + struct.pack(">HH", scheme, hash_) + ticket, auth)
        return tuple(_split(answer[4:]))

    def exchange(self, key: int, auth: bytes, x: bytes, y: bytes) -> bytes:
        """Return the X coordinate of the point that ECDH leads to (TPM2_ECDH_ZGen)."""
        answer = self._run(0x154, [key], _sized(_sized(x) + _sized(y)), auth)
        return _split(answer[2:])[0]

    def flush(self, handle: int) -> None:
        """Make the TPM forget a loaded key."""
        self._run(0x165, parameters=struct.pack(">I", handle))

    def _make_storage_root(self) -> None:
        parameters = _sized(_sized(b"") + _sized(b"")) + _sized(_STORAGE_TEMPLATE) + _sized(b"") + bytes(4)
        primary, _ = self._run_for_handle(0x131, [OWNER], parameters, b"")  # TPM2_CreatePrimary
        try:
            self._run(0x120, [OWNER, primary], struct.pack(">I", STORAGE_ROOT), b"")  # TPM2_EvictControl
        finally:
            self.flush(primary)

    def _run(
        self, code: int, handles: list[int] | None = None, parameters: bytes = b"", auth: bytes | None = None
    ) -> bytes:
        return self._answer(code, handles or [], parameters, auth, 0)[1]

    def _run_for_handle(self, code: int, handles: list[int], parameters: bytes, auth: bytes) -> tuple[int, bytes]:
        head, answer = self._answer(code, handles, parameters, auth, 4)
        return int.from_bytes(head), answer

    def _answer(
        self, code: int, handles: list[int], parameters: bytes, auth: bytes | None, returned: int
    ) -> tuple[bytes, bytes]:
        """Send a command until the TPM has time for it; returns its handle, and its parameters."""
        session = b""
        if auth is not None:
            session = struct.pack(">IHB", PASSWORD, 0, 0) + _sized(auth)
            # Each handle that needs authorization has a session; only TPM2_EvictControl has another handle, which
            # does not.
            session = struct.pack(">I", len(session)) + session
        body = b"".join(struct.pack(">I", handle) for handle in handles) + session + parameters
        tag = 0x8001 if auth is None else 0x8002
        command = struct.pack(">HII", tag, 10 + len(body), code) + body
        for attempt in range(_TRIES):
            response = self._transport.transmit(command)
            result = int.from_bytes(response[6:10])
            if not result:
                head, rest = response[10 : 10 + returned], response[10 + returned :]
                return head, rest if auth is None else rest[4 : 4 + int.from_bytes(rest[:4])]
            if attempt == _TRIES - 1 or not self._recover(result):
                raise TpmError(result)
        raise AssertionError("the last try raises")

    def _recover(self, result: int) -> bool:
        """Do what a response code asks for before the command is sent again; False where nothing helps."""
        if result == INITIALIZE:
            self._transport.transmit(struct.pack(">HIIH", 0x8001, 12, 0x144, 0))  # TPM2_Startup(TPM_SU_CLEAR)
            return True
        if result == OBJECT_MEMORY:
            return self._flush_leftovers()
        return result in _BUSY

    def _flush_leftovers(self) -> bool:
        """Flush what programs that were killed left loaded; a resource manager shows each its own keys only."""
        answer = self._run(0x17A, parameters=struct.pack(">III", 1, 0x80000000, 254))  # TPM_CAP_HANDLES
        handles = struct.unpack_from(f">{int.from_bytes(answer[5:9])}I", answer, 9)
        for handle in handles:
            self.flush(handle)
        return bool(handles)


def _sized(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets


def _split(octets: bytes) -> list[bytes]:
    parts = []
    while octets:
        end = 2 + int.from_bytes(octets[:2])
        parts.append(octets[2:end])
        octets = octets[end:]
    return parts
