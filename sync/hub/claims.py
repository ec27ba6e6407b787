"""Arbitration: which device may honour an entitlement that several could. One claim at a time.

A leave that was given is held until its holder has told what it did with it: it is free again when it has run
out *and* the holder has said, later, that nothing of it is pending. A holder that fell silent keeps it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from edge.claim_result import ClaimResult
from edge.entitlement import OrderStatus
from edge.token.claims import Kind
from edge.token.document import sign_document
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from sync.claim_answer import ClaimAnswer, answer_payload
from sync.hub.ingest import used
from sync.hub.store import Connection
from sync.wire import ClaimRequest, Response

HOLD_S: Final = 30  # within which a leave is used or never is; longer than deadline and use of edge.store.claims
_HONOURABLE: Final = (OrderStatus.READY, OrderStatus.SHIPPED)


@dataclass(frozen=True, slots=True)
class Sold:
    """What there is to honour: units, and for a voucher that is used in parts its value."""

    units: int
    minor: int | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision on a claim. ``used`` and ``used_minor``: by other devices than the asking one."""

    result: ClaimResult
    used: int = 0
    used_minor: int = 0
    until_s: int = 0


def arbitrate(connection: Connection, request: ClaimRequest, *, site: str | None, now_s: int) -> Ruling:
    """Decide ``request`` in the caller's transaction, as the platform. A device that asks again gets it again."""
    row = connection.execute(
        "SELECT site, line FROM entitlement WHERE cti = ?", (bytes.fromhex(request.cti),)
    ).fetchone()
    if row is None or row[0] != site:
        return Ruling(ClaimResult.UNKNOWN)
    line = json.loads(row[1])
    if line["status"] not in _HONOURABLE or not line["not_before_s"] <= now_s < line["expires_at_s"]:
        return Ruling(ClaimResult.NOT_READY)
    in_parts = line["quantity"] == 1 and line["amount_minor"] and line["kind"] == Kind.WRITE_OFF.code
    return rule(connection, request, Sold(line["quantity"], line["amount_minor"] if in_parts else None), now_s=now_s)


def rule(connection: Connection, request: ClaimRequest, sold: Sold, *, now_s: int) -> Ruling:
    """Decide ``request`` for what was sold, by what devices told and what they hold."""
    cti = bytes.fromhex(request.cti)
    units, minor = used(connection, cti)
    others = used(connection, cti, but=request.dev)
    left = sold.units - units
    if sold.minor is not None:  # used in parts: there is a use left while there is value left
        left = 1 if minor < sold.minor else 0
    if left < request.quantity:
        return Ruling(ClaimResult.SPENT, *others)
    (held,) = connection.execute(
        "SELECT coalesce(sum(c.quantity), 0) FROM claim c LEFT JOIN quiet q ON q.dev = c.dev"
        " WHERE c.cti = ?1 AND c.dev <> ?2 AND (c.until_s > ?3 OR coalesce(q.at_s, 0) <= c.until_s)",
        (cti, request.dev, now_s),
    ).fetchone()
    if left - held < request.quantity:
        return Ruling(ClaimResult.HELD, *others)
    until_s = now_s + HOLD_S
    connection.execute(
        "INSERT INTO claim (cti, dev, quantity, until_s) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (cti, dev) DO UPDATE SET quantity = excluded.quantity, until_s = excluded.until_s",
        (cti, request.dev, request.quantity, until_s),
    )
    return Ruling(ClaimResult.GRANTED, *others, until_s)


def quiet(connection: Connection, dev: str, now_s: int) -> None:
    """``dev`` says that it has nothing to tell: what it held before now, and did not use, is free."""
    connection.execute(
        "INSERT INTO quiet (dev, at_s) VALUES (?, ?) ON CONFLICT (dev) DO UPDATE SET at_s = excluded.at_s",
        (dev, now_s),
    )


def release(connection: Connection, cti: bytes) -> int:
    """A person frees what a device that never came back holds; return how many claims that was."""
    return connection.execute("DELETE FROM claim WHERE cti = ?", (cti,)).rowcount


def response(
    request: ClaimRequest, ruling: Ruling, *, site: str, authority: str, signer: Signer, now_s: int
) -> Response:
    """The message that carries ``ruling``, signed."""
    answer = ClaimAnswer(
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
    signed = sign_document(answer_payload(answer), Purpose.CLAIM, signer)
    return Response(
        dev=request.dev, id=request.id, result=ruling.result, until=ruling.until_s, signed=b64encode(signed).decode()
    )
