"""What is recorded about an operator: a line in the device's log, and an event for the platform."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from edge.store.operator_log import log_operator
from edge.store.outbox import append
from edge.values.instant import Instant
from edge.values.uuid7 import event_id

UNLOCKED: Final = "unlocked"


def record_operator_event(  # noqa: PLR0917 - the columns of one line
    connection: sqlite3.Connection,
    operator_id: str,
    result: str,
    detail: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> None:
    """Record the ``result`` of what an operator did, in the caller's transaction."""
    log_operator(connection, operator_id, result, detail, now)
    body = {"operator": operator_id, "result": result, "detail": detail}
    append(connection, type="operator", body=body, now=now, id=event_id(now, random_bytes))
