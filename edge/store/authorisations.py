"""Authorisation requests, their replies, and the grants that redemptions consume.

A device without authority over a code asks the platform, or the site's authority, for a grant. The
scanner has no network and edge-sync has no camera; they meet in this table, which holds the whole
life of a grant::

    write_request -> open_requests -> record_reply -> find_grant -> consume
    consumed <-> unreported: the platform refused the event, and later has it, or it was reversed
    released_through: the grants that the platform may give to other devices

A reply after its deadline is stored and grants nothing. Requests are numbered in the order in which
they are written, whatever the clock does. Every function with a ``connection`` works in the
caller's transaction; every function with a ``store`` raises StoreUnavailableError.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from edge.domain.authorisation import AuthorisationResult
from edge.domain.redemption_report import GRANT_REQUEST
from edge.store.boot import boot_id
from edge.store.database.store import Store
from edge.store.outbox import ANY_WAITING, OutboxPlace, event_body
from edge.values.instant import Instant

USE_WITHIN_NS: Final = 5_000_000_000  # after the deadline; a redemption follows its reply at once

_FREE, _CONSUMED, _UNREPORTED = 0, 1, 2  # authorisation_request.consumed


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationRequest:
    """A request for a grant to redeem ``units`` of ``cti``, with what the order cache says of it.

    ``order_quantity`` is 0 for a code that is not in the cache. ``order_amount_minor`` is the value
    of a voucher that is used in parts. ``number`` is given when the request is written.
    """

    id: str  # UUIDv7
    cti: bytes
    units: int = 1
    order_quantity: int = 0
    order_amount_minor: int | None = None
    due_ns: int  # CLOCK_MONOTONIC, which every process of a boot shares
    number: int = 0
    # Events of its own redemptions of the code that this device counts; None: all that there are.
    counted: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationReply:
    """A reply whose signature was verified. ``used_*`` is what other devices have redeemed."""

    id: str
    result: AuthorisationResult
    used_units: int = 0
    used_minor: int = 0
    authority: str = ""  # who replied
    used_s: int = 0  # when another device last redeemed it, Unix seconds; 0: never
    used_by: str = ""  # which device


@dataclass(frozen=True, slots=True)
class Grant:
    """A positive reply, in time and not consumed: one redemption may rest on it."""

    id: str  # of its request


def write_request(store: Store, request: AuthorisationRequest, now: Instant) -> None:
    """Write ``request`` under the next number."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET requests = requests + 1")
        connection.execute(
            "INSERT INTO authorisation_request"
            " (id, cti, units, order_quantity, order_amount_minor, requested_s, boot, due_ns,"
            " counted, number)"
            " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, requests FROM device",
            (
                request.id,
                request.cti,
                request.units,
                request.order_quantity,
                request.order_amount_minor,
                now.unix_s,
                boot_id(),
                request.due_ns,
                None if request.counted is None else json.dumps(request.counted),
            ),
        )


def open_requests(store: Store, now_ns: int) -> list[AuthorisationRequest]:
    """Return the requests without a reply whose deadline is after ``now_ns``, oldest first."""
    with store.read() as connection:
        rows = connection.execute(
            "SELECT id, cti, units, order_quantity, order_amount_minor, due_ns, number, counted"
            " FROM authorisation_request INDEXED BY authorisation_request_live"
            " WHERE result IS NULL AND boot = ? AND due_ns > ? ORDER BY number",
            (boot_id(), now_ns),
        ).fetchall()
    return [
        AuthorisationRequest(
            id=row[0],
            cti=row[1],
            units=row[2],
            order_quantity=row[3],
            order_amount_minor=row[4],
            due_ns=row[5],
            number=row[6],
            counted=None if row[7] is None else tuple(json.loads(row[7])),
        )
        for row in rows
    ]


