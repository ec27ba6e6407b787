"""Open the doors of pickups over real locks: one pulse for each recorded intent, polled by a tick.

``edge.pickup.door_states`` defines what each event means. This module makes the events from a lock,
a door contact and the monotonic clock, and puts every step on disk before the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.pickup.door_states import DoorEvent, DoorState, DoorStep, next_step
from edge.pickup.lock_actuator import ImmediateActuator, LockActuator, PulseOutcome
from edge.ports import CountsOpenings, DoorSensor, Lock
from edge.store import ledger, lock_intents, outbox, reviews
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.exception_cases import raise_case
from edge.store.lock_intents import Intent
from edge.store.redemption_reads import withdrawal_reason
from edge.values.instant import Instant
from edge.values.uuid7 import event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorTimings:
    """How long a door may take. Seconds."""

    open_s: float  # from the pulse until it is seen open
    close_s: float  # from then until it is seen closed
    steady_s: float = 0.0  # how long it must be seen closed: a contact bounces, a door rattles


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorChange:
    """A new state of a door, for the lamps, the log and the screen."""

    compartment: str
    state: DoorState
    detail: str
    raised: ExceptionKind | None
    remaining: tuple[str, ...]  # compartments of the same pickup that are still to be opened
    reversed: bool = False  # nothing left the locker: the code is valid again


@dataclass(slots=True, eq=False)
class _Door:
    """A door in progress. ``since_s`` is the monotonic time of its last step."""

    intent: Intent
    state: DoorState
    since_s: float
    seen_open: bool = False  # already during the pulse: it may be shut again before it is over
    outcome: PulseOutcome | None = None  # of the pulse; None: it is not over
    suspect: bool = False  # its contact said open before the pulse
    openings: int = 0  # what the contact had counted before the pulse
    closed_s: float | None = None  # since when it is seen closed
    left_open: bool = False  # its exception for being left open is raised

    @property
    def fault(self) -> str | None:
        """Why the lock was not pulsed, or not for sure."""
        return None if self.outcome is None else self.outcome.fault


class Pickups:
    """Every pickup in progress on one locker. For one thread: the daemon's."""

    def __init__(
        self,
        store: Store,
        lock: Lock,
        sensor: DoorSensor,
        *,
        times: DoorTimings,
        random_bytes: Callable[[int], bytes],
        with_contact: frozenset[str] | None = None,
        actuator: LockActuator | None = None,
    ) -> None:
        """``with_contact``: compartments that have a door contact; None for all of the lock's.

        ``actuator`` pulses ``lock``; None: at once, and then a tick takes as long as a pulse.
        """
        self._store = store
        self._actuator = ImmediateActuator(lock) if actuator is None else actuator
        self._sensor = sensor
        self._times = times
        self._random_bytes = random_bytes
        self._with_contact = lock.compartments() if with_contact is None else with_contact
        self._pickups: dict[int, list[_Door]] = {}  # by ledger row: its doors that have not ended
        self._left_open: list[_Door] = []  # watched, but no one waits for them

    def recover(self, monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Account for the doors that a crash or power cut left, by their contacts. Never pulses.

        For a start. Raises StoreUnavailableError; the next call continues where it stopped.
        """
        changes = []
        self._pickups.clear()
        self._left_open.clear()
        for intent in lock_intents.unfinished(self._store):
            door = self._add(intent, monotonic_s)
            contact = self._sensor.is_open(intent.compartment)
            event = {
                True: DoorEvent.CUT_OPEN,
                False: DoorEvent.CUT_CLOSED,
                None: DoorEvent.CUT_BLIND,
            }[contact]
            changes += self._apply(door, event, monotonic_s, now)
        return changes

    def begin(self, ids: tuple[int, ...], monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Open the doors of a recorded redemption (``Redemption.intents``), the first at once."""
        try:
            for intent in lock_intents.find_intents(self._store, ids):
                self._add(intent, monotonic_s)
        except StoreUnavailableError:
            return []  # nothing was pulsed; the next start releases what is reserved
        return self.tick(monotonic_s, now)

    def tick(self, monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Poll every door in progress and take due steps. Never raises for a disk or a lock."""
        changes: list[DoorChange] = []
        for door in [doors[0] for doors in self._pickups.values()] + self._left_open:
            try:
                changes += self._advance(door, monotonic_s, now)
            except StoreUnavailableError:
                continue  # the step is not on disk, so it did not happen: the next tick repeats it
        return changes

    @property
    def in_progress(self) -> tuple[str, ...]:
        """Compartments that a person is being led to; not those whose door was left open."""
        return tuple(doors[0].intent.compartment for doors in self._pickups.values())

    @property
    def watched(self) -> frozenset[int]:
        """The intents of every door in progress, also of those that were left open."""
        doors = [door for pickup in self._pickups.values() for door in pickup] + self._left_open
        return frozenset(door.intent.id for door in doors)

    def _add(self, intent: Intent, monotonic_s: float) -> _Door:
        door = _Door(intent=intent, state=DoorState(intent.state), since_s=monotonic_s)
        self._pickups.setdefault(intent.ledger_id, []).append(door)
        return door

    def _advance(self, door: _Door, monotonic_s: float, now: Instant) -> list[DoorChange]:
        if door.state is DoorState.RESERVED:
            return self._pulse(door, monotonic_s, now)
        if door.state is DoorState.PULSING:
            return self._record_pulse(door, monotonic_s, now)
        event = self._event(door, self._is_open(door), monotonic_s)
        return [] if event is None else self._apply(door, event, monotonic_s, now)

    def _pulse(self, door: _Door, monotonic_s: float, now: Instant) -> list[DoorChange]:
        if monotonic_s - door.since_s > self._times.open_s:
            return self._apply(door, DoorEvent.TOO_LATE, monotonic_s, now)
        door.suspect = self._is_open(door) is True
        door.openings = self._openings(door)
        event = DoorEvent.PULSE_OPEN if door.suspect else DoorEvent.PULSE
        changes = self._apply(door, event, monotonic_s, now)
        if door.state is not DoorState.PULSING:
            return changes
        self._actuator.pulse(door.intent.id, door.intent.compartment)
        return changes + self._record_pulse(door, monotonic_s, now)

    def _record_pulse(self, door: _Door, monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Record the pulse once it is over; repeated after a disk that failed to take it."""
        door.outcome = door.outcome or self._actuator.outcome(door.intent.id)
        if door.outcome is None:
            door.seen_open = door.seen_open or self._is_open(door) is True
            return []
        return self._apply(door, DoorEvent.PULSED, monotonic_s, now)

    def _is_open(self, door: _Door) -> bool | None:
        return self._sensor.is_open(door.intent.compartment)

    def _openings(self, door: _Door) -> int:
        if isinstance(self._sensor, CountsOpenings):
            return self._sensor.openings(door.intent.compartment)
        return 0

    def _event(self, door: _Door, is_open: bool | None, monotonic_s: float) -> DoorEvent | None:
        """Return what the contact and the time mean for a door whose lock was pulsed."""
        waited_s = monotonic_s - door.since_s
        if door.state is DoorState.PULSED:
            return self._opening(door, is_open, waited_s)
        if is_open is not False:
            door.closed_s = None
        elif door.closed_s is None:
            door.closed_s = monotonic_s
        if door.closed_s is not None and monotonic_s - door.closed_s >= self._times.steady_s:
            return DoorEvent.DOOR_CLOSED
        if waited_s <= self._times.close_s or door.left_open:
            return None
        return DoorEvent.NEVER_CHANGED if door.suspect and is_open else DoorEvent.CLOSE_TIMEOUT

    def _opening(self, door: _Door, is_open: bool | None, waited_s: float) -> DoorEvent | None:
        if is_open or door.seen_open or self._openings(door) > door.openings:
            return DoorEvent.DOOR_OPEN
        if waited_s <= self._times.open_s:
            return None
        if is_open is False:
            return DoorEvent.OPEN_TIMEOUT
        has_contact = door.intent.compartment in self._with_contact
        return (
            DoorEvent.NO_CONTACT_TIMEOUT
            if not has_contact and door.fault is None
            else DoorEvent.BLIND_TIMEOUT
        )

    def _apply(
        self, door: _Door, event: DoorEvent, monotonic_s: float, now: Instant
    ) -> list[DoorChange]:
        """Put a step on disk, then take it.

        Raises StoreUnavailableError, and then the step is not taken.
        """
        doors = self._pickups.get(door.intent.ledger_id, [])
        after = doors[doors.index(door) + 1 :] if door in doors else []
        with self._store.transaction() as connection:
            step, detail = self._step(connection, door, event)
            recorded = self._record(connection, door, step, detail, now)
            given_up: list[_Door] = []
            if not recorded:
                step = DoorStep(DoorState.UNKNOWN)  # its case was settled by hand meanwhile
            elif step.state is DoorState.RELEASED or step.raises is ExceptionKind.DOOR_LEFT_OPEN:
                given_up = after  # no one is there: the other doors wait for another scan
            _release(connection, given_up, now)
            reversed_ = step.state is DoorState.RELEASED and self._reverse(
                connection, door, step, now
            )
        if step.state is not door.state:
            door.state, door.since_s = step.state, monotonic_s
        door.left_open = door.left_open or (
            recorded and step.raises is ExceptionKind.DOOR_LEFT_OPEN
        )
        self._update(door, [other for other in doors if other not in given_up], monotonic_s)
        if not recorded:
            return []
        change = DoorChange(
            compartment=door.intent.compartment,
            state=step.state,
            detail=detail,
            raised=step.raises,
            remaining=tuple(other.intent.compartment for other in after),
            reversed=reversed_,
        )
        return [change]

    def _step(
        self, connection: sqlite3.Connection, door: _Door, event: DoorEvent
    ) -> tuple[DoorStep, str]:
        """Return the step of ``event``, or that of a withdrawal, and its detail."""
        why = None
        if event in (DoorEvent.PULSE, DoorEvent.PULSE_OPEN):
            why = withdrawal_reason(connection, door.intent.cti)
        step = next_step(door.state, DoorEvent.WITHDRAWN if why else event)
        return step, ", ".join(part for part in (step.detail, why, door.fault) if part)

    def _record(
        self,
        connection: sqlite3.Connection,
        door: _Door,
        step: DoorStep,
        detail: str,
        now: Instant,
    ) -> bool:
        """Write a step with its case and its event; False when the intent had ended elsewhere."""
        intent = door.intent
        if not lock_intents.record_state(
            connection,
            intent.id,
            state=step.state,
            detail=detail,
            now=now,
            ended=step.state.ended,
        ):
            return False
        if step.raises is not None:
            raise_case(connection, _case(door, step.raises, detail, now))
        if step.state.ended or step.raises is not None:
            body = {
                "cti": intent.cti.hex(),
                "order": intent.order_id,
                "use": intent.use_no,
                "compartment": intent.compartment,
                "state": step.state.value,
                "detail": detail,
                "exception": step.raises,
            }
            new_id = event_id(now, self._random_bytes)
            outbox.append(connection, type="pickup", body=body, now=now, id=new_id)
        return True

    def _reverse(
        self, connection: sqlite3.Connection, door: _Door, step: DoorStep, now: Instant
    ) -> bool:
        """Reverse the redemption if nothing left the locker; return whether it was reversed."""
        if not lock_intents.all_released(connection, door.intent.ledger_id):
            return False
        reason = step.raises or ExceptionKind.DOOR_NOT_OPENED
        approved = reviews.is_approved(connection, door.intent.ledger_id)
        if approved and reason is not ExceptionKind.BUSINESS_RULE:
            return False  # so that no one need approve it again: its doors wait for another scan
        reversal = ledger.write_reversal(
            connection,
            door.intent.ledger_id,
            reason=reason.value,
            now=now,
            operator=None,
            event_id=event_id(now, self._random_bytes),
        )
        return reversal is not None

    def _update(self, door: _Door, doors: list[_Door], monotonic_s: float) -> None:
        """Keep what is in progress; begin the next door when one has ended or was left open."""
        self._left_open = [other for other in self._left_open if other is not door]
        if door.left_open and not door.state.ended:
            self._left_open.append(door)
        rest = [other for other in doors if not other.state.ended and not other.left_open]
        if rest and rest[0] is not door and door in doors:
            rest[0].since_s = monotonic_s
        if rest:
            self._pickups[door.intent.ledger_id] = rest
        else:
            self._pickups.pop(door.intent.ledger_id, None)


def _case(door: _Door, kind: ExceptionKind, cause: str, now: Instant) -> ExceptionCase:
    reserved = door.state is DoorState.RESERVED
    return ExceptionCase(
        kind=kind,
        cause=cause,
        tried="nothing: the lock was not pulsed" if reserved else "the lock was pulsed once",
        cti=door.intent.cti,
        order_id=door.intent.order_id,
        compartment=door.intent.compartment,
        ledger_id=door.intent.ledger_id,
        raised_s=now.unix_s,
    )


def _release(connection: sqlite3.Connection, doors: list[_Door], now: Instant) -> None:
    """End the intents of doors that are given up."""
    for door in doors:
        lock_intents.record_state(
            connection,
            door.intent.id,
            state=DoorState.RELEASED,
            detail="not reached",
            now=now,
            ended=True,
        )
