"""Whether the disk of the store is full: a state with a name (law 6)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DISK_FULL: Final = "disk_full"  # a problem of both processes
FULL_BYTES: Final = 8 * 1024 * 1024  # twice what SQLite's log takes in the usual course
WHAT_TO_DO: Final = (
    "move quarantined stores away, and run: sudo journalctl --vacuum-size=16M;"
    " what is on disk is not lost"
)


def disk_problem(folder: Path) -> dict[str, str]:
    """Return the problem of a disk without room, as name to detail; empty where there is room."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return {}  # the store reports a disk that cannot be read
    free_bytes = found.f_bavail * found.f_frsize
    if free_bytes >= FULL_BYTES:
        return {}
    return {DISK_FULL: f"{free_bytes // 1024} KiB are free in {folder}: {WHAT_TO_DO}"}
