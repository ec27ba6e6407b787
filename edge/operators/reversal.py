"""The reversal of a redemption by a signed-in person, within a transaction of the store."""

from __future__ import annotations

from edge.operators.operator_action import ActionOutcome, ActionResult, OperatorAction
from edge.store import ledger, lock_intents, reviews


def reverse_redemption(action: OperatorAction, ledger_id: int, reason: str) -> ActionOutcome:
    """Reverse a redemption as a new row, unless a door of it is in progress."""
    if lock_intents.is_in_progress(action.connection, ledger_id):
        return ActionOutcome(
            ActionResult.PICKUP_IN_PROGRESS,
            "a door of it is open or waiting: shut it first, or settle its case",
        )
    reversal = ledger.write_reversal(
        action.connection,
        ledger_id,
        reason=reason,
        now=action.now,
        operator=action.who.operator_id,
        event_id=action.new_event_id(),
    )
    if reversal is None:
        return ActionOutcome(ActionResult.ALREADY, f"{ledger_id} was reversed before")
    reviews.void_review(
        action.connection,
        ledger_id,
        by=action.who.operator_id,
        reason=reason,
        now=action.now,
        random_bytes=action.random_bytes,
    )
    return ActionOutcome(
        ActionResult.DONE,
        f"ledger row {reversal} reverses {ledger_id}: the code is valid again",
    )
