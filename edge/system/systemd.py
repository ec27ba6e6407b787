"""sd_notify(3): tell systemd that the process is ready, alive or stopping."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send ``state`` ("READY=1", "WATCHDOG=1", "STATUS=...") to systemd; do nothing outside it.

    The protocol is one datagram to ``$NOTIFY_SOCKET``; a leading ``@`` names an abstract socket.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return  # a missing service manager must never stop a scan
