"""One device of a field: its store, its edge-sync, and what it has to tell."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from benchmarks.field import BIN, Field, Program, until
from edge.store import outbox
from edge.store.database.store import Store
from edge.store.opening import open_store
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.protocol.event_bodies import RedeemedBody


def store_of(field: Field, device: str) -> Store:
    """The store of ``device``, made at its first use."""
    opened = open_store(
        field.folder / device, device_id=device, now_s=now().unix_s, random_bytes=os.urandom
    )
    assert opened.store is not None, opened.detail
    return opened.store


def start_sync(field: Field, device: str, profile: Path) -> Program:
    """Its edge-sync; returns when it is connected."""
    log = field.folder / f"{device}.log"
    log.unlink(missing_ok=True)
    command = [
        str(BIN / "edge-sync"),
        "run",
        "--profile",
        str(profile),
        "--data",
        str(field.folder / device),
    ]
    sync = Program(command, log)
    sync.start()
    until(lambda: '"connected"' in sync.said)
    return sync


def append(store: Store, count: int) -> None:
    """``count`` redemptions to tell, in one commit."""
    with store.transaction() as connection:
        for _ in range(count):
            outbox.append(connection, type="redeemed", body=redemption(), now=now(), id=ident())


def redemption() -> dict[str, object]:
    """What the event of one redemption says."""
    whole = RedeemedBody(
        cti=os.urandom(16).hex(), order="A-1042", kind="write_off", use=1, units=1, amount_minor=1250, currency="EUR",
        verdict="accepted", kid="6b657931",
    )  # fmt: skip
    body: dict[str, object] = json.loads(whole.model_dump_json())
    return body


def now() -> Instant:
    """By the system's clock."""
    return Instant(unix_s=int(time.time()))


def ident() -> str:
    """A new identity of an event."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))
