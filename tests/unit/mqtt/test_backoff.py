import random

import pytest

from sync.mqtt.backoff import Backoff
from sync.mqtt.endpoint import LinkState


def delays(backoff: Backoff, count: int) -> list[float]:
    chance = random.Random(1)
    return [backoff.delay_s(chance.uniform) for _ in range(count)]


def test_the_first_attempt_does_not_wait():
    assert Backoff().delay_s(random.uniform) == 0.0


@pytest.mark.parametrize("doublings", [1, 3, 7, 50])
def test_a_delay_is_never_below_one_second_nor_above_two_minutes(doublings):
    found = delays(Backoff(doublings=doublings), 500)
    assert min(found) >= 1.0
    assert max(found) <= min(2.0**doublings, 120.0)


def test_a_fleet_does_not_come_back_at_once():
    """Full jitter: 1,000 devices that lost the broker together are spread over the whole range."""
    found = delays(Backoff(doublings=5), 1000)
    a_second = [sum(second <= delay < second + 1 for delay in found) for second in range(1, 32)]
    assert max(a_second) < 80
    assert min(a_second) > 5


def test_what_trying_again_cannot_help_is_tried_rarely():
    assert sum(delays(Backoff().failed(permanent=True), 1000)) / 1000 > 50


def test_a_success_begins_again():
    assert Backoff().failed().failed(permanent=True).succeeded() == Backoff()


def test_failures_are_counted_one_by_one_whatever_they_do_to_the_delay():
    assert Backoff().failed(permanent=True).failures == 1
    assert Backoff().failed().failed(permanent=True).failed().failures == 3


def test_every_state_that_a_person_must_repair_is_permanent():
    assert {link for link in LinkState if link.is_permanent} == {
        LinkState.BROKER_UNTRUSTED,
        LinkState.CREDENTIALS_UNUSABLE,
        LinkState.CERTIFICATE_REFUSED,
        LinkState.NOT_AUTHORISED,
        LinkState.IDENTITY_TAKEN,
    }
