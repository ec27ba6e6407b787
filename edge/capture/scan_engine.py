"""The thread of a scan engine: keeps it open, hands over what it read, and says how it is.

Never an old scan: a code that nobody took within seconds (a slow disk, a door being pulsed) is thrown away,
because the person who showed it is gone. An engine that is unplugged is opened again, with growing pauses.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from edge.ports import CodeSource, EngineError, Symbol

_READ_S: Final = 0.2  # how long closing may have to wait for a read
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 2.0
_MOST: Final = 8  # codes waiting; beyond, the oldest is thrown away


@dataclass(frozen=True, slots=True)
class EngineScan:
    """A code from an engine, and when it was whole: ``read_ns`` of the monotonic clock."""

    symbol: Symbol
    read_ns: int


class EngineWorker:
    """Codes from an engine that may come and go."""

    def __init__(
        self, name: str, open_source: Callable[[], CodeSource], *, fresh_s: float = 2.0
    ) -> None:
        """``open_source`` opens the engine anew at each call, or raises EngineError. ``fresh_s``: older is old."""
        self.name = name
        self.thrown_away = 0  # codes that came too fast or were taken too late
        self._problem = ""
        self._open_source = open_source
        self._fresh_ns = fresh_s * 1e9
        self._waiting: deque[EngineScan] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    @property
    def problem(self) -> str:
        """What is wrong now, for people; empty while the engine is there."""
        return self._problem

    def start(self) -> None:
        """Begin to listen. Returns at once."""
        self._thread.start()

    def poll(self) -> list[EngineScan]:
        """Take all codes that are still fresh, oldest first. Returns at once."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            oldest_ns = time.monotonic_ns() - self._fresh_ns
            fresh = [scanned for scanned in waiting if scanned.read_ns >= oldest_ns]
            self.thrown_away += len(waiting) - len(fresh)
            return fresh

    def close(self) -> None:
        """Stop and release the engine. Safe to call twice."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(5 * _READ_S)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            if self._serve():
                pause_s = _FIRST_PAUSE_S
            self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _serve(self) -> bool:
        """Open the engine and listen until it is lost. True: it was open."""
        source: CodeSource | None = None
        try:
            source = self._open_source()
            self._problem = ""
            while not self._closing.is_set():
                symbol = source.read(_READ_S)
                if symbol is not None:
                    self._keep(EngineScan(symbol, time.monotonic_ns()))
        except EngineError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; the scanner must outlive it
            self._problem = f"scan engine failed: {type(error).__name__}: {error}"
        finally:
            if source is not None:
                with suppress(Exception):  # a lost engine often cannot even be closed
                    source.close()
        return source is not None

    def _keep(self, scanned: EngineScan) -> None:
        with self._lock:
            self._waiting.append(scanned)
            if len(self._waiting) > _MOST:
                self._waiting.popleft()
                self.thrown_away += 1
