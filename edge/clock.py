"""The wall clock, held to a floor, with how far it can be believed (TOKEN, "Time").

The floor is the latest moment that is proved to be past: the build, a verified document's issue
time, a moment that a synchronised clock told. From there it moves on with the monotonic clock.
It proves "expired" and "already started", never "not yet expired".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edge.instant import ClockTrust, Instant

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd(8); gone after each boot
_SLACK_S = 5.0  # a synchronised clock is stepped back by less than this in ordinary running
_LEAD_S = 366 * 86_400  # a clock nobody vouches for is not believed to be further ahead than this


def synchronised_by_systemd() -> bool:
    """Whether the system clock was set from the network since this boot."""
    return SYNCHRONISED.exists()


class WallClock:
    """The port ``Clock`` over the system's clocks. ``floor_s`` is what the store persisted."""

    def __init__(
        self,
        floor_s: float,
        *,
        synchronised: Callable[[], bool] = synchronised_by_systemd,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._synchronised = synchronised
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._floor_s = floor_s
        self._floor_at_s = monotonic_s()

    def now(self) -> Instant:
        """Trusted where the system says synchronised and the floor does not say otherwise.

        Else the best that is known: the wall clock where it lies within a year after the floor, or the floor.
        """
        wall_s, floor_s = self._wall_s(), self._current_floor_s()
        if wall_s >= floor_s - _SLACK_S and self._synchronised():
            self.raise_floor(wall_s)
            return Instant(unix_s=int(max(wall_s, floor_s)), trust=ClockTrust.TRUSTED)
        plausible = floor_s <= wall_s <= floor_s + _LEAD_S
        return Instant(unix_s=int(wall_s if plausible else floor_s), trust=ClockTrust.FLOOR_ONLY)

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never jumps."""
        return self._monotonic_s()

    def floor_s(self) -> int:
        """What to persist, so that a start without a network begins no earlier."""
        return int(self._current_floor_s())

    def raise_floor(self, unix_s: float) -> None:
        """It is proved to be at least ``unix_s`` now, for instance by a verified document's issue time."""
        if unix_s > self._current_floor_s():
            self._floor_s, self._floor_at_s = unix_s, self._monotonic_s()

    def _current_floor_s(self) -> float:
        return self._floor_s + (self._monotonic_s() - self._floor_at_s)
