"""Schedules, tariffs and profiles of ISO 15118-2 (MsgDataTypes): names, order and types as in the standard."""

from __future__ import annotations

from typing import Annotated

from voltroot.v2g.exi.builtin import ID, UnsignedByte, UnsignedInt
from voltroot.v2g.exi.datatypes import Integer
from voltroot.v2g.exi.declare import Attribute, Group, Occurs
from voltroot.v2g.iso2.datatypes import DataType, PhysicalValueType, T
from voltroot.v2g.iso2.values import SAIDType, costKindType, maxNumPhasesType, tariffDescriptionType, unitMultiplierType


class SAScheduleList(DataType):
    """The schedules that the car may choose from."""

    SAScheduleTuple: Annotated[tuple[SAScheduleTupleType, ...], Occurs(1, 3)]


class SAScheduleTupleType(DataType):
    """A schedule: how much power when, and at which price."""

    SAScheduleTupleID: SAIDType
    PMaxSchedule: PMaxScheduleType
    SalesTariff: SalesTariffType | None = None


class SalesTariffType(DataType):
    """The prices of a schedule; its signer is the mobility operator."""

    signable = True

    Id: Annotated[ID | None, Attribute(T)] = None
    SalesTariffID: SAIDType
    SalesTariffDescription: tariffDescriptionType | None = None
    NumEPriceLevels: UnsignedByte | None = None
    SalesTariffEntry: Annotated[tuple[SalesTariffEntry, ...], Occurs(1, 1024)]


class PMaxScheduleType(DataType):
    """How much power the station gives when."""

    PMaxScheduleEntry: Annotated[tuple[PMaxScheduleEntry, ...], Occurs(1, 1024)]


class SalesTariffEntry(DataType):
    """A price from a point in time on."""

    TimeInterval: Annotated[RelativeTimeInterval, Group("TimeInterval", T)]
    EPriceLevel: UnsignedByte | None = None
    ConsumptionCost: Annotated[tuple[ConsumptionCostType, ...] | None, Occurs(0, 3)] = None


class PMaxScheduleEntry(DataType):
    """A limit of power from a point in time on."""

    TimeInterval: Annotated[RelativeTimeInterval, Group("TimeInterval", T)]
    PMax: PhysicalValueType


class RelativeTimeInterval(DataType):
    """A time in seconds from now."""

    start: Annotated[int, Integer(0, 2**32 - 1, facet=16777214)]
    duration: Annotated[int, Integer(0, 2**32 - 1, facet=86400)] | None = None


class ConsumptionCostType(DataType):
    """Costs from a level of consumption on."""

    startValue: PhysicalValueType
    Cost: Annotated[tuple[CostType, ...], Occurs(1, 3)]


class CostType(DataType):
    """A cost: in money, in carbon dioxide, or as a share of renewable energy."""

    costKind: costKindType
    amount: UnsignedInt
    amountMultiplier: unitMultiplierType | None = None


class ChargingProfileType(DataType):
    """How much power the car will take when."""

    ProfileEntry: Annotated[tuple[ProfileEntryType, ...], Occurs(1, 24)]


class ProfileEntryType(DataType):
    """A power that the car will take from a point in time on."""

    ChargingProfileEntryStart: UnsignedInt
    ChargingProfileEntryMaxPower: PhysicalValueType
    ChargingProfileEntryMaxNumberOfPhasesInUse: maxNumPhasesType | None = None
