"""Show a badge, sign in with its PIN, sign out. A badge alone can only end its own session."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.config import Profile
from edge.documents.operator_list import OperatorEntry
from edge.documents.pin_hash import pin_matches
from edge.operators.known_lists import OperatorDirectory
from edge.operators.operator_events import record_operator_event
from edge.operators.sign_in_result import SignInResult
from edge.store.database.store import Store
from edge.store.order_cache import is_token_withdrawn
from edge.store.pin_attempts import clear_attempts, count_attempt, lockout_left_s
from edge.store.sessions import (
    OperatorSession,
    ShownBadge,
    delete_shown_badge,
    end_session,
    find_session,
    find_shown_badge,
    open_session,
    write_shown_badge,
)
from edge.token.claims import Claims
from edge.values.instant import Instant

SHOWN_S: Final = 60  # a badge that was shown waits this long for its PIN
RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInOutcome:
    """The result of a step towards a session. ``detail`` is for the person and the log."""

    reason: SignInResult
    operator_id: str | None = None
    detail: str = ""
    session: OperatorSession | None = None  # with SIGNED_IN


def badge_of(claims: Claims) -> ShownBadge:
    """Return the badge that verified ``claims`` of the kind operator are."""
    return ShownBadge(operator_id=claims.order_id, cti=claims.cti, expires_at_s=claims.expires_at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInService:
    """Signs people in and out at one device."""

    store: Store
    session_s: int  # how long a session lasts
    idle_s: int  # how long it lasts without an action
    random_bytes: RandomBytes

    def show_badge(
        self, connection: sqlite3.Connection, badge: ShownBadge, now: Instant
    ) -> SignInOutcome:
        """End the badge's own session, or let the badge wait for its PIN.

        Works in the caller's transaction.
        """
        if is_token_withdrawn(connection, badge.cti):
            return SignInOutcome(
                reason=SignInResult.OPERATOR_UNKNOWN,
                operator_id=badge.operator_id,
                detail="the badge was revoked",
            )
        session = find_session(connection, now)
        if session is not None and session.operator_id == badge.operator_id:
            return self._end(connection, session, now, "its badge was shown again")
        left_s = lockout_left_s(connection, badge.operator_id, now)
        if left_s:
            return _locked_out(badge.operator_id, left_s)
        write_shown_badge(connection, badge, now)
        return SignInOutcome(reason=SignInResult.PIN_NEEDED, operator_id=badge.operator_id)

    def sign_in(
        self,
        pin: str,
        directory: OperatorDirectory,
        now: Instant,
        *,
        badge: ShownBadge | None = None,
    ) -> SignInOutcome:
        """Open a session for ``badge``, or for the last one shown, if ``pin`` is its operator's.

        The try is on disk before the PIN is checked. Raises StoreUnavailableError.
        """
        with self.store.transaction() as connection:
            badge = badge or find_shown_badge(connection, now, within_s=SHOWN_S)
            if badge is None:
                return SignInOutcome(
                    reason=SignInResult.BADGE_NOT_SHOWN,
                    detail=f"show it, then sign in within {SHOWN_S} s",
                )
            entry = directory.find(badge.operator_id, now)
            if is_token_withdrawn(connection, badge.cti):
                entry = SignInResult.OPERATOR_UNKNOWN
            if isinstance(entry, SignInResult):
                refused = SignInOutcome(reason=entry, operator_id=badge.operator_id)
                return self._record(connection, refused, now)
            left_s = lockout_left_s(connection, badge.operator_id, now)
            if left_s:
                return self._record(connection, _locked_out(badge.operator_id, left_s), now)
            failures = count_attempt(connection, badge.operator_id, now)
        matches = pin_matches(pin, entry.pin_hash)
        with self.store.transaction() as connection:
            if matches:
                return self._open(connection, badge, entry, now)
            return self._reject(connection, badge, failures, now)

    def sign_out(self, now: Instant) -> SignInOutcome | None:
        """End the session; None if there is none. Raises StoreUnavailableError."""
        with self.store.transaction() as connection:
            session = find_session(connection, now)
            if session is None:
                end_session(connection)
                return None
            return self._end(connection, session, now, "signed out by command")

    def _open(
        self, connection: sqlite3.Connection, badge: ShownBadge, entry: OperatorEntry, now: Instant
    ) -> SignInOutcome:
        clear_attempts(connection, badge.operator_id)
        delete_shown_badge(connection)
        session = OperatorSession(
            operator_id=entry.id,
            role=entry.role,
            badge=badge.cti,
            opened_s=now.unix_s,
            expires_s=min(now.unix_s + self.session_s, badge.expires_at_s, entry.expires_at_s),
            acted_s=now.unix_s,
            idle_s=self.idle_s,
        )
        open_session(connection, session)
        signed_in = SignInOutcome(
            reason=SignInResult.SIGNED_IN,
            operator_id=entry.id,
            detail=entry.role.value,
            session=session,
        )
        return self._record(connection, signed_in, now)

    def _reject(
        self, connection: sqlite3.Connection, badge: ShownBadge, failures: int, now: Instant
    ) -> SignInOutcome:
        left_s = lockout_left_s(connection, badge.operator_id, now)
        if left_s:
            delete_shown_badge(connection)
            return self._record(connection, _locked_out(badge.operator_id, left_s), now)
        rejected = SignInOutcome(
            reason=SignInResult.PIN_WRONG,
            operator_id=badge.operator_id,
            detail=f"{failures} wrong in a row",
        )
        return self._record(connection, rejected, now)

    def _end(
        self, connection: sqlite3.Connection, session: OperatorSession, now: Instant, why: str
    ) -> SignInOutcome:
        end_session(connection)
        delete_shown_badge(connection)
        signed_out = SignInOutcome(
            reason=SignInResult.SIGNED_OUT, operator_id=session.operator_id, detail=why
        )
        return self._record(connection, signed_out, now)

    def _record(
        self, connection: sqlite3.Connection, outcome: SignInOutcome, now: Instant
    ) -> SignInOutcome:
        assert outcome.operator_id is not None  # an outcome that concerns no one is not recorded
        record_operator_event(
            connection,
            outcome.operator_id,
            outcome.reason.value,
            outcome.detail,
            now,
            self.random_bytes,
        )
        return outcome


def sign_in_service(profile: Profile, store: Store, random_bytes: RandomBytes) -> SignInService:
    """Return the service of the device of ``profile``."""
    policy = profile.policy
    return SignInService(
        store=store,
        session_s=policy.operator_session_s,
        idle_s=policy.operator_idle_s,
        random_bytes=random_bytes,
    )


def _locked_out(operator_id: str, left_s: int) -> SignInOutcome:
    detail = f"for {-(-left_s // 60)} more minutes, or until a supervisor unlocks"
    return SignInOutcome(
        reason=SignInResult.OPERATOR_LOCKED_OUT, operator_id=operator_id, detail=detail
    )
