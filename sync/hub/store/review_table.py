"""Redemptions that wait for a second person: the tables ``review`` and ``review_report``.

A row of ``review`` is a redemption that a device accepted pending review, with the platform's
decision. A row of ``review_report`` is what a device reported about a review. The report may come
before its redemption.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sync.hub.store.interface import HubConnection
from sync.hub.store.redemption_table import IS_ABOUT

_ITS_REDEMPTION: Final = "r.cti = w.cti AND r.dev = w.dev AND r.epoch = w.epoch AND r.seq = w.seq"


class OpenReview(NamedTuple):
    """A redemption that waits, with the body (JSON) of the event that reported it."""

    no: int
    cti: bytes
    approve: int | None  # None: not decided at the platform
    decided_by: str | None
    closed: int  # 1: the device has reported the outcome
    refused: str | None  # why the device did not take the last decision
    body: str


class ListedReview(NamedTuple):
    """A row of the list for operations: the review, its event, and what the device reported."""

    no: int
    dev: str
    epoch: str
    seq: int
    approve: int | None
    decided_by: str | None
    reason: str | None
    decided_s: int | None
    refused: str | None
    event_id: str
    event_ts: int
    event_body: str
    reported_state: str | None
    reported_by: str | None
    reported_reason: str | None
    reported_ts: int | None


def insert_review(connection: HubConnection, cti: bytes, dev: str, epoch: str, seq: int) -> None:
    """Insert a redemption that waits."""
    connection.execute(
        "INSERT INTO review (cti, dev, epoch, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (cti, dev, epoch, seq),
    )


def insert_report(
    connection: HubConnection,
    cti: bytes,
    dev: str,
    redemption_id: str,
    *,
    ts: int,
    state: str,
    by: str,
    reason: str,
) -> None:
    """Insert what a device reported about the review of a redemption."""
    connection.execute(
        "INSERT INTO review_report VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (cti, dev, redemption_id, ts, state, by, reason),
    )


def close_reported(connection: HubConnection, cti: bytes, dev: str, redemption_id: str) -> None:
    """Close the review of a device's redemption if the device has reported its outcome."""
    row = connection.execute(
        f"SELECT r.epoch, r.seq FROM redemption r JOIN review_report v ON {IS_ABOUT}"  # noqa: S608 - a constant
        " WHERE r.cti = ? AND r.dev = ? AND r.id = ?",
        (cti, dev, redemption_id),
    ).fetchone()
    if row is not None:
        connection.execute(
            "UPDATE review SET closed = 1 WHERE dev = ? AND epoch = ? AND seq = ?", (dev, *row)
        )


def refuse_decision(connection: HubConnection, no: int, reason: str, *, final: bool) -> None:
    """Record why a device did not accept a decision.

    Close the review if ``final``; otherwise it can be decided again.
    """
    connection.execute(
        "UPDATE review SET refused = ?, closed = ?, approve = CASE ? WHEN 1 THEN approve END"
        " WHERE no = ?",
        (reason, int(final), int(final), no),
    )


def review_of(connection: HubConnection, dev: str, epoch: str, seq: int) -> OpenReview | None:
    """Return the review of the redemption that an event reported."""
    row = connection.execute(
        "SELECT w.no, w.cti, w.approve, w.decided_by, w.closed, w.refused, e.body FROM review w"
        " JOIN event e ON e.dev = w.dev AND e.epoch = w.epoch AND e.seq = w.seq"
        " WHERE w.dev = ? AND w.epoch = ? AND w.seq = ?",
        (dev, epoch, seq),
    ).fetchone()
    return None if row is None else OpenReview(row[0], bytes(row[1]), *row[2:])


def put_decision(
    connection: HubConnection,
    no: int,
    *,
    approve: bool,
    by: str,
    reason: str,
    decided_s: int,
    raw: bytes,
) -> bool:
    """Write a decision as it was signed. Return False when the review has one, or is closed."""
    done = connection.execute(
        "UPDATE review SET approve = ?, decided_by = ?, reason = ?, decided_s = ?, raw = ?,"
        " refused = NULL WHERE no = ? AND approve IS NULL AND closed = 0",
        (int(approve), by, reason, decided_s, raw, no),
    )
    return done.rowcount == 1


def undelivered_decisions(
    connection: HubConnection, dev: str | None
) -> Iterable[tuple[int, str, bytes]]:
    """Return the decisions whose outcome was not reported yet, by number.

    Columns: number, device, signed bytes.
    """
    rows = connection.execute(
        "SELECT no, dev, raw FROM review"
        " WHERE approve IS NOT NULL AND closed = 0 AND ? IN ('', dev) ORDER BY no",
        (dev or "",),
    )
    return ((no, of, bytes(raw)) for no, of, raw in rows)


def list_reviews(
    connection: HubConnection,
    *,
    dev: str | None,
    event_id: str | None,
    decided: bool,
    after: int,
    limit: int,
) -> list[ListedReview]:
    """Return a page of the reviews after number ``after``, with the decided ones if ``decided``."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT w.no, w.dev, w.epoch, w.seq, w.approve, w.decided_by, w.reason, w.decided_s,"  # noqa: S608 - constants
        " w.refused, e.id, e.ts, e.body, v.state, v.decided_by, v.reason, v.ts FROM review w"
        " JOIN event e ON e.dev = w.dev AND e.epoch = w.epoch AND e.seq = w.seq"
        f" JOIN redemption r ON {_ITS_REDEMPTION} LEFT JOIN review_report v ON {IS_ABOUT}"
        # No device and no event has an empty name: an empty value selects all.
        " WHERE w.no > ? AND ? IN ('', w.dev) AND ? IN ('', e.id)"
        " AND (? = 1 OR w.approve IS NULL AND w.closed = 0)"
        " ORDER BY w.no LIMIT ?",
        (after, dev or "", event_id or "", int(decided), limit),
    ).fetchall()
    return [ListedReview(*row) for row in rows]
