"""What an event costs does not depend on how many of its code came before.

A device that sends redemptions of one code without end would otherwise make each of them dearer.
"""

import pytest

from sync.hub.ledger import ingest, reviews
from sync.hub.orders import order_lines
from sync.wire.messages import Batch, Event

NOW_S = 1_800_000_000
CTI = bytes(15) + b"\x07"
EARLIER = 400  # events of the code before the one that is measured
FEW = 40


def event(seq: int, type: str, **body) -> Event:
    return Event(
        seq=seq,
        id=f"id-{seq}",
        ts=NOW_S + seq,
        ts_trust="trusted",
        type=type,
        body={"cti": CTI.hex(), "use": seq, **body},
    )


def redeemed(seq: int) -> Event:
    return event(seq, "redeemed", units=1, amount_minor=5)


def retried(seq: int) -> Event:
    return event(seq, "redeemed", units=1, retry_of=f"id-old-{seq}")


def pending(seq: int) -> Event:
    return event(seq, "redeemed", units=1, verdict=reviews.PENDING)


def reversed_newest(seq: int) -> Event:
    """Reverse the redemptions before, the newest first."""
    return event(seq, "reversed", redemption_event=f"id-{2 * EARLIER - seq + 1}")


def rows_read(store, *events: Event) -> int:
    """Return a measure of what the store did for ``events``."""
    with store.transaction() as connection:
        count = counter_of(connection)
        before = count()
        ingest.ingest_batch(connection, Batch("kiosk-1", "epoch-1", 0, 0, events), NOW_S)
        return count() - before


def counter_of(connection):
    """Return a function that counts steps of SQLite's machine, or rows that PostgreSQL read."""
    raw = connection._connection
    if hasattr(raw, "set_progress_handler"):
        steps = [0]

        def step():
            steps[0] += 1

        raw.set_progress_handler(step, 1)
        return lambda: steps[0]
    connection.execute("SET LOCAL enable_seqscan = off")  # which a table of few rows is read by
    return lambda: int(
        connection.execute(
            "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables"
        ).fetchone()[0]
    )


@pytest.mark.parametrize(
    ("earlier", "measured"),
    [
        pytest.param(redeemed, redeemed, id="redeemed beyond its quantity"),
        pytest.param(retried, retried, id="sent again under a new number"),
        pytest.param(pending, pending, id="waiting for review"),
        pytest.param(redeemed, reversed_newest, id="reversed, the newest first"),
    ],
)
def test_an_event_costs_the_same_however_many_of_its_code_came_before(opened, earlier, measured):
    store = opened()
    line = order_lines.OrderLine(
        cti=CTI.hex(), order_id="A-1", kind="write_off", home_site="shop-1"
    )
    with store.transaction() as connection:
        order_lines.put_lines(connection, [line], NOW_S * 1_000_000)
    rows_read(store, *(earlier(seq) for seq in range(1, FEW + 1)))
    few = rows_read(store, measured(FEW + 1))
    rows_read(store, *(earlier(seq) for seq in range(FEW + 2, EARLIER + 1)))
    many = rows_read(store, measured(EARLIER + 1))
    assert many <= 1.2 * few
