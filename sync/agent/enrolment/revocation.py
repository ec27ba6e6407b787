"""The order to leave, as it comes to a device: believed by its signature, carried out, and said in the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.documents.revocation_order import RevocationOrder, open_revocation_order
from edge.documents.settings import DeviceScope
from edge.governance.decommission import decommission
from edge.identity.identity import read_identity, why_blocked
from edge.store.database.store import Store
from edge.system.durable_file import digest_of
from edge.token.signed_document import Keyring
from edge.values.instant import Instant


class RevocationHandler:
    """One device's. An order from before its enrolment is a replay, and changes nothing."""

    def __init__(
        self, store: Store, data: Path, *, me: DeviceScope, keys: Callable[[], Keyring], log: Any
    ) -> None:
        self._store = store
        self._data = data
        self._me = me
        self._keys = keys
        self._log = log
        self._done = ""

    def __call__(self, raw: bytes, now: Instant) -> bool:
        """Carry out ``raw`` if it is an order. False: it is not one. Raises StoreUnavailableError, OSError."""
        order = open_revocation_order(raw, self._keys(), now=now)
        if not isinstance(order, RevocationOrder):
            return False
        digest = digest_of(raw)
        identity = read_identity(self._data)
        if (order.tenant, order.device) != (self._me.tenant, self._me.device):
            self._log.warning("order_for_another", dev=order.device)
        elif identity is not None and order.issued_at_s < identity.enrolled_s:
            self._log.warning("order_replayed", issued_at_s=order.issued_at_s)
        elif digest != self._done:
            sealed = decommission(self._store, self._data, order, order_digest=digest)
            self._done = digest
            self._log.error("blocked_device", reason=order.reason, sealed=str(sealed))
        return True

    @property
    def blocked(self) -> str | None:
        """Why this device is blocked."""
        return why_blocked(self._data)
