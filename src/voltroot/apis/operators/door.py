"""Who may call the operators' API: whoever shows a token, or anybody on this machine as long as there are none."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Protocol

from voltroot.actors.csms.operators import Acting, Operator
from voltroot.errors import Forbidden, ProofFailed

DOOR = "operators"
MAKE_ONE = "make a token with 'voltroot csms operator add NAME'"


class Operators(Protocol):
    """Who is on record. Safe among threads; Unavailable when the database does not answer."""

    def there_are(self) -> bool:
        """Tell whether anybody is on record."""
        ...

    def with_token(self, token: str) -> Operator | None:
        """Return whose a token is."""
        ...


class Door:
    """Lets operators in; ``is_open`` where only this machine reaches the port."""

    def __init__(self, operators: Operators, *, is_open: bool) -> None:
        self._operators = operators
        self._is_open = is_open

    def admit(self, headers: Mapping[str, str], *, changing: bool) -> Acting:
        """Return who calls; ProofFailed for whoever cannot say so, Forbidden for who may not do this. Blocks."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not token.strip():
                raise ProofFailed("the Authorization header is not 'Bearer TOKEN'")
            operator = self._operators.with_token(token.strip())
            if operator is None:
                raise ProofFailed("the token is nobody's: it is mistyped, or was removed")
            if changing and not operator.may_change:
                raise Forbidden(f"{operator.name} may look and not change anything")
            return Acting(operator.name, DOOR)
        if not self._is_open:
            raise ProofFailed(f"say who you are, with the header 'Authorization: Bearer TOKEN'; {MAKE_ONE}")
        if self._operators.there_are():
            raise ProofFailed("say who you are, with the header 'Authorization: Bearer TOKEN'")
        # A page in a browser on this machine may be made to call here by another name.
        if not _is_local(headers.get("host", "")):
            raise Forbidden(f"without tokens this is for localhost and 127.0.0.1 only; {MAKE_ONE}")
        return Acting("anybody on this machine", DOOR)


def _is_local(host: str) -> bool:
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"
