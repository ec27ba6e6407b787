"""The wall clock with its floor and its trust (docs/explanation/time.md).

The floor is the latest moment that is proved to be past: the build, or a verified document's issue
time. From there it advances with the monotonic clock. It proves "expired" and "already started",
never "not yet expired".

The time of a synchronised clock has no signature. It is used while this process runs, until that
clock is corrected, and never persisted: one wrong time, persisted, would leave a device for which
every code is expired.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edge.values.instant import ClockTrust, Instant

# Of systemd-timesyncd(8); each boot removes it.
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_SLACK_S = 5.0  # a synchronised clock is normally set back by less than this
_LEAD_S = 366 * 86_400  # an unsynchronised clock is plausible up to so far ahead of the floor


def synchronised_by_systemd() -> bool:
    """Return whether the system clock was set from the network since this boot."""
    return SYNCHRONISED.exists()


class WallClock:
    """``Clock`` over the system's clocks. ``floor_s``: the persisted floor, which is proved."""

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
        self._proved_s = self._synced_s = floor_s
        self._proved_at_s = self._synced_at_s = monotonic_s()

    def now(self) -> Instant:
        """Return the time: trusted where the clock is synchronised and not before the floor.

        Otherwise the best estimate: the wall clock where it is within a year after the floor, or
        the floor, or the time that a synchronised clock had before.
        """
        wall_s, proved_s = self._wall_s(), self._proved_now_s()
        if wall_s >= proved_s - _SLACK_S and self._synchronised():
            self._record_synced(wall_s)
            now_s = max(self._synced_now_s(), proved_s)
            return Instant(unix_s=int(now_s), trust=ClockTrust.TRUSTED)
        least_s = max(self._synced_now_s(), proved_s)
        plausible = least_s <= wall_s <= least_s + _LEAD_S
        return Instant(unix_s=int(wall_s if plausible else least_s), trust=ClockTrust.FLOOR_ONLY)

    def implausible_by_s(self) -> int:
        """Return by how many seconds the system's clock is outside the plausible; negative: before.

        It is implausible before the floor, and more than a year after it unless synchronised.
        Without a proved floor any time is plausible, and the result is 0.
        """
        now, wall_s = self.now(), self._wall_s()
        least_s = self._proved_now_s()
        if not self._proved_s:
            return 0
        if wall_s < least_s - _SLACK_S:
            return int(wall_s - least_s)
        beyond = (
            now.trust is not ClockTrust.TRUSTED
            and wall_s > max(least_s, self._synced_now_s()) + _LEAD_S
        )
        return int(wall_s - least_s) if beyond else 0

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never jumps."""
        return self._monotonic_s()

    def floor_s(self) -> int:
        """Return the floor to persist: a start without a network begins no earlier."""
        return int(self._proved_now_s())

    def raise_floor(self, unix_s: float) -> None:
        """Raise the floor to ``unix_s``, proved for example by a verified document's issue time."""
        if unix_s > self._proved_now_s():
            self._proved_s, self._proved_at_s = unix_s, self._monotonic_s()

    def _record_synced(self, wall_s: float) -> None:
        """Record the time of a synchronised clock; ignore a small step back until it is over."""
        if not 0 <= self._synced_now_s() - wall_s <= _SLACK_S:
            self._synced_s, self._synced_at_s = wall_s, self._monotonic_s()

    def _proved_now_s(self) -> float:
        return self._proved_s + (self._monotonic_s() - self._proved_at_s)

    def _synced_now_s(self) -> float:
        return self._synced_s + (self._monotonic_s() - self._synced_at_s)
