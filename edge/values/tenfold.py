"""Which of many equal things is worth a line in the log. Pure."""

from __future__ import annotations


def is_tenfold(count: int) -> bool:
    """Return whether ``count`` is 1, 10, 100, ...: no sender can flood a log that has only these.

    >>> [count for count in range(1200) if is_tenfold(count)]
    [1, 10, 100, 1000]
    """
    return str(count).rstrip("0") == "1"
