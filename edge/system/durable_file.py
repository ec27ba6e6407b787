"""Files that are whole or absent after a power cut, and their digest."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` whole: temporary file, fsync, rename, fsync of the folder. Raises OSError.

    ``mode`` is what the file gets, whatever the process's umask: who else is to read it must be able to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def digest_of(raw: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return sha256(raw).hexdigest()
