"""Worker thread of a scan engine: keeps it open and queues the codes that it reads.

A scan is never delivered late. A code that was not polled within seconds (a slow disk, a door being
pulsed) is discarded, because the person who showed it is gone. An engine that was unplugged is
opened again, after growing pauses.
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

_READ_S: Final = 0.2  # how long ``close`` may have to wait for a read
_FIRST_PAUSE_S: Final = 0.25  # before the engine is opened again; doubles
_LONGEST_PAUSE_S: Final = 2.0
_MOST_WAITING: Final = 8  # codes; beyond, the oldest is discarded


@dataclass(frozen=True, slots=True)
class EngineScan:
    """One code of an engine. ``read_ns``: when it was complete, on the monotonic clock."""

    symbol: Symbol
    read_ns: int


class EngineWorker:
    """Codes of an engine that may be unplugged and plugged in again."""

    def __init__(
        self,
        name: str,
        open_source: Callable[[], CodeSource],
        *,
        fresh_s: float = 2.0,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        """Prepare the thread; ``start`` starts it.

        ``open_source`` opens the engine anew at each call, or raises EngineError. A code older than
        ``fresh_s`` is discarded. ``first_pause_s``: how long after a loss the engine is opened
        again; each further try waits twice as long.
        """
        self.name = name
        self.discarded = 0  # codes that came too fast or were polled too late
        self._problem = ""
        self._open_source = open_source
        self._first_pause_s = first_pause_s
        self._fresh_ns = fresh_s * 1e9
        self._waiting: deque[EngineScan] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    @property
    def problem(self) -> str:
        """Return what is wrong now, for people; empty while the engine is open."""
        return self._problem

    def start(self) -> None:
        """Begin to listen. Returns at once."""
        self._thread.start()

    def poll(self) -> list[EngineScan]:
        """Remove and return all codes that are still fresh, oldest first. Returns at once."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            oldest_ns = time.monotonic_ns() - self._fresh_ns
            fresh = [scan for scan in waiting if scan.read_ns >= oldest_ns]
            self.discarded += len(waiting) - len(fresh)
            return fresh

    def close(self) -> None:
        """Stop and release the engine. Safe to call twice."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(5 * _READ_S)

    def _run(self) -> None:
        pause_s = self._first_pause_s
        while not self._closing.is_set():
            if self._listen_until_lost():
                pause_s = self._first_pause_s
            self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _listen_until_lost(self) -> bool:
        """Open the engine and queue its codes until it is lost. Return whether it was open."""
        source: CodeSource | None = None
        try:
            source = self._open_source()
            self._problem = ""
            while not self._closing.is_set():
                symbol = source.read(_READ_S)
                if symbol is not None:
                    self._queue(EngineScan(symbol, time.monotonic_ns()))
        except EngineError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; the scanner goes on
            self._problem = f"scan engine failed: {type(error).__name__}: {error}"
        finally:
            if source is not None:
                with suppress(Exception):  # a lost engine often cannot even be closed
                    source.close()
        return source is not None

    def _queue(self, scan: EngineScan) -> None:
        with self._lock:
            self._waiting.append(scan)
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popleft()
                self.discarded += 1
