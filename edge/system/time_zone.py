"""Offset of a site's clocks from UTC, from the system's time zone data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Unix seconds to seconds ahead of UTC then; None: not known.
UtcOffset = Callable[[int], int | None]


def utc_offset_of(name: str) -> UtcOffset:
    """Return the function of time that is the offset of zone ``name`` (IANA).

    It returns None at any time for a zone that this system does not have.

    >>> utc_offset_of("UTC")(0)
    0
    >>> utc_offset_of("Atlantis/Poseidonis")(0) is None
    True
    """
    if name == "UTC":
        return lambda _: 0
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return lambda _: None

    def offset_s(unix_s: int) -> int | None:
        try:
            offset = datetime.fromtimestamp(unix_s, UTC).astimezone(zone).utcoffset()
        except (OverflowError, ValueError, OSError):
            return None
        return None if offset is None else int(offset.total_seconds())

    return offset_s


def zone_problem(name: str) -> str | None:
    """Return what is wrong with the zone ``name`` and what to do; None when it is known.

    >>> zone_problem("UTC")
    """
    if utc_offset_of(name)(0) is not None:
        return None
    return (
        f"this system does not know the time zone {name}, so every rule refuses"
        " (rule_failed, no_local_time):"
        " correct policy.timezone, for example Europe/Madrid, or install tzdata"
    )
