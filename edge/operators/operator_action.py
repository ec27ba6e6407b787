"""An action of a signed-in person: what its steps share, and its outcome."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.store.sessions import OperatorSession
from edge.values.instant import Instant
from edge.values.uuid7 import event_id


class ActionResult(StrEnum):
    """The result of an action. One reason code each (law 8)."""

    DONE = "done"
    OPERATOR_REQUIRED = "operator_required"
    OPERATOR_FORBIDDEN = "operator_forbidden"
    NOT_FOUND = "not_found"
    ALREADY = "already_done"
    SAME_PERSON = "same_person"
    TOO_LATE = "reversal_window_over"
    PICKUP_IN_PROGRESS = "pickup_in_progress"
    NOT_THIS_KIND = "not_for_this_kind"
    STILL_REFUSED = "still_refused"


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """The result, and the message for the person: what happened and what to do next."""

    result: ActionResult
    detail: str


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """An action in progress: its transaction, who does it, and when."""

    connection: sqlite3.Connection
    who: OperatorSession
    now: Instant
    random_bytes: Callable[[int], bytes]

    def new_event_id(self) -> str:
        """Return the id of an event that reports it."""
        return event_id(self.now, self.random_bytes)
