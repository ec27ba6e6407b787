"""Watch whether this device has its ledger back."""

from __future__ import annotations

from typing import Final

from edge.store.database.store import Store
from edge.store.ledger_restore import bound_loss, is_loss_bounded, restore_state
from edge.system.wall_clock import WallClock

RESTORE_PENDING: Final = "ledger_restore_pending"


class RestoreWatch:
    """Names a restore that takes long. It also notes when the loss was, once the time is known."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since_s: float | None = None

    def watch(self, store: Store, clock: WallClock) -> str | None:
        """Return what is wrong, or None. Raises StoreUnavailableError."""
        state = restore_state(store)
        if not is_loss_bounded(state):
            bound_loss(store, clock.now())
        if state.after is None:
            self._since_s = None
            return None
        now_s = clock.monotonic_s()
        self._since_s = now_s if self._since_s is None else self._since_s
        if now_s - self._since_s < self._patience_s:
            return None
        return (
            "the platform has not given back what this device redeemed before: connect it; until"
            " then codes from before need the network (policy.offline_recovering)"
        )
