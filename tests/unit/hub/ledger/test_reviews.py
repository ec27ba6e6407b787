"""Reviews at the hub: what waits, who may decide, and how long a decision is sent again."""

import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.domain.upload_refusal import UploadRefusal
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.signed_document import open_document
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.hub.ledger import ingest, reviews
from sync.hub.server.review_publisher import POLL_EVERY_S, REPEAT_S, ReviewPublisher
from sync.hub.store import redemption_table
from sync.wire.messages import Batch, Event
from sync.wire.review_decision import (
    ReviewDecision,
    decision_name,
    open_review_decision,
    sign_review_decision,
)
from sync.wire.review_page import read_review_page

NOW_S = 1_800_000_000
CTI = bytes(15) + b"\x09"
DEV = "kiosk-1"
FEED, ZOE = (
    signer(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in (1, 2)
)


def listed(key, purpose, *issuers):
    return TrustedKey(
        key=key.public,
        purposes=frozenset({purpose}),
        not_before_s=0,
        expires_at_s=2**33 - 1,
        issuers=frozenset(issuers),
    )


TRUST = TrustList(
    version=1,
    issued_at_s=NOW_S,
    expires_at_s=NOW_S + 86_400,
    keys=(listed(FEED, Purpose.ORDER_FEED), listed(ZOE, Purpose.REVIEW, "zoe")),
)


def event(seq, type, *, ts=NOW_S, id="", **body):
    whole = {"cti": CTI.hex(), "order": "A-1", "use": 1, **body}
    return Event(seq=seq, id=id or f"id-{seq}", ts=ts, ts_trust="trusted", type=type, body=whole)


def pending_redemption(seq=1, use=1):
    return event(seq, "redeemed", units=1, verdict=reviews.PENDING, operator="ann", use=use)


def reported(seq=2, state="approved", use=1, redemption_event="id-1"):
    return event(
        seq,
        "review",
        state=state,
        reason="seen",
        operator="rob",
        use=use,
        redemption_event=redemption_event,
    )


def take(store, *events, epoch="e1"):
    with store.transaction() as connection:
        return ingest.ingest_batch(connection, Batch(DEV, epoch, 0, 0, events), NOW_S)


def decision(seq=1, **changes):
    facts = {
        "tenant": "main",
        "device": DEV,
        "epoch": "e1",
        "seq": seq,
        "cti": CTI,
        "approve": True,
        "reason": "",
        "issued_at_s": NOW_S,
    }
    return ReviewDecision(**{**facts, **changes})


def decide(store, by="zoe", **changes):
    made = decision(**changes)
    with store.transaction() as connection:
        reviews.record_decision(
            connection, made, by=by, raw=sign_review_decision(made, ZOE), now_s=NOW_S
        )


def states(store, *, every=True):
    with store.read() as connection:
        page = reviews.review_page(connection, dev=None, event_id=None, decided=every, after=0)
    return [(review["state"], review["decided_by"]) for review in page["reviews"]]


def pages(store, **given):
    facts = {"site_of": lambda _: "shop-1", "now_s": lambda: NOW_S, **given}
    return ReviewPublisher(FEED, **facts)


def decisions_in(raw):
    now = Instant(unix_s=NOW_S)
    document = open_document(raw, Purpose.ORDER_FEED, TRUST, now=now)
    made = [
        open_review_decision(row, TRUST, now=now)
        for row in read_review_page(document.payload, site="shop-1").rows
    ]
    return [(decision.seq, decision.approve, by, decision.reason) for decision, by in made]


def test_a_review_is_listed_until_it_is_decided_here_or_at_the_device(opened):
    store = opened()
    take(
        store,
        pending_redemption(),
        pending_redemption(2, use=2),
        event(3, "redeemed", units=1, verdict="accepted", use=3),
    )
    assert states(store) == [("waiting", None)] * 2
    decide(store, approve=False, reason="stolen")
    take(store, reported(4, use=2, redemption_event="id-2"))
    assert states(store) == [("on_its_way", "zoe"), ("approved", "rob")]
    assert states(store, every=False) == []
    take(store, reported(5, state="rejected"))
    assert states(store)[0] == ("rejected", "rob")


def test_the_report_of_a_review_may_come_before_its_redemption(opened):
    store = opened()
    take(store, reported())
    take(store, pending_redemption())
    assert states(store) == [("approved", "rob")]
    with pytest.raises(reviews.DecisionError, match="decided already"):
        decide(store)


def test_a_listed_review_shows_its_redemption_and_what_became_of_it(opened):
    store = opened()
    take(
        store,
        pending_redemption(),
        event(
            2,
            "redeemed",
            units=1,
            verdict=reviews.PENDING,
            use=2,
            amount_minor=1250,
            currency="EUR",
            operator="ann",
        ),
    )
    decide(store, by="zoe", seq=2, approve=False, reason="stolen card")
    take(store, reported(3, redemption_event="id-1"))
    with store.read() as connection:
        page = reviews.review_page(connection, dev=None, event_id=None, decided=True, after=0)
    first, second = page["reviews"]
    assert {name: first[name] for name in ("state", "approve", "decided_by", "reason")} == {
        "state": "approved",
        "approve": None,
        "decided_by": "rob",
        "reason": "seen",
    }
    assert second == {
        "id": "id-2",
        "dev": DEV,
        "epoch": "e1",
        "seq": 2,
        "at_s": NOW_S,
        "order": "A-1",
        "use": 2,
        "cti": CTI.hex(),
        "kind": None,
        "risks": None,
        "units": 1,
        "amount_minor": 1250,
        "currency": "EUR",
        "scanned_by": "ann",
        "state": "on_its_way",
        "approve": False,
        "decided_by": "zoe",
        "reason": "stolen card",
        "decided_s": NOW_S,
    }


def test_a_reported_text_is_stored_up_to_its_limit(opened):
    store = opened()
    take(store, pending_redemption())
    take(
        store,
        event(
            2,
            "review",
            state="approved",
            reason="r" * 401,
            operator="o" * 401,
            redemption_event="id-1",
        ),
    )
    with store.read() as connection:
        page = reviews.review_page(connection, dev=None, event_id=None, decided=True, after=0)
    (review,) = page["reviews"]
    assert (review["reason"], review["decided_by"]) == ("r" * 400, "o" * 400)


def test_a_decision_is_kept_with_who_when_why_and_its_signature(opened):
    store = opened()
    take(store, pending_redemption())
    decide(store, approve=False, reason="stolen card")
    decide(store, approve=False, reason="stolen card")  # asked again, because the answer was lost
    with store.read() as connection:
        row = connection.execute(
            "SELECT approve, decided_by, reason, decided_s, raw FROM review"
        ).fetchone()
    signed = sign_review_decision(decision(approve=False, reason="stolen card"), ZOE)
    assert (*row[:4], bytes(row[4])) == (0, "zoe", "stolen card", NOW_S, signed)


@pytest.mark.parametrize(
    ("by", "changes", "words"),
    [
        pytest.param("ann", {}, "ann scanned it", id="who scanned it"),
        pytest.param("Ann ", {}, "scanned it", id="who scanned it, written otherwise"),
        pytest.param("rob", {"approve": False}, "decided already", id="another person after zoe"),
        pytest.param("rob", {"seq": 9}, "no redemption waits", id="what is not there"),
        pytest.param("rob", {"cti": bytes(16)}, "no redemption waits", id="another code"),
        pytest.param("rob", {"device": "kiosk-9"}, "no redemption waits", id="another device"),
    ],
)
def test_a_reviewer_who_may_not_decide_gets_the_reason(opened, by, changes, words):
    store = opened()
    take(store, pending_redemption())
    if "decided" in words:
        decide(store)
    with pytest.raises(reviews.DecisionError, match=words):
        decide(store, by=by, **changes)


def test_a_decision_is_published_at_once_and_repeated_until_the_device_reports_the_outcome(opened):
    store = opened()
    take(store, pending_redemption(), pending_redemption(2, use=2))
    publisher = pages(store)
    assert publisher.due_pages(store, 0.0) == []
    decide(store, reason="seen")
    ((dev, raw),) = publisher.due_pages(store, POLL_EVERY_S)
    assert (dev, decisions_in(raw)) == (DEV, [(1, True, "zoe", "seen")])
    decide(store, seq=2, approve=False, reason="stolen")
    ((_, second),) = publisher.due_pages(store, 2 * POLL_EVERY_S)
    assert decisions_in(second) == [(2, False, "zoe", "stolen")], "the first is not due yet"
    ((_, again),) = publisher.due_pages(store, REPEAT_S + 5 * POLL_EVERY_S)
    assert len(decisions_in(again)) == 2
    take(store, reported(3))
    ((_, rest),) = publisher.due_pages(store, 3 * REPEAT_S)
    assert [row[0] for row in decisions_in(rest)] == [2]
    take(store, reported(4, state="rejected", use=2, redemption_event="id-2"))
    assert publisher.due_pages(store, 9 * REPEAT_S) == []


def test_a_device_that_asks_for_orders_gets_its_decisions_unless_it_has_left(opened):
    store = opened()
    take(store, pending_redemption())
    decide(store)
    with store.transaction() as connection:
        ((_, raw),) = pages(store).pages_for(connection, DEV)
        assert decisions_in(raw) == [(1, True, "zoe", "")]
        assert pages(store).pages_for(connection, "kiosk-2") == []
        assert pages(store, site_of=lambda _: None).pages_for(connection, DEV) == []


def test_a_device_that_was_away_for_long_gets_its_decisions_in_pages(opened):
    store = opened()
    uses = range(1, reviews.PAGE + 2)
    take(store, *(pending_redemption(use, use) for use in uses))
    for use in uses:
        decide(store, seq=use)
    assert [len(decisions_in(raw)) for _, raw in pages(store).due_pages(store, 0.0)] == [
        reviews.PAGE,
        1,
    ]


def test_a_decision_names_the_person_of_the_key_that_signed_it_and_no_other_key_will_do():
    now = Instant(unix_s=NOW_S)
    raw = sign_review_decision(decision(approve=False, reason="stolen"), ZOE)
    read, by = open_review_decision(raw, TRUST, now=now)
    assert (read, by) == (decision(approve=False, reason="stolen"), "zoe")
    assert "may not sign review" in str(
        open_review_decision(sign_review_decision(decision(), FEED), TRUST, now=now)
    )
    assert "a rejection has a reason" in str(
        open_review_decision(sign_review_decision(decision(approve=False), ZOE), TRUST, now=now)
    )
    assert str(open_review_decision(raw[:-1] + bytes([raw[-1] ^ 1]), TRUST, now=now)).startswith(
        "document_signature_invalid"
    )
    assert str(open_review_decision(os.urandom(100), TRUST, now=now)).startswith("document_")
    empty = TrustList(
        version=1, issued_at_s=0, expires_at_s=2**32, keys=(listed(ZOE, Purpose.REVIEW),)
    )
    assert "whose key" in str(open_review_decision(raw, empty, now=now))


def test_an_odd_event_about_reviews_changes_nothing(opened):
    store = opened()
    odd = [
        event(1, "review", cti="zz"),
        event(2, "review", use=0),
        event(3, "review", use=True),
        event(4, "review", use=None),
        event(5, "review", state=json.loads('{"a": 1}'), reason=["x"] * 500, operator=None),
    ]
    take(store, *odd)
    assert states(store) == []


# Another store in the same device


def used(store):
    with store.read() as connection:
        return redemption_table.total_redeemed(connection, CTI)


def redeemed_by_new_store(store, **given):
    """Redeem in a new store after a card was replaced: its uses begin with 1 again."""
    body = {"units": 1, "verdict": reviews.PENDING, "operator": "ann", **given}
    take(store, event(1, "redeemed", id="new-1", ts=NOW_S + 60, **body), epoch="e2")


def test_reports_of_a_lost_store_do_not_concern_the_new_stores_use_of_the_same_number(
    opened,
):
    store = opened()
    named = {"ts": NOW_S + 3600, "redemption_event": "id-1"}  # the new store's clock is slow
    reported = (
        pending_redemption(),
        event(2, "review", state="rejected", operator="rob", **named),
        event(3, "reversed", **named),
    )
    take(store, *reported)
    assert used(store)[0] == 0
    redeemed_by_new_store(store)
    assert used(store)[0] == 1, "the new store has redeemed it"
    assert states(store) == [("rejected", "rob"), ("waiting", None)]
    decide(store, epoch="e2")
    take(store, *reported)  # again
    assert states(store)[1] == ("on_its_way", "zoe")
    assert used(store)[0] == 1
    take(store, event(2, "reversed", redemption_event="new-1"), epoch="e2")
    assert used(store)[0] == 0


@pytest.mark.parametrize(
    "named", [{}, {"redemption_event": ""}, {"redemption_event": 7}, {"redemption_event": "x" * 41}]
)
def test_a_reversal_that_names_no_redemption_is_refused_and_changes_nothing(opened, named):
    store = opened()
    taken = take(store, pending_redemption(), event(2, "reversed", **named))
    assert [(item.seq, item.reason) for item in taken.ack.rejected] == [
        (2, UploadRefusal.BODY_INVALID)
    ]
    take(store, event(3, "review", state="rejected", operator="rob", **named))
    assert (used(store)[0], states(store)) == (1, [("waiting", None)])


def test_a_reversal_of_what_the_platform_never_took_reverses_nothing_else(opened):
    store = opened()
    refused = event(1, "redeemed", units=0)
    take(store, refused, event(2, "reversed", ts=NOW_S + 3600, redemption_event=refused.id))
    redeemed_by_new_store(store)
    assert used(store)[0] == 1


def test_a_use_that_was_carried_over_into_a_new_store_is_taken_back_there(opened):
    store = opened()
    take(store, pending_redemption())
    later = {"ts": NOW_S + 90, "redemption_event": "id-1"}
    take(
        store,
        event(1, "review", state="rejected", operator="rob", id="n-1", **later),
        event(2, "reversed", id="n-2", **later),
        epoch="e2",
    )
    assert (used(store)[0], states(store)) == (0, [("rejected", "rob")])


def test_a_reversal_names_a_redemption_by_the_event_that_first_reported_it(opened):
    store = opened()
    take(
        store, event(1, "redeemed", units=0), event(2, "redeemed", units=0, retry_of="id-1")
    )  # refused
    take(store, event(3, "redeemed", id="late", units=1, retry_of="id-2", redemption_event="id-1"))
    assert used(store)[0] == 1
    again = take(store, event(4, "redeemed", units=1, retry_of="late", redemption_event="id-1"))
    assert again.ack.rejected[-1].reason == UploadRefusal.ALREADY_REPORTED
    take(store, event(5, "reversed", redemption_event="id-1"))
    assert used(store)[0] == 0


# A decision that its device cannot take


def refused(store, seq, word, **changes):
    name = decision_name(sign_review_decision(decision(**changes), ZOE))
    take(
        store,
        Event(
            seq=seq,
            id=f"id-{seq}",
            ts=NOW_S,
            ts_trust="trusted",
            type="review_refused",
            body={"decision": name, "reason": word},
        ),
    )


def test_a_decision_on_a_redemption_that_its_device_lost_is_closed_and_not_repeated(opened):
    store = opened()
    take(store, pending_redemption())
    decide(store)
    publisher = pages(store)
    assert publisher.due_pages(store, 0.0)
    refused(store, 2, "not_found")
    assert states(store) == [("not_found", "zoe")]
    assert states(store, every=False) == []
    assert publisher.due_pages(store, 9 * REPEAT_S) == []
    with pytest.raises(reviews.DecisionError, match="decided already"):
        decide(store, by="rob")


@pytest.mark.parametrize("reason", ["same_person", "not_verified"])
def test_a_decision_that_its_device_refuses_is_not_repeated_and_another_can_be_made(
    opened,
    reason,
):
    store = opened()
    take(store, pending_redemption())
    decide(store, reason="one")
    refused(store, 2, "made_up", reason="one")
    refused(store, 3, reason, reason="another")
    assert states(store) == [("on_its_way", "zoe")], "neither is an answer to it"
    refused(store, 4, reason, reason="one")
    assert states(store, every=False) == [(reason, "zoe")]
    assert pages(store).due_pages(store, 0.0) == []
    if reason == "same_person":
        with pytest.raises(reviews.DecisionError, match="scanned it"):
            decide(store)
    decide(store, by="rob")
    assert states(store) == [("on_its_way", "rob")]
    assert pages(store).due_pages(store, 0.0)
