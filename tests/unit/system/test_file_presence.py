"""A file that cannot be reached is not called missing."""

import errno
from pathlib import Path

import pytest

from edge.system.file_presence import is_missing


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOMEM, errno.ESTALE])
def test_a_file_that_cannot_be_reached_may_be_there(tmp_path, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, "as if")

    monkeypatch.setattr(Path, "stat", fail)
    assert not is_missing(tmp_path)


def test_a_file_that_is_not_there_is_missing(tmp_path):
    (tmp_path / "file").touch()
    assert is_missing(tmp_path / "other")
    assert is_missing(tmp_path / "file" / "below")
    assert not is_missing(tmp_path / "file")
