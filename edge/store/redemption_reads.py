"""Read what is known about a code in the transaction that decides on it: two or three lookups."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any, Final, NamedTuple

from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.redemption_state import (
    CompartmentState,
    LocalRedemption,
    OfflineExposure,
    OnlineAuthorisation,
    RedemptionState,
    RestoredRedemption,
)
from edge.store.order_table import COLUMNS, entitlement_of
from edge.store.outbox import OutboxPlace
from edge.store.pending_requests import PendingRequest
from edge.store.sessions import SESSION_COLUMNS, OperatorSession, session_from
from edge.values.instant import ClockTrust, Instant

_DAY_S: Final = 86_400
_NO_EXPOSURE: Final = OfflineExposure()

_KNOWN: Final = f"""
    SELECT d.epoch_no,
      1 + coalesce((SELECT max(seq) FROM outbox o WHERE o.epoch_no = d.epoch_no), 0),
      EXISTS (SELECT 1 FROM ledger WHERE cti = ?1), d.blocked, f.last_contact_s,
      EXISTS (SELECT 1 FROM withdrawal WHERE scope = 'token' AND name = ?2),
      e.campaign IS NOT NULL
        AND EXISTS (SELECT 1 FROM withdrawal WHERE scope = 'campaign' AND name = e.campaign),
      d.lost_s, EXISTS (SELECT 1 FROM restored_redemption WHERE cti = ?1),
      p.operator, p.units, p.amount_minor, p.until_s,
      {", ".join(f"n.{name.strip()}" for name in SESSION_COLUMNS.split(","))},
      {", ".join(f"e.{name.strip()}" for name in COLUMNS.split(","))}
    FROM device d CROSS JOIN feed f LEFT JOIN pending_request p LEFT JOIN session n
    LEFT JOIN entitlement e ON e.cti = ?1 AND e.generation >= f.generation
"""
_REDEEMABLE: Final = (OrderStatus.READY.value, OrderStatus.SHIPPED.value)
_NOW: Final = """
    SELECT e.status, d.blocked,
      EXISTS (SELECT 1 FROM withdrawal WHERE scope = 'token' AND name = ?2)
    FROM device d CROSS JOIN feed f
    LEFT JOIN entitlement e ON e.cti = ?1 AND e.generation >= f.generation
"""
_ROWS: Final = (
    "SELECT id, use_no, units, amount_minor, at_s, r.state, reverses FROM ledger l"
    " LEFT JOIN review r ON r.ledger_id = l.id WHERE cti = ? ORDER BY id"
)
_RESTORED: Final = (
    "SELECT device, units, amount_minor, at_s FROM restored_redemption WHERE cti = ? ORDER BY at_s"
)
_DOORS: Final = (
    "SELECT compartment, state, ended_s FROM intent WHERE cti = ? AND ledger_id = ? ORDER BY id"
)
_NOT_REVERSED: Final = (
    "l.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.reverses = l.id)"
)
_USES_TODAY: Final = (
    f"SELECT count(*) FROM ledger l WHERE l.risk IS NOT NULL AND l.at_s > ? AND {_NOT_REVERSED}"
)
_NOT_ACKNOWLEDGED: Final = f"""
    SELECT coalesce(sum(l.amount_minor), 0)
    FROM epoch e JOIN ledger l ON l.epoch_no = e.no AND l.seq > e.acknowledged_through
    WHERE l.risk IS NOT NULL AND {_NOT_REVERSED}
