"""One code from its bytes to an outcome: verify, then redeem or refuse, and journal either way."""

from __future__ import annotations

import sqlite3

from edge.domain.verdict import Verdict
from edge.operators.sign_in import SignInService, badge_of
from edge.redemption.redeemer import Redeemer, Redemption
from edge.store import scan_journal
from edge.store.database.store import StoreUnavailableError
from edge.store.scan_journal import JournalEntry
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.verification import VerifyPolicy, open_token
from edge.trust.anchors import Anchors
from edge.values.instant import Instant


class VerifyingHandler:
    """Implements ``ScanHandler``: verifies and redeems codes at one device."""

    def __init__(
        self,
        redeemer: Redeemer,
        anchors: Anchors | None,
        *,
        audiences: frozenset[str],
        policy: VerifyPolicy,
        sign_in: SignInService | None = None,
    ) -> None:
        """``anchors`` None: there is no store, and no code can be verified.

        ``sign_in`` None: badges have no effect here.
        """
        self._redeemer = redeemer
        self._anchors = anchors
        self._sign_in = sign_in
        self._audiences = audiences
        self._policy = policy

    def handle(self, content: bytes, now: Instant, *, decode_ms: float | None = None) -> Redemption:
        """Return the outcome of the code ``content``, on disk.

        Never raises, whatever the content or the disk.
        """
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
        if opened.kind is Kind.OPERATOR and self._sign_in is not None:
            return show_badge(self._sign_in, opened, now, decode_ms)
        return self._redeemer.redeem(opened, now, decode_ms=decode_ms)


class BlockedHandler:
    """Implements ``ScanHandler`` for a device that is revoked or does not know its identity.

    It refuses every code. What was erased must not be collected again, so it journals nothing.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    def handle(self, content: bytes, now: Instant, *, decode_ms: float | None = None) -> Redemption:
        """Refuse ``content``, whatever it is."""
        del content, now, decode_ms
        return Redemption(reason=Verdict.BLOCKED_DEVICE, detail=self._why, claims=None)


def show_badge(
    sign_in: SignInService, claims: Claims, now: Instant, decode_ms: float | None
) -> Redemption:
    """Show a badge that was scanned, with its line in the journal. It opens nothing by itself."""
    try:
        with sign_in.store.transaction() as connection:
            shown = sign_in.show_badge(connection, badge_of(claims), now)
            entry = JournalEntry(
                reason=shown.reason.value,
                detail=shown.detail,
                now=now,
                cti=claims.cti,
                operator=claims.order_id,
                decode_ms=decode_ms,
            )
            journal_id = scan_journal.write(connection, entry)
    except (StoreUnavailableError, sqlite3.Error) as error:
        return Redemption(reason=Verdict.STORE_UNAVAILABLE, detail=str(error), claims=claims)
    return Redemption(
        reason=shown.reason, detail=shown.detail, claims=claims, journal_id=journal_id
    )
