"""A snapshot of a site's orders: against bare inserts, and whole through a real broker.

``EDGE_SCANNER_SNAPSHOT_ROWS`` (1,000,000) is the size of the whole one.
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
from benchmarks.measurement import Measurement
from benchmarks.platform import BIN, Platform, scratch, until
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
    """Yield rows a second of local pages and of a whole snapshot, and the memory for it."""
    with tempfile.TemporaryDirectory(dir=scratch(), prefix="sync-bench-") as name:
        yield _against_inserts(Path(name))
    with tempfile.TemporaryDirectory(dir=scratch(), prefix="sync-bench-") as name:
        platform = Platform(Path(name), {DEVICE: "shop-1", FRESH: "shop-1"})
        try:
            yield from _whole_snapshot(platform)
        finally:
            platform.close()


# Against the inserts alone


def _against_inserts(folder: Path) -> Measurement:
    """Compare pages from the wire, verified and applied, with bare inserts of the same rows.

    Page by page in turn, into the same table with the same pragmas, each page a commit on disk.
    The figure is that of the fastest quarter: other load makes a page slower, never faster.
    """
    platform = Platform(folder, {DEVICE: "shop-1"})  # for its keys; nothing is started
    store, bare = store_of(platform, DEVICE), connect(folder / "bare.db", make=True)
    (ddl,) = (
        store.connection()
        .execute("SELECT sql FROM sqlite_master WHERE name = 'entitlement'")
        .fetchone()
    )
    bare.execute(ddl)
    roots = platform.keys.roots()
    downlink = Downlink(
        store, roots, Anchors(store, roots), device=DEVICE, site="shop-1", vouch=lambda _: None
    )
    downlink.receive_trust_list((folder / "trust-list.cose").read_bytes(), now())
    ours: list[float] = []
    theirs: list[float] = []
    for raw, rows in _pages(platform):
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


def _pages(platform: Platform) -> Iterator[tuple[bytes, list[Entitlement]]]:
    signer = platform.keys.signer(Purpose.ORDER_FEED)
    model = Entitlement(
        cti=bytes(16),
        order_id="A-1042",
        kind=Kind.WRITE_OFF,
        home_site="shop-1",
        home_device=None,
        status=OrderStatus.READY,
        quantity=1,
        amount_minor=1250,
        currency="EUR",
        subject="subject-0042",
        campaign="spring",
    )
    for number in range(PAGES):
        places = range(number * PAGE_ROWS, (number + 1) * PAGE_ROWS)
        rows = [replace(model, cti=_spread(place), order_id=f"A-{place}") for place in places]
        page = Snapshot(
            site="shop-1",
            issued_at_s=now().unix_s,
            incarnation=bytes(16),
            revision=7,
            page=number,
            last=number == PAGES - 1,
            rows=tuple(map(row_of, rows)),
        )
        yield sign_document(page_payload(page), Purpose.ORDER_FEED, signer), rows


def _stored(store: Store, rows: list[Entitlement]) -> list[tuple[object, ...]]:
    """Return the rows that the store made of the page."""
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
    """Return the ``number``-th identity of a snapshot: ascending, evenly spread."""
    return (number * (2**128 // (PAGES * PAGE_ROWS))).to_bytes(16, "big")


# The whole snapshot


def _whole_snapshot(platform: Platform) -> Iterator[Measurement]:
    """Yield time and memory of a new device that receives all orders of its site from a hub."""
    platform.start_broker()
    platform.start_hub()
    calm = start_sync(platform, DEVICE, platform.profile(DEVICE))
    store = store_of(platform, DEVICE)
    until(lambda: order_cache.feed_state(store).revision)
    time.sleep(1.0)
    idle, hub_idle = calm.memory_mb("VmHWM"), platform.hubs[0].memory_mb("VmHWM")
    calm.stop()
    platform.hubs[0].stop()
    _import_orders(platform)
    platform.start_hub()
    fresh = store_of(platform, FRESH)
    began = time.monotonic()
    sync = start_sync(platform, FRESH, platform.profile(FRESH))
    until(lambda: order_cache.feed_state(fresh).revision, WHOLE_TIMEOUT_S, every_s=0.25)
    took_s = time.monotonic() - began
    assert order_cache.count(fresh) == WHOLE_ROWS
    yield Measurement("sync.whole_snapshot", float(WHOLE_ROWS), "rows")
    yield Measurement("sync.whole_snapshot_rows", WHOLE_ROWS / took_s, "rows/s")
    for name, value, peer in (
        ("sync.whole_snapshot_memory", sync.memory_mb("VmHWM"), idle),
        ("sync.whole_snapshot_memory_hub", platform.hubs[0].memory_mb("VmHWM"), hub_idle),
    ):
        yield Measurement(
            name, value, "MB at most", "the same process without orders", value / peer
        )
    sync.stop()


def _import_orders(platform: Platform) -> None:
    """Import the orders as the platform does, from a file of lines."""
    lines = platform.folder / "orders.jsonl"
    with lines.open("w", encoding="ascii") as file:
        for number in range(WHOLE_ROWS):
            line = {
                "cti": os.urandom(16).hex(),
                "order_id": f"A-{number}",
                "kind": "pickup",
                "home_site": "shop-1",
            }
            file.write(json.dumps({**line, "compartments": ["A1"]}) + "\n")
    (hub,) = platform.site.hub_names
    config = str(platform.files.hub_config_of(hub))
    subprocess.run(
        [str(BIN / "edge-hub"), "orders", "import", "--config", config, str(lines)],
        check=True,
        stdout=2,
    )
