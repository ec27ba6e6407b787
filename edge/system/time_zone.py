"""How far a site's clocks are ahead of UTC, from the system's time zone data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UtcOffset = Callable[
    [int], int | None
]  # Unix seconds -> seconds ahead of UTC then; None: not known


def utc_offset_of(name: str) -> UtcOffset:
    """Return the offset of the zone ``name`` (IANA) at any moment; a zone this system does not have is never known.

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
    """What is wrong with the zone ``name`` here, and what to do; None when it is known.

    >>> zone_problem("UTC")
    """
    if utc_offset_of(name)(0) is not None:
        return None
    return (
        f"this system does not know the time zone {name}, so every rule refuses (rule_failed, no_local_time):"
        " correct policy.timezone, for instance Europe/Madrid, or install tzdata"
    )
