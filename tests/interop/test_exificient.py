"""EXIficient with grammars made of the standards' schemas: it writes every declared message to the bit as we do."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from random_messages import values
from voltroot.v2g import iso2
from voltroot.v2g.exi import Decoded, Kind, Model, Schema, decode, encode, encode_fragment
from voltroot.v2g.exi.declare import fields
from voltroot.v2g.schemas import SCHEMAS
from voltroot.v2g.xml import xml

pytestmark = pytest.mark.slow

# The package iso15118 brings EXIficient, in its jar, and the schemas.
ENVIRONMENT = Path(os.environ.get("VOLTROOT_ISO15118", Path(__file__).parents[2] / ".venv-iso15118"))
FILES = {
    "iso2": "iso15118_2/V2G_CI_MsgDef.xsd",
    "iso20": "iso15118_20/V2G_CI_CommonMessages.xsd",
    "xmldsig": "xmldsig-core-schema.xsd",
    "appprotocol": "V2G_CI_AppProtocol.xsd",
}
HEADER = iso2.MessageHeaderType(SessionID=b"12345678")
Message = tuple[Schema, Kind, str, Model]
Encoder = Callable[[Message, str], str]


@pytest.fixture(scope="module")
def exificient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    """Encodes a message, with string tables or plain."""
    (shared,) = ENVIRONMENT.glob("lib/python3*/site-packages/iso15118/shared")
    folder = tmp_path_factory.mktemp("schemas")
    for path in (shared / "schemas").rglob("*.xsd"):
        copy = folder / path.relative_to(shared / "schemas")
        copy.parent.mkdir(exist_ok=True)
        # Its document type would be fetched from the web.
        copy.write_text(re.sub(r"<!DOCTYPE.*?\]>", "", path.read_text(), flags=re.DOTALL))
    signatures = (folder / "xmldsig-core-schema.xsd").read_text()
    (folder / "iso15118_20" / "xmldsig-core-schema.xsd").write_text(signatures)
    program = Path(__file__).with_name("Exificient.java")
    command = ["java", "-Xmx300m", "-cp", shared / "EXICodec.jar", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8") as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def encoded(message: Message, tables: str) -> str:
            schema, kind, element, value = message
            flat = re.sub(r"\n *(?=<)", "", xml(Decoded(schema, kind, element, value, (), b"")))
            print(kind, tables, folder / FILES[schema.name], flat, sep="\t", file=asked, flush=True)
            return answers.readline().strip()

        yield encoded
        asked.close()


def framed(body: Model) -> Model:
    return iso2.V2G_Message(Header=HEADER, Body=iso2.BodyType(BodyElement=body))  # type: ignore[arg-type]


KINDS: list[st.SearchStrategy[Message]] = [
    st.tuples(st.just(schema), st.just(kind), st.just(name), values(root.model, shortest=1))
    for schema in SCHEMAS.values()
    for kind, roots in (("document", schema.documents), ("fragment", schema.fragments))
    for name, root in roots.items()
] + [
    st.tuples(
        st.just(SCHEMAS["iso2"]), st.just("document"), st.just("V2G_Message"), values(body, shortest=1).map(framed)
    )
    for body in fields(iso2.BodyType)[0].members
]


def test_it_writes_any_message_as_we_do_and_we_read_its_string_tables(exificient: Encoder) -> None:
    compared = []

    for kind in KINDS:

        @seed(15118)
        @settings(
            max_examples=4,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(kind)
        def compare(message: Message) -> None:
            schema, kind, element, value = message
            ours = encode(value, schema) if kind == "document" else encode_fragment(element, value, schema)
            assert exificient(message, "plain") == ours.hex()
            assert decode(bytes.fromhex(exificient(message, "tables")), schema, kind).value == value
            compared.append(element)

        compare()
    assert len(compared) > 3 * len(KINDS)
