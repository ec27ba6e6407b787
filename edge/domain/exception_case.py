"""A failure that a person must settle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExceptionKind(StrEnum):
    """What sort of case it is."""

    SYSTEM_FAULT = "system_fault"
    DATA_ERROR = "data_error"
    BUSINESS_RULE = "business_rule"
    DISPUTE = "dispute"
    DOOR_NOT_OPENED = "door_not_opened"
    DOOR_LEFT_OPEN = "door_left_open"
    SENSOR_FAULT = "sensor_fault"
    PLATFORM_CONFLICT = "platform_conflict"
    UPLOAD_REFUSED = "upload_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionCase:
    """One case. ``settled_s`` is None while it is open."""

    id: int
    kind: ExceptionKind
    cause: str
    tried: str
    cti: bytes | None
    order_id: str | None
    compartment: str | None
    ledger_id: int | None
    raised_s: int
    settled_s: int | None
    settled_by: str | None
    settlement: str | None
    note: str | None


class Settlement(StrEnum):
    """How a case was settled."""

    FIXED = "fixed"  # the cause is mended; nothing else changes
    ACCEPTED = "accepted"  # it stays as it is, loss and all
    COLLECTED = "collected"  # somebody looked: the parcel is gone
    NOT_COLLECTED = "not_collected"  # somebody looked: it is inside, and the code is good again
    REVERSED = "reversed"  # the redemption was taken back
    RETRIED = "retried"  # the write-off was tried again, and honoured
