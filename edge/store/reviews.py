"""A second person's approval of a redemption: pending until a person who did not scan it decides.

A rejection is a reversal with its reason. The ledger row of the redemption never changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge.domain.redemption_report import REDEMPTION_EVENT
from edge.store import outbox
from edge.store.database.store import Store
from edge.store.ledger import write_reversal
from edge.values.instant import Instant
from edge.values.person_name import same_person
from edge.values.uuid7 import event_id

_SELECT: Final = (
    "SELECT r.ledger_id, l.cti, l.order_id, l.use_no, l.kind, l.units, l.amount_minor, l.currency,"
    " l.operator, r.opened_s, r.state, r.decided_s, r.decided_by, r.reason, l.event_id"
    " FROM review r JOIN ledger l ON l.id = r.ledger_id"
)

REFUSED: Final = "review_refused"  # the type of an event
# By the use that the event names: it may have been sent again under another number than the ledger
# has.
_REPORTED_BY: Final = """
    SELECT l.id, l.operator FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    JOIN ledger l ON l.cti = ?3 AND l.use_no = o.body ->> '$.use'
    WHERE e.epoch = ?1 AND o.seq = ?2 AND o.type = 'redeemed'
      AND o.body ->> '$.cti' = lower(hex(?3))
"""


class ReviewState(StrEnum):
    """The state of a review."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    VOID = "void"  # the redemption was reversed before a person decided


class ReviewResult(StrEnum):
    """The outcome of a decision on a review."""

    DONE = "done"
    NOT_FOUND = "not_found"  # no redemption under this number waits for a second person
    ALREADY = "already_decided"
    SAME_PERSON = "same_person"  # the person who scanned it may not approve it


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review with the redemption that it is about. Times are Unix seconds."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDecision:
    """A decision of a person at the platform on the redemption that event ``seq`` reported."""

    epoch: str
    seq: int
    cti: bytes
    approve: bool
    by: str
    reason: str


def reviews(store: Store, *, only_pending: bool = True) -> list[Review]:
    """Return reviews in the order in which they were opened."""
    with store.read() as connection:
        query = f"{_SELECT} WHERE NOT ? OR r.state = 'pending' ORDER BY r.ledger_id"
        return [_review(row) for row in connection.execute(query, (only_pending,))]


def find_review(connection: sqlite3.Connection, ledger_id: int) -> Review | None:
    """Return the review of one ledger row within the caller's transaction, or None."""
    row = connection.execute(f"{_SELECT} WHERE r.ledger_id = ?", (ledger_id,)).fetchone()
    return None if row is None else _review(row)


def is_approved(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Return whether a second person approved this redemption."""
    query = "SELECT EXISTS (SELECT 1 FROM review WHERE ledger_id = ? AND state = 'approved')"
    return bool(connection.execute(query, (ledger_id,)).fetchone()[0])


def decide_review(
    connection: sqlite3.Connection,
    ledger_id: int,
    *,
    approve: bool,
    by: str,
    reason: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> ReviewResult:
    """Approve or reject for the person ``by``, with the events, in the caller's transaction."""
    review = find_review(connection, ledger_id)
    if review is None:
        return ReviewResult.NOT_FOUND
    if review.state is not ReviewState.PENDING:
        return ReviewResult.ALREADY
    if same_person(review.operator, by):
        return ReviewResult.SAME_PERSON
    state = ReviewState.APPROVED if approve else ReviewState.REJECTED
    _write(connection, review, state, by=by, reason=reason, now=now, random_bytes=random_bytes)
    if not approve:
        write_reversal(
            connection,
            ledger_id,
            reason=reason,
            now=now,
            operator=by,
            event_id=event_id(now, random_bytes),
        )
    return ReviewResult.DONE


def apply_platform_decision(
    store: Store,
    decision: PlatformDecision,
    *,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> ReviewResult:
    """Approve or reject what ``decision`` is about, whose signature the caller verified (law 4).

    Raises StoreUnavailableError.
    """
    with store.transaction() as connection:
        row = connection.execute(
            _REPORTED_BY, (decision.epoch, decision.seq, decision.cti)
        ).fetchone()
        if row is None:
            return ReviewResult.NOT_FOUND
        if same_person(row[1], decision.by):
            return ReviewResult.SAME_PERSON
        return decide_review(
            connection,
            row[0],
            approve=decision.approve,
            by=f"platform:{decision.by}",
            reason=decision.reason,
            now=now,
            random_bytes=random_bytes,
        )


def report_refused_decision(
    store: Store, *, decision: str, reason: str, now: Instant, random_bytes: Callable[[int], bytes]
) -> None:
    """Report, once, that the platform's ``decision`` (its name) has no effect here, and why.

    Raises StoreUnavailableError.
    """
    with store.transaction() as connection:
        if outbox.is_decision_refused(connection, decision):
            return
        outbox.append(
            connection,
            type=REFUSED,
            body={"decision": decision, "reason": reason},
            now=now,
            id=event_id(now, random_bytes),
        )


def void_review(
    connection: sqlite3.Connection,
    ledger_id: int,
    *,
    by: str | None,
    reason: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> None:
    """End the pending review of a redemption that was reversed, in the caller's transaction."""
    review = find_review(connection, ledger_id)
    if review is None or review.state is not ReviewState.PENDING:
        return
    state = ReviewState.VOID
    _write(connection, review, state, by=by, reason=reason, now=now, random_bytes=random_bytes)


def _write(
    connection: sqlite3.Connection,
    review: Review,
    state: ReviewState,
    *,
    by: str | None,
    reason: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> None:
    connection.execute(
        "UPDATE review SET state = ?, decided_s = ?, decided_by = ?, reason = ?"
        " WHERE ledger_id = ?",
        (state.value, now.unix_s, by, reason, review.ledger_id),
    )
    body = {
        "cti": review.cti.hex(),
        "order": review.order_id,
        "use": review.use_no,
        "state": state.value,
        "reason": reason,
        "operator": by,
        REDEMPTION_EVENT: review.event_id,
    }
    outbox.append(connection, type="review", body=body, now=now, id=event_id(now, random_bytes))


def _review(row: tuple[Any, ...]) -> Review:
    return Review(
        ledger_id=row[0],
        cti=row[1],
        order_id=row[2],
        use_no=row[3],
        kind=row[4],
        units=row[5],
        amount_minor=row[6],
        currency=row[7],
        operator=row[8],
        opened_s=row[9],
        state=ReviewState(row[10]),
        decided_s=row[11],
        decided_by=row[12],
        reason=row[13],
        event_id=row[14],
    )
