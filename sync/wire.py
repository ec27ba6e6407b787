"""Messages between a device and the hub, as JSON. Pure: bytes in, a message or a named fault out.

Events go up in batches; the header of a batch and one of its events make the envelope
``{v, dev, epoch, seq, id, ts, ts_trust, type, body}``. Every event of a batch is read on its own,
so that one bad item never blocks those behind it. Unknown keys are ignored: a device and
a hub are upgraded at different times. Signed documents are not read here (sync.feed, edge.token).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from edge.claim_result import ClaimResult
from sync.topics import NAME

MAX_MESSAGE_BYTES = 256 * 1024
MAX_EVENT_BYTES = 32 * 1024
BATCH_BYTES = 48 * 1024  # a batch is closed before it grows beyond this
WITHHELD = "withheld"  # an event's type: its number is sent without its content, and the hub refuses it
REFUSED_BEFORE = "refused_before"  # why: the platform refused it, and has lost that it did
MOST_RUNGS = 32  # of a decoder, in a status
MAX_SEQ = 2**53 - 1  # the largest integer every JSON reader keeps exact

Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
Epoch = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,40}$")]
Ident = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,40}$")]  # a UUIDv7 as text or hex
Tag = Annotated[str, Field(pattern=r"^[0-9a-f]{0,16}$")]
RungName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,39}$")]
Cti = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Seconds = Annotated[int, Field(ge=0, lt=2**33)]
Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]
Count = Annotated[int, Field(ge=0, le=MAX_SEQ)]


class Fault(StrEnum):
    """Why a message was not taken. Counted under this name, and it changes nothing."""

    TOPIC_UNKNOWN = "topic_unknown"
    TOO_LARGE = "message_too_large"
    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"
    VERSION_UNKNOWN = "version_unknown"
    WRONG_DEVICE = "wrong_device"  # the sender named in the message is not the topic's
    NOT_CBOR = "not_cbor"
    WRONG_SITE = "wrong_site"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that was not taken."""

    fault: Fault
    detail: str  # for the log; names the field, never quotes its content


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Addressed(_Message):
    v: Literal[1] = 1
    dev: Name


class Event(_Message):
    """One row of the outbox."""

    seq: Seq
    id: Ident
    ts: Seconds
    ts_trust: Literal["trusted", "floor_only"]
    type: Word
    body: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class BadEvent:
    """An item of a batch that is not an event; it is refused by its number."""

    seq: int
    reason: str
    raw: str  # the item as JSON, cut at 4,096 characters, for whoever looks into it


