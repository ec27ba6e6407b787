"""Events that the platform refused: set aside, raised as a case, and sent again by a person.

A refused event stays in the outbox as it is and blocks nothing, because the platform has it under
its number. Sending it again is a new event that names the refused one.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.domain.redemption_report import REDEMPTION_EVENT, RETRY_OF
from edge.store.authorisations import mark_reported, mark_unreported
from edge.store.exception_cases import raise_case
from edge.store.outbox import OutboxPlace, append, find_epoch
from edge.values.instant import ClockTrust, Instant


class RefusedEvent(NamedTuple):
    """An event that the platform refused, as it was sent."""

    place: OutboxPlace
    id: str
    type: str
    reason: str  # the platform's
    body: dict[str, Any]
    at: Instant


def set_aside(
    connection: sqlite3.Connection,
    *,
    epoch: str,
    seq: int,
    reason: str,
    now: Instant,
    id: str = "",
) -> bool:
    """Set a refused event aside and raise a case, in the caller's transaction.

    False when it is unknown or was set aside before. ``id``, where it is known, is the event's:
    another event under that number is left alone.
    """
    found = find_epoch(connection, epoch)
    if found is None:
        return False
    place = OutboxPlace(found.number, seq)
    changed = connection.execute(
        "UPDATE outbox SET rejected = ?1, rejected_s = ?2"
        " WHERE epoch_no = ?3 AND seq = ?4 AND rejected IS NULL AND (?5 = '' OR id = ?5)",
        (reason, now.unix_s, *place, id),
    )
    if changed.rowcount == 0:
        return False
    mark_unreported(connection, place)
    cti, order_id, ledger_id = _subject(connection, place)
    case = ExceptionCase(
        kind=ExceptionKind.UPLOAD_REFUSED,
        cause=_cause(epoch, seq, reason),
        tried="sent to the platform",
        cti=cti,
        order_id=order_id,
        ledger_id=ledger_id,
        raised_s=now.unix_s,
    )
    raise_case(connection, case)
    return True


def find_refused_event(connection: sqlite3.Connection, cause: str) -> RefusedEvent | None:
    """Return the event that a case with this ``cause`` is about, in the caller's transaction."""
    rows = connection.execute(
        "SELECT o.epoch_no, o.seq, o.id, o.type, o.rejected, o.body, o.at_s, o.trust, e.epoch"
        " FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE o.rejected IS NOT NULL"
    )
    for epoch_no, seq, event_id, kind, reason, body, at_s, trust, epoch in rows:
        if _cause(epoch, seq, reason) == cause:
            return RefusedEvent(
                place=OutboxPlace(epoch_no, seq),
                id=event_id,
                type=kind,
                reason=reason,
                body=json.loads(body),
                at=Instant(unix_s=at_s, trust=ClockTrust(trust)),
            )
    return None


def send_refused_again(connection: sqlite3.Connection, refused: RefusedEvent, *, id: str) -> int:
    """Append ``refused`` as a new event in the caller's transaction; return its seq.

    The new event reports the same of the same moment.
    """
    mark_reported(connection, refused.place)
    body = {**refused.body, RETRY_OF: refused.id}
    if refused.type == "redeemed" and RETRY_OF in refused.body:
        body.setdefault(REDEMPTION_EVENT, refused.body[RETRY_OF])
    return append(connection, type=refused.type, body=body, now=refused.at, id=id)


def _cause(epoch: str, seq: int, reason: str) -> str:
    return f"event {seq} of {epoch}: {reason}"


def _subject(
    connection: sqlite3.Connection, place: OutboxPlace
) -> tuple[bytes | None, str | None, int | None]:
    """Return the code, the order and the ledger row that an event is about, each or None."""
    kind, text = connection.execute(
        "SELECT type, body FROM outbox WHERE epoch_no = ? AND seq = ?", place
    ).fetchone()
    body = json.loads(text)  # its content may be the reason for the refusal
    order_id, use_no = body.get("order"), body.get("use")
    try:
        cti = bytes.fromhex(body["cti"]) if body.get("cti") else None
    except (TypeError, ValueError):
        cti = None
    row = connection.execute(
        "SELECT cti, order_id, id FROM ledger WHERE cti = ? AND epoch_no = ? AND seq = ?",
        (cti, *place),
    ).fetchone()
    if row is not None:
        return row[0], row[1], row[2]
    if kind == "redeemed" and isinstance(use_no, int) and 0 < use_no < 2**53:  # sent again before
        row = connection.execute(
            "SELECT id FROM ledger WHERE cti = ? AND use_no = ?", (cti, use_no)
        ).fetchone()
    return (
        cti,
        order_id if isinstance(order_id, str) else None,
        None if row is None else row[0],
    )