def record_reply(store: Store, reply: AuthorisationReply, now_ns: int) -> bool:
    """Write the first reply to a request; return whether it came before the deadline."""
    with store.transaction() as connection:
        connection.execute(
            "UPDATE authorisation_request"
            " SET result = ?, used_units = ?, used_minor = ?, authority = ?, used_s = ?,"
            " used_by = ?, replied_ns = ?"
            " WHERE id = ? AND result IS NULL",
            (
                reply.result.value,
                reply.used_units,
                reply.used_minor,
                reply.authority,
                reply.used_s,
                reply.used_by,
                now_ns,
                reply.id,
            ),
        )
        row = connection.execute(
            "SELECT due_ns >= ? FROM authorisation_request WHERE id = ?", (now_ns, reply.id)
        ).fetchone()
    return bool(row and row[0])


def find_reply(store: Store, request_id: str) -> AuthorisationReply | None:
    """Return the reply to a request, late or not, or None."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT result, used_units, used_minor, authority, used_s, used_by"
            " FROM authorisation_request WHERE id = ? AND result IS NOT NULL",
            (request_id,),
        ).fetchone()
    if row is None:
        return None
    return AuthorisationReply(
        id=request_id,
        result=AuthorisationResult(row[0]),
        used_units=row[1],
        used_minor=row[2],
        authority=row[3],
        used_s=row[4],
        used_by=row[5],
    )


def find_grant(connection: sqlite3.Connection, cti: bytes, now_ns: int) -> Grant | None:
    """Return the newest grant for ``cti`` of this boot that came in time and was not consumed."""
    row = connection.execute(
        "SELECT id FROM authorisation_request"
        " WHERE cti = ? AND result = 'granted' AND consumed = ? AND boot = ?"
        " AND replied_ns <= due_ns AND due_ns + ? > ? ORDER BY number DESC LIMIT 1",
        (cti, _FREE, boot_id(), USE_WITHIN_NS, now_ns),
    ).fetchone()
    return None if row is None else Grant(row[0])


def consume(connection: sqlite3.Connection, grant: Grant) -> None:
    """Mark ``grant`` as used: a redemption of this transaction rests on it, and no other may."""
    connection.execute(
        "UPDATE authorisation_request SET consumed = ? WHERE id = ?", (_CONSUMED, grant.id)
    )


def mark_unreported(connection: sqlite3.Connection, place: OutboxPlace) -> None:
    """Record that the platform refused the redemption event at ``place``: it knows of no use."""
    _mark(connection, place, _CONSUMED, _UNREPORTED)


def mark_reported(connection: sqlite3.Connection, place: OutboxPlace) -> None:
    """Record that the redemption of the event at ``place`` was sent again, or reversed."""
    _mark(connection, place, _UNREPORTED, _CONSUMED)


def _mark(connection: sqlite3.Connection, place: OutboxPlace, before: int, after: int) -> None:
    body = event_body(connection, place, type="redeemed")
    request_id = json.loads(body).get(GRANT_REQUEST) if body is not None else None
    if isinstance(request_id, str):
        connection.execute(
            "UPDATE authorisation_request SET consumed = ? WHERE id = ? AND consumed = ?",
            (after, request_id, before),
        )


_RELEASED_THROUGH: Final = f"""
    SELECT CASE WHEN blocked IS NOT NULL OR {ANY_WAITING} THEN 0 ELSE min(
      requests,
      coalesce((
        SELECT min(number) - 1 FROM authorisation_request
        INDEXED BY authorisation_request_unreported WHERE consumed = {_UNREPORTED}
      ), requests),
      coalesce((
        SELECT min(number) - 1 FROM authorisation_request
        INDEXED BY authorisation_request_live
        WHERE boot = ? AND due_ns > ? - {USE_WITHIN_NS}
          AND consumed = {_FREE} AND (result IS NULL OR result = 'granted')
      ), requests)) END
    FROM device
"""


def released_through(store: Store, now_ns: int) -> int:
    """Return the number through which no grant can be used and the platform knows every use.

    It is 0, which says nothing, while an event waits for the platform, and on a blocked device. It
    stays below a request whose redemption the platform refused, until that was sent again and
    accepted, or was reversed. The transaction is its own: a redemption that found its grant just
    before ``now_ns`` is either written by now or never will be.
    """
    with store.transaction() as connection:
        (number,) = connection.execute(_RELEASED_THROUGH, (boot_id(), now_ns)).fetchone()
    return int(number)
