"""A small model of who holds which name and key, played against the ledger on both databases."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from voltroot.errors import Failure, KeyReused, NameTaken
from voltroot.pki.drafts import Order
from voltroot.pki.ports import Reason, State
from world import World

pytestmark = pytest.mark.slow

NAMES = st.sampled_from(["a", "b", "c"])
LEASE = timedelta(seconds=10)
# What the ledger's whole seconds, and the time that a step itself takes, may make of a moment.
SLACK = timedelta(seconds=2)


@dataclass
class Held:
    """What the model knows of one certificate."""

    name: str
    serial: int
    until: datetime
    revoked: bool = False


class LedgerModel(RuleBasedStateMachine):
    """Issue, renew, revoke, crash in mid-issue, let time pass: the ledger says what the model says."""

    dialect = "sqlite"
    orders = Bundle("orders")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World.made(Path(self.folder.name) / "world", dialect=self.dialect)
        self.certificates: list[Held] = []
        self.reserved: dict[str, datetime] = {}
        self.keys: set[bytes] = set()
        self.lost_keys: dict[bytes, datetime] = {}

    def teardown(self) -> None:
        self.world.engine.dispose()
        self.folder.cleanup()

    @rule(target=orders, name=NAMES, renewal=st.booleans())
    def order(self, name: str, renewal: bool) -> Order:
        return self.world.order("SECC_2", name, renewal=renewal)

    @rule(order=orders)
    def issue(self, order: Order) -> None:
        now = self.world.clock()
        try:
            entry = self.world.authority.issue(order)
        except KeyReused:
            lost = self.lost_keys.get(order.key_hash)
            assert order.key_hash in self.keys or (lost is not None and lost + LEASE + SLACK >= now)
        except NameTaken:
            assert not order.renewal
            assert self.is_held(str(order.name), now - SLACK)
        else:
            assert order.key_hash not in self.keys
            assert order.renewal or not self.is_held(str(order.name), self.world.clock() + SLACK)
            self.keys.add(order.key_hash)
            self.certificates.append(Held(str(order.name), entry.serial, entry.not_after))

    @rule(order=orders)
    def crash_after_reserving(self, order: Order) -> None:
        moment = self.world.clock()
        until = moment + LEASE
        (outcome,) = self.world.ledger.reserve([self.world.authority._draft(order)], until)
        if not isinstance(outcome, Failure):
            self.reserved[str(order.name)] = max(until, self.reserved.get(str(order.name), until))
            self.lost_keys[order.key_hash] = moment

    @rule(name=NAMES)
    def revoke(self, name: str) -> None:
        entries = self.world.ledger.find(name=name, profiles=["SECC_2"])
        changed = self.world.authority.revoke(entries, Reason.SUPERSEDED, door="test")
        assert {entry.serial for entry in changed} == {
            held.serial for held in self.certificates if held.name == name and not held.revoked
        }
        for held in self.certificates:
            if held.name == name:
                held.revoked = True

    @rule(step=st.sampled_from([{"seconds": 5}, {"seconds": 12}, {"days": 40}, {"days": 91}]))
    def let_time_pass(self, step: dict[str, float]) -> None:
        self.world.clock.turn(**step)

    @rule(order=orders)
    def two_at_once(self, order: Order) -> None:
        twin = replace(self.world.order("SECC_2", str(order.name)), name=order.name)
        first, second = self.world.authority.issue_all([twin, replace(twin, public_key=order.public_key)])
        assert isinstance(first, Failure) or isinstance(second, Failure)
        for outcome, placed in ((first, twin), (second, replace(twin, public_key=order.public_key))):
            if not isinstance(outcome, Failure):
                self.keys.add(placed.key_hash)
                self.certificates.append(Held(str(order.name), outcome.serial, outcome.not_after))

    @invariant()
    def the_ledger_knows_what_the_model_knows(self) -> None:
        found = self.world.ledger.find(profiles=["SECC_2"])
        assert {(entry.serial, entry.state is State.REVOKED) for entry in found} == {
            (held.serial, held.revoked) for held in self.certificates
        }
        assert len({entry.read().key_hash for entry in found}) == len(found)

    def is_held(self, name: str, now: datetime) -> bool:
        valid = any(held.name == name and not held.revoked and held.until >= now for held in self.certificates)
        reserved = self.reserved.get(name)
        return valid or (reserved is not None and reserved >= now)


class PostgresqlModel(LedgerModel):
    """The same on PostgreSQL."""

    dialect = "postgresql"


EXAMPLES = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestTheModelOnSqlite = LedgerModel.TestCase
TestTheModelOnSqlite.settings = EXAMPLES
TestTheModelOnPostgresql = PostgresqlModel.TestCase
TestTheModelOnPostgresql.settings = EXAMPLES
