"""The order cache: an interrupted snapshot removes nothing; no update touches a redemption."""

import pytest

from edge.domain.entitlement import OrderStatus
from edge.domain.order_row import row_of
from edge.domain.verdict import Verdict
from edge.store import ledger, order_cache, order_pages
from edge.store.order_pages import PageResult
from tests.support.sample_shop import (
    INCARNATION,
    NOON,
    SITE,
    at,
    code,
    deliver,
    open_at,
    order,
    redeemer,
)


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def page(store, *entitlements, revision=1, number=0, last=True, incarnation=INCARNATION):
    rows = [row_of(each) for each in entitlements]
    return order_pages.apply_snapshot_page(
        store,
        rows,
        site=SITE,
        incarnation=incarnation,
        revision=revision,
        page=number,
        last=last,
        now=NOON,
    )


def delta(store, *entitlements, removed=(), frm, to):
    rows = [row_of(each) for each in entitlements]
    step = {"incarnation": INCARNATION, "from_revision": frm, "to_revision": to}
    return order_pages.apply_delta(store, rows, site=SITE, removed=removed, **step, now=NOON)


def known(store):
    return {row.order_id for row in order_cache.entitlements(store)}


def some(*names):
    return [order(code(order_id=name)) for name in names]


def test_an_entitlement_comes_back_as_it_was_sent(store):
    sent = order(
        code(),
        not_before_s=5,
        review=True,
        compartments=("A", "B"),
        subject="s",
        campaign="c",
        rules="[]",
    )
    page(store, sent, revision=9)
    assert order_cache.find(store, sent.cti) == type(sent)(
        **{**{f: getattr(sent, f) for f in sent.__slots__}, "revision": 9}
    )


def test_a_snapshot_in_pages_is_complete_with_its_last(store):
    assert page(store, *some("a"), last=False) is PageResult.APPLIED
    assert order_cache.feed_state(store).revision == 0
    assert page(store, *some("b"), number=1) is PageResult.COMPLETE
    assert order_cache.feed_state(store).revision == 1
    assert known(store) == {"a", "b"}


def test_a_half_loaded_snapshot_removes_nothing_that_is_valid(store):
    page(store, *some("a", "b"))
    page(store, *some("c"), revision=2, last=False)
    assert known(store) == {"a", "b", "c"}


def test_a_whole_snapshot_ends_what_it_does_not_name(store):
    page(store, *some("a", "b"))
    page(store, *some("c"), revision=2)
    assert known(store) == {"c"}
    assert order_cache.count(store) == 1
    while order_cache.delete_stale(store):
        pass
    assert store.connection().execute("SELECT count(*) FROM entitlement").fetchone() == (1,)


def test_a_snapshot_goes_on_where_it_broke_off(store, tmp_path):
    page(store, *some("a"), last=False)
    store.close()
    store = open_at(tmp_path)
    assert order_cache.feed_state(store).next_page == 1
    assert page(store, *some("a"), last=False) is PageResult.ALREADY
    assert page(store, *some("c"), number=2) is PageResult.GAP
    assert page(store, *some("b"), number=1) is PageResult.COMPLETE
    assert known(store) == {"a", "b"}


def test_an_older_snapshot_is_refused(store):
    page(store, *some("a"), revision=5)
    assert page(store, *some("b"), revision=4) is PageResult.STALE
    assert known(store) == {"a"}


def test_rows_of_a_snapshot_that_was_given_up_do_not_stay(store):
    page(store, *some("a"))
    page(store, *some("gone"), revision=2, last=False)
    page(store, *some("c"), revision=3)
    assert known(store) == {"c"}


def test_deltas_follow_one_another(store):
    first = some("a")[0]
    page(store, first)
    assert delta(store, *some("b"), frm=1, to=2) is PageResult.APPLIED
    assert delta(store, removed=[first.cti], frm=2, to=3) is PageResult.APPLIED
    assert known(store) == {"b"}


def test_a_delta_applied_twice_changes_nothing(store):
    page(store, *some("a"))
    delta(store, *some("b"), frm=1, to=2)
    assert delta(store, *some("c"), frm=1, to=2) is PageResult.ALREADY
    assert known(store) == {"a", "b"}


def test_a_gap_is_asked_for_and_not_jumped(store):
    assert delta(store, *some("x"), frm=1, to=2) is PageResult.GAP, "without any snapshot"
    page(store, *some("a"))
    assert delta(store, *some("c"), frm=2, to=3) is PageResult.GAP
    assert known(store) == {"a"}


