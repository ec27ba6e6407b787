"""Status lists that operations publish over the network: files, one for each issuer key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edge.system.durable_file import write_durably
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.token.status_list import StatusList, open_status_list
from edge.values.instant import Instant
from sync.hub.fleet.request_error import RequestError

FOLDER: Final = "status-lists"  # in the hub's data folder
SUFFIX: Final = ".cbor"


def published_lists(folder: Path) -> tuple[Path, ...]:
    """Return the files of the lists that were published, by key."""
    return tuple(sorted(folder.glob(f"*{SUFFIX}")))


def save_published_list(
    folder: Path, raw: bytes, keys: Keyring, *, named: Iterable[Path], now: Instant
) -> StatusList:
    """Save a list that verifies and is not older than the one before.

    ``named`` are the files that hub.toml names. Raises RequestError, whose message names the next
    step, and OSError.
    """
    listed = open_status_list(raw, keys=keys, now=now)
    if isinstance(listed, DocumentRefusal):
        raise RequestError(f"the hub cannot verify this list: {listed}")
    for file in named:
        other = open_status_list(file.read_bytes(), keys=keys, now=now) if file.exists() else None
        if isinstance(other, StatusList) and other.kid == listed.kid:
            raise RequestError(
                f"hub.toml names {file} for this issuer key: put the list there, or take the file"
                " out of hub.toml"
            )
    path = folder / f"{listed.kid.hex()}{SUFFIX}"
    before = open_status_list(path.read_bytes(), keys=keys, now=now) if path.exists() else None
    if isinstance(before, StatusList) and before.version > listed.version:
        raise RequestError(f"a newer list is out ({before.version}): build this one again")
    folder.mkdir(mode=0o700, exist_ok=True)
    write_durably(path, raw, mode=0o644)
    return listed
