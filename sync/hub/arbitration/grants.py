"""Arbitration: which device may redeem an entitlement that several could. One grant at a time.

A grant is held until its device has reported the outcome. Either the redemption names the grant,
or a batch reports all requests up to a number as finished. That number belongs to one epoch of the
device, so a late report releases no grant that was made after it. A device that no longer reports
keeps its grant.
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
from sync.hub.store import feed_table, grant_table, redemption_table
from sync.hub.store.interface import HubConnection
from sync.hub.store.redemption_table import NEVER_USED, LastUse
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import Batch, GrantRequest, Response

MOST_GRANTS: Final = 100  # that a device may hold for one entitlement; it needs one at a time
_REDEEMABLE: Final = (OrderStatus.READY, OrderStatus.SHIPPED)


@dataclass(frozen=True, slots=True)
class SoldQuantity:
    """The quantity that can be redeemed.

    ``units`` is whole units. ``minor`` is the value in minor units of a voucher that is redeemed in
    parts, otherwise None.
    """

    units: int
    minor: int | None


@dataclass(frozen=True, slots=True)
class GrantDecision:
    """The decision on a request.

    ``used`` (redeemed or held) and ``used_minor`` count devices other than the requesting one.
    """

    result: AuthorisationResult
    used: int = 0
    used_minor: int = 0
    last: LastUse = NEVER_USED  # of others


def arbitrate(
    connection: HubConnection, request: GrantRequest, *, site: str | None, now_s: int
) -> GrantDecision:
    """Decide ``request`` as the platform, in the caller's transaction.

    The same request again gets the same grant.
    """
    row = feed_table.entitlement_of(connection, bytes.fromhex(request.cti))
    if row is None or row[0] != site:
        return GrantDecision(AuthorisationResult.UNKNOWN)
    line = json.loads(row[1])
    if (
        line["status"] not in _REDEEMABLE
        or not line["not_before_s"] <= now_s < line["expires_at_s"]
    ):
        return GrantDecision(AuthorisationResult.NOT_READY)
    in_parts = (
        line["quantity"] == 1 and line["amount_minor"] and line["kind"] == Kind.WRITE_OFF.code
    )
    sold = SoldQuantity(line["quantity"], line["amount_minor"] if in_parts else None)
    return decide_grant(connection, request, sold)


def decide_grant(
    connection: HubConnection, request: GrantRequest, sold: SoldQuantity
) -> GrantDecision:
    """Decide ``request`` from what was sold, what devices reported and the grants they hold.

    Grants of the requesting device do not count: it counts its own redemptions. A device that has
    lost its ledger names those that it counts, and all others are counted here.
    """
    cti = bytes.fromhex(request.cti)
    units, minor = redemption_table.total_redeemed(connection, cti)
    others, others_minor = _used_elsewhere(connection, request, cti)
    left = sold.units - units
    if sold.minor is not None:  # redeemed in parts: one use remains while value remains
        left = 1 if minor < sold.minor else 0
    if left < request.quantity:
        last = redemption_table.last_use(connection, cti, but=request.dev)
        return GrantDecision(AuthorisationResult.SPENT, others, others_minor, last)
    held = grant_table.granted_quantity(connection, cti, but=request.dev)
    mine = grant_table.count_grants(connection, cti, request.dev)
    if left - held < request.quantity or mine >= MOST_GRANTS:
        return GrantDecision(AuthorisationResult.HELD, others, others_minor)
    grant_table.insert_grant(connection, request)
    return GrantDecision(AuthorisationResult.GRANTED, others + held, others_minor)


def _used_elsewhere(
    connection: HubConnection, request: GrantRequest, cti: bytes
) -> tuple[int, int]:
    """Return the units and minor units that the device does not count itself."""
    if request.counted is None:
        return redemption_table.total_redeemed(connection, cti, but=request.dev)
    units, minor = redemption_table.total_redeemed(connection, cti)
    counted = redemption_table.redeemed_by_events(connection, cti, request.dev, request.counted)
    return units - counted[0], minor - counted[1]


def release_finished(connection: HubConnection, batch: Batch, *, committed_through: int) -> None:
    """Release the grants of the same epoch that ``batch`` reports as finished.

    If the device holds more events as acknowledged than are known here, their outcome may be among
    those. Then no grant is released.
    """
    if batch.acknowledged_through <= committed_through:
        grant_table.delete_grants_through(
            connection, batch.dev, batch.epoch, batch.grants_released_through
        )


def release_grants(connection: HubConnection, cti: bytes) -> int:
    """Release all grants of an entitlement on request; return how many there were."""
    return grant_table.delete_grants(connection, cti)


def grant_response(
    request: GrantRequest,
    decision: GrantDecision,
    *,
    site: str,
    authority: str,
    signer: Signer,
    now_s: int,
) -> Response:
    """Return the signed message that carries ``decision``."""
    reply = GrantReply(
        device=request.dev,
        id=request.id,
        cti=bytes.fromhex(request.cti),
        result=decision.result,
        quantity=request.quantity,
        site=site,
        authority=authority,
        issued_at_s=now_s,
        used=decision.used,
        used_minor=decision.used_minor,
        used_s=decision.last.at_s,
        used_by=decision.last.dev,
    )
    signed = GRANT_REPLY.sign(reply, signer)
    return Response(
        dev=request.dev, id=request.id, result=decision.result, signed=b64encode(signed).decode()
    )
