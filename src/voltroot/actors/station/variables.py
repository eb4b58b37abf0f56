"""The station's configuration variables as OCPP knows them (2.0.1 part 2 appendix 3): one row each, read and set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from voltroot.actors.station.state import Record

LONGEST_VALUE = 1000
SHORTEST_PASSWORD, LONGEST_PASSWORD = 16, 64  # A00.FR.205 and the errata of 2025-01


class Access(StrEnum):
    """Whether a variable may be read and set (MutabilityEnumType)."""

    READ = "ReadOnly"
    WRITE = "WriteOnly"
    BOTH = "ReadWrite"


class Status(StrEnum):
    """What came of reading or setting a variable (GetVariableStatusEnumType, SetVariableStatusEnumType)."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_ATTRIBUTE = "NotSupportedAttributeType"


class Place(NamedTuple):
    """Which variable: of the station, or of one EVSE; ``name`` may be empty for all of a component's."""

    component: str
    name: str
    instance: str = ""
    evse: int | None = None

    def __str__(self) -> str:
        instance = f"[{self.instance}]" if self.instance else ""
        evse = f"#{self.evse}" if self.evse is not None else ""
        return f"{self.component}.{self.name}{instance}{evse}"


class Row(NamedTuple):
    """One variable, of the station or of ``each`` EVSE. ``least`` and ``most`` bound a number or a text's length.

    One without a default has its value from elsewhere.
    """

    component: str
    name: str
    type: str
    access: Access
    default: str | None = None
    instance: str = ""
    each: bool = False
    least: int | None = None
    most: int | None = None
    unit: str = ""
    options: str = ""


class Answer(NamedTuple):
    """The status, the value or the reason why there is none."""

    status: Status
    text: str = ""


