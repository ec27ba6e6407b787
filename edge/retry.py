"""Try the write-off of an exception again: the claims that were believed then, by the time, lists and orders of now."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from edge.anchors import Anchors, load_roots
from edge.config import Profile
from edge.facts import load_facts
from edge.gate import verify_policy_of
from edge.instant import Instant
from edge.redeem import Redeemer, Redemption
from edge.staff import Answer, Done, Staff
from edge.standing import place_of
from edge.store.exceptions import ExceptionCase, Settlement
from edge.token.claims import Claims, Kind
from edge.token.verify import check_again


class Retry:
    """Retries for whoever is signed in. ``profile`` says under which policy."""

    def __init__(self, staff: Staff, profile: Profile) -> None:
        self._staff = staff
        self._profile = profile

    def write_off(self, case_id: int, now: Instant) -> Answer:
        """Redeem what case ``case_id`` is about, and settle it when that is honoured. Raises StoreUnavailableError.

        Cut between the two, the write-off stands and the case stays open for a person to settle.
        """
        case = self._staff.open_case(case_id, now)
        if isinstance(case, Answer):
            return case
        claims = self._claims(case)
        if isinstance(claims, Answer):
            return claims
        stale = self._no_longer_believed(claims, now)
        if stale is not None:
            return stale
        outcome = self._redeemer().redeem(claims, now)
        if not outcome.honoured:
            return Answer(Done.STILL_REFUSED, f"{outcome.reason.value}: {outcome.detail or 'see the words for it'}")
        return self._settle(case_id, outcome, now)

    def _settle(self, case_id: int, outcome: Redemption, now: Instant) -> Answer:
        settled = self._staff.settle(case_id, Settlement.RETRIED, f"honoured as {outcome.ledger_id}", now)
        if settled.done is not Done.DONE:
            return Answer(settled.done, f"honoured as {outcome.ledger_id}, and the case is open: {settled.detail}")
        return Answer(Done.DONE, f"honoured as {outcome.ledger_id}: case {case_id} is settled")

    def _claims(self, case: ExceptionCase) -> Claims | Answer:
        if case.cti is None:
            return Answer(Done.NOT_THIS_KIND, "the case names no code: settle it by hand")
        with self._staff.store.read() as connection:
            facts = _latest_facts(connection, case.cti)
        if facts is None:
            return Answer(Done.NOT_FOUND, "no scan of this code was ever decided here: have it scanned")
        claims = load_facts(facts).claims
        if claims.kind is not Kind.WRITE_OFF:
            return Answer(Done.NOT_THIS_KIND, "a parcel is retried at its door: settle as not_collected, scan again")
        return claims

    def _no_longer_believed(self, claims: Claims, now: Instant) -> Answer | None:
        roots = load_roots(Path(self._profile.trust.roots_file))
        if isinstance(roots, str):
            return Answer(Done.STILL_REFUSED, roots)
        anchors = Anchors(self._staff.store, roots)
        anchors.refresh(now)
        policy = verify_policy_of(self._profile)
        refusal = check_again(claims, trust=anchors.trust, status=anchors.status, now=now, policy=policy)
        return None if refusal is None else Answer(Done.STILL_REFUSED, f"{refusal.reason.value}: {refusal.detail}")

    def _redeemer(self) -> Redeemer:
        return Redeemer(
            self._staff.store,
            place=place_of(self._profile),
            policy=self._profile.policy,
            grace_s=self._profile.locker.grace_s,
            random_bytes=secrets.token_bytes,
        )


def _latest_facts(connection: sqlite3.Connection, cti: bytes) -> str | None:
    row = connection.execute(
        "SELECT facts FROM journal WHERE cti = ? AND facts IS NOT NULL ORDER BY id DESC LIMIT 1", (cti,)
    ).fetchone()
    return None if row is None else str(row[0])
