"""The JSON messages between a device and the hub, as models. Pure.

Events go up in batches. The header of a batch and one of its events make the envelope
``{v, dev, epoch, seq, id, ts, ts_trust, type, body}``. ``sync.wire.codec`` reads and writes them.
The descriptions of the fields are those of the protocol page (docs/protocol).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue
from pydantic import Tag as UnionTag

from edge.domain.authorisation import AuthorisationResult
from edge.values.node_name import NAME

MOST_EVENTS: Final = 1000  # in a batch
MOST_REFUSALS: Final = 1000  # in an acknowledgement, which concerns the events of one batch
MOST_CONFLICTS: Final = 50  # in an acknowledgement
MOST_RUNGS = 32  # of a decoder, in a status
MOST_PROBLEMS = 32  # of a device, in a status
MOST_COUNTED: Final = 64  # redemptions that a grant request names
MOST_EPOCHS: Final = 32  # that a restore request names
COMMAND_EXPIRES_S: Final = 60  # a command that has waited this long at the broker is of no use
LONGEST_CURSOR: Final = 200  # characters: where a page of a restore begins
MAX_SEQ = 2**53 - 1  # the largest integer every JSON reader keeps exact

Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
Epoch = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,40}$")]
Ident = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,40}$")]  # a UUIDv7 as text or hex
Tag = Annotated[str, Field(pattern=r"^[0-9a-f]{0,16}$")]
ShortText = Annotated[str, Field(max_length=80)]
RungName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,39}$")]
Cti = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{32}$", description="identity of the code, 16 bytes in hexadecimal"),
]
Incarnation = Annotated[
    str,
    Field(
        pattern=r"^([0-9a-f]{32})?$",
        description="incarnation of the hub's store that its orders are from"
        " (UUIDv7, hexadecimal); empty: none",
    ),
]
Seconds = Annotated[int, Field(ge=0, lt=2**33)]
Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]
Count = Annotated[int, Field(ge=0, le=MAX_SEQ)]

RequestIdent = Annotated[Ident, Field(description="identity of the request (UUIDv7)")]
EventEpoch = Annotated[
    Epoch, Field(description="the numbering of events; a new store begins a new epoch")
]


class MessageFault(StrEnum):
    """Why a message was refused. It is counted under this name and changes nothing."""

    TOPIC_UNKNOWN = "topic_unknown"
    TOO_LARGE = "message_too_large"
    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"
    VALUE_UNFIT = "value_unfit"  # a text or number that a store cannot hold (sync.wire.storable)
    VERSION_UNKNOWN = "version_unknown"
    WRONG_DEVICE = "wrong_device"  # the sender named in the message is not the topic's
    NOT_CBOR = "not_cbor"
    WRONG_SITE = "wrong_site"


@dataclass(frozen=True, slots=True)
class MessageRefusal:
    """A message that was refused."""

    fault: MessageFault
    detail: str  # for the log; names the field, never quotes its content


class WireModel(BaseModel):
    """The base of every part of a message. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Addressed(WireModel):
    """A message of or to a device, in this version of the protocol."""

    v: Literal[1] = Field(1, description="version of the protocol")
    dev: Name = Field(description="the device, as in the topic")


class Event(WireModel):
    """One row of the outbox."""

    seq: Seq = Field(description="number of the event, without a gap in its epoch")
    id: Ident = Field(description="identity of the event (UUIDv7)")
    ts: Seconds = Field(description="when it happened, Unix seconds")
    ts_trust: Literal["trusted", "floor_only"] = Field(
        description="whether the device's clock was known to be right"
    )
    type: Word = Field(description="type of the event; it says what the body holds")
    body: dict[str, JsonValue] = Field(description="see below, by type")


@dataclass(frozen=True, slots=True)
class BadEvent:
    """An item of a batch that is not an event. It is refused by its number."""

    seq: int
    reason: str
    raw: str  # the item as JSON, cut at 4,096 characters, for diagnosis


