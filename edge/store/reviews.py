"""A second person's approval of what was honoured: pending until somebody who did not scan it decides.

A rejection is a reversal with its reason. The ledger's row itself is never touched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.store import outbox
from edge.store.database.store import Store
from edge.store.ledger import write_reversal
from edge.values.instant import Instant
from edge.values.person_name import same_person
from edge.values.uuid7 import event_id

_SELECT = (
    "SELECT r.ledger_id, l.cti, l.order_id, l.use_no, l.kind, l.units, l.amount_minor, l.currency, l.operator,"
    " r.opened_s, r.state, r.decided_s, r.decided_by, r.reason, l.event_id FROM review r JOIN ledger l ON l.id = r.ledger_id"
)

REFUSED = "review_refused"  # the event's type
# By the use that the event names: the event may have been sent again under another number than the ledger's.
_TOLD_BY = """
    SELECT l.id, l.operator FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    JOIN ledger l ON l.cti = ?3 AND l.use_no = o.body ->> '$.use'
    WHERE e.epoch = ?1 AND o.seq = ?2 AND o.type = 'redeemed' AND o.body ->> '$.cti' = lower(hex(?3))
"""


class ReviewState(StrEnum):
    """Where a review stands. ``void``: the redemption was taken back before anybody decided."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    VOID = "void"


class ReviewResult(StrEnum):
    """What came of a decision."""

    DONE = "done"
    NOT_FOUND = "not_found"  # nothing honoured under this number waits for a second person
    ALREADY = "already_decided"
    SAME_PERSON = "same_person"  # who scanned it does not approve it


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review with what it is about."""

    ledger_id: int
    cti: bytes
    order_id: str
    use_no: int
    kind: str
    units: int
    amount_minor: int | None
    currency: str | None
    operator: str | None  # who scanned it
    opened_s: int
    state: ReviewState
    decided_s: int | None
    decided_by: str | None
    reason: str | None
    event_id: str  # by which the platform knows the redemption


def reviews(store: Store, *, only_pending: bool = True) -> list[Review]:
    """Reviews in the order they were opened."""
    with store.read() as connection:
        query = f"{_SELECT} WHERE NOT ? OR r.state = 'pending' ORDER BY r.ledger_id"
        return [_review(row) for row in connection.execute(query, (only_pending,))]


def find_review(connection: sqlite3.Connection, ledger_id: int) -> Review | None:
    """The review of one ledger row, in the caller's transaction."""
    row = connection.execute(f"{_SELECT} WHERE r.ledger_id = ?", (ledger_id,)).fetchone()
    return None if row is None else _review(row)


def is_approved(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Whether a second person approved this redemption, in the caller's transaction."""
    query = "SELECT EXISTS (SELECT 1 FROM review WHERE ledger_id = ? AND state = 'approved')"
    return bool(connection.execute(query, (ledger_id,)).fetchone()[0])


def conclude(
    connection: sqlite3.Connection,
    ledger_id: int,
    *,
    approve: bool,
    by: str,
    reason: str,
    now: Instant,
    event_ids: tuple[str, str],
) -> ReviewResult:
    """Approve or reject, with the events, in the caller's transaction. ``by`` is who decides."""
    review = find_review(connection, ledger_id)
    if review is None:
        return ReviewResult.NOT_FOUND
    if review.state is not ReviewState.PENDING:
        return ReviewResult.ALREADY
    if same_person(review.operator, by):
        return ReviewResult.SAME_PERSON
    state = ReviewState.APPROVED if approve else ReviewState.REJECTED
    _write(connection, review, state, by=by, reason=reason, now=now, event_id=event_ids[0])
    if not approve:
        write_reversal(
            connection, ledger_id, reason=reason, now=now, operator=by, event_id=event_ids[1]
        )
    return ReviewResult.DONE


def conclude_for_platform(
    store: Store,
    *,
    epoch: str,
    seq: int,
    cti: bytes,
    approve: bool,
    by: str,
    reason: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> ReviewResult:
    """A person at the platform decided on the redemption that event ``seq`` of ``epoch`` told.

    The caller has verified the platform's signature (law 4). Raises StoreUnavailableError.
    """
    with store.transaction() as connection:
        row = connection.execute(_TOLD_BY, (epoch, seq, cti)).fetchone()
        if row is None:
            return ReviewResult.NOT_FOUND
        if same_person(row[1], by):
            return ReviewResult.SAME_PERSON
        ids = (event_id(now, random_bytes), event_id(now, random_bytes))
        return conclude(
            connection,
            row[0],
            approve=approve,
            by=f"platform:{by}",
            reason=reason,
            now=now,
            event_ids=ids,
        )


def report_refused(
    store: Store, *, decision: str, reason: str, now: Instant, random_bytes: Callable[[int], bytes]
) -> None:
    """Tell the platform, once, that its ``decision`` has no effect here and why. Raises StoreUnavailableError."""
    with store.transaction() as connection:
        told = connection.execute(
            "SELECT 1 FROM outbox WHERE type = ? AND body ->> '$.decision' = ?", (REFUSED, decision)
        )
        if told.fetchone() is None:
            outbox.append(
                connection,
                type=REFUSED,
                body={"decision": decision, "reason": reason},
                now=now,
                id=event_id(now, random_bytes),
            )


def void(
    connection: sqlite3.Connection,
    ledger_id: int,
    *,
    by: str | None,
    reason: str,
    now: Instant,
    event_id: str,
) -> None:
    """The redemption was taken back: nobody need decide any more. In the caller's transaction."""
    review = find_review(connection, ledger_id)
    if review is not None and review.state is ReviewState.PENDING:
        _write(
            connection, review, ReviewState.VOID, by=by, reason=reason, now=now, event_id=event_id
        )


def _write(
    connection: sqlite3.Connection, review: Review, state: ReviewState, *, by: str | None, reason: str, now: Instant,
    event_id: str,
) -> None:  # fmt: skip
    connection.execute(
        "UPDATE review SET state = ?, decided_s = ?, decided_by = ?, reason = ? WHERE ledger_id = ?",
        (state.value, now.unix_s, by, reason, review.ledger_id),
    )
    body = {
        "cti": review.cti.hex(),
        "order": review.order_id,
        "use": review.use_no,
        "state": state.value,
        "reason": reason,
        "operator": by,
        outbox.REDEMPTION_EVENT: review.event_id,
    }
    outbox.append(connection, type="review", body=body, now=now, id=event_id)


def _review(row: tuple) -> Review:  # type: ignore[type-arg]
    (ledger_id, cti, order_id, use_no, kind, units, amount_minor, currency, operator, opened_s, state, decided_s,
     decided_by, reason, event_id) = row  # fmt: skip
    return Review(
        ledger_id=ledger_id, cti=cti, order_id=order_id, use_no=use_no, kind=kind, units=units,
        amount_minor=amount_minor, currency=currency, operator=operator, opened_s=opened_s, state=ReviewState(state),
        decided_s=decided_s, decided_by=decided_by, reason=reason, event_id=event_id,
    )  # fmt: skip
