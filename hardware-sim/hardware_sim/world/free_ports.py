"""Loopback ports for brokers, hubs and desks that are started a while after their port was chosen."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_CHOOSE = random.SystemRandom()  # whatever seed is set, no two choose alike


def free_port() -> int:
    """A port that nobody listens on, and below those that the kernel gives to whoever connects: it stays free."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", _CHOOSE.randrange(10_000, 32_000)))
            return int(probe.getsockname()[1])
