"""Every message of the protocol: its channels, its direction and its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edge.values.node_name import FLEET, OPS
from sync.protocol import document_schemas
from sync.protocol.event_bodies import BODIES
from sync.wire.fleet_requests import FleetRequest, FleetResponse
from sync.wire.messages import (
    Ack,
    BatchHeader,
    Command,
    Event,
    GrantRequest,
    OrdersRequest,
    Response,
    RestoreReply,
    RestoreRequest,
    Status,
)
from sync.wire.settings_report import SettingsReport
from sync.wire.site_lease import LeaseReply, LeaseRequest
from sync.wire.topics import VERSION, Down, Up

SCHEMAS_AT: Final = "#/components/schemas/"
_BATCH: Final = "EventBatch"
_RENAMED: Final = {"BatchHeader": _BATCH}  # a model whose name concerns the code alone


class Form(StrEnum):
    """The encoding of a payload."""

    JSON = "application/json"
    SIGNED = 'application/cose; cose-type="cose-sign1"'
    SIGNED_LIST = "application/cbor"  # an array of byte strings, each a signed document


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSpec:
    """A message of some channels. ``schema`` is a model's, or of what is under the signature."""

    name: str
    words: str
    schema: dict[str, Any]
    form: Form = Form.JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A topic, with a parameter for each name in it."""

    name: str
    address: str
    words: str
    messages: tuple[MessageSpec, ...]
    retained: bool = False
    expires: bool = False

    @property
    def up(self) -> bool:
        """Return whether it leads from the device (or from operations) to the platform."""
        return self.address.split("/")[3] == "up"


def plain_words(model: type[BaseModel]) -> str:
    """Return the docstring of a model in one line of Markdown."""
    return " ".join((model.__doc__ or "").replace("``", "`").split())


def _of_model(model: type[BaseModel]) -> MessageSpec:
    return MessageSpec(
        name=model.__name__,
        words=plain_words(model),
        schema={"$ref": SCHEMAS_AT + model.__name__},
    )


def _signed(name: str, words: str, form: Form = Form.SIGNED) -> MessageSpec:
    return MessageSpec(name=name, words=words, schema={"$ref": SCHEMAS_AT + name}, form=form)


BATCH: Final = MessageSpec(
    name=_BATCH,
    words=(
        "Events of one device and epoch, in the order of their numbers. A batch without events"
        " asks what the platform has. An item that is not an event is refused by its number;"
        " those beside it are accepted."
    ),
    schema={"$ref": SCHEMAS_AT + _BATCH},
)
ORDERS: Final = _signed(
    "OrdersPage",
    "A page of a snapshot of the site's order feed, a delta of it, or decisions of reviewers.",
)
TRUST: Final = _signed("TrustList", document_schemas.TRUST_LIST["description"])
REVOKED: Final = _signed(
    "StatusLists",
    "The status lists of all issuer keys, each a signed document of its own.",
    Form.SIGNED_LIST,
)
OPERATORS: Final = _signed("OperatorList", document_schemas.OPERATOR_LIST["description"])
SETTINGS: Final = _signed(
    "SettingsList",
    "The layers of settings that are for this device, each a signed document of its own.",
    Form.SIGNED_LIST,
)

_DEVICE: Final = f"{VERSION}/{{tenant}}/{{device}}"
_OPS: Final = f"{VERSION}/{{tenant}}/{OPS}"
_NODES: Final = {
    "device": _DEVICE,
    "site": f"{VERSION}/{{tenant}}/site-{{site}}",
    "fleet": f"{VERSION}/{{tenant}}/{FLEET}",
}


def _from_the_device() -> Iterator[Channel]:
    for channel, words, models in (
        (
            Up.REQUEST,
            "Requests of a device, or of a site's authority.",
            (OrdersRequest, GrantRequest, RestoreRequest, LeaseRequest),
        ),
        (
            Up.STATUS,
            "What a device is doing; the broker publishes `offline` when it is gone.",
            (Status,),
        ),
        (Up.CONFIG, "A device's report of its settings.", (SettingsReport,)),
    ):
        yield Channel(
            name=f"device.up.{channel}",
            address=f"{_DEVICE}/up/{channel}",
            words=words,
            messages=tuple(_of_model(model) for model in models),
            retained=channel in (Up.STATUS, Up.CONFIG),
        )


def _to_the_device() -> Iterator[Channel]:
    for channel, words, models in (
        (Down.ACK, "What is durable at the platform.", (Ack,)),
        (
            Down.RESPONSE,
            "The reply to a grant request, a restore request or a lease request.",
            (Response, RestoreReply, LeaseReply),
        ),
    ):
        yield Channel(
            name=f"device.dn.{channel}",
            address=f"{_DEVICE}/dn/{channel}",
            words=words,
            messages=tuple(_of_model(model) for model in models),
        )


def _to_groups() -> Iterator[Channel]:
    for channel, words, message, nodes in (
        (Down.ORDERS, "The order feed of a site.", ORDERS, ("device", "site")),
        (Down.TRUST, "The trust list.", TRUST, ("fleet",)),
        (Down.REVOKED, "The status lists.", REVOKED, ("fleet",)),
        (Down.OPERATORS, "The operators who may sign in at a site.", OPERATORS, ("site",)),
        (Down.CONFIG, "Settings.", SETTINGS, ("device", "site", "fleet")),
        (Down.COMMAND, "Commands. They expire.", _of_model(Command), ("device", "site", "fleet")),
    ):
        for node in nodes:
            yield Channel(
                name=f"{node}.dn.{channel}",
                address=f"{_NODES[node]}/dn/{channel}",
                words=words,
                messages=(message,),
                retained=channel not in (Down.ORDERS, Down.COMMAND),
                expires=channel is Down.COMMAND,
            )


CHANNELS: Final[tuple[Channel, ...]] = (
    Channel(
        name=f"device.up.{Up.EVENTS}",
        address=f"{_DEVICE}/up/{Up.EVENTS}",
        words="Events, to be acknowledged.",
        messages=(BATCH,),
    ),
    *_from_the_device(),
    *_to_the_device(),
    *_to_groups(),
    Channel(
        name="ops.up.req",
        address=f"{_OPS}/up/{Up.REQUEST}",
        words="Requests of operations.",
        messages=(_of_model(FleetRequest),),
    ),
    Channel(
        name="ops.dn.res",
        address=f"{_OPS}/dn/{Down.RESPONSE}",
        words="The hub's replies.",
        messages=(_of_model(FleetResponse),),
    ),
)
MODELS: Final[tuple[type[BaseModel], ...]] = (
    BatchHeader,  # with which the hub reads a batch
    Event,
    OrdersRequest,
    GrantRequest,
    RestoreRequest,
    Status,
    SettingsReport,
    Ack,
    Response,
    RestoreReply,
    Command,
    LeaseRequest,
    LeaseReply,
    FleetRequest,
    FleetResponse,
    *BODIES.values(),
)


def messages() -> tuple[MessageSpec, ...]:
    """Return each message once, in the order of the channels."""
    return tuple(
        {message.name: message for channel in CHANNELS for message in channel.messages}.values()
    )


def schemas() -> dict[str, Any]:
    """Return every schema by name, from the code's own models, with references between them."""
    _, made = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template=SCHEMAS_AT + "{model}"
    )
    found: dict[str, Any] = {
        _RENAMED.get(name, name): schema for name, schema in made["$defs"].items()
    }
    found[_BATCH] = {**found[_BATCH], "title": _BATCH}
    found[_BATCH]["properties"]["events"]["items"] = {"$ref": SCHEMAS_AT + "Event"}
    # A reader tells these apart by their type.
    for message in (OrdersRequest, GrantRequest, RestoreRequest, RestoreReply):
        found[message.__name__]["required"].append("type")
    found |= {
        "OrdersPage": document_schemas.ORDERS,
        "TrustList": document_schemas.TRUST_LIST,
        "StatusList": document_schemas.STATUS_LIST,
        "OperatorList": document_schemas.OPERATOR_LIST,
        "Settings": document_schemas.SETTINGS,
        "GrantReply": document_schemas.GRANT_REPLY,
        "RestorePage": document_schemas.RESTORE_PAGE,
        "Lease": document_schemas.LEASE,
        "ReviewDecision": document_schemas.REVIEW_DECISION,
        "StatusLists": _list_of("StatusList", maxItems=64),
        "SettingsList": _list_of("Settings"),
    }
    return dict(sorted(json.loads(json.dumps(found)).items()))


def _list_of(name: str, **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": SCHEMAS_AT + name}, **limits}
