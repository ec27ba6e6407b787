"""What a signed-in person does beside scanning: reverse, review, settle, unlock, request an amount.

Each action is one transaction: it reads who is signed in, checks that the role may, and names the
person in what it writes. No action opens a door: a code that is valid again must be scanned again
(law 5).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Final

from edge.config import Policy
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.redemption_state import RequestedUse
from edge.domain.roles import StaffAction, is_permitted
from edge.operators.case_settlement import (
    carry_out,
    close_case,
    open_case,
    report_case,
    send_again,
)
from edge.operators.operator_action import ActionOutcome, ActionResult, OperatorAction
from edge.operators.operator_events import UNLOCKED, record_operator_event
from edge.operators.reversal import reverse_redemption
from edge.store import ledger, reviews, scan_journal
from edge.store.database.store import Store
from edge.store.exception_cases import raise_case
from edge.store.pending_requests import PendingRequest, write_pending_request
from edge.store.pin_attempts import clear_attempts
from edge.store.reviews import ReviewResult
from edge.store.sessions import find_session, touch
from edge.values.instant import Instant

REQUEST_HOLDS_S: Final = 120  # an amount that was typed for the next voucher expires after this


class _Rollback(Exception):  # noqa: N818 - no error: it rolls an action back with its transaction
    def __init__(self, outcome: ActionOutcome) -> None:
        self.outcome = outcome


class OperatorActions:
    """The actions of the person signed in at one device.

    Every method raises StoreUnavailableError.
    """

    def __init__(self, store: Store, *, random_bytes: Callable[[int], bytes]) -> None:
        self.store = store
        self._random_bytes = random_bytes

    def reverse(self, ledger_id: int, reason: str, now: Instant) -> ActionOutcome:
        """Reverse a redemption within its window, as a new row that names the first."""

        def work(action: OperatorAction) -> ActionOutcome:
            row = ledger.find_row(action.connection, ledger_id)
            if row is None or row.use_no is None:
                return ActionOutcome(
                    ActionResult.NOT_FOUND,
                    f"the ledger has no redemption {ledger_id}: see edge-scanner ledger",
                )
            window_s = _policy_of(action.connection, ledger_id).reversal_window_s
            if action.now.unix_s - row.at.unix_s > window_s:
                return ActionOutcome(
                    ActionResult.TOO_LATE,
                    f"it was redeemed more than {window_s} s ago: raise a dispute",
                )
            return reverse_redemption(action, ledger_id, reason)

        return self._act(StaffAction.REVERSE, now, work)

    def review(self, ledger_id: int, *, approve: bool, reason: str, now: Instant) -> ActionOutcome:
        """Approve what another person scanned, or reject it, which reverses it."""

        def work(action: OperatorAction) -> ActionOutcome:
            result = reviews.decide_review(
                action.connection,
                ledger_id,
                approve=approve,
                by=action.who.operator_id,
                reason=reason,
                now=action.now,
                random_bytes=action.random_bytes,
            )
            return _review_outcome(result, ledger_id, approve=approve)

        return self._act(StaffAction.REVIEW, now, work)

    def settle(self, case_id: int, how: Settlement, note: str, now: Instant) -> ActionOutcome:
        """Settle a case, with what that means for its door or its redemption."""

        def work(action: OperatorAction) -> ActionOutcome:
            case = open_case(action.connection, case_id)
            if isinstance(case, ActionOutcome):
                return case
            outcome = carry_out(action, case, how)
            if outcome.result is ActionResult.DONE:
                close_case(action, case_id, how, note)
            return outcome

        return self._act(StaffAction.SETTLE, now, work)

    def send_again(self, case_id: int, now: Instant) -> ActionOutcome:
        """Send an event that the platform refused as a new one that names it; settle the case."""

        def work(action: OperatorAction) -> ActionOutcome:
            case = open_case(action.connection, case_id)
            if isinstance(case, ActionOutcome):
                return case
            outcome = send_again(action, case)
            if outcome.result is not ActionResult.DONE:
                return outcome
            note = outcome.detail
            close_case(action, case_id, Settlement.RETRIED, note)
            return ActionOutcome(
                ActionResult.DONE,
                f"{note}: case {case_id} is settled; if it is refused again, that is a new case",
            )

        return self._act(StaffAction.SETTLE, now, work)

    def find_open_case(self, case_id: int, now: Instant) -> ExceptionCase | ActionOutcome:
        """Return the case if it is open and the signed-in person may settle it."""
        found: list[ExceptionCase] = []

        def work(action: OperatorAction) -> ActionOutcome:
            case = open_case(action.connection, case_id)
            if isinstance(case, ActionOutcome):
                return case
            found.append(case)
            return ActionOutcome(ActionResult.DONE, f"open, {action.who.operator_id} may settle it")

        outcome = self._act(StaffAction.SETTLE, now, work)
        return found[0] if found else outcome

    def raise_dispute(self, ledger_id: int, cause: str, now: Instant) -> ActionOutcome:
        """Open a case about a redemption that a person says is not as recorded."""

        def work(action: OperatorAction) -> ActionOutcome:
            row = ledger.find_row(action.connection, ledger_id)
            if row is None:
                return ActionOutcome(
                    ActionResult.NOT_FOUND,
                    f"the ledger has no row {ledger_id}: see edge-scanner ledger",
                )
            case = ExceptionCase(
                kind=ExceptionKind.DISPUTE,
                cause=cause,
                tried=f"raised by {action.who.operator_id}",
                cti=row.cti,
                order_id=row.order_id,
                ledger_id=ledger_id,
                raised_s=action.now.unix_s,
            )
            case_id = raise_case(action.connection, case)
            report_case(action, case_id, "raised")
            return ActionOutcome(ActionResult.DONE, f"case {case_id} is open")

        return self._act(StaffAction.REDEEM, now, work)

    def request_amount(self, requested: RequestedUse, now: Instant) -> ActionOutcome:
        """Request how much to use the next voucher for: once, for a while, in this session."""

        def work(action: OperatorAction) -> ActionOutcome:
            until_s = action.now.unix_s + REQUEST_HOLDS_S
            write_pending_request(
                action.connection,
                PendingRequest(
                    action.who.operator_id, requested.units, requested.amount_minor, until_s
                ),
            )
            return ActionOutcome(ActionResult.DONE, f"scan the voucher within {REQUEST_HOLDS_S} s")

        return self._act(StaffAction.REDEEM, now, work)

    def unlock(self, operator_id: str, now: Instant) -> ActionOutcome:
        """Let another person, who is locked out after wrong PINs, try again."""

        def work(action: OperatorAction) -> ActionOutcome:
            if action.who.operator_id == operator_id:
                return ActionOutcome(
                    ActionResult.SAME_PERSON,
                    f"{operator_id} may not unlock {operator_id}: another supervisor must sign in",
                )
            if not clear_attempts(action.connection, operator_id):
                return ActionOutcome(
                    ActionResult.NOT_FOUND, f"{operator_id} has no wrong PINs: check the name"
                )
            detail = f"by {action.who.operator_id}"
            record_operator_event(
                action.connection, operator_id, UNLOCKED, detail, now, self._random_bytes
            )
            return ActionOutcome(ActionResult.DONE, f"{operator_id} may try again")

        return self._act(StaffAction.UNLOCK, now, work)

    def _act(
        self, right: StaffAction, now: Instant, work: Callable[[OperatorAction], ActionOutcome]
    ) -> ActionOutcome:
        try:
            with self.store.transaction() as connection:
                who = find_session(connection, now)
                if who is None:
                    return ActionOutcome(
                        ActionResult.OPERATOR_REQUIRED,
                        "no one is signed in: scan a badge, then enter its PIN",
                    )
                if not is_permitted(who.role, right):
                    return ActionOutcome(
                        ActionResult.OPERATOR_FORBIDDEN,
                        f"{who.operator_id} is a {who.role} and may not {right}",
                    )
                touch(connection, who, now)
                outcome = work(OperatorAction(connection, who, now, self._random_bytes))
                if outcome.result is not ActionResult.DONE:
                    raise _Rollback(outcome)
        except _Rollback as rollback:
            return rollback.outcome
        return outcome


def _policy_of(connection: sqlite3.Connection, ledger_id: int) -> Policy:
    """Return the policy that a redemption was accepted under, or the default if it is not known."""
    document = scan_journal.policy_of(connection, ledger_id)
    return Policy() if document is None else Policy.model_validate(json.loads(document)["policy"])


def _review_outcome(result: ReviewResult, ledger_id: int, *, approve: bool) -> ActionOutcome:
    match result:
        case ReviewResult.DONE if approve:
            return ActionOutcome(ActionResult.DONE, f"{ledger_id} is approved: it is final")
        case ReviewResult.DONE:
            return ActionOutcome(ActionResult.DONE, f"{ledger_id} is rejected, and reversed")
        case ReviewResult.NOT_FOUND:
            return ActionOutcome(
                ActionResult.NOT_FOUND,
                f"no redemption {ledger_id} waits for a review: see edge-scanner review list",
            )
        case ReviewResult.ALREADY:
            return ActionOutcome(ActionResult.ALREADY, f"{ledger_id} was decided before")
        case ReviewResult.SAME_PERSON:
            return ActionOutcome(
                ActionResult.SAME_PERSON,
                "the person who scanned it may not decide: another person must sign in",
            )
