"""One TLS connection of the doctor to real servers on loopback."""

import ssl
import threading
import time
from contextlib import contextmanager
from socket import create_server

import pytest

from edge.doctor.broker_probe import try_broker
from edge.doctor.facts import LastContact
from tests.support.pem_fleet import PemFleet

NOW_S = int(time.time())


@pytest.fixture
def fleet(tmp_path):
    return PemFleet(tmp_path, "fleet", now_s=NOW_S)


@pytest.fixture
def other_fleet(tmp_path):
    (tmp_path / "other").mkdir()
    return PemFleet(tmp_path / "other", "stranger", now_s=NOW_S)


@contextmanager
def broker(fleet: PemFleet, *, strictly_valid: bool = True):
    """Run a TLS 1.3 server that requires a client certificate of ``fleet``; yield its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(*fleet.server(strictly_valid=strictly_valid))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(fleet.ca_file)

    def serve(listener):
        try:
            plain, _ = listener.accept()
            with plain, context.wrap_socket(plain, server_side=True) as secure:
                secure.settimeout(5)
                secure.recv(1)  # as a broker waits for CONNECT
        except OSError:
            return

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_a_broker_of_the_fleet_is_reached_with_tls_1_3(fleet):
    with broker(fleet) as port:
        fact = try_broker(fleet.mqtt(fleet.device("device"), port), 2)
    assert (fact.contact, fact.detail) == (LastContact.REACHED, "TLSv1.3")


def test_a_broker_of_another_fleet_is_not_trusted(fleet, other_fleet):
    with broker(other_fleet) as port:
        fact = try_broker(fleet.mqtt(fleet.device("device"), port), 2)
    assert fact.contact is LastContact.NOT_TRUSTED


def test_a_broker_whose_certificate_is_not_strictly_valid_is_not_trusted(fleet):
    """By RFC 5280; on either release, whatever Python's default is there."""
    with broker(fleet, strictly_valid=False) as port:
        fact = try_broker(fleet.mqtt(fleet.device("device"), port), 2)
    assert fact.contact is LastContact.NOT_TRUSTED
    assert "Authority Key Identifier" in fact.detail


def test_a_refused_certificate_differs_from_a_dead_network(fleet, other_fleet):
    stolen = other_fleet.device("device")
    with broker(fleet) as port:
        fact = try_broker(fleet.mqtt(stolen, port), 2)
    assert fact.contact is LastContact.NOT_ACCEPTED


def test_a_closed_port_is_no_route(fleet):
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fact = try_broker(fleet.mqtt(fleet.device("device"), port), 2)
    assert fact.contact is LastContact.NO_ROUTE