def test_a_delta_waits_for_the_snapshot_that_is_being_loaded(store):
    claims = code()
    page(store, order(claims))
    page(store, order(claims, status=OrderStatus.CANCELLED), revision=9, last=False)
    assert delta(store, order(claims), frm=1, to=2) is PageResult.LOADING
    assert order_cache.find(store, claims.cti).status is OrderStatus.CANCELLED
    assert delta(store, order(claims), frm=1, to=10) is PageResult.LOADING
    page(store, revision=9, number=1)
    assert delta(store, order(claims), frm=9, to=10) is PageResult.APPLIED
    assert order_cache.find(store, claims.cti).status is OrderStatus.READY


def test_a_delta_that_begins_earlier_has_every_change_up_to_its_end(store):
    first = some("a")[0]
    page(store, first, revision=5)
    assert delta(store, *some("b"), removed=[first.cti], frm=3, to=7) is PageResult.APPLIED
    assert known(store) == {"b"}


def test_a_page_of_a_complete_snapshot_that_comes_again_begins_nothing(store):
    page(store, *some("a"), last=False)
    page(store, *some("b"), number=1)
    assert page(store, *some("a"), last=False) is PageResult.ALREADY
    assert order_cache.feed_state(store).snapshot_revision is None


def test_a_page_of_an_older_snapshot_does_not_end_the_load_of_a_newer_one(store):
    page(store, *some("a"), revision=9, last=False)
    assert page(store, *some("b"), revision=8, last=False) is PageResult.STALE
    assert page(store, *some("b"), revision=9, number=1) is PageResult.COMPLETE


@pytest.mark.parametrize("update", ["delta", "snapshot", "removal and return"])
def test_no_update_of_an_order_reverses_a_redemption(store, update):
    """Differ from pretix, which deletes local check-ins with any update of their order."""
    claims = code()
    deliver(store, order(claims))
    assert redeemer(store).redeem(claims, NOON).is_accepted
    if update == "snapshot":
        page(store, order(claims), revision=9)
    else:
        delta(
            store,
            *([] if "removal" in update else [order(claims)]),
            removed=[claims.cti] * ("removal" in update),
            frm=1,
            to=2,
        )
        delta(store, order(claims), frm=2, to=3)
    assert ledger.count(store) == 1
    assert redeemer(store).redeem(claims, at(1)).reason is Verdict.ALREADY_REDEEMED


def test_hearing_the_platform_makes_the_cache_fresh(store):
    page(store)
    order_cache.record_contact(store, at(500))
    order_cache.record_contact(store, at(100))
    assert order_cache.feed_state(store).last_contact_s == at(500).unix_s


OTHER = b"\1" * 16  # a later incarnation of the platform's store


def test_a_later_incarnation_is_newer_whatever_its_revision(store):
    a, b = some("a", "b")
    page(store, a, revision=9)
    assert page(store, a, b, revision=1, incarnation=OTHER) is PageResult.COMPLETE
    assert page(store, *some("c"), revision=99) is PageResult.STALE
    assert delta(store, *some("c"), frm=1, to=99) is PageResult.STALE
    assert known(store) == {"a", "b"}
    assert order_cache.feed_state(store).incarnation == OTHER


def test_a_delta_of_a_later_incarnation_is_a_gap(store):
    page(store, *some("a"), incarnation=bytes(16))
    rows = [row_of(each) for each in some("b")]
    applied = order_pages.apply_delta(
        store, rows, site=SITE, incarnation=OTHER, from_revision=1, to_revision=2, now=NOON
    )
    assert applied is PageResult.GAP
    assert known(store) == {"a"}


@pytest.mark.parametrize(
    ("incarnation", "result"),
    [
        pytest.param(OTHER, PageResult.SHRUNK, id="another store: the share alone decides"),
        pytest.param(INCARNATION, PageResult.COMPLETE, id="the same store: at most fifty may go"),
    ],
)
def test_a_site_with_few_orders_is_not_emptied_by_another_store(store, incarnation, result):
    page(store, *some(*"abcdefghijklmnopq"))
    assert page(store, revision=2, incarnation=incarnation) is result
    assert len(known(store)) == (17 if result is PageResult.SHRUNK else 0)


def test_orders_that_ended_are_no_loss(store):
    over = [order(code(order_id=f"e{n}"), expires_at_s=NOON.unix_s) for n in range(60)]
    gone = [
        order(code(order_id=f"c{n}"), status=OrderStatus.CANCELLED, expires_at_s=2**33 - 1)
        for n in range(60)
    ]
    a = some("a")[0]
    page(store, a, *over, *gone)
    assert page(store, a, revision=2) is PageResult.COMPLETE
    assert page(store, a, revision=3, incarnation=OTHER) is PageResult.COMPLETE
