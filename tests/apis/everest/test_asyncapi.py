"""The description holds against the schema of AsyncAPI, and against what the server does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from charging import Branch, Charger
from voltroot.actors.station.ports import CaKind
from voltroot.apis.everest import asyncapi
from voltroot.apis.everest.server import Server, Settings

SCHEMA = Path(__file__).parents[2] / "vectors/asyncapi/schema-3.0.0.json"
DESCRIBED: dict[str, Any] = json.loads(asyncapi.document())


def described(channel: str, message: str) -> dict[str, Any]:
    """A message with its schema made whole."""
    found: dict[str, Any] = DESCRIBED["channels"][channel]["messages"][message]
    return {**found, "payload": found["payload"] | {"components": DESCRIBED["components"]}}


def test_the_schema_of_asyncapi_takes_it_and_would_not_take_anything() -> None:
    validator = jsonschema_rs.Draft7Validator(json.loads(SCHEMA.read_text()))
    validator.validate(DESCRIBED)
    broken = json.loads(asyncapi.document())
    broken["operations"]["heartbeat"]["action"] = "shout"
    assert not validator.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    def look(value: Any) -> None:
        if isinstance(value, dict) and "$ref" in value:
            target: Any = DESCRIBED
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part]
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(inner)

    look(DESCRIBED)


@pytest.mark.parametrize(
    ("channel", "message"),
    [(channel, message) for channel, about in DESCRIBED["channels"].items() for message in about["messages"]],
)
def test_the_examples_are_what_is_described(channel: str, message: str) -> None:
    about = described(channel, message)
    assert about["examples"]
    for example in about["examples"]:
        jsonschema_rs.validate(about["payload"], example["payload"])


def test_the_server_hears_and_answers_as_described(tmp_path: Path) -> None:
    charger = Charger(tmp_path)
    charger.trust(CaKind.V2G, Branch().bundle)
    charger.own(*Branch().chain)
    server = Server(charger.station, Settings())
    heard = set()
    for name, operation in DESCRIBED["operations"].items():
        address = DESCRIBED["channels"][name]["address"].replace("{module_id}", "voltroot")
        if operation["action"] != "receive":
            continue
        heard.add(address)
        for example in described(name, name)["examples"]:
            for where, octets in server.receive(address, json.dumps(example["payload"]).encode()):
                assert where == "reply/to/address"
                jsonschema_rs.validate(described(f"{name}_reply", "reply")["payload"], json.loads(octets))
    assert heard == {*server.topics}
