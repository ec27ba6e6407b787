"""Files that are whole or absent after a power cut, and their digest."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` whole: temporary file, fsync, rename, fsync of the folder. Raises OSError.

    The file gets ``mode`` whatever the process's umask is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        _write_new(temporary, content, mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # a full disk leaves no half file behind
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # or a power cut could bring the older file back
    finally:
        os.close(folder)


def write_secret(path: Path, content: bytes) -> None:
    """Replace ``path`` as ``write_durably`` does, readable by its owner alone. Raises OSError.

    The file has mode 0600 before its first byte: no other user can read it for even a moment.
    """
    write_durably(path, content, mode=0o600)


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of ``raw`` in hexadecimal."""
    return sha256(raw).hexdigest()


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
