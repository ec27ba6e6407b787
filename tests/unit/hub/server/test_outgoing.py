from structlog.testing import CapturingLogger

from sync.hub.server.outgoing import OutgoingMessages
from sync.hub.server.refusal_counter import RefusalCounter
from sync.wire.topics import Down


class Session:
    """Takes as many messages as it has room for."""

    def __init__(self):
        self.room, self.sent = 0, []

    def publish(self, topic, payload):
        if self.room == 0:
            return False
        self.room -= 1
        self.sent.append((topic, payload))
        return True


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def queue():
    session, clock = Session(), Clock()
    outgoing = OutgoingMessages(session, tenant="main", monotonic=clock)
    for number in range(3):
        outgoing.add("kiosk-1", Down.ACK, bytes([number]))
    return outgoing, session, clock


def test_messages_leave_in_order_as_far_as_the_session_has_room():
    outgoing, session, _ = queue()
    session.room = 2
    outgoing.flush()
    assert session.sent == [("v1/main/kiosk-1/dn/ack", b"\0"), ("v1/main/kiosk-1/dn/ack", b"\1")]
    assert outgoing
    session.room = 2
    outgoing.flush()
    assert session.sent[2:] == [("v1/main/kiosk-1/dn/ack", b"\2")]
    assert not outgoing


def test_the_age_counts_from_when_the_queue_last_moved_and_is_zero_when_it_is_empty():
    outgoing, session, clock = queue()
    outgoing.flush()
    clock.now_s += 5
    outgoing.flush()
    assert outgoing.oldest_age_s == 5.0
    session.room = 1
    outgoing.flush()
    assert outgoing.oldest_age_s == 0.0
    clock.now_s += 2
    assert outgoing.oldest_age_s == 2.0
    session.room = 9
    outgoing.flush()
    assert outgoing.oldest_age_s == 0.0


def test_pages_of_orders_leave_after_everything_else():
    outgoing, session, _ = queue()
    outgoing.add("kiosk-2", Down.ORDERS, b"page")
    outgoing.add("kiosk-2", Down.ACK, b"ack")
    assert outgoing.has_pages("kiosk-2")
    session.room = 9
    outgoing.flush()
    assert [payload for _, payload in session.sent][-2:] == [b"ack", b"page"]
    assert not outgoing.has_pages("kiosk-2")


def test_what_was_added_since_a_mark_can_be_dropped():
    outgoing, session, _ = queue()
    mark = outgoing.mark()
    outgoing.add("kiosk-2", Down.ORDERS, b"page")
    outgoing.add("kiosk-2", Down.ACK, b"ack")
    outgoing.cut(mark)
    session.room = 9
    outgoing.flush()
    assert [payload for _, payload in session.sent] == [b"\0", b"\1", b"\2"]
    assert not outgoing.has_pages("kiosk-2")


def test_a_lost_connection_drops_what_waits():
    outgoing, session, _ = queue()
    outgoing.clear()
    session.room = 9
    outgoing.flush()
    assert session.sent == []


def test_refusals_are_counted_by_reason_and_logged_ever_more_rarely_for_each_sender():
    log = CapturingLogger()
    refusals = RefusalCounter(log)
    for _ in range(250):
        refusals.add("not_json", "kiosk-1", "line 1")
    refusals.add("wrong_shape", "kiosk-2", "events")
    refusals.add("not_json", "kiosk-2", "line 1")
    logged = [
        (call.kwargs["dev"], call.kwargs["reason"], call.kwargs["count"]) for call in log.calls
    ]
    assert logged == [
        ("kiosk-1", "not_json", 1),
        ("kiosk-1", "not_json", 10),
        ("kiosk-1", "not_json", 100),
        ("kiosk-2", "wrong_shape", 1),
        ("kiosk-2", "not_json", 1),
    ]
    assert refusals.counts == {"not_json": 251, "wrong_shape": 1}