class _BatchHeader(_Addressed):
    epoch: Epoch
    settled_through: Count = 0  # what the device holds as acknowledged; the hub compares with what it has
    conflicts_through: Count = 0  # the newest conflict that the device has recorded
    claims_through: Count = 0  # every claim of this epoch up to this number is over; 0: says nothing of claims
    tag: Tag = ""  # of the process that sends; its acknowledgement carries it back
    events: Annotated[list[JsonValue], Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one device and epoch, in ``seq`` order."""

    dev: str
    epoch: str
    settled_through: int
    conflicts_through: int
    events: tuple[Event, ...]
    bad: tuple[BadEvent, ...] = ()
    tag: str = ""
    claims_through: int = 0


class Refused(_Message):
    """An event that the platform will not take, ever. ``id`` is the event's, where it could be read."""

    seq: Seq
    reason: Word
    id: Annotated[str, Field(max_length=40)] = ""


class Conflict(_Message):
    """The same entitlement honoured beyond its quantity: shown to every device concerned."""

    no: Seq  # the hub's number of the conflict
    cti: Cti
    epoch: Epoch  # of this device's own event
    seq: Seq
    other_dev: Name
    other_ts: Seconds


class Ack(_Addressed):
    """What is durable at the platform. Only this settles a row.

    The events from ``first`` to ``last`` are those of the batch that is answered: they were compared with what the
    platform holds and are durable or in ``rejected``. Of an epoch it holds every number through ``acked_through``,
    which tells the two ends whether one of them has forgotten something. ``tag`` is the batch's: where two
    devices have one identity, neither settles by what the other was told.
    """

    epoch: Epoch
    acked_through: Count
    first: Count = 0
    last: Count = 0
    settled_through: Count = 0  # as the device said; when that is more, the platform has lost events
    tag: Tag = ""
    rejected: list[Refused] = []
    conflicts: list[Conflict] = []


class OrdersRequest(_Addressed):
    """Ask for the order feed: what changed after ``have``, or all of it when that is 0.

    A half-loaded snapshot goes on from ``page`` of ``snapshot``, if the hub still has it.
    """

    type: Literal["orders"] = "orders"
    id: Ident
    have: Count
    snapshot: Count = 0
    page: Annotated[int, Field(ge=0, lt=2**31)] = 0
    pages: Annotated[int, Field(ge=1, le=32)] = 1  # how many may come for this request, one after the other


class ClaimRequest(_Addressed):
    """Ask the authority of its home for leave to honour an entitlement that is not homed on this device.

    ``sold`` and ``sold_minor`` (of a voucher used in parts) are what the device's signed order feed says, for a
    site's authority, which has no feed; 0: the entitlement is not in its cache. ``no`` counts the claims of the
    device's store, ``epoch`` is the one it writes events in: a later batch says by them that this claim is over.
    """

    type: Literal["claim"] = "claim"
    id: Ident
    cti: Cti
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    epoch: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{0,40}$")] = ""
    no: Count = 0  # 0, of an older device: nothing that it says frees what it is granted
    sold: Count = 0
    sold_minor: Count | None = None
    wait_ms: Annotated[int, Field(ge=1, le=60_000)] = 1500  # after this nobody waits for the answer


Request = Annotated[OrdersRequest | ClaimRequest, Field(discriminator="type")]


class Response(_Addressed):
    """The answer to a claim, by the request's id. Only ``signed`` counts; the rest is for whoever looks."""

    id: Ident
    type: Literal["claim"] = "claim"
    result: ClaimResult
    signed: Annotated[str, Field(max_length=2000)] = ""  # base64 of a document (sync.claim_answer)


class Rung(_Message):
    """What one step of a device's decoder has cost and earned since its scanner started."""

    rung: RungName  # its name; "lost" is what containing a crash or a hang has cost
    tries: Count  # pictures on which it was tried
    reads: Count  # tries that read a code
    faults: Count  # tries that raised, crashed or hung
    busy_ms: Count  # time that the tries took


class Status(_Addressed):
    """Retained: what a device is doing. The broker publishes ``offline`` in its place when it is gone."""

    state: Literal["online", "offline"]
    epoch: Epoch
    last_seq: Count = 0
    settled_through: Count = 0
    orders_revision: Count = 0
    trust_version: Count = 0
    software: Annotated[str, Field(max_length=40)] = ""
    rungs: Annotated[tuple[Rung, ...], Field(max_length=MOST_RUNGS)] = ()  # of the decoder, an hour old at most


class Command(_Addressed):
    """Not retained, expires.

    ``resend``: the hub has just started and wants what it may have missed. ``here``: a site's authority answers claims.
    """

    dev: Annotated[str, Field(pattern=rf"^({NAME}|_all)$")]
    type: Literal["resend", "here"] = "resend"


_to_json = json.JSONEncoder(allow_nan=False, check_circular=False).encode  # of what JSON was read into
_HEXADECIMAL = frozenset("0123456789abcdef")
_WORD_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")
M = TypeVar("M", bound=_Addressed)
_REQUEST: TypeAdapter[OrdersRequest | ClaimRequest] = TypeAdapter(Request)


def encode(message: BaseModel) -> bytes:
    """A message as compact JSON."""
    return message.model_dump_json().encode()


def encode_batch(
    dev: str,
    epoch: str,
    settled_through: int,
    conflicts_through: int,
    events: list[bytes],
    *,
    tag: str = "",
    claims_through: int = 0,
) -> bytes:
    """Put events, each already encoded, under one header. Without events it asks where the platform is."""
    fields = {"v": 1, "dev": dev, "epoch": epoch, "settled_through": settled_through}
    if conflicts_through:
        fields["conflicts_through"] = conflicts_through
    if claims_through:
        fields["claims_through"] = claims_through
    if tag:
        fields["tag"] = tag
    header = json.dumps(fields, separators=(",", ":"))
    return header[:-1].encode() + b',"events":[' + b",".join(events) + b"]}"


def encode_event(event: Event) -> bytes | Malformed:
    """One event as JSON, or why the platform would never take it."""
    try:
        encoded = event.model_dump_json().encode()
    except ValueError:  # a lone surrogate, which no JSON reader takes
        return Malformed(Fault.NOT_JSON, "the body cannot be written as JSON")
    if len(encoded) > MAX_EVENT_BYTES:
        return Malformed(Fault.TOO_LARGE, f"{len(encoded)} bytes, at most {MAX_EVENT_BYTES}")
    return encoded


def decode_batch(payload: bytes, *, dev: str) -> Batch | Malformed:
    """Read a batch that came on the topic of ``dev``."""
    header = _decode(_BatchHeader, payload, dev=dev)
    if isinstance(header, Malformed):
        return header
    events: list[Event] = []
    bad: list[BadEvent] = []
    for item in header.events:
        event = _event(item)
        if isinstance(event, Event):
            events.append(event)
        elif event is not None:
            bad.append(event)
        else:
            return Malformed(Fault.WRONG_SHAPE, "events: an item without a usable seq")
    events.sort(key=lambda event: event.seq)
    return Batch(
        header.dev,
        header.epoch,
        header.settled_through,
        header.conflicts_through,
        tuple(events),
        tuple(bad),
        header.tag,
        header.claims_through,
    )


def _event(item: JsonValue) -> Event | BadEvent | None:
    try:
        event = Event.model_validate(item)
        _to_json(event.body).encode()
    except ValidationError as error:
        reason = "wrong_shape." + _word(str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else "event")
    except (ValueError, RecursionError):  # NaN, a lone surrogate
        reason = "wrong_shape.body"
    else:
        return event
    seq = item.get("seq") if isinstance(item, dict) else None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 1 <= seq <= MAX_SEQ:
        return None
    return BadEvent(seq, reason, json.dumps(item)[:4096])


def _word(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter in _WORD_LETTERS)[:40]


def is_word(text: str) -> bool:
    """True for what may stand as a type or a reason."""
    return 0 < len(text) <= 64 and set(text) <= _WORD_LETTERS and text[0].isalpha()


def is_cti(text: str) -> bool:
    """True for 16 bytes in lower-case hexadecimal."""
    return len(text) == 32 and _HEXADECIMAL.issuperset(text)


def decode_ack(payload: bytes, *, dev: str) -> Ack | Malformed:
    """Read an acknowledgement that came on the topic of ``dev``."""
    return _decode(Ack, payload, dev=dev)


def decode_response(payload: bytes, *, dev: str) -> Response | Malformed:
    """Read the answer to a claim."""
    return _decode(Response, payload, dev=dev)


def decode_status(payload: bytes, *, dev: str) -> Status | Malformed:
    """Read what a device says of itself."""
    return _decode(Status, payload, dev=dev)


def decode_command(payload: bytes, *, dev: str) -> Command | Malformed:
    """Read a command to a device or to ``_all``."""
    return _decode(Command, payload, dev=dev)


def decode_request(payload: bytes, *, dev: str) -> OrdersRequest | ClaimRequest | Malformed:
    """Read a request that came on the topic of ``dev``."""
    request = _parse(_REQUEST, payload)
    return request if isinstance(request, Malformed) else _from(request, dev)


def _decode(model: type[M], payload: bytes, *, dev: str) -> M | Malformed:
    message = _parse(_adapter(model), payload)
    return message if isinstance(message, Malformed) else _from(message, dev)


@cache
def _adapter(model: type[M]) -> TypeAdapter[M]:
    return TypeAdapter(model)


T = TypeVar("T")


def _parse(adapter: TypeAdapter[T], payload: bytes) -> T | Malformed:
    if len(payload) > MAX_MESSAGE_BYTES:
        return Malformed(Fault.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_MESSAGE_BYTES}")
    try:
        return adapter.validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])[:80]
        if first["type"] == "json_invalid":
            return Malformed(Fault.NOT_JSON, "the payload is not JSON")
        fault = Fault.VERSION_UNKNOWN if path.rpartition(".")[2] == "v" else Fault.WRONG_SHAPE
        return Malformed(fault, f"{path}: {first['type']}")


def _from(message: M, dev: str) -> M | Malformed:
    if message.dev != dev:
        return Malformed(Fault.WRONG_DEVICE, "dev is not the device of the topic")
    return message
