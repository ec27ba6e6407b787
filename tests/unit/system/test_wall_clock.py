"""The wall clock and its floor, for a Pi that starts in 1970, or 10 years off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.system.wall_clock import WallClock
from edge.values.instant import ClockTrust

FLOOR = 1_800_000_000
YEAR = 365 * 86_400


class World:
    def __init__(self, wall, synchronised=False):
        self.wall, self.synchronised, self.monotonic = wall, synchronised, 50.0
        self.clock = WallClock(
            FLOOR,
            synchronised=lambda: self.synchronised,
            wall_s=lambda: self.wall,
            monotonic_s=lambda: self.monotonic,
        )

    def pass_time(self, seconds):
        self.wall += seconds
        self.monotonic += seconds

    def reads(self):
        now = self.clock.now()
        return now.unix_s - FLOOR, now.trust


def test_a_synchronised_clock_is_trusted():
    assert World(FLOOR + 100, synchronised=True).reads() == (100, ClockTrust.TRUSTED)


def test_a_clock_that_starts_in_1970_reads_the_floor_and_advances_from_there():
    world = World(0)
    world.pass_time(30)
    assert world.reads() == (30, ClockTrust.FLOOR_ONLY)


def test_a_synchronised_clock_before_the_floor_is_not_used():
    assert World(FLOOR - 3600, synchronised=True).reads() == (0, ClockTrust.FLOOR_ONLY)


def test_a_step_back_of_a_second_or_two_is_ignored():
    assert World(FLOOR - 2, synchronised=True).reads() == (0, ClockTrust.TRUSTED)


def test_an_unsynchronised_clock_is_the_best_estimate_within_a_year():
    assert World(FLOOR + 3600).reads() == (3600, ClockTrust.FLOOR_ONLY)
    assert World(FLOOR + 10 * YEAR).reads() == (0, ClockTrust.FLOOR_ONLY), (
        "ten years off would expire everything"
    )


def test_an_unsynchronised_clock_never_raises_the_floor():
    world = World(FLOOR + 3600)
    world.reads()
    assert world.clock.floor_s() == FLOOR


def test_a_trusted_time_is_the_least_from_then_on():
    world = World(FLOOR + 3600, synchronised=True)
    world.reads()
    world.synchronised, world.wall = False, 0
    world.pass_time(10)
    assert world.reads() == (3610, ClockTrust.FLOOR_ONLY)


def test_the_time_of_a_synchronised_clock_is_not_persisted():
    world = World(FLOOR + 3600, synchronised=True)
    world.reads()
    world.pass_time(10)
    assert world.clock.floor_s() == FLOOR + 10, "ten seconds have passed: that is proved"


@pytest.mark.parametrize("wrong_by", [6, 3600, YEAR, 70 * YEAR])
def test_one_wrong_time_of_a_synchronised_clock_ends_with_its_correction(wrong_by):
    world = World(FLOOR + 100, synchronised=True)
    world.reads()
    world.wall += wrong_by
    assert world.reads() == (100 + wrong_by, ClockTrust.TRUSTED)
    world.wall -= wrong_by
    world.pass_time(10)
    assert world.reads() == (110, ClockTrust.TRUSTED)
    assert world.clock.floor_s() == FLOOR + 10
    world.synchronised, world.wall = False, 0
    assert world.reads() == (110, ClockTrust.FLOOR_ONLY)


def test_a_synchronised_clock_set_back_before_the_floor_is_not_used():
    world = World(FLOOR + 3600, synchronised=True)
    world.reads()
    world.clock.raise_floor(FLOOR + 3000)
    world.wall = FLOOR + 2000
    assert world.reads() == (3600, ClockTrust.FLOOR_ONLY)


def test_a_verified_document_raises_the_floor():
    world = World(0)
    world.clock.raise_floor(FLOOR + 50)
    assert world.reads() == (50, ClockTrust.FLOOR_ONLY)


@given(
    st.lists(
        st.tuples(st.integers(-(2**31), 2**33), st.booleans(), st.integers(0, 1000)), max_size=20
    )
)
def test_the_time_is_never_before_the_floor_and_the_floor_never_falls(turns):
    world, floor = World(FLOOR), FLOOR
    for wall, synchronised, passed in turns:
        world.wall, world.synchronised = wall, synchronised
        world.pass_time(passed)
        assert world.clock.now().unix_s >= int(world.clock.floor_s())
        assert world.clock.floor_s() >= floor
        floor = world.clock.floor_s()


@pytest.mark.parametrize(
    ("wall_s", "synchronised", "by_s"),
    [
        pytest.param(FLOOR + 10, False, 0, id="after the floor"),
        pytest.param(FLOOR - 3, False, 0, id="within the slack"),
        pytest.param(FLOOR - 40 * YEAR, False, -40 * YEAR, id="forty years before"),
        pytest.param(FLOOR - 40 * YEAR, True, -40 * YEAR, id="forty years before, synchronised"),
        pytest.param(FLOOR + 10 * YEAR, False, 10 * YEAR, id="ten years ahead"),
        pytest.param(FLOOR + 10 * YEAR, True, 0, id="ten years ahead, synchronised"),
    ],
)
def test_an_implausible_clock_is_measured(wall_s, synchronised, by_s):
    clock = WallClock(
        FLOOR, synchronised=lambda: synchronised, wall_s=lambda: wall_s, monotonic_s=lambda: 0.0
    )
    assert clock.implausible_by_s() == by_s


def test_without_a_floor_every_clock_is_plausible():
    assert WallClock(0, synchronised=lambda: False, wall_s=lambda: FLOOR).implausible_by_s() == 0
