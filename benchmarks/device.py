"""One device of a benchmark platform: its store, its edge-sync, and its events."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from benchmarks.platform import BIN, Platform, Program, until
from edge.store import outbox
from edge.store.database.store import Store
from edge.store.opening import open_store
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.protocol.event_bodies import RedeemedBody


def store_of(platform: Platform, device: str) -> Store:
    """Open the store of ``device``; the first call makes it."""
    opened = open_store(
        platform.folder / device, device_id=device, now_s=now().unix_s, random_bytes=os.urandom
    )
    assert opened.store is not None, opened.detail
    return opened.store


def start_sync(platform: Platform, device: str, profile: Path) -> Program:
    """Start the device's edge-sync, and wait until it is connected."""
    log = platform.folder / f"{device}.log"
    log.unlink(missing_ok=True)
    command = [
        str(BIN / "edge-sync"),
        "run",
        "--profile",
        str(profile),
        "--data",
        str(platform.folder / device),
    ]
    sync = Program(command, log)
    sync.start()
    until(lambda: '"connected"' in sync.output_text)
    return sync


def append(store: Store, count: int) -> None:
    """Append ``count`` redemptions to the outbox, in one commit."""
    with store.transaction() as connection:
        for _ in range(count):
            outbox.append(connection, type="redeemed", body=redemption(), now=now(), id=ident())


def redemption() -> dict[str, object]:
    """Return the body of the event of one redemption."""
    model = RedeemedBody(
        cti=os.urandom(16).hex(),
        order="A-1042",
        kind="write_off",
        use=1,
        units=1,
        amount_minor=1250,
        currency="EUR",
        verdict="accepted",
        kid="6b657931",
    )
    body: dict[str, object] = json.loads(model.model_dump_json())
    return body


def now() -> Instant:
    """Return the time of the system's clock."""
    return Instant(unix_s=int(time.time()))


def ident() -> str:
    """Return a new event id."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))
