"""A shop whose line is cut: one authority there grants codes to its kiosks, with real brokers."""

import getpass
import os
import time
from pathlib import Path

import pytest
from hardware_sim.faults.mqtt_proxy import CLEAR, CUT, Proxy
from hardware_sim.world.free_ports import free_port

from edge.domain.authorisation import AuthorisationResult
from edge.redemption.authorisation_client import REPLY_DEADLINE_S
from edge.store import order_cache
from edge.store.online_flag import is_online
from sync.fleet.key_folder import SITES
from sync.hub.site.broker_provisioning import SiteBroker, provision_site_broker
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from tests.support.broker import MOSQUITTO, Process, until
from tests.support.broker_sessions import answered, connected, endpoint, middle, received_through
from tests.support.fast_timings import QUICK, program
from tests.support.grant_requests import request_grant
from tests.support.platform_processes import Platform

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1", "kiosk-3": "shop-2"}
COMMAND = b'{"v":1,"dev":"kiosk-3","type":"resend"}'


def order(cti: bytes) -> dict:
    return {"cti": cti.hex(), "order_id": "A-1", "kind": "write_off", "home_site": "shop-1"}


class Shop:
    """A platform, and shop-1 with its own broker and authority behind a line that can be cut."""

    def __init__(self, folder: Path, platform: Platform, line: Proxy, grant_key: Path):
        self.platform, self.line = platform, line
        self.devices = [platform.devices["kiosk-1"], platform.devices["kiosk-2"]]
        at = SiteBroker(
            site="shop-1",
            devices=("kiosk-1", "kiosk-2"),
            port=free_port(),
            platform=("127.0.0.1", line.port),
            user=getpass.getuser(),
            grant_key=grant_key,
            roots=platform.folder / "roots.cbor",
        )
        self.files = provision_site_broker(
            folder, at, platform.broker.files, now_s=int(time.time())
        )
        for device in self.devices:
            text = device.profile.read_text()
            device.profile.write_text(
                text.replace(f"port = {platform.broker.site.port}", f"port = {at.port}")
            )
        self.broker = Process(
            [MOSQUITTO, "-c", str(self.files.broker_config)], folder / "mosquitto.log"
        )
        self.authority = self._process("run", "authority")
        self.bridge = self._process("bridge", "bridge")

    def _process(self, command: str, name: str) -> Process:
        folder = self.files.folder
        words = [
            *program("edge-hub"),
            "authority",
            command,
            "--config",
            str(folder / f"{name}.toml"),
        ]
        return Process(words, folder / f"{name}.log")

    def start_authority(self):
        started = self.authority.text.count('"event": "started"')
        self.authority.start()
        until(
            lambda: self.authority.text.count('"event": "started"') > started,
            what=lambda: self.authority.text[-500:],
        )

    def is_replying(self) -> bool:
        """Return the state that the authority logged last since its last start."""
        lines = self.authority.text.rpartition('"event": "started"')[2].splitlines()
        states = [line for line in lines if '"event": "authority"' in line]
        return bool(states) and '"replying"' in states[-1]

    def line_is(self, state: str) -> bool:
        """Return the state of the platform's line that the bridge logged last."""
        states = [line for line in self.bridge.text.splitlines() if '"side": "platform"' in line]
        return bool(states) and f'"state": "{state}"' in states[-1]

    def sell(self) -> bytes:
        """Sell an order of the shop and wait until it is in the caches of the kiosks."""
        cti = os.urandom(16)
        self.platform.import_orders(order(cti))
        self.learned_of(cti)
        return cti

    def learned_of(self, cti: bytes) -> None:
        for device in self.devices:
            until(lambda d=device: order_cache.find(d.store, cti), what="the order comes")

    def cut(self):
        self.line.fault = CUT
        until(lambda: not self.line_is("connected"), what=lambda: self.bridge.text[-1500:])

    def repair(self):
        self.line.fault = CLEAR
        until(lambda: self.line_is("connected"), what=lambda: self.bridge.text[-1500:])
        for device in self.devices:
            device.wait_acknowledged()

    def redeemed(self, *ctis: bytes) -> list[int]:
        """How often the platform has each."""
        had = [row[4].get("cti") for name in DEVICES for row in self.platform.ledger(name)]
        return [had.count(cti.hex()) for cti in ctis]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    platform = (
        Platform(folder / "platform", DEVICES) if (folder / "platform").mkdir() is None else None
    )
    grant_key = platform.keys.folder.add_holder(
        SITES, "shop-1"
    )  # which the trust list then names for shop-1 alone
    platform.publish(platform.trust_file, platform.keys.trust_list(2))
    config = Path(platform.config)
    config.write_text(
        config.read_text() + '\n[[authority]]\nid = "hub-shop-1"\nsite = "shop-1"\nlease_s = 600\n'
    )
    with Proxy(platform.broker.site.port) as line:
        made = Shop(folder / "site", platform, line, grant_key)
        with platform, made.broker, made.bridge, made.authority:
            for device in made.devices:
                device.sync.start()
            until(made.is_replying, what=lambda: made.authority.text[-3000:])
            yield made


def claimed(device, cti):
    """Return the authority's log line, once it answers requests."""
    found = []

    def replied():
        if (
            is_online(device.data)
            and (answer := request_grant(device, cti, deadline_s=3)[0]) is not None
        ):
            found.append(answer)
        return found

    until(replied, what=lambda: f"{device.name} is answered; {device.sync.text[-1500:]}")
    return found[0]


def test_with_the_line_up_the_sites_authority_replies_and_the_platform_does_not(shop):
    first, second = shop.devices
    cti = shop.sell()
    answer = claimed(first, cti)
    assert (answer.result, answer.authority) == (AuthorisationResult.GRANTED, "hub-shop-1")
    assert claimed(second, cti).result is AuthorisationResult.HELD
    first.redeem(cti)
    first.wait_acknowledged()
    until(
        lambda: claimed(second, cti).result is AuthorisationResult.SPENT,
        what="the authority learned of it, too",
    )


