"""Redemptions that wait for a second person, and the decisions of people at the platform.

There is a review for each redemption that a device accepted pending review. Hubs share their work,
so a device's report about a review may come before its redemption. Both are stored, and each is
matched to the other, whichever comes first.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

from edge.store.reviews import ReviewResult
from edge.values.errors import EdgeError
from edge.values.person_name import same_person
from sync.hub.ledger.redemption_identity import redemption_id_of, redemption_named_by
from sync.hub.ledger.redemptions import REDEEMED
from sync.hub.store import review_table
from sync.hub.store.interface import HubConnection
from sync.hub.store.review_table import ListedReview
from sync.wire import codec
from sync.wire.messages import Event
from sync.wire.reply_page import reply_page
from sync.wire.review_decision import NOT_VERIFIED, ReviewDecision, decision_name

PENDING: Final = "accepted_pending_review"  # edge.domain.verdict
PAGE: Final = 200  # reviews in one reply, decisions in one page for a device
_LONGEST: Final = 400  # characters of a text that are stored
_WITHOUT_EFFECT: Final = frozenset(
    {ReviewResult.NOT_FOUND.value, ReviewResult.SAME_PERSON.value, NOT_VERIFIED}
)
_SHOWN: Final = ("cti", "order", "use", "kind", "units", "amount_minor", "currency", "risks")


class DecisionError(EdgeError):
    """A decision that is not accepted; the message goes to the reviewer."""


def record_event(connection: HubConnection, dev: str, epoch: str, event: Event) -> None:
    """Record what ``event`` reports about a review. Most events report nothing.

    A redemption waits for review, a review was decided, or the device refused a decision.
    """
    if event.type == "review_refused":
        _record_refusal(connection, dev, event.body)
    elif event.type == "review" or event.body.get("verdict") == PENDING:
        _record_review(connection, dev, epoch, event)


def record_decision(
    connection: HubConnection, decision: ReviewDecision, *, by: str, raw: bytes, now_s: int
) -> None:
    """Record the decision of ``by`` with its signed bytes ``raw``. Raises DecisionError.

    The caller has verified the signature. The same decision again changes nothing. A different
    decision after it is refused.
    """
    review = review_table.review_of(connection, decision.device, decision.epoch, decision.seq)
    if review is None or review.cti != decision.cti:
        raise DecisionError(
            "no redemption waits for a second person under that number:"
            " see edge-fleet reviews list --all"
        )
    if review.approve == decision.approve and review.decided_by == by:
        return
    if review.approve is not None or review.closed:
        raise DecisionError("it is decided already: see edge-fleet reviews list --all")
    refused_by_device = review.refused == ReviewResult.SAME_PERSON and same_person(
        review.decided_by, by
    )
    if refused_by_device or same_person(json.loads(review.body).get("operator"), by):
        raise DecisionError(f"{by} scanned it: another person must decide")
    if not review_table.put_decision(
        connection,
        review.no,
        approve=decision.approve,
        by=by,
        reason=decision.reason,
        decided_s=now_s,
        raw=raw,
    ):
        raise DecisionError(
            "another person has decided just now: see edge-fleet reviews list --all"
        )


def review_page(
    connection: HubConnection, *, dev: str | None, event_id: str | None, decided: bool, after: int
) -> dict[str, Any]:
    """Return a page of the reviews after number ``after``, with the decided ones if ``decided``.

    ``event_id`` is the id of the event of one redemption.
    """
    rows = review_table.list_reviews(
        connection, dev=dev, event_id=event_id, decided=decided, after=after, limit=PAGE + 1
    )
    listed, last = reply_page(rows, _as_reply, lambda row: row.no, most_items=PAGE)
    return {"reviews": listed, "next": last}


def undelivered(
    connection: HubConnection, dev: str | None = None
) -> dict[str, list[tuple[int, bytes]]]:
    """Return the decisions without a reported outcome, by device: number and signed bytes."""
    found: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for no, of, raw in review_table.undelivered_decisions(connection, dev):
        found[of].append((no, raw))
    return found


def _record_review(connection: HubConnection, dev: str, epoch: str, event: Event) -> None:
    cti_hex = event.body.get("cti")
    if not isinstance(cti_hex, str) or not codec.is_cti(cti_hex):
        return
    cti = bytes.fromhex(cti_hex)
    if event.type == REDEEMED:
        review_table.insert_review(connection, cti, dev, epoch, event.seq)
        review_table.close_reported(connection, cti, dev, redemption_id_of(event))
    elif (redemption_id := redemption_named_by(event)) is not None:
        state, by, reason = (
            str(event.body.get(name) or "")[:_LONGEST] for name in ("state", "operator", "reason")
        )
        review_table.insert_report(
            connection, cti, dev, redemption_id, ts=event.ts, state=state, by=by, reason=reason
        )
        review_table.close_reported(connection, cti, dev, redemption_id)


def _record_refusal(connection: HubConnection, dev: str, body: dict[str, Any]) -> None:
    """Stop sending a decision that the device refused.

    The review waits again if another person may decide.
    """
    reason = body.get("reason")
    if not isinstance(reason, str) or reason not in _WITHOUT_EFFECT:
        return
    for no, raw in undelivered(connection, dev).get(dev, []):
        if decision_name(raw) == body.get("decision"):
            review_table.refuse_decision(
                connection, no, reason, final=reason == ReviewResult.NOT_FOUND
            )


def _as_reply(row: ListedReview) -> dict[str, Any]:
    body = json.loads(row.event_body)
    if row.reported_state is None:
        state = row.refused or ("waiting" if row.approve is None else "on_its_way")
        decided_by, reason, decided_s = row.decided_by, row.reason, row.decided_s
    else:
        state = row.reported_state
        decided_by, reason, decided_s = row.reported_by, row.reported_reason, row.reported_ts
    return {
        "id": row.event_id,
        "dev": row.dev,
        "epoch": row.epoch,
        "seq": row.seq,
        "at_s": row.event_ts,
        **{name: body.get(name) for name in _SHOWN},
        "scanned_by": body.get("operator"),
        "state": state,
        "approve": None if row.approve is None else bool(row.approve),
        "decided_by": decided_by,
        "reason": reason,
        "decided_s": decided_s,
    }
