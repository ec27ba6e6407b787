"""Showing a badge, signing in with its PIN, signing out. A badge alone opens nothing: it can only end its session."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.config import Profile
from edge.documents.operator_list import OperatorEntry
from edge.documents.pin_hash import pin_matches
from edge.domain.roles import StaffAction, is_permitted
from edge.operators.known_lists import OperatorDirectory
from edge.operators.sign_in_result import SignInResult
from edge.store.database.store import Store
from edge.store.outbox import append
from edge.store.pin_attempts import count_attempt, forgive, locked_for_s
from edge.store.sessions import OperatorSession, end_session, open_session, session_in
from edge.token.claims import Claims
from edge.values.instant import Instant
from edge.values.uuid7 import event_id

SHOWN_S: Final = 60  # a badge that was shown waits this long for its PIN
UNLOCKED: Final = "unlocked"
_WITHDRAWN: Final = "the badge was revoked"
RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInOutcome:
    """What came of it. ``detail`` is for the person and the log."""

    reason: SignInResult
    operator_id: str | None = None
    detail: str = ""
    session: OperatorSession | None = None  # with SIGNED_IN


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBadge:
    """A badge that was believed: by ``open_token``, as of kind operator."""

    operator_id: str
    cti: bytes
    expires_at_s: int

    @classmethod
    def of(cls, claims: Claims) -> ShownBadge:
        """The badge that these claims are."""
        return cls(operator_id=claims.order_id, cti=claims.cti, expires_at_s=claims.expires_at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInService:
    """Where people sign in at this device. ``session_s`` and ``idle_s``: how long a session lasts."""

    store: Store
    session_s: int
    idle_s: int
    random_bytes: RandomBytes

    def show(
        self, connection: sqlite3.Connection, badge: ShownBadge, now: Instant
    ) -> SignInOutcome:
        """A badge was shown, in the caller's transaction: it ends its own session, or waits for its PIN."""
        if _withdrawn(connection, badge):
            return SignInOutcome(
                reason=SignInResult.OPERATOR_UNKNOWN,
                operator_id=badge.operator_id,
                detail=_WITHDRAWN,
            )
        session = session_in(connection, now)
        if session is not None and session.operator_id == badge.operator_id:
            return self._end(connection, session, now, "its badge was shown again")
        locked_s = locked_for_s(connection, badge.operator_id, now)
        if locked_s:
            return _locked(badge.operator_id, locked_s)
        connection.execute(
            "INSERT OR REPLACE INTO badge_shown (one, operator_id, badge, expires_s, at_s) VALUES (1, ?, ?, ?, ?)",
            (badge.operator_id, badge.cti, badge.expires_at_s, now.unix_s),
        )
        return SignInOutcome(reason=SignInResult.PIN_NEEDED, operator_id=badge.operator_id)

    def sign_in(
        self,
        pin: str,
        register: OperatorDirectory,
        now: Instant,
        *,
        badge: ShownBadge | None = None,
    ) -> SignInOutcome:
        """Open a session for ``badge``, or for the one that was last shown, when ``pin`` is its operator's.

        The try is on disk before the PIN is checked. Raises StoreUnavailableError.
        """
        with self.store.transaction() as connection:
            badge = badge or _last_shown(connection, now)
            if badge is None:
                return SignInOutcome(
                    reason=SignInResult.BADGE_NOT_SHOWN,
                    detail=f"show it, then sign in within {SHOWN_S} s",
                )
            entry = register.find(badge.operator_id, now)
            if _withdrawn(connection, badge):
                entry = SignInResult.OPERATOR_UNKNOWN
            if isinstance(entry, SignInResult):
                return self._tell(
                    connection, SignInOutcome(reason=entry, operator_id=badge.operator_id), now
                )
            locked_s = locked_for_s(connection, badge.operator_id, now)
            if locked_s:
                return self._tell(connection, _locked(badge.operator_id, locked_s), now)
            failures = count_attempt(connection, badge.operator_id, now)
        good = pin_matches(pin, entry.pin_hash)
        with self.store.transaction() as connection:
            return (
                self._admit(connection, badge, entry, now)
                if good
                else self._reject(connection, badge, failures, now)
            )

    def sign_out(self, now: Instant) -> SignInOutcome | None:
        """End the session, if there is one. Raises StoreUnavailableError."""
        with self.store.transaction() as connection:
            session = session_in(connection, now)
            if session is None:
                end_session(connection)
                return None
            return self._end(connection, session, now, "asked to")

    def unlock(self, operator_id: str, now: Instant) -> str | None:
        """Let a locked-out operator try again, in the name of who is signed in; return what stands against it.

        Nobody unlocks themselves. Raises StoreUnavailableError.
        """
        with self.store.transaction() as connection:
            session = session_in(connection, now)
            if session is None:
                return "nobody is signed in: a supervisor must be"
            if (
                not is_permitted(session.role, StaffAction.UNLOCK)
                or session.operator_id == operator_id
            ):
                return f"{session.operator_id} ({session.role}) may not unlock {operator_id}: another supervisor must"
            if not forgive(connection, operator_id):
                return f"{operator_id} has no wrong PINs: check the name"
            self._record(connection, operator_id, UNLOCKED, f"by {session.operator_id}", now)
            return None

    def _admit(
        self, connection: sqlite3.Connection, badge: ShownBadge, entry: OperatorEntry, now: Instant
    ) -> SignInOutcome:
        forgive(connection, badge.operator_id)
        connection.execute("DELETE FROM badge_shown")
        ends_s = min(now.unix_s + self.session_s, badge.expires_at_s, entry.expires_at_s)
        session = OperatorSession(
            operator_id=entry.id, role=entry.role, badge=badge.cti, opened_s=now.unix_s, expires_s=ends_s,
            acted_s=now.unix_s, idle_s=self.idle_s,
        )  # fmt: skip
        open_session(connection, session)
        done = SignInOutcome(
            reason=SignInResult.SIGNED_IN,
            operator_id=entry.id,
            detail=entry.role.value,
            session=session,
        )
        return self._tell(connection, done, now)

    def _reject(
        self, connection: sqlite3.Connection, badge: ShownBadge, failures: int, now: Instant
    ) -> SignInOutcome:
        locked_s = locked_for_s(connection, badge.operator_id, now)
        if locked_s:
            connection.execute("DELETE FROM badge_shown")
            return self._tell(connection, _locked(badge.operator_id, locked_s), now)
        detail = f"{failures} wrong in a row"
        return self._tell(
            connection,
            SignInOutcome(
                reason=SignInResult.PIN_WRONG, operator_id=badge.operator_id, detail=detail
            ),
            now,
        )

    def _end(
        self, connection: sqlite3.Connection, session: OperatorSession, now: Instant, why: str
    ) -> SignInOutcome:
        end_session(connection)
        connection.execute("DELETE FROM badge_shown")
        return self._tell(
            connection,
            SignInOutcome(
                reason=SignInResult.SIGNED_OUT, operator_id=session.operator_id, detail=why
            ),
            now,
        )

    def _tell(
        self, connection: sqlite3.Connection, outcome: SignInOutcome, now: Instant
    ) -> SignInOutcome:
        assert outcome.operator_id is not None  # only what concerns somebody is told
        self._record(connection, outcome.operator_id, outcome.reason.value, outcome.detail, now)
        return outcome

    def _record(
        self, connection: sqlite3.Connection, operator_id: str, what: str, detail: str, now: Instant
    ) -> None:
        connection.execute(
            "INSERT INTO operator_log (at_s, trust, operator_id, what, detail) VALUES (?, ?, ?, ?, ?)",
            (now.unix_s, now.trust.value, operator_id, what, detail),
        )
        body = {"operator": operator_id, "result": what, "detail": detail}
        append(
            connection,
            type="operator",
            body=body,
            now=now,
            id=event_id(now, self.random_bytes),
        )


