"""Protocol of the KR-CU16 lock board on RS-485: frames to bytes and back. Pure.

    STX(02) ADDR CMD [DATA...] ETX(03) SUM      8N1, 19200 baud from the factory

ADDR carries the board (its switch, 0 to 9) in its high nibble and the lock (0 to 15) in its low
one. SUM is the sum of all bytes before it, modulo 256. Two commands are used:

* 31 opens the lock that ADDR names. The board times the pulse, and sends **no reply**.
* 30 asks a board for its state. It replies with command 35 and four bytes: the locks 1 to 8 and
  9 to 16, lowest bit first, and then the same for its object sensors.

Sources: Kerong's board guide (github.com/8lal8/kerongDocs, cu16.md: addresses 0 to 9, sixteen locks
a board, pulse times), and independent programs for real boards:

* github.com/jin0949/KR-CU16_locker
* github.com/julio-alv/lkaas-kerong (src/kerong)
* github.com/suryavirkapur/kerong-lib ("Unlock: Response: none")

The last one serves an NCU16L, where a state bit of 1 means *open*; with the others it means
*closed*. Hence ``closed_is_one`` in the profile. More in docs/adr/0050.
"""

from __future__ import annotations

from typing import Final

STX: Final = 0x02
ETX: Final = 0x03
STATE: Final = 0x30
OPEN: Final = 0x31
STATE_REPLY: Final = 0x35
_REPLY_BYTES: Final = 9


def frame(address: int, command: int, data: bytes = b"") -> bytes:
    """Return a whole frame. ``address`` is the ADDR byte.

    >>> frame(0x00, OPEN).hex(" ")
    '02 00 31 03 36'
    """
    body = bytes((STX, address, command, *data, ETX))
    return body + bytes((sum(body) & 0xFF,))


def open_command(board: int, lock: int) -> bytes:
    """Return the frame that opens ``lock`` (1 to 16) of ``board`` (0 to 9).

    >>> open_command(1, 3).hex(" ")
    '02 12 31 03 48'
    """
    return frame(board << 4 | lock - 1, OPEN)


def state_query(board: int) -> bytes:
    """Return the frame that asks ``board`` for the state of its locks."""
    return frame(board << 4, STATE)


def state_reply(board: int, bits: int) -> bytes:
    """Return a board's reply. ``bits``: 16, lock 1 in the lowest; no object sensors."""
    return frame(board << 4, STATE_REPLY, bits.to_bytes(2, "little") + b"\0\0")


def find_state(received: bytes, board: int) -> int | None:
    """Return the 16 lock bits of the first whole reply of ``board`` in ``received``.

    None: there is none yet. What precedes it is skipped: noise, half a frame, another board's
    reply, the echo of the query.

    >>> find_state(b"noise" + state_query(2) + state_reply(2, 0b101), 2)
    5
    """
    for start in range(len(received) - _REPLY_BYTES + 1):
        reply = received[start : start + _REPLY_BYTES]
        if reply == state_reply(board, 0)[:3] + reply[3:7] + bytes((ETX, sum(reply[:-1]) & 0xFF)):
            return int.from_bytes(reply[3:5], "little")
    return None
