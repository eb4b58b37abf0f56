"""Our own client of the Secondary Actor API against a backend: how a station's or a car's certificate fares."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from backend import Backend
from voltroot.apis.pnc.client import Client, Reply
from voltroot.errors import Refused
from voltroot.pki.certificates import Certificate

pytestmark = pytest.mark.slow


class Calls(NamedTuple):
    """The four calls about one kind of certificate, and the member that it comes in."""

    issue: Callable[..., Reply]
    find: Callable[..., Reply]
    renew: Callable[..., Reply]
    revoke: Callable[..., Reply]
    member: str


CALLS = {
    "secc": Calls(Client.issue_secc, Client.secc, Client.renew_secc, Client.revoke_secc, "certificateData"),
    "prov": Calls(Client.issue_prov, Client.prov, Client.renew_prov, Client.revoke_prov, "provCert"),
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("edition", ["ISO15118-2", "ISO15118-20"])
def test_a_certificate_is_issued_found_renewed_and_revoked(backend: Backend, kind: str, edition: str) -> None:
    client, calls, name = Client(backend.url), CALLS[kind], f"CLIENT {kind}/{edition}"
    with pytest.raises(Refused):
        calls.find(client, name, edition)
    first = certificate(calls.issue(client, name, edition=edition))
    assert first.subject.get("CN") == name
    assert Certificate.read(calls.find(client, name, edition).octets(calls.member)) == first
    with pytest.raises(Refused):
        calls.issue(client, name, edition=edition)
    second = certificate(calls.renew(client, name, edition=edition))
    assert second != first
    assert Certificate.read(calls.find(client, name, edition).octets(calls.member)) == second
    assert calls.revoke(client, str(second.subject), edition=edition).text("resultCode") == "4000"
    assert calls.revoke(client, str(second.subject), edition=edition).text("resultCode") == "4002"
    assert calls.revoke(client, f"CN={name} never", edition=edition).text("resultCode") == "4003"


def certificate(reply: Reply) -> Certificate:
    """The certificate in the answer to an order."""
    return Certificate.read(reply.octets("provCert"))
