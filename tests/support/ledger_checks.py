"""What holds between a device's ledger and its outbox."""

from edge.store import ledger, outbox


def assert_ledger_and_outbox_agree(store):
    """Every ledger row has its event, every such event its row, and the events have no gap."""
    events = outbox.pending(store, limit=10_000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    reported = {
        (event.epoch, event.seq): event
        for event in events
        if event.type in ("redeemed", "reversed")
    }
    written = {(row.epoch, row.seq): row for row in ledger.rows(store, limit=10_000)}
    assert reported.keys() == written.keys()
    for place, row in written.items():
        event = reported[place]
        assert event.body["cti"] == row.cti.hex()
        assert event.at == row.at
        assert event.type == ("reversed" if row.reverses else "redeemed")
    with store.read() as connection:
        orphans = connection.execute(
            "SELECT count(*) FROM intent WHERE ledger_id NOT IN (SELECT id FROM ledger)"
        )
        assert orphans.fetchone() == (0,)
