"""A call that may block, run in a thread of its own while a loop continues: a name, a handshake.

A slow name server or a host that drops packets would otherwise block the whole process: its
watchdog, its health file, the replies to the scanner. The thread does this one thing and ends. It
shares no data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundCall:
    """Runs ``call`` once. ``undo`` is run where an abandoned call succeeds after all."""

    def __init__(self, call: Callable[[], object], *, undo: Callable[[], object]) -> None:
        self._call = call
        self._undo = undo
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._abandoned = False
        self.error: Exception | None = None
        threading.Thread(target=self._run, daemon=True, name="background-call").start()

    def wait(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s``. True once the call has ended, with or without an error."""
        return self._ended.wait(timeout_s)

    def abandon(self) -> None:
        """Drop the result: undo the call if it has succeeded, or as soon as it does."""
        with self._guard:
            self._abandoned = True
            if self._ended.is_set() and self.error is None:
                self._undo()

    def _run(self) -> None:
        try:
            self._call()
        except Exception as error:  # noqa: BLE001 - kept for the caller, who knows which to expect
            self.error = error
        with self._guard:
            self._ended.set()
            if self._abandoned and self.error is None:
                self._undo()
