from sync.hub.enrolment.client_places import MOST, SHARE, ClientPlaces


def test_an_address_has_no_more_than_its_share():
    places = ClientPlaces()
    assert [places.take("192.0.2.1") for _ in range(SHARE + 1)] == [True] * SHARE + [False]
    assert places.take("192.0.2.2")
    places.free("192.0.2.1")
    assert places.take("192.0.2.1")


def test_a_network_of_ipv6_is_one_address():
    places = ClientPlaces()
    assert all(places.take(f"2001:db8::{number:x}") for number in range(SHARE))
    assert not places.take("2001:db8::ffff")
    assert places.take("2001:db8:0:1::1")
    assert places.take("::ffff:192.0.2.1"), "this one is an address of IPv4"


def test_all_places_together_are_bounded():
    places = ClientPlaces()
    assert all(places.take(f"192.0.2.{number}") for number in range(MOST))
    assert not places.take("192.0.2.200")
