"""What servers speak TLS with, and how their certificates change while connections open."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voltroot.errors import Unavailable

log = logging.getLogger("voltroot")


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the server's certificate chain and key are.

    ``clients`` is a file of the CAs whose client certificates are taken; one is ``required`` or may be shown.
    """

    chain: Path
    key: Path
    password: str | None = None
    clients: Path | None = None
    required: bool = False

    def load(self, context: ssl.SSLContext) -> None:
        """Give a context the chain and the key; Unavailable where they cannot be used."""
        try:
            context.load_cert_chain(self.chain, self.key, self.password)
        except OSError as error:
            raise Unavailable(f"the TLS certificate {self.chain} or its key cannot be used: {error}") from error


class Handshake(ssl.SSLObject):
    """Tells why a handshake failed: nobody above it ever hears."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            log.info("handshake.refused", extra={"why": getattr(error, "verify_message", "") or str(error)})
            raise


class Renewed:
    """The ``context`` to listen with. What it is made of may be taken anew, by any thread, while connections open.

    OpenSSL reads a context for each connection that opens and takes no lock: one that changes meanwhile shows somebody
    half of another certificate, or ends the process. So none is ever changed; each connection goes on with the newest.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext]) -> None:
        self._make = make
        self.context = self._newest = make()
        # It is called for clients that name no server too.
        self.context.sni_callback = self._hand_over

    def reload(self) -> None:
        """Take other certificates, keys and CAs: connections from now on see them. A Failure leaves what was."""
        self._newest = self._make()

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if self._newest is not self.context:
            connection.context = self._newest
