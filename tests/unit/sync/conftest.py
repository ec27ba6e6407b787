import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def memory_folder():
    """Make empty folders, in memory where there is such a place: what the protocol does is not about the disk."""
    shared = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    yield lambda: Path(tempfile.mkdtemp(dir=root))
    shutil.rmtree(root)
