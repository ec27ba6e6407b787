"""Run ``edge-hub run``, and end it at a step of its work as if by a power cut.

Usage: ``python crashing_hub.py STEP N run ...``. The process ends when the hub reaches STEP for the
N-th time, without any clean-up.
"""

import itertools
import os
import sys

import fast_timings  # beside this file

from sync.hub.ledger import ingest
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
    case "within the transaction":
        ingest.ingest_batch = dies(ingest.ingest_batch, "after")
    case "after the commit":
        MqttSession.acknowledge = dies(MqttSession.acknowledge, "before")
    case "before an acknowledgement is sent" | "after an acknowledgement was sent":
        MqttSession.publish = only_acknowledgements(MqttSession.publish)
    case "after the broker got it":
        MqttSession.acknowledge = dies(MqttSession.acknowledge, "after")
    case _:
        sys.exit(f"no such step: {step}")

sys.argv = ["edge-hub", *sys.argv[3:]]
fast_timings.main("edge-hub")