def test_with_the_line_cut_the_kiosks_of_a_store_arbitrate_among_themselves(shop):
    first, second = shop.devices
    ctis = [shop.sell() for _ in range(3)]
    shop.cut()
    for number, cti in enumerate(ctis):
        taker, other = shop.devices[number % 2], shop.devices[1 - number % 2]
        assert claimed(taker, cti).result is AuthorisationResult.GRANTED
        assert claimed(other, cti).result is AuthorisationResult.HELD
        taker.redeem(cti)
        until(
            lambda o=other, c=cti: claimed(o, c).result is AuthorisationResult.SPENT,
            what="the authority learned of it",
        )
    assert first.pending() + second.pending() == 3, "the platform has not acknowledged anything"
    shop.repair()
    assert shop.redeemed(*ctis) == [1, 1, 1]


def test_orders_sold_while_the_line_was_cut_come_when_it_is_repaired(shop):
    """The devices stay connected to the shop's broker, so the bridge makes them ask."""
    cti = os.urandom(16)
    shop.cut()
    shop.platform.import_orders(order(cti))
    shop.repair()
    shop.learned_of(cti)


def test_the_line_may_go_and_come_without_end(shop):
    """The bridge of Mosquitto 2.0.11 hung at one of these, and its broker with it (adr/0042)."""
    device = shop.devices[0]
    for _ in range(10):
        shop.cut()
        device.redeem()
        shop.repair()
    assert shop.platform.ledger("kiosk-1") == device.ledger()
    assert "Traceback" not in shop.bridge.text


def test_an_authority_that_died_delays_no_scan_and_continues_from_its_store(shop):
    first, second = shop.devices
    used, held = shop.sell(), shop.sell()
    shop.cut()
    assert claimed(first, used).result is AuthorisationResult.GRANTED
    assert claimed(first, held).result is AuthorisationResult.GRANTED
    shop.authority.kill()
    first.redeem(used)
    assert request_grant(second, used)[0] is None  # waited for once, at most its deadline
    until(lambda: not is_online(second.data), what="no authority is asked any more")
    assert request_grant(second, used)[1] < REPLY_DEADLINE_S
    shop.start_authority()
    assert claimed(second, used).result is AuthorisationResult.SPENT, (
        "reported while it was dead, and reported again"
    )
    assert claimed(second, held).result is AuthorisationResult.HELD, (
        "its store remembers the leave it gave"
    )
    shop.repair()


def test_an_authority_that_missed_what_the_platform_took_asks_for_it_first(shop):
    first, second = shop.devices
    cti = shop.sell()
    shop.authority.kill()
    first.redeem(cti)
    first.wait_acknowledged()  # by the platform; the authority gets no second report
    shop.start_authority()
    until(shop.is_replying, what=lambda: shop.authority.text[-3000:])
    until(
        lambda: claimed(second, cti).result is AuthorisationResult.SPENT,
        what=lambda: shop.authority.text[-2000:],
    )


def test_an_authority_whose_store_was_lost_gets_no_second_lease_until_a_person_releases_it(shop):
    """The lost one may still grant somewhere. The new term begins with all redemptions."""
    _, second = shop.devices
    spent = shop.sell()
    second.redeem(spent)
    second.wait_acknowledged()
    shop.authority.kill()
    for file in (shop.files.folder / "authority-data").iterdir():
        file.unlink()
    shop.start_authority()
    until(lambda: "lease_refused" in shop.authority.text, what=lambda: shop.authority.text[-2000:])
    assert not shop.is_replying()
    release = Process(
        [*program("edge-hub"), "authority", "release", "--config", shop.platform.config, "shop-1"],
        shop.files.folder / "release.log",
    ).start()
    assert release.child.wait(60) == 0, release.text
    until(shop.is_replying, what=lambda: shop.authority.text[-3000:])
    assert "term 2" in shop.authority.text
    assert claimed(shop.devices[0], spent).result is AuthorisationResult.SPENT


def test_the_bridge_speaks_and_hears_for_its_own_site_alone(shop):
    """Whoever takes the machine in the shop has the shop, and nothing of another."""
    files, port = shop.files, shop.platform.broker.site.port
    name = "_bridge-shop-1"
    bridge = Endpoint(
        host="127.0.0.1",
        port=port,
        client_id=name,
        ca_file=str(files.ca),
        cert_file=str(files.certificate(name)),
        key_file=str(files.key(name)),
    )
    shop.bridge.kill()  # or it and this one would push each other off
    session = MqttSession(bridge, ["v1/main/+/dn/#"], uniform=middle, backoff=QUICK)
    hub = MqttSession(
        endpoint(shop.platform.broker, "_hub", client_id="x"),
        ["v1/x"],
        uniform=middle,
        backoff=QUICK,
    )
    shop.platform.hub.kill()
    try:
        connected(session)
        connected(hub)
        others, mine = (
            ("v1/main/kiosk-3/dn/cmd", "v1/main/site-shop-2/dn/cmd"),
            "v1/main/kiosk-1/dn/cmd",
        )
        for topic in (*others, mine):
            assert hub.publish(topic, COMMAND)
        received = received_through(mine, hub, session)
        assert not {arrival.topic for arrival in received} & set(others)
        assert session.publish("v1/main/kiosk-3/up/status", b"x")
        assert session.publish("v1/main/kiosk-1/dn/ack", b"x")
        answered(session)
        assert session.refused_publishes == 2
    finally:
        session.close()
        hub.close()
        shop.platform.hub.start()
        shop.bridge.start()
