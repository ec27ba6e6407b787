"""Something that may block, tried in a thread of its own while a loop goes on: resolving a name, a handshake.

A slow name server or a host that swallows packets would otherwise hold up the whole process: its watchdog,
its health file, the answers to the scanner. The thread does this one thing and ends; nothing is shared with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundCall:
    """Runs ``what`` once. An attempt that is abandoned is undone by ``undo`` when it succeeds after all."""

    def __init__(self, what: Callable[[], object], *, undo: Callable[[], object]) -> None:
        self._what = what
        self._undo = undo
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._abandoned = False
        self.error: Exception | None = None
        threading.Thread(target=self._run, daemon=True, name="attempt").start()

    def wait(self, timeout_s: float) -> bool:
        """True when it is over, well or not."""
        return self._over.wait(timeout_s)

    def abandon(self) -> None:
        """Nobody wants its result any more."""
        with self._guard:
            self._abandoned = True
            if self._over.is_set() and self.error is None:
                self._undo()

    def _run(self) -> None:
        try:
            self._what()
        except Exception as error:  # noqa: BLE001 - told to whoever waits, who knows what it may be
            self.error = error
        with self._guard:
            self._over.set()
            if self._abandoned and self.error is None:
                self._undo()