class BatchHeader(Addressed):
    """The fields that a batch of events has once. Its events are read one by one."""

    epoch: EventEpoch
    acknowledged_through: Count = Field(
        0,
        description="the last number that the device holds as acknowledged;"
        " the hub compares it with what it has",
    )
    conflicts_through: Count = Field(
        0, description="number of the newest conflict that the device has recorded"
    )
    grants_released_through: Count = Field(
        0,
        description="the grant requests of this epoch up to this number are over: their grants"
        " cannot be used any more; 0 releases none",
    )
    tag: Tag = Field("", description="of the process that sends; its acknowledgement returns it")
    events: list[JsonValue] = Field(
        max_length=MOST_EVENTS, description="events in the order of `seq`"
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one device and epoch, in ``seq`` order."""

    dev: str
    epoch: str
    acknowledged_through: int
    conflicts_through: int
    events: tuple[Event, ...]
    bad: tuple[BadEvent, ...] = ()
    tag: str = ""
    grants_released_through: int = 0


class RefusedItem(WireModel):
    """An event that the platform will never accept."""

    seq: Seq = Field(description="number of the event")
    reason: Word = Field(description="why it is refused")
    id: str = Field(
        "",
        pattern=r"^[0-9A-Za-z-]{0,40}$",
        description="identity of the event, where it could be read",
    )


class Conflict(WireModel):
    """An entitlement redeemed beyond its quantity, reported to every device concerned."""

    number: Seq = Field(description="the hub's number of the conflict")
    cti: Cti
    epoch: Epoch = Field(description="epoch of this device's own event")
    seq: Seq = Field(description="number of this device's own event")
    other_dev: Name = Field(description="the device that redeemed it, too")
    other_ts: Seconds = Field(description="when that device did, Unix seconds")


class Ack(Addressed):
    """What is durable at the platform. Only this closes a row of the outbox.

    The events from ``first`` to ``last`` are those of the batch that is acknowledged. They were
    compared with what the platform holds, and are durable or in ``rejected``. Of an epoch the
    platform holds every number through ``committed_through``, which shows each end whether the
    other has lost something. Where two devices have one identity, ``tag`` keeps them apart: neither
    takes what the other was sent.
    """

    epoch: EventEpoch
    committed_through: Count = Field(
        description="the platform holds every number of the epoch up to this one"
    )
    first: Count = Field(0, description="first number of the batch; 0: it had no events")
    last: Count = Field(0, description="last number of the batch")
    acknowledged_through: Count = Field(
        0,
        description="as in the batch; when it is more than `committed_through`, the platform has"
        " lost events",
    )
    tag: Tag = Field("", description="as in the batch")
    rejected: list[RefusedItem] = Field(
        default=[], max_length=MOST_REFUSALS, description="events that have no effect"
    )
    conflicts: list[Conflict] = Field(
        default=[],
        max_length=MOST_CONFLICTS,
        description="entitlements redeemed beyond their quantity, the oldest first",
    )


class OrdersRequest(Addressed):
    """Ask for the order feed: what changed after ``have``, or all of it when that is 0.

    A snapshot that was cut is resumed at ``page`` of ``snapshot``, if the hub still has it.
    Revisions are those of ``incarnation``. A hub of another one sends everything. A hub that is
    held, or whose newest revision is older, sends no page.
    """

    type: Literal["orders"] = Field("orders", description="type of the request")
    id: RequestIdent
    incarnation: Incarnation = ""
    have: Count = Field(description="the revision that the device has; 0: none")
    snapshot: Count = Field(0, description="the snapshot that was cut; 0: none")
    page: int = Field(0, ge=0, lt=2**31, description="the next page of that snapshot")
    pages: int = Field(
        1, ge=1, le=32, description="how many pages may come for this request, one after the other"
    )


class GrantRequest(Addressed):
    """Ask an entitlement's authority for the grant to redeem it on a device that is not its home.

    ``order_quantity`` and ``order_amount_minor`` are what the device's signed order feed says, for
    a site's authority, which has no feed. ``number`` counts the requests of the device's store. A
    later batch of the same ``epoch`` names it in ``grants_released_through``.
    """

    type: Literal["grant"] = Field("grant", description="type of the request")
    id: RequestIdent
    cti: Cti
    quantity: int = Field(ge=1, le=1_000_000, description="whole units to redeem")
    epoch: EventEpoch
    number: Seq = Field(description="number of the request; each is one more than the last")
    order_quantity: Count = Field(
        0, description="units that the order feed says; 0: the entitlement is not in it"
    )
    order_amount_minor: Count | None = Field(
        None, description="amount that the order feed says, of a voucher that is used in parts"
    )
    wait_ms: int = Field(
        1500, ge=1, le=60_000, description="after this the device no longer waits for the reply"
    )
    counted: list[Ident] | None = Field(
        None,
        max_length=MOST_COUNTED,
        description="of a device that has lost its ledger: the events of those of its own"
        " redemptions of the code that it counts itself; null: it counts all of its own",
    )


class RestoreRequest(Addressed):
    """Ask for what this device and its site redeemed before: its store is new, or an old copy.

    The first page begins at an empty ``after``, each later one at the ``next`` of the page before.
    """

    type: Literal["restore"] = Field("restore", description="type of the request")
    id: RequestIdent
    after: str = Field(
        "",
        pattern=rf"^[ -~]{{0,{LONGEST_CURSOR}}}$",
        description="where the page begins; empty: the first page",
    )
    epochs: list[Epoch] = Field(
        default=[],
        max_length=MOST_EPOCHS,
        description="epochs of which the platform has acknowledged events to this store",
    )


Request = Annotated[OrdersRequest | GrantRequest | RestoreRequest, Field(discriminator="type")]


class Response(Addressed):
    """The reply to a grant request. Only ``signed`` counts; the rest is for logs."""

    id: RequestIdent
    type: Literal["grant"] = Field("grant", description="type of the reply")
    result: AuthorisationResult = Field(description="the result, as under the signature")
    signed: str = Field(
        "", max_length=2000, description="base64 of a signed document, GrantReply below"
    )


class RestoreReply(Addressed):
    """The reply to a restore request. Only ``signed`` counts."""

    id: RequestIdent
    type: Literal["restore"] = Field("restore", description="type of the reply")
    signed: str = Field(
        max_length=100_000, description="base64 of a signed document, RestorePage below"
    )


Reply = Annotated[
    Annotated[Response, UnionTag("grant")] | Annotated[RestoreReply, UnionTag("restore")],
    Discriminator(lambda reply: reply.get("type", "grant") if isinstance(reply, dict) else None),
]


class RungReport(WireModel):
    """The cost and yield of one step of a device's decoder since its scanner started."""

    rung: RungName = Field(
        description='name of the step; "lost" is what containing a crash or a hang has cost'
    )
    tries: Count = Field(description="pictures on which it was tried")
    reads: Count = Field(description="tries that read a code")
    faults: Count = Field(description="tries that raised, crashed or hung")
    busy_ms: Count = Field(description="time that the tries took, in milliseconds")


class HealthReport(WireModel):
    """The health of a device: whether it scans, and what is wrong with it, by name."""

    scanner: Literal["scanning", "degraded", "silent"] = Field(
        description="`silent`: the scanner process shows no sign of life"
    )
    camera: ShortText = Field("", description="state of the camera: streaming, stalled, lost ...")
    clock: ShortText = Field("", description="`floor_only`: the clock is not believed")
    problems: tuple[ShortText, ...] = Field(
        (), max_length=MOST_PROBLEMS, description="names of the present problems, sorted"
    )


class Status(Addressed):
    """What a device is doing, retained.

    The broker publishes ``offline`` when the device is gone.
    """

    state: Literal["online", "offline"] = Field(description="whether the device is connected")
    epoch: EventEpoch
    last_seq: Count = Field(0, description="number of the newest event")
    acknowledged_through: Count = Field(0, description="the last number that is acknowledged")
    incarnation: Incarnation = ""
    orders_revision: Count = Field(0, description="revision of the order feed that it has")
    orders_dropped: Count | None = Field(
        None,
        description="orders that the newest snapshot would drop: too many, so they stay until a"
        " person confirms that; null: no snapshot waits (`orders_shrunk`)",
    )
    rungs: tuple[RungReport, ...] = Field(
        (), max_length=MOST_RUNGS, description="steps of the decoder, at most an hour old"
    )
    health: HealthReport | None = Field(
        None, description="health of the device; null: not known yet, or offline"
    )


class Command(Addressed):
    """A command to a device, a site or the fleet. It is not retained, and it expires.

    ``resend``: the hub has just started and asks for what it may have missed.
    ``authority_online``: a site's authority replies to grant requests.
    ``platform_held``: the hub sends no orders and no grants until a person resumes it.
    """

    dev: Annotated[str, Field(pattern=rf"^({NAME}|_all)$")] = Field(
        description="the device, or `_all`"
    )
    type: Literal["resend", "authority_online", "platform_held"] = Field(
        "resend", description="the command"
    )