"""


class RedemptionRead(NamedTuple):
    """What a redemption reads first, in one step."""

    state: RedemptionState
    place: OutboxPlace  # where its event will stand
    pending: PendingRequest | None
    session: OperatorSession | None  # who is signed in


def read_redemption_state(
    connection: sqlite3.Connection,
    cti: bytes,
    now: Instant,
    authorisation: OnlineAuthorisation | None = None,
) -> RedemptionRead:
    """Return what is known about ``cti`` in the caller's transaction.

    Every scan runs this, so it takes few steps and makes few objects.
    """
    row = connection.execute(_KNOWN, (cti, cti.hex())).fetchone()
    epoch_no, seq, seen_before, blocked, last_contact_s, revoked, withdrawn = row[:7]
    lost_s, has_restored = row[7:9]
    entitlement = entitlement_of(row[21:]) if row[21] is not None else None
    uses: tuple[LocalRedemption, ...] = ()
    next_use_no = 1
    if seen_before:
        rows = connection.execute(_ROWS, (cti,)).fetchall()
        uses, next_use_no = _uses(rows), 1 + max(number or 0 for _, number, *_ in rows)
    state = RedemptionState(
        entitlement=entitlement,
        uses=uses,
        doors=_doors(connection, cti, uses[-1].ledger_id) if uses else (),
        next_use_no=next_use_no,
        revoked=bool(revoked),
        campaign_withdrawn=bool(withdrawn),
        blocked=blocked,
        last_contact_s=last_contact_s,
        exposure=_exposure(connection, now)
        if lost_s is not None or _may_be_risky(entitlement, now)
        else _NO_EXPOSURE,
        authorisation=authorisation,
        lost_s=lost_s,
        restored=_restored(connection, cti) if has_restored else (),
    )
    return RedemptionRead(
        state,
        OutboxPlace(epoch_no, seq),
        PendingRequest(*row[9:13]) if row[9] is not None else None,
        session_from(row[13:21], now) if row[13] is not None else None,
    )


def withdrawal_reason(connection: sqlite3.Connection, cti: bytes) -> str | None:
    """Return why an accepted pickup's door must stay shut now; None when nothing has changed.

    The order may have been cancelled, the code revoked or the device blocked since the decision.
    """
    status, blocked, revoked = connection.execute(_NOW, (cti, cti.hex())).fetchone()
    if blocked is not None:
        return f"this device is blocked: {blocked}"
    if revoked:
        return "the platform revoked this code"
    return None if status in (None, *_REDEEMABLE) else f"the order is {status}"


def _uses(rows: list[tuple[Any, ...]]) -> tuple[LocalRedemption, ...]:
    """Return the redemptions that were not reversed, oldest first."""
    reversed_ids = {row[6] for row in rows}
    return tuple(
        LocalRedemption(
            ledger_id=ledger_id,
            use_no=number,
            units=units,
            amount_minor=amount,
            at_s=at_s,
            review=review,
        )
        for ledger_id, number, units, amount, at_s, review, _ in rows
        if number is not None and ledger_id not in reversed_ids
    )


def _restored(connection: sqlite3.Connection, cti: bytes) -> tuple[RestoredRedemption, ...]:
    return tuple(
        RestoredRedemption(device=device, units=units, amount_minor=amount_minor, at_s=at_s)
        for device, units, amount_minor, at_s in connection.execute(_RESTORED, (cti,))
    )


def _doors(
    connection: sqlite3.Connection, cti: bytes, ledger_id: int
) -> tuple[CompartmentState, ...]:
    """Return the state of each compartment of a redemption, in the order of opening.

    The grace runs from the end of a door's first opening.
    """
    doors: dict[str, CompartmentState] = {}
    for name, state, ended_s in connection.execute(_DOORS, (cti, ledger_id)):
        door = doors.get(name) or CompartmentState(
            compartment=name, live=False, emptied=False, ended_s=None
        )
        if ended_s is None:
            door = replace(door, live=True)
        elif state != "released":
            first_s = ended_s if door.ended_s is None else door.ended_s
            door = replace(
                door,
                emptied=True if state == "collected" else door.emptied or None,
                ended_s=first_s,
            )
        doors[name] = door
    return tuple(doors.values())


def _may_be_risky(entitlement: Entitlement | None, now: Instant) -> bool:
    return (
        entitlement is None
        or entitlement.home_device is None
        or now.trust is not ClockTrust.TRUSTED
    )


def _exposure(connection: sqlite3.Connection, now: Instant) -> OfflineExposure:
    (today,) = connection.execute(_USES_TODAY, (now.unix_s - _DAY_S,)).fetchone()
    (amount_minor,) = connection.execute(_NOT_ACKNOWLEDGED).fetchone()
    return OfflineExposure(uses_today=today, amount_minor=amount_minor)
