"""A reviewer's decision counts by its signature alone, and never on a scan of their own."""

import os
import time
from types import SimpleNamespace

import pytest

from edge.domain.roles import Role
from edge.operators.operator_action import ActionResult
from edge.store import documents, exception_cases, ledger, outbox, reviews
from edge.store.documents import StoreResult
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from edge.trust.anchors import Anchors
from edge.trust.signer_file import load_signer
from edge.values.instant import Instant
from sync.agent.downlink import Downlink
from sync.agent.outcomes import DocumentOutcome
from sync.fleet.key_folder import REVIEWERS
from sync.wire.review_decision import ReviewDecision, decision_name, sign_review_decision
from sync.wire.review_page import LONGEST_ROW, ReviewPage, review_payload
from tests.support.operator_sessions import actions, sign_in
from tests.support.platform_processes import Keys
from tests.support.refusals import set_aside
from tests.support.sample_shop import DEVICE, SITE, code, deliver, open_at, order, redeemer


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    keys = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("zoe", "ann", "Ann"):
        keys.folder.add_holder(REVIEWERS, name)
    return keys


@pytest.fixture
def receiver(tmp_path, keys):
    """Return a device with a redemption by ann that waits for a second person."""
    now = Instant(unix_s=int(time.time()))
    store = open_at(tmp_path, now_s=now.unix_s)
    put = documents.put(
        store,
        name=documents.TRUST_LIST,
        version=1,
        issued_at_s=now.unix_s,
        raw=keys.trust_list(1),
        now=now,
    )
    assert put is StoreResult.STORED
    anchors = Anchors(store, keys.roots())
    assert anchors.refresh(now) == {}
    downlink = Downlink(
        store, keys.roots(), anchors, device=DEVICE, site=SITE, vouch=lambda _: None
    )
    claims = code(not_before_s=now.unix_s - 60, expires_at_s=now.unix_s + 3600)
    deliver(store, order(claims, review=True), now=now)
    sign_in(store, "ann", Role.OPERATOR, now=now)
    redeemer(store).redeem(claims, now)
    (use,) = ledger.rows(store)
    yield SimpleNamespace(store=store, downlink=downlink, use=use, now=now)
    store.close()


def decided(receiver, keys, *, by="zoe", key=None, **given):
    facts = {
        "tenant": "main",
        "device": DEVICE,
        "epoch": receiver.use.epoch,
        "seq": receiver.use.seq,
        "cti": receiver.use.cti,
        "approve": True,
        "reason": "seen",
        "issued_at_s": receiver.now.unix_s,
    }
    key = key or load_signer(keys.path / REVIEWERS / f"{by}.pem", advice="")
    return sign_review_decision(ReviewDecision(**{**facts, **given}), key)


def page(receiver, keys, *, purpose=Purpose.ORDER_FEED, site=SITE, rows=None, **given):
    rows = (decided(receiver, keys, **given),) if rows is None else rows
    payload = review_payload(ReviewPage(site=site, issued_at_s=receiver.now.unix_s, rows=rows))
    return sign_document(payload, purpose, keys.signer(purpose))


def replies_of(receiver):
    replies = [
        event.body for event in outbox.pending(receiver.store) if event.type == "review_refused"
    ]
    return [(body["reason"], body["decision"]) for body in replies]


def take(receiver, raw):
    return receiver.downlink.receive_page(raw, receiver.now, 0.0)


def state(receiver):
    (review,) = reviews.reviews(receiver.store, only_pending=False)
    return review.state, review.decided_by


def test_an_approval_that_the_platform_signed_is_final_and_its_echo_changes_nothing(receiver, keys):
    raw = page(receiver, keys)
    assert take(receiver, raw) is DocumentOutcome.REVIEWS
    assert state(receiver) == ("approved", "platform:zoe")
    assert outbox.pending(receiver.store)[-1].body["operator"] == "platform:zoe"
    assert take(receiver, raw) is DocumentOutcome.SAME
    assert take(receiver, page(receiver, keys, approve=False)) is DocumentOutcome.SAME
    assert ledger.count(receiver.store) == 1


def test_a_rejection_takes_it_back_with_its_reason(receiver, keys):
    assert (
        take(receiver, page(receiver, keys, approve=False, reason="stolen card"))
        is DocumentOutcome.REVIEWS
    )
    row = ledger.rows(receiver.store)[-1]
    assert (row.reverses, row.reason, row.operator) == (
        receiver.use.id,
        "stolen card",
        "platform:zoe",
    )


