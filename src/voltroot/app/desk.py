"""Where orders wait for the authority: taken one by one, issued together, counted and logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter

from voltroot.errors import Failure
from voltroot.pki.authority import Authority
from voltroot.pki.drafts import Order
from voltroot.pki.ports import Entry
from voltroot.serve.orders import Batches, attempt

log = logging.getLogger("voltroot")

T = TypeVar("T")


class Errand(NamedTuple):
    """An order that has yet to be made, and what is to be done with what was issued."""

    prepare: Callable[[], Order]
    finish: Callable[[Order, Entry], Any]


class Desk:
    """Takes orders one by one, has them issued together, and counts what came of them."""

    def __init__(self, authority: Authority, registry: CollectorRegistry) -> None:
        self._authority = authority
        self._batches: Batches[Errand, Any] = Batches(self._run)
        self._issued = Counter("voltroot_certificates_issued", "Certificates issued", ["profile"], registry=registry)
        self._refused = Counter("voltroot_orders_refused", "Orders refused, by reason", ["reason"], registry=registry)

    async def place(self, order: Order) -> Entry:
        """Wait until an order is on record, or raise what stands against it."""
        return await self.run(lambda: order, lambda _, entry: entry)

    async def run(self, prepare: Callable[[], Order], finish: Callable[[Order, Entry], T]) -> T:
        """Wait for what is made of the certificate that was ordered; all three steps are done by the worker.

        What ``prepare`` raises is the answer. What ``finish`` raises is it as well, though the certificate stands.
        """
        answer: T = await self._batches.place(Errand(prepare, finish))
        return answer

    async def close(self) -> None:
        """Finish the orders that wait."""
        await self._batches.close()

    def _run(self, errands: Sequence[Errand]) -> Sequence[Any]:
        orders = [attempt(errand.prepare) for errand in errands]
        entries = iter(self._issue([order for order in orders if isinstance(order, Order)]))
        answers: list[Any] = []
        for errand, order in zip(errands, orders, strict=True):
            outcome = next(entries) if isinstance(order, Order) else order
            if isinstance(order, Order) and isinstance(outcome, Entry):
                outcome = attempt(errand.finish, order, outcome)
            elif isinstance(outcome, Failure):
                self._refused.labels(type(outcome).__name__).inc()
            answers.append(outcome)
        return answers

    def _issue(self, orders: Sequence[Order]) -> Sequence[Entry | Failure]:
        outcomes = self._authority.issue_all(orders)
        for order, outcome in zip(orders, outcomes, strict=True):
            if isinstance(outcome, Failure):
                continue
            self._issued.labels(order.profile.name).inc()
            members = {"profile": order.profile.name, "serial": str(outcome.serial), "subject": str(order.subject)}
            log.info("certificate.issued", extra=members | {"door": order.door, "by": order.by})
        return outcomes
