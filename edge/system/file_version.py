"""The version of a file: what differs once the file was replaced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Inode number, modification time in nanoseconds and size in bytes of one version of a file."""

    inode: int
    modified_ns: int
    size: int


def file_version(path: Path) -> FileVersion | None:
    """Return the present version of ``path``; None where no file can be seen.

    Take the version before the content is read: a file that is replaced in between is read again.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return FileVersion(status.st_ino, status.st_mtime_ns, status.st_size)
