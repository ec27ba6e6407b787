"""One code from its bytes to an outcome: verify, then redeem or refuse, and journal either way."""

from __future__ import annotations

import sqlite3

from edge.domain.verdict import Verdict
from edge.operators.sign_in import ShownBadge, SignInService
from edge.redemption.redeemer import Redeemer, Redemption
from edge.store import scan_journal
from edge.store.database.store import StoreUnavailableError
from edge.store.scan_journal import JournalEntry
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.verification import VerifyPolicy, open_token
from edge.trust.anchors import Anchors
from edge.values.instant import Instant


class VerifyingHandler:
    """Judges codes for one device.

    ``anchors`` None: there is no store, and nothing can be believed or honoured.
    ``desk`` None: badges are of no use here.
    """

    def __init__(
        self,
        redeemer: Redeemer,
        anchors: Anchors | None,
        *,
        audiences: frozenset[str],
        policy: VerifyPolicy,
        desk: SignInService | None = None,
    ) -> None:
        self._redeemer = redeemer
        self._anchors = anchors
        self._desk = desk
        self._audiences = audiences
        self._policy = policy

    def judge(self, content: bytes, now: Instant, *, decode_ms: float | None = None) -> Redemption:
        """Return what came of the code ``content``, on disk. Never raises for any content or disk."""
        if self._anchors is None:
            return Redemption(
                reason=Verdict.STORE_UNAVAILABLE, detail="no store, no trust list", claims=None
            )
        opened = open_token(
            content,
            trust=self._anchors.trust,
            status=self._anchors.status,
            now=now,
            audiences=self._audiences,
            policy=self._policy,
        )
        if isinstance(opened, TokenRefusal):
            return self._redeemer.refuse(opened, now, decode_ms=decode_ms, content=content)
        if opened.kind is Kind.OPERATOR and self._desk is not None:
            return _show(self._desk, opened, now, decode_ms)
        return self._redeemer.redeem(opened, now, decode_ms=decode_ms)


def _show(desk: SignInService, claims: Claims, now: Instant, decode_ms: float | None) -> Redemption:
    """A badge was scanned: nothing opens by it. On disk, with its line in the journal, when this returns."""
    try:
        with desk.store.transaction() as connection:
            shown = desk.show(connection, ShownBadge.of(claims), now)
            entry = JournalEntry(
                reason=shown.reason.value, detail=shown.detail, now=now, cti=claims.cti, operator=claims.order_id,
                decode_ms=decode_ms,
            )  # fmt: skip
            journal_id = scan_journal.write(connection, entry)
    except (StoreUnavailableError, sqlite3.Error) as error:
        return Redemption(reason=Verdict.STORE_UNAVAILABLE, detail=str(error), claims=claims)
    return Redemption(
        reason=shown.reason, detail=shown.detail, claims=claims, journal_id=journal_id
    )
