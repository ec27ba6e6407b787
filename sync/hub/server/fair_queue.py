"""The queue of what arrived, in which senders take turns by the time that their messages cost.

It is the fair queue of RFC 8290, section 4, with seconds in place of bytes: a sender whose budget
is spent goes to the end of the line, and one that has not sent for a while comes before the others.
So a device that floods the hub delays another by the rest of one turn.

What is over a bound is dropped. Its sender gets no acknowledgement, and sends it again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from sync.hub.server.inbound import InboundMessage
from sync.wire.limits import MOST_PACKET_BYTES
from sync.wire.topics import Up

TURN_S: Final = 0.005  # of handling, before it is another sender's turn
_NEWEST_COUNTS: Final = (Up.STATUS, Up.CONFIG)  # a later message replaces one that still waits


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBounds:
    """What may wait: for each sender, and of all."""

    messages_each: int = 64
    bytes_each: int = 2 * MOST_PACKET_BYTES
    bytes_in_all: int = 64 * MOST_PACKET_BYTES


@dataclass(slots=True)
class _Sender:
    waiting: deque[InboundMessage] = field(default_factory=deque)
    bytes: int = 0
    budget_s: float = TURN_S  # below zero: a message took longer than its turn

    def put(self, message: InboundMessage) -> None:
        self.waiting.append(message)
        self.bytes += len(message.payload)

    def remove(self, message: InboundMessage) -> None:
        self.waiting.remove(message)
        self.bytes -= len(message.payload)


class FairQueue:
    """Messages by sender. Call ``next``, handle the message for a while, then call ``spend``."""

    def __init__(self, bounds: QueueBounds | None = None) -> None:
        self._bounds = bounds or QueueBounds()
        self._senders: dict[str, _Sender] = {}
        self._fresh: deque[str] = deque()  # senders that have not had a turn since they came
        self._line: deque[str] = deque()  # the others, in the order of their turns
        self.messages = 0
        self.bytes = 0

    def add(self, message: InboundMessage) -> list[InboundMessage]:
        """Append a message, and return those that are dropped for it: perhaps itself."""
        name = message.topic.node
        sender = self._senders.get(name)
        if sender is None:
            sender = self._senders[name] = _Sender()
            self._fresh.append(name)
        if message.topic.channel in _NEWEST_COUNTS and self._replace_older(sender, message):
            return self._drop_excess()
        size = len(message.payload)
        if sender.waiting and (
            len(sender.waiting) >= self._bounds.messages_each
            or sender.bytes + size > self._bounds.bytes_each
        ):
            return [message]
        sender.put(message)
        self.messages += 1
        self.bytes += size
        return self._drop_excess()

    def next(self) -> InboundMessage | None:
        """Return the message whose turn it is. It stays here until it is done."""
        while line := self._fresh or self._line:
            sender = self._senders[line[0]]
            if sender.budget_s <= 0:
                sender.budget_s += TURN_S
                self._line.append(line.popleft())
            elif sender.waiting:
                return sender.waiting[0]
            elif line is self._fresh:  # as if it were fresh again, it would always be first
                self._line.append(line.popleft())
            else:
                del self._senders[line.popleft()]
        return None

    def spend(self, message: InboundMessage, seconds: float, *, done: bool) -> None:
        """Charge the sender for the time that handling has taken; remove a message that is done."""
        sender = self._senders[message.topic.node]
        sender.budget_s -= seconds
        if done:
            self._remove(sender, message)

    def _replace_older(self, sender: _Sender, message: InboundMessage) -> bool:
        """Put the message in the place of one of its channel that waits. Return whether one does.

        The place stays: what a device sent after its first status is compared with that status.
        """
        for place, older in enumerate(sender.waiting):
            if older.topic.channel is message.topic.channel:
                more = len(message.payload) - len(older.payload)
                sender.waiting[place] = message
                sender.bytes += more
                self.bytes += more
                return True
        return False

    def _drop_excess(self) -> list[InboundMessage]:
        """Drop the newest of the sender with the most bytes, until the bound holds."""
        dropped = []
        while self.bytes > self._bounds.bytes_in_all:
            largest = max(self._senders.values(), key=lambda sender: sender.bytes)
            dropped.append(largest.waiting[-1])
            self._remove(largest, largest.waiting[-1])
        return dropped

    def _remove(self, sender: _Sender, message: InboundMessage) -> None:
        sender.remove(message)
        self.messages -= 1
        self.bytes -= len(message.payload)
