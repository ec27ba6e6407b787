"""What was answered or typed for one scan, as facts of its verdict."""

from __future__ import annotations

import sqlite3

from edge.domain.authorisation import ClaimResult
from edge.domain.standing import Asked, Claimed
from edge.store.authorisations import Answer, Grant, granted_in
from edge.store.standing import PendingAsk
from edge.values.instant import Instant


def claimed_in(
    connection: sqlite3.Connection, cti: bytes, answer: Answer, now_ns: int
) -> tuple[Claimed | None, Grant | None]:
    """The answer to a claim, and what is to be spent of it. Leave that came late, or was used before, is none."""
    said = Claimed(
        result=answer.result,
        id=answer.id,
        used=answer.used,
        used_minor=answer.used_minor,
        authority=answer.authority,
    )
    if answer.result is not ClaimResult.GRANTED:
        return said, None
    grant = granted_in(connection, cti, now_ns)
    return (said, grant) if grant is not None and grant.id == answer.id else (None, None)


def typed_for(pending: PendingAsk, operator: str | None, now: Instant) -> Asked | None:
    """What was typed for this scan, if whoever typed it is still signed in and it is not too old."""
    if pending.operator != operator or now.unix_s >= pending.until_s:
        return None
    return Asked(units=pending.units, amount_minor=pending.amount_minor)
