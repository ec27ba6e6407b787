"""Retry what a case is about: a write-off, by the time, lists and orders of now; a refused upload.

For a case that cannot be retried the outcome says what to do instead.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from edge.config import Profile
from edge.domain.decision_facts import DecisionTerms, load_facts
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.redemption_state import place_of
from edge.operators.actions import OperatorActions
from edge.operators.operator_action import ActionOutcome, ActionResult
from edge.redemption.redeemer import Redeemer, Redemption
from edge.redemption.verification_policy import verify_policy_of
from edge.store import ledger, scan_journal
from edge.token.claims import Claims, Kind
from edge.token.verification import check_again
from edge.trust.anchors import Anchors, RootsFileRefusal, load_roots
from edge.values.instant import Instant


class RetryService:
    """Retries cases for the signed-in person. Every method raises StoreUnavailableError."""

    def __init__(self, actions: OperatorActions, read_profile: Callable[[], Profile]) -> None:
        """``read_profile`` returns the device's own profile, which only a write-off needs."""
        self._actions = actions
        self._read_profile = read_profile

    def retry(self, case_id: int, now: Instant) -> ActionOutcome:
        """Retry what a case is about, and settle it when that succeeds."""
        case = self._actions.find_open_case(case_id, now)
        if isinstance(case, ActionOutcome):
            return case
        if case.kind is ExceptionKind.UPLOAD_REFUSED:
            return self._actions.send_again(case_id, now)
        instead = self._instead(case)
        if instead is not None:
            return ActionOutcome(ActionResult.NOT_THIS_KIND, instead)
        return self.retry_write_off(case_id, now)

    def _instead(self, case: ExceptionCase) -> str | None:
        """Return what to do about a case with nothing to retry; None where there may be a code."""
        match case.kind:
            case (
                ExceptionKind.DOOR_NOT_OPENED
                | ExceptionKind.DOOR_LEFT_OPEN
                | ExceptionKind.SENSOR_FAULT
            ):
                return (
                    "look into the compartment, and settle as collected or not_collected;"
                    " then scan the code"
                )
            case ExceptionKind.PLATFORM_CONFLICT:
                return (
                    "it was redeemed here and elsewhere:"
                    " settle as reversed, or as accepted with its loss"
                )
            case _ if case.ledger_id is not None and not self._is_reversed(case.ledger_id):
                return (
                    f"it is redeemed as ledger row {case.ledger_id}:"
                    " settle as accepted, or as reversed"
                )
            case _ if case.cti is None:
                return (
                    "the case names no code:"
                    " settle as fixed once its cause is repaired, or as accepted"
                )
            case _:
                return None

    def _is_reversed(self, ledger_id: int) -> bool:
        with self._actions.store.read() as connection:
            return ledger.is_reversed(connection, ledger_id)

    def retry_write_off(self, case_id: int, now: Instant) -> ActionOutcome:
        """Redeem the write-off that a case is about, and settle the case when it is accepted.

        After a power cut between the two, the write-off is redeemed and the case is still open.
        """
        case = self._actions.find_open_case(case_id, now)
        if isinstance(case, ActionOutcome):
            return case
        claims = self._claims(case)
        if isinstance(claims, ActionOutcome):
            return claims
        profile = self._read_profile()
        invalid = self._recheck(claims, profile, now)
        if invalid is not None:
            return invalid
        redemption = self._redeemer(profile).redeem(claims, now)
        if not redemption.is_accepted:
            reason = ": ".join(filter(None, (redemption.reason.value, redemption.detail)))
            return ActionOutcome(ActionResult.STILL_REFUSED, reason)
        return self._settle(case_id, redemption, now)

    def _settle(self, case_id: int, redemption: Redemption, now: Instant) -> ActionOutcome:
        redeemed = f"redeemed as {redemption.ledger_id}"
        settled = self._actions.settle(case_id, Settlement.RETRIED, redeemed, now)
        if settled.result is not ActionResult.DONE:
            return ActionOutcome(
                settled.result, f"{redeemed}, and the case is still open: {settled.detail}"
            )
        return ActionOutcome(ActionResult.DONE, f"{redeemed}: case {case_id} is settled")

    def _claims(self, case: ExceptionCase) -> Claims | ActionOutcome:
        if case.cti is None:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND, "the case names no code: settle it by hand"
            )
        with self._actions.store.read() as connection:
            facts = scan_journal.latest_facts(connection, case.cti)
        if facts is None:
            return ActionOutcome(
                ActionResult.NOT_FOUND, "this device never decided on this code: scan it"
            )
        claims = load_facts(facts).claims
        if claims.kind is not Kind.WRITE_OFF:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND,
                "a parcel is retried at its door: settle as not_collected, scan again",
            )
        return claims

    def _recheck(self, claims: Claims, profile: Profile, now: Instant) -> ActionOutcome | None:
        """Return why ``claims`` fail verification by the lists of now; None when they hold."""
        roots = load_roots(Path(profile.trust.roots_file))
        if isinstance(roots, RootsFileRefusal):
            return ActionOutcome(ActionResult.STILL_REFUSED, str(roots))
        anchors = Anchors(self._actions.store, roots)
        anchors.refresh(now)
        refusal = check_again(
            claims,
            trust=anchors.trust,
            status=anchors.status,
            now=now,
            policy=verify_policy_of(profile),
        )
        if refusal is None:
            return None
        return ActionOutcome(
            ActionResult.STILL_REFUSED, f"{refusal.reason.value}: {refusal.detail}"
        )

    def _redeemer(self, profile: Profile) -> Redeemer:
        terms = DecisionTerms(place_of(profile), profile.policy, profile.locker.grace_s)
        return Redeemer(self._actions.store, terms, random_bytes=secrets.token_bytes)
