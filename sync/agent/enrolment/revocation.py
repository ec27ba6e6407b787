"""Revocation orders: verified by their signature, carried out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.documents.revocation_order import RevocationOrder, open_revocation_order
from edge.documents.settings import DeviceScope
from edge.documents.waiting_documents import WaitingDocuments
from edge.governance.decommission import decommission
from edge.identity.identity import read_identity
from edge.store.database.store import Store
from edge.system.durable_file import digest_of
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import Instant
from edge.values.tenfold import is_tenfold
from sync.agent.settings.refused_documents import RefusedDocuments

_ACCEPTABLE_LATER: Final = {DocumentFault.KEY_UNKNOWN, DocumentFault.KEY_WINDOW}


class RevocationHandler:
    """Carries out revocation orders for one device.

    An order from before the device's enrolment is a replay and changes nothing. One whose key is
    not known yet waits for the trust list. One that is refused is in the report of settings.
    """

    def __init__(
        self,
        store: Store,
        data: Path,
        *,
        scope: DeviceScope,
        keys: Callable[[], Keyring],
        refused: RefusedDocuments,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._data = data
        self._scope = scope
        self._keys = keys
        self._refused = refused
        self._log = log
        self._waiting = WaitingDocuments()
        self._warned: Counter[str] = Counter()
        self._done = ""  # SHA-256 of the order that was carried out

    def receive(self, raw: bytes, now: Instant) -> DocumentRefusal | None:
        """Carry out the order ``raw``, or return why not. Raises StoreUnavailableError, OSError."""
        digest = digest_of(raw)
        order = open_revocation_order(raw, self._keys(), now=now)
        if isinstance(order, DocumentRefusal):
            if order.fault in _ACCEPTABLE_LATER:
                self._waiting.add(digest, raw)
            else:
                self._refused.add_unverified(digest, str(order.fault), order.detail)
            return order
        self._carry_out(order, digest)
        return None

    def retry(self, now: Instant, monotonic_s: float) -> None:
        """Receive again what waits for its key. Raises StoreUnavailableError, OSError."""
        for raw in self._waiting.take_due(monotonic_s):
            refused = self.receive(raw, now)
            if refused is not None and refused.fault not in _ACCEPTABLE_LATER:
                self._warn("order_refused", reason=refused.fault, detail=refused.detail)

    def _carry_out(self, order: RevocationOrder, digest: str) -> None:
        identity = read_identity(self._data)
        if (order.tenant, order.device) != (self._scope.tenant, self._scope.device):
            self._warn("order_for_another", dev=order.device)
        elif identity is not None and order.issued_at_s < identity.enrolled_s:
            self._warn("order_replayed", issued_at_s=order.issued_at_s)
        elif digest != self._done:
            sealed = decommission(self._store, self._data, order, order_digest=digest)
            self._done = digest
            self._log.error("blocked_device", reason=order.reason, sealed=str(sealed))

    def _warn(self, event: str, **what: object) -> None:
        """Log the 1st, 10th, 100th, ...: anyone at the broker can send an order again."""
        self._warned[event] += 1
        if is_tenfold(self._warned[event]):
            self._log.warning(event, **what, count=self._warned[event])
