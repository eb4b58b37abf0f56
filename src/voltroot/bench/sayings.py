"""What the stations of a measurement say: calls, answers, and the WebSocket frames around them, as octets."""

from __future__ import annotations

import json
import struct

_NOW = "2026-01-01T00:00:00Z"
_SAMPLE = {"value": 16.1, "measurand": "Current.Import", "unitOfMeasure": {"unit": "A"}}
_METER = {"timestamp": _NOW, "sampledValue": [_SAMPLE, {"value": 231.4, "measurand": "Voltage"}, {"value": 4711.5}]}
_TRANSACTION = {
    "eventType": "Updated",
    "timestamp": _NOW,
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 7,
    "offline": True,
    "transactionInfo": {"transactionId": "a8d2b1c4"},
    "meterValue": [_METER],
}
_PAYLOADS = {
    "BootNotification": {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Bench"}},
    "Heartbeat": {},
    "StatusNotification": {"timestamp": _NOW, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
    "MeterValues": {"evseId": 1, "meterValue": [_METER]},
    "TransactionEvent": _TRANSACTION,
}
_CALLS = {action: f'"{action}",{json.dumps(payload)}]'.encode() for action, payload in _PAYLOADS.items()}
BOOT = ("BootNotification",)
MIX = ("Heartbeat", "StatusNotification", "MeterValues")
# What a station says when it comes back: two messages of a transaction waited for that.
BACK = ("BootNotification", "StatusNotification", "TransactionEvent", "TransactionEvent", "Heartbeat")
_HASHES = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "0" * 64,
    "issuerKeyHash": "1" * 64,
    "serialNumber": "4711",
}
_KINDS = ("CSMSRootCertificate", "V2GRootCertificate")
_CHAINS = [{"certificateType": kind, "certificateHashData": _HASHES} for kind in _KINDS]
_INSTALLED = json.dumps({"status": "Accepted", "certificateHashDataChain": _CHAINS}).encode()
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def call(number: int, action: str) -> bytes:
    """Return a CALL with a number for its id."""
    return b'[2,"%d",' % number + _CALLS[action]


def installed(request: bytes) -> bytes:
    """Return the answer to GetInstalledCertificateIds."""
    id_ = json.loads(request)[1]
    return b'[3,"%s",%s]' % (id_.encode(), _INSTALLED)


def framed(content: bytes, opcode: int = TEXT) -> bytes:
    """Return a client's frame."""
    size = len(content)
    length = struct.pack("!B", 128 | size) if size < 126 else struct.pack("!BH", 128 | 126, size)
    # A mask of zeros leaves the content as it is.
    return bytes([128 | opcode]) + length + bytes(4) + content


def unframed(octets: bytes) -> tuple[int, bytes, bytes] | None:
    """Return the opcode and content of the first frame, and what follows; None where it is not whole."""
    if len(octets) < 2:
        return None
    opcode, size, start = octets[0] & 15, octets[1], 2
    if size == 126:
        size, start = int.from_bytes(octets[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(octets[2:10]), 10
    end = start + size
    return (opcode, octets[start:end], octets[end:]) if len(octets) >= end else None
