"""PKCS#11 addresses (RFC 7512): which token of which module."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from voltroot.errors import Malformed
from voltroot.keys.cryptoki import TokenInfo

_TOKEN = ("token", "manufacturer", "model", "serial")


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """A token by what it says of itself; ``module`` is the path of the library that knows it."""

    module: str
    wanted: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, uri: str) -> TokenAddress:
        """Read ``pkcs11:token=NAME?module-path=FILE``, or raise Malformed."""
        scheme, _, rest = uri.partition(":")
        path, _, query = rest.partition("?")
        wanted, asked = _pairs(path, ";"), _pairs(query, "&")
        if scheme != "pkcs11" or not wanted or not asked.get("module-path"):
            raise Malformed("a token is given as pkcs11:token=NAME?module-path=/path/of/its/module.so")
        if "pin-value" in asked or "pin-source" in asked:
            raise Malformed("a PIN does not belong here: name its file in keys.pin_file, or set VOLTROOT_PIN")
        if unknown := (wanted.keys() - set(_TOKEN)) | (asked.keys() - {"module-path"}):
            known = ", ".join((*_TOKEN, "module-path"))
            raise Malformed(f"the address of a token says nothing here of {', '.join(sorted(unknown))}: use {known}")
        return cls(asked["module-path"], tuple(wanted.items()))

    def __str__(self) -> str:
        return "the token " + ", ".join(value if name == "token" else f"{name} {value}" for name, value in self.wanted)

    def matches(self, info: TokenInfo) -> bool:
        """Whether a token is the one."""
        said = dict(zip(_TOKEN, info, strict=True))
        return all(said[name] == value for name, value in self.wanted)


def _pairs(text: str, separator: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(separator) if part)
    return {name: unquote(value) for name, _, value in pairs}
