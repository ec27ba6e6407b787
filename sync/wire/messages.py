"""What is said between a device and the hub: the shape of each message. Pure.

Events go up in batches; the header of a batch and one of its events make the envelope
``{v, dev, epoch, seq, id, ts, ts_trust, type, body}``. How it is read and written is sync.wire.codec's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from edge.domain.authorisation import AuthorisationResult
from sync.wire.topics import NAME

MOST_RUNGS = 32  # of a decoder, in a status
COMMAND_EXPIRES_S: Final = 60  # a command that has waited this long at the broker is of no use
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


class MessageFault(StrEnum):
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
class MessageRefusal:
    """A message that was not taken."""

    fault: MessageFault
    detail: str  # for the log; names the field, never quotes its content


class WireModel(BaseModel):
    """What every part of a message has in common: unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Addressed(WireModel):
    """A message of or to a device, in this version of the protocol."""

    v: Literal[1] = 1
    dev: Name


class Event(WireModel):
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


class BatchHeader(Addressed):
    """What a batch of events says once; its events are read one by one."""

    epoch: Epoch
    settled_through: Count = (
        0  # what the device holds as acknowledged; the hub compares with what it has
    )
    conflicts_through: Count = 0  # the newest conflict that the device has recorded
    grants_released_through: Count = (
        0  # every claim of this epoch up to this number is over; 0: says nothing of claims
    )
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
    grants_released_through: int = 0


class RefusedItem(WireModel):
    """An event that the platform will not take, ever. ``id`` is the event's, where it could be read."""

    seq: Seq
    reason: Word
    id: Annotated[str, Field(max_length=40)] = ""


class Conflict(WireModel):
    """The same entitlement honoured beyond its quantity: shown to every device concerned."""

    number: Seq  # the hub's number of the conflict
    cti: Cti
    epoch: Epoch  # of this device's own event
    seq: Seq
    other_dev: Name
    other_ts: Seconds


class Ack(Addressed):
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
    settled_through: Count = (
        0  # as the device said; when that is more, the platform has lost events
    )
    tag: Tag = ""
    rejected: list[RefusedItem] = []
    conflicts: list[Conflict] = []


class OrdersRequest(Addressed):
    """Ask for the order feed: what changed after ``have``, or all of it when that is 0.

    A half-loaded snapshot goes on from ``page`` of ``snapshot``, if the hub still has it.
    """

    type: Literal["orders"] = "orders"
    id: Ident
    have: Count
    snapshot: Count = 0
    page: Annotated[int, Field(ge=0, lt=2**31)] = 0
    pages: Annotated[int, Field(ge=1, le=32)] = (
        1  # how many may come for this request, one after the other
    )


class GrantRequest(Addressed):
    """Ask the authority of its home for leave to honour an entitlement that is not homed on this device.

    ``order_quantity`` and ``order_amount_minor`` (of a voucher used in parts) are what the device's signed order feed says, for a
    site's authority, which has no feed; 0: the entitlement is not in its cache. ``number`` counts the claims of the
    device's store, ``epoch`` is the one it writes events in: a later batch says by them that this claim is over.
    """

    type: Literal["grant"] = "grant"
    id: Ident
    cti: Cti
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    epoch: Epoch
    number: Seq
    order_quantity: Count = 0
    order_amount_minor: Count | None = None
    wait_ms: Annotated[int, Field(ge=1, le=60_000)] = 1500  # after this nobody waits for the answer


Request = Annotated[OrdersRequest | GrantRequest, Field(discriminator="type")]


class Response(Addressed):
    """The answer to a claim, by the request's id. Only ``signed`` counts; the rest is for whoever looks."""

    id: Ident
    type: Literal["grant"] = "grant"
    result: AuthorisationResult
    signed: Annotated[str, Field(max_length=2000)] = (
        ""  # base64 of a document (sync.wire.grant_reply)
    )


class RungReport(WireModel):
    """What one step of a device's decoder has cost and earned since its scanner started."""

    rung: RungName  # its name; "lost" is what containing a crash or a hang has cost
    tries: Count  # pictures on which it was tried
    reads: Count  # tries that read a code
    faults: Count  # tries that raised, crashed or hung
    busy_ms: Count  # time that the tries took


class Status(Addressed):
    """Retained: what a device is doing. The broker publishes ``offline`` in its place when it is gone."""

    state: Literal["online", "offline"]
    epoch: Epoch
    last_seq: Count = 0
    settled_through: Count = 0
    orders_revision: Count = 0
    rungs: Annotated[
        tuple[RungReport, ...], Field(max_length=MOST_RUNGS)
    ] = ()  # of the decoder, an hour old at most


class Command(Addressed):
    """A command: not retained, and it expires.

    ``resend``: the hub has just started and asks for what it may have missed.
    ``authority_online``: a site's authority replies to grant requests.
    """

    dev: Annotated[str, Field(pattern=rf"^({NAME}|_all)$")]
    type: Literal["resend", "authority_online"] = "resend"
