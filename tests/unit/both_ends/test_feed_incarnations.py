"""A hub that lost its store, and a feed that shrinks, take no order away until a person says so."""

import pytest

from edge.store import order_cache
from sync.agent.order_intake import SHRUNK
from tests.support.feed_ends import FeedEnds

SOLD = [bytes([number]) * 16 for number in range(120)]


@pytest.fixture
def sold(memory_folder):
    """Yield both ends with a device that has every order."""
    with FeedEnds(memory_folder()) as ends:
        sell(ends, SOLD)
        ends.calm_until_whole(60.0)
        assert ends.is_whole
        yield ends


def sell(ends, ctis, **changes):
    for cti in ctis:
        ends.put(cti, **changes)


def pass_time(ends, seconds):
    for _ in range(int(seconds)):
        ends.step(1.0)
        while ends.pages:
            ends.receive(ends.pages.pop(0))
        assert {row.cti for row in order_cache.entitlements(ends.store)} >= set(SOLD)


def test_a_hub_that_lost_its_store_is_held_and_takes_no_order_away(sold):
    sold.lose_the_store()
    pass_time(sold, 300)
    assert sold.is_held
    sell(sold, SOLD[:5])  # an import that has begun serves nothing
    pass_time(sold, 100)
    assert sold.is_held
    assert order_cache.feed_state(sold.store).dropped is None, "no snapshot was sent"


def test_orders_that_are_imported_again_before_the_hub_is_resumed_stay_valid_all_the_time(sold):
    sold.lose_the_store()
    pass_time(sold, 30)
    sell(sold, SOLD)
    sold.resume()
    pass_time(sold, 60)
    assert sold.is_whole
    sold.assert_equal()


def test_a_hub_that_is_resumed_without_orders_takes_none_away_until_they_are_imported(sold):
    sold.lose_the_store()
    pass_time(sold, 30)
    sold.resume()
    pass_time(sold, 120)
    assert order_cache.feed_state(sold.store).dropped == len(SOLD)
    sell(sold, SOLD)
    pass_time(sold, 200)
    assert order_cache.feed_state(sold.store).dropped is None
    assert sold.is_whole
    sold.assert_equal()


def test_a_device_drops_what_another_store_does_not_name_once_a_person_has_confirmed_it(sold):
    sold.lose_the_store()
    pass_time(sold, 30)
    sold.resume()
    sell(sold, SOLD[:3])
    pass_time(sold, 120)
    assert order_cache.feed_state(sold.store).dropped == len(SOLD) - 3
    sold.confirm()
    sold.calm_until_whole(130.0)
    assert sold.is_whole
    sold.assert_equal()


@pytest.mark.parametrize("at_a_time", [1, 10, 120])
def test_orders_that_move_away_beyond_the_limit_stay_until_a_person_has_confirmed_it(
    sold, at_a_time
):
    """Many small removals are counted together: in a day no more than the limit may go."""
    for start in range(0, len(SOLD), at_a_time):
        sell(sold, SOLD[start : start + at_a_time], home_site="shop-2")
        sold.calm_until_whole(1.0)
    sold.calm_until_whole(120.0)
    here = len(order_cache.entitlements(sold.store))
    assert here >= len(SOLD) - 50
    assert order_cache.feed_state(sold.store).dropped == here
    sold.confirm()
    sold.calm_until_whole(130.0)
    assert order_cache.entitlements(sold.store) == []


def test_a_few_orders_that_move_away_are_gone_at_once(sold):
    sell(sold, SOLD[:24], home_site="shop-2")
    sold.calm_until_whole(10.0)
    assert sold.is_whole
    assert len(order_cache.entitlements(sold.store)) == len(SOLD) - 24


def test_a_snapshot_that_waits_costs_one_small_request_a_minute(sold):
    sold.lose_the_store()
    pass_time(sold, 10)
    sold.resume()
    seen, before = [], sold.requests
    for _ in range(600):
        sold.step(1.0)
        while sold.pages:
            seen.append(getattr(sold.receive(sold.pages.pop(0)), "reason", ""))
    assert 1 <= seen.count(SHRUNK) <= 11
    assert sold.requests - before <= 12


def test_an_old_confirmation_permits_nothing_later(sold):
    """The feed was confirmed with ten orders, and has grown since."""
    sell(sold, SOLD[10:], home_site="shop-2")
    sold.confirm()
    sold.calm_until_whole(130.0)
    assert len(order_cache.entitlements(sold.store)) == 10
    sell(sold, SOLD)
    sold.calm_until_whole(130.0)
    assert sold.is_whole
    sell(sold, SOLD[10:], home_site="shop-2")
    sold.calm_until_whole(100.0)
    assert len(order_cache.entitlements(sold.store)) == len(SOLD)


def test_a_page_of_an_incarnation_before_changes_nothing(sold):
    sold.restart()
    sold.step()
    with sold.store.transaction() as connection:  # to be sent a snapshot
        connection.execute("UPDATE feed SET reload = 1")
    sold.restart()
    sold.step()
    old = sold.pages[:]
    sold.pages.clear()
    sold.lose_the_store()
    sold.restart()
    sold.step(20.0)
    sell(sold, SOLD, status="cancelled")
    sold.resume()
    sold.calm_until_whole(60.0)
    assert sold.is_whole
    for page in old:
        sold.receive(page)
    assert sold.is_whole
    assert {row.status.value for row in order_cache.entitlements(sold.store)} == {"cancelled"}
