"""Codes that a program hands to the running scanner, as its camera would read them.

A Unix socket in the device's data folder, for the scanner's user and root. One packet with the
bytes of a code, one packet back with the outcome as JSON. ``edge-scanner scan`` uses it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NAME: Final = "scan.socket"
LARGEST_CODE: Final = 4096  # bytes; a QR code holds 2,953 at most
_LARGEST_REPLY: Final = 65_536
_MOST_CLIENTS: Final = 8


@dataclass(frozen=True, slots=True)
class HandedCode:
    """One code with its sender."""

    content: bytes
    _connection: socket.socket

    def reply(self, outcome: dict[str, Any]) -> None:
        """Send the outcome. A sender that is gone changes nothing."""
        with self._connection, suppress(OSError):
            self._connection.send(json.dumps(outcome, ensure_ascii=False).encode())


class CodeSocket:
    """The scanner's end. Nothing here waits."""

    def __init__(self, folder: Path) -> None:
        """Listen in ``folder``. Raises OSError."""
        self._folder = folder
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._clients: list[socket.socket] = []
        try:
            with _short_path(folder) as path:
                Path(path).unlink(missing_ok=True)
                self._listener.bind(path)
                Path(path).chmod(0o600)
            self._listener.listen(_MOST_CLIENTS)
            self._listener.setblocking(False)
        except OSError:
            self._listener.close()
            raise

    def poll(self) -> list[HandedCode]:
        """Return the codes that have come, and whose senders wait. Each must get a reply."""
        with suppress(OSError):  # none waits, or there is no descriptor for one: the camera scans
            while len(self._clients) < _MOST_CLIENTS:
                client, _ = self._listener.accept()
                client.setblocking(False)
                self._clients.append(client)
        codes = []
        for client in list(self._clients):
            try:
                content = client.recv(LARGEST_CODE + 1)
            except BlockingIOError:
                continue
            except OSError:
                content = b""
            self._clients.remove(client)
            if content and not _is_gone(client):
                codes.append(HandedCode(content, client))
            else:
                client.close()
        return codes

    def close(self) -> None:
        """Stop to listen, and remove the socket."""
        for client in self._clients:
            client.close()
        self._listener.close()
        with suppress(OSError):
            (self._folder / NAME).unlink(missing_ok=True)


def hand_over(folder: Path, content: bytes, *, timeout_s: float) -> dict[str, Any] | None:
    """Hand a code to the scanner of ``folder`` and return its outcome; None: no scanner listens.

    Raises TimeoutError when it does not reply in time, and OSError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(timeout_s)
        try:
            with _short_path(folder) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        connection.send(content)
        reply = connection.recv(_LARGEST_REPLY)
    if not reply:
        raise ConnectionAbortedError("the scanner ended while it had the code")
    outcome: dict[str, Any] = json.loads(reply)
    return outcome


def _is_gone(client: socket.socket) -> bool:
    """Return whether a sender gave up: no door must open long after, for nobody."""
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """Give the socket's path in a form that fits an address, which holds 107 bytes (unix(7))."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
