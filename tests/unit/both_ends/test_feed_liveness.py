"""A connected device has the whole order feed within seconds, whatever became of pages before.

The real ends of the feed in virtual time: ``Downlink`` over a device's store, ``order_lines`` and
``OrderPublisher`` over a hub's. Pages between them are lost, doubled and delayed at will; then the
network is calm, and nothing new is sold.
"""

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.store import order_cache
from tests.support.feed_ends import FeedEnds

WITHIN_S = 20.0  # of calm; most of it is the wait for a reply that was lost
QUIET_S = 600.0  # in which a device that has everything requests only what is newer

ctis = st.integers(0, 9)
places = st.integers(0, 200)
ops = st.one_of(
    st.tuples(st.just("sell"), ctis),
    st.tuples(st.just("cancel"), ctis),
    st.tuples(st.just("move"), ctis),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 1, 6])),
    st.tuples(st.just("deliver"), places),
    st.tuples(st.just("deliver"), places),
    st.tuples(st.just("double"), places),
    st.tuples(st.just("lose"), places),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("damage"), st.just(0)),
)
# A snapshot of two pages is complete; its first page comes again; then a change.
AGAIN = [
    *(("sell", n) for n in range(4)),
    ("wait", 0),
    ("lose", 0),
    ("double", 0),
    ("deliver", 0),
    ("deliver", 0),
    ("deliver", 0),
    ("cancel", 0),
]

# A device has everything; the page of the last change is lost, and so are two that recall it.
LOST = [
    ("sell", 0),
    *(("wait", 1), *[("deliver", 0)] * 3) * 4,
    ("sell", 1),
    ("wait", 0),
    ("lose", 0),
    *(("wait", 6), ("lose", 0)) * 2,
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ops, max_size=40))
@example(AGAIN)
@example(LOST)
def test_from_any_order_doubling_and_loss_of_pages_a_device_is_whole_within_seconds(
    memory_folder, taken
):
    check(FeedEnds(memory_folder()), taken)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ops, max_size=120))
def test_at_length_from_any_order_doubling_and_loss_a_device_is_whole_within_seconds(
    memory_folder, taken
):
    check(FeedEnds(memory_folder()), taken)


def check(ends: FeedEnds, taken: list[tuple[str, int]]) -> None:
    with ends:
        revision = 0
        for what, number in taken:
            act(ends, what, number)
            before, revision = revision, order_cache.feed_state(ends.store).revision
            assert before <= revision, "orders that were newer were taken back"
        calm_s = ends.calm_until_whole(WITHIN_S)
        assert calm_s <= WITHIN_S, order_cache.feed_state(ends.store)
        ends.assert_equal()
        assert ends.requests_in(QUIET_S) <= 2, "it has everything and goes on"


def act(ends: FeedEnds, what: str, number: int) -> None:
    cti = bytes([number]) * 16
    match what:
        case "sell":
            ends.put(cti, quantity=int.from_bytes(os.urandom(2), "big") + 1)
        case "cancel":
            ends.put(cti, status="cancelled")
        case "move":
            ends.put(cti, home_site="shop-2")
        case "wait":
            ends.step(number)
        case "restart":
            ends.restart()
        case "damage":
            ends.damage()
        case _ if ends.pages:
            ends.act_on_page(what, number % len(ends.pages))
