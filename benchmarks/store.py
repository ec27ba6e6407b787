"""A redemption against a bare SQLite commit of its rows, and a large cache against a small one.

Both sides alternate, scan by scan, on the same disk, so that the disk affects both alike.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from math import gcd
from pathlib import Path

from benchmarks.measurement import Measurement
from edge.config import Policy
from edge.domain.decision_facts import DecisionTerms
from edge.domain.redemption_state import DevicePlace
from edge.redemption.redeemer import Redeemer
from edge.store.database.store import Store, connect
from edge.store.ledger_restore import apply_restore_page
from edge.store.opening import open_store
from edge.token.claims import Claims, Kind
from edge.values.instant import Instant

NOW = Instant(unix_s=1_800_000_000)
SMALL, LARGE = 1_000, 1_000_000
ROUNDS = 600
WARM_UP = 50
_STORES = (("store", SMALL), ("small", SMALL), ("large", LARGE))
_ROWS = ("outbox", "ledger", "journal")  # what one write-off writes


def measure() -> Iterator[Measurement]:
    """Yield medians (us) of one durable write-off, from claims to a committed verdict."""
    with tempfile.TemporaryDirectory(dir=disk(), prefix="store-bench-") as name:
        folder = Path(name)
        store, small, large = (_filled(folder / name, cached) for name, cached in _STORES)
        ours, bare = _take_turns(_redeeming(store, SMALL), bare_commits(folder / "bare.db", store))
        yield Measurement(
            "store.redemption", ours, "us", "bare sqlite3 FULL commit of the same rows", ours / bare
        )
        many, few = _take_turns(_redeeming(large, LARGE), _redeeming(small, SMALL))
        yield Measurement(
            "store.redemption_at_1000000", many, "us", "the same at 1000 entitlements", many / few
        )
        for each in (store, small, large):
            each.close()


def _take_turns(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float]:
    """Return the medians of two alternating actions, in microseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        for index, action in enumerate((first, second) if turn % 2 else (second, first)):
            began = time.perf_counter()
            action()
            took = (time.perf_counter() - began) * 1e6
            times[(index if turn % 2 else 1 - index)].append(took)
    return statistics.median(times[0][WARM_UP:]), statistics.median(times[1][WARM_UP:])


def _redeeming(store: Store, cached: int) -> Callable[[], None]:
    """Redeem the cached codes one after another, spread over the whole cache."""
    redeemer = Redeemer(
        store,
        DecisionTerms(DevicePlace(device_id="bench", site_id="site"), Policy()),
        random_bytes=os.urandom,
    )
    # Odd, and no multiple of 5: every code once, far from the previous one.
    step = cached * 617 // 1000 | 1
    assert gcd(step, cached) == 1
    shown = iter([_claims(_cti(turn * step % cached, cached)) for turn in range(1, ROUNDS + 1)])

    def redeem() -> None:
        redemption = redeemer.redeem(next(shown), NOW, decode_ms=4.0)
        assert redemption.is_accepted, redemption.detail

    return redeem


def bare_commits(path: Path, model: Store) -> Callable[[], None]:
    """Return an action that commits only the rows of a redemption.

    Tables, constraints, pragmas and bytes are the same.
    """
    source = _filled(path.parent / "model", SMALL)
    _redeeming(source, SMALL)()
    peer = connect(path, make=True)
    with model.read() as connection:
        for (statement,) in connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql NOT NULL ORDER BY rowid"
        ):
            peer.execute(statement)
    for table in ("epoch", "policy"):  # to which the rows refer
        _insert(peer, table, _first(source, table))
    rows = [(table, _first(source, table)) for table in _ROWS]
    source.close()
    return _committing(peer, rows)


def _first(store: Store, table: str) -> tuple[object, ...]:
    row: tuple[object, ...] = (
        store.connection().execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
    )
    return row


def _insert(connection: sqlite3.Connection, table: str, row: tuple[object, ...]) -> None:
    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _committing(
    peer: sqlite3.Connection, rows: list[tuple[str, tuple[object, ...]]]
) -> Callable[[], None]:
    inserts = [f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})" for table, row in rows]
    outbox, ledger, journal = (row for _, row in rows)
    turns = iter([(number, os.urandom(16)) for number in range(1, ROUNDS + 1)])

    def commit() -> None:
        number, cti = next(turns)
        peer.execute("BEGIN IMMEDIATE")
        peer.execute(inserts[0], (1, number, *outbox[2:]))
        peer.execute(inserts[1], (number, cti, *ledger[2:-1], number))
        peer.execute(inserts[2], (number, *journal[1:5], cti, *journal[6:8], number, *journal[9:]))
        peer.execute("COMMIT")

    return commit


def _filled(folder: Path, cached: int) -> Store:
    opened = open_store(folder, device_id="bench", now_s=NOW.unix_s, random_bytes=os.urandom)
    assert opened.store is not None, opened.detail
    store = opened.store
    apply_restore_page(store, (), after="", following=None)
    connection = store.connection()
    connection.execute("PRAGMA synchronous = OFF")
    with store.transaction():
        connection.executemany(
            "INSERT INTO entitlement VALUES (?, 'A-1042', 1, 'site', 'bench', 'ready', 1, 1250,"
            " 'EUR', 0, 8589934591, 0, '[]', 'subject-0042', 'spring', NULL, 1, 1)",
            ((_cti(number, cached),) for number in range(cached)),
        )
        connection.execute(
            "UPDATE feed SET revision = 1, generation = 1, last_contact_s = ?", (NOW.unix_s,)
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA synchronous = FULL")
    return store


def _cti(number: int, of: int) -> bytes:
    """Return the ``number``-th of ``of`` evenly spread identities.

    Filling is then sequential, and lookups are not.
    """
    return (number * (2**128 // of)).to_bytes(16, "big")


def _claims(cti: bytes) -> Claims:
    return Claims(
        cti=cti,
        kid=b"kid0",
        issuer="shop",
        audience="site",
        not_before_s=0,
        expires_at_s=2**33 - 1,
        issued_at_s=NOW.unix_s,
        order_id="A-1042",
        kind=Kind.WRITE_OFF,
        quantity=1,
        amount_minor=1250,
        currency="EUR",
        flags=0,
        status_index=7,
        dynamic_mode=None,
        holder_key=None,
    )


def disk() -> Path:
    """Return a folder on a disk: the ratios would mean nothing with a file system in memory."""
    return Path(os.environ.get("TMPDIR", "/var/tmp"))
