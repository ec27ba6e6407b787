"""The trial of a broker link: it ends by the clock that it is given."""

import getpass
import itertools
import socket

import pytest
from hardware_sim.world.free_ports import free_port

from sync.agent.settings.assembly import TRIAL_S, try_broker
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec
from sync.mqtt.endpoint import Endpoint


@pytest.fixture
def endpoint(tmp_path):
    listed = PlatformDocuments(
        order_feed_key=tmp_path / "feed.pem", trust_list=tmp_path / "trust.cose"
    )
    site = PlatformSpec(
        port=free_port(),
        enrolment_port=free_port(),
        devices={"kiosk-1": "shop-1"},
        user=getpass.getuser(),
    )
    files = provision(tmp_path / "site", site, listed, now_s=1_800_000_000)
    return Endpoint(
        host="127.0.0.1",
        port=free_port(),
        client_id="kiosk-1",
        ca_file=str(files.ca),
        cert_file=str(files.certificate("kiosk-1")),
        key_file=str(files.key("kiosk-1")),
    )


def test_a_broker_that_never_replies_is_given_up_when_the_time_of_a_trial_is_over(endpoint):
    ticks = itertools.count(0.0, 4.0)  # each look at the clock finds it four seconds on
    with socket.create_server(("127.0.0.1", endpoint.port)):
        why = try_broker(endpoint, ["v1/main/kiosk-1/dn/#"], monotonic=lambda: next(ticks))
    assert why
    assert next(ticks) == 4.0 * (TRIAL_S // 4 + 2), (
        "it looked until the time was over, and not once more"
    )
