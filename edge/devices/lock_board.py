"""Lock boards on an RS-485 line (``edge.devices.kr_cu16``): the locks and, through their feedback, the doors.

A thread asks every board for its state some twenty times a second, so that neither a slow nor a dead line
ever delays a scan; a door's state is believed when two answers in a row agree. Questions are asked again when
no answer comes. An order to open is sent **once**: whether a lost one was heard is for the door's contact to
tell, and for a person to try again (law 5). The board ends the pulse by itself, whatever becomes of this
process: set its unlock time to the profile's ``pulse_ms``.
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
_ANSWER_S: Final = 0.1  # a frame takes 5 ms at 19200 baud, a USB adapter holds it for 16 more
_TRIES: Final = 3
_FIRST_LOOK_S: Final = 2.0  # how long the first question after a start may wait for the boards
_STALE_S: Final = 2.0  # a reading older than this is none
_MARGIN_S: Final = 0.02  # the board starts its pulse a little after the order is out


@dataclass(slots=True)
class _Board:
    """What a board last said. ``problem`` empty: it answers."""

    raw: int | None = None  # its last answer
    settled: int = 0  # bit by bit, what two answers in a row agreed on
    answers: int = 0  # in a row
    believed: int | None = (
        None  # the last ``settled`` that two answers stand behind, of before a silence too
    )
    at_s: float = 0.0
    problem: str = ""


class LockBoards:
    """Implements ``Lock``, ``DoorSensor`` and ``CountsOpenings``.

    A board that is away is a named problem, and is found when it is back.
    """

    def __init__(self, section: LockerSection) -> None:
        """``section``: one with driver "board". Returns at once; nothing need be plugged in."""
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
        self._looked = threading.Event()  # every board has settled, or is known to be silent
        self._poller = threading.Thread(target=self._poll, name="lock-board", daemon=True)
        self._poller.start()

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong now, by name."""
        return {
            f"lock_board_{address}": board.problem
            for address, board in self._boards.items()
            if board.problem
        }

    def compartments(self) -> frozenset[str]:
        """The compartments that have a lock number."""
        return frozenset(self._places)

    def pulse(self, compartment: str) -> None:
        """Order the board to open the lock, once; return when its pulse is over.

        Raises LockError: for an unknown compartment, after ``close`` and when the board does not answer
        beforehand nothing was ordered; when the line is lost then, the door may be open or not.
        """
        if compartment not in self._places:
            raise LockError(
                f"there is no compartment {compartment!r}: it has no lock_number in the profile"
            )
        board, lock = self._places[compartment]
        with self._one_at_a_time:
            if self._closing.is_set():
                raise LockError("the lock is closed")
            if self._ask(board) is None:
                raise LockError(f"nothing was energised: {self._boards[board].problem}")
            try:
                self._line.tell(kr_cu16.open_command(board, lock))
            except LineLostError as error:
                raise LockError(
                    f"the line was lost while lock {compartment} was told: {error}"
                ) from error
            time.sleep(
                self._pulse_s + _MARGIN_S
            )  # not cut short by close: only the board can end its pulse
            if self._ask(board) is None:
                raise LockError(
                    f"silent after lock {compartment} was told: {self._boards[board].problem}"
                )

    def is_open(self, compartment: str) -> bool | None:
        """What the lock's feedback says; None when its board does not answer or there is no such compartment."""
        if compartment not in self._places:
            return None
        self._looked.wait(_FIRST_LOOK_S)
        address, lock = self._places[compartment]
        board = self._boards[address]
        if board.answers < 2 or time.monotonic() - board.at_s > _STALE_S:
            return None
        return board.settled >> (lock - 1) & 1 != self._closed_bit

    def openings(self, compartment: str) -> int:
        """How often the door stood open, and was closed again, since the start; counted from two answers each."""
        return self._openings[compartment]

    def close(self) -> None:
        """Wait for a pulse in progress, stop asking, release the port. Safe to call twice."""
        self._closing.set()
        with self._one_at_a_time:
            self._line.close()
        if self._poller is not threading.current_thread():
            self._poller.join()

    def _poll(self) -> None:
        while not self._closing.is_set():
            for address, board in self._boards.items():
                self._look(address, board)
            if all(board.answers > 1 or board.problem for board in self._boards.values()):
                self._looked.set()
            self._closing.wait(_POLL_S)

    def _look(self, address: int, board: _Board) -> None:
        bits = self._ask(address)
        if bits is None:
            board.raw, board.answers = None, 0
            return
        changed = 0 if board.raw is None else bits ^ board.raw
        before = bits if board.raw is None else board.settled
        board.settled = before & changed | bits & ~changed
        board.raw, board.at_s = bits, time.monotonic()
        board.answers += 1
        if board.answers > 1:
            self._count(address, board)

    def _count(self, address: int, board: _Board) -> None:
        """Notice the doors that stood open when the board was last believed, and are closed."""
        before = board.settled if board.believed is None else board.believed
        shut = (before ^ board.settled) & (board.settled if self._closed_bit else ~board.settled)
        self._openings.update(
            name
            for name, (at, lock) in self._places.items()
            if at == address and shut >> (lock - 1) & 1
        )
        board.believed = board.settled

    def _ask(self, address: int) -> int | None:
        """Ask for the state, again when no whole answer comes. None: silent, and ``problem`` says how."""
        problem = f"lock board {address} does not answer: check its power, its address and the line's A and B"
        for _ in range(_TRIES):
            try:
                bits = self._line.ask(
                    kr_cu16.state_query(address),
                    lambda received: kr_cu16.find_state(received, address),
                    timeout_s=_ANSWER_S,
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
