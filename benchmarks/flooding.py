"""Devices that flood the hub, in a process of their own: ``python -m benchmarks.flooding``.

It reads one line of JSON (``endpoints``, ``tenant``, ``in_flight``), connects, prints a line and
floods until its input ends. Every batch is 1,000 redemptions of one code, which was sold once. A
device keeps ``in_flight`` batches without an acknowledgement of the hub, or with 0 sends as fast as
the broker takes them.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
from dataclasses import dataclass, field

from benchmarks.flood import CODE
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire.topics import Down, Topic, Up

EVENTS = 1000  # in a batch
RESEND_S = 2.0


@dataclass(slots=True)
class Flooder:
    """One device that floods. A batch is on its way from ``sent`` until it is acknowledged."""

    name: str
    session: MqttSession
    topic: str
    epoch: str
    in_flight: int
    next_seq: int = 1
    sent: dict[int, float] = field(default_factory=dict)  # first seq of a batch: when, monotonic
    acknowledged: int = 0

    def step(self) -> None:
        """Read acknowledgements, and send what is due."""
        now_s = time.monotonic()
        for arrival in self.session.step(0.0):
            self.session.acknowledge(arrival)
            if arrival.topic.endswith(f"/{Down.ACK}"):
                first = json.loads(arrival.payload).get("first", 0)
                self.acknowledged += self.sent.pop(first, None) is not None
        for first, sent_s in list(self.sent.items()):
            if self.in_flight and now_s - sent_s > RESEND_S:
                self._send(first, now_s)
        while self.session.connected and (not self.in_flight or len(self.sent) < self.in_flight):
            if not self._send(self.next_seq, now_s):
                break
            self.next_seq += EVENTS

    def _send(self, first: int, now_s: float) -> bool:
        if not self.session.publish(self.topic, self._batch(first)):
            return False
        self.sent[first] = now_s
        return True

    def _batch(self, first: int) -> bytes:
        ident = self.epoch[:24]
        events = ",".join(
            f'{{"seq":{seq},"id":"{ident}-{seq}","ts":1800000000,"ts_trust":"trusted",'
            f'"type":"redeemed","body":{{"cti":"{CODE}","use":1,"units":1}}}}'
            for seq in range(first, first + EVENTS)
        )
        return f'{{"v":1,"dev":"{self.name}","epoch":"{self.epoch}","events":[{events}]}}'.encode()


def main() -> None:
    """Flood until the input ends, and print how many batches were acknowledged."""
    setup = json.loads(sys.stdin.readline())
    flooders = [
        _flooder(Endpoint(**endpoint), setup["tenant"], setup["in_flight"])
        for endpoint in setup["endpoints"]
    ]
    while not all(flooder.session.connected for flooder in flooders):
        for flooder in flooders:
            flooder.session.step(0.01)
    print(json.dumps("connected"), flush=True)
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        for flooder in flooders:
            flooder.step()
    done = sum(flooder.acknowledged for flooder in flooders)
    print(json.dumps({"acknowledged": done}), flush=True)


def _flooder(endpoint: Endpoint, tenant: str, in_flight: int) -> Flooder:
    name = endpoint.client_id
    session = MqttSession(endpoint, [f"v1/{tenant}/{name}/dn/ack"], uniform=random.uniform)
    topic = str(Topic(tenant, name, Up.EVENTS))
    return Flooder(name, session, topic, f"{random.getrandbits(128):032x}", in_flight)


if __name__ == "__main__":
    main()