def test_a_decision_finds_a_redemption_that_was_reported_again_under_another_number(receiver, keys):
    assert set_aside(
        receiver.store,
        epoch=receiver.use.epoch,
        seq=receiver.use.seq,
        reason="body_invalid",
        now=receiver.now,
    )
    sign_in(receiver.store, "sue", Role.SUPERVISOR, now=receiver.now)
    (case,) = exception_cases.cases(receiver.store)
    assert actions(receiver.store).send_again(case.id, receiver.now).result is ActionResult.DONE
    (again,) = [event for event in outbox.pending(receiver.store) if event.type == "redeemed"]
    assert again.seq != receiver.use.seq
    assert take(receiver, page(receiver, keys, seq=again.seq)) is DocumentOutcome.REVIEWS
    assert state(receiver) == ("approved", "platform:zoe")


def test_a_decision_of_the_wrong_key_or_altered_changes_nothing(receiver, keys):
    raw = page(receiver, keys)
    altered = raw[:-1] + bytes([raw[-1] ^ 1])
    for forged in (altered, page(receiver, keys, purpose=Purpose.CONFIGURATION), os.urandom(200)):
        assert take(receiver, forged).reason.startswith("document_")
    assert state(receiver) == ("pending", None)


def test_the_person_who_scanned_a_code_cannot_decide_through_the_platform_either(receiver, keys):
    for name in ("ann", "Ann"):
        raw = decided(receiver, keys, by=name)
        for _ in range(3):
            assert take(receiver, page(receiver, keys, rows=(raw,))).reason == "same_person"
        assert replies_of(receiver)[-1] == ("same_person", decision_name(raw))
    assert len(replies_of(receiver)) == 2, "each is answered once"
    assert state(receiver) == ("pending", None)


@pytest.mark.parametrize("other", [{"seq": 99}, {"cti": bytes(16)}, {"epoch": "f" * 16}])
def test_a_decision_about_what_is_not_in_this_store_changes_nothing_and_the_platform_hears_so_once(
    receiver, keys, other
):
    raw = decided(receiver, keys, **other)
    for _ in range(3):
        assert take(receiver, page(receiver, keys, rows=(raw,))).reason == "not_found"
    assert state(receiver) == ("pending", None)
    assert replies_of(receiver) == [("not_found", decision_name(raw))]


def test_a_decision_for_another_device_is_none_of_this_ones_business(receiver, keys):
    assert take(receiver, page(receiver, keys, device="kiosk-9")) is DocumentOutcome.SAME
    assert (state(receiver), replies_of(receiver)) == (("pending", None), [])


def test_the_key_of_the_order_feed_alone_decides_nothing(receiver, keys):
    """Whoever runs the hub has it, and not the reviewers' keys."""
    raw = decided(receiver, keys, key=keys.signer(Purpose.ORDER_FEED))
    assert take(receiver, page(receiver, keys, rows=(raw,))).reason == "document_key_purpose"
    good = decided(receiver, keys)
    forged = good[:-1] + bytes([good[-1] ^ 1])
    assert (
        take(receiver, page(receiver, keys, rows=(forged,))).reason == "document_signature_invalid"
    )
    assert state(receiver) == ("pending", None)
    assert replies_of(receiver) == [
        ("not_verified", decision_name(raw)),
        ("not_verified", decision_name(forged)),
    ]


def test_a_decision_that_does_not_hold_keeps_none_beside_it_from_its_effect(receiver, keys):
    assert (
        take(receiver, page(receiver, keys, rows=(b"junk", decided(receiver, keys)))).reason
        == "document_malformed"
    )
    assert state(receiver) == ("approved", "platform:zoe")


def test_the_end_of_a_review_and_a_reversal_name_the_event_that_first_reported_the_redemption(
    receiver, keys
):
    first = outbox.pending(receiver.store)[-1].id
    take(receiver, page(receiver, keys, approve=False, reason="stolen card"))
    ended = {
        event.type: event.body["redemption_event"]
        for event in outbox.pending(receiver.store)
        if "redemption_event" in event.body
    }
    assert ended == {"review": first, "reversed": first}


def test_a_page_of_another_site_or_another_shape_is_refused_whole(receiver, keys):
    assert take(receiver, page(receiver, keys, site="site-9")).reason == "wrong_site"
    for odd in ((1,), ("text",), (decided(receiver, keys), None), (bytes(LONGEST_ROW + 1),)):
        assert take(receiver, page(receiver, keys, rows=odd)).reason == "wrong_shape"
    for odd in ({"seq": 0}, {"approve": 1}, {"cti": b"short"}, {"reason": "x" * 401}):
        assert take(receiver, page(receiver, keys, **odd)).reason == "document_content"
    assert state(receiver) == ("pending", None)
