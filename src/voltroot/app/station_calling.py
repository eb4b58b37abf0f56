"""What a station's dialler asks: which network, root and certificate come next, and what follows from each attempt."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable

from voltroot.actors.station.networks import Attempts, Trouble
from voltroot.actors.station.ports import Leaf
from voltroot.actors.station.presenting import Presenting
from voltroot.actors.station.state import Network
from voltroot.apis.ocpp.station.link import Link
from voltroot.apis.ocpp.station.server import Parts, Reply, Server
from voltroot.app.station_config import CsmsTable
from voltroot.errors import Unavailable
from voltroot.keys.tls import lend
from voltroot.ocppj.frames import Payload
from voltroot.ocppj.schemas import Version
from voltroot.pki.certificates import Certificate
from voltroot.pki.ports import Keyring
from voltroot.serve.dialling import Target, client_context, forbid_wildcards

MOST_ENDED = 2  # connections that just end, until that is taken for a refusal of the certificate
# What each trouble is called among the security events (OCPP 2.0.1 appendix 1).
EVENTS = {
    Trouble.CERTIFICATE: "InvalidCsmsCertificate",
    Trouble.VERSION: "InvalidTLSVersion",
    Trouble.CIPHER: "InvalidTLSCipherSuite",
    Trouble.PASSWORD: "FailedToAuthenticateAtCsms",
    Trouble.REFUSED: "FailedToAuthenticateAtCsms",
}


class Calling:
    """Behind the one connection that ``server`` works over. Keys in files open with ``key_password``."""

    def __init__(
        self, table: CsmsTable, parts: Parts, server: Server, keyring: Keyring | None, key_password: str
    ) -> None:
        self._table = table
        self._server = server
        self._record = parts.record
        self._variables = parts.variables
        self._networks = parts.networks
        self._succession = parts.succession
        self._keyring = keyring
        self._key_password = key_password
        self._attempts = Attempts(parts.networks, parts.variables)
        self._presenting = Presenting(parts.station)
        self._shown: Leaf | None = None
        self._slot = self._trusting = self._ended = 0

    async def target(self) -> Target:
        """Return where to connect next."""
        return await self._server.turn.take(self._target)

    async def failed(self, trouble: Trouble, why: str) -> float:
        """Note that it did not work; returns the seconds to wait."""
        if trouble is Trouble.CERTIFICATE and self._trusting + 1 < len(self._succession.trusted()):
            # M05.FR.13: the root before this one may still do.
            self._trusting += 1
            return 0.0
        self._trusting = 0
        if (event := EVENTS.get(trouble)) is not None:
            await self._server.telling.note(event, why, once=True)
        self._ended = self._ended + 1 if trouble is Trouble.ENDED else 0
        refused = trouble is Trouble.REFUSED or self._ended > MOST_ENDED
        if refused and self._shown is not None and self._presenting.refused(self._shown):
            # A02.FR.28: the certificate before this one may still do.
            self._ended = 0
            return 0.0
        return self._attempts.failed()

    async def opened(self, link: Link) -> None:
        """Work over the connection."""
        discarded = await self._server.turn.take(self._connected)
        if discarded is not None:
            await self._server.telling.note("DiscardedRenewedClientCertificate", f"serial {discarded.serial:x}")
        await self._server.opened(link)

    async def closed(self, link: Link) -> float:
        """Note that the connection has gone; returns the seconds to wait."""
        self._server.closed()
        if self._server.telling.answered:
            self._attempts.restart()
        return 0.0 if self._server.left else self._attempts.failed()

    def answer(self, link: Link, action: str, payload: Payload) -> Awaitable[Reply]:
        """Answer a call of the CSMS's."""
        return self._server.answer(link, action, payload)

    def _target(self) -> Target:
        table, number = self._table, self._variables.number
        self._slot = self._attempts.slot
        network = self._record.state.networks[self._slot]
        offered = [each for each in table.versions if network.version in ("", each)] or table.versions
        context = None
        self._shown = self._presenting.leaf() if network.profile == 3 else None
        if network.profile > 1:
            context = self._context(self._shown, network)
        password = None if network.profile == 3 else network.password or self._record.state.password
        identity = network.identity or table.identity
        ping = number("OCPPCommCtrlr.WebSocketPingInterval")
        return Target(network.url, identity, network.profile, [*map(Version, offered)], password, context, ping)

    def _context(self, shown: Leaf | None, network: Network) -> ssl.SSLContext:
        context = client_context()
        trusted = self._succession.trusted()
        if not trusted:
            raise Unavailable("no CSMS root is installed that is valid: put one into ca/csms of the store")
        roots = trusted[self._trusting % len(trusted)]
        context.load_verify_locations(cadata="".join(each.pem for each in roots))
        # A root that took over has not issued itself.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if not self._table.allow_wildcards:
            forbid_wildcards(context)
        if network.profile == 3:
            if shown is None:
                raise Unavailable("no ChargingStationCertificate is installed: security profile 3 needs one")
            self._show(context, shown)
        return context

    def _show(self, context: ssl.SSLContext, leaf: Leaf) -> None:
        path = leaf.chain_file or leaf.single_file
        assert path is not None, "a leaf stands in some file"
        assert leaf.key is not None, "it was chosen for its key"
        try:
            if leaf.key.label is None:
                context.load_cert_chain(path, leaf.key.path, self._key_password)
            elif self._keyring is not None:
                # A device that is away is not taken for a CSMS that refuses the certificate.
                self._keyring.check()
                lend(context, path, self._keyring.signer(leaf.key.label))
        except (OSError, ValueError) as error:
            raise Unavailable(f"the certificate {path} or its key cannot be used: {error}") from error

    def _connected(self) -> Certificate | None:
        self._networks.used(self._slot)
        if self._networks.active.profile > 1:
            self._succession.worked(self._trusting)
        self._trusting = self._ended = 0
        return self._presenting.worked(self._shown) if self._shown is not None else None
