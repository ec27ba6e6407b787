"""Grants over a real broker: requested by a row, granted by a signed reply, never waited for."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.domain.authorisation import AuthorisationResult
from edge.redemption.authorisation_client import REPLY_DEADLINE_S
from edge.store import authorisations
from edge.store.online_flag import is_online
from tests.support.broker import until
from tests.support.grant_requests import request_grant
from tests.support.platform_processes import Device, Platform

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("platform"), DEVICES) as running:
        for device in running.devices.values():
            device.sync.start()
        yield running


@pytest.fixture
def cti(platform):
    cti = os.urandom(16)
    line = {"cti": cti.hex(), "order_id": "A-1", "kind": "write_off", "home_site": "shop-1"}
    platform.import_orders(line)
    return cti


def online(device: Device) -> None:
    until(
        lambda: is_online(device.data),
        40,
        lambda: f"{device.name} hears the hub; {device.sync.text[-1500:]}",
    )


def test_of_two_devices_that_ask_at_once_one_gets_the_grant(platform, cti):
    devices = list(platform.devices.values())
    for device in devices:
        online(device)
    with ThreadPoolExecutor(2) as pool:
        answers = [
            future.result()[0]
            for future in [
                pool.submit(request_grant, device, cti, deadline_s=10) for device in devices
            ]
        ]
    assert sorted(answer.result for answer in answers) == [
        AuthorisationResult.GRANTED,
        AuthorisationResult.HELD,
    ]
    assert {answer.authority for answer in answers} == {"_hub"}


def test_a_grant_is_used_once_by_a_redemption(platform, cti):
    device = platform.devices["kiosk-1"]
    online(device)
    answer, _ = request_grant(device, cti, deadline_s=10)
    assert answer.result is AuthorisationResult.GRANTED
    with device.store.transaction() as connection:
        grant = authorisations.find_grant(connection, cti, time.monotonic_ns())
        assert grant is not None
        authorisations.consume(connection, grant)
    with device.store.read() as connection:
        assert authorisations.find_grant(connection, cti, time.monotonic_ns()) is None
    device.redeem(cti)
    device.wait_acknowledged()
    online(platform.devices["kiosk-2"])
    assert (
        request_grant(platform.devices["kiosk-2"], cti, deadline_s=10)[0].result
        is AuthorisationResult.SPENT
    )


def test_a_hub_that_died_unnoticed_costs_one_scan_its_deadline_and_no_other(platform, cti):
    device = platform.devices["kiosk-1"]
    online(device)
    platform.hub.kill()
    answer, took_s = request_grant(device, cti)
    assert answer is None
    assert took_s < REPLY_DEADLINE_S + 0.5
    until(lambda: not is_online(device.data), 5, "no authority is asked any more")
    assert request_grant(device, cti)[1] < 0.5
    platform.hub.start()
    online(device)
    assert request_grant(device, cti, deadline_s=10)[0].result is AuthorisationResult.GRANTED


def test_a_dead_network_or_a_dead_edge_sync_delays_nothing(platform, cti):
    device = platform.devices["kiosk-2"]
    online(device)
    device.sync.kill()
    assert request_grant(device, cti)[1] < 0.2
    device.sync.start()
    online(device)
    platform.broker.kill()
    until(lambda: not is_online(device.data), 5, "the loss is seen")
    assert request_grant(device, cti) == (None, pytest.approx(0, abs=0.2))
    platform.broker.start()
    online(device)
