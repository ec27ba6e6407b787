"""A faulty network: a TCP proxy on loopback that cuts, stalls, slows, duplicates and reorders.

    with Proxy(8883) as proxy:          # clients connect to proxy.port
        proxy.fault = HALF_OPEN         # applies at once, to open connections too
        proxy.fault = CLEAR

With ``ProxyIdentity`` the proxy terminates TLS on both sides and sees MQTT packets. ``duplicate``
and ``reorder`` are then the probabilities that a PUBLISH is sent twice, or late.
``names_takeover`` chooses how the broker ends a connection: Mosquitto 2.0.11 closes it, 2.0.21
sends DISCONNECT first.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CONNECT: Final = 1
_PUBLISH: Final = 3  # MQTT 5 section 2.1.2
_DISCONNECT: Final = 14
# DISCONNECT with the reason "session taken over": MQTT 5 section 3.14.2.1
_TAKEN_OVER: Final = bytes((_DISCONNECT << 4, 1, 142))
# The property of CONNECT (MQTT 5 section 3.1.2.11.4), here of 1 MiB; and its largest value.
_MAXIMUM_PACKET_SIZE: Final = re.compile(rb"\x27\x00\x10\x00\x00")
_LARGEST: Final = b"\x27\x0f\xff\xff\xff"
_LATE_S: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFault:
    """How the network treats bytes."""

    cut: bool = False  # connections are closed and refused
    discard: bool = False  # a half-open link: connections stay up, no byte arrives
    delay_s: float = 0.0  # each way
    bytes_per_s: float | None = None  # each way and connection
    duplicate: float = 0.0  # probability, 0 to 1
    reorder: float = 0.0  # probability, 0 to 1
    # Whether DISCONNECT precedes the end of a connection; None: as the broker does.
    names_takeover: bool | None = None
    # Hide from the broker how large a packet the client accepts.
    hides_packet_size: bool = False


CLEAR: Final = NetworkFault()
CUT: Final = NetworkFault(cut=True)
HALF_OPEN: Final = NetworkFault(discard=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyIdentity:
    """PEM certificates with which the proxy listens and connects."""

    ca_file: Path
    server: tuple[Path, Path]  # certificate and key
    client: tuple[Path, Path]


class Proxy:
    """Listens on ``port`` of loopback and forwards to ``target``, in a thread of its own."""

    def __init__(
        self,
        target: int,
        *,
        identity: ProxyIdentity | None = None,
        seed: int = 1,
        host: str = "127.0.0.1",
    ) -> None:
        """Forward to port ``target`` of 127.0.0.1; listen on the loopback address ``host``."""
        self._target = target
        self._host = host
        self._identity = identity
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._fault = CLEAR
        self._links: set[asyncio.StreamWriter] = set()
        self._lossy: set[asyncio.StreamWriter] = set()  # bytes were discarded on them
        self._late: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.connections = 0

    @property
    def fault(self) -> NetworkFault:
        """How the network treats bytes now."""
        return self._fault

    @fault.setter
    def fault(self, fault: NetworkFault) -> None:
        asyncio.run_coroutine_threadsafe(self._change(fault), self._loop).result(5)

    def __enter__(self) -> Proxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _listen(self) -> None:
        context = None if self._identity is None else _server_context(self._identity)
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.transport.abort()
        for late in list(self._late):
            late.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _change(self, fault: NetworkFault) -> None:
        self._fault = fault
        for link in list(self._links if fault.cut else self._lossy if not fault.discard else ()):
            link.transport.abort()
            self._lossy.discard(link)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault.cut:
            writer.transport.abort()
            return
        self.connections += 1
        context = None if self._identity is None else _client_context(self._identity)
        try:
            target_reader, target = await asyncio.open_connection(
                "127.0.0.1", self._target, ssl=context
            )
        except OSError:
            writer.transport.abort()
            return
        self._links |= {writer, target}
        directions = (
            self._pump(reader, target, up=True),
            self._pump(target_reader, writer, up=False),
        )
        with suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.wait(
                [asyncio.ensure_future(direction) for direction in directions],
                return_when=asyncio.FIRST_COMPLETED,
            )
        for link in (writer, target):
            link.transport.abort()
            self._links.discard(link)
            self._lossy.discard(link)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        ended = False  # the broker has sent DISCONNECT
        with suppress(OSError, asyncio.IncompleteReadError):
            while data := await (reader.read(4096) if self._identity is None else _packet(reader)):
                if up:
                    self.bytes_up += len(data)
                    if self._fault.hides_packet_size and data[0] >> 4 == _CONNECT:
                        data = _MAXIMUM_PACKET_SIZE.sub(_LARGEST, data)
                else:
                    self.bytes_down += len(data)
                    ended = self._identity is not None and data[0] >> 4 == _DISCONNECT
                if not (ended and self._fault.names_takeover is False):
                    await self._forward(data, writer)
        if self._fault.names_takeover and not up and not ended:
            with suppress(OSError):
                writer.write(_TAKEN_OVER)
                await writer.drain()

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._fault
        if fault.discard:
            self._lossy.add(writer)
            return
        if fault.bytes_per_s is not None:
            await asyncio.sleep(len(data) / fault.bytes_per_s)
        if fault.delay_s:
            self._write_later(data, writer, fault.delay_s)
            return
        if self._identity is not None and data[0] >> 4 == _PUBLISH:
            if self._random.random() < fault.duplicate:
                self._write_later(data, writer, self._random.uniform(0, _LATE_S))
            if self._random.random() < fault.reorder:
                self._write_later(data, writer, self._random.uniform(0, _LATE_S))
                return
        writer.write(data)
        await writer.drain()

    def _write_later(self, data: bytes, writer: asyncio.StreamWriter, delay_s: float) -> None:
        async def write() -> None:
            await asyncio.sleep(delay_s)
            with suppress(OSError):
                writer.write(data)

        task = self._loop.create_task(write())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """Read one MQTT control packet (MQTT 5 section 2.1). Empty at the end of the stream."""
    head = await reader.read(1)
    if not head:
        return b""
    length = shift = 0
    while True:
        byte = await reader.readexactly(1)
        head += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return head + await reader.readexactly(length)


def _server_context(identity: ProxyIdentity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.server)
    return context


def _client_context(identity: ProxyIdentity) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(identity.ca_file))
    context.check_hostname = False
    context.load_cert_chain(*identity.client)
    return context
