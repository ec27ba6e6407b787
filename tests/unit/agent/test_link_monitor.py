"""The state of the line to the platform: each has a name, and one log line when it begins."""

from types import SimpleNamespace

import pytest

from sync.agent.link_monitor import LinkMonitor
from sync.agent.response_timer import ResponseTimer
from sync.agent.timings import AGENT_TIMINGS
from sync.mqtt.endpoint import LinkState
from sync.mqtt.oversized import OversizedPublishes


class World:
    def __init__(self):
        self.replies, self.time_s, self.lines = ResponseTimer(), 100.0, []
        self.session = SimpleNamespace(
            oversized=OversizedPublishes(),
            connected=True,
            link=LinkState.CONNECTED,
            detail="",
            give_up=self._give_up,
        )
        self.given_up = 0
        log = SimpleNamespace(info=self._line, warning=self._line)
        self.monitor = LinkMonitor(self.session, self.replies, log, AGENT_TIMINGS)

    def _line(self, _event, *, state, detail):
        self.lines.append(state)

    def _give_up(self, why):
        self.given_up += 1
        self.session.connected, self.session.link = False, why

    def after(self, seconds):
        self.time_s += seconds
        return self.monitor.check(self.time_s)

    def asks(self, seq=0):
        self.replies.note_sent(seq, self.time_s)

    def answered(self, through=0, *, more=False):
        self.replies.note_reply(through, self.time_s, more=more)
        self.monitor.note_reply()


@pytest.fixture
def world():
    world = World()
    world.after(0)
    return world


def test_a_quick_reply_changes_nothing(world):
    for _ in range(5):
        world.asks()
        world.after(AGENT_TIMINGS.slow_s / 2)
        world.answered()
        world.after(60)
    assert world.lines == [LinkState.CONNECTED]


def test_slow_replies_are_named_once_until_one_comes_quickly(world):
    for _ in range(4):
        world.asks()
        world.after(AGENT_TIMINGS.slow_s + 1)
        world.answered()
        world.after(60)
    assert world.lines == [LinkState.CONNECTED, LinkState.SLOW]
    world.asks()
    world.after(0.1)
    world.answered()
    world.after(0.1)
    assert world.lines == [LinkState.CONNECTED, LinkState.SLOW, LinkState.CONNECTED]


def test_after_a_slow_reply_an_idle_device_probes_at_once_and_then_at_intervals(world):
    """Or it would be called slow until the next redemption."""
    world.asks()
    world.after(AGENT_TIMINGS.slow_s + 1)
    assert not world.monitor.wants_probe(world.time_s), "one is awaited"
    world.answered()
    world.after(0.1)
    assert world.monitor.wants_probe(world.time_s)
    world.after(0.1)
    assert not world.monitor.wants_probe(world.time_s)
    world.after(AGENT_TIMINGS.slow_probe_s)
    assert world.monitor.wants_probe(world.time_s)
    world.asks()
    world.answered()
    world.after(0.1)
    assert not world.monitor.wants_probe(world.time_s)


def test_a_slow_line_is_not_forgotten_between_the_replies_to_one_window(world):
    """Answers that follow each other closely are as late as the first of them."""
    for seq in (10, 20, 30):
        world.asks(seq)
    world.after(AGENT_TIMINGS.slow_s + 1)
    for seq in (10, 20, 30):
        world.answered(seq, more=True)
        world.asks(seq + 30)
        world.after(0.1)
    assert world.lines == [LinkState.CONNECTED, LinkState.SLOW]


def test_a_silent_hub_is_named_once_however_often_it_is_asked(world):
    """Until it answers: not even the connection that is made anew looks like an answer."""
    for _ in range(3):
        while not world.after(1.0):
            world.asks()
        world.after(5)
        world.replies.start_over()
        world.session.connected, world.session.link = True, LinkState.CONNECTED
        world.asks()
    assert world.given_up == 3
    assert world.lines == [LinkState.CONNECTED, LinkState.SLOW, LinkState.SILENT]
    world.after(AGENT_TIMINGS.silent_s + 1)
    world.answered()
    world.after(0.1)
    assert world.lines == [
        LinkState.CONNECTED,
        LinkState.SLOW,
        LinkState.SILENT,
        LinkState.CONNECTED,
    ]
    assert AGENT_TIMINGS.slow_s < AGENT_TIMINGS.silent_s < AGENT_TIMINGS.deaf_s


def test_a_lost_connection_is_named_by_the_session(world):
    world.session.connected = False
    for link in (
        LinkState.LOST,
        LinkState.UNREACHABLE,
        LinkState.UNREACHABLE,
        LinkState.UNREACHABLE,
    ):
        world.session.link = link
        world.after(1)
    assert world.lines == [LinkState.CONNECTED, LinkState.LOST, LinkState.UNREACHABLE]
