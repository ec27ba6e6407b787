"""Signal of each reason. A reason without a signal fails type checking."""

from __future__ import annotations

from typing import assert_never

from edge.domain.verdict import Verdict
from edge.operators.sign_in_result import SignInResult
from edge.ports import Signal
from edge.token.rejection import Rejection

Reason = Verdict | Rejection | SignInResult


def signal_for(reason: Reason) -> Signal:
    """Return the signal for ``reason``: go, stop, wait, or fault."""
    if isinstance(reason, Rejection):
        return _signal_for_rejection(reason)
    if isinstance(reason, SignInResult):
        return _signal_for_sign_in(reason)
    return _signal_for_verdict(reason)


def _signal_for_verdict(verdict: Verdict) -> Signal:
    match verdict:
        case Verdict.ACCEPTED | Verdict.ACCEPTED_PENDING_REVIEW:
            return Signal.GO
        case (
            Verdict.WRONG_SITE
            | Verdict.NOT_PAID
            | Verdict.NOT_READY
            | Verdict.TOO_EARLY
            | Verdict.RULE_FAILED
            | Verdict.OVER_FLOOR_LIMIT
            | Verdict.NEEDS_ONLINE
            | Verdict.OPERATOR_REQUIRED
        ):
            return Signal.WAIT
        case (
            Verdict.WRONG_KIND
            | Verdict.DATA_ERROR
            | Verdict.REVOKED
            | Verdict.CAMPAIGN_WITHDRAWN
            | Verdict.ORDER_CANCELLED
            | Verdict.ORDER_REFUNDED
            | Verdict.EXPIRED
            | Verdict.ALREADY_REDEEMED
            | Verdict.QUANTITY_EXCEEDED
            | Verdict.OPERATOR_FORBIDDEN
        ):
            return Signal.STOP
        case Verdict.BLOCKED_DEVICE | Verdict.STORE_UNAVAILABLE:
            return Signal.FAULT
        case _:
            assert_never(verdict)


def _signal_for_rejection(rejection: Rejection) -> Signal:
    match rejection:
        case (
            Rejection.AUDIENCE
            | Rejection.NOT_YET_VALID
            | Rejection.DYNAMIC_STALE
            | Rejection.DYNAMIC_MISSING
        ):
            return Signal.WAIT
        case Rejection.TIME_UNTRUSTED | Rejection.TRUST_LIST_STALE | Rejection.STATUS_STALE:
            return Signal.FAULT
        case _:
            return Signal.STOP


def _signal_for_sign_in(outcome: SignInResult) -> Signal:
    match outcome:
        case (
            SignInResult.PIN_NEEDED
            | SignInResult.SIGNED_IN
            | SignInResult.SIGNED_OUT
            | SignInResult.BADGE_NOT_SHOWN
        ):
            return Signal.WAIT
        case (
            SignInResult.OPERATOR_UNKNOWN
            | SignInResult.OPERATOR_LOCKED_OUT
            | SignInResult.PIN_WRONG
        ):
            return Signal.STOP
        case SignInResult.OPERATOR_LIST_MISSING | SignInResult.OPERATOR_LIST_STALE:
            return Signal.FAULT
        case _:
            assert_never(outcome)
