"""A point in time, and how far the clock that gave it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ClockTrust(StrEnum):
    """Whether the wall clock may prove that something has *not yet* expired.

    A Raspberry Pi without a clock battery starts in the past. The persisted time
    floor then still proves "expired" and "already started", never the opposite.
    """

    TRUSTED = "trusted"
    FLOOR_ONLY = "floor_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """Unix time in whole seconds. With ``FLOOR_ONLY`` it is the earliest it can be now."""

    unix_s: int
    trust: ClockTrust = ClockTrust.TRUSTED
