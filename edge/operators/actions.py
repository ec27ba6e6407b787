"""What a signed-in person does beside scanning: reverse, review, settle, unlock, request an amount.

Each action is one transaction: it reads who is signed in, checks that the role may, and names the
person in what it writes. No action opens a door: a code that is valid again must be scanned again
(law 5).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge.config import Policy
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.redemption_state import RequestedUse
from edge.domain.roles import StaffAction, is_permitted
from edge.domain.upload_refusal import UploadRefusal
from edge.operators.operator_events import UNLOCKED, record_operator_event
from edge.store import ledger, lock_intents, outbox, reviews, scan_journal
from edge.store.database.store import Store
from edge.store.exception_cases import find_case, raise_case, settle_case
from edge.store.pending_requests import PendingRequest, write_pending_request
from edge.store.pin_attempts import clear_attempts
from edge.store.refused_events import find_refused_event, send_refused_again
from edge.store.reviews import ReviewResult
from edge.store.sessions import OperatorSession, find_session, touch
from edge.values.instant import Instant
from edge.values.uuid7 import event_id

REQUEST_HOLDS_S: Final = 120  # an amount that was typed for the next voucher expires after this

_ALWAYS_REFUSED: Final = (
    "message_too_large",
    UploadRefusal.ALREADY_REPORTED.value,
)  # whenever the same event is sent


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

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            row = ledger.find_row(connection, ledger_id)
            if row is None or row.use_no is None:
                return ActionOutcome(
                    ActionResult.NOT_FOUND,
                    f"the ledger has no redemption {ledger_id}: see edge-scanner ledger",
                )
            window_s = _policy_of(connection, ledger_id).reversal_window_s
            if now.unix_s - row.at.unix_s > window_s:
                return ActionOutcome(
                    ActionResult.TOO_LATE,
                    f"it was redeemed more than {window_s} s ago: raise a dispute",
                )
            return self._reverse(connection, who, ledger_id, reason, now)

        return self._act(StaffAction.REVERSE, now, work)

    def review(self, ledger_id: int, *, approve: bool, reason: str, now: Instant) -> ActionOutcome:
        """Approve what another person scanned, or reject it, which reverses it."""

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            result = reviews.decide_review(
                connection,
                ledger_id,
                approve=approve,
                by=who.operator_id,
                reason=reason,
                now=now,
                random_bytes=self._random_bytes,
            )
            return _review_outcome(result, ledger_id, approve=approve)

        return self._act(StaffAction.REVIEW, now, work)

    def settle(self, case_id: int, how: Settlement, note: str, now: Instant) -> ActionOutcome:
        """Settle a case, with what that means for its door or its redemption."""

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            case = find_case(connection, case_id)
            if case is None or case.settled_s is not None:
                return _not_open(case, case_id)
            outcome = self._carry_out(connection, who, case, how, now)
            if outcome.result is ActionResult.DONE:
                self._close(connection, who, case_id, how, note, now)
            return outcome

        return self._act(StaffAction.SETTLE, now, work)

    def send_again(self, case_id: int, now: Instant) -> ActionOutcome:
        """Send an event that the platform refused as a new one that names it; settle the case."""

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            case = find_case(connection, case_id)
            if case is None or case.settled_s is not None:
                return _not_open(case, case_id)
            refused = find_refused_event(connection, case.cause)
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
            new_id = event_id(now, self._random_bytes)
            seq = send_refused_again(connection, refused, id=new_id)
            note = f"sent again as event {seq}"
            self._close(connection, who, case_id, Settlement.RETRIED, note, now)
            return ActionOutcome(
                ActionResult.DONE,
                f"{note}: case {case_id} is settled; if it is refused again, that is a new case",
            )

        return self._act(StaffAction.SETTLE, now, work)

    def find_open_case(self, case_id: int, now: Instant) -> ExceptionCase | ActionOutcome:
        """Return the case if it is open and the signed-in person may settle it."""
        found: list[ExceptionCase] = []

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            case = find_case(connection, case_id)
            if case is None or case.settled_s is not None:
                return _not_open(case, case_id)
            found.append(case)
            return ActionOutcome(ActionResult.DONE, f"open, {who.operator_id} may settle it")

        outcome = self._act(StaffAction.SETTLE, now, work)
        return found[0] if found else outcome

    def raise_dispute(self, ledger_id: int, cause: str, now: Instant) -> ActionOutcome:
        """Open a case about a redemption that a person says is not as recorded."""

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            row = ledger.find_row(connection, ledger_id)
            if row is None:
                return ActionOutcome(
                    ActionResult.NOT_FOUND,
                    f"the ledger has no row {ledger_id}: see edge-scanner ledger",
                )
            case = ExceptionCase(
                kind=ExceptionKind.DISPUTE,
                cause=cause,
                tried=f"raised by {who.operator_id}",
                cti=row.cti,
                order_id=row.order_id,
                ledger_id=ledger_id,
                raised_s=now.unix_s,
            )
            case_id = raise_case(connection, case)
            self._report_case(connection, case_id, "raised", who.operator_id, now)
            return ActionOutcome(ActionResult.DONE, f"case {case_id} is open")

        return self._act(StaffAction.REDEEM, now, work)

    def request_amount(self, requested: RequestedUse, now: Instant) -> ActionOutcome:
        """Request how much to use the next voucher for: once, for a while, in this session."""

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            until_s = now.unix_s + REQUEST_HOLDS_S
            write_pending_request(
                connection,
                PendingRequest(who.operator_id, requested.units, requested.amount_minor, until_s),
            )
            return ActionOutcome(ActionResult.DONE, f"scan the voucher within {REQUEST_HOLDS_S} s")

        return self._act(StaffAction.REDEEM, now, work)

    def unlock(self, operator_id: str, now: Instant) -> ActionOutcome:
        """Let another person, who is locked out after wrong PINs, try again."""

        def work(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            if who.operator_id == operator_id:
                return ActionOutcome(
                    ActionResult.SAME_PERSON,
                    f"{operator_id} may not unlock {operator_id}: another supervisor must sign in",
                )
            if not clear_attempts(connection, operator_id):
                return ActionOutcome(
                    ActionResult.NOT_FOUND, f"{operator_id} has no wrong PINs: check the name"
                )
            detail = f"by {who.operator_id}"
            record_operator_event(
                connection, operator_id, UNLOCKED, detail, now, self._random_bytes
            )
            return ActionOutcome(ActionResult.DONE, f"{operator_id} may try again")

        return self._act(StaffAction.UNLOCK, now, work)

    def _act(
        self,
        action: StaffAction,
        now: Instant,
        work: Callable[[sqlite3.Connection, OperatorSession], ActionOutcome],
    ) -> ActionOutcome:
        try:
            with self.store.transaction() as connection:
                who = find_session(connection, now)
                if who is None:
                    return ActionOutcome(
                        ActionResult.OPERATOR_REQUIRED,
                        "no one is signed in: scan a badge, then enter its PIN",
                    )
                if not is_permitted(who.role, action):
                    return ActionOutcome(
                        ActionResult.OPERATOR_FORBIDDEN,
                        f"{who.operator_id} is a {who.role} and may not {action}",
                    )
                touch(connection, who, now)
                outcome = work(connection, who)
                if outcome.result is not ActionResult.DONE:
                    raise _Rollback(outcome)
        except _Rollback as rollback:
            return rollback.outcome
        return outcome

    def _reverse(
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        ledger_id: int,
        reason: str,
        now: Instant,
    ) -> ActionOutcome:
        if lock_intents.is_in_progress(connection, ledger_id):
            return ActionOutcome(
                ActionResult.PICKUP_IN_PROGRESS,
                "a door of it is open or waiting: shut it first, or settle its case",
            )
        reversal = ledger.write_reversal(
            connection,
            ledger_id,
            reason=reason,
            now=now,
            operator=who.operator_id,
            event_id=event_id(now, self._random_bytes),
        )
        if reversal is None:
            return ActionOutcome(ActionResult.ALREADY, f"{ledger_id} was reversed before")
        reviews.void_review(
            connection,
            ledger_id,
            by=who.operator_id,
            reason=reason,
            now=now,
            random_bytes=self._random_bytes,
        )
        return ActionOutcome(
            ActionResult.DONE,
            f"ledger row {reversal} reverses {ledger_id}: the code is valid again",
        )

    def _carry_out(
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        case: ExceptionCase,
        how: Settlement,
        now: Instant,
    ) -> ActionOutcome:
        """Do what a settlement means for the door and the redemption of its case."""
        reason = f"{how} says {who.operator_id}, case {case.id}"
        settled = ActionOutcome(ActionResult.DONE, f"case {case.id} is settled")
        if how in (Settlement.FIXED, Settlement.ACCEPTED, Settlement.RETRIED):
            return settled
        if case.ledger_id is None:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND,
                "the case is about no redemption: settle it as fixed or accepted",
            )
        if how is Settlement.REVERSED:
            return self._reverse(connection, who, case.ledger_id, reason, now)
        if case.compartment is None:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND,
                "the case is about no door: settle it as fixed, accepted or reversed",
            )
        lock_intents.end_door(
            connection,
            case.ledger_id,
            case.compartment,
            state="collected" if how is Settlement.COLLECTED else "released",
            detail=reason,
            now=now,
        )
        if (
            how is Settlement.NOT_COLLECTED
            and lock_intents.all_released(connection, case.ledger_id)
            and not ledger.is_reversed(connection, case.ledger_id)
        ):
            return self._reverse(connection, who, case.ledger_id, reason, now)
        return settled

    def _close(  # noqa: PLR0917 - the facts of one settlement
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        case_id: int,
        how: Settlement,
        note: str,
        now: Instant,
    ) -> None:
        settle_case(connection, case_id, how, by=who.operator_id, note=note, now=now)
        self._report_case(connection, case_id, "settled", who.operator_id, now)

    def _report_case(
        self,
        connection: sqlite3.Connection,
        case_id: int,
        state: str,
        operator: str,
        now: Instant,
    ) -> None:
        case = find_case(connection, case_id)
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
            "operator": operator,
        }
        outbox.append(
            connection,
            type="exception",
            body=body,
            now=now,
            id=event_id(now, self._random_bytes),
        )


def _not_open(case: ExceptionCase | None, case_id: int) -> ActionOutcome:
    if case is None:
        return ActionOutcome(
            ActionResult.NOT_FOUND, f"there is no case {case_id}: see edge-scanner exceptions"
        )
    return ActionOutcome(ActionResult.ALREADY, f"settled by {case.settled_by} as {case.settlement}")


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
