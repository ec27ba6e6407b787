"""Redemptions that wait for a second person, and what people at the platform decided on them.

A row per redemption that a device honoured pending review. What a device says of a review may come before the
redemption that it is about (hubs share their work), so both are kept, and each looks for the other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

from sync import wire
from sync.hub.store import Connection
from sync.review_decision import Decision
from sync.review_page import Decided
from sync.wire import Batch, Event

PENDING: Final = "accepted_pending_review"  # edge.verdict
PAGE: Final = 200  # redemptions in one answer, decisions in one page for a device


class DecisionError(Exception):
    """A decision that is not taken; the message goes to the reviewer."""


def note(connection: Connection, batch: Batch, event: Event) -> None:
    """Keep what a device tells of reviews: that a redemption waits, or that one is decided. In ingest's transaction."""
    if event.type != "review" and event.body.get("verdict") != PENDING:
        return  # as nearly all
    cti, use_no = event.body.get("cti"), event.body.get("use")
    if not isinstance(cti, str) or not wire.is_cti(cti) or type(use_no) is not int or not 1 <= use_no <= wire.MAX_SEQ:
        return
    place = (batch.dev, bytes.fromhex(cti), use_no)
    if event.type == "redeemed" and event.body.get("verdict") == PENDING:
        connection.execute(
            "INSERT INTO review (dev, cti, use_no, epoch, seq) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*place, batch.epoch, event.seq),
        )
    elif event.type == "review":
        said = tuple(str(event.body.get(name) or "")[:400] for name in ("state", "operator", "reason"))
        connection.execute(
            "INSERT INTO reviewed VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (*place, *said, event.ts)
        )
    else:
        return
    connection.execute(
        "UPDATE review SET arrived = 1 WHERE dev = ?1 AND cti = ?2 AND use_no = ?3 AND EXISTS"
        " (SELECT 1 FROM reviewed d WHERE d.dev = ?1 AND d.cti = ?2 AND d.use_no = ?3)",
        place,
    )


def decide(connection: Connection, decision: Decision, *, by: str, raw: bytes, now_s: int) -> None:
    """Keep what ``by`` decided, whose signature held, with that signature. Raises DecisionError.

    The same decision again changes nothing; another one after it is refused.
    """
    row = connection.execute(
        "SELECT r.no, r.cti, r.approve, r.decided_by, r.arrived, e.body FROM review r JOIN event e"
        " ON e.dev = r.dev AND e.epoch = r.epoch AND e.seq = r.seq WHERE r.dev = ? AND r.epoch = ? AND r.seq = ?",
        (decision.device, decision.epoch, decision.seq),
    ).fetchone()
    if row is None or bytes(row[1]) != decision.cti:
        raise DecisionError("no redemption waits for a second person under that: see edge-fleet reviews list --all")
    no, _, approve, decided_by, arrived, body = row
    if approve == decision.approve and decided_by == by:
        return
    if approve is not None or arrived:
        raise DecisionError("it is decided already: see edge-fleet reviews list --all")
    if json.loads(body).get("operator") == by:
        raise DecisionError(f"{by} scanned it: another person must decide")
    done = connection.execute(
        "UPDATE review SET approve = ?, decided_by = ?, reason = ?, decided_s = ?, raw = ? WHERE no = ?"
        " AND approve IS NULL AND arrived = 0",
        (int(decision.approve), by, decision.reason, now_s, raw, no),
    )
    if not done.rowcount:
        raise DecisionError("somebody else has decided just now: see edge-fleet reviews list --all")


def listed(connection: Connection, *, dev: str | None, ident: str | None, every: bool, after: int) -> dict[str, Any]:
    """A page of redemptions that wait for a second person, by number after ``after``; with ``every`` decided ones, too.

    ``ident`` is the id of one redemption's event.
    """
    rows = connection.execute(
        "SELECT r.no, r.dev, r.epoch, r.seq, r.approve, r.decided_by, r.reason, r.decided_s, e.id, e.ts, e.body,"
        " d.state, d.by_whom, d.reason, d.ts FROM review r"
        " JOIN event e ON e.dev = r.dev AND e.epoch = r.epoch AND e.seq = r.seq"
        " LEFT JOIN reviewed d ON d.dev = r.dev AND d.cti = r.cti AND d.use_no = r.use_no"
        " WHERE r.no > ?1 AND (?2 = '' OR r.dev = ?2) AND (?3 = '' OR e.id = ?3)"
        " AND (?4 = 1 OR r.approve IS NULL AND r.arrived = 0)"
        " ORDER BY r.no LIMIT ?5",
        (after, dev or "", ident or "", int(every), PAGE),
    ).fetchall()
    return {"reviews": [_shown(row) for row in rows], "next": rows[-1][0] if len(rows) == PAGE else None}


def undelivered(connection: Connection, dev: str | None = None) -> dict[str, list[tuple[int, Decided]]]:
    """Decisions that their device has not said it knows, with their numbers, by device."""
    rows = connection.execute(
        "SELECT no, dev, epoch, seq, cti, approve, decided_by, reason FROM review"
        " WHERE approve IS NOT NULL AND arrived = 0 AND (?1 = '' OR dev = ?1) ORDER BY no",
        (dev or "",),
    )
    found: dict[str, list[tuple[int, Decided]]] = defaultdict(list)
    for no, of, epoch, seq, cti, approve, by, reason in rows:
        decided = Decided(device=of, epoch=epoch, seq=seq, cti=bytes(cti), approve=bool(approve), by=by, reason=reason)
        found[of].append((no, decided))
    return found


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    (_, dev, epoch, seq, approve, decided_by, reason, decided_s, ident, ts, text, state, by, why, at_s) = row
    body = json.loads(text)
    names = ("cti", "order", "use", "kind", "units", "amount_minor", "currency", "risks")
    if state is None:
        state = "waiting" if approve is None else "on_its_way"
    else:
        decided_by, reason, decided_s = by, why, at_s
    return {
        "id": ident, "dev": dev, "epoch": epoch, "seq": seq, "at_s": ts, **{name: body.get(name) for name in names},
        "scanned_by": body.get("operator"), "state": state,
        "approve": None if approve is None else bool(approve), "decided_by": decided_by, "reason": reason,
        "decided_s": decided_s,
    }  # fmt: skip
