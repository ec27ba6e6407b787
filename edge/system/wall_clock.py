"""The wall clock, held to a floor, with how far it can be believed (docs/explanation/time.md).

The floor is the latest moment that is proved to be past: the build, or a verified document's issue time.
From there it moves on with the monotonic clock. It proves "expired" and "already started", never "not yet expired".
Nobody signs what a synchronised clock tells. It is held to while this process runs, until that clock is set
right again, and never persisted: one wrong time, kept, would leave a device that finds every code expired.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edge.values.instant import ClockTrust, Instant

SYNCHRONISED = Path(
    "/run/systemd/timesync/synchronized"
)  # systemd-timesyncd(8); gone after each boot
_SLACK_S = 5.0  # a synchronised clock is stepped back by less than this in ordinary running
_LEAD_S = 366 * 86_400  # a clock nobody vouches for is not believed to be further ahead than this


def synchronised_by_systemd() -> bool:
    """Whether the system clock was set from the network since this boot."""
    return SYNCHRONISED.exists()


class WallClock:
    """The port ``Clock`` over the system's clocks. ``floor_s`` is what the store persisted, all of it proved."""

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
        self._proved_s = self._told_s = floor_s
        self._proved_at_s = self._told_at_s = monotonic_s()

    def now(self) -> Instant:
        """Trusted where the system says synchronised and the floor does not say otherwise.

        Else the best that is known: the wall clock where it lies within a year after the floor, or the floor,
        or what a synchronised clock told before.
        """
        wall_s, proved_s = self._wall_s(), self._proved_now_s()
        if wall_s >= proved_s - _SLACK_S and self._synchronised():
            self._heed(wall_s)
            return Instant(unix_s=int(max(self._told_now_s(), proved_s)), trust=ClockTrust.TRUSTED)
        least_s = max(self._told_now_s(), proved_s)
        plausible = least_s <= wall_s <= least_s + _LEAD_S
        return Instant(unix_s=int(wall_s if plausible else least_s), trust=ClockTrust.FLOOR_ONLY)

    def astray_s(self) -> int:
        """How far the system's clock is outside what can be now, seconds: negative before it, 0 within.

        It cannot be before what is proved to be past. That it is more than a year after it, nobody vouches for.
        Where nothing is proved yet, it can be any time.
        """
        now, wall_s = self.now(), self._wall_s()
        least_s = self._proved_now_s()
        if not self._proved_s:
            return 0
        if wall_s < least_s - _SLACK_S:
            return int(wall_s - least_s)
        beyond = (
            now.trust is not ClockTrust.TRUSTED
            and wall_s > max(least_s, self._told_now_s()) + _LEAD_S
        )
        return int(wall_s - least_s) if beyond else 0

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never jumps."""
        return self._monotonic_s()

    def floor_s(self) -> int:
        """What to persist, so that a start without a network begins no earlier: what is proved."""
        return int(self._proved_now_s())

    def raise_floor(self, unix_s: float) -> None:
        """It is proved to be at least ``unix_s`` now, for instance by a verified document's issue time."""
        if unix_s > self._proved_now_s():
            self._proved_s, self._proved_at_s = unix_s, self._monotonic_s()

    def _heed(self, wall_s: float) -> None:
        """A synchronised clock tells ``wall_s``. It may take back what it told; small steps back are waited out."""
        if not 0 <= self._told_now_s() - wall_s <= _SLACK_S:
            self._told_s, self._told_at_s = wall_s, self._monotonic_s()

    def _proved_now_s(self) -> float:
        return self._proved_s + (self._monotonic_s() - self._proved_at_s)

    def _told_now_s(self) -> float:
        return self._told_s + (self._monotonic_s() - self._told_at_s)
