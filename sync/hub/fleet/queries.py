"""What ops may see of the hub's store: devices, orders, and the cases that a person must settle. Reads only."""

from __future__ import annotations

import json
from typing import Any, Final

from sync.hub.ledger.redemption_identity import STANDS

ORDERS_PAGE: Final = 200
MOST_CASES: Final = 500
MOST_DOORS: Final = 5000  # pickup events looked through for those that ask for a person


def device(hub: Any, dev: str) -> dict[str, Any]:
    """What a device last said of itself, and how its events stand."""
    row = hub.execute("SELECT status, received_s FROM status WHERE dev = ?", (dev,)).fetchone()
    status = json.loads(row[0]) if row else {}
    (conflicts,) = hub.execute("SELECT count(*) FROM conflict WHERE dev = ?", (dev,)).fetchone()
    (clashes,) = hub.execute("SELECT count(*) FROM clash WHERE dev = ?", (dev,)).fetchone()
    (refused,) = hub.execute(
        "SELECT count(*) FROM event WHERE dev = ? AND refused IS NOT NULL", (dev,)
    ).fetchone()
    return {
        "state": status.get("state"),
        "status_s": row[1] if row else None,
        "last_seq": status.get("last_seq"),
        "settled_through": status.get("settled_through"),
        "rungs": status.get("rungs", []),
        "conflicts": conflicts,
        "clashes": clashes,
        "refused_events": refused,
    }


def orders(hub: Any, *, site: str | None, order: str | None, after: str) -> dict[str, Any]:
    """A page of the order lines, by cti after ``after``. With ``order`` a page may be empty and not the last."""
    rows = hub.execute(
        "SELECT cti, line FROM entitlement WHERE cti > ? ORDER BY cti LIMIT ?",
        (bytes.fromhex(after), ORDERS_PAGE + 1),
    ).fetchall()
    page = [(bytes(cti), json.loads(line)) for cti, line in rows[:ORDERS_PAGE]]
    listed = [
        line | {"redeemed": _uses(hub, cti)}
        for cti, line in page
        if site in (None, line["home_site"]) and order in (None, line["order_id"])
    ]
    return {"orders": listed, "next": page[-1][0].hex() if len(rows) > ORDERS_PAGE else None}


def _uses(hub: Any, cti: bytes) -> int:
    (units,) = hub.execute(
        f"SELECT coalesce(sum(units), 0) FROM redemption r WHERE cti = ? AND {STANDS}",  # noqa: S608 - a constant
        (cti,),
    ).fetchone()
    return int(units)


def exceptions(hub: Any, *, dev: str | None) -> dict[str, Any]:
    """What a person must look into: double redemptions, events that were refused, two devices with one identity."""
    conflicts = hub.execute(
        "SELECT found_s, dev, cti, other_dev, other_ts FROM conflict ORDER BY no DESC LIMIT ?",
        (MOST_CASES,),
    )
    cases = [
        {"at_s": found_s, "dev": of, "kind": "platform_conflict", "cti": cti.hex(),
         "detail": f"honoured as well by {other} at {other_ts}"}
        for found_s, of, cti, other, other_ts in conflicts
    ]  # fmt: skip
    refused = hub.execute(
        "SELECT received_s, dev, seq, type, refused, body FROM event WHERE refused IS NOT NULL"
        " ORDER BY received_s DESC LIMIT ?",
        (MOST_CASES,),
    )
    cases += [
        {
            "at_s": at_s,
            "dev": of,
            "kind": "upload_refused",
            "cti": _cti(body),
            "detail": f"event {seq}, {kind}: {why}",
        }
        for at_s, of, seq, kind, why, body in refused
    ]
    clashes = hub.execute(
        "SELECT received_s, dev, seq FROM clash ORDER BY received_s DESC LIMIT ?", (MOST_CASES,)
    )
    cases += [
        {
            "at_s": at_s,
            "dev": of,
            "kind": "identity_doubled",
            "cti": None,
            "detail": f"another event {seq} is here already",
        }
        for at_s, of, seq in clashes
    ]
    doors = hub.execute(
        "SELECT received_s, dev, body FROM event WHERE type = 'pickup' AND refused IS NULL"
        " ORDER BY received_s DESC LIMIT ?",
        (MOST_DOORS,),
    ).fetchall()
    for at_s, of, text in doors:
        body = json.loads(text)
        if body.get("exception") and dev in (None, of):
            detail = f"compartment {body.get('compartment')}: {body.get('state')}"
            cases.append(
                {
                    "at_s": at_s,
                    "dev": of,
                    "kind": body["exception"],
                    "cti": _cti(text),
                    "detail": detail,
                }
            )
    cases = [case for case in cases if dev in (None, case["dev"])]
    return {"exceptions": sorted(cases, key=lambda case: -case["at_s"])[:MOST_CASES]}


def _cti(body: str) -> str | None:
    try:
        cti = json.loads(body).get("cti")
    except (ValueError, AttributeError):
        return None
    return cti if isinstance(cti, str) else None
