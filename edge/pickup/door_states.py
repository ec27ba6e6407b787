"""One door of a pickup as a table: which event leads from which state to which. Pure.

    reserved --PULSE--> pulsing --PULSED--> pulsed --DOOR_OPEN--> opened --DOOR_CLOSED--> collected

A door that never opens is released. One whose outcome was not seen is unknown, and is not pulsed
again unless a person scans again (law 5). The page docs/explanation/pickup.md has the same table in
words; the tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.domain.exception_case import ExceptionKind


class DoorState(StrEnum):
    """The state of one door's intent, as it is stored."""

    RESERVED = "reserved"  # committed; the lock was not pulsed yet
    PULSING = "pulsing"  # about to be pulsed: after a crash here the outcome is unknown
    PULSED = "pulsed"  # the pulse is over
    OPENED = "opened"  # the door was seen open
    COLLECTED = "collected"  # and seen closed again
    RELEASED = "released"  # it did not open; the parcel is inside
    UNKNOWN = "unknown"  # a person must look

    @property
    def ended(self) -> bool:
        """True when nothing more happens without a person."""
        return self in (DoorState.COLLECTED, DoorState.RELEASED, DoorState.UNKNOWN)


class DoorEvent(StrEnum):
    """What happens to a door."""

    PULSE = "pulse"  # the lock is about to be pulsed
    PULSE_OPEN = "pulse_open"  # the same, and the contact says open: one of the two is wrong
    WITHDRAWN = "withdrawn"  # before the pulse the order was withdrawn or the device blocked
    PULSED = "pulsed"  # the pulse is over, or failed
    DOOR_OPEN = "door_open"
    DOOR_CLOSED = "door_closed"
    OPEN_TIMEOUT = "open_timeout"  # the contact says closed, for too long after the pulse
    BLIND_TIMEOUT = "blind_timeout"  # the contact that should be there says nothing
    NO_CONTACT_TIMEOUT = "no_contact_timeout"  # this compartment has none
    CLOSE_TIMEOUT = "close_timeout"
    NEVER_CHANGED = "never_changed"  # open for too long, and it was open before the pulse
    TOO_LATE = "too_late"  # the lock could not be pulsed in time: the person may be gone
    CUT_CLOSED = "cut_closed"  # a start after a crash or a power cut, the contact says closed
    CUT_OPEN = "cut_open"  # the same, open
    CUT_BLIND = "cut_blind"  # the same, no contact or no answer


@dataclass(frozen=True, slots=True)
class DoorStep:
    """Where an event leads, and the exception it raises, if any."""

    state: DoorState
    raises: ExceptionKind | None = None
    detail: str = ""


_S, _E, _X = DoorState, DoorEvent, ExceptionKind

TABLE: dict[tuple[DoorState, DoorEvent], DoorStep] = {
    (_S.RESERVED, _E.PULSE): DoorStep(_S.PULSING),
    (_S.RESERVED, _E.PULSE_OPEN): DoorStep(
        _S.PULSING, _X.SENSOR_FAULT, "open before the lock was pulsed"
    ),
    (_S.RESERVED, _E.WITHDRAWN): DoorStep(
        _S.RELEASED, _X.BUSINESS_RULE, "withdrawn before the door was opened"
    ),
    (_S.RESERVED, _E.TOO_LATE): DoorStep(
        _S.RELEASED, _X.SYSTEM_FAULT, "the lock could not be pulsed in time"
    ),
    (_S.RESERVED, _E.CUT_CLOSED): DoorStep(_S.RELEASED, None, "cut before the lock was pulsed"),
    (_S.RESERVED, _E.CUT_OPEN): DoorStep(
        _S.UNKNOWN, _X.SENSOR_FAULT, "open, though the lock was not pulsed"
    ),
    (_S.RESERVED, _E.CUT_BLIND): DoorStep(_S.RELEASED, None, "cut before the lock was pulsed"),
    (_S.PULSING, _E.PULSED): DoorStep(_S.PULSED),
    (_S.PULSING, _E.CUT_CLOSED): DoorStep(
        _S.UNKNOWN, _X.SYSTEM_FAULT, "cut while the lock was pulsed"
    ),
    (_S.PULSING, _E.CUT_OPEN): DoorStep(_S.OPENED, None, "found open after a cut"),
    (_S.PULSING, _E.CUT_BLIND): DoorStep(
        _S.UNKNOWN, _X.SYSTEM_FAULT, "cut while the lock was pulsed"
    ),
    (_S.PULSED, _E.DOOR_OPEN): DoorStep(_S.OPENED),
    (_S.PULSED, _E.OPEN_TIMEOUT): DoorStep(
        _S.RELEASED, _X.DOOR_NOT_OPENED, "the door did not open"
    ),
    (_S.PULSED, _E.BLIND_TIMEOUT): DoorStep(
        _S.UNKNOWN, _X.SENSOR_FAULT, "the door contact does not answer"
    ),
    (_S.PULSED, _E.NO_CONTACT_TIMEOUT): DoorStep(
        _S.COLLECTED, None, "no door contact: taken as collected"
    ),
    (_S.PULSED, _E.CUT_CLOSED): DoorStep(
        _S.UNKNOWN, _X.SYSTEM_FAULT, "cut after the lock was pulsed"
    ),
    (_S.PULSED, _E.CUT_OPEN): DoorStep(_S.OPENED, None, "found open after a cut"),
    (_S.PULSED, _E.CUT_BLIND): DoorStep(
        _S.UNKNOWN, _X.SYSTEM_FAULT, "cut after the lock was pulsed"
    ),
    (_S.OPENED, _E.DOOR_CLOSED): DoorStep(_S.COLLECTED),
    (_S.OPENED, _E.CLOSE_TIMEOUT): DoorStep(_S.OPENED, _X.DOOR_LEFT_OPEN, "the door was left open"),
    (_S.OPENED, _E.NEVER_CHANGED): DoorStep(
        _S.UNKNOWN, None, "the contact never changed from open"
    ),
    (_S.OPENED, _E.CUT_CLOSED): DoorStep(_S.COLLECTED, None, "found closed after a cut"),
    (_S.OPENED, _E.CUT_OPEN): DoorStep(_S.OPENED, None, "still open after a cut"),
    (_S.OPENED, _E.CUT_BLIND): DoorStep(
        _S.UNKNOWN, _X.SENSOR_FAULT, "the door contact does not answer"
    ),
}


def next_step(state: DoorState, event: DoorEvent) -> DoorStep:
    """Return where ``event`` leads from ``state``; an event without an entry changes nothing."""
    return TABLE.get((state, event)) or DoorStep(state)
