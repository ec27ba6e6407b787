"""Lock boards on an RS-485 line (``edge.devices.kr_cu16``): locks and, by their feedback, doors.

A thread queries every board's state some twenty times a second, so that neither a slow nor a dead
line ever delays a scan. A door's state counts when two replies in a row agree. A query without a
reply is repeated.

A command to open is sent **once**. Whether a board received it is shown by the door's contact, and
a person may try again (law 5). The board ends the pulse by itself, even if this process ends: set
its unlock time to the profile's ``pulse_ms``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from edge.config import LockerSection
from edge.devices import kr_cu16
from edge.devices.serial_line import LineLostError, SerialLine
from edge.ports import LockError

_POLL_S: Final = 0.05
_REPLY_S: Final = 0.1  # a frame takes 5 ms at 19200 baud, a USB adapter holds it for 16 more
_TRIES: Final = 3
_FIRST_STATE_S: Final = 2.0  # how long ``is_open`` may wait for the boards after a start
_STALE_S: Final = 2.0  # an older state does not count
_MARGIN_S: Final = 0.02  # the board begins its pulse a little after the command was sent


@dataclass(slots=True)
class _Board:
    """State of one board. ``problem`` empty: it replies."""

    raw: int | None = None  # its last reply
    agreed: int = 0  # for each bit, what two replies in a row agreed on
    replies: int = 0  # in a row
    confirmed: int | None = None  # the last ``agreed`` of two replies, also from before a silence
    at_s: float = 0.0
    problem: str = ""


class LockBoards:
    """``Lock`` and ``DoorSensor`` over lock boards. Supports ``CountsOpenings``.

    A board that does not reply is a problem, and is used again once it replies.
    """

    def __init__(self, section: LockerSection) -> None:
        """Start to query the boards of ``section``, whose driver is "board".

        Returns at once; the adapter may be plugged in later.
        """
        if section.board is None:
            raise ValueError('a locker with driver "board" has a section locker.board')
        self._places = section.board_places()
        self._pulse_s = section.pulse_ms / 1000
        self._closed_bit = int(section.board.closed_is_one)
        self._line = SerialLine(section.board.port, section.board.baud)
        self._boards = {address: _Board() for address, _ in self._places.values()}
        self._openings: Counter[str] = Counter()
        self._one_at_a_time = threading.Lock()
        self._closing = threading.Event()
        self._state_known = threading.Event()  # every board's state is known, or it is silent
        self._poller = threading.Thread(target=self._poll, name="lock-board", daemon=True)
        self._poller.start()

    @property
    def problems(self) -> dict[str, str]:
        """Return the present problems: name to detail."""
        return {
            f"lock_board_{address}": board.problem
            for address, board in self._boards.items()
            if board.problem
        }

    def compartments(self) -> frozenset[str]:
        """Return the compartments that have a lock number."""
        return frozenset(self._places)

    def pulse(self, compartment: str) -> None:
        """Command the board to open the lock, once; return when its pulse is over.

        Raises LockError. For an unknown compartment, after ``close``, and when the board does not
        reply beforehand, no command was sent. When the line is lost later, the door may be open.
        """
        if compartment not in self._places:
            raise LockError(
                f"there is no compartment {compartment!r}: it has no lock_number in the profile"
            )
        board, lock = self._places[compartment]
        with self._one_at_a_time:
            if self._closing.is_set():
                raise LockError("the lock is closed")
            if self._query(board) is None:
                raise LockError(f"nothing was energised: {self._boards[board].problem}")
            try:
                self._line.send(kr_cu16.open_command(board, lock))
            except LineLostError as error:
                raise LockError(
                    f"the line was lost during the command to lock {compartment}: {error}"
                ) from error
            # ``close`` does not cut this short: only the board can end its pulse.
            time.sleep(self._pulse_s + _MARGIN_S)
            if self._query(board) is None:
                problem = self._boards[board].problem
                raise LockError(f"no reply after the command to lock {compartment}: {problem}")

    def is_open(self, compartment: str) -> bool | None:
        """Return what the lock's feedback reports; None while its board does not reply.

        None too for an unknown compartment.
        """
        if compartment not in self._places:
            return None
        self._state_known.wait(_FIRST_STATE_S)
        address, lock = self._places[compartment]
        board = self._boards[address]
        if board.replies < 2 or time.monotonic() - board.at_s > _STALE_S:
            return None
        return board.agreed >> (lock - 1) & 1 != self._closed_bit

    def openings(self, compartment: str) -> int:
        """Return how often the door opened and closed since the start, each by two replies."""
        return self._openings[compartment]

    def close(self) -> None:
        """Wait for a pulse in progress, stop the queries, release the port. Safe to call twice."""
        self._closing.set()
        with self._one_at_a_time:
            self._line.close()
        if self._poller is not threading.current_thread():
            self._poller.join()

    def _poll(self) -> None:
        while not self._closing.is_set():
            for address, board in self._boards.items():
                self._update(address, board)
            if all(board.replies > 1 or board.problem for board in self._boards.values()):
                self._state_known.set()
            self._closing.wait(_POLL_S)

    def _update(self, address: int, board: _Board) -> None:
        bits = self._query(address)
        if bits is None:
            board.raw, board.replies = None, 0
            return
        changed = 0 if board.raw is None else bits ^ board.raw
        before = bits if board.raw is None else board.agreed
        board.agreed = before & changed | bits & ~changed
        board.raw, board.at_s = bits, time.monotonic()
        board.replies += 1
        if board.replies > 1:
            self._count_openings(address, board)

    def _count_openings(self, address: int, board: _Board) -> None:
        """Count the doors that were open at the last confirmed state and are closed now."""
        before = board.agreed if board.confirmed is None else board.confirmed
        shut = (before ^ board.agreed) & (board.agreed if self._closed_bit else ~board.agreed)
        self._openings.update(
            name
            for name, (at, lock) in self._places.items()
            if at == address and shut >> (lock - 1) & 1
        )
        board.confirmed = board.agreed

    def _query(self, address: int) -> int | None:
        """Return the board's state bits; None: no reply to any try, and ``problem`` is set."""
        problem = (
            f"lock board {address} does not reply:"
            " check its power, its address and the line's A and B"
        )
        for _ in range(_TRIES):
            try:
                bits = self._line.query(
                    kr_cu16.state_query(address),
                    lambda received: kr_cu16.find_state(received, address),
                    timeout_s=_REPLY_S,
                )
            except LineLostError as error:
                problem = str(error)
                break
            if bits is not None:
                self._boards[address].problem = ""
                return bits
        if not self._closing.is_set():
            self._boards[address].problem = problem
        return None
