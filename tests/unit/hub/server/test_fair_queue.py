"""The queue of a hub: senders take turns by time, and none of them can fill it."""

from collections import Counter

import pytest

from sync.hub.server.fair_queue import TURN_S, FairQueue, QueueBounds
from sync.hub.server.inbound import InboundMessage
from sync.wire.topics import Topic, Up

BOUNDS = QueueBounds(messages_each=5, bytes_each=100, bytes_in_all=250)


def message(sender="kiosk-1", channel=Up.EVENTS, size=10) -> InboundMessage:
    return InboundMessage(Topic("main", sender, channel), bytes(size))


def filled(queue: FairQueue, *senders: str, each: int) -> FairQueue:
    for sender in senders:
        for _ in range(each):
            assert queue.add(message(sender)) == []
    return queue


def turn(queue: FairQueue, *, cost_s=TURN_S, done=True) -> str:
    handled = queue.next()
    queue.spend(handled, cost_s, done=done)
    return handled.topic.node


def test_senders_take_turns():
    queue = filled(FairQueue(), "a", "b", "c", each=2)
    assert "".join(turn(queue) for _ in range(6)) == "abcabc"
    assert queue.next() is None
    assert (queue.messages, queue.bytes) == (0, 0)


def test_a_turn_is_time_and_not_a_number_of_messages():
    queue = filled(FairQueue(), "a", each=40)
    filled(queue, "b", each=5)
    costs = {"a": TURN_S / 4, "b": TURN_S}
    order = ""
    for _ in range(24):
        node = queue.next().topic.node
        order += turn(queue, cost_s=costs[node])
    assert order.startswith("aaaabaaaab")


def test_a_message_that_takes_long_costs_its_sender_the_turns_that_it_took():
    queue = filled(FairQueue(), "a", "b", each=20)
    assert turn(queue, cost_s=5 * TURN_S) == "a"
    assert Counter(turn(queue) for _ in range(6)) == {"b": 5, "a": 1}


def test_a_large_message_is_handled_a_turn_at_a_time_and_keeps_its_place():
    queue = FairQueue()
    large, later = message("a"), message("a")
    for item in (large, later, message("b")):
        queue.add(item)
    assert queue.next() is large
    assert turn(queue, done=False) == "a"
    assert turn(queue) == "b"
    assert queue.next() is large
    turn(queue)
    assert queue.next() is later


def test_who_has_not_sent_for_a_while_comes_before_those_who_wait_in_line():
    queue = filled(FairQueue(), *"abcdefghij", each=5)
    for _ in range(12):
        turn(queue)
    queue.add(message("honest"))
    assert turn(queue) == "honest"


def test_who_sends_one_message_at_a_time_without_a_pause_gets_no_more_than_the_others():
    queue = filled(FairQueue(), "a", "b", each=30)
    queue.add(message("c"))
    order = ""
    for _ in range(60):
        order += turn(queue)
        if order[-1] == "c":
            queue.add(message("c"))
    assert Counter(order) == {"a": 20, "b": 20, "c": 20}


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        pytest.param([10] * 7, 5, id="by messages"),
        pytest.param([40, 40, 40], 2, id="by bytes"),
        pytest.param([120], 1, id="one alone may be larger"),
        pytest.param([251], 0, id="but not than all may be"),
    ],
)
def test_what_is_over_a_senders_bound_is_dropped(sizes, kept):
    queue = FairQueue(BOUNDS)
    dropped = [gone for size in sizes for gone in queue.add(message(size=size))]
    assert (queue.messages, len(dropped)) == (kept, len(sizes) - kept)


def test_when_all_is_full_the_sender_with_the_most_loses_its_newest():
    queue = FairQueue(BOUNDS)
    for sender, size in (("a", 90), ("a", 10), ("b", 80), ("c", 70)):
        assert queue.add(message(sender, size=size)) == []
    (gone,) = queue.add(message("d", size=5))
    assert (gone.topic.node, len(gone.payload)) == ("a", 10)
    assert queue.bytes == 245


def test_a_newer_status_takes_the_place_of_one_that_waits():
    """The hub compares it with what it has, before the events that came after."""
    queue = FairQueue(BOUNDS)
    queue.add(message(channel=Up.STATUS, size=1))
    queue.add(message(size=9))
    for size in (2, 3, 4, 5, 6, 7):
        assert queue.add(message(channel=Up.STATUS, size=size)) == []
    queue.add(message(channel=Up.CONFIG, size=8))
    assert (queue.messages, queue.bytes) == (3, 24)
    sizes = []
    while (waiting := queue.next()) is not None:
        sizes.append(len(waiting.payload))
        queue.spend(waiting, 0.0, done=True)
    assert sizes == [7, 9, 8]
