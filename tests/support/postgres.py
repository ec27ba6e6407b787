"""A real PostgreSQL of our own in a temporary folder, reached through a socket there."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
BIN = (
    _FOUND[-1].parent
    if _FOUND
    else Path(shutil.which("postgres") or "/nowhere/postgres").resolve().parent
)
_OWNER = "postgres"  # the server refuses to run as root


class Postgres:
    """``database()`` makes an empty database and gives its URL."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._numbers = count(1)

    def database(self) -> str:
        name = f"hub{next(self._numbers)}"
        _as_owner(
            str(BIN / "psql"),
            "-qh",
            str(self.folder),
            "-U",
            _OWNER,
            "-c",
            f"CREATE DATABASE {name}",
            "postgres",
        )
        return f"postgresql://{_OWNER}@/{name}?host={self.folder}"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    if not (BIN / "postgres").exists():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    folder = Path(
        tempfile.mkdtemp(prefix="pg-")
    )  # a short path: a socket's name has at most 107 bytes
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(_OWNER).pw_uid, -1)
    data = str(folder / "data")
    try:
        _as_owner(str(BIN / "initdb"), "-D", data, "-U", _OWNER, "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        _as_owner(
            str(BIN / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start"
        )
        try:
            yield Postgres(folder)
        finally:
            _as_owner(str(BIN / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_owner(*command: str) -> None:
    prefix = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, capture_output=True, cwd="/")
