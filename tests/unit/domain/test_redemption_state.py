"""Which kinds of code a device serves, by its profile."""

import pytest

from edge.config import Profile, load_profile
from edge.domain.redemption_state import place_of
from edge.token.claims import Kind

PICKUP, WRITE_OFF = Kind.PICKUP, Kind.WRITE_OFF
COMPARTMENTS = {"A": {"lock_pin": 5, "door_pin": 6}}


@pytest.mark.parametrize(
    ("kind", "compartments", "served"),
    [
        pytest.param("kiosk", {}, {WRITE_OFF}, id="a kiosk"),
        pytest.param("kiosk", COMPARTMENTS, {WRITE_OFF, PICKUP}, id="a kiosk with compartments"),
        pytest.param("locker", COMPARTMENTS, {PICKUP}, id="a locker"),
        pytest.param("handheld", {}, {WRITE_OFF, PICKUP}, id="a handheld"),
    ],
)
def test_a_device_serves_the_kinds_of_its_profile(kind, compartments, served):
    profile = load_profile(
        {
            "device": {"id": "device-1", "site": "shop-1", "kind": kind},
            "trust": {"roots_file": "/roots.cbor"},
            "locker": {"compartments": compartments},
        }
    )
    assert isinstance(profile, Profile), profile
    place = place_of(profile)
    assert (place.kinds, place.compartments) == (served, set(compartments))
