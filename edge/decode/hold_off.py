"""Hold-off: a code that stays in view counts once.

A hand holds a code before the camera for many frames. The first of them is the scan. The code
counts again when frames without it have come for the hold-off. Time without frames (a slow disk, a
stalled camera) is not time out of view. Two codes in one frame are two scans.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

from edge.ports import Symbol


class HoldOff:
    """Filter that passes each code once per showing. Pure: time is an argument.

    A code in view is never forgotten. Of those out of view it remembers the ones within the
    hold-off, the newest ``capacity`` at most. Not this class but the ledger makes a token count
    once: the filter spares people a second verdict.
    """

    def __init__(self, hold_off_s: float, *, capacity: int = 4096) -> None:
        self._hold_off_s = hold_off_s
        self._capacity = capacity
        # Longest out of view first; None: in view.
        self._gone_since_s: OrderedDict[bytes, float | None] = OrderedDict()
        self.in_view = False  # the last frame held a code

    def fresh(
        self, symbols: Sequence[Symbol], now_s: float, *, most: int | None = None
    ) -> list[Symbol]:
        """Record one frame and return those of its ``symbols`` that start a showing, in order.

        ``now_s`` is monotonic. Call it for every frame, also for one without a code. At most
        ``most`` start (None: all); the others are still new to the next frame.
        """
        self.in_view = bool(symbols)
        found: list[Symbol] = []
        for symbol in symbols:
            gone_since_s = self._gone_since_s.get(symbol.content, -math.inf)
            if gone_since_s is not None and now_s - gone_since_s >= self._hold_off_s:
                if most is not None and len(found) >= most:
                    continue
                found.append(symbol)
            self._gone_since_s[symbol.content] = None
            self._gone_since_s.move_to_end(symbol.content)
        self._record_gone({symbol.content for symbol in symbols}, now_s)
        return found

    def with_hold_off(self, hold_off_s: float) -> HoldOff:
        """Return a filter with the same memory and another hold-off: no code counts twice."""
        successor = HoldOff(hold_off_s, capacity=self._capacity)
        successor._gone_since_s = self._gone_since_s
        successor.in_view = self.in_view
        return successor

    def _record_gone(self, in_view: set[bytes], now_s: float) -> None:
        """Record what left the view, and forget what counts as new when it is shown again."""
        for content, gone_since_s in list(self._gone_since_s.items()):
            if content in in_view:
                continue
            if gone_since_s is None:
                self._gone_since_s[content] = now_s
            elif now_s - gone_since_s >= self._hold_off_s:
                del self._gone_since_s[content]
        for content in list(islice(self._gone_since_s, self._excess(in_view))):
            del self._gone_since_s[content]

    def _excess(self, in_view: set[bytes]) -> int:
        """Return how many of the codes out of view are beyond the capacity."""
        seen = sum(content in self._gone_since_s for content in in_view)
        return max(0, len(self._gone_since_s) - seen - self._capacity)
