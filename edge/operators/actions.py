"""What a signed-in person does at the device besides scanning: reverse, review, settle, and say how much.

Every act is one transaction that looks who is signed in, asks whether the role may, and names the person in what it
writes. Nothing here opens a door: a code that is good again must be scanned again (law 5).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.config import Policy
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.redemption_state import RequestedUse
from edge.domain.roles import StaffAction, is_permitted
from edge.store import ledger, lock_intents, outbox, reviews
from edge.store.database.store import Store
from edge.store.exception_cases import find_case, raise_case, settle_case
from edge.store.reviews import ReviewResult
from edge.store.sessions import OperatorSession, session_in, touch
from edge.values.instant import Instant
from edge.values.uuid7 import event_id

ASK_HOLDS_S = 120  # what was typed for the next voucher is forgotten after this long

_NEVER_TAKEN = ("message_too_large", "already_reported")  # which the same event always meets


class ActionResult(StrEnum):
    """What came of an act. One reason code each (law 8)."""

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
    """The outcome, and what to tell the person: what is so and what to do next."""

    done: ActionResult
    detail: str


class _Rollback(Exception):  # noqa: N818 - no error: it takes half an act back with its transaction
    def __init__(self, answer: ActionOutcome) -> None:
        self.answer = answer


class OperatorActions:
    """The acts of whoever is signed in at one device. Every method raises StoreUnavailableError."""

    def __init__(self, store: Store, *, random_bytes: Callable[[int], bytes]) -> None:
        self.store = store
        self._random_bytes = random_bytes

    def reverse(self, ledger_id: int, reason: str, now: Instant) -> ActionOutcome:
        """Take a redemption back within its window: a new row that names the first."""
        return self._act(
            StaffAction.REVERSE,
            now,
            lambda connection, who: self._reverse(connection, who, ledger_id, reason, now),
        )

    def review(self, ledger_id: int, *, approve: bool, reason: str, now: Instant) -> ActionOutcome:
        """Approve what another person scanned, or reject it, which takes it back."""

        def decide(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            outcome = reviews.conclude(
                connection, ledger_id, approve=approve, by=who.operator_id, reason=reason, now=now,
                event_ids=(event_id(now, self._random_bytes), event_id(now, self._random_bytes)),
            )  # fmt: skip
            return _reviewed(outcome, ledger_id, approve=approve)

        return self._act(StaffAction.REVIEW, now, decide)

    def settle(self, case_id: int, how: Settlement, note: str, now: Instant) -> ActionOutcome:
        """Close a case, and do what that means for its door or its redemption."""
        return self._act(
            StaffAction.SETTLE,
            now,
            lambda connection, who: self._settle(connection, who, case_id, how, note, now),
        )

    def send_again(self, case_id: int, now: Instant) -> ActionOutcome:
        """Send what the platform refused again, as a new event that names the refused one, and settle the case."""

        def again(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            case = find_case(connection, case_id)
            if case is None or case.settled_s is not None:
                return _not_open(case, case_id)
            refused = outbox.refused_event(connection, case.cause)
            if refused is None:
                return ActionOutcome(
                    ActionResult.NOT_FOUND,
                    "the refused event is not here any more: settle the case as accepted",
                )
            if refused.reason in _NEVER_TAKEN:
                return ActionOutcome(
                    ActionResult.NOT_THIS_KIND,
                    f"{refused.reason} it stays: settle as accepted, and tell operations",
                )
            seq = outbox.retry(connection, refused, id=event_id(now, self._random_bytes))
            note = f"sent again as event {seq}"
            settle_case(
                connection, case_id, Settlement.RETRIED, by=who.operator_id, note=note, now=now
            )
            self._tell(connection, find_case(connection, case_id), "settled", who.operator_id, now)
            return ActionOutcome(
                ActionResult.DONE,
                f"{note}: case {case_id} is settled; if it is refused again, that is a new case",
            )

        return self._act(StaffAction.SETTLE, now, again)

    def open_case(self, case_id: int, now: Instant) -> ExceptionCase | ActionOutcome:
        """The case, if it is open and who is signed in may settle it."""
        found: list[ExceptionCase] = []

        def look(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            case = find_case(connection, case_id)
            if case is None or case.settled_s is not None:
                return _not_open(case, case_id)
            found.append(case)
            return ActionOutcome(ActionResult.DONE, f"open, {who.operator_id} may settle it")

        answer = self._act(StaffAction.SETTLE, now, look)
        return found[0] if found else answer

    def raise_dispute(self, ledger_id: int, cause: str, now: Instant) -> ActionOutcome:
        """Open a case about a redemption: somebody says that it is not as recorded."""

        def dispute(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            row = connection.execute(
                "SELECT cti, order_id FROM ledger WHERE id = ?", (ledger_id,)
            ).fetchone()
            if row is None:
                return ActionOutcome(
                    ActionResult.NOT_FOUND,
                    f"the ledger has no row {ledger_id}: see edge-scanner ledger",
                )
            case = ExceptionCase(
                kind=ExceptionKind.DISPUTE,
                cause=cause,
                tried=f"raised by {who.operator_id}",
                cti=row[0],
                order_id=row[1],
                ledger_id=ledger_id,
                raised_s=now.unix_s,
            )
            case_id = raise_case(connection, case)
            self._tell(connection, find_case(connection, case_id), "raised", who.operator_id, now)
            return ActionOutcome(ActionResult.DONE, f"case {case_id} is open")

        return self._act(StaffAction.REDEEM, now, dispute)

    def ask(self, asked: RequestedUse, now: Instant) -> ActionOutcome:
        """Say how much the next voucher is to be used for. It holds for one scan, for a while, in this session."""

        def put(connection: sqlite3.Connection, who: OperatorSession) -> ActionOutcome:
            row = (who.operator_id, asked.units, asked.amount_minor, now.unix_s + ASK_HOLDS_S)
            connection.execute("INSERT OR REPLACE INTO asked VALUES (1, ?, ?, ?, ?)", row)
            return ActionOutcome(ActionResult.DONE, f"scan the voucher within {ASK_HOLDS_S} s")

        return self._act(StaffAction.REDEEM, now, put)

    def _act(
        self,
        act: StaffAction,
        now: Instant,
        work: Callable[[sqlite3.Connection, OperatorSession], ActionOutcome],
    ) -> ActionOutcome:
        try:
            with self.store.transaction() as connection:
                who = session_in(connection, now)
                if who is None:
                    return ActionOutcome(
                        ActionResult.OPERATOR_REQUIRED,
                        "nobody is signed in: scan a badge, then enter its PIN",
                    )
                if not is_permitted(who.role, act):
                    return ActionOutcome(
                        ActionResult.OPERATOR_FORBIDDEN,
                        f"{who.operator_id} is a {who.role} and may not {act}",
                    )
                touch(connection, who, now)
                answer = work(connection, who)
                if answer.done is not ActionResult.DONE:
                    raise _Rollback(answer)
        except _Rollback as undo:
            return undo.answer
        return answer

    def _reverse(
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        ledger_id: int,
        reason: str,
        now: Instant,
    ) -> ActionOutcome:
        row = connection.execute(
            "SELECT at_s, use_no FROM ledger WHERE id = ?", (ledger_id,)
        ).fetchone()
        if row is None or row[1] is None:
            return ActionOutcome(
                ActionResult.NOT_FOUND,
                f"the ledger has no redemption {ledger_id}: see edge-scanner ledger",
            )
        window_s = _policy_of(connection, ledger_id).reversal_window_s
        if now.unix_s - row[0] > window_s:
            return ActionOutcome(
                ActionResult.TOO_LATE,
                f"it was redeemed more than {window_s} s ago: raise a dispute",
            )
        return self._take_back(connection, who, ledger_id, reason, now)

    def _take_back(
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        ledger_id: int,
        reason: str,
        now: Instant,
    ) -> ActionOutcome:
        if lock_intents.is_under_way(connection, ledger_id):
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
            return ActionOutcome(ActionResult.ALREADY, f"{ledger_id} was taken back before")
        reviews.void(
            connection,
            ledger_id,
            by=who.operator_id,
            reason=reason,
            now=now,
            event_id=event_id(now, self._random_bytes),
        )
        return ActionOutcome(
            ActionResult.DONE,
            f"ledger row {reversal} takes {ledger_id} back: the code is good again",
        )

    def _settle(  # noqa: PLR0917 - the facts of one act
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        case_id: int,
        how: Settlement,
        note: str,
        now: Instant,
    ) -> ActionOutcome:
        case = find_case(connection, case_id)
        if case is None or case.settled_s is not None:
            return _not_open(case, case_id)
        followed = self._follow(connection, who, case, how, now)
        if followed.done is ActionResult.DONE:
            settle_case(connection, case_id, how, by=who.operator_id, note=note, now=now)
            self._tell(connection, find_case(connection, case_id), "settled", who.operator_id, now)
        return followed

    def _follow(
        self,
        connection: sqlite3.Connection,
        who: OperatorSession,
        case: ExceptionCase,
        how: Settlement,
        now: Instant,
    ) -> ActionOutcome:
        """Do what a settlement means."""
        said = f"{how} says {who.operator_id}, case {case.id}"
        if how in (Settlement.FIXED, Settlement.ACCEPTED, Settlement.RETRIED):
            return ActionOutcome(ActionResult.DONE, f"case {case.id} is settled")
        if case.ledger_id is None:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND,
                "the case is about no redemption: settle it as fixed or accepted",
            )
        if how is Settlement.REVERSED:
            return self._take_back(connection, who, case.ledger_id, said, now)
        if case.compartment is None:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND,
                "the case is about no door: settle it as fixed, accepted or reversed",
            )
        state = "collected" if how is Settlement.COLLECTED else "released"
        at_door = (case.ledger_id, case.compartment)
        lock_intents.found_by_hand(connection, *at_door, state=state, detail=said, now=now)
        nothing_left = lock_intents.nothing_left_the_locker(connection, case.ledger_id)
        if (
            how is Settlement.NOT_COLLECTED
            and nothing_left
            and not _taken_back(connection, case.ledger_id)
        ):
            return self._take_back(connection, who, case.ledger_id, said, now)
        return ActionOutcome(ActionResult.DONE, f"case {case.id} is settled")

    def _tell(
        self,
        connection: sqlite3.Connection,
        case: ExceptionCase | None,
        state: str,
        operator: str,
        now: Instant,
    ) -> None:
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
            connection, type="exception", body=body, now=now, id=event_id(now, self._random_bytes)
        )


def _not_open(case: ExceptionCase | None, case_id: int) -> ActionOutcome:
    if case is None:
        return ActionOutcome(
            ActionResult.NOT_FOUND, f"there is no case {case_id}: see edge-scanner exceptions"
        )
    return ActionOutcome(ActionResult.ALREADY, f"settled by {case.settled_by} as {case.settlement}")


def _taken_back(connection: sqlite3.Connection, ledger_id: int) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM ledger WHERE reverses = ?)", (ledger_id,)
    ).fetchone()
    return bool(row[0])


def _policy_of(connection: sqlite3.Connection, ledger_id: int) -> Policy:
    """The policy under which a redemption was honoured; the default where its scan is no longer in the journal."""
    row = connection.execute(
        "SELECT p.document FROM journal j JOIN policy p ON p.no = j.policy_no WHERE j.ledger_id = ? LIMIT 1",
        (ledger_id,),
    ).fetchone()
    return Policy() if row is None else Policy.model_validate(json.loads(row[0])["policy"])


def _reviewed(outcome: ReviewResult, ledger_id: int, *, approve: bool) -> ActionOutcome:
    match outcome:
        case ReviewResult.DONE if approve:
            return ActionOutcome(ActionResult.DONE, f"{ledger_id} is approved: it is final")
        case ReviewResult.DONE:
            return ActionOutcome(ActionResult.DONE, f"{ledger_id} is rejected, and taken back")
        case ReviewResult.NOT_FOUND:
            return ActionOutcome(
                ActionResult.NOT_FOUND,
                f"nothing honoured as {ledger_id} waits: see edge-scanner review list",
            )
        case ReviewResult.ALREADY:
            return ActionOutcome(ActionResult.ALREADY, f"{ledger_id} was decided before")
        case ReviewResult.SAME_PERSON:
            return ActionOutcome(
                ActionResult.SAME_PERSON,
                "who scanned it does not decide: another person must sign in",
            )
