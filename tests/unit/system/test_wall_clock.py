"""The wall clock and its floor: what may be believed when a Pi starts in 1970, or 10 years off."""

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

    def tells(self):
        now = self.clock.now()
        return now.unix_s - FLOOR, now.trust


def test_a_synchronised_clock_is_trusted():
    assert World(FLOOR + 100, synchronised=True).tells() == (100, ClockTrust.TRUSTED)


def test_a_clock_that_starts_in_1970_tells_the_floor_and_moves_on_from_there():
    world = World(0)
    world.pass_time(30)
    assert world.tells() == (30, ClockTrust.FLOOR_ONLY)


def test_a_synchronised_clock_behind_the_floor_is_not_believed():
    assert World(FLOOR - 3600, synchronised=True).tells() == (0, ClockTrust.FLOOR_ONLY)


def test_a_step_back_of_a_second_or_two_is_ordinary():
    assert World(FLOOR - 2, synchronised=True).tells() == (0, ClockTrust.TRUSTED)


def test_a_clock_that_nobody_vouches_for_is_the_best_guess_within_a_year():
    assert World(FLOOR + 3600).tells() == (3600, ClockTrust.FLOOR_ONLY)
    assert World(FLOOR + 10 * YEAR).tells() == (0, ClockTrust.FLOOR_ONLY), (
        "ten years off would expire everything"
    )


def test_an_unvouched_clock_never_raises_the_floor():
    world = World(FLOOR + 3600)
    world.tells()
    assert world.clock.floor_s() == FLOOR


def test_a_trusted_moment_is_the_floor_from_then_on():
    world = World(FLOOR + 3600, synchronised=True)
    world.tells()
    world.synchronised, world.wall = False, 0
    world.pass_time(10)
    assert world.tells() == (3610, ClockTrust.FLOOR_ONLY)


def test_what_a_clock_told_is_not_kept_for_the_next_start():
    world = World(FLOOR + 3600, synchronised=True)
    world.tells()
    world.pass_time(10)
    assert world.clock.floor_s() == FLOOR + 10, "ten seconds have passed: that is proved"


@pytest.mark.parametrize("wrong_by", [6, 3600, YEAR, 70 * YEAR])
def test_one_wrong_time_of_a_synchronised_clock_is_over_when_it_is_set_right(wrong_by):
    world = World(FLOOR + 100, synchronised=True)
    world.tells()
    world.wall += wrong_by
    assert world.tells() == (100 + wrong_by, ClockTrust.TRUSTED)
    world.wall -= wrong_by
    world.pass_time(10)
    assert world.tells() == (110, ClockTrust.TRUSTED)
    assert world.clock.floor_s() == FLOOR + 10
    world.synchronised, world.wall = False, 0
    assert world.tells() == (110, ClockTrust.FLOOR_ONLY)


def test_a_clock_set_back_before_what_is_proved_is_not_believed_however_it_is_synchronised():
    world = World(FLOOR + 3600, synchronised=True)
    world.tells()
    world.clock.raise_floor(FLOOR + 3000)
    world.wall = FLOOR + 2000
    assert world.tells() == (3600, ClockTrust.FLOOR_ONLY)


def test_a_verified_document_raises_the_floor():
    world = World(0)
    world.clock.raise_floor(FLOOR + 50)
    assert world.tells() == (50, ClockTrust.FLOOR_ONLY)


@given(
    st.lists(
        st.tuples(st.integers(-(2**31), 2**33), st.booleans(), st.integers(0, 1000)), max_size=20
    )
)
def test_it_never_tells_a_time_before_what_is_proved_and_that_never_falls(turns):
    world, floor = World(FLOOR), FLOOR
    for wall, synchronised, passed in turns:
        world.wall, world.synchronised = wall, synchronised
        world.pass_time(passed)
        assert world.clock.now().unix_s >= int(world.clock.floor_s())
        assert world.clock.floor_s() >= floor
        floor = world.clock.floor_s()


@pytest.mark.parametrize(
    ("wall_s", "synchronised", "astray_s"),
    [
        pytest.param(FLOOR + 10, False, 0, id="after what is proved"),
        pytest.param(FLOOR - 3, False, 0, id="within the slack"),
        pytest.param(FLOOR - 40 * YEAR, False, -40 * YEAR, id="forty years before"),
        pytest.param(FLOOR - 40 * YEAR, True, -40 * YEAR, id="forty years before, whoever set it"),
        pytest.param(
            FLOOR + 10 * YEAR, False, 10 * YEAR, id="ten years ahead, and nobody vouches for it"
        ),
        pytest.param(FLOOR + 10 * YEAR, True, 0, id="ten years later, says the network"),
    ],
)
def test_a_clock_that_tells_what_cannot_be_is_astray(wall_s, synchronised, astray_s):
    clock = WallClock(
        FLOOR, synchronised=lambda: synchronised, wall_s=lambda: wall_s, monotonic_s=lambda: 0.0
    )
    assert clock.astray_s() == astray_s


def test_where_nothing_is_proved_no_clock_is_astray():
    assert WallClock(0, synchronised=lambda: False, wall_s=lambda: FLOOR).astray_s() == 0
