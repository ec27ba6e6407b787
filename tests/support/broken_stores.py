"""A store with a long history, its destruction page by page, and a check of what was saved."""

import json
import os
import re
import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from edge.store import exception_cases, ledger, outbox
from edge.store.database.store import FILE, SUSPECT
from edge.store.opening import StoreState, open_store
from edge.token.claims import Kind
from edge.values.uuid7 import event_id
from tests.support.sample_shop import (
    DEVICE,
    NOON,
    at,
    code,
    deliver,
    give_back_nothing,
    open_at,
    order,
    redeemer,
)

PAGE = 4096
MEMORY = Path("/dev/shm")
KINDS = ("zeros", "noise", "wrong type")
# Trees in which a code stands because it was redeemed.
OF_REDEMPTIONS = frozenset({"ledger", "sqlite_autoindex_ledger_1", "outbox", "journal"})


@dataclass
class History:
    """What the intact store knew."""

    folder: Path
    codes: list = field(default_factory=list)  # every code that was redeemed
    uses: set = field(default_factory=set)  # (cti, number of the use), not reversed
    events: dict = field(default_factory=dict)  # unsent: (epoch, seq) to (id, type, body)
    reversed: set = field(default_factory=set)  # uses that were
    ids: set = field(default_factory=set)  # of every event
    pages: dict = field(default_factory=dict)  # number to the name of its tree


def write_history(folder, *, redemptions, unsent):
    """Fill a store as a shop does; the last ``unsent`` events wait for the platform."""
    store = open_at(folder)
    history = History(folder)
    codes = [
        code(cti=os.urandom(16), order_id=f"order-{number}", **_goods(number))
        for number in range(redemptions)
    ]
    deliver(store, *(order(each, review=number % 40 == 7) for number, each in enumerate(codes)))
    shop = redeemer(store)
    for number, claims in enumerate(codes):
        now = at(number)
        done = shop.redeem(claims, now)
        assert done.is_accepted, done
        history.codes.append(claims)
        if number % 50 == 9:
            with store.transaction() as connection:
                ledger.write_reversal(
                    connection,
                    done.ledger_id,
                    reason="error",
                    now=now,
                    operator="17",
                    event_id=event_id(now, os.urandom),
                )
            history.codes.pop()
        if number % 25 == 3:
            shop.redeem(code(cti=os.urandom(16), audience="site-9"), now)
    epoch, newest = outbox.current_epoch(store)
    outbox.acknowledge(store, epoch=epoch, through_seq=newest - unsent)
    store.close()
    _read(history)
    return history


def _goods(number):
    if number % 7 == 2:
        return {"amount_minor": 500 + number, "currency": "CNY"}
    return {"quantity": 1, "kind": Kind.WRITE_OFF}


def _read(history):
    with closing(sqlite3.connect(history.folder / FILE)) as connection:
        history.uses = set(
            connection.execute(
                "SELECT cti, use_no FROM ledger l WHERE use_no IS NOT NULL"
                " AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.reverses = l.id)"
            )
        )
        history.reversed = set(
            connection.execute(
                "SELECT l.cti, l.use_no FROM ledger r JOIN ledger l ON l.id = r.reverses"
            )
        )
        history.events = {
            (epoch, seq): (name, kind, json.loads(body))
            for epoch, seq, name, kind, body in connection.execute(
                "SELECT epoch, seq, id, type, body FROM outbox JOIN epoch ON no = epoch_no"
                " WHERE seq > acknowledged_through"
            )
        }
        history.ids = {name for (name,) in connection.execute("SELECT id FROM outbox")}
        history.pages = dict(connection.execute("SELECT pageno, name FROM dbstat"))


