"""A car of the package ``iso15118``: what its states do to ask for a contract and to install it, by lines of JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key
from iso15118.shared.exi_codec import EXI
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
from iso15118.shared.messages.enums import Namespace
from iso15118.shared.messages.iso15118_2.body import Body, CertificateInstallationReq
from iso15118.shared.messages.iso15118_2.datatypes import RootCertificateIDList
from iso15118.shared.messages.iso15118_2.header import MessageHeader
from iso15118.shared.messages.iso15118_2.msgdef import V2GMessage
from iso15118.shared.messages.xmldsig import X509IssuerSerial
from iso15118.shared.security import create_signature, decrypt_priv_key, get_cert_cn, to_ec_pub_key, verify_signature
from iso15118.shared.settings import SettingKey, shared_settings

NAMESPACE = Namespace.ISO_V2_MSG_DEF


def answer(asked: dict[str, str]) -> dict[str, Any]:
    """Make a request, or install what a response brings; everything in hexadecimal digits."""
    given = {name: bytes.fromhex(text) for name, text in asked.items()}
    return install(**given) if "response" in given else request(**given)


def request(certificate: bytes, key: bytes, root: bytes, session: bytes) -> dict[str, Any]:
    """Do as its state PaymentServiceSelection does."""
    own = x509.load_der_x509_certificate(root)
    # So does get_cert_issuer_serial.
    named = X509IssuerSerial(x509_issuer_name=own.issuer.__str__(), x509_serial_number=own.serial_number)
    body = CertificateInstallationReq(
        id="id1",
        oem_provisioning_cert=certificate,
        list_of_root_cert_ids=RootCertificateIDList(x509_issuer_serials=[named]),
    )
    signature = create_signature([(body.id, EXI().to_exi(body, NAMESPACE))], load_der_private_key(key, None))
    header = MessageHeader(session_id=session.hex().upper(), signature=signature)
    message = V2GMessage(header=header, body=Body(certificate_installation_req=body))
    return {"request": EXI().to_exi(message, NAMESPACE).hex()}


def install(response: bytes, key: bytes, root: bytes) -> dict[str, Any]:
    """Do as its state CertificateInstallation does."""
    message = EXI().from_exi(response, NAMESPACE)
    came = message.body.certificate_installation_res
    if came.response_code != "OK":
        return {"code": came.response_code}
    parts = (came.contract_cert_chain, came.encrypted_private_key, came.dh_public_key, came.emaid)
    holds = verify_signature(
        signature=message.header.signature,
        elements_to_sign=[(part.id, EXI().to_exi(part, NAMESPACE)) for part in parts],
        leaf_cert=came.cps_cert_chain.certificate,
        sub_ca_certs=came.cps_cert_chain.sub_certificates.certificates,
        root_ca_cert=root,
    )
    scalar = decrypt_priv_key(
        encrypted_priv_key_with_iv=came.encrypted_private_key.value,
        ecdh_priv_key=load_der_private_key(key, None),
        ecdh_pub_key=to_ec_pub_key(came.dh_public_key.value),
    )
    return {
        "code": came.response_code,
        "session": message.header.session_id,
        "holds": holds,
        "references": len(message.header.signature.signed_info.reference),
        "scalar": scalar.hex(),
        "emaid": get_cert_cn(came.contract_cert_chain.certificate),
        "certificate": came.contract_cert_chain.certificate.hex(),
    }


if __name__ == "__main__":
    logging.disable()
    shared_settings.update({SettingKey.MESSAGE_LOG_EXI: False, SettingKey.MESSAGE_LOG_JSON: False})
    EXI().set_exi_codec(ExificientEXICodec())
    print(json.dumps({"name": "iso15118", "version": "0.31.2"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
