"""Hold-off: a code that stays in view counts once.

A hand holds a code before the camera for many frames. The first of them is the scan; the code counts again
when it has been out of view for the hold-off. Two codes in one frame are two scans.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from edge.ports import Symbol


class HoldOff:
    """Passes each code once per showing. Pure: time comes in with every call.

    Remembers at most ``capacity`` contents; beyond it the one longest out of view is forgotten. The ledger,
    not this class, is what makes a token count once: this spares the person a second verdict.
    """

    def __init__(self, hold_off_s: float, *, capacity: int = 64) -> None:
        self._hold_off_s = hold_off_s
        self._capacity = capacity
        self._last_seen_s: OrderedDict[bytes, float] = OrderedDict()  # longest out of view first

    def fresh(self, symbols: Iterable[Symbol], now_s: float) -> list[Symbol]:
        """Return the symbols that start a showing, in order. ``now_s`` is monotonic, in seconds."""
        return [symbol for symbol in symbols if self._is_fresh(symbol.content, now_s)]

    def _is_fresh(self, content: bytes, now_s: float) -> bool:
        before_s = self._last_seen_s.pop(content, None)
        self._last_seen_s[content] = now_s
        if len(self._last_seen_s) > self._capacity:
            self._last_seen_s.popitem(last=False)
        return before_s is None or now_s - before_s >= self._hold_off_s
