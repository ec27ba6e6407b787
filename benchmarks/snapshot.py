"""A snapshot of a site's orders: against the inserts alone, and all of it through a real broker, in bounded memory.

Size of the second by ``EDGE_SCANNER_SNAPSHOT_ROWS`` (1,000,000).
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.device import now, start_sync, store_of
from benchmarks.field import BIN, Field, scratch, until
from benchmarks.measurement import Measurement
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import row_of
from edge.store import order_cache
from edge.store.database.store import Store, connect
from edge.token.claims import Kind
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from edge.trust.anchors import Anchors
from sync.agent.downlink import Downlink
from sync.wire.order_feed import PAGE_ROWS, Snapshot, page_payload

PAGES = 100
WHOLE_ROWS = int(os.environ.get("EDGE_SCANNER_SNAPSHOT_ROWS", "1000000"))
WHOLE_TIMEOUT_S = 1800.0
DEVICE, FRESH = "kiosk-1", "kiosk-2"


def measure() -> Iterator[Measurement]:
    """Rows a second of pages that are here, and of a whole snapshot; memory while it comes."""
    with tempfile.TemporaryDirectory(dir=scratch(), prefix="sync-bench-") as name:
        yield _against_inserts(Path(name))
    with tempfile.TemporaryDirectory(dir=scratch(), prefix="sync-bench-") as name:
        field = Field(Path(name), {DEVICE: "shop-1", FRESH: "shop-1"})
        try:
            yield from _whole(field)
        finally:
            field.close()


# Against the inserts alone


def _against_inserts(folder: Path) -> Measurement:
    """Pages as they come off the wire, verified, read and applied, and the same rows inserted, page by page in turn.

    Both into the same table of a database with the same pragmas, each page a commit on disk. Of both the quickest
    quarter of the pages is looked at: what else the machine does makes a page slower, never quicker.
    """
    field = Field(folder, {DEVICE: "shop-1"})  # for its keys; nothing is started
    store, bare = store_of(field, DEVICE), connect(folder / "bare.db")
    (ddl,) = (
        store.connection()
        .execute("SELECT sql FROM sqlite_master WHERE name = 'entitlement'")
        .fetchone()
    )
    bare.execute(ddl)
    roots = field.keys.roots()
    downlink = Downlink(
        store, roots, Anchors(store, roots), device=DEVICE, site="shop-1", vouch=lambda _: None
    )
    downlink.receive_trust_list((folder / "trust-list.cose").read_bytes(), now())
    ours: list[float] = []
    theirs: list[float] = []
    for raw, rows in _pages(field):
        began = time.perf_counter()
        downlink.receive_page(raw, now(), 0.0)
        ours.append(time.perf_counter() - began)
        stored = _stored(store, rows)
        began = time.perf_counter()
        _insert(bare, stored)
        theirs.append(time.perf_counter() - began)
    held = order_cache.count(store)
    assert (
        held == bare.execute("SELECT count(*) FROM entitlement").fetchone()[0] == PAGES * PAGE_ROWS
    ), held
    value, peer = (PAGE_ROWS / statistics.quantiles(each, n=4)[0] for each in (ours, theirs))
    store.close()
    bare.close()
    return Measurement(
        "sync.snapshot_rows", value, "rows/s", "bare executemany of the same rows", value / peer
    )


def _pages(field: Field) -> Iterator[tuple[bytes, list[Entitlement]]]:
    signer = field.keys.signer(Purpose.ORDER_FEED)
    model = Entitlement(
        cti=bytes(16), order_id="A-1042", kind=Kind.WRITE_OFF, home_site="shop-1", home_device=None,
        status=OrderStatus.READY, quantity=1, amount_minor=1250, currency="EUR", subject="subject-0042",
        campaign="spring",
    )  # fmt: skip
    for number in range(PAGES):
        places = range(number * PAGE_ROWS, (number + 1) * PAGE_ROWS)
        rows = [replace(model, cti=_spread(place), order_id=f"A-{place}") for place in places]
        page = Snapshot(
            site="shop-1", issued_at_s=now().unix_s, revision=7, page=number, last=number == PAGES - 1,
            rows=tuple(map(row_of, rows)),
        )  # fmt: skip
        yield sign_document(page_payload(page), Purpose.ORDER_FEED, signer), rows


def _stored(store: Store, rows: list[Entitlement]) -> list[tuple[object, ...]]:
    """The very rows that the page became."""
    ctis = (rows[0].cti, rows[-1].cti)
    found = store.connection().execute(
        "SELECT * FROM entitlement WHERE cti BETWEEN ? AND ? ORDER BY cti", ctis
    )
    return found.fetchall()


def _insert(bare: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    bare.execute("BEGIN IMMEDIATE")
    bare.executemany(f"INSERT INTO entitlement VALUES ({', '.join('?' * len(rows[0]))})", rows)
    bare.execute("COMMIT")


def _spread(number: int) -> bytes:
    """Identities as they come in a snapshot: ever greater, evenly spread."""
    return (number * (2**128 // (PAGES * PAGE_ROWS))).to_bytes(16, "big")


# All of it


def _whole(field: Field) -> Iterator[Measurement]:
    """A device with an empty store takes all of a site's orders from a hub: how long, and how large edge-sync grows."""
    field.start_broker()
    field.start_hub()
    calm = start_sync(field, DEVICE, field.profile(DEVICE))
    store = store_of(field, DEVICE)
    until(lambda: order_cache.feed_state(store).revision)
    time.sleep(1.0)
    idle, hub_idle = calm.memory_mb("VmHWM"), field.hubs[0].memory_mb("VmHWM")
    calm.stop()
    field.hubs[0].stop()
    _sell(field)
    field.start_hub()
    fresh = store_of(field, FRESH)
    began = time.monotonic()
    sync = start_sync(field, FRESH, field.profile(FRESH))
    until(lambda: order_cache.feed_state(fresh).revision, WHOLE_TIMEOUT_S, every_s=0.25)
    took_s = time.monotonic() - began
    assert order_cache.count(fresh) == WHOLE_ROWS
    yield Measurement("sync.whole_snapshot", float(WHOLE_ROWS), "rows")
    yield Measurement("sync.whole_snapshot_rows", WHOLE_ROWS / took_s, "rows/s")
    for name, value, peer in (
        ("sync.whole_snapshot_memory", sync.memory_mb("VmHWM"), idle),
        ("sync.whole_snapshot_memory_hub", field.hubs[0].memory_mb("VmHWM"), hub_idle),
    ):
        yield Measurement(
            name, value, "MB at most", "the same process without orders", value / peer
        )
    sync.stop()


def _sell(field: Field) -> None:
    """As the platform does: a file of lines."""
    lines = field.folder / "orders.jsonl"
    with lines.open("w", encoding="ascii") as file:
        for number in range(WHOLE_ROWS):
            line = {
                "cti": os.urandom(16).hex(),
                "order_id": f"A-{number}",
                "kind": "pickup",
                "home_site": "shop-1",
            }
            file.write(json.dumps({**line, "compartments": ["A1"]}) + "\n")
    (hub,) = field.site.hub_names
    config = str(field.files.hub_config_of(hub))
    subprocess.run(
        [str(BIN / "edge-hub"), "orders", "import", "--config", config, str(lines)],
        check=True,
        stdout=2,
    )
