"""Arbitration: which device may honour an entitlement that several could. One claim at a time.

A leave that was given is held until its holder has told what it did with it: the redemption that rests on it names
it, or a batch says that all claims up to a number are over. That word is of its own store's numbers, so that one that
comes late frees nothing that was given after it. A holder that fell silent keeps its leave.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from edge.domain.authorisation import AuthorisationResult
from edge.domain.entitlement import OrderStatus
from edge.token.claims import Kind
from edge.token.keys import Signer
from sync.hub.ledger.redemptions import used
from sync.hub.store.interface import HubConnection
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import Batch, GrantRequest, Response

_HONOURABLE: Final = (OrderStatus.READY, OrderStatus.SHIPPED)


@dataclass(frozen=True, slots=True)
class SoldQuantity:
    """What there is to honour: units, and for a voucher that is used in parts its value."""

    units: int
    minor: int | None


@dataclass(frozen=True, slots=True)
class GrantDecision:
    """The decision on a claim. ``used`` (or held) and ``used_minor``: by other devices than the asking one."""

    result: AuthorisationResult
    used: int = 0
    used_minor: int = 0


def arbitrate(
    connection: HubConnection, request: GrantRequest, *, site: str | None, now_s: int
) -> GrantDecision:
    """Decide ``request`` in the caller's transaction, as the platform. A device that asks again gets it again."""
    row = connection.execute(
        "SELECT site, line FROM entitlement WHERE cti = ?", (bytes.fromhex(request.cti),)
    ).fetchone()
    if row is None or row[0] != site:
        return GrantDecision(AuthorisationResult.UNKNOWN)
    line = json.loads(row[1])
    if (
        line["status"] not in _HONOURABLE
        or not line["not_before_s"] <= now_s < line["expires_at_s"]
    ):
        return GrantDecision(AuthorisationResult.NOT_READY)
    in_parts = (
        line["quantity"] == 1 and line["amount_minor"] and line["kind"] == Kind.WRITE_OFF.code
    )
    return rule(
        connection,
        request,
        SoldQuantity(line["quantity"], line["amount_minor"] if in_parts else None),
    )


def rule(connection: HubConnection, request: GrantRequest, sold: SoldQuantity) -> GrantDecision:
    """Decide ``request`` for what was sold, by what devices told and what they hold.

    What the asking device itself holds is not counted: it knows what it used, and counts it.
    """
    cti = bytes.fromhex(request.cti)
    units, minor = used(connection, cti)
    others, others_minor = used(connection, cti, but=request.dev)
    left = sold.units - units
    if sold.minor is not None:  # used in parts: there is a use left while there is value left
        left = 1 if minor < sold.minor else 0
    if left < request.quantity:
        return GrantDecision(AuthorisationResult.SPENT, others, others_minor)
    (held,) = connection.execute(
        "SELECT coalesce(sum(quantity), 0) FROM held WHERE cti = ? AND dev <> ?", (cti, request.dev)
    ).fetchone()
    if left - held < request.quantity:
        return GrantDecision(AuthorisationResult.HELD, others, others_minor)
    connection.execute(
        "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (cti, request.dev, request.id, request.quantity, request.epoch, request.number),
    )
    return GrantDecision(AuthorisationResult.GRANTED, others + int(held), others_minor)


def over(connection: HubConnection, batch: Batch, *, acked_through: int) -> None:
    """Free what ``batch`` says is over, of claims of the same store. One that names no claim frees nothing.

    Where the device has settled more than is known here, what came of those claims may be among it: free nothing.
    """
    if batch.settled_through <= acked_through:
        connection.execute(
            "DELETE FROM held WHERE dev = ? AND epoch = ? AND no <= ?",
            (batch.dev, batch.epoch, batch.grants_released_through),
        )


def release(connection: HubConnection, cti: bytes) -> int:
    """A person frees what a device that never came back holds; return how many claims that was."""
    return connection.execute("DELETE FROM held WHERE cti = ?", (cti,)).rowcount


def response(
    request: GrantRequest,
    ruling: GrantDecision,
    *,
    site: str,
    authority: str,
    signer: Signer,
    now_s: int,
) -> Response:
    """The message that carries ``ruling``, signed."""
    answer = GrantReply(
        device=request.dev,
        id=request.id,
        cti=bytes.fromhex(request.cti),
        result=ruling.result,
        quantity=request.quantity,
        site=site,
        authority=authority,
        issued_at_s=now_s,
        used=ruling.used,
        used_minor=ruling.used_minor,
    )
    signed = GRANT_REPLY.sign(answer, signer)
    return Response(
        dev=request.dev, id=request.id, result=ruling.result, signed=b64encode(signed).decode()
    )
