"""Decommission a device: block it, seal what was not reported, erase what is known of people.

In this order: the block is on disk, then the sealed events, and only then is anything erased. It is
safe to repeat at any point. What stays is what makes a code redeemable only once: the identities of
redeemed codes, without orders or people.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from edge.documents.revocation_order import RevocationOrder
from edge.encryption.sealed_box import RANDOM_BYTES, seal
from edge.identity.identity import BLOCKED
from edge.store.database.store import Store
from edge.store.erasure import UNSENT_COLUMNS, block, erase, unsent_events
from edge.system.durable_file import write_durably

FOLDER: Final = "recovery"  # in the data folder


def decommission(store: Store, data: Path, order: RevocationOrder, *, order_digest: str) -> Path:
    """Carry out ``order``, whose signature held; return the sealed file.

    Raises StoreUnavailableError and OSError.
    """
    block(store, order.reason)
    write_durably(data / BLOCKED, order.reason.encode())
    sealed = data / FOLDER / f"{order_digest[:32]}.sealed"
    if not sealed.exists():
        sealed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        random = os.urandom(RANDOM_BYTES)
        write_durably(sealed, seal(_unsent_lines(store), order.recovery_key, random=random))
    erase(store)
    _delete_quarantined(data, store)
    return sealed


def _unsent_lines(store: Store) -> bytes:
    """Return what the platform was never sent, or refused, as one JSON line for each event."""
    events = [
        dict(zip(UNSENT_COLUMNS, row, strict=True)) | {"body": json.loads(row[4])}
        for row in unsent_events(store)
    ]
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events).encode()


def _delete_quarantined(data: Path, store: Store) -> None:
    """Delete the stores that were put aside: they hold what this one did."""
    own = {store.path.name + suffix for suffix in ("", "-wal", "-shm")}
    for path in data.glob(f"{store.path.name}*"):
        if path.name not in own:
            path.unlink(missing_ok=True)
