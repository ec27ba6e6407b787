"""Run ``edge-hub run``, and end it at a step of its work as if by a power cut.

Usage: ``python crashing_hub.py STEP N run ...``. The process ends when the hub reaches STEP for the
N-th time, without any clean-up.
"""

import itertools
import os
import sys

import fast_timings  # beside this file

from sync.hub.ledger.ingest import BatchIngest
from sync.hub.server import hub
from sync.hub.server.fair_queue import FairQueue
from sync.mqtt.session import MqttSession

step, after = sys.argv[1], int(sys.argv[2])
calls = itertools.count(1)


def dies(function, where):
    """Return ``function``, but end the process before or right after its ``after``-th call."""

    def wrapped(*arguments, **options):
        last = next(calls) == after
        if last and where == "before":
            os._exit(9)
        result = function(*arguments, **options)
        if last:
            os._exit(9)
        return result

    return wrapped


def only_acknowledgements(publish):
    """``publish`` of acknowledgements to devices dies; of other things not."""
    dying = dies(publish, "before" if step == "before an acknowledgement is sent" else "after")

    def wrapped(self, topic, *arguments, **options):
        return (dying if topic.endswith("/dn/ack") else publish)(self, topic, *arguments, **options)

    return wrapped


match step:
    case "after the broker got it, before the transaction":
        MqttSession.acknowledge = dies(MqttSession.acknowledge, "after")
    case "within the transaction":
        BatchIngest.advance = dies(BatchIngest.advance, "after")
    case "between two transactions of a batch":
        hub.TURN_S = 0.0  # one event in each
        FairQueue.spend = dies(FairQueue.spend, "after")
    case "after the commit":
        FairQueue.spend = dies(FairQueue.spend, "before")
    case "before an acknowledgement is sent" | "after an acknowledgement was sent":
        MqttSession.publish = only_acknowledgements(MqttSession.publish)
    case _:
        sys.exit(f"no such step: {step}")

sys.argv = ["edge-hub", *sys.argv[3:]]
fast_timings.main("edge-hub")
