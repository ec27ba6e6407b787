"""Operator lists that operations push over the network.

They are files, one for each site, and the hub publishes them like every other list.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from edge.documents.operator_list import OperatorList, open_operator_list
from edge.system.durable_file import write_secret
from edge.token.signed_document import Keyring
from edge.values.instant import Instant
from edge.values.node_name import name_fault
from sync.hub.fleet.request_error import RequestError

FOLDER: Final = "operators"  # in the hub's data folder
SUFFIX: Final = ".cbor"


def pushed_lists(folder: Path) -> dict[str, Path]:
    """Return the files of the lists that were pushed, by site."""
    return {file.stem: file for file in sorted(folder.glob(f"*{SUFFIX}"))}


def save_pushed_list(
    folder: Path, raw: bytes, keys: Keyring, *, named: Collection[str], now: Instant
) -> OperatorList:
    """Save a list that verifies and is not older than the one before.

    ``named`` are the sites whose file hub.toml names. Raises RequestError, whose message names the
    next step, and OSError.
    """
    listed = open_operator_list(raw, keys=keys, now=now)
    if not isinstance(listed, OperatorList):
        raise RequestError(f"the hub cannot verify this list: {listed}")
    site = listed.audience
    if name_fault(site):
        raise RequestError(
            f"{site} is no site: lists of device groups are taken to devices by hand"
        )
    if site in named:
        raise RequestError(
            f"hub.toml names a file for {site}: "
            "put the list there, or take the file out of hub.toml"
        )
    path = folder / f"{site}{SUFFIX}"
    before = open_operator_list(path.read_bytes(), keys=keys, now=now) if path.exists() else None
    if isinstance(before, OperatorList) and before.version > listed.version:
        raise RequestError(
            f"a newer list of {site} is out ({before.version}): build this one again"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    write_secret(path, raw)  # an operator list holds hashes of PINs
    return listed
