"""Every call of the operators' API: the one table that the server and its description are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from voltroot.apis.operators import views, wire


class Call(NamedTuple):
    """One call: its name, what it does, what it takes and answers, and the status of that."""

    name: str
    summary: str
    answer: Any
    query: Any = wire.NoQuery
    body: Any = None
    status: int = 200


# A star is an identity or a number.
CALLS: dict[str, dict[str, Call]] = {
    "/v1/stations": {
        "GET": Call("listStations", "List stations.", views.StationsPage, wire.StationsQuery),
        "POST": Call("addStation", "Put a station into the registry.", views.NewStation, body=wire.Registration,
                     status=201),
    },
    "/v1/stations/*": {
        "GET": Call("showStation", "Show a station and its connection.", views.StationView),
        "PATCH": Call("changeStation", "Change what the registry says of a station.", views.StationView,
                      body=wire.Change),
        "DELETE": Call("removeStation", "Forget a station; its connection ends.", None, status=204),
    },
    "/v1/stations/*/certificates": {
        "GET": Call("showCertificates", "Show the certificates that a station has, as last read.", views.Certificates),
    },
    "/v1/jobs": {
        "GET": Call("listJobs", "List jobs.", views.JobsPage, wire.JobsQuery),
        "POST": Call("startJob", "Have one station or many do something.", views.JobView, body=wire.AnyAsked,
                     status=202),
    },
    "/v1/jobs/*": {
        "GET": Call("showJob", "Show how far a job has come, or wait for its end.", views.JobView, wire.OneQuery),
        "DELETE": Call("stopJob", "Stop a job: what has not begun will not be done.", views.Stopped),
    },
    "/v1/operations": {
        "GET": Call("listOperations", "List operations.", views.OperationsPage, wire.OperationsQuery),
    },
    "/v1/operations/*": {
        "GET": Call("showOperation", "Show what came of an operation, or wait for that.", views.OperationView,
                    wire.OneQuery),
    },
}  # fmt: skip
