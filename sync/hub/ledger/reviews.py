"""Redemptions that wait for a second person, and what people at the platform decided on them.

A row per redemption that a device honoured pending review. What a device says of a review may come before the
redemption that it is about (hubs share their work), so both are kept, and each looks for the other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

from edge.store.reviews import ReviewResult
from edge.values.person_name import same_person
from sync.hub.ledger.redemption_identity import IS_ABOUT, redemption_named_by
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import Event
from sync.wire.review_decision import NOT_VERIFIED, ReviewDecision, decision_name

PENDING: Final = "accepted_pending_review"  # edge.domain.verdict
PAGE: Final = 200  # redemptions in one answer, decisions in one page for a device
_WITHOUT_EFFECT: Final = frozenset(
    {ReviewResult.NOT_FOUND.value, ReviewResult.SAME_PERSON.value, NOT_VERIFIED}
)
_ITS_REDEMPTION: Final = "r.cti = w.cti AND r.dev = w.dev AND r.epoch = w.epoch AND r.seq = w.seq"


class DecisionError(Exception):
    """A decision that is not taken; the message goes to the reviewer."""


def note(connection: HubConnection, dev: str, epoch: str, event: Event) -> None:
    """Keep what a device tells of reviews: that one waits, is decided, or cannot be. In ingest's transaction."""
    if event.type == "review_refused":
        _refused(connection, dev, event.body)
    elif event.type == "review" or event.body.get("verdict") == PENDING:  # nearly none
        _note(connection, dev, epoch, event)


def _note(connection: HubConnection, dev: str, epoch: str, event: Event) -> None:
    cti = event.body.get("cti")
    if not isinstance(cti, str) or not codec.is_cti(cti):
        return
    place = (bytes.fromhex(cti), dev)
    if event.type == "redeemed":
        connection.execute(
            "INSERT INTO review (cti, dev, epoch, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*place, epoch, event.seq),
        )
    elif (redemption := redemption_named_by(event)) is not None:
        said = tuple(
            str(event.body.get(name) or "")[:400] for name in ("state", "operator", "reason")
        )
        connection.execute(
            "INSERT INTO reviewed VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*place, redemption, event.ts, *said),
        )
    connection.execute(
        "UPDATE review AS w SET arrived = 1 WHERE cti = ? AND dev = ? AND EXISTS"  # noqa: S608 - constants
        f" (SELECT 1 FROM redemption r JOIN reviewed v ON {IS_ABOUT} WHERE {_ITS_REDEMPTION})",
        place,
    )


def _refused(connection: HubConnection, dev: str, body: dict[str, Any]) -> None:
    """A device cannot take a decision: it is said no more. One that another person may make anew waits again."""
    word = body.get("reason")
    if not isinstance(word, str) or word not in _WITHOUT_EFFECT:
        return
    for no, raw in undelivered(connection, dev).get(dev, []):
        if decision_name(raw) == body.get("decision"):
            gone = word == ReviewResult.NOT_FOUND
            connection.execute(
                "UPDATE review SET refused = ?, arrived = ?, approve = CASE ? WHEN 1 THEN approve END WHERE no = ?",
                (word, int(gone), int(gone), no),
            )


def decide(
    connection: HubConnection, decision: ReviewDecision, *, by: str, raw: bytes, now_s: int
) -> None:
    """Keep what ``by`` decided, whose signature held, with that signature. Raises DecisionError.

    The same decision again changes nothing; another one after it is refused.
    """
    row = connection.execute(
        "SELECT w.no, w.cti, w.approve, w.decided_by, w.arrived, w.refused, e.body FROM review w JOIN event e"
        " ON e.dev = w.dev AND e.epoch = w.epoch AND e.seq = w.seq WHERE w.dev = ? AND w.epoch = ? AND w.seq = ?",
        (decision.device, decision.epoch, decision.seq),
    ).fetchone()
    if row is None or bytes(row[1]) != decision.cti:
        raise DecisionError(
            "no redemption waits for a second person under that: see edge-fleet reviews list --all"
        )
    no, _, approve, decided_by, arrived, refused, body = row
    if approve == decision.approve and decided_by == by:
        return
    if approve is not None or arrived:
        raise DecisionError("it is decided already: see edge-fleet reviews list --all")
    told_so = refused == ReviewResult.SAME_PERSON and same_person(decided_by, by)
    if told_so or same_person(json.loads(body).get("operator"), by):
        raise DecisionError(f"{by} scanned it: another person must decide")
    done = connection.execute(
        "UPDATE review SET approve = ?, decided_by = ?, reason = ?, decided_s = ?, raw = ?, refused = NULL WHERE no = ?"
        " AND approve IS NULL AND arrived = 0",
        (int(decision.approve), by, decision.reason, now_s, raw, no),
    )
    if not done.rowcount:
        raise DecisionError("somebody else has decided just now: see edge-fleet reviews list --all")


def listed(
    connection: HubConnection, *, dev: str | None, ident: str | None, every: bool, after: int
) -> dict[str, Any]:
    """A page of redemptions that wait for a second person, by number after ``after``; with ``every`` decided ones, too.

    ``ident`` is the id of one redemption's event.
    """
    rows = connection.execute(
        "SELECT w.no, w.dev, w.epoch, w.seq, w.approve, w.decided_by, w.reason, w.decided_s, w.refused,"  # noqa: S608 - constants
        " e.id, e.ts, e.body, v.state, v.by_whom, v.reason, v.ts FROM review w"
        " JOIN event e ON e.dev = w.dev AND e.epoch = w.epoch AND e.seq = w.seq"
        f" JOIN redemption r ON {_ITS_REDEMPTION} LEFT JOIN reviewed v ON {IS_ABOUT}"
        " WHERE w.no > ? AND ? IN ('', w.dev) AND ? IN ('', e.id)"  # no device and no event has an empty name
        " AND (? = 1 OR w.approve IS NULL AND w.arrived = 0)"
        " ORDER BY w.no LIMIT ?",
        (after, dev or "", ident or "", int(every), PAGE),
    ).fetchall()
    return {
        "reviews": [_shown(row) for row in rows],
        "next": rows[-1][0] if len(rows) == PAGE else None,
    }


def undelivered(
    connection: HubConnection, dev: str | None = None
) -> dict[str, list[tuple[int, bytes]]]:
    """Decisions as they were signed that their device has not said it knows, with their numbers, by device."""
    rows = connection.execute(
        "SELECT no, dev, raw FROM review WHERE approve IS NOT NULL AND arrived = 0 AND ? IN ('', dev)"
        " ORDER BY no",
        (dev or "",),
    )
    found: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for no, of, raw in rows:
        found[of].append((no, bytes(raw)))
    return found


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    (
        _,
        dev,
        epoch,
        seq,
        approve,
        decided_by,
        reason,
        decided_s,
        refused,
        ident,
        ts,
        text,
        state,
        by,
        why,
        at_s,
    ) = row
    body = json.loads(text)
    names = ("cti", "order", "use", "kind", "units", "amount_minor", "currency", "risks")
    if state is None:
        state = refused or ("waiting" if approve is None else "on_its_way")
    else:
        decided_by, reason, decided_s = by, why, at_s
    return {
        "id": ident, "dev": dev, "epoch": epoch, "seq": seq, "at_s": ts, **{name: body.get(name) for name in names},
        "scanned_by": body.get("operator"), "state": state,
        "approve": None if approve is None else bool(approve), "decided_by": decided_by, "reason": reason,
        "decided_s": decided_s,
    }  # fmt: skip
