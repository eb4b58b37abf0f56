"""EXI as ISO 15118 uses it: schema-informed, not strict, bit-packed; grammars come from declared models.

No XML schema at run time: a model states what its type's declaration in the schema states.
"""

from voltroot.v2g.exi.bits import Reader, Writer
from voltroot.v2g.exi.codec import Decoded, Kind, Mark, Root, Schema, decode, encode, encode_fragment
from voltroot.v2g.exi.declare import Model
from voltroot.v2g.exi.faults import Unreadable
from voltroot.v2g.exi.printing import grammar, type_names
from voltroot.v2g.exi.trace import Event, Explanation, explain

__all__ = [
    "Decoded",
    "Event",
    "Explanation",
    "Kind",
    "Mark",
    "Model",
    "Reader",
    "Root",
    "Schema",
    "Unreadable",
    "Writer",
    "decode",
    "encode",
    "encode_fragment",
    "explain",
    "grammar",
    "type_names",
]
