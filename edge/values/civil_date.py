"""Calendar dates without a clock, a time zone or a library: pure rooms have none.

The sums are Howard Hinnant's ("chrono-Compatible Low-Level Date Algorithms", ``civil_from_days``).
"""

from __future__ import annotations


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
