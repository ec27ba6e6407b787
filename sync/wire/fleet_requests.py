"""Requests of operations to the hub and its replies, as JSON. Pure.

They go over ``v1/{tenant}/_fleet/up/req`` and ``.../dn/res``. A request may read. One that changes
a device carries a document that operations signed, and the hub verifies it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from sync.wire.limits import MOST_MESSAGE_BYTES
from sync.wire.messages import RequestIdent, WireModel

LARGEST: Final = MOST_MESSAGE_BYTES  # bytes of a request or a reply: they carry lists

# The stages of a revocation.
ORDERED: Final = "ordered"
QUARANTINED: Final = "quarantined"
CONFIRMED: Final = "confirmed"
CUT: Final = "cut"


class FleetAction(StrEnum):
    """The actions that operations can request."""

    HUB = "hub"
    DEVICES = "devices"
    DOCUMENTS = "documents"
    OFFER = "offer"
    WITHDRAW = "withdraw"
    ORDERS = "orders"
    EXCEPTIONS = "exceptions"
    OPERATORS = "operators"
    STATUS_LIST = "status_list"
    REVIEWS = "reviews"
    REVIEW = "review"
    ENROL = "enrol"
    ENROLMENTS = "enrolments"
    CANCEL = "cancel"
    ENROLMENT_SERVICE = "enrolment_service"
    REVOKE = "revoke"


ARGUMENTS_AND_RESULTS: Final[dict[FleetAction, tuple[str, str]]] = {
    FleetAction.HUB: (
        "",
        "incarnation, held: {since_s, detail} or null, resumptions, confirmations",
    ),
    FleetAction.DEVICES: ("after", "devices, next"),
    FleetAction.DOCUMENTS: (
        "wanted: [[key, rev]]",
        "highest_rev, documents: [{key, rev, raw}], next: [key, rev] or null",
    ),
    FleetAction.OFFER: ("document, devices or null", "devices: number"),
    FleetAction.WITHDRAW: ("key, rev", ""),
    FleetAction.ORDERS: ("site, order, after", "orders, next"),
    FleetAction.EXCEPTIONS: ("dev", "exceptions, left_out: number"),
    FleetAction.OPERATORS: ("document", "site, version, count"),
    FleetAction.STATUS_LIST: ("document", "kid, version, revoked"),
    FleetAction.REVIEWS: ("dev, id, all, after", "reviews, next"),
    FleetAction.REVIEW: ("decision", ""),
    FleetAction.ENROL: ("code", ""),
    FleetAction.ENROLMENTS: ("", "enrolments, alarms, refusals"),
    FleetAction.CANCEL: ("id", ""),
    FleetAction.ENROLMENT_SERVICE: ("", "host, port, certificate"),
    FleetAction.REVOKE: ("order, now", ""),
}


class FleetRequest(WireModel):
    """A request of operations to the hub."""

    v: Literal[1] = Field(1, description="version of the protocol")
    id: RequestIdent
    action: FleetAction = Field(description="the action to perform")
    args: dict[str, Any] = Field(default_factory=dict, description="its arguments, by name")


class FleetResponse(WireModel):
    """The hub's reply to the request with this ``id``."""

    v: Literal[1] = Field(1, description="version of the protocol")
    id: RequestIdent
    ok: bool = Field(description="whether the action was performed")
    error: str = Field("", max_length=2000, description="why not, in English")
    result: dict[str, Any] = Field(default_factory=dict, description="its results, by name")
