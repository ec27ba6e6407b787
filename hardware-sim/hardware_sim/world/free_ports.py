"""Loopback ports for programs that are started some time after their port was chosen."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_RANDOM = random.SystemRandom()  # ignores any seed, so that two programs choose differently


def free_port() -> int:
    """Return a free port.

    It is below the range from which the kernel takes ports for connections, so it stays free.
    """
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", _RANDOM.randrange(10_000, 32_000)))
            return int(probe.getsockname()[1])
