"""Arbitration: which device may honour an entitlement that several could. One claim at a time."""

from __future__ import annotations

import json
from typing import Final

from edge.entitlement import OrderStatus
from sync.hub.ingest import units_left
from sync.hub.store import Connection
from sync.wire import ClaimRequest, ClaimResult, Response

HOLD_S: Final = 60  # a granted claim that is not used is free again after this
_HONOURABLE: Final = (OrderStatus.READY, OrderStatus.SHIPPED)


def arbitrate(connection: Connection, request: ClaimRequest, *, site: str | None, now_s: int) -> Response:
    """Decide ``request`` in the caller's transaction. A device that asks again gets its claim again."""
    cti = bytes.fromhex(request.cti)
    row = connection.execute("SELECT site, line FROM entitlement WHERE cti = ?", (cti,)).fetchone()
    if row is None or row[0] != site:
        return _answer(request, ClaimResult.UNKNOWN)
    line = json.loads(row[1])
    if line["status"] not in _HONOURABLE or not line["not_before_s"] <= now_s < line["expires_at_s"]:
        return _answer(request, ClaimResult.NOT_READY)
    left = units_left(connection, cti)
    assert left is not None  # the entitlement is there
    if left < request.quantity:
        return _answer(request, ClaimResult.SPENT)
    (held,) = connection.execute(
        "SELECT coalesce(sum(quantity), 0) FROM claim WHERE cti = ? AND dev <> ? AND until_s > ?",
        (cti, request.dev, now_s),
    ).fetchone()
    if left - held < request.quantity:
        return _answer(request, ClaimResult.HELD)
    until_s = now_s + HOLD_S
    connection.execute(
        "INSERT INTO claim (cti, dev, quantity, until_s) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (cti, dev) DO UPDATE SET quantity = excluded.quantity, until_s = excluded.until_s",
        (cti, request.dev, request.quantity, until_s),
    )
    return _answer(request, ClaimResult.GRANTED, until_s)


def _answer(request: ClaimRequest, result: ClaimResult, until_s: int = 0) -> Response:
    return Response(dev=request.dev, id=request.id, result=result, until=until_s)
