"""CertLogic's date-times: points of the proleptic Gregorian calendar in UTC, to the millisecond.

The calendar sums are Howard Hinnant's ("chrono-Compatible Low-Level Date Algorithms"), because a pure
room asks no clock and no time zone of the machine.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from edge.rules.fault import Cause, Stop

DAY_MS: Final = 86_400_000
UNITS: Final = ("year", "month", "day", "hour")
_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{1,2}):?(\d{2})?)?",
    re.ASCII,
)
_PARTIAL: Final = re.compile(r"(\d{4})(?:-(\d{2}))?", re.ASCII)
_LONGEST: Final = 40  # characters
_LARGEST_AMOUNT: Final = 10**6


class Moment(NamedTuple):
    """Milliseconds since 1970-01-01T00:00:00Z."""

    ms: int


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date.

    >>> days_from_civil(2000, 3, 1)
    11017
    """
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Return the year, month and day that are ``days`` after 1970-01-01.

    >>> civil_from_days(11017)
    (2000, 3, 1)
    """
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def days_in_month(year: int, month: int) -> int:
    """Return how many days a month has."""
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return days_from_civil(*following, 1) - days_from_civil(year, month, 1)


def parse_moment(text: str) -> Moment:
    """Read a date, or a date-time that is UTC where it names no offset. Raises Stop.

    A date may lack its day, or its month too, as dates of birth do: it is then the last day that it can be.
    """
    if len(text) <= _LONGEST:
        if found := _PARTIAL.fullmatch(text):
            return _last_day(int(found[1]), int(found[2] or 12))
        if found := _DATE.fullmatch(text):
            return Moment(_midnight_ms(*(int(part) for part in found.groups())))
        if found := _DATE_TIME.fullmatch(text):
            return _date_time(found)
    raise Stop(Cause.ARGUMENTS, "not a date (YYYY-MM-DD) or date-time (RFC 3339)")


def plus_time(moment: Moment, amount: int, unit: str) -> Moment:
    """Add calendar units. A day that the month lacks becomes its last, as in java.time and Swift. Raises Stop."""
    if abs(amount) > _LARGEST_AMOUNT:
        raise Stop(Cause.NUMBER_RANGE, f"more than {_LARGEST_AMOUNT} units of time")
    if unit == "day":
        return Moment(moment.ms + amount * DAY_MS)
    if unit == "hour":
        return Moment(moment.ms + amount * 3_600_000)
    days, rest_ms = divmod(moment.ms, DAY_MS)
    year, month, day = civil_from_days(days)
    months = year * 12 + month - 1 + amount * (12 if unit == "year" else 1)
    year, month = months // 12, months % 12 + 1
    return Moment(
        days_from_civil(year, month, min(day, days_in_month(year, month))) * DAY_MS + rest_ms
    )


def _last_day(year: int, month: int) -> Moment:
    _check(1 <= month <= 12)
    return Moment(_midnight_ms(year, month, days_in_month(year, month)))


def _date_time(found: re.Match[str]) -> Moment:
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    _check(hour <= 24 and minute <= 59 and second <= 59 and (hour < 24 or minute == second == 0))
    thousandths = int((found[7] or "").ljust(3, "0")[:3])
    offset_min = int(found[9] or 0) * 60 + int(found[10] or 0)
    _check(int(found[9] or 0) <= 23 and int(found[10] or 0) <= 59)
    minutes = hour * 60 + minute - (offset_min if found[8] != "-" else -offset_min)
    return Moment(_midnight_ms(year, month, day) + minutes * 60_000 + second * 1000 + thousandths)


def _midnight_ms(year: int, month: int, day: int) -> int:
    _check(1 <= month <= 12 and 1 <= day <= days_in_month(year, month))
    return days_from_civil(year, month, day) * DAY_MS


def _check(possible: bool) -> None:
    if not possible:
        raise Stop(Cause.ARGUMENTS, "no such date or time")
