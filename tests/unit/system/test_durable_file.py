import errno
import os
import stat
import sys

import pytest

from edge.system import durable_file
from edge.system.durable_file import write_durably, write_secret

OLD, NEW = b"the old content", b"the new content, which is longer"


def killed_at(line: int, path) -> bool:
    """Write in a child that dies at its ``line``-th line. False when it came to the end."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def trace(frame, event, _):
            nonlocal seen
            if frame.f_code.co_filename != durable_file.__file__:
                return None
            seen += event == "line"
            if seen == line:
                os._exit(9)
            return trace

        sys.settrace(trace)
        write_secret(path, NEW)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9), "the child failed in another way"
    return code == 9


def test_a_kill_at_any_line_leaves_the_old_or_the_new_file_and_never_none(tmp_path):
    line, found = 0, []
    died = True
    while died:
        line += 1
        path = tmp_path / str(line) / "acl"
        path.parent.mkdir()
        write_secret(path, OLD)
        died = killed_at(line, path)
        found.append(path.read_bytes())
        write_secret(path, NEW)  # what the kill left behind does not matter
        assert path.read_bytes() == NEW
    assert found[0] == OLD
    assert found[-1] == NEW
    assert set(found) == {OLD, NEW}
    assert line > 10


def test_the_file_is_on_disk_before_it_has_its_name_and_the_name_before_the_call_returns(
    tmp_path, monkeypatch
):
    """A power cut keeps only what was synchronised; a kill test cannot see this."""
    done = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noting_replace(source, target):
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    write_secret(tmp_path / "ca.key", NEW)
    assert done == ["file", "rename", "folder"]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_file_has_its_mode_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_secret(tmp_path / "secret", NEW)
        write_durably(tmp_path / "public", NEW, mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644


def test_a_secret_is_never_readable_by_others_while_it_is_written(tmp_path, monkeypatch):
    modes = []
    fsync = os.fsync

    def noting_fsync(descriptor):
        modes.append(os.fstat(descriptor).st_mode & 0o077)
        fsync(descriptor)

    path = tmp_path / "secret"
    path.write_bytes(OLD)
    path.chmod(0o644)
    monkeypatch.setattr(os, "fsync", noting_fsync)
    write_secret(path, NEW)
    assert modes[0] == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "acl"
    write_secret(path, OLD)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_secret(path, NEW)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]
