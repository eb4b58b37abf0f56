"""Where orders wait for the authority: taken one by one, issued together, counted and logged."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from voltroot.errors import Failure
from voltroot.pki.authority import Authority
from voltroot.pki.drafts import Order
from voltroot.pki.ports import Entry
from voltroot.serve.orders import Batches

log = logging.getLogger("voltroot")


class Desk:
    """Takes orders one by one, has them issued together, and counts what came of them."""

    def __init__(self, authority: Authority, registry: CollectorRegistry) -> None:
        self._authority = authority
        self._batches: Batches[Order, Entry] = Batches(self._issue)
        self._issued = Counter("voltroot_certificates_issued", "Certificates issued", ["profile"], registry=registry)
        self._refused = Counter("voltroot_orders_refused", "Orders refused, by reason", ["reason"], registry=registry)

    async def place(self, order: Order) -> Entry:
        """Wait until an order is on record, or raise what stands against it."""
        return await self._batches.place(order)

    async def close(self) -> None:
        """Finish the orders that wait."""
        await self._batches.close()

    def _issue(self, orders: Sequence[Order]) -> Sequence[Entry | Failure]:
        outcomes = self._authority.issue_all(orders)
        for order, outcome in zip(orders, outcomes, strict=True):
            if isinstance(outcome, Failure):
                self._refused.labels(type(outcome).__name__).inc()
                continue
            self._issued.labels(order.profile.name).inc()
            members = {"profile": order.profile.name, "serial": str(outcome.serial), "subject": str(order.subject)}
            log.info("certificate.issued", extra=members | {"door": order.door, "by": order.by})
        return outcomes
