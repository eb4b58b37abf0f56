"""What operations, presence and operators promise across processes, on each database."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, text

from voltroot.actors.csms import wishes
from voltroot.actors.csms.operations import Arrival, Job, Selection
from voltroot.actors.csms.operators import Acting
from voltroot.actors.csms.stations import Operation, OperationState, Station
from voltroot.errors import NameTaken, NotFound, Refused
from voltroot.store.auditlog import AuditLog
from voltroot.store.auditor import inspect
from voltroot.store.bell import bell
from voltroot.store.checkpoints import LABEL, read_lines
from voltroot.store.engine import reading, writing
from voltroot.store.operations import LOST, NOT_CONNECTED, SqlOperations
from voltroot.store.operators import SqlOperators
from voltroot.store.presence import LEASE, SqlPresence
from voltroot.store.stations import SqlStations
from voltroot.store.tables import audit
from world import World

ANA = Acting("ana", "test")
DONE, FAILED, PROMISED, RUNNING, WAITING = (
    OperationState.DONE, OperationState.FAILED, OperationState.PROMISED, OperationState.RUNNING, OperationState.WAITING,
)  # fmt: skip


class Place(NamedTuple):
    """A registry of ten stations, and everything that is on record about them."""

    world: World
    stations: SqlStations
    presence: SqlPresence
    operations: SqlOperations

    def process(self, *stations: str) -> int:
        """A process that is alive and holds stations."""
        holder = self.presence.join(f"process of {' '.join(stations)}")
        self.arrive(holder, *stations)
        return holder

    def arrive(self, holder: int, *stations: str) -> None:
        self.presence.settle(holder, [Arrival(each, 2, "ocpp2.0.1") for each in stations], [])

    def ask(self, *stations: str, at_once: int = 10, **more: Any) -> Job:
        selection = more.pop("selection", Selection(stations))
        return self.operations.ask(wishes.learn(), selection, ANA, at_once=at_once, **more)

    def states(self, job: Job) -> list[tuple[str, OperationState]]:
        return [(each.station, each.state) for each in reversed(self.operations.listed(job=job.number))]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    world = World.made(tmp_path / "world", dialect=request.param)
    kinds = SqlStations, SqlPresence, SqlOperations
    made = Place(world, *(kind(world.engine, world.clock) for kind in kinds))  # type: ignore[arg-type]
    for number in range(10):
        made.stations.add(Station(f"CS{number}", f"SN{number}", "CSO", profile=2 + number % 2))
    yield made
    world.engine.dispose()


def names(claimed: list[Operation]) -> list[str]:
    return [each.station for each in claimed]


def test_an_operation_is_claimed_once_by_the_process_that_holds_the_station(place: Place) -> None:
    one, other = place.process("CS1", "CS2"), place.process("CS3")
    job = place.ask("CS1", "CS2", "CS3", "CS4")
    assert place.states(job) == [("CS1", WAITING), ("CS2", WAITING), ("CS3", WAITING), ("CS4", FAILED)]
    assert place.operations.listed(station="CS4")[0].outcome == NOT_CONNECTED
    assert names(place.operations.claim(other, 10)) == ["CS3"]
    assert [names(place.operations.claim(one, 1)) for _ in range(3)] == [["CS1"], ["CS2"], []]
    claimed = place.operations.listed(station="CS1")[0]
    assert (claimed.state, claimed.by, claimed.job, claimed.detail) == (
        RUNNING,
        "ana",
        job.number,
        wishes.learn().detail,
    )
    place.stations.end(claimed.number, DONE, "Accepted")
    job = place.operations.job(job.number)
    assert (job.counts, job.total, job.ended) == ({DONE: 1, RUNNING: 2, FAILED: 1}, 4, False)


def test_many_who_claim_at_once_get_each_operation_once(place: Place) -> None:
    """A station that moves between processes all the time; a job that may have three running."""
    holders = [place.process(), place.process()]
    claimed: list[int] = []
    job = place.ask(*(f"CS{number}" for number in range(10)), at_once=3, patience=timedelta(hours=1))
    most = []

    def claim(holder: int) -> None:
        for _ in range(12):
            place.arrive(holder, *(f"CS{number}" for number in range(10)))
            for each in place.operations.claim(holder, 2):
                claimed.append(each.number)
                most.append(place.operations.job(job.number).counts.get(RUNNING, 0))
                place.stations.end(each.number, DONE)

    threads = [threading.Thread(target=claim, args=(holder,)) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while more := place.operations.claim(holders[0], 10) + place.operations.claim(holders[1], 10):
        claimed += [each.number for each in more]
        for each in more:
            place.stations.end(each.number, DONE)
    assert sorted(claimed) == sorted(each.number for each in place.operations.listed(job=job.number))
    assert max(most) <= 3


def test_a_station_does_one_thing_at_a_time_the_oldest_first(place: Place) -> None:
    holder = place.process("CS1")
    first, second = place.ask("CS1"), place.ask("CS1")
    (claimed,) = place.operations.claim(holder, 10)
    assert claimed.job == first.number
    assert place.operations.claim(holder, 10) == []
    # What the station has promised it does by itself.
    place.stations.end(claimed.number, PROMISED)
    assert [each.job for each in place.operations.claim(holder, 10)] == [second.number]


def test_of_a_job_so_many_are_done_at_once_and_another_job_is_not_kept_waiting(place: Place) -> None:
    holder = place.process(*(f"CS{number}" for number in range(10)))
    large = place.ask(*(f"CS{number}" for number in range(9)), at_once=2)
    assert names(place.operations.claim(holder, 10)) == ["CS0", "CS1"]
    assert place.operations.claim(holder, 10) == []
    place.ask("CS9")
    assert names(place.operations.claim(holder, 10)) == ["CS9"]
    place.stations.end(place.operations.listed(job=large.number, states=[RUNNING])[0].number, DONE)
    assert names(place.operations.claim(holder, 10)) == ["CS2"]


def test_a_patient_operation_waits_for_its_station_and_not_for_ever(place: Place) -> None:
    soon, never = place.ask("CS1", patience=timedelta(minutes=1)), place.ask("CS2", patience=timedelta(minutes=1))
    assert place.operations.sweep() == []
    holder = place.process("CS1")
    assert [each.job for each in place.operations.claim(holder, 10)] == [soon.number]
    (late,) = place.stations.overdue(place.world.clock() + timedelta(minutes=2))
    assert (late.job, late.state) == (never.number, FAILED)


def test_an_operation_that_is_given_back_is_taken_again(place: Place) -> None:
    holder = place.process("CS1")
    place.ask("CS1")
    (claimed,) = place.operations.claim(holder, 10)
    place.operations.release(claimed.number)
    assert names(place.operations.claim(holder, 10)) == ["CS1"]


def test_a_process_that_is_not_heard_of_any_more_has_lost_its_stations_and_operations(place: Place) -> None:
    lost, alive = place.process("CS1", "CS2"), place.process("CS3")
    job = place.ask("CS1", "CS3")
    place.operations.claim(lost, 1)
    place.ask("CS2")
    place.world.clock.turn(seconds=LEASE.total_seconds() + 1)
    assert place.presence.renew(alive) is False
    swept = {each.station: each.outcome for each in place.operations.sweep()}
    assert swept == {"CS1": LOST, "CS2": NOT_CONNECTED}
    assert place.operations.sweep() == []
    (gone,) = place.operations.listed(station="CS1")
    # Should it have been alive all the same, its answer comes too late.
    place.stations.end(gone.number, DONE, "Accepted")
    assert place.states(job) == [("CS1", FAILED), ("CS3", WAITING)]
    assert [each.station.identity for each in place.presence.listed(Selection(connected=True))] == ["CS3"]
    assert place.presence.renew(lost) is True
    assert place.operations.claim(lost, 10) == []


def test_the_process_that_a_station_came_to_last_holds_it(place: Place) -> None:
    one, other = place.process("CS1", "CS2"), place.process("CS1")
    held = {each: holder for each, holder in place.presence.places().items() if holder}
    assert (held, place.presence.held(other)) == ({"CS1": other, "CS2": one}, 1)
    # What the earlier one says is not heard.
    place.presence.settle(one, [], ["CS1"])
    presence = place.presence.station("CS1").presence
    assert presence is not None
    assert (presence.connected, presence.process, presence.version) == (True, "process of CS1", "ocpp2.0.1")
    place.presence.leave(other)
    presence = place.presence.station("CS1").presence
    assert presence is not None
    assert (presence.connected, presence.process) == (False, "")
    with pytest.raises(NotFound):
        place.presence.station("CS77")


def test_stations_are_listed_by_what_they_are_page_by_page(place: Place) -> None:
    place.process("CS4", "CS5")
    place.stations.add(Station("cs4", "SN", "CSO"))

    def listed(*, after: str = "", limit: int | None = None, **which: Any) -> list[str]:
        return [each.station.identity for each in place.presence.listed(Selection(**which), after, limit)]

    assert listed(profile=3) == ["CS1", "CS3", "CS5", "CS7", "CS9"]
    assert listed(connected=True) == ["CS4", "CS5"]
    assert len(listed(connected=False)) == 9
    assert listed(connected=True, profile=3) == ["CS5"]
    assert listed(beginning="cs") == ["cs4"]
    assert listed(beginning="CS%") == []
    assert sorted(listed(identities=("CS1", "CS2"))) == ["CS1", "CS2"]
    first = listed(limit=4)
    assert first + listed(after=first[-1]) == listed()


def test_nobody_is_asked_who_is_not_there(place: Place) -> None:
    with pytest.raises(NotFound, match="there is no station CS77"):
        place.ask("CS1", "CS77")
    with pytest.raises(Refused, match="nothing is to be done"):
        place.ask(selection=Selection(connected=True))
    assert place.operations.jobs() == []


def test_a_job_is_stopped_where_it_has_not_begun(place: Place) -> None:
    holder = place.process("CS1", "CS2", "CS3")
    job = place.ask("CS1", "CS2", "CS3", at_once=1)
    place.operations.claim(holder, 10)
    assert place.operations.stop(job.number, ANA) == 2
    assert place.states(job) == [("CS1", RUNNING), ("CS2", FAILED), ("CS3", FAILED)]
    assert place.operations.listed(station="CS3")[0].outcome == "stopped by ana"
    with pytest.raises(NotFound):
        place.operations.stop(77, ANA)
    with pytest.raises(NotFound):
        place.operations.job(77)
    with pytest.raises(NotFound):
        place.operations.operation(77)


def test_jobs_are_kept_for_half_a_year(place: Place) -> None:
    old = place.ask("CS1", "CS2")
    place.world.clock.turn(days=179)
    young = place.ask("CS1")
    place.world.clock.turn(days=2)
    newest = place.ask("CS2")
    assert [each.number for each in place.operations.jobs()] == [newest.number, young.number]
    assert place.operations.listed(job=old.number) == []
    assert len(place.operations.listed()) == 2


def test_who_changed_something_is_in_the_audit_log_and_who_only_asked_is_not(place: Place) -> None:
    place.process("CS1")
    place.stations.alter("CS1", {"serial_number": "SN-NEW"}, ANA)
    place.ask("CS1")
    job = place.operations.ask(wishes.password(), Selection(("CS1",)), ANA, at_once=1)
    place.operations.stop(job.number, ANA)
    place.stations.remove("CS1", ANA)
    query = select(audit.c.event, audit.c.detail).where(audit.c.by == "ana", audit.c.door == "test")
    with reading(place.world.engine) as connection:
        told = [(event, json.loads(detail)) for event, detail in connection.execute(query.order_by(audit.c.number))]
    assert told == [
        ("station.changed", {"station": "CS1", "changed": ["serial_number"]}),
        ("operation.asked", {"job": job.number, "kind": "password", "stations": 1}),
        ("operation.stopped", {"job": job.number, "stations": 1}),
        ("station.removed", {"station": "CS1"}),
    ]
    with pytest.raises(NotFound):
        place.stations.alter("CS1", {"profile": 3}, ANA)
    log = AuditLog(place.world.engine, place.world.keyring, place.world.folder / "checkpoints.jsonl", place.world.clock)
    assert log.append() > len(told)
    key, lines = place.world.keyring.signer(LABEL).public_key(), read_lines(place.world.folder / "checkpoints.jsonl")
    assert inspect(place.world.engine, key, [*lines], lambda done, total: None).findings == []


def test_a_token_is_known_by_its_digest_and_good_until_it_is_removed(place: Place) -> None:
    operators = SqlOperators(place.world.engine, place.world.clock)
    assert not operators.there_are()
    token = operators.add("control room", False, ANA)
    known = operators.with_token(token)
    assert known is not None
    assert (known.name, known.may_change, operators.every()) == ("control room", False, [known])
    assert operators.with_token(token[:-1]) is None
    with reading(place.world.engine) as connection:
        rows = connection.execute(text("SELECT * FROM operators")).all() + connection.execute(select(audit)).all()
    assert token.removeprefix("voltroot_") not in str(rows)
    with pytest.raises(NameTaken):
        operators.add("control room", True, ANA)
    operators.remove("control room", ANA)
    assert operators.with_token(token) is None
    with pytest.raises(NotFound):
        operators.remove("control room", ANA)


def test_the_bell_rings_when_another_has_written_and_not_otherwise(place: Place) -> None:
    rings = bell(place.world.engine)
    while rings.wait(1):
        pass
    writing_soon = threading.Timer(0.1, place.process, ["CS1"])
    writing_soon.start()
    begun = time.monotonic()
    assert rings.wait(20)
    assert time.monotonic() - begun > 0.05
    writing_soon.join()
    rings.stop()
    assert not rings.wait(60)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_the_bell_is_mounted_again_where_the_line_was_cut(place: Place) -> None:
    rings = bell(place.world.engine)
    assert rings.wait(20)
    with writing(place.world.engine) as connection:
        listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {listening}"))
    # Once for the line that is gone, once for what was not heard meanwhile.
    assert [rings.wait(5), rings.wait(5)] == [True, True]
    place.process("CS1")
    assert rings.wait(5)
    rings.stop()
    rings.wait(1)
