"""The settlement of a case by a signed-in person, within a transaction of the store.

Each step of a case is an event that names the person.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from edge.domain.exception_case import ExceptionCase, Settlement
from edge.domain.upload_refusal import UploadRefusal
from edge.operators.operator_action import ActionOutcome, ActionResult, OperatorAction
from edge.operators.reversal import reverse_redemption
from edge.store import ledger, lock_intents, outbox
from edge.store.exception_cases import find_case, settle_case
from edge.store.refused_events import find_refused_event, send_refused_again

_ALWAYS_REFUSED: Final = (
    "message_too_large",
    UploadRefusal.ALREADY_REPORTED.value,
)  # whenever the same event is sent


def open_case(connection: sqlite3.Connection, case_id: int) -> ExceptionCase | ActionOutcome:
    """Return an open case, or why there is none."""
    case = find_case(connection, case_id)
    if case is None:
        return ActionOutcome(
            ActionResult.NOT_FOUND, f"there is no case {case_id}: see edge-scanner exceptions"
        )
    if case.settled_s is not None:
        return ActionOutcome(
            ActionResult.ALREADY, f"settled by {case.settled_by} as {case.settlement}"
        )
    return case


def carry_out(action: OperatorAction, case: ExceptionCase, how: Settlement) -> ActionOutcome:
    """Do what a settlement means for the door and the redemption of its case."""
    reason = f"{how} says {action.who.operator_id}, case {case.id}"
    settled = ActionOutcome(ActionResult.DONE, f"case {case.id} is settled")
    if how in (Settlement.FIXED, Settlement.ACCEPTED, Settlement.RETRIED):
        return settled
    if case.ledger_id is None:
        return ActionOutcome(
            ActionResult.NOT_THIS_KIND,
            "the case is about no redemption: settle it as fixed or accepted",
        )
    if how is Settlement.REVERSED:
        return reverse_redemption(action, case.ledger_id, reason)
    if case.compartment is None:
        return ActionOutcome(
            ActionResult.NOT_THIS_KIND,
            "the case is about no door: settle it as fixed, accepted or reversed",
        )
    lock_intents.end_door(
        action.connection,
        case.ledger_id,
        case.compartment,
        state="collected" if how is Settlement.COLLECTED else "released",
        detail=reason,
        now=action.now,
    )
    if (
        how is Settlement.NOT_COLLECTED
        and lock_intents.all_released(action.connection, case.ledger_id)
        and not ledger.is_reversed(action.connection, case.ledger_id)
    ):
        return reverse_redemption(action, case.ledger_id, reason)
    return settled


def send_again(action: OperatorAction, case: ExceptionCase) -> ActionOutcome:
    """Send the refused event of a case as a new one that names it."""
    refused = find_refused_event(action.connection, case.cause)
    if refused is None:
        return ActionOutcome(
            ActionResult.NOT_FOUND,
            "this device no longer has the refused event: settle the case as accepted",
        )
    if refused.reason in _ALWAYS_REFUSED:
        return ActionOutcome(
            ActionResult.NOT_THIS_KIND,
            f"the platform would refuse it again ({refused.reason}): settle the case as"
            " accepted, and inform operations",
        )
    seq = send_refused_again(action.connection, refused, id=action.new_event_id())
    return ActionOutcome(ActionResult.DONE, f"sent again as event {seq}")


def close_case(action: OperatorAction, case_id: int, how: Settlement, note: str) -> None:
    """Write that a case is settled, by whom and how, and report it."""
    settle_case(
        action.connection, case_id, how, by=action.who.operator_id, note=note, now=action.now
    )
    report_case(action, case_id, "settled")


def report_case(action: OperatorAction, case_id: int, state: str) -> None:
    """Append the event of what was done to a case."""
    case = find_case(action.connection, case_id)
    assert case is not None
    body = {
        "case": case.id,
        "kind": case.kind.value,
        "cti": None if case.cti is None else case.cti.hex(),
        "order": case.order_id,
        "state": state,
        "cause": case.cause,
        "settlement": case.settlement,
        "note": case.note,
        "operator": action.who.operator_id,
    }
    outbox.append(
        action.connection,
        type="exception",
        body=body,
        now=action.now,
        id=action.new_event_id(),
    )