def copy_of(history, folder):
    """Return a folder with a copy of the store's files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in history.folder.glob(f"{FILE}*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, folder / path.name)
    return folder


def destroy(path, pages, kind, rng):
    """Destroy pages of a file: numbers from 1."""
    with path.open("r+b") as file:
        for number in pages:
            file.seek((number - 1) * PAGE)
            if kind == "zeros":
                file.write(bytes(PAGE))
            elif kind == "noise":
                file.write(rng.randbytes(PAGE))
            else:
                at = file.tell() + (100 if number == 1 else 0)
                file.seek(at)
                others = {0, 1, 2, 5, 10, 13, 77} - set(file.read(1))
                file.seek(at)
                file.write(bytes([rng.choice(sorted(others))]))


def start(folder):
    """Start the device, which checks every page."""
    (folder / SUSPECT).touch()
    opened = open_store(folder, device_id=DEVICE, now_s=NOON.unix_s + 9000, random_bytes=os.urandom)
    if opened.store is not None:
        give_back_nothing(opened.store)
    return opened


def named_numbers(cases):
    """Return a function that says whether a case names an event by epoch and number."""
    numbers, ends = defaultdict(set), {}
    for case in cases:
        for listed, epoch in re.findall(r"events ([\d, -]+) of (\w+)", case.cause):
            for part in listed.split(", "):
                first, _, last = part.partition("-")
                numbers[epoch].update(range(int(first), int(last or first) + 1))
        for listed in re.findall(r"events after ([^;]+)", case.cause):
            for number, epoch in re.findall(r"(\d+) of (\w+)", listed):
                ends[epoch] = int(number)
    return lambda epoch, seq: seq in numbers[epoch] or seq > ends.get(epoch, 2**63)


@dataclass
class Saved:
    """What a new store has of an old one, and what is wrong with that."""

    uses: int = 0
    events: int = 0  # unsent ones, to be sent
    wrong: list = field(default_factory=list)


def check(history, opened, *, destroyed, rng, scans=5):
    """Hold the store that took over against the history; ``destroyed`` are the page numbers."""
    saved, store = Saved(), opened.store
    rows = ledger.rows(store, limit=10**9)
    gone = {row.reverses for row in rows if row.reverses}
    kept = {(row.cti, row.use_no) for row in rows if row.use_no and row.id not in gone}
    saved.uses = len(kept & history.uses)
    may_be = history.uses if len(destroyed) == 1 else history.uses | history.reversed
    saved.wrong += [f"never redeemed, or reversed: {cti.hex()}" for cti, _ in kept - may_be]
    lost = {cti for cti, _ in history.uses - kept}
    saved.wrong += [f"{cti.hex()} is readable" for cti in _readable(history, lost, destroyed)]
    _check_events(history, store, saved)
    chosen = rng.sample([claims for claims in history.codes if claims.cti not in lost], scans)
    deliver(store, *map(order, chosen))
    for claims in chosen:
        again = redeemer(store).redeem(claims, at(1))
        if again.is_accepted and again.decision.continues is None:
            saved.wrong.append(f"{claims.cti.hex()} was redeemed again")
    if opened.state is StoreState.QUARANTINED and _current(store) in _epochs(history):
        saved.wrong.append("the old epoch goes on")
    return saved


def _current(store):
    return outbox.current_epoch(store)[0]


def _epochs(history):
    return {epoch for epoch, _ in history.events}


def _check_events(history, store, saved):
    """Compare the events that wait with those that waited."""
    with store.read() as connection:
        epochs = dict(connection.execute("SELECT no, epoch FROM epoch").fetchall())
        sent = {
            (epochs[number], seq): (name, kind, json.loads(body))
            for number, seq, name, kind, body in connection.execute(
                "SELECT epoch_no, seq, id, type, body FROM outbox JOIN epoch ON no = epoch_no"
                " WHERE seq > acknowledged_through AND rejected IS NULL"
            )
        }
    named = named_numbers(exception_cases.cases(store, limit=10**6))
    by_id = {each[0]: each for each in sent.values()}
    for (epoch, seq), (name, kind, body) in history.events.items():
        renamed = epoch not in epochs.values()
        found = by_id.get(name) if renamed else sent.get((epoch, seq))
        if found is None:
            if not renamed and not named(epoch, seq):
                saved.wrong.append(f"event {seq} is lost without a word")
            continue
        saved.events += 1
        if found[:2] != (name, kind) or not _same(found[2], body):
            saved.wrong.append(f"event {seq} says something else: {found} {body}")
    strangers = {name for name, *_ in sent.values()} - history.ids
    saved.wrong += [f"an event that never was: {name}" for name in strangers]


def _same(rebuilt, body):
    """Return whether a rebuilt body is the original's; only the code's own facts may be unknown."""
    unknown = {"kid": "00000000", "expires_s": None}
    unknown_code = rebuilt.get("kid") == unknown["kid"]
    return rebuilt == ({**body, **unknown} if unknown_code else body)


def _readable(history, codes, destroyed):
    """Yield the codes that stand in a page of redemptions that was not destroyed."""
    if not codes:
        return
    with (history.folder / FILE).open("rb") as file:
        for number, tree in history.pages.items():
            if tree not in OF_REDEMPTIONS or number in destroyed:
                continue
            file.seek((number - 1) * PAGE)
            data = file.read(PAGE)
            for cti in codes:
                if cti in data or cti.hex().encode() in data:
                    yield cti
