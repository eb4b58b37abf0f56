"""The description of our end of evse_security_consumer in AsyncAPI 3, made from the wire types."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import msgspec

from voltroot.apis.everest import wire
from voltroot.apis.everest.wire import Command

REFERENCE = "#/components/schemas/{name}"
REPLY_TO = "$message.payload#/headers/replyTo"

DESCRIPTION = """\
What a charging station tells EVerest about its certificates. A request says in its body where the reply is to go; the
caller makes that topic unique. Each request that can be read gets one reply, whatever else gets none: the caller's
timeout is the only sign. Messages are never retained, and retained requests are passed over. Replies and heartbeats are
sent with QoS 2, requests are heard with QoS 0. All topics may begin with a prefix that the two sides agree on."""


class Exchange(NamedTuple):
    """A request with its reply, or a message that has none: what the station does, and what is said."""

    name: str
    address: str
    action: str
    text: str
    payload: dict[str, Any]
    examples: tuple[Any, ...]
    reply: dict[str, Any] | None = None
    replies: tuple[Any, ...] = ()


@cache
def document() -> str:
    """Return the description as JSON."""
    types = [wire.CaType, wire.LeafRequest, wire.LeafResult, wire.Modules]
    (ca, leaf, result, modules), schemas = msgspec.json.schema_components(types, ref_template=REFERENCE)
    exchanges = _exchanges(ca, leaf, result, modules)
    described = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Voltroot: EVerest's evse_security_consumer",
            "version": f"{wire.VERSION}.0.0",
            "description": DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "servers": {
            "mqtt": {"host": "localhost:1883", "protocol": "mqtt", "description": "The broker of the station"},
        },
        "channels": {name: channel for each in exchanges for name, channel in _channels(each)},
        "operations": {each.name: _operation(each) for each in exchanges},
        "components": {"schemas": schemas},
    }
    return msgspec.json.format(msgspec.json.encode(described), indent=2).decode() + "\n"


def _exchanges(ca: Any, leaf: Any, result: Any, modules: Any) -> list[Exchange]:
    reply_to = {"headers": {"replyTo": "reply/to/address"}}
    boolean, path = {"type": "boolean"}, {"type": "string", "description": "a path; empty where there is none"}
    uint64 = {"type": "integer", "minimum": 0, "maximum": (1 << 64) - 1}
    asked = {"certificate_type": "CSMS", "encoding": "PEM", "include_ocsp": False}
    told = {"status": "Accepted", "info": {"key": "/etc/everest/certs/client/csms.key", "certificate_count": 1}}
    monitoring = {"heartbeat_period_ms": 1000, "communication_check_period_s": 5}
    module = {"type": wire.TYPE, "module_id": "voltroot", "version": 1, "communication_monitoring": monitoring}
    return [
        Exchange(Command.IS_CA_INSTALLED, _own("m2e", Command.IS_CA_INSTALLED), "receive",
                 "Whether a root of a kind is installed that is valid now.", _request(ca),
                 (reply_to | {"payload": "V2G"},), boolean, (True,)),
        Exchange(Command.LEAF_INFO, _own("m2e", Command.LEAF_INFO), "receive",
                 "Where the certificate to be used now is, and its key. For DER it is one certificate without chain.",
                 _request(leaf), (reply_to | {"payload": asked},), result, (told, {"status": "NotFoundValid"})),
        Exchange(Command.VERIFY_LOCATION, _own("m2e", Command.VERIFY_LOCATION), "receive",
                 "The CA file, or the folder with hash links, that OpenSSL verifies peers with.", _request(ca),
                 (reply_to | {"payload": "V2G"},), path, ("/etc/everest/certs/ca/v2g", "")),
        Exchange("heartbeat", _own("e2m", "heartbeat"), "send",
                 "Grows by one; a lower one means that the station was started anew.", uint64, (0,)),
        Exchange("communication_check", _own("m2e", "communication_check"), "receive",
                 "True: the consumer is there, and says so again in time. False: it says no more.", boolean, (True,)),
        Exchange("discover", wire.DISCOVER, "receive", "Who offers which API.", _request(None), (reply_to,), modules,
                 ({"apis": [module]},)),
        Exchange("query_modules", wire.QUERY, "receive", "Who offers this API.", _request(None), (reply_to,), modules,
                 ({"apis": [module]},)),
        Exchange("ready_beacon", wire.READY, "send", "The APIs can be discovered now.", {"type": "object"}, ({},)),
    ]  # fmt: skip


def _request(payload: Any) -> dict[str, Any]:
    reply_to = {"type": "string", "minLength": 1, "description": "where the reply goes; without it there is none"}
    members = {"headers": {"type": "object", "properties": {"replyTo": reply_to}}}
    if payload is None:
        return {"type": "object", "properties": members}
    return {"type": "object", "properties": members | {"payload": payload}, "required": ["payload"]}


def _own(way: str, name: str) -> str:
    return wire.topic("{module_id}", way, name)


def _channels(each: Exchange) -> list[tuple[str, dict[str, Any]]]:
    channel: dict[str, Any] = {
        "address": each.address,
        "messages": {each.name: _message(each.text, each.payload, each.examples)},
    }
    if "{module_id}" in each.address:
        channel["parameters"] = {"module_id": {"description": "the station's id", "default": "voltroot"}}
    if each.reply is None:
        return [(each.name, channel)]
    replies = {"reply": _message(f"The reply to {each.name}", each.reply, each.replies)}
    return [(each.name, channel), (f"{each.name}_reply", {"address": None, "messages": replies})]


def _message(text: str, payload: dict[str, Any], examples: tuple[Any, ...]) -> dict[str, Any]:
    return {"summary": text, "payload": payload, "examples": [{"payload": example} for example in examples]}


def _operation(each: Exchange) -> dict[str, Any]:
    described: dict[str, Any] = {
        "action": each.action,
        "channel": {"$ref": f"#/channels/{each.name}"},
        "summary": each.text,
        "bindings": {"mqtt": {"qos": 2 if each.action == "send" else 0, "retain": False}},
    }
    if each.reply is not None:
        channel = {"$ref": f"#/channels/{each.name}_reply"}
        described["reply"] = {"address": {"location": REPLY_TO}, "channel": channel}
    return described
