"""The current run of the machine, to which sessions and monotonic times belong."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")  # proc(5): new at each start


@cache
def boot_id() -> str:
    """Return the name of this run of the machine; empty where the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
