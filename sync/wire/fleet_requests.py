"""What ops ask of the hub and what it answers: ``v1/{tenant}/_fleet/up/req`` and ``.../dn/res``, JSON. Pure.

A request can read; whatever changes a device carries a document that ops signed, and the hub verifies it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync.wire.codec import MAX_MESSAGE_BYTES
from sync.wire.messages import Ident, Malformed, WireFault

ORDERED, QUARANTINED, CONFIRMED, CUT = (
    "ordered",
    "quarantined",
    "confirmed",
    "cut",
)  # the stages of a revocation


class FleetQuestion(StrEnum):
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
    DESK = "desk"  # {} -> {host, port, pin}
    REVOKE = "revoke"  # {order, now} -> {}


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FleetRequest(_Model):
    """One question."""

    v: Literal[1] = 1
    id: Ident
    ask: FleetQuestion
    args: dict[str, Any] = {}


class FleetResponse(_Model):
    """Its answer, by ``id``. ``error`` says in words why there is none."""

    v: Literal[1] = 1
    id: Ident
    ok: bool
    error: Annotated[str, Field(max_length=2000)] = ""
    result: dict[str, Any] = {}


def decode_fleet_request(payload: bytes) -> FleetRequest | Malformed:
    """Read a question."""
    return _decode(FleetRequest, payload)


def decode_fleet_response(payload: bytes) -> FleetResponse | Malformed:
    """Read an answer."""
    return _decode(FleetResponse, payload)


M = TypeVar("M", bound=_Model)


def _decode(model: type[M], payload: bytes) -> M | Malformed:
    if len(payload) > 4 * MAX_MESSAGE_BYTES:
        return Malformed(WireFault.TOO_LARGE, f"{len(payload)} bytes")
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Malformed(
            WireFault.WRONG_SHAPE,
            f"{'.'.join(str(part) for part in first['loc'])[:80]}: {first['type']}",
        )
