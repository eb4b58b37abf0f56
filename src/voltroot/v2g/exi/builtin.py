"""The built-in datatypes of XML Schema that messages use, as annotations."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.datatypes import Binary, Integer, String

ID = Annotated[str, String(xml="ID")]
AnyURI = Annotated[str, String(xml="anyURI")]
Text = Annotated[str, String()]
Base64 = Annotated[bytes, Binary()]
BigInteger = Annotated[int, Integer()]
Byte = Annotated[int, Integer(-(2**7), 2**7 - 1)]
Short = Annotated[int, Integer(-(2**15), 2**15 - 1)]
Int = Annotated[int, Integer(-(2**31), 2**31 - 1)]
Long = Annotated[int, Integer(-(2**63), 2**63 - 1)]
UnsignedByte = Annotated[int, Integer(0, 2**8 - 1)]
UnsignedShort = Annotated[int, Integer(0, 2**16 - 1)]
UnsignedInt = Annotated[int, Integer(0, 2**32 - 1)]
UnsignedLong = Annotated[int, Integer(0, 2**64 - 1)]
