"""The last shipped profile that could be used: the device runs on it while its own is wrong.

The scanner keeps it beside the settings. All other processes only read it, the doctor as another
user.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from edge.system.durable_file import write_durably

LAST_GOOD: Final = "profile.last-good.toml"  # in the data folder


def keep_last_good(content: bytes, data: Path) -> None:
    """Write a profile that can be used. Raises OSError."""
    write_durably(data / LAST_GOOD, content)


def read_last_good(data: Path) -> bytes | None:
    """Return the last profile that could be used, without identity; None if none was kept."""
    with suppress(OSError):
        return (data / LAST_GOOD).read_bytes()
    return None
