"""What counts as a move: code compiled as if it were in two rooms, and the calls between them."""

import threading

import pytest

from tests.architecture.trips import Recorder
from tests.support.paths import ROOT


def compiled(file: str, text: str, **names):
    """Return the names of ``text``, compiled as the source file ``file`` of the product."""
    exec(compile(text, str(ROOT / file), "exec"), names)
    return names


@pytest.fixture
def rooms():
    inner = compiled(
        "edge/inner/b.py",
        "def work(): helper()\ndef helper(): ...\ndef count():\n    yield 1\n    yield 2\n",
    )
    return compiled(
        "edge/outer/a.py",
        "def twice(): work(); work()\ndef listed(): return list(count())\n"
        "def called_back(call): call(work)\ndef alone(): ...\n",
        work=inner["work"],
        count=inner["count"],
    )


def recorded(function, *arguments):
    with Recorder().on() as record:
        record.start()
        function(*arguments)
        record.stop()
        function(*arguments)
    return record


def test_a_call_into_another_room_is_a_move_and_one_within_it_is_none(rooms):
    trip = recorded(rooms["twice"]).here
    assert trip.moves == {("edge/outer", "edge/inner"): 2}
    assert trip.rooms == {"edge/outer", "edge/inner"}
    assert sorted(trip.files) == [str(ROOT / "edge/inner/b.py"), str(ROOT / "edge/outer/a.py")]


def test_a_generator_is_called_once_however_often_it_goes_on(rooms):
    assert recorded(rooms["listed"]).here.total == 1


def test_what_a_library_calls_back_was_called_from_the_room_that_called_the_library(rooms):
    library = {}
    exec(compile("def run(function): function()", "/usr/lib/python3/library.py", "exec"), library)
    assert recorded(rooms["called_back"], library["run"]).here.total == 1


def test_what_a_test_calls_is_no_move(rooms):
    assert recorded(rooms["alone"]).here.total == 0
    assert recorded(rooms["called_back"], lambda work: work()).here.total == 0


def test_the_calls_of_another_thread_are_counted_apart(rooms):
    def in_a_thread():
        thread = threading.Thread(target=rooms["twice"])
        thread.start()
        thread.join()

    record = recorded(in_a_thread)
    assert (record.here.total, record.elsewhere.total) == (0, 2)
