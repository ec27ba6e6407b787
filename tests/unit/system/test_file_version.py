"""The version of a file changes when the file is replaced."""

import os
from pathlib import Path

from edge.system.durable_file import write_durably
from edge.system.file_version import file_version


def test_an_unchanged_file_has_the_same_version(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"one")
    before = file_version(file)
    file.read_bytes()
    assert before is not None
    assert file_version(file) == before


def test_a_file_replaced_by_equal_content_has_another_version(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"one")
    before = file_version(file)
    write_durably(file, b"one")
    assert file_version(file) != before


def test_content_that_grows_at_the_same_time_is_another_version(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"one")
    before, at = file_version(file), file.stat()
    with file.open("ab") as open_file:
        open_file.write(b" more")
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert file_version(file) != before


def test_a_missing_file_has_no_version(tmp_path: Path) -> None:
    assert file_version(tmp_path / "list") is None
    assert file_version(tmp_path / "list" / "below") is None
