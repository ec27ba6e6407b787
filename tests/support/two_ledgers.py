"""Devices and a hub in one process, with a channel that a test controls."""

import json
import os

from edge.store import outbox
from edge.store.opening import open_store
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.agent.timings import AGENT_TIMINGS
from sync.agent.uplink import Uplink
from sync.hub.ledger import ingest, listing
from sync.hub.orders import order_lines
from sync.hub.store.opening import open_hub_store
from sync.wire import codec
from sync.wire.messages import Ack, Batch

NOW = Instant(unix_s=1_800_000_000)
CTI = bytes(15) + b"\x01"


class World:
    """One or more devices and a hub; the test carries the messages."""

    def __init__(self, folder, names=("kiosk-1",)):
        self.hub = open_hub_store(folder / "hub")
        self.folder = folder
        self.time_s = 0.0
        self.stores, self.uplinks, self.up, self.down = {}, {}, [], []
        for name in names:
            opened = open_store(
                folder / name, device_id=name, now_s=NOW.unix_s, random_bytes=os.urandom
            )
            self.stores[name] = opened.store
            self.restart(name)

    def restart(self, name):
        self.uplinks[name] = Uplink(self.stores[name], name, window=5, random_bytes=os.urandom)
        self.uplinks[name].start_over(self.time_s)

    def event(self, name="kiosk-1", *, type="redeemed", body=None, cti=CTI, use=1):
        whole = {"cti": cti.hex(), "use": use, "units": 1} if body is None else body
        with self.stores[name].transaction() as connection:
            seq = outbox.append(
                connection, type=type, body=whole, now=NOW, id=uuid7(1, os.urandom(10))
            )
        self.uplinks[name].note_commit()
        return seq

    def tick(self, name="kiosk-1"):
        def send(payload):
            self.up.append((name, payload))
            return True

        self.uplinks[name].tick(send, self.time_s)

    def ingest(self, at=0):
        name, payload = self.up.pop(at)
        batch = codec.decode_batch(payload, dev=name)
        assert isinstance(batch, Batch), batch
        with self.hub.transaction() as connection:
            taken = ingest.ingest_batch(connection, batch, NOW.unix_s)
        self.down.append((name, codec.encode(taken.ack)))
        return taken

    def hear(self, at=0):
        name, payload = self.down.pop(at)
        ack = codec.decode_addressed(Ack, payload, dev=name)
        return self.uplinks[name].receive_ack(ack, NOW, self.time_s)

    def calm(self, rounds=60):
        """Nothing is lost any more; time goes by."""
        for _ in range(rounds):
            self.time_s += 2 * AGENT_TIMINGS.resend_s
            for name in self.stores:
                self.tick(name)
            while self.up:
                self.ingest()
            while self.down:
                self.hear()

    def assert_equal(self, name="kiosk-1"):
        with self.stores[name].read() as connection:
            mine = connection.execute(
                "SELECT seq, id, type, body FROM outbox ORDER BY epoch_no, seq"
            ).fetchall()
        theirs = [
            (row["seq"], row["id"], row["type"], row["body"])
            for row in listing.list_events(self.hub, dev=name)
        ]
        assert [(seq, ident, kind, json.loads(body)) for seq, ident, kind, body in mine] == theirs
        assert outbox.backlog(self.stores[name]).pending == 0


def order(quantity=1, **changes):
    line = {
        "cti": CTI.hex(),
        "order_id": "A",
        "kind": "write_off",
        "home_site": "shop-1",
        "quantity": quantity,
    }
    return order_lines.OrderLine(**{**line, **changes})


def sell(world, *lines):
    with world.hub.transaction() as connection:
        order_lines.put_lines(connection, lines, 1)
