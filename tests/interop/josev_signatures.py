"""Signing and verifying as the PyPI package ``iso15118`` does; run in its own environment, asked by lines of JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_private_key
from iso15118.shared.exi_codec import EXI
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
from iso15118.shared.messages.enums import Namespace
from iso15118.shared.security import create_signature, verify_signature
from iso15118.shared.settings import SettingKey, shared_settings

# What it signs of a CertificateInstallationRes, in its order; of the others it is the whole element.
PARTS = ("contract_cert_chain", "encrypted_private_key", "dh_public_key", "emaid")


def answer(asked: dict[str, str]) -> dict[str, Any]:
    """Verify a message with a certificate, or sign it with a key; everything in hexadecimal digits."""
    message = EXI().from_exi(bytes.fromhex(asked["exi"]), Namespace.ISO_V2_MSG_DEF)
    body = next(value for value in dict(message.body).values() if value is not None)
    parts = [getattr(body, name) for name in PARTS] if hasattr(body, "emaid") else [body]
    elements = [(part.id, EXI().to_exi(part, Namespace.ISO_V2_MSG_DEF)) for part in parts]
    if "certificate" in asked:
        return {"holds": verify_signature(message.header.signature, elements, bytes.fromhex(asked["certificate"]))}
    key = load_der_private_key(bytes.fromhex(asked["key"]), None)
    message.header.signature = create_signature(elements, key)
    return {"exi": EXI().to_exi(message, Namespace.ISO_V2_MSG_DEF).hex()}


if __name__ == "__main__":
    logging.disable()
    shared_settings.update({SettingKey.MESSAGE_LOG_EXI: False, SettingKey.MESSAGE_LOG_JSON: False})
    EXI().set_exi_codec(ExificientEXICodec())
    print(json.dumps({"name": "iso15118", "version": "0.31.2"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
