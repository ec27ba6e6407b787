"""Simulated KR-CU16 lock boards on a pseudo-terminal, with doors and line faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from edge.devices import kr_cu16
from hardware_sim.parts.doors import Doors
from hardware_sim.parts.serial_port import SimPort

_COMMAND_BYTES = 5


class LineFault(Enum):
    """A fault of the serial line. All but the last affect what the boards send."""

    NOISE = "noise"  # stray bytes around every reply
    HALF_FRAME = "half_frame"  # a reply breaks off
    WRONG_ADDRESS = "wrong_address"  # another board replies
    BAD_CHECKSUM = "bad_checksum"
    SILENT = "silent"  # no power
    ECHO = "echo"  # the adapter receives what it sends
    DROPS_COMMANDS = "drops_commands"  # a command arrives garbled: the board ignores it


class SimLockBoards:
    """Boards at the far end of a line. ``places``: compartment to (board address, lock number)."""

    def __init__(
        self,
        path: Path,
        places: Mapping[str, tuple[int, int]],
        *,
        pulse_s: float,
        doors: Doors | None = None,
        closed_is_one: bool = True,
    ) -> None:
        self.doors = doors or Doors(places)
        self.port = SimPort(path)
        self.faults: set[LineFault] = set()
        self.lost_replies = 0  # this many replies from now on never arrive
        self.open_commands: list[str] = []  # every one that reached a board, garbled or not
        self._places = {place: name for name, place in places.items()}
        self._pulse_s = pulse_s
        self._closed_is_one = closed_is_one
        self._energised_until_s: dict[str, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sim-lock-board", daemon=True)
        self._thread.start()

    @property
    def energised(self) -> frozenset[str]:
        """The compartments that are energised now."""
        now_s = time.monotonic()
        return frozenset(
            name for name, until_s in list(self._energised_until_s.items()) if now_s < until_s
        )

    def close(self) -> None:
        """Switch the boards off."""
        self._closing.set()
        self._thread.join()
        self.port.unplug()

    def _serve(self) -> None:
        received = b""
        while not self._closing.is_set():
            received += self.port.receive(0.02)
            while len(received) >= _COMMAND_BYTES:
                command = received[:_COMMAND_BYTES]
                if command == kr_cu16.frame(command[1], command[2]):
                    self._execute(command)
                    received = received[_COMMAND_BYTES:]
                else:
                    received = received[1:]

    def _execute(self, command: bytes) -> None:
        board, lock = command[1] >> 4, (command[1] & 0x0F) + 1
        if board not in {address for address, _ in self._places} or LineFault.SILENT in self.faults:
            return
        if LineFault.ECHO in self.faults:
            self.port.send(command)
        if command[2] == kr_cu16.STATE and self.lost_replies:
            self.lost_replies -= 1
        elif command[2] == kr_cu16.STATE:
            self.port.send(self._state_reply(board))
        elif command[2] == kr_cu16.OPEN and (board, lock) in self._places:
            self._open(self._places[board, lock])

    def _open(self, name: str) -> None:
        self.open_commands.append(name)
        if LineFault.DROPS_COMMANDS not in self.faults:
            self._energised_until_s[name] = time.monotonic() + self._pulse_s
            self.doors.energise(name)

    def _state_reply(self, board: int) -> bytes:
        bits = 0
        for (address, lock), name in self._places.items():
            closed = self.doors.contact(name) is False
            if address == board and closed is self._closed_is_one:
                bits |= 1 << lock - 1
        reply = kr_cu16.state_reply(board, bits)
        if LineFault.WRONG_ADDRESS in self.faults:
            reply = kr_cu16.state_reply(board ^ 1, bits)
        if LineFault.BAD_CHECKSUM in self.faults:
            reply = reply[:-1] + bytes((reply[-1] ^ 0x40,))
        if LineFault.HALF_FRAME in self.faults:
            reply = reply[:5]
        if LineFault.NOISE in self.faults:
            reply = b"\x02\xff\x35" + reply + b"\x02\x00"
        return reply
