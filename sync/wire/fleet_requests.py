"""What ops ask of the hub and what it answers: ``v1/{tenant}/_fleet/up/req`` and ``.../dn/res``, JSON. Pure.

A request can read; whatever changes a device carries a document that ops signed, and the hub verifies it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from sync.wire.codec import MAX_MESSAGE_BYTES
from sync.wire.messages import Ident, WireModel

LARGEST: Final = 4 * MAX_MESSAGE_BYTES  # bytes of a request or a reply: they carry lists

ORDERED, QUARANTINED, CONFIRMED, CUT = (
    "ordered",
    "quarantined",
    "confirmed",
    "cut",
)  # the stages of a revocation


class FleetAction(StrEnum):
    """What is asked."""

    DEVICES = "devices"  # {after} -> {devices: [...], next}
    DOCUMENTS = "documents"  # {wanted: [[key, rev]]} -> {highest_rev, documents: [{key, rev, raw}]}
    OFFER = "offer"  # {document, devices or null} -> {devices: n}
    WITHDRAW = "withdraw"  # {key, rev} -> {}
    ORDERS = "orders"  # {site, order, after} -> {orders: [...], next}
    EXCEPTIONS = "exceptions"  # {dev} -> {exceptions: [...]}
    OPERATORS = "operators"  # {document} -> {site, version, count}
    REVIEWS = "reviews"  # {dev, id, every, after} -> {reviews: [...], next}
    REVIEW = "review"  # {decision} -> {}
    ENROL = "enrol"  # {code} -> {}
    ENROLMENTS = "enrolments"  # {} -> {enrolments: [...], traces: [...]}
    CANCEL = "cancel"  # {id} -> {}
    ENROLMENT_SERVICE = "enrolment_service"  # {} -> {host, port, pin}
    REVOKE = "revoke"  # {order, now} -> {}


class FleetRequest(WireModel):
    """One question."""

    v: Literal[1] = 1
    id: Ident
    action: FleetAction
    args: dict[str, Any] = Field(default_factory=dict)


class FleetResponse(WireModel):
    """Its answer, by ``id``. ``error`` says in words why there is none."""

    v: Literal[1] = 1
    id: Ident
    ok: bool
    error: Annotated[str, Field(max_length=2000)] = ""
    result: dict[str, Any] = Field(default_factory=dict)
