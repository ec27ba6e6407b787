"""Third-party test data, which is beside the project and no part of it."""

import json
import os
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def shared_data(*parts: str) -> Path:
    """Return a file or folder of the shared data; skip the test, with a reason, without it."""
    folder = Path(os.environ.get("EDGE_SCANNER_SHARED_DATA") or ROOT.parent / "shared" / "data")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no third-party data at {path}: set EDGE_SCANNER_SHARED_DATA")
    return path


def shared_json(*parts: str):
    """Return a JSON file of the shared data."""
    return json.loads(shared_data(*parts).read_text(encoding="utf-8"))
