"""Hold-off: a code that stays in view counts once.

A hand holds a code before the camera for many frames. The first of them is the scan. The code
counts again when frames without it have come for the hold-off. Time without frames (a slow disk, a
stalled camera) is not time out of view. Two codes in one frame are two scans.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from edge.ports import Symbol


class HoldOff:
    """Filter that passes each code once per showing. Pure: time is an argument.

    It remembers at most ``capacity`` contents; beyond, it forgets the one longest out of view. Not
    this class but the ledger makes a token count once: the filter spares people a second verdict.
    """

    def __init__(self, hold_off_s: float, *, capacity: int = 64) -> None:
        self._hold_off_s = hold_off_s
        self._capacity = capacity
        # Longest out of view first; None: in view.
        self._gone_since_s: OrderedDict[bytes, float | None] = OrderedDict()

    def fresh(self, symbols: Sequence[Symbol], now_s: float) -> list[Symbol]:
        """Record one frame and return those of its ``symbols`` that start a showing, in order.

        ``now_s`` is monotonic. Call it for every frame, also for one without a code.
        """
        found = [symbol for symbol in symbols if self._starts(symbol.content, now_s)]
        in_view = {symbol.content for symbol in symbols}
        for content, gone_since_s in self._gone_since_s.items():
            if content not in in_view and gone_since_s is None:
                self._gone_since_s[content] = now_s
        return found

    @property
    def in_view(self) -> bool:
        """Return whether the last frame held a code."""
        return any(gone_since_s is None for gone_since_s in self._gone_since_s.values())

    def with_hold_off(self, hold_off_s: float) -> HoldOff:
        """Return a filter with the same memory and another hold-off: no code counts twice."""
        successor = HoldOff(hold_off_s, capacity=self._capacity)
        successor._gone_since_s = self._gone_since_s
        return successor

    def _starts(self, content: bytes, now_s: float) -> bool:
        known = content in self._gone_since_s
        gone_since_s = self._gone_since_s.pop(content, None)
        self._gone_since_s[content] = None
        if len(self._gone_since_s) > self._capacity:
            self._gone_since_s.popitem(last=False)
        return not known or (gone_since_s is not None and now_s - gone_since_s >= self._hold_off_s)
