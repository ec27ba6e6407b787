"""Every message of the protocol: where it is said, by whom, and the schema it keeps to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sync.protocol import document_schemas
from sync.protocol.event_bodies import BODIES
from sync.wire import fleet_requests, settings_report, site_lease
from sync.wire.messages import (
    Ack,
    BatchHeader,
    Command,
    Event,
    GrantRequest,
    OrdersRequest,
    Response,
    Status,
)
from sync.wire.topics import FLEET, OPS, VERSION, Down, Up

SCHEMAS_AT: Final = "#/components/schemas/"
_BATCH: Final = "EventBatch"
_RENAMED: Final = {"BatchHeader": _BATCH}  # a model whose name is the code's own business


class Form(StrEnum):
    """What the bytes of a payload are."""

    JSON = "application/json"
    SIGNED = 'application/cose; cose-type="cose-sign1"'
    SIGNED_LIST = "application/cbor"  # an array of byte strings, each a signed document


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSpec:
    """A message that is said on some channels. ``schema`` is a model's, or that of what is under the signature."""

    name: str
    words: str
    schema: dict[str, Any]
    form: Form = Form.JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A topic, with a hole for each name in it."""

    name: str
    address: str
    words: str
    messages: tuple[MessageSpec, ...]
    retained: bool = False
    expires: bool = False

    @property
    def up(self) -> bool:
        """From the device (or ops) to the platform."""
        return self.address.split("/")[3] == "up"


def _told(model: type[BaseModel], name: str | None = None) -> MessageSpec:
    words = " ".join((model.__doc__ or "").replace("``", "`").split())
    return MessageSpec(
        name=name or model.__name__,
        words=words,
        schema={"$ref": SCHEMAS_AT + (name or model.__name__)},
    )


BATCH: Final = MessageSpec(
    name=_BATCH,
    words="Events of one device and epoch, in the order of their numbers. Without events it asks where the platform is."
    " An item that is not an event is refused by its number; those beside it are taken.",
    schema={"$ref": SCHEMAS_AT + _BATCH},
)
ORDERS_REQUEST: Final = _told(OrdersRequest)
GRANT_REQUEST: Final = _told(GrantRequest)
STATUS: Final = _told(Status)
REPORT: Final = _told(settings_report.SettingsReport)
ACK: Final = _told(Ack)
RESPONSE: Final = _told(Response)
COMMAND: Final = _told(Command)
LEASE_REQUEST: Final = _told(site_lease.LeaseRequest)
LEASE_REPLY: Final = _told(site_lease.LeaseReply)
FLEET_REQUEST: Final = _told(fleet_requests.FleetRequest)
FLEET_RESPONSE: Final = _told(fleet_requests.FleetResponse)
ORDERS: Final = MessageSpec(
    name="OrdersPage",
    words="A page of a snapshot of the site's order feed, or a delta of it, or what people decided in reviews.",
    schema={"$ref": SCHEMAS_AT + "OrdersPage"},
    form=Form.SIGNED,
)
TRUST: Final = MessageSpec(
    name="TrustList",
    words=document_schemas.TRUST_LIST["description"],
    schema={"$ref": SCHEMAS_AT + "TrustList"},
    form=Form.SIGNED,
)
REVOKED: Final = MessageSpec(
    name="StatusLists",
    words="The status lists of all issuer keys, each a signed document of its own.",
    schema={"$ref": SCHEMAS_AT + "StatusLists"},
    form=Form.SIGNED_LIST,
)
OPERATORS: Final = MessageSpec(
    name="OperatorList",
    words=document_schemas.OPERATOR_LIST["description"],
    schema={"$ref": SCHEMAS_AT + "OperatorList"},
    form=Form.SIGNED,
)
SETTINGS: Final = MessageSpec(
    name="SettingsList",
    words="The layers of settings that are for this device, each a signed document of its own.",
    schema={"$ref": SCHEMAS_AT + "SettingsList"},
    form=Form.SIGNED_LIST,
)


def _channels() -> Iterator[Channel]:
    device = f"{VERSION}/{{tenant}}/{{device}}"
    up = {
        Up.EVENTS: ("What happened, to be acknowledged.", (BATCH,)),
        Up.REQUEST: (
            "What a device, or a site's authority, asks for.",
            (ORDERS_REQUEST, GRANT_REQUEST, LEASE_REQUEST),
        ),
        Up.STATUS: (
            "What a device is doing; the broker says `offline` for one that is gone.",
            (STATUS,),
        ),
        Up.CONFIG: ("What a device says of its settings.", (REPORT,)),
    }
    for channel, (words, messages) in up.items():
        retained = channel in (Up.STATUS, Up.CONFIG)
        yield Channel(
            name=f"device.up.{channel}", address=f"{device}/up/{channel}", words=words, messages=messages,
            retained=retained,
        )  # fmt: skip
    yield Channel(
        name="device.dn.ack", address=f"{device}/dn/{Down.ACK}", words="What is durable at the platform.",
        messages=(ACK,),
    )  # fmt: skip
    yield Channel(
        name="device.dn.res", address=f"{device}/dn/{Down.RESPONSE}", words="The answer to a claim, or about a lease.",
        messages=(RESPONSE, LEASE_REPLY),
    )  # fmt: skip
    said_to = {
        "device": device,
        "site": f"{VERSION}/{{tenant}}/site-{{site}}",
        "fleet": f"{VERSION}/{{tenant}}/{FLEET}",
    }
    down = {
        Down.ORDERS: ("The order feed of a site.", ORDERS, ("device", "site"), False, False),
        Down.TRUST: ("The trust list.", TRUST, ("fleet",), True, False),
        Down.REVOKED: ("The status lists.", REVOKED, ("fleet",), True, False),
        Down.OPERATORS: ("Who may sign in at a site.", OPERATORS, ("site",), True, False),
        Down.CONFIG: ("Settings.", SETTINGS, ("device", "site", "fleet"), True, False),
        Down.COMMAND: ("Commands. They expire.", COMMAND, ("device", "site", "fleet"), False, True),
    }
    for kind, (words, message, nodes, retained, expires) in down.items():
        for node in nodes:
            yield Channel(
                name=f"{node}.dn.{kind}", address=f"{said_to[node]}/dn/{kind}", words=words, messages=(message,),
                retained=retained, expires=expires,
            )  # fmt: skip
    ops = f"{VERSION}/{{tenant}}/{OPS}"
    yield Channel(
        name="ops.up.req",
        address=f"{ops}/up/{Up.REQUEST}",
        words="What ops ask.",
        messages=(FLEET_REQUEST,),
    )
    yield Channel(
        name="ops.dn.res",
        address=f"{ops}/dn/{Down.RESPONSE}",
        words="What the hub answers.",
        messages=(FLEET_RESPONSE,),
    )


CHANNELS: Final[tuple[Channel, ...]] = tuple(_channels())
MODELS: Final[tuple[type[BaseModel], ...]] = (
    BatchHeader,  # what the hub reads a batch with
    Event,
    OrdersRequest,
    GrantRequest,
    Status,
    settings_report.SettingsReport,
    Ack,
    Response,
    Command,
    site_lease.LeaseRequest,
    site_lease.LeaseReply,
    fleet_requests.FleetRequest,
    fleet_requests.FleetResponse,
    *BODIES.values(),
)


def messages() -> tuple[MessageSpec, ...]:
    """Each once, in the order of the channels."""
    return tuple(
        {message.name: message for channel in CHANNELS for message in channel.messages}.values()
    )


def schemas() -> dict[str, Any]:
    """Every schema by name, as the code's own models say, with references between them."""
    _, made = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template=SCHEMAS_AT + "{model}"
    )
    found: dict[str, Any] = {
        _RENAMED.get(name, name): schema for name, schema in made["$defs"].items()
    }
    found[_BATCH] = {**found[_BATCH], "title": _BATCH}
    found[_BATCH]["properties"]["events"]["items"] = {"$ref": SCHEMAS_AT + "Event"}
    for request in (OrdersRequest, GrantRequest):  # told apart by their type
        found[request.__name__]["required"].append("type")
    found["OrdersPage"] = document_schemas.ORDERS
    found["TrustList"] = document_schemas.TRUST_LIST
    found["StatusList"] = document_schemas.STATUS_LIST
    found["OperatorList"] = document_schemas.OPERATOR_LIST
    found["Settings"] = document_schemas.SETTINGS
    found["GrantReply"] = document_schemas.GRANT_REPLY
    found["Lease"] = document_schemas.LEASE
    found["ReviewDecision"] = document_schemas.DECISION
    found["StatusLists"] = {
        "type": "array",
        "items": {"$ref": SCHEMAS_AT + "StatusList"},
        "maxItems": 64,
    }
    found["SettingsList"] = {"type": "array", "items": {"$ref": SCHEMAS_AT + "Settings"}}
    return dict(sorted(json.loads(json.dumps(found)).items()))
