"""Whether a file is missing, on a disk that may fail."""

from __future__ import annotations

from pathlib import Path


def is_missing(path: Path) -> bool:
    """Return whether there is certainly no file. One that cannot be reached may be there.

    ``Path.exists`` raises for some failures of the disk and calls others missing.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