_R, _W, _RW = Access.READ, Access.WRITE, Access.BOTH
SECURITY, COMMUNICATION, ISO15118 = "SecurityCtrlr", "OCPPCommCtrlr", "ISO15118Ctrlr"
TABLE: tuple[Row, ...] = (
    Row(SECURITY, "SecurityProfile", "integer", _R, least=0, most=3),
    Row(SECURITY, "Identity", "string", _R, most=48),
    Row(SECURITY, "BasicAuthPassword", "string", _W, most=LONGEST_PASSWORD),
    Row(SECURITY, "OrganizationName", "string", _RW, "", most=64),
    Row(SECURITY, "CertificateEntries", "integer", _R, least=0),
    Row(SECURITY, "MaxCertificateChainSize", "integer", _R, "10000", least=1, most=10_000),
    Row(SECURITY, "CertSigningWaitMinimum", "integer", _RW, "60", least=1, most=86_400, unit="s"),
    Row(SECURITY, "CertSigningRepeatTimes", "integer", _RW, "5", least=0, most=20),
    Row(SECURITY, "AdditionalRootCertificateCheck", "boolean", _R, "false"),
    Row(SECURITY, "AllowSecurityProfileDowngrade", "boolean", _R, "false"),
    Row(SECURITY, "AllowCSMSTLSWildcards", "boolean", _R, "false"),
    Row(COMMUNICATION, "ActiveNetworkProfile", "integer", _R),
    Row(COMMUNICATION, "NetworkConfigurationPriority", "SequenceList", _RW),
    Row(COMMUNICATION, "NetworkProfileConnectionAttempts", "integer", _RW, "3", least=1, most=100),
    Row(COMMUNICATION, "RetryBackOffWaitMinimum", "integer", _RW, "5", least=0, most=3600, unit="s"),
    Row(COMMUNICATION, "RetryBackOffRandomRange", "integer", _RW, "10", least=0, most=3600, unit="s"),
    Row(COMMUNICATION, "RetryBackOffRepeatTimes", "integer", _RW, "5", least=0, most=20),
    Row(COMMUNICATION, "WebSocketPingInterval", "integer", _RW, "60", least=0, most=3600, unit="s"),
    Row(COMMUNICATION, "HeartbeatInterval", "integer", _RW, "300", least=1, most=86_400, unit="s"),
    Row(COMMUNICATION, "OfflineThreshold", "integer", _RW, "60", least=0, most=86_400, unit="s"),
    Row(COMMUNICATION, "MessageTimeout", "integer", _R, "30", "Default", least=1, unit="s"),
    Row(COMMUNICATION, "MessageAttempts", "integer", _RW, "3", "TransactionEvent", least=1, most=10),
    Row(COMMUNICATION, "MessageAttemptInterval", "integer", _RW, "60", "TransactionEvent", least=1, most=600, unit="s"),
    Row(COMMUNICATION, "FileTransferProtocols", "MemberList", _R, "HTTPS", options="HTTPS"),
    Row(COMMUNICATION, "ResetRetries", "integer", _RW, "0", least=0, most=0),
    Row("DeviceDataCtrlr", "ItemsPerMessage", "integer", _R, "100", "GetReport"),
    Row("DeviceDataCtrlr", "ItemsPerMessage", "integer", _R, "100", "GetVariables"),
    Row("DeviceDataCtrlr", "ItemsPerMessage", "integer", _R, "100", "SetVariables"),
    Row("DeviceDataCtrlr", "BytesPerMessage", "integer", _R, "262144", "GetReport"),
    Row("DeviceDataCtrlr", "BytesPerMessage", "integer", _R, "262144", "GetVariables"),
    Row("DeviceDataCtrlr", "BytesPerMessage", "integer", _R, "262144", "SetVariables"),
    Row("ClockCtrlr", "DateTime", "dateTime", _R),
    Row("ClockCtrlr", "TimeSource", "SequenceList", _R, "Heartbeat,NTP", options="Heartbeat,NTP"),
    Row("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "boolean", _RW, "false"),
    Row(ISO15118, "PnCEnabled", "boolean", _RW, "true"),
    Row(ISO15118, "ContractValidationOffline", "boolean", _RW, "true"),
    Row(ISO15118, "CentralContractValidationAllowed", "boolean", _RW, "false"),
    Row(ISO15118, "V2GCertificateInstallationEnabled", "boolean", _RW, "true"),
    Row(ISO15118, "ContractCertificateInstallationEnabled", "boolean", _RW, "true"),
    Row(ISO15118, "CertificateStatusSource", "OptionList", _RW, "OCSP", options="OCSP,CRL"),
    Row(ISO15118, "SeccId", "string", _RW, "", each=True, most=64),
    Row(ISO15118, "OrganizationName", "string", _RW, "", most=64),
    Row(ISO15118, "CountryName", "string", _RW, "", most=2),
    Row("EVSE", "ISO15118EvseId", "string", _RW, "", each=True, most=37),
    Row("EVSE", "AvailabilityState", "OptionList", _R, "Available", each=True, options="Available,Unavailable"),
    Row("ChargingStation", "AvailabilityState", "OptionList", _R, "Available", options="Available,Unavailable"),
    Row("ChargingStation", "Model", "string", _R),
    Row("ChargingStation", "VendorName", "string", _R),
    Row("ChargingStation", "SerialNumber", "string", _R),
)


class Variables:
    """Reads and sets variables. ``computed`` has those that say what is so; ``checks`` return why a value cannot be.

    ``given`` are values from the station's file: they stand until the CSMS sets others.
    """

    def __init__(
        self,
        record: Record,
        evses: int,
        given: Mapping[str, str],
        computed: Mapping[str, Callable[[], str]],
        checks: Mapping[str, Callable[[str], str | None]],
    ) -> None:
        self._record = record
        self._given = given
        self._computed = computed
        self._checks = checks
        self._rows: dict[Place, Row] = {}
        for row in TABLE:
            for evse in range(1, evses + 1) if row.each else (None,):
                self._rows[Place(row.component, row.name, row.instance, evse)] = row

    def text(self, name: str, evse: int | None = None) -> str:
        """Return the value of ``Component.Variable``, of one EVSE or of the station."""
        component, _, variable = name.partition(".")
        place = Place(component, variable, "", evse)
        return self._value(place, self._rows[place])

    def number(self, name: str) -> int:
        """Return the value of a number."""
        return int(self.text(name))

    def is_on(self, name: str) -> bool:
        """Return the value of a boolean."""
        return self.text(name) == "true"

    def read(self, place: Place) -> Answer:
        """Return a variable's value."""
        found = self._find(place)
        if isinstance(found, Answer):
            return found
        place, row = found
        if row.access is Access.WRITE:
            return Answer(Status.REJECTED, "it can only be written")
        return Answer(Status.ACCEPTED, self._value(place, row))

    def set(self, place: Place, value: str) -> Answer:
        """Set a variable; durable when it returns."""
        found = self._find(place)
        if isinstance(found, Answer):
            return found
        place, row = found
        if row.access is Access.READ:
            return Answer(Status.REJECTED, "it can only be read")
        check = self._checks.get(f"{row.component}.{row.name}")
        if objection := _objection(row, value) or (check(value) if check else None):
            return Answer(Status.REJECTED, objection)
        if row.name == "BasicAuthPassword":
            self._set_password(value)
        else:
            self._record.change(values={**self._record.state.values, str(place): value})
        return Answer(Status.ACCEPTED)

    def every(self, wanted: Place | None = None) -> Iterator[tuple[Place, Row, str | None]]:
        """Yield all variables, or those that are meant, with their values; None for one that cannot be read."""
        for place, row in self._rows.items():
            if wanted is None or _is_meant(wanted, place):
                yield place, row, None if row.access is Access.WRITE else self._value(place, row)

    def _set_password(self, password: str) -> None:
        """Set the station's password; a network in use that had one of its own has it no more."""
        state = self._record.state
        networks = {slot: replace(each, password="") if slot == state.slot else each
                    for slot, each in state.networks.items()}  # fmt: skip
        self._record.change(password=password, networks=networks)

    def _find(self, place: Place) -> tuple[Place, Row] | Answer:
        # The station may be asked where there is one EVSE only.
        for known in (place, place._replace(evse=place.evse or 1), place._replace(evse=None)):
            if known in self._rows:
                return known, self._rows[known]
        if any(each.component == place.component for each in self._rows):
            return Answer(Status.UNKNOWN_VARIABLE)
        return Answer(Status.UNKNOWN_COMPONENT)

    def _value(self, place: Place, row: Row) -> str:
        if (compute := self._computed.get(f"{row.component}.{row.name}")) is not None:
            return compute()
        set_by_csms = self._record.state.values.get(str(place))
        return set_by_csms if set_by_csms is not None else self._given.get(str(place), row.default or "")


def check_given(name: str, value: str) -> str | None:
    """Return why a variable cannot have a value in the station's file, or None; ``name`` is as Place writes it."""
    plain, _, evse = name.partition("#")
    for row in TABLE:
        if str(Place(row.component, row.name, row.instance)) == plain and bool(evse) is row.each:
            if row.default is None:
                return "it is not for this file"
            return _objection(row, value)
    return "there is no such variable"


def _is_meant(wanted: Place, place: Place) -> bool:
    return (
        wanted.component == place.component
        and wanted.name in ("", place.name)
        and wanted.instance in ("", place.instance)
        and wanted.evse in (None, place.evse)
    )


def _objection(row: Row, value: str) -> str | None:
    match row.type:
        case "boolean" if value not in ("true", "false"):
            return "write true or false"
        case "integer":
            if not (value.isascii() and value.isdecimal() and len(value) < 10):
                return "write a number"
            if (row.least is not None and int(value) < row.least) or (row.most is not None and int(value) > row.most):
                return f"write a number from {row.least} to {row.most}"
        case "OptionList" if value not in row.options.split(","):
            return f"write one of {row.options}"
        case "string":
            least = SHORTEST_PASSWORD if row.name == "BasicAuthPassword" else 0
            if not least <= len(value) <= (row.most or LONGEST_VALUE) or not value.isprintable():
                return f"write {least} to {row.most or LONGEST_VALUE} characters that can be printed"
    return None
