"""A message as XML, with the namespaces of its schema: for people and for tools that know no EXI."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from voltroot.v2g.appprotocol import P
from voltroot.v2g.exi import Decoded, Model
from voltroot.v2g.exi.declare import Field, fields
from voltroot.v2g.iso2 import B, D, H, T
from voltroot.v2g.iso20 import CM, CT
from voltroot.v2g.signature import DS

PREFIXES = {D: "v2gci_d", H: "v2gci_h", B: "v2gci_b", T: "v2gci_t", CM: "v2gci_cm", CT: "v2gci_ct", P: "sap", DS: "ds"}
INDENT = "  "


def xml(message: Decoded) -> str:
    """Return the element, indented, with the namespaces that it uses declared at its start."""
    roots = message.schema.documents if message.kind == "document" else message.schema.fragments
    name = _name(roots[message.element].namespace, message.element)
    lines = list(_element(name, message.value, ""))
    text = "\n".join(lines)
    used = [f' xmlns:{prefix}="{namespace}"' for namespace, prefix in PREFIXES.items() if f"{prefix}:" in text]
    return text.replace(f"<{name}", f"<{name}{''.join(used)}", 1)


def _element(name: str, value: Model, indent: str) -> Iterator[str]:
    attributes, text = "", ""
    children: list[tuple[Field, object]] = []
    for field in fields(type(value)):
        held = getattr(value, field.name)
        if held is None:
            continue
        if field.place == "attribute":
            attributes += f' {_name(field.namespace, field.name)}="{_text(field, held)}"'
        elif field.place == "content":
            text = _text(field, held)
        else:
            children += [(field, each) for each in (held if field.listed else (held,))]
    if not children:
        yield f"{indent}<{name}{attributes}>{text}</{name}>"
        return
    yield f"{indent}<{name}{attributes}>"
    for field, child in children:
        own = _name(field.namespace, type(child).__name__ if field.members else field.name)
        if isinstance(child, Model):
            yield from _element(own, child, indent + INDENT)
        else:
            yield f"{indent}{INDENT}<{own}>{_text(field, child)}</{own}>"
    yield f"{indent}</{name}>"


def _text(field: Field, value: object) -> str:
    assert field.datatype is not None  # what is no model has one
    text = escape(field.datatype.text(value), {'"': "&quot;"})
    # What moves a terminal's cursor is written as its number.
    return "".join(each if each.isprintable() else f"&#{ord(each)};" for each in text)


def _name(namespace: str, name: str) -> str:
    return f"{PREFIXES[namespace]}:{name}" if namespace else name
