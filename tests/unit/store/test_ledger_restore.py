"""A new store knows that something may be missing, and since when."""

import pytest

from edge.store.authorisations import open_requests
from edge.store.ledger_restore import (
    CLOCK_MARGIN_S,
    RestoredRow,
    RestoreState,
    apply_restore_page,
    bound_loss,
    is_loss_bounded,
    restore_state,
    restored_count,
)
from edge.values.instant import ClockTrust
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path, recovering=True)
    yield store
    store.close()


def row(number, event_id="e", device="kiosk-1", **said):
    fields = {"units": 1, "amount_minor": None, "at_s": 1, **said}
    return RestoredRow(number.to_bytes(16, "big"), device, event_id, **fields)


def test_every_code_is_in_doubt_until_a_trusted_clock_was_read(store):
    """A clock that was never set may be years behind: what it says is no bound."""
    state = restore_state(store)
    assert (state.after, is_loss_bounded(state)) == ("", False)
    bound_loss(store, at(0, ClockTrust.FLOOR_ONLY))
    assert restore_state(store) == state
    bound_loss(store, NOON)
    assert restore_state(store).lost_s == NOON.unix_s + CLOCK_MARGIN_S
    bound_loss(store, at(9999))
    assert restore_state(store).lost_s == NOON.unix_s + CLOCK_MARGIN_S


def test_a_code_issued_after_the_loss_is_redeemed_before_the_restore_is_complete(store):
    bound_loss(store, NOON)
    old, new = (code(issued_at_s=NOON.unix_s + CLOCK_MARGIN_S - late) for late in (1, 0))
    deliver(store, order(old), order(new))
    assert [redeemer(store).redeem(each, NOON).reason.value for each in (old, new)] == [
        "needs_online",
        "accepted",
    ]


def test_a_page_is_applied_once_and_in_its_place(store):
    assert not apply_restore_page(store, [row(1)], after="b", following="c")
    assert apply_restore_page(store, [row(1), row(2)], after="", following="b")
    assert not apply_restore_page(store, [row(3)], after="", following="b")
    assert restore_state(store).after == "b"
    assert apply_restore_page(store, [row(2), row(3)], after="b", following=None)
    assert restore_state(store) == RestoreState(None, None)
    assert restored_count(store) == 3
    assert not apply_restore_page(store, [row(4)], after="b", following=None)


def test_a_request_for_a_grant_names_the_redemptions_that_the_device_counts(store, monkeypatch):
    claims = code(quantity=5)
    number = int.from_bytes(claims.cti, "big")
    deliver(store, order(claims))
    rows = [row(number, "mine"), row(number, "other", device="kiosk-2")]
    apply_restore_page(store, rows, after="", following="b")
    asked = []
    clerk = redeemer(store, reply_within_s=1.0)
    monkeypatch.setattr(clerk._client, "is_online", lambda: True)
    monkeypatch.setattr(clerk._client, "request", lambda request, _: asked.append(request))
    clerk.redeem(claims, NOON)
    apply_restore_page(store, [], after="b", following=None)
    shared = code(quantity=5)
    deliver(store, order(shared, home_device=None))
    clerk.redeem(shared, NOON)
    assert [request.counted for request in asked] == [("mine",), None]
    assert open_requests(store, 0) == []
