"""The ladder: its order, budget and counters, and rungs that fail."""

import numpy as np
import pytest

from edge.decode.counters import RungCount
from edge.decode.ladder import Ladder, distinct
from edge.decode.qr.quad import box
from edge.decode.qr.zxing import LocatedSymbol
from edge.decode.rungs import DEEP, LIVE, RUNGS, Rung
from edge.decode.scene import FrameAnalysis
from edge.ports import Symbol
from tests.support.drawn_codes import drawn

QUAD = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
GREY = np.zeros((10, 10), np.uint8)


def symbol(content=b"A"):
    return Symbol(content=content, quad=QUAD, decoder="fake")


class Clock:
    """A clock that only a rung moves."""

    def __init__(self):
        self.ms = 0.0

    def __call__(self):
        return self.ms


def rung(name, clock, cost_ms, *found, called=None):
    def read(scene):
        clock.ms += cost_ms
        if called is not None:
            called.append(name)
        return found

    return Rung(name, read)


def test_rungs_are_climbed_in_order_until_one_reads():
    clock, called = Clock(), []
    rungs = [
        rung(name, clock, 1, *found, called=called)
        for name, found in (("a", ()), ("b", (symbol(),)), ("c", ()))
    ]
    assert Ladder(rungs, clock_ms=clock).decode(GREY) == (symbol(),)
    assert called == ["a", "b"]


@pytest.mark.parametrize(
    ("budget_ms", "climbed"),
    [
        pytest.param(0, "a", id="the first is always tried"),
        pytest.param(9, "a", id="no rung starts after the budget"),
        pytest.param(11, "ab", id="a rung that starts in time may end late"),
        pytest.param(None, "abcd", id="no budget climbs to the top"),
    ],
)
def test_no_rung_starts_after_the_budget(budget_ms, climbed):
    clock, called = Clock(), []
    rungs = [rung(name, clock, 10, called=called) for name in "abcd"]
    Ladder(rungs, budget_ms=budget_ms, clock_ms=clock).decode(GREY)
    assert "".join(called) == climbed


def test_each_rung_counts_its_tries_reads_and_time():
    clock = Clock()
    ladder = Ladder([rung("a", clock, 3), rung("b", clock, 5, symbol())], clock_ms=clock)
    for _ in range(4):
        ladder.decode(GREY)
    assert ladder.counts == {
        "a": RungCount(tries=4, reads=0, busy_ms=12.0),
        "b": RungCount(tries=4, reads=4, busy_ms=20.0),
    }


def test_a_rung_that_raises_does_not_end_the_ladder():
    def broken(scene):
        raise RuntimeError("of a library")

    clock = Clock()
    ladder = Ladder([Rung("broken", broken), rung("sound", clock, 1, symbol())], clock_ms=clock)
    assert ladder.decode(GREY) == (symbol(),)
    assert (ladder.counts["broken"].faults, ladder.counts["sound"].faults) == (1, 0)


def test_two_codes_are_two_and_one_code_twice_is_one():
    assert [s.content for s in distinct([symbol(b"A"), symbol(b"B"), symbol(b"A")])] == [b"A", b"B"]


@pytest.mark.parametrize("rungs", [RUNGS, DEEP, LIVE])
def test_every_rung_has_its_own_name_and_accepts_any_picture(rungs):
    assert len({r.name for r in rungs}) == len(rungs)
    pictures = [
        np.zeros((1, 1), np.uint8),
        np.zeros((3, 500), np.uint8),
        np.full((64, 2), 255, np.uint8),
        drawn("A")[0],
    ]
    for grey in pictures:
        ladder = Ladder(rungs)
        for each in rungs:
            ladder.climb(each, FrameAnalysis(grey))
        assert not any(count.faults for count in ladder.counts.values()), grey.shape


ALONE = [
    each
    for each in {rung.name: rung for rung in (*DEEP, *LIVE)}.values()
    if not each.name.startswith(("closer", "patient", "inverted", "contours", "two-finders"))
]


@pytest.mark.parametrize("each", ALONE)
def test_every_rung_reads_a_plain_code_and_reports_its_quad_in_the_picture(each):
    seen = [
        (quad, found)
        for px in (3, 8)
        for grey, quad in [drawn("HELLO", px=px)]
        for found in each.read(FrameAnalysis(grey))
    ]
    assert seen, "neither small nor large"
    for quad, found in seen:
        assert found.text == "HELLO"
        assert np.abs(np.subtract(box(found.quad), box(quad))).max() < 8


def test_a_light_code_on_a_dark_ground_is_read():
    grey, _ = drawn("HELLO")
    assert [s.text for s in Ladder().decode(255 - grey)] == ["HELLO"]


def test_a_code_located_twice_is_studied_once():
    scene = FrameAnalysis(GREY)
    place = LocatedSymbol(((10, 10), (110, 10), (110, 110), (10, 110)), 2)
    nudged = LocatedSymbol(tuple((x + 1, y) for x, y in place.quad), 2)
    other = LocatedSymbol(place.quad, 3)
    scene.add_located([place, nudged, other])
    assert [scene.next_waiting() for _ in range(3)] == [place, other, None]


@pytest.mark.parametrize(
    "quad", [((0, 0),) * 4, ((0, 0), (100, 0), (0, 1), (100, 1)), ((0, 0), (9, 0), (9, 9), (0, 9))]
)
def test_an_implausible_quad_is_not_studied(quad):
    scene = FrameAnalysis(GREY)
    scene.add_located([LocatedSymbol(quad, 2)])
    assert scene.next_waiting() is None
