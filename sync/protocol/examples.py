"""A worked example of each message: one voucher sold, redeemed and acknowledged.

The tests hold the examples against the code and against the schemas.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final, assert_never

from edge.domain.authorisation import AuthorisationResult
from edge.token import cbor
from sync.protocol import document_schemas, example_documents
from sync.protocol.channels import Form
from sync.protocol.example_events import batches
from sync.protocol.example_keys import CTI, DEV, EPOCH, INCARNATION, NOW_S, REVISION, SITE, ident
from sync.wire import codec
from sync.wire.fleet_requests import FleetAction, FleetRequest, FleetResponse
from sync.wire.messages import (
    Ack,
    Command,
    Conflict,
    GrantRequest,
    HealthReport,
    OrdersRequest,
    RefusedItem,
    Response,
    RestoreReply,
    RestoreRequest,
    RungReport,
    Status,
    WireModel,
)
from sync.wire.settings_report import ReportedError, SettingsReport
from sync.wire.site_lease import LeaseReply, LeaseRequest


@dataclass(frozen=True, slots=True)
class Example:
    """A payload as it goes over the wire, and what it says."""

    title: str
    payload: bytes


_MESSAGES: Final[dict[str, dict[str, WireModel]]] = {
    "OrdersRequest": {
        "Everything": OrdersRequest(dev=DEV, id=ident(1), have=0),
        "What is new": OrdersRequest(
            dev=DEV, id=ident(2), incarnation=INCARNATION.hex(), have=REVISION
        ),
        "The next page of a snapshot": OrdersRequest(
            dev=DEV,
            id=ident(3),
            incarnation=INCARNATION.hex(),
            have=0,
            snapshot=REVISION,
            page=1,
        ),
    },
    "GrantRequest": {
        "One unit, to be redeemed here": GrantRequest(
            dev=DEV, id=ident(4), cti=CTI, quantity=1, epoch=EPOCH, number=7
        )
    },
    "RestoreRequest": {
        "What was redeemed before this store began": RestoreRequest(dev=DEV, id=ident(8)),
        "The next page, of a store whose events were carried over from a damaged one": (
            RestoreRequest(dev=DEV, id=ident(9), after=f"{CTI}/{DEV}/{EPOCH}/42", epochs=[EPOCH])
        ),
    },
    "LeaseRequest": {
        "A site's authority that has just been set up": LeaseRequest(
            id=ident(5), site=SITE, catch_up=True
        )
    },
    "Status": {
        "Online": Status(
            dev=DEV,
            state="online",
            epoch=EPOCH,
            last_seq=42,
            acknowledged_through=41,
            incarnation=INCARNATION.hex(),
            orders_revision=REVISION,
            rungs=(RungReport(rung="zxing", tries=81240, reads=512, faults=0, busy_ms=242610),),
            health=HealthReport(scanner="scanning", camera="streaming", clock="trusted"),
        ),
        "The camera is unplugged": Status(
            dev=DEV,
            state="online",
            epoch=EPOCH,
            last_seq=42,
            acknowledged_through=42,
            health=HealthReport(
                scanner="degraded", camera="lost", clock="trusted", problems=("camera",)
            ),
        ),
        "Offline (the will)": Status(dev=DEV, state="offline", epoch=EPOCH),
    },
    "SettingsReport": {
        "Revision 12 is in use; 13 was refused": SettingsReport(
            dev=DEV,
            state="refused",
            desired_rev=13,
            applied_rev=12,
            hash="9f2c",
            site=SITE,
            kind="kiosk",
            errors=[ReportedError(path="camera.width", message="Input should be a multiple of 2")],
        )
    },
    "Ack": {
        "All of the batch is durable": Ack(
            dev=DEV, epoch=EPOCH, committed_through=42, first=42, last=42, acknowledged_through=41
        ),
        "44 is refused, and 42 was redeemed elsewhere, too": Ack(
            dev=DEV,
            epoch=EPOCH,
            committed_through=45,
            first=43,
            last=45,
            acknowledged_through=42,
            rejected=[RefusedItem(seq=44, reason="body_invalid")],
            conflicts=[
                Conflict(
                    number=9, cti=CTI, epoch=EPOCH, seq=42, other_dev="kiosk-2", other_ts=NOW_S
                )
            ],
        ),
        "The platform was restored and has only 30: send again from 31": Ack(
            dev=DEV, epoch=EPOCH, committed_through=30, acknowledged_through=41
        ),
    },
    "Command": {
        "Send what is not acknowledged": Command(dev="_all"),
        "This authority replies to grant requests": Command(dev=DEV, type="authority_online"),
        "The hub waits for a person": Command(dev=DEV, type="platform_held"),
    },
    "FleetResponse": {
        "The devices": FleetResponse(id=ident(5), ok=True, result={"devices": [], "next": None}),
        "A refusal": FleetResponse(id=ident(6), ok=False, error="no such device"),
    },
}


def examples() -> dict[str, list[Example]]:
    """Return the examples of each message, by the name of the message."""
    messages = _MESSAGES | _messages_with_documents()
    as_bytes = {
        name: {title: codec.encode(message) for title, message in titled.items()}
        for name, titled in messages.items()
    }
    payloads = {"EventBatch": batches(), **as_bytes, **_documents()}
    return {
        name: [Example(title, payload) for title, payload in titled.items()]
        for name, titled in payloads.items()
    }


def _messages_with_documents() -> dict[str, dict[str, WireModel]]:
    """Return the messages that carry a signed document as base64."""
    return {
        "Response": {
            "Granted": Response(
                dev=DEV,
                id=ident(4),
                result=AuthorisationResult.GRANTED,
                signed=_base64(example_documents.grant_reply()),
            )
        },
        "RestoreReply": {
            "The only page": RestoreReply(
                dev=DEV, id=ident(9), signed=_base64(example_documents.restore_page())
            )
        },
        "LeaseReply": {
            "For three days": LeaseReply(id=ident(5), signed=_base64(example_documents.lease())),
            "Not now": LeaseReply(id=ident(6), refused="hub-shop-1 holds term 1"),
        },
        "FleetRequest": {
            "The state of all devices": FleetRequest(id=ident(5), action=FleetAction.DEVICES),
            "Zoe's decision": FleetRequest(
                id=ident(7),
                action=FleetAction.REVIEW,
                args={"decision": _base64(example_documents.review_decision())},
            ),
        },
    }


def _documents() -> dict[str, dict[str, bytes]]:
    return {
        "OrdersPage": example_documents.order_pages(),
        "TrustList": {"Seven keys": example_documents.trust_list()},
        "OperatorList": {"One person": example_documents.operator_list()},
        "StatusLists": {
            "One issuer key, token 5 revoked": example_documents.status_lists(),
        },
        "SettingsList": {"A site's layer": example_documents.settings_list()},
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def shown(payload: bytes, form: Form) -> Any:
    """Return a payload in JSON's form; of signed documents what is under their signatures."""
    match form:
        case Form.JSON:
            return json.loads(payload)
        case Form.SIGNED:
            return document_schemas.payload_of(payload)
        case Form.SIGNED_LIST:
            items = cbor.decode(payload, cbor.DOCUMENT_LIMITS)
            if not isinstance(items, list) or not all(isinstance(item, bytes) for item in items):
                raise ValueError("not an array of byte strings")
            return [document_schemas.payload_of(item) for item in items if isinstance(item, bytes)]
        case _:
            assert_never(form)
