"""Redeem a verified code once: read, decide, write and enqueue in one transaction (laws 1 to 3).

When ``redeem`` returns an accepted verdict, the redemption, its event and the pulses that the lock
may get are on disk. It never raises for a disk that fails: that is ``store_unavailable``, and then
nothing was redeemed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from edge.domain.authorisation import AuthorisationResult
from edge.domain.decision import decide
from edge.domain.decision_facts import DecisionFacts, DecisionTerms, dump_terms
from edge.domain.decision_input import Decision
from edge.domain.redemption_state import OnlineAuthorisation, RequestedUse
from edge.domain.verdict import Verdict
from edge.operators.sign_in_result import SignInResult
from edge.redemption.authorisation_client import AuthorisationClient
from edge.store import ledger, lock_intents, scan_journal
from edge.store.authorisations import (
    AuthorisationReply,
    AuthorisationRequest,
    Grant,
    consume,
    find_grant,
)
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.exception_cases import raise_data_error
from edge.store.ledger_restore import counted_events, is_restore_wanted
from edge.store.outbox import OutboxPlace, append
from edge.store.pending_requests import delete_pending_request
from edge.store.redemption_reads import read_redemption_state
from edge.store.scan_journal import JournalEntry
from edge.store.sessions import find_session, touch
from edge.system.time_zone import utc_offset_of
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.rejection import Rejection
from edge.values.instant import Instant
from edge.values.uuid7 import event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """The outcome of a scan. ``ledger_id`` and ``intents`` are set only when it was accepted."""

    reason: Verdict | Rejection | SignInResult
    detail: str
    claims: Claims | None
    decision: Decision | None = None
    ledger_id: int | None = None
    journal_id: int | None = None  # None: the store was not available
    intents: tuple[int, ...] = ()  # for ``Pickups.begin``: doors in the order of their opening

    @property
    def is_accepted(self) -> bool:
        """True when the lamp may be green and a lock may be pulsed."""
        return isinstance(self.reason, Verdict) and self.reason.is_accepted

    def summary(self) -> dict[str, object]:
        """Return the outcome for a program, as ``edge-scanner scan --json`` prints it."""
        return {
            "reason": self.reason.value,
            "accepted": self.is_accepted,
            "ledger": self.ledger_id,
            "doors": [] if self.decision is None else list(self.decision.doors),
            "detail": self.detail,
        }

    @property
    def is_ours(self) -> bool:
        """False for a code that is not, or cannot be proven to be, the platform's."""
        return self.claims is not None or not isinstance(self.reason, Rejection)


