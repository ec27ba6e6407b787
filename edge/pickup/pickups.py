"""Walk a pickup's doors over real locks: one pulse a recorded intent, polled by the daemon's tick.

``edge.pickup.door_states`` says what each event means; this module makes the events out of a lock, a door
contact and the monotonic clock, and puts every step on disk before the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.pickup.door_states import DoorEvent, DoorState, DoorStep, next_step
from edge.pickup.lock_actuator import ImmediateActuator, LockActuator
from edge.ports import CountsOpenings, DoorSensor, Lock
from edge.store import ledger, lock_intents, outbox, reviews
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.exception_cases import raise_case
from edge.store.lock_intents import Intent
from edge.store.redemption_reads import restoration_fault
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
    """What became of a door, for the lamps, the log and the screen."""

    compartment: str
    state: DoorState
    detail: str
    raised: ExceptionKind | None
    left: tuple[str, ...]  # compartments of the same pickup that are still to be opened
    taken_back: bool = False  # nothing left the locker: the code is good again


@dataclass(slots=True, eq=False)
class _Door:
    """A door under way. ``since_s`` is the monotonic time of its last step."""

    intent: Intent
    state: DoorState
    since_s: float
    seen_open: bool = (
        False  # already during the pulse: a quick person may have shut it again before it is over
    )
    told: bool = False  # the lock was told, and said what is in ``fault``
    fault: str = ""  # empty: it did not fail
    suspect: bool = False  # its contact said open before the lock was told
    openings: int = 0  # what the contact had counted then
    closed_s: float | None = None  # since when it is seen closed
    warned: bool = False  # its exception for being left open is raised


class Pickups:
    """Every pickup under way on one locker. One thread: the daemon's."""

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

        ``actuator`` tells ``lock``; None: at once, and a tick then takes as long as a pulse.
        """
        self._store = store
        self._actuator = ImmediateActuator(lock) if actuator is None else actuator
        self._sensor = sensor
        self._times = times
        self._random_bytes = random_bytes
        self._with_contact = lock.compartments() if with_contact is None else with_contact
        self._walks: dict[int, list[_Door]] = {}  # by ledger row: its doors that have not ended
        self._ajar: list[
            _Door
        ] = []  # doors that somebody left open: watched, and nobody waits for them

    def recover(self, monotonic_s: float, now: Instant) -> list[DoorChange]:
        """After a start: learn what a crash or power cut left, from the contacts alone. Never pulses.

        Raises StoreUnavailableError; calling again goes on where it stopped.
        """
        news = []
        self._walks.clear()
        self._ajar.clear()
        for intent in lock_intents.live(self._store):
            door = self._add(intent, monotonic_s)
            contact = self._sensor.is_open(intent.compartment)
            event = {
                True: DoorEvent.CUT_OPEN,
                False: DoorEvent.CUT_CLOSED,
                None: DoorEvent.CUT_BLIND,
            }[contact]
            news += self._happen(door, event, monotonic_s, now)
        return news

    def begin(self, ids: tuple[int, ...], monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Walk the doors of a redemption that is on disk (``Redemption.intents``); the first is pulsed at once."""
        try:
            for intent in lock_intents.of_ids(self._store, ids):
                self._add(intent, monotonic_s)
        except StoreUnavailableError:
            return []  # nothing was told to a lock; the next start releases what is reserved
        return self.tick(monotonic_s, now)

    def tick(self, monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Look at every door under way and take what steps are due. Never raises for a disk or a lock."""
        news: list[DoorChange] = []
        for door in [doors[0] for doors in self._walks.values()] + self._ajar:
            try:
                news += self._advance(door, monotonic_s, now)
            except StoreUnavailableError:
                continue  # the step is not on disk, so it did not happen: the next tick tries again
        return news

    @property
    def under_way(self) -> tuple[str, ...]:
        """Compartments that a person is being led to now; not those whose door somebody left open."""
        return tuple(doors[0].intent.compartment for doors in self._walks.values())

    def _add(self, intent: Intent, monotonic_s: float) -> _Door:
        door = _Door(intent=intent, state=DoorState(intent.state), since_s=monotonic_s)
        self._walks.setdefault(intent.ledger_id, []).append(door)
        return door

    def _advance(self, door: _Door, monotonic_s: float, now: Instant) -> list[DoorChange]:
        if door.state is DoorState.RESERVED:
            return self._pulse(door, monotonic_s, now)
        if door.state is DoorState.PULSING:
            return self._told(door, monotonic_s, now)
        event = self._event(door, self._sensor.is_open(door.intent.compartment), monotonic_s)
        return [] if event is None else self._happen(door, event, monotonic_s, now)

    def _pulse(self, door: _Door, monotonic_s: float, now: Instant) -> list[DoorChange]:
        if monotonic_s - door.since_s > self._times.open_s:
            return self._happen(door, DoorEvent.TOO_LATE, monotonic_s, now)
        door.suspect = self._sensor.is_open(door.intent.compartment) is True
        door.openings = self._openings(door)
        news = self._happen(
            door, DoorEvent.PULSE_OPEN if door.suspect else DoorEvent.PULSE, monotonic_s, now
        )
        if door.state is not DoorState.PULSING:
            return news
        self._actuator.tell(door.intent.id, door.intent.compartment)
        return news + self._told(door, monotonic_s, now)

    def _told(self, door: _Door, monotonic_s: float, now: Instant) -> list[DoorChange]:
        """Record that the lock was told once that is so; also when the disk failed to take it before."""
        if not door.told:
            outcome = self._actuator.outcome(door.intent.id)
            if outcome is None:
                door.seen_open = (
                    door.seen_open or self._sensor.is_open(door.intent.compartment) is True
                )
                return []
            door.told, door.fault = True, outcome
        return self._happen(door, DoorEvent.PULSED, monotonic_s, now)

    def _openings(self, door: _Door) -> int:
        return (
            self._sensor.openings(door.intent.compartment)
            if isinstance(self._sensor, CountsOpenings)
            else 0
        )

    def _event(self, door: _Door, is_open: bool | None, monotonic_s: float) -> DoorEvent | None:
        """What the contact and the time say about a door whose lock was told."""
        waited_s = monotonic_s - door.since_s
        if door.state is DoorState.PULSED:
            return self._opening(door, is_open, waited_s)
        if is_open is not False:
            door.closed_s = None
        elif door.closed_s is None:
            door.closed_s = monotonic_s
        if door.closed_s is not None and monotonic_s - door.closed_s >= self._times.steady_s:
            return DoorEvent.DOOR_CLOSED
        if waited_s <= self._times.close_s or door.warned:
            return None
        return DoorEvent.NEVER_CHANGED if door.suspect and is_open else DoorEvent.CLOSE_TIMEOUT

    def _opening(self, door: _Door, is_open: bool | None, waited_s: float) -> DoorEvent | None:
        if is_open or door.seen_open or self._openings(door) > door.openings:
            return DoorEvent.DOOR_OPEN
        if waited_s <= self._times.open_s:
            return None
        if is_open is False:
            return DoorEvent.OPEN_TIMEOUT
        bare = door.intent.compartment not in self._with_contact and not door.fault
        return DoorEvent.NO_CONTACT_TIMEOUT if bare else DoorEvent.BLIND_TIMEOUT

    def _happen(
        self, door: _Door, event: DoorEvent, monotonic_s: float, now: Instant
    ) -> list[DoorChange]:
        """Put a step on disk, then let it be so. Raises StoreUnavailableError, and then it is not so."""
        doors = self._walks.get(door.intent.ledger_id, [])
        after = doors[doors.index(door) + 1 :] if door in doors else []
        with self._store.transaction() as connection:
            why = (
                restoration_fault(connection, door.intent.cti)
                if event in (DoorEvent.PULSE, DoorEvent.PULSE_OPEN)
                else None
            )
            there = next_step(door.state, DoorEvent.WITHDRAWN if why else event)
            detail = ", ".join(part for part in (there.detail, why, door.fault) if part)
            left_open = there.raises is ExceptionKind.DOOR_LEFT_OPEN
            given_up = after if there.state is DoorState.RELEASED or left_open else []
            recorded = self._record(connection, door, there, detail, now)
            if not recorded:
                there, given_up = (
                    DoorStep(DoorState.UNKNOWN),
                    [],
                )  # its case was settled by hand meanwhile
            for other in given_up:  # nobody is there: the rest of the walk waits for another scan
                lock_intents.move(
                    connection,
                    other.intent.id,
                    state="released",
                    detail="not reached",
                    now=now,
                    ended=True,
                )
            taken_back = there.state is DoorState.RELEASED and self._take_back(
                connection, door, there, now
            )
        if there.state is not door.state:
            door.state, door.since_s = there.state, monotonic_s
        door.warned = door.warned or left_open
        self._keep(door, [other for other in doors if other not in given_up], monotonic_s)
        if not recorded:
            return []
        left = tuple(other.intent.compartment for other in after)
        return [DoorChange(compartment=door.intent.compartment, state=there.state, detail=detail, raised=there.raises,
                         left=left, taken_back=taken_back)]  # fmt: skip

    def _record(
        self,
        connection: sqlite3.Connection,
        door: _Door,
        there: DoorStep,
        detail: str,
        now: Instant,
    ) -> bool:
        """Write a step with what it raises and tells. False: the intent was ended by somebody else."""
        intent = door.intent
        if not lock_intents.move(
            connection,
            intent.id,
            state=there.state,
            detail=detail,
            now=now,
            ended=there.state.ended,
        ):
            return False
        if there.raises is not None:
            tried = (
                "nothing: the lock was not told"
                if door.state is DoorState.RESERVED
                else "the lock was told once"
            )
            case = ExceptionCase(
                kind=there.raises,
                cause=detail,
                tried=tried,
                cti=intent.cti,
                order_id=intent.order_id,
                compartment=intent.compartment,
                ledger_id=intent.ledger_id,
                raised_s=now.unix_s,
            )
            raise_case(connection, case)
        if there.state.ended or there.raises is not None:
            body = {
                "cti": intent.cti.hex(),
                "order": intent.order_id,
                "use": intent.use_no,
                "compartment": intent.compartment,
                "state": there.state.value,
                "detail": detail,
                "exception": there.raises,
            }
            outbox.append(
                connection, type="pickup", body=body, now=now, id=event_id(now, self._random_bytes)
            )
        return True

    def _take_back(
        self, connection: sqlite3.Connection, door: _Door, there: DoorStep, now: Instant
    ) -> bool:
        if not lock_intents.nothing_left_the_locker(connection, door.intent.ledger_id):
            return False
        reason = there.raises or ExceptionKind.DOOR_NOT_OPENED
        approved = reviews.is_approved(connection, door.intent.ledger_id)
        if approved and reason is not ExceptionKind.BUSINESS_RULE:
            return False  # nobody need approve it again: its doors are left
        reversal = ledger.write_reversal(
            connection, door.intent.ledger_id, reason=reason.value, now=now, operator=None,
            event_id=event_id(now, self._random_bytes),
        )  # fmt: skip
        return reversal is not None

    def _keep(self, door: _Door, doors: list[_Door], monotonic_s: float) -> None:
        """Hold on to what is still under way; the turn passes when a door has ended, or was left open."""
        self._ajar = [other for other in self._ajar if other is not door]
        if door.warned and not door.state.ended:
            self._ajar.append(door)
        rest = [other for other in doors if not other.state.ended and not other.warned]
        if rest and rest[0] is not door and door in doors:
            rest[0].since_s = monotonic_s
        if rest:
            self._walks[door.intent.ledger_id] = rest
        else:
            self._walks.pop(door.intent.ledger_id, None)
