"""A person at the platform decides on a redemption: believed by its signature alone, and never from who scanned it."""

import os
import time
from types import SimpleNamespace

import pytest

from edge.anchors import Anchors
from edge.instant import Instant
from edge.operators.roles import Role
from edge.staff import Done
from edge.store import documents, exceptions, ledger, outbox, reviews
from edge.store.documents import Put
from edge.token.document import sign_document
from edge.token.purpose import Purpose
from sync.downlink import Downlink, Kept
from sync.review_page import Decided, ReviewPage, review_payload
from tests.shop import DEVICE, SITE, code, deliver, open_at, order, redeemer
from tests.sync_platform import Keys
from tests.unit.test_staff import sign_in, staff


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def desk(tmp_path, keys):
    """A device with a redemption by ann that waits for a second person."""
    now = Instant(unix_s=int(time.time()))
    store = open_at(tmp_path, now_s=now.unix_s)
    put = documents.put(
        store, name=documents.TRUST_LIST, version=1, issued_at_s=now.unix_s, raw=keys.trust_list(1), now=now
    )
    assert put is Put.STORED
    anchors = Anchors(store, keys.roots())
    assert anchors.refresh(now) == {}
    downlink = Downlink(store, keys.roots(), anchors, device=DEVICE, site=SITE, vouch=lambda _: None)
    claims = code(not_before_s=now.unix_s - 60, expires_at_s=now.unix_s + 3600)
    deliver(store, order(claims, review=True), now=now)
    sign_in(store, "ann", Role.OPERATOR, now=now)
    redeemer(store).redeem(claims, now)
    (use,) = ledger.rows(store)
    yield SimpleNamespace(store=store, downlink=downlink, use=use, now=now)
    store.close()


def page(desk, keys, *, purpose=Purpose.ORDER_FEED, site=SITE, **said):
    row = {"device": DEVICE, "epoch": desk.use.epoch, "seq": desk.use.seq, "cti": desk.use.cti, "approve": True,
           "by": "zoe", "reason": "seen"}  # fmt: skip
    decided = ReviewPage(site=site, issued_at_s=desk.now.unix_s, rows=(Decided(**{**row, **said}),))
    return sign_document(review_payload(decided), purpose, keys.signer(purpose))


def take(desk, raw):
    return desk.downlink.orders_page(raw, desk.now, 0.0)


def state(desk):
    (review,) = reviews.reviews(desk.store, only_pending=False)
    return review.state, review.decided_by


def test_an_approval_that_the_platform_signed_is_final_and_its_echo_changes_nothing(desk, keys):
    raw = page(desk, keys)
    assert take(desk, raw) is Kept.REVIEWS
    assert state(desk) == ("approved", "platform:zoe")
    assert outbox.pending(desk.store)[-1].body["operator"] == "platform:zoe"
    assert take(desk, raw) is Kept.SAME
    assert take(desk, page(desk, keys, approve=False)) is Kept.SAME
    assert ledger.count(desk.store) == 1


def test_a_rejection_takes_it_back_with_its_reason(desk, keys):
    assert take(desk, page(desk, keys, approve=False, reason="stolen card")) is Kept.REVIEWS
    row = ledger.rows(desk.store)[-1]
    assert (row.reverses, row.reason, row.operator) == (desk.use.id, "stolen card", "platform:zoe")


def test_a_decision_finds_a_redemption_that_was_told_again_under_another_number(desk, keys):
    assert outbox.reject(desk.store, epoch=desk.use.epoch, seq=desk.use.seq, reason="body_invalid", now=desk.now)
    sign_in(desk.store, "sue", Role.SUPERVISOR, now=desk.now)
    (case,) = exceptions.cases(desk.store)
    assert staff(desk.store).send_again(case.id, desk.now).done is Done.DONE
    (again,) = [event for event in outbox.pending(desk.store) if event.type == "redeemed"]
    assert again.seq != desk.use.seq
    assert take(desk, page(desk, keys, seq=again.seq)) is Kept.REVIEWS
    assert state(desk) == ("approved", "platform:zoe")


def test_a_decision_of_the_wrong_key_or_altered_changes_nothing(desk, keys):
    raw = page(desk, keys)
    altered = raw[:-1] + bytes([raw[-1] ^ 1])
    for forged in (altered, page(desk, keys, purpose=Purpose.CONFIGURATION), os.urandom(200)):
        assert take(desk, forged).reason.startswith("document_")
    assert state(desk) == ("pending", None)


def test_who_scanned_it_does_not_decide_through_the_platform_either(desk, keys):
    assert take(desk, page(desk, keys, by="ann")).reason == "same_person"
    assert state(desk) == ("pending", None)


@pytest.mark.parametrize("other", [{"device": "kiosk-9"}, {"seq": 99}, {"cti": bytes(16)}, {"epoch": "f" * 16}])
def test_a_decision_about_something_else_changes_nothing(desk, keys, other):
    assert take(desk, page(desk, keys, **other)) is Kept.SAME
    assert state(desk) == ("pending", None)


def test_a_page_of_another_site_or_another_shape_is_refused_whole(desk, keys):
    assert take(desk, page(desk, keys, site="site-9")).reason == "wrong_site"
    for odd in ({"seq": 0}, {"by": ""}, {"approve": 1}, {"cti": b"short"}, {"reason": "x" * 401}):
        assert take(desk, page(desk, keys, **odd)).reason == "wrong_shape"
    assert state(desk) == ("pending", None)
