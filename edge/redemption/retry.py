"""Try again what a case is about: a write-off, by the time, lists and orders of now; or a refused upload.

What cannot be retried says what to do instead.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from edge.config import Profile
from edge.domain.decision_facts import load_facts
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.redemption_state import place_of
from edge.operators.actions import ActionOutcome, ActionResult, OperatorActions
from edge.redemption.redeemer import Redeemer, Redemption
from edge.redemption.verification_policy import verify_policy_of
from edge.token.claims import Claims, Kind
from edge.token.verification import check_again
from edge.trust.anchors import Anchors, load_roots
from edge.values.instant import Instant


class Retry:
    """Retries for whoever is signed in. ``profile`` gives the device's own, which only a write-off needs."""

    def __init__(self, staff: OperatorActions, profile: Callable[[], Profile]) -> None:
        self._staff = staff
        self._read_profile = profile

    def case(self, case_id: int, now: Instant) -> ActionOutcome:
        """Retry whatever case ``case_id`` is about, and settle it when that is done. Raises StoreUnavailableError."""
        case = self._staff.open_case(case_id, now)
        if isinstance(case, ActionOutcome):
            return case
        if case.kind is ExceptionKind.UPLOAD_REFUSED:
            return self._staff.send_again(case_id, now)
        instead = self._instead(case)
        return (
            self.write_off(case_id, now)
            if instead is None
            else ActionOutcome(ActionResult.NOT_THIS_KIND, instead)
        )

    def _instead(self, case: ExceptionCase) -> str | None:
        """What to do about a case with nothing to try again; None where there may be something."""
        match case.kind:
            case (
                ExceptionKind.DOOR_NOT_OPENED
                | ExceptionKind.DOOR_LEFT_OPEN
                | ExceptionKind.SENSOR_FAULT
            ):
                return "look into the compartment and settle as collected or not_collected; then the code is scanned"
            case ExceptionKind.PLATFORM_CONFLICT:
                return "it was honoured here and elsewhere: settle as reversed, or as accepted with its loss"
            case _ if case.ledger_id is not None and not self._taken_back(case.ledger_id):
                return (
                    f"it stands as ledger row {case.ledger_id}: settle as accepted, or as reversed"
                )
            case _ if case.cti is None:
                return "the case names no code: settle as fixed once its cause is mended, or as accepted"
            case _:
                return None

    def _taken_back(self, ledger_id: int) -> bool:
        with self._staff.store.read() as connection:
            query = "SELECT EXISTS (SELECT 1 FROM ledger WHERE reverses = ?)"
            return bool(connection.execute(query, (ledger_id,)).fetchone()[0])

    def write_off(self, case_id: int, now: Instant) -> ActionOutcome:
        """Redeem what case ``case_id`` is about, and settle it when that is honoured. Raises StoreUnavailableError.

        Cut between the two, the write-off stands and the case stays open for a person to settle.
        """
        case = self._staff.open_case(case_id, now)
        if isinstance(case, ActionOutcome):
            return case
        claims = self._claims(case)
        if isinstance(claims, ActionOutcome):
            return claims
        profile = self._read_profile()
        stale = self._no_longer_believed(claims, profile, now)
        if stale is not None:
            return stale
        outcome = self._redeemer(profile).redeem(claims, now)
        if not outcome.honoured:
            return ActionOutcome(
                ActionResult.STILL_REFUSED,
                f"{outcome.reason.value}: {outcome.detail or 'see the words for it'}",
            )
        return self._settle(case_id, outcome, now)

    def _settle(self, case_id: int, outcome: Redemption, now: Instant) -> ActionOutcome:
        settled = self._staff.settle(
            case_id, Settlement.RETRIED, f"honoured as {outcome.ledger_id}", now
        )
        if settled.done is not ActionResult.DONE:
            return ActionOutcome(
                settled.done,
                f"honoured as {outcome.ledger_id}, and the case is open: {settled.detail}",
            )
        return ActionOutcome(
            ActionResult.DONE, f"honoured as {outcome.ledger_id}: case {case_id} is settled"
        )

    def _claims(self, case: ExceptionCase) -> Claims | ActionOutcome:
        if case.cti is None:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND, "the case names no code: settle it by hand"
            )
        with self._staff.store.read() as connection:
            facts = _latest_facts(connection, case.cti)
        if facts is None:
            return ActionOutcome(
                ActionResult.NOT_FOUND,
                "no scan of this code was ever decided here: have it scanned",
            )
        claims = load_facts(facts).claims
        if claims.kind is not Kind.WRITE_OFF:
            return ActionOutcome(
                ActionResult.NOT_THIS_KIND,
                "a parcel is retried at its door: settle as not_collected, scan again",
            )
        return claims

    def _no_longer_believed(
        self, claims: Claims, profile: Profile, now: Instant
    ) -> ActionOutcome | None:
        roots = load_roots(Path(profile.trust.roots_file))
        if isinstance(roots, str):
            return ActionOutcome(ActionResult.STILL_REFUSED, roots)
        anchors = Anchors(self._staff.store, roots)
        anchors.refresh(now)
        policy = verify_policy_of(profile)
        refusal = check_again(
            claims, trust=anchors.trust, status=anchors.status, now=now, policy=policy
        )
        return (
            None
            if refusal is None
            else ActionOutcome(
                ActionResult.STILL_REFUSED, f"{refusal.reason.value}: {refusal.detail}"
            )
        )

    def _redeemer(self, profile: Profile) -> Redeemer:
        return Redeemer(
            self._staff.store,
            place=place_of(profile),
            policy=profile.policy,
            grace_s=profile.locker.grace_s,
            random_bytes=secrets.token_bytes,
        )


def _latest_facts(connection: sqlite3.Connection, cti: bytes) -> str | None:
    row = connection.execute(
        "SELECT facts FROM journal WHERE cti = ? AND facts IS NOT NULL ORDER BY id DESC LIMIT 1",
        (cti,),
    ).fetchone()
    return None if row is None else str(row[0])
