"""The JSON codec of the protocol: bytes in, a message or a refusal out. Pure.

Each event of a batch is read on its own, so that one bad item never blocks those behind it. Unknown
keys are ignored, because a device and a hub are upgraded at different times. ``sync.wire.messages``
has the models. Signed documents are read elsewhere (``sync.wire.order_feed``, ``edge.documents``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from sync.wire.limits import PageBounds
from sync.wire.messages import (
    MAX_SEQ,
    MOST_EVENTS,
    Addressed,
    BadEvent,
    Batch,
    BatchHeader,
    Event,
    GrantRequest,
    MessageFault,
    MessageRefusal,
    OrdersRequest,
    Reply,
    Request,
    Response,
    RestoreReply,
    RestoreRequest,
    WireModel,
)
from sync.wire.storable import unstorable

MAX_MESSAGE_BYTES = 256 * 1024
LONGEST_EXCERPT = 4096  # characters of an event that could not be read
MAX_EVENT_BYTES = 32 * 1024
BATCH: Final = PageBounds(MOST_EVENTS, 48 * 1024)  # a batch is closed before it grows beyond this
# The type of an event whose number is sent without its content. The hub refuses it.
WITHHELD = "withheld"
# Why an event is withheld: the platform refused it, and has lost that it did.
ALREADY_REFUSED = "already_refused"

_HEXADECIMAL = frozenset("0123456789abcdef")
_WORD_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")
T = TypeVar("T")
M = TypeVar("M", bound=WireModel)
A = TypeVar("A", bound=Addressed)
_REQUEST: TypeAdapter[OrdersRequest | GrantRequest | RestoreRequest] = TypeAdapter(Request)
_REPLY: TypeAdapter[Response | RestoreReply] = TypeAdapter(Reply)


def encode(message: BaseModel) -> bytes:
    """Return ``message`` as compact JSON."""
    return message.model_dump_json().encode()


def encode_batch(
    dev: str,
    epoch: str,
    acknowledged_through: int,
    conflicts_through: int,
    events: list[bytes],
    *,
    tag: str = "",
    grants_released_through: int = 0,
) -> bytes:
    """Return a batch of events, each already encoded, under one header.

    A batch without events asks what the platform has.
    """
    fields = {"v": 1, "dev": dev, "epoch": epoch, "acknowledged_through": acknowledged_through}
    if conflicts_through:
        fields["conflicts_through"] = conflicts_through
    if grants_released_through:
        fields["grants_released_through"] = grants_released_through
    if tag:
        fields["tag"] = tag
    header = json.dumps(fields, separators=(",", ":"))
    return header[:-1].encode() + b',"events":[' + b",".join(events) + b"]}"


def encode_event(event: Event) -> bytes | MessageRefusal:
    """Return ``event`` as JSON, or why the platform would never accept it."""
    if fault := unstorable(event.body):
        return MessageRefusal(MessageFault.VALUE_UNFIT, f"body: {fault}")
    encoded = event.model_dump_json().encode()
    if len(encoded) > MAX_EVENT_BYTES:
        return MessageRefusal(
            MessageFault.TOO_LARGE, f"{len(encoded)} bytes, at most {MAX_EVENT_BYTES}"
        )
    return encoded


class BatchReader:
    """A batch whose events are read a few at a time: a large one takes many milliseconds."""

    def __init__(self, header: BatchHeader) -> None:
        self._header = header
        self._items = iter(header.events)
        self._events: list[Event] = []
        self._bad: list[BadEvent] = []

    def advance(self, may_continue: Callable[[], bool]) -> Batch | MessageRefusal | None:
        """Read events until ``may_continue`` returns False; return the batch after the last."""
        for item in self._items:
            event = _event(item)
            if isinstance(event, Event):
                self._events.append(event)
            elif event is not None:
                self._bad.append(event)
            else:
                return MessageRefusal(
                    MessageFault.WRONG_SHAPE, "events: an item without a usable seq"
                )
            if not may_continue():
                return None
        header = self._header
        self._events.sort(key=lambda event: event.seq)
        return Batch(
            header.dev,
            header.epoch,
            header.acknowledged_through,
            header.conflicts_through,
            tuple(self._events),
            tuple(self._bad),
            header.tag,
            header.grants_released_through,
        )


def open_batch(payload: bytes, *, dev: str) -> BatchReader | MessageRefusal:
    """Return a reader of the batch in ``payload``, which came on the topic of ``dev``."""
    header = _check_header(_parse(_adapter(BatchHeader), payload, MAX_MESSAGE_BYTES), payload, dev)
    return header if isinstance(header, MessageRefusal) else BatchReader(header)


def decode_batch(payload: bytes, *, dev: str) -> Batch | MessageRefusal:
    """Return the batch in ``payload``, which came on the topic of ``dev``."""
    reader = open_batch(payload, dev=dev)
    if isinstance(reader, MessageRefusal):
        return reader
    while (batch := reader.advance(lambda: True)) is None:
        pass
    return batch


def _check_header(
    header: BatchHeader | MessageRefusal, payload: bytes, dev: str
) -> BatchHeader | MessageRefusal:
    """Return the header, also of a batch in which one event is not JSON by the strict rules.

    Half of a surrogate pair in one event must not refuse the others.
    """
    if isinstance(header, MessageRefusal) and header.fault is MessageFault.NOT_JSON:
        try:
            header = BatchHeader.model_validate(json.loads(payload))
        except (ValueError, RecursionError):
            return header
    return header if isinstance(header, MessageRefusal) else _check_sender(header, dev)


def _event(item: JsonValue) -> Event | BadEvent | None:
    try:
        event = Event.model_validate(item)
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False)[0]["loc"]
        reason = f"{MessageFault.WRONG_SHAPE}.{_word(str(place[0]) if place else 'event')}"
    else:
        if unstorable(event.body) is None:
            return event
        reason = MessageFault.VALUE_UNFIT.value
    seq = item.get("seq") if isinstance(item, dict) else None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 1 <= seq <= MAX_SEQ:
        return None
    return BadEvent(seq, reason, _excerpt(item))


def excerpt(event: Event) -> str:
    """Return an event as JSON in ASCII, cut, as ``BadEvent.raw`` holds it."""
    return _excerpt(event.model_dump())


def _excerpt(item: JsonValue) -> str:
    return json.dumps(item)[:LONGEST_EXCERPT]


def _word(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter in _WORD_LETTERS)[:40]


def is_word(text: str) -> bool:
    """Return whether ``text`` may be a type or a reason."""
    return 0 < len(text) <= 64 and set(text) <= _WORD_LETTERS and text[0].isalpha()


def is_cti(text: str) -> bool:
    """Return whether ``text`` is 16 bytes in lower-case hexadecimal."""
    return len(text) == 32 and _HEXADECIMAL.issuperset(text)


def decode_request(
    payload: bytes, *, dev: str
) -> OrdersRequest | GrantRequest | RestoreRequest | MessageRefusal:
    """Return the request in ``payload``, which came on the topic of ``dev``."""
    request = _parse(_REQUEST, payload, MAX_MESSAGE_BYTES)
    return request if isinstance(request, MessageRefusal) else _check(request, dev)


def decode_reply(payload: bytes, *, dev: str) -> Response | RestoreReply | MessageRefusal:
    """Return the reply to a request of ``dev``, which came on its topic."""
    reply = _parse(_REPLY, payload, MAX_MESSAGE_BYTES)
    return reply if isinstance(reply, MessageRefusal) else _check_sender(reply, dev)


def decode(
    model: type[M], payload: bytes, *, largest: int = MAX_MESSAGE_BYTES
) -> M | MessageRefusal:
    """Return the message of type ``model`` in ``payload``, which has at most ``largest`` bytes."""
    return _parse(_adapter(model), payload, largest)


def decode_addressed(model: type[A], payload: bytes, *, dev: str) -> A | MessageRefusal:
    """Return the message in ``payload``. It must name ``dev``, the device of its topic."""
    message = decode(model, payload)
    return message if isinstance(message, MessageRefusal) else _check(message, dev)


def first_error(error: ValidationError) -> str:
    """Return the first error as ``path: type``. The text never quotes what the message said."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{_path(first['loc'])}: {first['type']}"


@cache
def _adapter(model: type[M]) -> TypeAdapter[M]:
    return TypeAdapter(model)


def _parse(adapter: TypeAdapter[T], payload: bytes, largest: int) -> T | MessageRefusal:
    if len(payload) > largest:
        return MessageRefusal(MessageFault.TOO_LARGE, f"{len(payload)} bytes, at most {largest}")
    try:
        return adapter.validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "json_invalid":
            return MessageRefusal(MessageFault.NOT_JSON, "the payload is not JSON")
        is_version = first["loc"][-1:] == ("v",)
        fault = MessageFault.VERSION_UNKNOWN if is_version else MessageFault.WRONG_SHAPE
        return MessageRefusal(fault, first_error(error))


def _check(message: A, dev: str) -> A | MessageRefusal:
    if fault := unstorable(message.model_dump()):
        return MessageRefusal(MessageFault.VALUE_UNFIT, fault)
    return _check_sender(message, dev)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)[:80]


def _check_sender(message: A, dev: str) -> A | MessageRefusal:
    if message.dev != dev:
        return MessageRefusal(MessageFault.WRONG_DEVICE, "dev is not the device of the topic")
    return message
