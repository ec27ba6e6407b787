"""Read-only queries of operations: devices, orders, and cases that a person must settle."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from sync.hub.store import (
    confirmation_table,
    conflict_table,
    event_table,
    feed_table,
    incarnation_table,
    redemption_table,
    status_table,
)
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.reply_page import reply_page

ORDERS_PAGE: Final = 200
MOST_CASES: Final = 500
_LONGEST: Final = 400  # characters of a text of a case
MOST_LISTED: Final = 20  # decisions of persons about the feed
MOST_DOORS: Final = 5000  # pickup events that are searched for those that need a person


class _Case(NamedTuple):
    """A case that a person must settle. ``at_s`` is Unix seconds."""

    at_s: int
    dev: str
    kind: str
    cti: str | None
    detail: str


def hub_state(connection: HubConnection) -> dict[str, Any]:
    """Return the present incarnation of the store, why it is held, and who resumed it before."""
    held = incarnation_table.hold_of(connection)
    return {
        "incarnation": incarnation_table.present_incarnation(connection).hex(),
        "held": None if held is None else {"since_s": held[0], "detail": held[1]},
        "resumptions": [
            {"at_s": at_s, "by": name, "reason": reason, "held": cause}
            for at_s, name, reason, cause in incarnation_table.resumptions(connection)[:MOST_LISTED]
        ],
        "confirmations": [
            each._asdict() for each in confirmation_table.confirmations(connection)[:MOST_LISTED]
        ],
    }


def device_state(connection: HubConnection, dev: str) -> dict[str, Any]:
    """Return the last status of a device, and how many of its events need attention."""
    row = status_table.status_of(connection, dev)
    status = json.loads(row[0]) if row else {}
    return {
        "state": status.get("state"),
        "status_s": row[1] if row else None,
        "last_seq": status.get("last_seq"),
        "acknowledged_through": status.get("acknowledged_through"),
        "incarnation": status.get("incarnation"),
        "orders_dropped": status.get("orders_dropped"),
        "rungs": status.get("rungs", []),
        "health": status.get("health"),
        "conflicts": conflict_table.count_conflicts(connection, dev),
        "sequence_conflicts": event_table.count_sequence_conflicts(connection, dev),
        "refused_events": event_table.count_refused(connection, dev),
    }


def order_page(
    connection: HubConnection, *, site: str | None, order: str | None, after: str
) -> dict[str, Any]:
    """Return the page of order lines, by cti, that follows ``after``.

    With ``site`` or ``order`` an empty page may not be the last: ``next`` is None on the last one.
    """

    def listed(row: tuple[bytes, str]) -> dict[str, Any] | None:
        line: dict[str, Any] = json.loads(row[1])
        if site not in (None, line["home_site"]) or order not in (None, line["order_id"]):
            return None
        return line | {"redeemed": redemption_table.total_redeemed(connection, row[0])[0]}

    lines = feed_table.lines_after(connection, bytes.fromhex(after), ORDERS_PAGE + 1)
    orders, last = reply_page(lines, listed, lambda row: row[0].hex(), most_items=ORDERS_PAGE)
    return {"orders": orders, "next": last}


def exception_list(connection: HubConnection, *, dev: str | None) -> dict[str, Any]:
    """Return the newest cases, of ``dev`` alone if given, and how many are left out.

    Cases are double redemptions, refused events, two devices with one identity, and doors that
    need a person.
    """
    cases = [
        *_conflicts(connection),
        *_refused(connection),
        *_sequence_conflicts(connection),
        *_doors(connection),
    ]
    newest = sorted(
        (case for case in cases if dev in (None, case.dev)), key=lambda case: -case.at_s
    )
    listed, _ = reply_page(newest, _Case._asdict, lambda case: case.at_s, most_items=MOST_CASES)
    return {"exceptions": listed, "left_out": len(newest) - len(listed)}


def _conflicts(connection: HubConnection) -> list[_Case]:
    return [
        _Case(
            found_s,
            dev,
            "platform_conflict",
            cti.hex(),
            f"redeemed as well by {other} at {other_ts}",
        )
        for found_s, dev, cti, other, other_ts in conflict_table.newest_conflicts(
            connection, MOST_CASES
        )
    ]


def _refused(connection: HubConnection) -> list[_Case]:
    return [
        _Case(at_s, dev, "upload_refused", _cti(body), f"event {seq}, {kind}: {reason}")
        for at_s, dev, seq, kind, reason, body in event_table.newest_refused(connection, MOST_CASES)
    ]


def _sequence_conflicts(connection: HubConnection) -> list[_Case]:
    return [
        _Case(at_s, dev, "identity_doubled", None, f"another event {seq} is here already")
        for at_s, dev, seq in event_table.newest_sequence_conflicts(connection, MOST_CASES)
    ]


def _doors(connection: HubConnection) -> list[_Case]:
    cases = []
    for at_s, dev, text in event_table.newest_pickups(connection, MOST_DOORS):
        body = json.loads(text)
        if body.get("exception"):
            detail = f"compartment {body.get('compartment')}: {body.get('state')}"
            kind = str(body["exception"])[:_LONGEST]
            cases.append(_Case(at_s, dev, kind, _cti(text), detail[:_LONGEST]))
    return cases


def _cti(body: str) -> str | None:
    """Return the cti in an event's body; None where the body, which may be anything, has none."""
    try:
        cti = json.loads(body).get("cti")
    except (ValueError, AttributeError):
        return None
    return cti if isinstance(cti, str) and codec.is_cti(cti) else None
