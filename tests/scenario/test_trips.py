"""The trips that ``make house`` measures run, from their beginning to their end."""

from tests.architecture.trips import run_trips


def test_every_trip_comes_to_its_end_and_is_measured():
    trips = run_trips()
    assert len(trips) == 7
    assert all(len(trip.rooms) > 1 and trip.total > len(trip.rooms) - 2 for trip in trips.values())
