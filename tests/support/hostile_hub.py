"""A hub that lies to one device without end, with the certificate of the real one."""

import itertools
import json
import threading

from edge.domain.upload_refusal import UploadRefusal
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import MOST_CONFLICTS, MOST_REFUSALS, Ack, Conflict, RefusedItem
from sync.wire.topics import Down, Topic
from tests.support.broker_sessions import middle


class HostileHub:
    """Lies in a thread of its own, as fast as the broker takes it, about what it has read."""

    def __init__(self, endpoint: Endpoint, device: str, tenant: str = "main"):
        self.device, self.sent = device, 0
        self._topic = str(Topic(tenant, device, Down.ACK))
        self._session = MqttSession(endpoint, [f"v1/{tenant}/{device}/up/#"], uniform=middle)
        self._batch: dict | None = None  # the last that the device sent
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._lie, name="hostile-hub")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._session.close()

    def _lie(self) -> None:
        lies = itertools.cycle((self._ahead, self._reused, self._conflicts, self._lost, self._none))
        while not self._stop.is_set():
            for arrival in self._session.step(0.01):
                self._session.acknowledge(arrival)
                found = json.loads(arrival.payload)
                if "events" in found and (found["events"] or self._batch is None):
                    self._batch = found
            while self._batch is not None and self._session.room and not self._stop.is_set():
                ack = next(lies)(self._batch)
                self.sent += self._session.publish(self._topic, codec.encode(ack))

    def _ack(self, batch: dict, **how) -> Ack:
        numbers = [event["seq"] for event in batch["events"]]
        facts = {
            "dev": self.device,
            "epoch": batch["epoch"],
            "tag": batch["tag"],
            "committed_through": max(numbers, default=0),
            "first": min(numbers, default=0),
            "last": max(numbers, default=0),
            "acknowledged_through": batch["acknowledged_through"],
        }
        return Ack(**{**facts, **how})

    def _ahead(self, batch: dict) -> Ack:
        return self._ack(batch, committed_through=10**9)

    def _reused(self, batch: dict) -> Ack:
        return self._ack(
            batch,
            rejected=[
                RefusedItem(seq=event["seq"], reason=UploadRefusal.SEQUENCE_REUSED, id=event["id"])
                for event in batch["events"]
            ],
        )

    def _conflicts(self, batch: dict) -> Ack:
        cti = "00" * 16
        conflicts = [
            Conflict(
                number=next(self._numbers),
                cti=cti,
                epoch=batch["epoch"],
                seq=1,
                other_dev="kiosk-9",
                other_ts=1,
            )
            for _ in range(MOST_CONFLICTS)
        ]
        return self._ack(batch, first=0, last=0, conflicts=conflicts)

    def _lost(self, batch: dict) -> Ack:
        return self._ack(batch, committed_through=0, acknowledged_through=1, first=0, last=0)

    def _none(self, batch: dict) -> Ack:
        """Refuse a thousand events that the device never wrote."""
        last = batch["events"][-1]["seq"] if batch["events"] else 0
        refused = [
            RefusedItem(seq=last + number, reason="body_invalid")
            for number in range(1000, 1000 + MOST_REFUSALS)
        ]
        return self._ack(batch, first=0, last=0, rejected=refused)