def sign_in_service(profile: Profile, store: Store, random_bytes: RandomBytes) -> SignInService:
    """The desk of the device of ``profile``."""
    policy = profile.policy
    return SignInService(
        store=store,
        session_s=policy.operator_session_s,
        idle_s=policy.operator_idle_s,
        random_bytes=random_bytes,
    )


def _locked(operator_id: str, locked_s: int) -> SignInOutcome:
    detail = f"for {-(-locked_s // 60)} more minutes, or until a supervisor unlocks"
    return SignInOutcome(
        reason=SignInResult.OPERATOR_LOCKED_OUT, operator_id=operator_id, detail=detail
    )


def _withdrawn(connection: sqlite3.Connection, badge: ShownBadge) -> bool:
    """Whether the platform took this badge back, beside the status list that ``open_token`` asks."""
    found = "SELECT 1 FROM withdrawal WHERE what = 'token' AND name = ?"
    return connection.execute(found, (badge.cti.hex(),)).fetchone() is not None


def _last_shown(connection: sqlite3.Connection, now: Instant) -> ShownBadge | None:
    row = connection.execute(
        "SELECT operator_id, badge, expires_s, at_s FROM badge_shown"
    ).fetchone()
    if row is None or not 0 <= now.unix_s - row[3] < SHOWN_S or now.unix_s >= row[2]:
        return None
    return ShownBadge(operator_id=row[0], cti=row[1], expires_at_s=row[2])
