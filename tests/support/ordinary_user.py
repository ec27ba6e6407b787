"""What a user sees who is not root, also in a run as root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """Do what is inside as a user who is not root. Yields an empty folder of that user's."""
    folder = Path(tempfile.mkdtemp(prefix="edge-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, _NOBODY, -1)
        os.seteuid(_NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)
