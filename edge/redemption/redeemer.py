"""Honour a believed code once: read, decide, write and enqueue in one transaction (laws 1 to 3).

When ``redeem`` returns an honoured verdict, the redemption, its event and what the lock may
be told are on disk. It never raises for what the disk does: that is ``store_unavailable``,
and then nothing was honoured.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from edge.config import Policy
from edge.domain.decision import decide
from edge.domain.decision_facts import DecisionFacts, dump_policy
from edge.domain.decision_input import Decision
from edge.domain.redemption_state import DevicePlace, RedemptionState, RequestedUse
from edge.domain.verdict import Verdict
from edge.operators.sign_in_result import SignInResult
from edge.store import authorisations as claiming
from edge.store import ledger, scan_journal
from edge.store.authorisations import AuthorisationReply, AuthorisationRequest, claimed_in
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.online_flag import is_online
from edge.store.outbox import OutboxPlace, append
from edge.store.redemption_reads import read_redemption_state, typed_for
from edge.store.scan_journal import JournalEntry
from edge.store.sessions import OperatorSession, session_in, touch
from edge.system.time_zone import utc_offset_of
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.rejection import Rejection
from edge.values.instant import Instant
from edge.values.uuid7 import event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """What came of a scan. ``ledger_id`` and ``intents`` are set only when it was honoured."""

    reason: Verdict | Rejection | SignInResult
    detail: str
    claims: Claims | None
    decision: Decision | None = None
    ledger_id: int | None = None
    journal_id: int | None = None  # None: the store was not available
    intents: tuple[int, ...] = ()  # for ``Pickups.begin``: doors in walking order

    @property
    def honoured(self) -> bool:
        """Whether a lamp may be green and a lock told."""
        return isinstance(self.reason, Verdict) and self.reason.honoured


class Redeemer:
    """Redeems at one place under one policy. Threads may share it; ``store`` None means there is none now."""

    def __init__(
        self,
        store: Store | None,
        *,
        place: DevicePlace,
        policy: Policy,
        grace_s: float,
        random_bytes: Callable[[int], bytes],
        unavailable: str = "no store",
        claim_within_s: float | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``claim_within_s``: how long whoever has authority over a code may take to answer; None: nobody is asked."""
        self._store = store
        self._place = place
        self._policy = policy
        self._grace_s = grace_s
        self._random_bytes = random_bytes
        self._unavailable = unavailable
        self._claim_within_s = claim_within_s
        self._patience = claiming.WaitMemory()
        self._monotonic_ns = monotonic_ns
        self._utc_offset = utc_offset_of(policy.timezone)
        self._document = dump_policy(place, policy, grace_s)
        self._folder = None if store is None else store.path.parent
        self._policy_no: int | None = None  # known once a transaction that named it is on disk

    def redeem(
        self,
        claims: Claims,
        now: Instant,
        *,
        asked: RequestedUse = RequestedUse(),  # noqa: B008 - immutable
        decode_ms: float | None = None,
    ) -> Redemption:
        """Honour or refuse ``claims``, whose signature held, in the name of who is signed in. On disk when done."""
        if self._store is None:
            return self._nothing(claims, self._unavailable)
        try:
            may_ask = self._claim_within_s is not None
            redemption = self._attempt(self._store, claims, now, asked, decode_ms, may_ask=may_ask)
            if isinstance(redemption, AuthorisationRequest):
                answer = claiming.request_and_wait(
                    self._store, redemption, now, self._patience, monotonic_ns=self._monotonic_ns
                )
                redemption = self._attempt(
                    self._store, claims, now, asked, decode_ms, answer=answer
                )
            assert isinstance(redemption, Redemption)
            return redemption
        except (StoreUnavailableError, sqlite3.Error) as error:
            return self._nothing(claims, str(error))

    def _attempt(
        self,
        store: Store,
        claims: Claims,
        now: Instant,
        asked: RequestedUse,
        decode_ms: float | None,
        *,
        may_ask: bool = False,
        answer: AuthorisationReply | None = None,
    ) -> Redemption | AuthorisationRequest:
        """Decide and write in one transaction; or write nothing and return what the authority is to be asked."""
        with store.transaction() as connection:
            scan = _Scan(claims, now, asked, None, decode_ms)
            policy_no = self._policy_no or scan_journal.policy_number(connection, self._document)
            redemption = self._redeem(connection, scan, policy_no, may_ask=may_ask, answer=answer)
        self._policy_no = policy_no
        return redemption

    def refuse(
        self,
        refusal: TokenRefusal,
        now: Instant,
        *,
        decode_ms: float | None = None,
        content: bytes = b"",
    ) -> Redemption:
        """Journal a code that was not believed; tell the platform where the signature held.

        ``content``: what was read, kept as a digest: the same thing shown again can be told, and nothing more.
        """
        claims, reason = refusal.claims, refusal.reason.value
        refused = Redemption(reason=refusal.reason, detail=refusal.detail, claims=claims)
        if self._store is None:
            return refused
        try:
            with self._store.transaction() as connection:
                session = session_in(connection, now)
                entry = JournalEntry(
                    reason=reason,
                    detail=refusal.detail,
                    now=now,
                    cti=claims.cti if claims else None,
                    order_id=claims.order_id if claims else None,
                    operator=None if session is None else session.operator_id,
                    decode_ms=decode_ms,
                    content=sha256(content).digest()[:16] if content else None,
                )
                if claims is not None:
                    self._tell_refusal(
                        connection,
                        _Scan(claims, now, RequestedUse(), session),
                        reason,
                        refusal.detail,
                    )
                return replace(refused, journal_id=scan_journal.write(connection, entry))
        except (StoreUnavailableError, sqlite3.Error):
            return refused  # refused all the same

    def _redeem(
        self,
        connection: sqlite3.Connection,
        scan: _Scan,
        policy_no: int,
        *,
        may_ask: bool,
        answer: AuthorisationReply | None,
    ) -> Redemption | AuthorisationRequest:
        claims = scan.claims
        claimed, grant = (
            (None, None)
            if answer is None
            else claimed_in(connection, claims.cti, answer, self._monotonic_ns())
        )
        standing, place, pending, session = read_redemption_state(
            connection, claims.cti, scan.now, claimed
        )
        operator = None
        if session is not None:
            touch(connection, session, scan.now)
            scan, operator = scan._replace(session=session), session.operator
        if pending is not None and claims.kind is Kind.WRITE_OFF:
            scan = scan._replace(asked=typed_for(pending, scan.operator, scan.now) or scan.asked)
        utc_offset_s = self._utc_offset(scan.now.unix_s)
        decision = decide(
            claims,
            standing,
            place=self._place,
            policy=self._policy,
            now=scan.now,
            asked=scan.asked,
            grace_s=self._grace_s,
            operator=operator,
            utc_offset_s=utc_offset_s,
        )
        if may_ask and decision.ask_home and self._folder is not None and is_online(self._folder):
            return self._question(scan, standing)
        if pending is not None and claims.kind is Kind.WRITE_OFF:
            connection.execute("DELETE FROM asked")  # for one scan, whatever comes of it
        if grant is not None and decision.verdict.honoured and decision.continues is None:
            claiming.spend(connection, grant)
        ledger_id: int | None = None
        intents: tuple[int, ...] = ()
        if decision.verdict.honoured:
            ledger_id = self._honour(connection, scan, standing, place, decision)
            intents = self._reserve(connection, scan, decision, ledger_id)
        else:
            self._tell_refusal(connection, scan, decision.verdict.value, decision.detail)
        entry = JournalEntry(
            reason=decision.verdict.value,
            detail=decision.detail,
            now=scan.now,
            cti=claims.cti,
            order_id=claims.order_id,
            operator=scan.operator,
            ledger_id=ledger_id,
            decode_ms=scan.decode_ms,
            policy_no=policy_no,
            facts=DecisionFacts(claims, standing, scan.now, scan.asked, operator, utc_offset_s),
        )
        return Redemption(
            reason=decision.verdict,
            detail=decision.detail,
            claims=claims,
            decision=decision,
            ledger_id=ledger_id,
            journal_id=scan_journal.write(connection, entry),
            intents=intents,
        )

    def _question(self, scan: _Scan, standing: RedemptionState) -> AuthorisationRequest:
        """What whoever has authority over a code is asked: leave to honour it here, now."""
        order, claims = standing.entitlement, scan.claims
        within_ns = int((self._claim_within_s or 0) * 1e9)
        return AuthorisationRequest(
            id=event_id(scan.now, self._random_bytes),
            cti=claims.cti,
            units=scan.asked.units,
            sold=0 if order is None else order.quantity,
            sold_minor=None if order is None else order.amount_minor,
            due_ns=self._monotonic_ns() + within_ns,
        )

    def _honour(
        self,
        connection: sqlite3.Connection,
        scan: _Scan,
        standing: RedemptionState,
        place: OutboxPlace,
        decision: Decision,
    ) -> int:
        """Write the use, or, where a pickup goes on, only its event; return the ledger row it belongs to."""
        use = decision.continues
        if use is None:
            return ledger.write_use(
                connection,
                scan.claims,
                decision,
                use_no=standing.next_use_no,
                place=place,
                now=scan.now,
                operator=scan.operator,
                event_id=event_id(scan.now, self._random_bytes),
            )
        body = {"use": use.use_no, "doors": list(decision.doors)}
        self._tell(connection, scan, "reopened" if decision.reopening else "continued", body)
        return use.ledger_id

    def _reserve(
        self, connection: sqlite3.Connection, scan: _Scan, decision: Decision, ledger_id: int
    ) -> tuple[int, ...]:
        """Write what the lock may be told, one row a door (law 5)."""
        intents = []
        for position, compartment in enumerate(decision.doors):
            cursor = connection.execute(
                "INSERT INTO intent (ledger_id, cti, compartment, position, reopening, state, reserved_s)"
                " VALUES (?, ?, ?, ?, ?, 'reserved', ?)",
                (
                    ledger_id,
                    scan.claims.cti,
                    compartment,
                    position,
                    decision.reopening,
                    scan.now.unix_s,
                ),
            )
            intents.append(int(cursor.lastrowid or 0))
        return tuple(intents)

    def _tell_refusal(
        self, connection: sqlite3.Connection, scan: _Scan, reason: str, detail: str
    ) -> None:
        self._tell(connection, scan, "refused", {"reason": reason, "detail": detail})

    def _tell(
        self, connection: sqlite3.Connection, scan: _Scan, kind: str, body: dict[str, object]
    ) -> None:
        whole = {
            "cti": scan.claims.cti.hex(),
            "order": scan.claims.order_id,
            **body,
            "operator": scan.operator,
        }
        append(
            connection,
            type=kind,
            body=whole,
            now=scan.now,
            id=event_id(scan.now, self._random_bytes),
        )

    def _nothing(self, claims: Claims, detail: str) -> Redemption:
        return Redemption(reason=Verdict.STORE_UNAVAILABLE, detail=detail, claims=claims)


class _Scan(NamedTuple):
    claims: Claims
    now: Instant
    asked: RequestedUse
    session: OperatorSession | None
    decode_ms: float | None = None

    @property
    def operator(self) -> str | None:
        """Who is named in what is written."""
        return None if self.session is None else self.session.operator_id
