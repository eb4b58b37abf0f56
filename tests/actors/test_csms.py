"""What the CSMS decides, where no connection is needed to see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from voltroot.actors.csms import authorizing, passwords
from voltroot.actors.csms.authorizing import Answer, ChainState
from voltroot.actors.csms.entrance import Asked, Entrance
from voltroot.actors.csms.stations import CertificateUse, Signing, SigningState, Station
from voltroot.actors.trust import Trust
from voltroot.apis.ocpp import errors
from voltroot.errors import Failure, Malformed, ProofFailed
from voltroot.ocppj.frames import Code
from voltroot.store.stations import SqlStations
from world import World

PASSWORD = "a password of 27 characters"


def test_a_password_is_kept_as_a_hash_that_is_never_the_same() -> None:
    first, second = passwords.make(PASSWORD), passwords.make(PASSWORD)
    assert first != second
    assert PASSWORD.encode() not in first
    assert passwords.holds(first, PASSWORD)
    assert not passwords.holds(first, PASSWORD + " ")
    assert not passwords.holds(None, PASSWORD)
    assert not passwords.holds(b"", "")


def test_a_password_may_be_written_in_any_script_and_has_its_length() -> None:
    assert passwords.holds(passwords.make("пароль зарядной станции"), "пароль зарядной станции")
    assert len({passwords.generate() for _ in range(100)}) == 100
    assert len(passwords.generate()) == 32
    for wrong in ("x" * 15, "x" * 65):
        with pytest.raises(Malformed):
            passwords.make(wrong)


def test_a_storm_of_one_station_costs_one_slow_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed; and a password that was changed is not the one that is remembered."""
    stations = SqlStations(world.engine, world.clock)
    stations.add(Station("CS1", "SN1", "CSO", secret=passwords.make(PASSWORD)))
    entrance = Entrance(stations, world.issuers, Trust(world.issuers, world.ledger, world.clock), world.clock)
    slow = passwords.holds
    asked: list[str] = []
    monkeypatch.setattr(passwords, "holds", lambda secret, given: asked.append(given) or slow(secret, given))
    for _ in range(20):
        entrance.admit(Asked("CS1", 2, "CS1", PASSWORD))
    assert asked == [PASSWORD]
    stations.change("CS1", secret=passwords.make("another password of 33 characters"))
    with pytest.raises(ProofFailed):
        entrance.admit(Asked("CS1", 2, "CS1", PASSWORD))


def test_a_certificate_that_is_in_use_stays_so_whatever_is_recorded_late(world: World) -> None:
    """A station may come back with it before the answer that it gave is worked on."""
    stations = SqlStations(world.engine, world.clock)
    stations.add(Station("CS1", "SN1", "CSO"))
    made = stations.ask(Signing("CS1", CertificateUse.STATION, "", None, b"key", "csr"))
    for state in (SigningState.ISSUED, SigningState.IN_USE, SigningState.INSTALLED):
        stations.settle(made.number, state)
    assert [each.state for each in stations.signings("CS1", [*SigningState])] == [SigningState.IN_USE]


TABLE = {
    (ChainState.VALID, "Accepted"): Answer("Accepted", "Accepted"),
    (ChainState.VALID, "ConcurrentTx"): Answer("ConcurrentTx", "Accepted"),
    (ChainState.VALID, "Blocked"): Answer("Blocked", "ContractCancelled"),
    (ChainState.VALID, "Unknown"): Answer("Unknown", "ContractCancelled"),
    (ChainState.EXPIRED, "Accepted"): Answer("Expired", "CertificateExpired"),
    (ChainState.REVOKED, "Blocked"): Answer("Invalid", "CertificateRevoked"),
    (ChainState.INVALID, "Accepted"): Answer("Invalid", "CertChainError"),
    (None, "Blocked"): Answer("Blocked"),
}


@pytest.mark.parametrize(("chain", "token"), TABLE, ids=str)
def test_C07_what_is_answered_for_a_certificate_and_a_token(chain: ChainState | None, token: str) -> None:
    assert authorizing.answer(token, chain) == TABLE[chain, token]


def _all(kind: type[Failure]) -> list[type[Failure]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _all(below))]


def test_every_failure_has_a_reason_and_a_code_of_its_own() -> None:
    """The last line of each match is for what nobody has thought of: no Failure of ours may end there."""
    source = Path(errors.__file__).read_text(encoding="utf-8").partition("def status_info")[0].partition("match")[2]
    for kind in _all(Failure)[1:]:
        if kind.__module__ == "voltroot.errors":
            assert f"{kind.__name__}()" in source, kind


def test_what_stands_in_a_statusInfo_fits() -> None:
    for kind in _all(Failure):
        if kind.__module__ == "voltroot.errors" and kind.__name__ != "MissingField":
            info = errors.status_info(kind("x" * 1000))
            assert len(info["reasonCode"]) <= 20
            assert len(info["additionalInfo"]) == 512
            assert isinstance(errors.code(kind("x")), Code)