class Redeemer:
    """Redeems codes under one set of terms. Threads may share it."""

    def __init__(
        self,
        store: Store | None,
        terms: DecisionTerms,
        *,
        random_bytes: Callable[[int], bytes],
        unavailable: str = "no store",
        reply_within_s: float | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Redeem in ``store``; None means that there is none now, because of ``unavailable``.

        ``reply_within_s``: how long an authority may take to reply; None: no request is sent.
        """
        self._store = store
        self._terms = terms
        self._random_bytes = random_bytes
        self._unavailable = unavailable
        self._reply_within_ns = None if reply_within_s is None else int(reply_within_s * 1e9)
        self._monotonic_ns = monotonic_ns
        self._client = (
            None
            if store is None or reply_within_s is None
            else AuthorisationClient(store, monotonic_ns=monotonic_ns)
        )
        self._utc_offset = utc_offset_of(terms.policy.timezone)
        self._terms_text = dump_terms(terms)
        self._policy_no: int | None = None  # known once a transaction that named it is on disk

    def redeem(
        self,
        claims: Claims,
        now: Instant,
        *,
        requested: RequestedUse = RequestedUse(),  # noqa: B008 - immutable
        decode_ms: float | None = None,
    ) -> Redemption:
        """Redeem or refuse ``claims``, whose signature held, in the name of the signed-in person.

        The outcome is on disk when this returns.
        """
        if self._store is None:
            return _store_unavailable(claims, self._unavailable)
        scan = _Scan(claims, now, requested, decode_ms)
        try:
            outcome = self._attempt(self._store, scan, self._client)
            if isinstance(outcome, AuthorisationRequest):
                assert self._client is not None
                reply = self._client.request(outcome, now)
                outcome = self._attempt(self._store, scan, None, reply)
            assert isinstance(outcome, Redemption)
            return outcome
        except (StoreUnavailableError, sqlite3.Error) as error:
            return _store_unavailable(claims, str(error))

    def refuse(
        self,
        refusal: TokenRefusal,
        now: Instant,
        *,
        decode_ms: float | None = None,
        content: bytes = b"",
    ) -> Redemption:
        """Journal a code that failed verification; report it where the signature held.

        ``content`` is what was read. The journal gets a digest of it, by which the same code shown
        again is recognised, and nothing more.
        """
        claims, reason = refusal.claims, refusal.reason.value
        refused = Redemption(reason=refusal.reason, detail=refusal.detail, claims=claims)
        if self._store is None:
            return refused
        try:
            with self._store.transaction() as connection:
                session = find_session(connection, now)
                operator = None if session is None else session.operator_id
                entry = JournalEntry(
                    reason=reason,
                    detail=refusal.detail,
                    now=now,
                    cti=claims.cti if claims else None,
                    order_id=claims.order_id if claims else None,
                    operator=operator,
                    decode_ms=decode_ms,
                    content=sha256(content).digest()[:16] if content else None,
                )
                if claims is not None:
                    body = {"reason": reason, "detail": refusal.detail}
                    self._report(connection, "refused", claims, body, operator, now)
                return replace(refused, journal_id=scan_journal.write(connection, entry))
        except (StoreUnavailableError, sqlite3.Error):
            return refused  # refused all the same

    def _attempt(
        self,
        store: Store,
        scan: _Scan,
        client: AuthorisationClient | None,
        reply: AuthorisationReply | None = None,
    ) -> Redemption | AuthorisationRequest:
        """Decide and write in one transaction; or write nothing and return a request for a grant.

        ``client`` None: no request may be sent. ``reply``: to a request, if it came in time.
        """
        with store.transaction() as connection:
            policy_no = self._policy_no or scan_journal.policy_number(connection, self._terms_text)
            ruling = self._authorise(connection, scan, reply)
            if client is not None and ruling.decision.request_grant and client.is_online():
                return self._request_for(connection, ruling.facts)
            ledger_id, intents = self._record(connection, ruling)
            self._use_up(connection, ruling)
            entry = _journal_entry(scan, ruling, policy_no, ledger_id)
            redemption = Redemption(
                reason=ruling.decision.verdict,
                detail=ruling.decision.detail,
                claims=scan.claims,
                decision=ruling.decision,
                ledger_id=ledger_id,
                journal_id=scan_journal.write(connection, entry),
                intents=intents,
            )
        self._policy_no = policy_no
        return redemption

    def _authorise(
        self, connection: sqlite3.Connection, scan: _Scan, reply: AuthorisationReply | None
    ) -> _Ruling:
        """Read what is known about the code, with the reply to a request, and decide."""
        claims, now, requested, _ = scan
        authorisation, grant = (
            (None, None)
            if reply is None
            else _usable(connection, claims.cti, reply, self._monotonic_ns())
        )
        read = read_redemption_state(connection, claims.cti, now, authorisation)
        operator = None
        if read.session is not None:
            touch(connection, read.session, now)
            operator = read.session.operator
        pending = read.pending if claims.kind is Kind.WRITE_OFF else None
        if pending is not None:
            requested = pending.for_scan(operator and operator.id, now) or requested
        facts = DecisionFacts(
            claims, read.state, now, requested, operator, self._utc_offset(now.unix_s)
        )
        decision = decide(facts, self._terms)
        return _Ruling(facts, decision, read.place, grant, pending is not None)

    def _record(
        self, connection: sqlite3.Connection, ruling: _Ruling
    ) -> tuple[int | None, tuple[int, ...]]:
        """Write the ruling with its event; return the ledger row and the door intents of a use.

        Where a pickup continues, there is no new ledger row, and only the event is written.
        """
        facts, decision = ruling.facts, ruling.decision
        if not decision.verdict.is_accepted:
            body = {"reason": decision.verdict.value, "detail": decision.detail}
            self._report(connection, "refused", facts.claims, body, ruling.operator_id, facts.now)
            if decision.verdict is Verdict.DATA_ERROR:
                raise_data_error(connection, facts.claims, decision.detail, facts.now)
            return None, ()
        ledger_id = self._record_use(connection, ruling)
        intents = lock_intents.reserve(
            connection,
            ledger_id,
            facts.claims.cti,
            decision.doors,
            reopening=decision.reopening,
            now=facts.now,
        )
        return ledger_id, intents

    def _record_use(self, connection: sqlite3.Connection, ruling: _Ruling) -> int:
        """Write a use with its event, or only the event of a pickup that continues."""
        facts, decision, operator = ruling.facts, ruling.decision, ruling.operator_id
        use = decision.continues
        if use is not None:
            kind = "reopened" if decision.reopening else "continued"
            body = {"use": use.use_no, "doors": list(decision.doors)}
            self._report(connection, kind, facts.claims, body, operator, facts.now)
            return use.ledger_id
        return ledger.write_redemption(
            connection,
            facts.claims,
            decision,
            use_no=facts.state.next_use_no,
            place=ruling.place,
            now=facts.now,
            operator=operator,
            event_id=event_id(facts.now, self._random_bytes),
        )

    def _use_up(self, connection: sqlite3.Connection, ruling: _Ruling) -> None:
        """Use up what the ruling rests on: the typed request, accepted or not, and the grant."""
        decision = ruling.decision
        if ruling.used_pending:
            delete_pending_request(connection)
        new_use = decision.verdict.is_accepted and decision.continues is None
        if ruling.grant is not None and new_use:
            consume(connection, ruling.grant)

    def _request_for(
        self, connection: sqlite3.Connection, facts: DecisionFacts
    ) -> AuthorisationRequest:
        """Return the request for a grant to redeem the code of ``facts`` here and now.

        A device whose ledger is not whole names the redemptions that it counts: the authority
        counts the others.
        """
        entitlement, cti = facts.state.entitlement, facts.claims.cti
        device = self._terms.place.device_id
        wanted = is_restore_wanted(connection)
        return AuthorisationRequest(
            id=event_id(facts.now, self._random_bytes),
            cti=cti,
            units=facts.requested.units,
            counted=counted_events(connection, cti, device) if wanted else None,
            order_quantity=0 if entitlement is None else entitlement.quantity,
            order_amount_minor=None if entitlement is None else entitlement.amount_minor,
            due_ns=self._monotonic_ns() + (self._reply_within_ns or 0),
        )

    def _report(  # noqa: PLR0917 - the parts of one event
        self,
        connection: sqlite3.Connection,
        kind: str,
        claims: Claims,
        body: Mapping[str, object],
        operator: str | None,
        now: Instant,
    ) -> None:
        """Append an event about a code."""
        whole = {"cti": claims.cti.hex(), "order": claims.order_id, **body, "operator": operator}
        append(connection, type=kind, body=whole, now=now, id=event_id(now, self._random_bytes))


class _Scan(NamedTuple):
    claims: Claims
    now: Instant
    requested: RequestedUse
    decode_ms: float | None


class _Ruling(NamedTuple):
    """A decision with what it rests on."""

    facts: DecisionFacts
    decision: Decision
    place: OutboxPlace  # where its event will stand
    grant: Grant | None
    used_pending: bool  # a request was typed for this scan

    @property
    def operator_id(self) -> str | None:
        return None if self.facts.operator is None else self.facts.operator.id


def _usable(
    connection: sqlite3.Connection, cti: bytes, reply: AuthorisationReply, now_ns: int
) -> tuple[OnlineAuthorisation | None, Grant | None]:
    """Return the reply as a fact and the grant to consume; twice None for a late or used grant."""
    authorisation = OnlineAuthorisation(
        result=reply.result,
        id=reply.id,
        used=reply.used_units,
        used_minor=reply.used_minor,
        used_s=reply.used_s,
        used_by=reply.used_by,
        authority=reply.authority,
    )
    if reply.result is not AuthorisationResult.GRANTED:
        return authorisation, None
    grant = find_grant(connection, cti, now_ns)
    if grant is None or grant.id != reply.id:
        return None, None
    return authorisation, grant


def _journal_entry(
    scan: _Scan, ruling: _Ruling, policy_no: int, ledger_id: int | None
) -> JournalEntry:
    return JournalEntry(
        reason=ruling.decision.verdict.value,
        detail=ruling.decision.detail,
        now=scan.now,
        cti=scan.claims.cti,
        order_id=scan.claims.order_id,
        operator=ruling.operator_id,
        ledger_id=ledger_id,
        decode_ms=scan.decode_ms,
        policy_no=policy_no,
        facts=ruling.facts,
    )


def _store_unavailable(claims: Claims, detail: str) -> Redemption:
    return Redemption(reason=Verdict.STORE_UNAVAILABLE, detail=detail, claims=claims)
