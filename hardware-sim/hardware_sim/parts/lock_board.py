"""KR-CU16 lock boards on a pseudo-terminal, with simulated doors behind them and a line that can be bad."""

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
    """What can be wrong on the line. All but the last garble what the boards say."""

    NOISE = "noise"  # stray bytes around every answer
    HALF_FRAME = "half_frame"  # an answer breaks off
    WRONG_ADDRESS = "wrong_address"  # another board answers
    BAD_CHECKSUM = "bad_checksum"
    SILENT = "silent"  # no power
    ECHO = "echo"  # the adapter hears itself
    DEAF_TO_ORDERS = "deaf_to_orders"  # an order is garbled on its way: the board ignores it


class SimLockBoards:
    """Boards at one end of a line. ``places``: compartment to (board address, lock number)."""

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
        self.loses = 0  # so many answers from now on never arrive
        self.orders: list[str] = []  # every order to open that reached a board, garbled or not
        self._places = {place: name for name, place in places.items()}
        self._pulse_s = pulse_s
        self._closed_is_one = closed_is_one
        self._energised_until_s: dict[str, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sim-lock-board", daemon=True)
        self._thread.start()

    @property
    def energised(self) -> frozenset[str]:
        """The compartments under current now."""
        now_s = time.monotonic()
        return frozenset(
            name for name, until_s in list(self._energised_until_s.items()) if now_s < until_s
        )

    def close(self) -> None:
        """Switch off."""
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
                    self._obey(command)
                    received = received[_COMMAND_BYTES:]
                else:
                    received = received[1:]

    def _obey(self, command: bytes) -> None:
        board, lock = command[1] >> 4, (command[1] & 0x0F) + 1
        if board not in {address for address, _ in self._places} or LineFault.SILENT in self.faults:
            return
        if LineFault.ECHO in self.faults:
            self.port.send(command)
        if command[2] == kr_cu16.STATE and self.loses:
            self.loses -= 1
        elif command[2] == kr_cu16.STATE:
            self.port.send(self._answer(board))
        elif command[2] == kr_cu16.OPEN and (board, lock) in self._places:
            self._open(self._places[board, lock])

    def _open(self, name: str) -> None:
        self.orders.append(name)
        if LineFault.DEAF_TO_ORDERS not in self.faults:
            self._energised_until_s[name] = time.monotonic() + self._pulse_s
            self.doors.energise(name)

    def _answer(self, board: int) -> bytes:
        bits = 0
        for (address, lock), name in self._places.items():
            closed = self.doors.contact(name) is False
            if address == board and closed is self._closed_is_one:
                bits |= 1 << lock - 1
        answer = kr_cu16.state_reply(board, bits)
        if LineFault.WRONG_ADDRESS in self.faults:
            answer = kr_cu16.state_reply(board ^ 1, bits)
        if LineFault.BAD_CHECKSUM in self.faults:
            answer = answer[:-1] + bytes((answer[-1] ^ 0x40,))
        if LineFault.HALF_FRAME in self.faults:
            answer = answer[:5]
        if LineFault.NOISE in self.faults:
            answer = b"\x02\xff\x35" + answer + b"\x02\x00"
        return answer
